//! A piece of a message's body, and what is checked about it.

use bytes::Bytes;
use parlor_proto::cpim::Wrapper;
use parlor_proto::msrp::{Continuation, Status};

use crate::room::wrapped_type;
use crate::session::Session;

/// A piece of the body of a chunk.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    pub octets: &'a [u8],
    /// Its position in the message, counted from 0.
    pub position: u64,
    /// Whether it is the first of its chunk.
    pub first: bool,
    /// What ends the chunk, where this is its last piece.
    pub end: Option<Continuation>,
    /// The chunk says that it is message/cpim.
    pub cpim: bool,
    /// The chunk asks for a success report.
    pub success_report: bool,
    /// What else the chunk says about its body.
    pub content: Option<&'a [u8]>,
    /// Octets of the whole message, as the chunk has it.
    pub declared: Option<u64>,
    /// What the octets were received in.
    pub bytes: &'a Bytes,
}

impl Piece<'_> {
    /// The position behind its last octet.
    pub fn end_position(&self) -> u64 {
        self.position + self.octets.len() as u64
    }
}

/// Who is on hold sends no messages (RFC 4975 §8.9).
pub fn check_direction(session: &Session, wrapper: &Wrapper<'_>) -> Result<(), Status> {
    if session.may_send(wrapped_type(wrapper)) { Ok(()) } else { Err(Status::FORBIDDEN) }
}

/// Whether so many octets are no more than `max`; 0 is no limit.
pub fn check_size(max: u64, len: u64) -> Result<(), Status> {
    if max > 0 && len > max { Err(Status::STOP_SENDING) } else { Ok(()) }
}

/// The octets as a slice of what was received, or a copy where the octets are the parser's own.
pub fn slice_of(bytes: &Bytes, piece: &[u8]) -> Bytes {
    let range = bytes.as_ptr_range();
    if range.contains(&piece.as_ptr()) { bytes.slice_ref(piece) } else { Bytes::copy_from_slice(piece) }
}
