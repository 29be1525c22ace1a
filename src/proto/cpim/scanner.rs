//! Finding the end of the header blocks while a message arrives.

use memchr::memchr;

use super::CpimError;
use crate::limits::{Limits, compact};

/// Finds where the two header blocks of a message end, piece by piece. Each octet is scanned once, however the message is cut.
///
/// ```
/// use parlor_proto::cpim::Scanner;
///
/// let mut scanner = Scanner::new();
/// assert_eq!(scanner.feed(b"From: <sip:a@b>\r\nTo: <sip:r@b>\r\n\r\nContent-Type: te")?, None);
/// assert_eq!(scanner.feed(b"xt/plain\r\n\r\nHello")?, Some(62));
/// # Ok::<(), parlor_proto::cpim::CpimError>(())
/// ```
///
/// `metadata_end <= content <= seen`, as far as they are known.
#[derive(Debug, Clone)]
pub struct Scanner {
    /// Octets scanned.
    seen: usize,
    /// The line that has not ended yet.
    line: Line,
    /// Whether the CPIM block has a Content-Type, which belongs to the MIME block: the examples of RFC 7701 §9 merge the two, and so
    /// do some clients. Then the content follows, unless the next line looks like a MIME header.
    merged: bool,
    /// Where the MIME headers begin, once the empty line before them was seen.
    metadata_end: Option<usize>,
    /// Where the content begins.
    content: Option<usize>,
    headers_bytes_max: u32,
}

/// The part of a line that was seen, without its line feed.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    len: usize,
    head: [u8; HEAD_LEN],
    /// Whether a space ended its name.
    name_ended: bool,
    is_header: bool,
}

/// Octets kept of a line, enough for the names below.
const HEAD_LEN: usize = 13;
const CONTENT_TYPE: &[u8; HEAD_LEN] = b"content-type:";
/// How MIME headers begin.
const MIME_NAMES: [&[u8; MIME_NAME_LEN]; 2] = [b"content-", b"mime-ver"];
const MIME_NAME_LEN: usize = 8;

