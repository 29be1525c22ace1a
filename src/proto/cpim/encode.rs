//! Writing the two header blocks.

use super::header::escape;

/// The header blocks of a message.
///
/// Any text is safe in any field: characters that are not allowed in a URI (white space, control characters, angle brackets) are
/// dropped from `from` and `to`, and control characters of the other fields are escaped or dropped, so that no field can end its line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Envelope<'a> {
    /// The display name of the sender.
    pub from_name: Option<&'a str>,
    /// The URI of the sender.
    pub from: &'a str,
    /// The URI of the recipient: of the room, or of one participant.
    pub to: &'a str,
    /// When the message was sent, in the format of RFC 3339: see [`crate::datetime::rfc3339`].
    pub datetime: Option<&'a str>,
    /// The media type of the content, with its parameters.
    pub content_type: &'a str,
    /// The Content-Disposition of the content, with its parameters.
    pub disposition: Option<&'a str>,
}

impl Envelope<'_> {
    /// The header blocks as octets, with the empty line before the content.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = String::with_capacity(192);
        out.push_str("From: ");
        if let Some(name) = self.from_name {
            out.extend(["\"", &escape(name).replace('"', "\\\""), "\" "]);
        }
        out.extend(["<", &uri(self.from), ">\r\nTo: <", &uri(self.to), ">\r\n"]);
        if let Some(datetime) = self.datetime {
            out.extend(["DateTime: ", &escape(datetime), "\r\n"]);
        }
        out.extend(["\r\nContent-Type: ", &without_controls(self.content_type), "\r\n"]);
        if let Some(disposition) = self.disposition {
            out.extend(["Content-Disposition: ", &without_controls(disposition), "\r\n"]);
        }
        out.push_str("\r\n");
        out.into_bytes()
    }
}

/// The header blocks of a message from one URI to another; see [`Envelope`].
#[must_use]
pub fn encode(from: &str, to: &str, datetime: Option<&str>, content_type: &str) -> Vec<u8> {
    Envelope { from, to, datetime, content_type, ..Envelope::default() }.encode()
}

fn uri(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>')).collect()
}

fn without_controls(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{NameAddress, parse};
    use super::*;

    #[test]
    fn an_envelope_reads_back() {
        let blocks = encode("sip:a@b", "sip:room@b", Some("2026-01-02T03:04:05Z"), "text/plain;charset=utf-8");
        let wrapper = parse(&blocks).unwrap().unwrap();
        assert_eq!(wrapper.from(), Ok(&b"sip:a@b"[..]));
        assert_eq!(wrapper.to(), Ok(&b"sip:room@b"[..]));
        assert_eq!(wrapper.header("DateTime").unwrap().value, b"2026-01-02T03:04:05Z");
        assert_eq!(wrapper.content_type().as_deref(), Some(&b"text/plain;charset=utf-8"[..]));
        assert_eq!(wrapper.content_offset, blocks.len());
        assert!(encode("a", "b", None, "c/d").starts_with(b"From: <a>\r\nTo: <b>\r\n\r\n"));
    }

    #[test]
    fn names_keep_their_quotes_and_escapes() {
        for name in ["Al \"the\" <Great>", "back\\slash", "two\nlines", "你好"] {
            let envelope = Envelope { from_name: Some(name), from: "a:b", to: "c:d", ..Envelope::default() };
            let blocks = envelope.encode();
            let from = parse(&blocks).unwrap().unwrap().header("From").unwrap();
            assert_eq!(from.address(), Some(NameAddress { name: Some(name.into()), uri: b"a:b" }));
        }
    }

    #[test]
    fn no_field_can_add_a_header() {
        let evil = "sip:a@b>\r\nTo: <sip:c@d>\r\n\r\n";
        let all = Envelope {
            from_name: Some(evil),
            from: evil,
            to: evil,
            datetime: Some(evil),
            content_type: evil,
            disposition: Some(evil),
        };
        let blocks = all.encode();
        let wrapper = parse(&blocks).unwrap().unwrap();
        assert_eq!(wrapper.headers().count(), 3);
        assert_eq!(wrapper.mime_headers().count(), 2);
        assert_eq!(wrapper.content_offset, blocks.len());
    }
}
