//! The head of a chunk: start line and header fields, borrowed from what was received.

use super::{ByteRange, ParseError, Status};
use crate::limits::{Limits, TRANSACTION_ID_BYTES_MAX, TRANSACTION_ID_BYTES_MIN, compact};

/// The limits of a head, as the parser of a connection keeps them.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    start_line_bytes: u32,
    head_bytes: u32,
    headers: u32,
    message_id_bytes: u32,
}

/// Start line and headers of one chunk. A header field that is missing is `None` or empty. If a value is malformed,
/// [`Head::malformed`] names its header.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Head<'a> {
    /// The transaction id.
    pub tid: &'a [u8],
    /// Method or status.
    pub start: Start<'a>,
    /// To-Path as received; empty if it is missing. See [`Path`](super::Path).
    pub to_path: &'a [u8],
    /// From-Path as received; empty if it is missing.
    pub from_path: &'a [u8],
    /// Message-ID, if there is a valid one.
    pub message_id: Option<&'a [u8]>,
    /// Byte-Range, if there is a valid one; without one [`ByteRange::DEFAULT`] applies.
    pub byte_range: Option<ByteRange>,
    /// Whether Success-Report is `yes`.
    pub success_report: bool,
    /// Failure-Report; `yes` if the header is missing (RFC 4975 §7.1).
    pub failure_report: FailureReport,
    /// Whether there is a Success-Report or Failure-Report header; a NICKNAME must have neither (RFC 7701 §7.1).
    pub has_report_headers: bool,
    /// Content-Type as received.
    pub content_type: Option<&'a [u8]>,
    /// Whether other headers begin with `Content-` and describe the body (RFC 4975 §9).
    pub has_content_headers: bool,
    /// Status of a REPORT, if there is a valid one.
    pub status: Option<Status>,
    /// Use-Nickname as received, quotes included (RFC 7701 §7.1).
    pub use_nickname: Option<&'a [u8]>,
    /// The first header with a malformed value, or that is there twice so that two readers could read two values: the request gets a
    /// 400. `None` if all are well formed.
    pub malformed: Option<&'static str>,
    /// Every header line, those above included.
    fields: &'a [u8],
}

/// The start line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start<'a> {
    /// A request.
    Request(Method<'a>),
    /// A response, and its comment if it has one.
    Response(Status, Option<&'a [u8]>),
}

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method<'a> {
    /// SEND.
    Send,
    /// REPORT.
    Report,
    /// NICKNAME (RFC 7701 §7.1).
    Nickname,
    /// Another method, such as AUTH (RFC 4976): 501 if it is not supported.
    Other(&'a [u8]),
}

/// The value of Failure-Report: which outcomes the sender wants to be told (RFC 4975 §7.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailureReport {
    /// `yes`: a response to every request, and reports of failures.
    #[default]
    Yes,
    /// `no`: neither responses nor reports.
    No,
    /// `partial`: responses and reports of errors only.
    Partial,
}

impl HeadLimits {
    pub fn of(limits: &Limits) -> Self {
        Self {
            start_line_bytes: compact(limits.msrp_start_line_bytes_max),
            head_bytes: compact(limits.msrp_head_bytes_max),
            headers: compact(limits.msrp_headers_max),
            message_id_bytes: compact(limits.message_id_bytes_max),
        }
    }

    pub fn start_line_bytes(self) -> usize {
        self.start_line_bytes as usize
    }

    pub fn head_bytes(self) -> usize {
        self.head_bytes as usize
    }
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self::of(&Limits::DEFAULT)
    }
}

