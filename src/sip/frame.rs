//! Bytes to messages, from datagrams and from streams.

use bytes::Bytes;
use sipx_sip::error::ParseError;
use sipx_sip::{Limits, Message, StreamParser};

use crate::limits::{SIP_HEADER_BYTES_MAX, SIP_HEADERS_MAX, SIP_MESSAGE_BYTES_MAX};

fn limits() -> Limits {
    Limits {
        max_message_bytes: SIP_MESSAGE_BYTES_MAX,
        max_body_bytes: SIP_MESSAGE_BYTES_MAX,
        max_headers: SIP_HEADERS_MAX,
        max_header_bytes: SIP_HEADER_BYTES_MAX,
        ..Limits::datagram()
    }
}

/// Reads the message of a datagram; `None` where there is only a keep-alive (RFC 5626 §4.4.1 and what others make of it:
/// line ends, zero octets). What stands behind the body is dropped (RFC 3261 §18.3).
///
/// # Errors
/// Where the datagram is no SIP message. There is nothing to answer it with then.
pub fn parse_datagram(datagram: &[u8]) -> Result<Option<Message>, ParseError> {
    let blank = |b: &u8| matches!(b, b'\r' | b'\n' | b'\0');
    let Some(start) = datagram.iter().position(|b| !blank(b)) else { return Ok(None) };
    sipx_sip::parse_datagram(Bytes::copy_from_slice(&datagram[start..]), &limits()).map(Some)
}

/// Cuts a byte stream into messages by Content-Length (RFC 3261 §18.3).
#[derive(Debug)]
pub struct Framer {
    parser: StreamParser,
    blank_lines: usize,
    partial: bool,
}

impl Default for Framer {
    fn default() -> Self {
        Self { parser: StreamParser::new(limits()), blank_lines: 0, partial: false }
    }
}

impl Framer {
    /// Takes what has arrived and gives the messages that are complete with it, in order.
    ///
    /// # Errors
    /// The stream cannot be framed any more: the connection is to be closed. A second call fails again.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Message>, ParseError> {
        let messages = self.parser.push(bytes)?;
        self.blank_lines += self.parser.take_keepalives();
        // A head whose body has not begun leaves nothing in the parser's buffer.
        let between_messages = !self.partial || !messages.is_empty();
        let blank = bytes.iter().all(|b| matches!(b, b'\r' | b'\n'));
        self.partial = self.parser.pending() > 0 || !between_messages || (messages.is_empty() && !blank);
        Ok(messages)
    }

    /// How many keep-alive pings have arrived since the last call: each is answered with one line end (RFC 5626 §4.4.1).
    pub fn take_pings(&mut self) -> usize {
        let pings = self.blank_lines / 2;
        self.blank_lines %= 2;
        pings
    }

    /// Whether a part of a message waits for its rest.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.partial
    }
}