impl Scanner {
    /// A scanner at the start of a message, with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(&Limits::DEFAULT)
    }

    /// [`Self::new`] with other limits: `cpim_headers_bytes_max` of `limits`.
    #[must_use]
    pub fn with_limits(limits: &Limits) -> Self {
        Self {
            seen: 0,
            line: Line::default(),
            merged: false,
            metadata_end: None,
            content: None,
            headers_bytes_max: compact(limits.cpim_headers_bytes_max),
        }
    }

    /// Scans the next piece of the message. Returns the offset of the content from the start of the message, in octets, once it is
    /// known, for this and every later piece. If MIME headers are missing the offset may be in an earlier piece.
    ///
    /// # Errors
    /// Returns [`CpimError::TooLong`] if the blocks do not end within `cpim_headers_bytes_max` octets.
    pub fn feed(&mut self, piece: &[u8]) -> Result<Option<usize>, CpimError> {
        let mut rest = piece;
        while self.content.is_none() {
            let end = memchr(b'\n', rest);
            self.take(&rest[..end.unwrap_or(rest.len())]);
            let Some(end) = end else { break };
            self.end_line();
            rest = &rest[end + 1..];
        }
        if self.content.unwrap_or(self.seen) > self.headers_bytes_max as usize {
            return Err(CpimError::TooLong);
        }
        Ok(self.content)
    }

    /// Ends the message. Returns the offset of its content in octets; the content may be empty. If the message has no MIME headers, or
    /// no empty line after them, the content is what follows the headers that are there.
    ///
    /// # Errors
    /// Returns [`CpimError::Unfinished`] if the message ends within its CPIM headers.
    pub fn finish(&self) -> Result<usize, CpimError> {
        self.metadata_end.ok_or(CpimError::Unfinished)?;
        let is_header = self.line.is_header || self.line.is_empty();
        Ok(self.content.unwrap_or(if is_header { self.seen } else { self.line_start() }))
    }

    /// Where the MIME headers begin, once that is known.
    pub(crate) fn metadata_end(&self) -> Option<usize> {
        self.metadata_end
    }

    fn line_start(&self) -> usize {
        self.seen - self.line.len
    }

    fn take(&mut self, part: &[u8]) {
        let known = self.line.len;
        for (slot, octet) in self.line.head.iter_mut().skip(known).zip(part) {
            *slot = *octet;
        }
        self.line.len += part.len();
        self.seen += part.len();
        if self.metadata_end.is_some() && !self.line.is_header && self.line.len > 0 {
            self.classify(part);
        }
    }

    /// Decides whether a line of the MIME block is a header, the continuation of one, or content.
    fn classify(&mut self, part: &[u8]) {
        let first_line = self.metadata_end == Some(self.line_start());
        if self.merged && first_line && !self.line.may_be_mime() {
            self.content = Some(self.line_start());
            return;
        }
        if matches!(self.line.head[0], b' ' | b'\t') {
            self.line.is_header = true;
            return;
        }
        if self.line.head[0] == b':' {
            self.content = Some(self.line_start());
            return;
        }
        // A name is printable octets (RFC 5322 §2.2); spaces are allowed before its colon (§4.5), and a CR may be the end of the line.
        for &octet in part {
            match octet {
                b':' => {
                    self.line.is_header = true;
                    return;
                }
                b' ' | b'\t' => self.line.name_ended = true,
                b'\r' => {}
                octet if octet.is_ascii_graphic() && !self.line.name_ended => {}
                _ => {
                    self.content = Some(self.line_start());
                    return;
                }
            }
        }
    }

    fn end_line(&mut self) {
        let (line, start) = (self.line, self.line_start());
        self.line = Line::default();
        self.seen += 1;
        let Some(metadata_end) = self.metadata_end else {
            self.merged |= line.is_content_type();
            self.metadata_end = line.is_empty().then_some(self.seen);
            return;
        };
        if self.content.is_some() {
            return;
        }
        if self.merged && start == metadata_end && line.is_empty() {
            self.content = Some(start);
        } else if line.is_empty() {
            self.content = Some(self.seen);
        } else if !line.is_header {
            self.content = Some(start);
        }
    }
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Line {
    /// Whether it has nothing but its line end, which is CRLF, or LF as sipsimple writes it.
    fn is_empty(&self) -> bool {
        self.len == 0 || (self.len == 1 && self.head[0] == b'\r')
    }

    fn is_content_type(&self) -> bool {
        self.len >= HEAD_LEN && self.head.eq_ignore_ascii_case(CONTENT_TYPE)
    }

    /// Whether it begins like a MIME header, as far as it has arrived.
    fn may_be_mime(&self) -> bool {
        let len = self.len.min(MIME_NAME_LEN);
        self.is_empty() || MIME_NAMES.iter().any(|name| self.head[..len].eq_ignore_ascii_case(&name[..len]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CPIM_HEADERS_BYTES_MAX;

    fn offset(message: &str) -> Result<Option<usize>, CpimError> {
        Scanner::new().feed(message.as_bytes())
    }

    #[test]
    fn the_content_follows_the_second_empty_line() {
        for blocks in [
            "From: <a:b>\r\n\r\nContent-Type: text/plain\r\n\r\n",
            "From: <a:b>\r\n\r\nContent-Type: text/plain\n\n",
            "From: <a:b>\n\nContent-Type: text/plain\n folded\n\n",
            "From: <a:b>\r\n\r\n\r\n",
            "\n\n",
        ] {
            assert_eq!(offset(&format!("{blocks}hello\n\nworld")), Ok(Some(blocks.len())), "{blocks:?}");
            assert_eq!(offset(blocks), Ok(Some(blocks.len())), "{blocks:?}");
            assert_eq!(offset(&blocks[..blocks.len() - 1]), Ok(None), "{blocks:?}");
        }
    }

    #[test]
    fn content_without_mime_headers_begins_at_its_first_line() {
        assert_eq!(offset("From: <a:b>\r\n\r\nhello\r\n"), Ok(Some(15)));
        assert_eq!(offset("From: <a:b>\r\n\r\nhello"), Ok(None));
        assert_eq!(offset("From: <a:b>\r\n\r\nhello w"), Ok(Some(15)));
        assert_eq!(offset("From: <a:b>\r\n\r\nhello \r\n"), Ok(Some(15)));
        assert_eq!(offset("From: <a:b>\r\n\r\n:-) "), Ok(Some(15)));
        assert_eq!(offset("From: <a:b>\r\n\r\nA\t : b\r\n\r\nx"), Ok(Some(25)));
        assert_eq!(offset("From: <a:b>\r\n\r\nA: b\r\nhello\r\n"), Ok(Some(21)));
    }

    #[test]
    fn a_content_type_in_the_cpim_block_belongs_to_the_content() {
        let blocks = "From: <a:b>\r\ncontent-type: text/plain\r\n\r\n";
        for content in ["12:30 lunch?", "hello\n\nworld", "\r\n\r\nhello", " x", "Contents: many\n\n"] {
            assert_eq!(offset(&format!("{blocks}{content}")), Ok(Some(blocks.len())), "{content:?}");
        }
        for mime in ["Content-Type: image/png\r\n\r\n", "MIME-Version: 1.0\nContent-Type: a/b\n\n"] {
            assert_eq!(offset(&format!("{blocks}{mime}x")), Ok(Some(blocks.len() + mime.len())), "{mime:?}");
        }
        assert_eq!(offset(&format!("{blocks}Content")), Ok(None));
    }

    #[test]
    fn a_message_may_end_before_its_content() {
        let finish = |message: &str| {
            let mut scanner = Scanner::new();
            scanner.feed(message.as_bytes()).unwrap();
            scanner.finish()
        };
        assert_eq!(finish("From: <a:b>\r\n\r\n"), Ok(15));
        assert_eq!(finish("From: <a:b>\r\n\r\nhello"), Ok(15));
        assert_eq!(finish("From: <a:b>\r\n\r\nA: b"), Ok(19));
        assert_eq!(finish("From: <a:b>\r\n\r\nA: b\r\n\r"), Ok(22));
        assert_eq!(finish("From: <a:b>\r\n\r"), Err(CpimError::Unfinished));
        assert_eq!(finish(""), Err(CpimError::Unfinished));
    }

    #[test]
    fn header_blocks_are_limited() {
        let mut scanner = Scanner::new();
        assert_eq!(scanner.feed(&vec![b'x'; CPIM_HEADERS_BYTES_MAX]), Ok(None));
        assert_eq!(scanner.feed(b"x"), Err(CpimError::TooLong));
        let longest = [&vec![b'x'; CPIM_HEADERS_BYTES_MAX - 3][..], b"\n\n\n"].concat();
        assert_eq!(Scanner::new().feed(&longest), Ok(Some(CPIM_HEADERS_BYTES_MAX)));
        assert_eq!(Scanner::new().feed(&[b"x", &longest[..]].concat()), Err(CpimError::TooLong));
        let short = Limits { cpim_headers_bytes_max: 6, ..Limits::DEFAULT };
        assert_eq!(Scanner::with_limits(&short).feed(b"A:\n\n\n\n"), Ok(Some(5)));
        assert_eq!(Scanner::with_limits(&short).feed(b"A:b\n\n\n"), Ok(Some(6)));
        assert_eq!(Scanner::with_limits(&short).feed(b"A:bc\n\n\n"), Err(CpimError::TooLong));
    }
}
