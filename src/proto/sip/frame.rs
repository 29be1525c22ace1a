//! Parsing messages of datagrams and of streams.

use bytes::{Buf, Bytes, BytesMut};
use sipx_sip::error::{FramingError, HeaderSyntaxError, LimitKind, ParseError};
use sipx_sip::{Limits as ParserLimits, Message};

use super::MalformedRequest;
use crate::limits::{Limits, compact};

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

fn parser_limits(limits: &Limits) -> ParserLimits {
    ParserLimits {
        max_message_bytes: limits.sip_message_bytes_max,
        max_body_bytes: limits.sip_message_bytes_max,
        max_headers: limits.sip_headers_max,
        max_header_bytes: limits.sip_header_bytes_max,
        ..ParserLimits::datagram()
    }
}

/// Parses the message of a datagram. Returns `None` for a keep-alive: line ends (RFC 5626 §4.4.1) or zero octets, as some clients send.
/// Octets after the body are dropped (RFC 3261 §18.3).
///
/// # Errors
/// Returns an error if the datagram is not a SIP message or beyond a limit. [`MalformedRequest::recover`] finds out whether it can be
/// answered.
pub fn parse_datagram(datagram: &[u8]) -> Result<Option<Message>, ParseError> {
    parse_datagram_with(datagram, &Limits::DEFAULT)
}

/// [`parse_datagram`] with other limits: the fields of `limits` that begin with `sip_`.
///
/// # Errors
/// Returns an error as [`parse_datagram`] does.
pub fn parse_datagram_with(datagram: &[u8], limits: &Limits) -> Result<Option<Message>, ParseError> {
    let blank = |b: &u8| matches!(b, b'\r' | b'\n' | b'\0');
    let Some(start) = datagram.iter().position(|b| !blank(b)) else { return Ok(None) };
    sipx_sip::parse_datagram(Bytes::copy_from_slice(&datagram[start..]), &parser_limits(limits)).map(Some)
}

/// One message of a stream.
#[derive(Debug)]
pub enum Framed {
    /// A message.
    Message(Box<Message>),
    /// A request that cannot be parsed. It is to be answered nevertheless.
    Malformed(Box<MalformedRequest>),
}

impl Framed {
    /// The message; `None` for a malformed request.
    #[must_use]
    pub fn message(self) -> Option<Message> {
        match self {
            Self::Message(message) => Some(*message),
            Self::Malformed(_) => None,
        }
    }
}

/// Splits a stream into messages by Content-Length (RFC 3261 §18.3).
///
/// A message can be framed if its head has one Content-Length, whatever else is wrong with it. Without one nobody can know where the next
/// message begins: [`Self::error`] returns the error, and the connection is to be closed.
///
/// ```
/// use parlor_proto::sip::Framer;
///
/// let mut framer = Framer::new();
/// let stream = b"SIP/2.0 100 Trying\r\nContent-Length: 0\r\n\r\nSIP/2.0 200 OK\r\nCont";
/// assert_eq!(framer.push(stream).len(), 1);
/// assert!(framer.is_partial());
/// assert_eq!(framer.push(b"ent-Length: 0\r\n\r\n").len(), 1);
/// assert!(framer.error().is_none());
/// ```
#[derive(Debug)]
pub struct Framer {
    waiting: BytesMut,
    /// Octets of `waiting` in which no head ends.
    scanned: usize,
    /// Octets of the message whose head is complete.
    whole: Option<usize>,
    blank_lines: usize,
    error: Option<ParseError>,
    limits: FramerLimits,
}

/// The limits of messages, as a framer keeps them.
#[derive(Debug, Clone, Copy)]
struct FramerLimits {
    message_bytes: u32,
    headers: u32,
    header_bytes: u32,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new()
    }
}

impl FramerLimits {
    fn get(self) -> Limits {
        Limits {
            sip_message_bytes_max: self.message_bytes as usize,
            sip_headers_max: self.headers as usize,
            sip_header_bytes_max: self.header_bytes as usize,
            ..Limits::DEFAULT
        }
    }
}