impl<'a> Start<'a> {
    /// Parses a start line without its line end. Returns the transaction id, and what the line says.
    ///
    /// # Errors
    /// Returns [`ParseError::StartLine`] if the line is neither a request nor a response, and [`ParseError::TransactionId`] if its
    /// transaction id is invalid.
    pub fn parse(line: &'a [u8]) -> Result<(&'a [u8], Self), ParseError> {
        let rest = line.strip_prefix(b"MSRP ").ok_or(ParseError::StartLine)?;
        let (tid, rest) = split_at_space(rest);
        if !is_transaction_id(tid) {
            return Err(ParseError::TransactionId);
        }
        let (word, comment) = split_at_space(rest.ok_or(ParseError::StartLine)?);
        if let Some(status) = Status::parse_code(word) {
            return Ok((tid, Self::Response(status, comment)));
        }
        let method = match word {
            b"SEND" => Method::Send,
            b"REPORT" => Method::Report,
            b"NICKNAME" => Method::Nickname,
            other => Method::Other(other),
        };
        // Methods are upper-case letters by the grammar; `FILE_OFFSET` is on the wire nevertheless.
        let legal = !word.is_empty() && word.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !legal || comment.is_some() {
            return Err(ParseError::StartLine);
        }
        Ok((tid, Self::Request(method)))
    }
}

fn split_at_space(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b' ', text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// Whether an id matches `ident` of RFC 4975 §9.
#[must_use]
pub fn is_transaction_id(tid: &[u8]) -> bool {
    (TRANSACTION_ID_BYTES_MIN..=TRANSACTION_ID_BYTES_MAX).contains(&tid.len())
        && tid.first().is_some_and(u8::is_ascii_alphanumeric)
        && tid.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'%' | b'='))
}

impl<'a> Head<'a> {
    /// Parses a complete head: start line and header lines, without the empty line or the end-line after them.
    ///
    /// # Errors
    /// Returns an error if the head cannot be framed: see [`ParseError`].
    pub fn parse(text: &'a [u8]) -> Result<Self, ParseError> {
        Self::parse_with(text, &Limits::DEFAULT)
    }

    /// [`Self::parse`] with other limits: `msrp_headers_max` and `message_id_bytes_max` of `limits`.
    ///
    /// # Errors
    /// Returns an error as [`Self::parse`] does.
    pub fn parse_with(text: &'a [u8], limits: &Limits) -> Result<Self, ParseError> {
        Self::read(text, HeadLimits::of(limits))
    }

    pub(super) fn read(text: &'a [u8], limits: HeadLimits) -> Result<Self, ParseError> {
        let (line, fields) = next_line(text).ok_or(ParseError::StartLine)?;
        let (tid, start) = Start::parse(line)?;
        let mut head = Head {
            tid,
            start,
            to_path: b"",
            from_path: b"",
            message_id: None,
            byte_range: None,
            success_report: false,
            failure_report: FailureReport::Yes,
            has_report_headers: false,
            content_type: None,
            has_content_headers: false,
            status: None,
            use_nickname: None,
            malformed: None,
            fields,
        };
        let mut rest = fields;
        let mut count = 0u32;
        while let Some((line, after)) = next_line(rest) {
            count += 1;
            if count > limits.headers {
                return Err(ParseError::TooManyHeaders);
            }
            let (name, value) = split_field(line).ok_or(ParseError::HeaderLine)?;
            head.take(name, value, limits);
            rest = after;
        }
        Ok(head)
    }

