//! What tells one peer from another.

use crate::client::layout::FrameLen;

/// How to start a peer and to speak with it.
pub struct Protocol {
    pub name: &'static str,
    pub program: &'static str,
    pub arguments: fn(port: u16) -> Vec<String>,
    /// What a new connection says, and the end of the answer to it; of a member that hears what is sent, or of one that only
    /// sends.
    pub greeting: fn(hears: bool) -> (Vec<u8>, &'static [u8]),
    /// The octets of one message with this text.
    pub message: fn(text: &[u8]) -> Vec<u8>,
    pub frame_len: FrameLen,
    /// Whether one connection can both send and hear others without hearing itself.
    pub senders_hear: bool,
}