impl Framer {
    /// A framer for the start of a connection, with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(&Limits::DEFAULT)
    }

    /// [`Self::new`] with other limits: the fields of `limits` that begin with `sip_`.
    #[must_use]
    pub fn with_limits(limits: &Limits) -> Self {
        Self {
            waiting: BytesMut::new(),
            scanned: 0,
            whole: None,
            blank_lines: 0,
            error: None,
            limits: FramerLimits {
                message_bytes: compact(limits.sip_message_bytes_max),
                headers: compact(limits.sip_headers_max),
                header_bytes: compact(limits.sip_header_bytes_max),
            },
        }
    }

    /// Adds what was read, and returns the messages that are complete with it, in order. Returns nothing once there was an
    /// [`Self::error`].
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Framed> {
        let mut found = Vec::new();
        if self.error.is_some() {
            return found;
        }
        self.waiting.extend_from_slice(bytes);
        loop {
            match self.next_message() {
                Ok(Some(octets)) => found.extend(read(&octets, &self.limits.get())),
                Ok(None) => break,
                Err(error) => {
                    let malformed = MalformedRequest::recover_with(&self.waiting, error.clone(), &self.limits.get());
                    found.extend(malformed.map(|malformed| Framed::Malformed(Box::new(malformed))));
                    self.waiting.clear();
                    self.error = Some(error);
                    break;
                }
            }
        }
        if self.waiting.is_empty() {
            // An idle connection owns no buffer.
            self.waiting = BytesMut::new();
        }
        found
    }

    /// The number of keep-alive pings since the last call. Answer each with one CRLF (RFC 5626 §4.4.1).
    pub fn take_pings(&mut self) -> usize {
        let pings = self.blank_lines / 2;
        self.blank_lines %= 2;
        pings
    }

    /// Whether an incomplete message is buffered.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Why the stream cannot be framed any more; `None` while it can. Close the connection after an error.
    #[must_use]
    pub fn error(&self) -> Option<&ParseError> {
        self.error.as_ref()
    }

    /// Splits off the next message, if it is complete.
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

    /// The octets of the message that begins here, once its head is complete.
    fn measure(&mut self) -> Result<Option<usize>, ParseError> {
        // RFC 3261 §7.5.
        while self.waiting.starts_with(b"\r\n") {
            self.waiting.advance(2);
            self.scanned = self.scanned.saturating_sub(2);
            self.blank_lines += 1;
        }
        let Some(end) = memchr::memmem::find(&self.waiting[self.scanned..], END_OF_HEAD) else {
            self.within(self.waiting.len(), LimitKind::MessageBytes)?;
            self.scanned = self.waiting.len().saturating_sub(END_OF_HEAD.len() - 1);
            return Ok(None);
        };
        let end = self.scanned + end;
        let body = self.within(content_length(&self.waiting[..end])?, LimitKind::BodyBytes)?;
        Ok(Some(end + END_OF_HEAD.len() + body))
    }

    fn within(&self, value: usize, limit: LimitKind) -> Result<usize, ParseError> {
        if value > self.limits.message_bytes as usize { Err(ParseError::Limit { limit, value }) } else { Ok(value) }
    }
}

fn read(octets: &Bytes, limits: &Limits) -> Option<Framed> {
    match sipx_sip::parse_datagram(octets.clone(), &parser_limits(limits)) {
        Ok(message) => Some(Framed::Message(Box::new(message))),
        Err(error) => MalformedRequest::recover_with(octets, error, limits)
            .map(|malformed| Framed::Malformed(Box::new(malformed))),
    }
}

/// The one Content-Length of a head. It is an error if two readers could find different ones, or a body could be taken for the next
/// request.
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
    Ok(found.ok_or(FramingError::ContentLengthRequired)?)
}

/// The number of the first line with a lone CR or LF, from 1.
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

/// The header rows of a head, each with its continuation lines (RFC 3261 §7.3.1).
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