    /// All header fields in order: name and value, without the white space around them.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.fields;
        std::iter::from_fn(move || {
            let (line, after) = next_line(rest)?;
            rest = after;
            split_field(line)
        })
    }

    /// The header fields that describe the body and may be forwarded with it: all that begin with `Content-` except for Content-Type
    /// and Content-Length. Name and value.
    pub fn content_fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.fields().filter(|(name, _)| {
            is_content(name)
                && !["Content-Type", "Content-Length"].iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
        })
    }

    /// The method of a request; `None` for a response.
    #[must_use]
    pub fn method(&self) -> Option<Method<'a>> {
        match self.start {
            Start::Request(method) => Some(method),
            Start::Response(..) => None,
        }
    }

    fn take(&mut self, name: &[u8], value: &'a [u8], limits: HeadLimits) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            7 if is("To-Path") => {
                self.note(!self.to_path.is_empty(), "To-Path");
                self.to_path = value;
            }
            9 if is("From-Path") => {
                self.note(!self.from_path.is_empty(), "From-Path");
                self.from_path = value;
            }
            10 if is("Message-ID") => self.take_message_id(value, limits),
            10 if is("Byte-Range") => {
                let again = self.byte_range.is_some();
                self.byte_range = ByteRange::parse(value);
                self.note(again || self.byte_range.is_none(), "Byte-Range");
            }
            12 if is("Content-Type") => {
                self.note(self.content_type.is_some() || !is_one_line(value), "Content-Type");
                self.content_type = Some(value);
            }
            14 if is("Success-Report") => self.take_success_report(value),
            14 if is("Failure-Report") => self.take_failure_report(value),
            6 if is("Status") => {
                self.status = Status::parse_header(value);
                self.note(self.status.is_none(), "Status");
            }
            12 if is("Use-Nickname") => {
                self.note(self.use_nickname.is_some(), "Use-Nickname");
                self.use_nickname = Some(value);
            }
            _ if is_content(name) => {
                self.has_content_headers = true;
                // They are forwarded as received.
                self.note(!name.iter().all(u8::is_ascii_graphic) || !is_one_line(value), "Content-…");
            }
            _ => {}
        }
    }

    fn take_message_id(&mut self, value: &'a [u8], limits: HeadLimits) {
        let legal = !value.is_empty()
            && value.len() <= limits.message_id_bytes as usize
            && value.iter().all(u8::is_ascii_graphic);
        self.note(!legal || self.message_id.is_some(), "Message-ID");
        self.message_id = legal.then_some(value);
    }

    fn take_success_report(&mut self, value: &[u8]) {
        self.has_report_headers = true;
        self.success_report = value.eq_ignore_ascii_case(b"yes");
        self.note(!self.success_report && !value.eq_ignore_ascii_case(b"no"), "Success-Report");
    }

    fn take_failure_report(&mut self, value: &[u8]) {
        self.has_report_headers = true;
        let is = |known: &[u8]| value.eq_ignore_ascii_case(known);
        match () {
            () if is(b"yes") => self.failure_report = FailureReport::Yes,
            () if is(b"no") => self.failure_report = FailureReport::No,
            () if is(b"partial") => self.failure_report = FailureReport::Partial,
            () => self.note(true, "Failure-Report"),
        }
    }

    fn note(&mut self, bad: bool, name: &'static str) {
        if bad && self.malformed.is_none() {
            self.malformed = Some(name);
        }
    }
}

/// The first line of `text` without its line end, and the rest. `None` at the end.
pub fn next_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    if text.is_empty() {
        return None;
    }
    let (line, rest) = match memchr::memchr(b'\n', text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &text[text.len()..]),
    };
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest))
}

fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    (!name.is_empty()).then(|| (name, line[colon + 1..].trim_ascii()))
}

fn is_content(name: &[u8]) -> bool {
    name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"Content-"))
}

