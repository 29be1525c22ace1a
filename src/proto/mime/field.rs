//! Header fields, and the lines that they consist of (RFC 5322 §2.2).

use std::borrow::Cow;

use memchr::memchr;

use super::MimeError;

/// One header field, borrowed from its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name; compare it without regard to case.
    pub name: &'a [u8],
    /// What follows the colon as received, line ends of folds included, without the white space around it.
    pub body: &'a [u8],
}

impl<'a> Field<'a> {
    /// Parses one field with all its lines, without the last line end. White space before the colon is accepted (RFC 5322 §4.5).
    ///
    /// # Errors
    /// Returns [`MimeError::Line`] if there is no colon, or if the name is empty or has an octet that is not printable ASCII.
    pub fn parse(lines: &'a [u8]) -> Result<Self, MimeError> {
        let colon = memchr(b':', lines).ok_or(MimeError::Line)?;
        let name = lines[..colon].trim_ascii_end();
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return Err(MimeError::Line);
        }
        Ok(Self { name, body: lines[colon + 1..].trim_ascii() })
    }
}

/// The fields of a block in order, up to its empty line or its end. Line ends are CRLF, or LF as sipsimple writes them. A line that is
/// not a header is a [`MimeError::Line`].
pub fn fields(block: &[u8]) -> impl Iterator<Item = Result<Field<'_>, MimeError>> {
    let mut rest = block;
    std::iter::from_fn(move || {
        if is_empty_line(rest) {
            return None;
        }
        let end = field_end(rest);
        let lines = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(Field::parse(lines))
    })
}

/// Where a field ends: at the first line end that is not followed by white space.
fn field_end(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(len) = memchr(b'\n', &text[at..]) {
        at += len;
        if !matches!(text.get(at + 1), Some(b' ' | b'\t')) {
            return at;
        }
        at += 1;
    }
    text.len()
}

fn is_empty_line(text: &[u8]) -> bool {
    matches!(text, [] | [b'\n', ..] | [b'\r'] | [b'\r', b'\n', ..])
}

/// Splits a body part at the empty line after its headers. Returns the headers and the content. A part that begins with an empty line
/// has no headers (RFC 2046 §5.1), one without an empty line has no content.
#[must_use]
pub fn split_head(part: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while at < part.len() {
        let line_len = memchr(b'\n', &part[at..]).map_or(part.len() - at, |len| len + 1);
        if is_empty_line(&part[at..]) {
            return (&part[..at], &part[at + line_len..]);
        }
        at += line_len;
    }
    (part, &[])
}

/// The body of a field without the line ends of its folds (RFC 5322 §2.2.3). Borrows if there are none.
#[must_use]
pub fn unfold(body: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'\n', body).is_none() {
        return Cow::Borrowed(body);
    }
    let lines = body.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    Cow::Owned(lines.collect::<Vec<_>>().concat().trim_ascii().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(block: &str) -> Result<Vec<(String, String)>, MimeError> {
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        fields(block.as_bytes()).map(|field| field.map(|field| (text(field.name), text(&unfold(field.body))))).collect()
    }

    fn of(rows: &[(&str, &str)]) -> Result<Vec<(String, String)>, MimeError> {
        Ok(rows.iter().map(|(name, body)| ((*name).into(), (*body).into())).collect())
    }

    #[test]
    fn folded_lines_are_one_field() {
        for end in ["\r\n", "\n"] {
            let block = format!("A:{end} b{end}\tc;{end}  d{end}E : f{end} {end} g{end}{end}H: i");
            assert_eq!(read(&block), of(&[("A", "b\tc;  d"), ("E", "f  g")]), "{block:?}");
        }
        assert_eq!(read("A: b\r\n c"), of(&[("A", "b c")]));
        assert_eq!(read("A:\r\n"), of(&[("A", "")]));
        assert_eq!(read(""), of(&[]));
        assert_eq!(read("\r"), of(&[]));
    }

    #[test]
    fn a_line_that_is_not_a_field_is_an_error() {
        for block in ["hello", " A: b", "\tA: b\r\n", ": b", "A: b\r\nc", "A\u{1}: b", "A b: c", "Ä: b", "\r\r\n"] {
            assert_eq!(read(block), Err(MimeError::Line), "{block:?}");
        }
    }

    #[test]
    fn the_first_empty_line_ends_the_headers() {
        for (part, head, content) in [
            ("A: b\r\n\r\nx\r\n\r\ny", "A: b\r\n", "x\r\n\r\ny"),
            ("A: b\n\nx\r\n\r\ny", "A: b\n", "x\r\n\r\ny"),
            ("A: b\r\n c\n\r\nx\n\ny", "A: b\r\n c\n", "x\n\ny"),
            ("\r\nA: b\r\n\r\nx", "", "A: b\r\n\r\nx"),
            ("A: b\r\n", "A: b\r\n", ""),
            ("A: b", "A: b", ""),
            ("", "", ""),
        ] {
            assert_eq!(split_head(part.as_bytes()), (head.as_bytes(), content.as_bytes()), "{part:?}");
        }
    }
}
