//! Bytes to messages, from datagrams and from streams.

use bytes::{Buf, Bytes, BytesMut};
use sipx_sip::error::{FramingError, HeaderSyntaxError, LimitKind, ParseError};
use sipx_sip::{Limits, Message};

use super::MalformedRequest;
use crate::limits::{SIP_HEADER_BYTES_MAX, SIP_HEADERS_MAX, SIP_MESSAGE_BYTES_MAX};

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

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
/// Where the datagram is no SIP message. [`MalformedRequest::recover`] says whether it can be answered all the same.
pub fn parse_datagram(datagram: &[u8]) -> Result<Option<Message>, ParseError> {
    let blank = |b: &u8| matches!(b, b'\r' | b'\n' | b'\0');
    let Some(start) = datagram.iter().position(|b| !blank(b)) else { return Ok(None) };
    sipx_sip::parse_datagram(Bytes::copy_from_slice(&datagram[start..]), &limits()).map(Some)
}

/// What a stream has brought.
#[derive(Debug)]
pub enum Framed {
    /// A message.
    Message(Box<Message>),
    /// A request that cannot be read. It has to be answered all the same.
    Malformed(Box<MalformedRequest>),
}

impl Framed {
    /// The message, if it is one.
    #[must_use]
    pub fn message(self) -> Option<Message> {
        match self {
            Self::Message(message) => Some(*message),
            Self::Malformed(_) => None,
        }
    }
}

/// Cuts a byte stream into messages by Content-Length (RFC 3261 §18.3).
///
/// Where one message ends and the next begins is clear as long as the heads have their Content-Length, whatever else is wrong with
/// them. Without it nothing that follows can be told from a body, and the stream is lost.
#[derive(Debug, Default)]
pub struct Framer {
    waiting: BytesMut,
    /// Octets of `waiting` in which no head ends.
    scanned: usize,
    /// Octets of the message whose head is there.
    whole: Option<usize>,
    blank_lines: usize,
    error: Option<ParseError>,
}

impl Framer {
    /// Takes what has arrived and gives what is complete with it, in order. A lost stream gives nothing any more.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Framed> {
        let mut found = Vec::new();
        if self.error.is_some() {
            return found;
        }
        self.waiting.extend_from_slice(bytes);
        loop {
            match self.next_message() {
                Ok(Some(octets)) => found.extend(read(&octets)),
                Ok(None) => break,
                Err(why) => {
                    found.extend(
                        MalformedRequest::recover(&self.waiting, why.clone())
                            .map(|broken| Framed::Malformed(Box::new(broken))),
                    );
                    self.waiting.clear();
                    self.error = Some(why);
                    break;
                }
            }
        }
        if self.waiting.is_empty() {
            // A connection that rests owns no buffer.
            self.waiting = BytesMut::new();
        }
        found
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
        !self.waiting.is_empty()
    }

    /// Why nothing can be made of the stream any more: the connection is to be closed.
    #[must_use]
    pub fn error(&self) -> Option<&ParseError> {
        self.error.as_ref()
    }

    /// Cuts the next message off, if it is complete.
    fn next_message(&mut self) -> Result<Option<Bytes>, ParseError> {
        let whole = match self.whole {
            Some(whole) => whole,
            None => match self.measure()? {
                Some(whole) => *self.whole.insert(whole),
                None => return Ok(None),
            },
        };
        if self.waiting.len() < whole {
            return Ok(None);
        }
        (self.whole, self.scanned) = (None, 0);
        Ok(Some(self.waiting.split_to(whole).freeze()))
    }

    /// The octets of the message that begins here, as soon as its head says so.
    fn measure(&mut self) -> Result<Option<usize>, ParseError> {
        // RFC 3261 §7.5.
        while self.waiting.starts_with(b"\r\n") {
            self.waiting.advance(2);
            self.scanned = self.scanned.saturating_sub(2);
            self.blank_lines += 1;
        }
        let Some(end) = memchr::memmem::find(&self.waiting[self.scanned..], END_OF_HEAD) else {
            within(self.waiting.len(), LimitKind::MessageBytes)?;
            self.scanned = self.waiting.len().saturating_sub(END_OF_HEAD.len() - 1);
            return Ok(None);
        };
        let end = self.scanned + end;
        let body = content_length(&self.waiting[..end])?;
        Ok(Some(end + END_OF_HEAD.len() + body))
    }
}

fn read(octets: &Bytes) -> Option<Framed> {
    match sipx_sip::parse_datagram(octets.clone(), &limits()) {
        Ok(message) => Some(Framed::Message(Box::new(message))),
        Err(why) => MalformedRequest::recover(octets, why).map(|broken| Framed::Malformed(Box::new(broken))),
    }
}

fn within(value: usize, limit: LimitKind) -> Result<usize, ParseError> {
    if value > SIP_MESSAGE_BYTES_MAX { Err(ParseError::Limit { limit, value }) } else { Ok(value) }
}

/// The one Content-Length of a head. Where two readers could find different ones there is none: a body must not be taken for the
/// next request.
fn content_length(head: &[u8]) -> Result<usize, ParseError> {
    if let Some(line) = stray_line_end(head) {
        return Err(ParseError::HeaderSyntax { line, kind: HeaderSyntaxError::BareNewline });
    }
    let mut found = None;
    for row in rows(head).skip(1) {
        let Some(colon) = memchr::memchr(b':', row) else { continue };
        let name = row[..colon].trim_ascii_end();
        let is_length = name.eq_ignore_ascii_case(b"Content-Length") || name.eq_ignore_ascii_case(b"l");
        if is_length && found.replace(number(row[colon + 1..].trim_ascii())?).is_some() {
            return Err(FramingError::ContentLengthRepeated.into());
        }
    }
    within(found.ok_or(FramingError::ContentLengthRequired)?, LimitKind::BodyBytes)
}

/// The line in which a CR or an LF stands alone.
fn stray_line_end(head: &[u8]) -> Option<usize> {
    let mut line = 1;
    let mut ends = memchr::memchr2_iter(b'\r', b'\n', head);
    while let Some(at) = ends.next() {
        if !(head[at..].starts_with(b"\r\n") && ends.next() == Some(at + 1)) {
            return Some(line);
        }
        line += 1;
    }
    None
}

/// The rows of a head with the lines that continue them (RFC 3261 §7.3.1).
fn rows(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(head);
    std::iter::from_fn(move || {
        let here = rest?;
        let is_end = |&at: &usize| !matches!(here.get(at + 2), Some(b' ' | b'\t'));
        let end = memchr::memmem::find_iter(here, b"\r\n").find(is_end);
        rest = end.map(|end| &here[end + 2..]);
        Some(&here[..end.unwrap_or(here.len())])
    })
}

fn number(digits: &[u8]) -> Result<usize, ParseError> {
    let malformed = || ParseError::from(FramingError::ContentLengthMalformed);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(malformed());
    }
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or_else(malformed)
}