/// Whether a value has no control character but tabs: another reader might take one for a line end.
fn is_one_line(value: &[u8]) -> bool {
    value.iter().all(|b| !b.is_ascii_control() || *b == b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_lines_are_distinguished() {
        assert_eq!(Start::parse(b"MSRP a786 SEND"), Ok((&b"a786"[..], Start::Request(Method::Send))));
        assert_eq!(Start::parse(b"MSRP a786 200 OK"), Ok((&b"a786"[..], Start::Response(Status::OK, Some(b"OK")))));
        assert_eq!(Start::parse(b"MSRP a786 200"), Ok((&b"a786"[..], Start::Response(Status::OK, None))));
        assert_eq!(
            Start::parse(b"MSRP a786 FILE_OFFSET"),
            Ok((&b"a786"[..], Start::Request(Method::Other(b"FILE_OFFSET"))))
        );
        for bad in
            [&b"MSRP"[..], b"MSRP a786", b"msrp a786 SEND", b"MSRP a786 ", b"MSRP a786 SEND now", b"GET / HTTP/1.1"]
        {
            assert_eq!(Start::parse(bad), Err(ParseError::StartLine), "{}", bad.escape_ascii());
        }
        for bad in
            ["MSRP abc SEND", "MSRP -abcd SEND", "MSRP ab_cd SEND", "MSRP 123456789012345678901234567890123 SEND"]
        {
            assert_eq!(Start::parse(bad.as_bytes()), Err(ParseError::TransactionId), "{bad}");
        }
    }

    #[test]
    fn header_names_are_case_insensitive() {
        let text = b"MSRP abcd SEND\r\nTO-PATH: a\r\nFrom-Path: b\r\nmessage-id: 7\r\nByte-Range:1-2/3\r\nSuccess-Report: yes\r\n\
            Failure-Report: partial\r\nX-Odd : \tvalue \r\nContent-type: message/cpim\r\n";
        let head = Head::parse(text).unwrap();
        assert_eq!((head.to_path, head.from_path), (&b"a"[..], &b"b"[..]));
        assert_eq!(head.message_id, Some(&b"7"[..]));
        assert_eq!(head.byte_range, ByteRange::parse(b"1-2/3"));
        assert_eq!((head.success_report, head.failure_report), (true, FailureReport::Partial));
        assert_eq!(head.content_type, Some(&b"message/cpim"[..]));
        assert_eq!(head.malformed, None);
        assert!(head.fields().any(|f| f == (b"X-Odd", b"value")));
    }

    #[test]
    fn a_malformed_value_is_named_and_the_rest_is_read() {
        let text = b"MSRP abcd SEND\r\nByte-Range: x\r\nFailure-Report: maybe\r\nTo-Path: a\r\n";
        let head = Head::parse(text).unwrap();
        assert_eq!(head.malformed, Some("Byte-Range"));
        assert_eq!(head.to_path, b"a");
    }

    #[test]
    fn a_repeated_header_is_malformed() {
        for (name, value) in [
            ("To-Path", "msrp://a:1/b;tcp"),
            ("From-Path", "msrp://a:1/b;tcp"),
            ("Message-ID", "1234"),
            ("Byte-Range", "1-2/2"),
            ("Content-Type", "message/cpim"),
            ("Use-Nickname", "\"A\""),
        ] {
            let once = format!("MSRP abcd SEND\r\n{name}: {value}\r\n");
            assert_eq!(Head::parse(once.as_bytes()).unwrap().malformed, None);
            let twice = format!("{once}{}: {value}\r\n", name.to_lowercase());
            assert_eq!(Head::parse(twice.as_bytes()).unwrap().malformed, Some(name));
        }
    }

    #[test]
    fn headers_of_the_body_are_distinguished() {
        let plain = Head::parse(b"MSRP abcd SEND\r\nContents: x\r\nContent-Type: message/cpim\r\n").unwrap();
        assert!(!plain.has_content_headers && plain.content_fields().next().is_none());
        let text = b"MSRP abcd SEND\r\ncontent-id: <a@b>\r\nX: y\r\nContent-length: 5\r\nContent-Odd:\tz\r\nContent-Type: a/b\r\n";
        let head = Head::parse(text).unwrap();
        assert!(head.has_content_headers && head.malformed.is_none());
        assert_eq!(
            head.content_fields().collect::<Vec<_>>(),
            [(&b"content-id"[..], &b"<a@b>"[..]), (b"Content-Odd", b"z")]
        );
        for bad in [&b"MSRP abcd SEND\r\nContent-ID: a\rb\r\n"[..], b"MSRP abcd SEND\r\nContent-Type: a/b;c=\x00\r\n"] {
            assert!(Head::parse(bad).unwrap().malformed.is_some());
        }
    }

    #[test]
    fn a_line_that_is_not_a_header_cannot_be_framed() {
        assert_eq!(Head::parse(b"MSRP abcd SEND\r\nnonsense\r\n").err(), Some(ParseError::HeaderLine));
        let many = [&b"MSRP abcd SEND\r\n"[..], &b"A: b\r\n".repeat(crate::limits::MSRP_HEADERS_MAX + 1)].concat();
        assert_eq!(Head::parse(&many).err(), Some(ParseError::TooManyHeaders));
    }
}
