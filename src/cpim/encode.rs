//! Writes the two header blocks.

use super::header::escape;

/// The header blocks of a message from one URI to another, up to and with the empty line that the content follows.
///
/// `datetime` is RFC 3339 text. What may not stand in a URI (spaces, control characters, angle brackets) is left out of
/// `from` and `to`, and control characters of the rest are escaped or left out, so that no argument can end its line.
#[must_use]
pub fn encode(from: &str, to: &str, datetime: Option<&str>, content_type: &str) -> Vec<u8> {
    let mut out = String::with_capacity(128 + from.len() + to.len() + content_type.len());
    for (name, uri) in [("From", from), ("To", to)] {
        out.extend([name, ": <"]);
        out.extend(uri.chars().filter(|c| !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>')));
        out.push_str(">\r\n");
    }
    if let Some(datetime) = datetime {
        out.extend(["DateTime: ", &escape(datetime), "\r\n"]);
    }
    out.push_str("\r\nContent-Type: ");
    out.extend(content_type.chars().filter(|c| !c.is_control()));
    out.push_str("\r\n\r\n");
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let blocks = encode("sip:a@b", "sip:room@b", Some("2026-01-02T03:04:05Z"), "text/plain;charset=utf-8");
        let wrapper = parse(&blocks).unwrap().unwrap();
        assert_eq!(wrapper.from(), Ok(&b"sip:a@b"[..]));
        assert_eq!(wrapper.to(), Ok(&b"sip:room@b"[..]));
        assert_eq!(wrapper.header("DateTime").unwrap().value, b"2026-01-02T03:04:05Z");
        assert_eq!(wrapper.content_type, Some(&b"text/plain;charset=utf-8"[..]));
        assert_eq!(wrapper.content_offset, blocks.len());
    }

    #[test]
    fn no_argument_can_add_a_header() {
        let evil = "sip:a@b>\r\nTo: <sip:c@d>\r\n\r\n";
        let blocks = encode(evil, evil, Some(evil), evil);
        let wrapper = parse(&blocks).unwrap().unwrap();
        assert_eq!(wrapper.headers().count(), 3);
        assert_eq!(wrapper.mime_headers().count(), 1);
        assert_eq!(wrapper.content_offset, blocks.len());
        assert!(encode("a", "b", None, "c/d").starts_with(b"From: <a>\r\nTo: <b>\r\n\r\n"));
    }
}
