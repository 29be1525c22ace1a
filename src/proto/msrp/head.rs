//! The head of a chunk: start line and header fields, borrowed from the bytes they stand in.

use super::{ByteRange, ParseError, Status};
use crate::limits::{MSRP_HEADERS_MAX, TRANSACTION_ID_BYTES_MAX, TRANSACTION_ID_BYTES_MIN};

/// Start line and headers of one chunk. Header fields that are missing are `None` or empty; one whose value breaks its
/// grammar is named by [`Head::malformed`], for the 400 that it earns.
#[derive(Debug, Clone)]
pub struct Head<'a> {
    /// The transaction id.
    pub tid: &'a [u8],
    /// What the start line says.
    pub start: Start<'a>,
    /// To-Path as it was written.
    pub to_path: &'a [u8],
    /// From-Path as it was written.
    pub from_path: &'a [u8],
    /// Message-ID.
    pub message_id: Option<&'a [u8]>,
    /// Byte-Range.
    pub byte_range: Option<ByteRange>,
    /// Success-Report: whether it is "yes".
    pub success_report: bool,
    /// Failure-Report; "yes" where the header is missing (RFC 4975 §7.1).
    pub failure_report: FailureReport,
    /// Whether a Success-Report or Failure-Report header was there at all; a NICKNAME must have neither (RFC 7701 §7.1).
    pub has_report_headers: bool,
    /// Content-Type.
    pub content_type: Option<&'a [u8]>,
    /// Whether there are other headers of the body, which begin with `Content-` too (RFC 4975 §9).
    pub has_content_headers: bool,
    /// Status of a REPORT.
    pub status: Option<Status>,
    /// Use-Nickname (RFC 7701 §7.1), quotes and all.
    pub use_nickname: Option<&'a [u8]>,
    /// The first header whose value breaks its grammar, or that is there twice, so that two readers might take it for two things.
    pub malformed: Option<&'static str>,
    /// Every header line, those above included, for whoever needs one that is not above.
    fields: &'a [u8],
}

/// The start line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start<'a> {
    /// A request.
    Request(Method<'a>),
    /// A response, with its comment where it has one.
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
    /// AUTH of RFC 4976, or something nobody defined: it is answered 501.
    Other(&'a [u8]),
}

/// The value of Failure-Report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailureReport {
    /// Every outcome is answered.
    #[default]
    Yes,
    /// Nothing is answered.
    No,
    /// Only errors are answered.
    Partial,
}

impl<'a> Start<'a> {
    /// Reads a start line without its line end: the transaction id and the rest.
    ///
    /// # Errors
    /// [`ParseError::StartLine`] and [`ParseError::TransactionId`].
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
        // Methods are upper-case letters by the grammar; `FILE_OFFSET` is on the wire all the same.
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

/// `ident` of RFC 4975 §9.
#[must_use]
pub fn is_transaction_id(tid: &[u8]) -> bool {
    (TRANSACTION_ID_BYTES_MIN..=TRANSACTION_ID_BYTES_MAX).contains(&tid.len())
        && tid.first().is_some_and(u8::is_ascii_alphanumeric)
        && tid.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'%' | b'='))
}

impl<'a> Head<'a> {
    /// Reads a whole head: start line and header lines, up to and without the empty line or the end-line.
    ///
    /// # Errors
    /// Where it cannot be framed; see [`ParseError`].
    pub fn parse(text: &'a [u8]) -> Result<Self, ParseError> {
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
        let mut count = 0;
        while let Some((line, after)) = next_line(rest) {
            count += 1;
            if count > MSRP_HEADERS_MAX {
                return Err(ParseError::TooManyHeaders);
            }
            let (name, value) = split_field(line).ok_or(ParseError::HeaderLine)?;
            head.take(name, value);
            rest = after;
        }
        Ok(head)
    }

    /// All header fields in order, name and value.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.fields;
        std::iter::from_fn(move || {
            let (line, after) = next_line(rest)?;
            rest = after;
            split_field(line)
        })
    }

    /// The headers of the body, name and value; without Content-Type, and without a Content-Length, which no chunk of ours needs to fit.
    pub fn content_fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.fields().filter(|(name, _)| {
            is_content(name)
                && !["Content-Type", "Content-Length"].iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
        })
    }

    /// The method, where it is a request.
    #[must_use]
    pub fn method(&self) -> Option<Method<'a>> {
        match self.start {
            Start::Request(method) => Some(method),
            Start::Response(..) => None,
        }
    }

    fn take(&mut self, name: &[u8], value: &'a [u8]) {
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
            10 if is("Message-ID") => self.take_message_id(value),
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
                // They go out as they came in.
                self.note(!name.iter().all(u8::is_ascii_graphic) || !is_one_line(value), "Content-…");
            }
            _ => {}
        }
    }

    fn take_message_id(&mut self, value: &'a [u8]) {
        let legal = !value.is_empty()
            && value.len() <= crate::limits::MESSAGE_ID_BYTES_MAX
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

/// The line that `text` begins with, without its line end, and what follows. `None` at the end.
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

/// Without control characters that somebody might take for a line end; a tab is none.
fn is_one_line(value: &[u8]) -> bool {
    value.iter().all(|b| !b.is_ascii_control() || *b == b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_lines_are_told_apart() {
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
    fn headers_are_read_whatever_their_case() {
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
    fn a_bad_value_is_named_and_the_rest_is_read() {
        let text = b"MSRP abcd SEND\r\nByte-Range: x\r\nFailure-Report: maybe\r\nTo-Path: a\r\n";
        let head = Head::parse(text).unwrap();
        assert_eq!(head.malformed, Some("Byte-Range"));
        assert_eq!(head.to_path, b"a");
    }

    #[test]
    fn a_header_that_is_there_twice_is_malformed() {
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
    fn headers_of_the_body_are_told_apart() {
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
    fn a_line_that_is_no_header_cannot_be_framed() {
        assert_eq!(Head::parse(b"MSRP abcd SEND\r\nnonsense\r\n").err(), Some(ParseError::HeaderLine));
        let many = [&b"MSRP abcd SEND\r\n"[..], &b"A: b\r\n".repeat(MSRP_HEADERS_MAX + 1)].concat();
        assert_eq!(Head::parse(&many).err(), Some(ParseError::TooManyHeaders));
    }
}
