//! One CPIM header (RFC 3862 §3, §4).

use std::borrow::Cow;

/// One header of the CPIM block, borrowed from the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The whole name as received, with its namespace prefix. Compare it case-sensitively (RFC 3862 §2.2).
    pub name: &'a str,
    /// The name without its prefix, if it is from CPIM's own namespace by the NS headers before it (RFC 3862 §3.4).
    pub cpim_name: Option<&'a str>,
    /// Parameters such as `;lang=fr` as received (§3.3).
    parameters: &'a [u8],
    /// The value as received, without the spaces around it.
    pub value: &'a [u8],
}

/// The value of a From, To or cc header, or of an NS header, in which the name is the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAddress<'a> {
    /// The display name, without its quotes and escapes.
    pub name: Option<String>,
    /// The URI, without angle brackets.
    pub uri: &'a [u8],
}

impl<'a> Header<'a> {
    /// Parses one line without its line end, its namespace not yet resolved; `None` if it is not a header.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let colon = memchr::memchr(b':', line)?;
        let (name, rest) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().all(|&b| is_name_octet(b)) {
            return None;
        }
        let name = std::str::from_utf8(name).ok()?;
        let parameters = &rest[..parameters_len(rest)];
        Some(Self { name, cpim_name: None, parameters, value: rest[parameters.len()..].trim_ascii() })
    }

    /// The namespace prefix of the name, if it has one (RFC 3862 §3.4).
    #[must_use]
    pub fn prefix(&self) -> Option<&'a str> {
        self.name.split_once('.').map(|(prefix, _)| prefix)
    }

    /// The name without its prefix.
    #[must_use]
    pub fn local_name(&self) -> &'a str {
        self.name.split_once('.').map_or(self.name, |(_, local)| local)
    }

    /// The value of a parameter such as `lang`, without quotes and escapes (RFC 3862 §3.6).
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let found = split_outside_quotes(self.parameters, b';').find_map(|parameter| {
            let equals = memchr::memchr(b'=', parameter)?;
            (&parameter[..equals] == name.as_bytes()).then_some(&parameter[equals + 1..])
        })?;
        Some(unescape(unquoted(found).unwrap_or(found)))
    }

    /// The value as text with its escapes resolved (RFC 3862 §2.3). Octets that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        unescape(self.value)
    }

    /// The value as an address; `None` if it is not one.
    #[must_use]
    pub fn address(&self) -> Option<NameAddress<'a>> {
        let (name, uri) = split_address(self.value)?;
        let name = name.trim_ascii();
        let name = unescape(unquoted(name).unwrap_or(name));
        Some(NameAddress { name: (!name.is_empty()).then_some(name), uri })
    }

    /// The URI of the value, without angle brackets; `None` if the value is not an address. Costs no allocation.
    #[must_use]
    pub fn uri(&self) -> Option<&'a [u8]> {
        split_address(self.value).map(|(_, uri)| uri)
    }
}

/// Whether an octet is a NAMECHAR, or the dot after a prefix (§3.6).
pub fn is_name_octet(b: u8) -> bool {
    b.is_ascii_graphic()
        && !matches!(
            b,
            b'(' | b')' | b'<' | b'>' | b'@' | b',' | b';' | b':' | b'\\' | b'"' | b'/' | b'[' | b']' | b'?' | b'='
        )
        && !matches!(b, b'{' | b'}')
}

/// Octets of parameters after the colon: up to the first space that is not in quotes.
fn parameters_len(rest: &[u8]) -> usize {
    if rest.first() != Some(&b';') {
        return 0;
    }
    split_outside_quotes(rest, b' ').next().map_or(0, <[u8]>::len)
}

/// Splits display name and URI. Quotes count if the value begins with one (a `String`, §3.6); in other names a quote is an ordinary
/// character. Nothing may follow the `>`, or two receivers could read two addresses.
pub fn split_address(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let name_min = if value.first() == Some(&b'"') { 2 + quoted_len(&value[1..])? } else { 0 };
    let Some(open) = memchr::memchr(b'<', &value[name_min..]).map(|at| at + name_min) else {
        // msrp-java writes the bare URI.
        return (name_min == 0 && is_uri(value)).then_some((&value[..0], value));
    };
    let rest = &value[open + 1..];
    let close = memchr::memchr(b'>', rest)?;
    let (uri, after) = (rest[..close].trim_ascii(), &rest[close + 1..]);
    (after.trim_ascii().is_empty() && is_uri(uri)).then_some((&value[..open], uri))
}

fn is_uri(text: &[u8]) -> bool {
    !text.is_empty()
        && !text.iter().any(|b| b.is_ascii_whitespace() || b.is_ascii_control() || *b == b'<' || *b == b'>')
}

/// Octets up to the quote that ends a string; `None` if there is none.
fn quoted_len(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// The inside of a quoted string; `None` for anything else.
pub fn unquoted(text: &[u8]) -> Option<&[u8]> {
    let inside = text.strip_prefix(b"\"")?;
    (quoted_len(inside)? + 1 == inside.len()).then(|| &inside[..inside.len() - 1])
}

fn split_outside_quotes(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |&b| {
        let ends = b == separator && !quoted;
        (quoted, escaped) = match b {
            _ if escaped => (quoted, false),
            b'\\' => (quoted, true),
            b'"' => (!quoted, false),
            _ => (quoted, false),
        };
        ends
    })
}

/// Resolves the escapes of §2.3. An unknown escape is its second character, a backslash at the end is dropped (§2.3.1).
fn unescape(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    if !text.contains('\\') {
        return text.into_owned();
    }
    // Escapes are UCS-2, so a character beyond U+FFFF is two of them.
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some((before, after)) = rest.split_once('\\') {
        units.extend(before.encode_utf16());
        rest = unescape_one(after, &mut units);
    }
    units.extend(rest.encode_utf16());
    String::from_utf16_lossy(&units)
}

/// Resolves the escape whose backslash is before `after`. Returns the rest.
fn unescape_one<'a>(after: &'a str, units: &mut Vec<u16>) -> &'a str {
    let code = after.get(1..5).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let mut characters = after.chars();
    let resolved = match (characters.next(), code.and_then(|digits| u16::from_str_radix(digits, 16).ok())) {
        (None, _) => return "",
        (Some('u'), Some(unit)) => {
            units.push(unit);
            return &after[5..];
        }
        (Some('b'), _) => '\u{8}',
        (Some('t'), _) => '\t',
        (Some('n'), _) => '\n',
        (Some('r'), _) => '\r',
        (Some(other), _) => other,
    };
    units.extend(resolved.encode_utf16(&mut [0; 2]).iter());
    characters.as_str()
}

/// Escapes a text for use in a header: control characters and backslashes (§2.3.1).
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| c.is_ascii_control() || c == '\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if c.is_ascii_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(line: &str) -> Header<'_> {
        Header::parse(line.as_bytes()).unwrap_or_else(|| panic!("{line:?} is a header"))
    }

    fn address(value: &str) -> Option<(Option<String>, String)> {
        let line = format!("From: {value}");
        let found = header(&line).address()?;
        Some((found.name, String::from_utf8(found.uri.to_vec()).unwrap()))
    }

    #[test]
    fn a_header_has_a_name_parameters_and_a_value() {
        let plain = header("DateTime: 2001-02-02T10:48:54-05:00");
        assert_eq!((plain.name, plain.value), ("DateTime", &b"2001-02-02T10:48:54-05:00"[..]));
        assert_eq!(plain.prefix(), None);
        let french = header("Subject:;lang=fr;x=\"a b;c\\\"\" Objet de message");
        assert_eq!(french.parameter("lang").as_deref(), Some("fr"));
        assert_eq!(french.parameter("x").as_deref(), Some("a b;c\""));
        assert_eq!(french.parameter("y"), None);
        assert_eq!(french.text(), "Objet de message");
        let prefixed = header("MyFeatures.WackyMessageOption: Use-silly-font");
        assert_eq!((prefixed.prefix(), prefixed.local_name()), (Some("MyFeatures"), "WackyMessageOption"));
    }

    #[test]
    fn a_name_with_an_octet_that_no_name_has_makes_no_header() {
        for line in ["", "From", ": x", " From: <a:b>", "From : <a:b>", "Fr\tom: x", "Fröm: x", "<From>: x", "{a}: x"]
        {
            assert_eq!(Header::parse(line.as_bytes()), None, "{line:?}");
        }
    }

    #[test]
    fn addresses_come_with_and_without_names_and_brackets() {
        let named = |name: &str, uri: &str| Some((Some(name.to_owned()), uri.to_owned()));
        let bare = |uri: &str| Some((None, uri.to_owned()));
        assert_eq!(
            address("Winnie the Pooh <im:pooh@100akerwood.com>"),
            named("Winnie the Pooh", "im:pooh@100akerwood.com")
        );
        assert_eq!(address("<im:tigger@100akerwood.com>"), bare("im:tigger@100akerwood.com"));
        assert_eq!(address("sip:jane@127.0.0.1"), bare("sip:jane@127.0.0.1"));
        assert_eq!(address("\"a <b> \\\"c\\\" \\\\\" <sip:d>"), named("a <b> \"c\" \\", "sip:d"));
        assert_eq!(address("5\" disk <sip:d>"), named("5\" disk", "sip:d"));
        assert_eq!(address("Jörg<sip:d>"), named("Jörg", "sip:d"));
        assert_eq!(address("\"\" <sip:d>"), bare("sip:d"));
    }

    #[test]
    fn an_ambiguous_address_is_unreadable() {
        for value in [
            "",
            "<>",
            "<sip:a",
            "sip:a>",
            "<sip:a> <sip:b>",
            "<sip:a>x",
            "sip:a sip:b",
            "\"x <sip:a>",
            "\"x\\",
            "\"x\"",
            "<sip:a <sip:b>",
            "Bob \"<sip:b>\" <sip:a>",
        ] {
            assert_eq!(address(value), None, "{value:?}");
        }
    }

    #[test]
    fn escapes_are_resolved() {
        let text = |value: &str| header(&format!("Subject: {value}")).text();
        assert_eq!(text(r"a\tb\nc\rd\be\\f\'g\u0041"), "a\tb\nc\rd\u{8}e\\f'gA");
        assert_eq!(text(r"\ud83d\ude00"), "\u{1f600}");
        assert_eq!(text(r"\ud83d"), "\u{fffd}");
        assert_eq!(text(r"\u00zz\x"), "u00zzx");
        assert_eq!(text("\\uäöü"), "uäöü");
        assert_eq!(text("end\\"), "end");
    }

    #[test]
    fn escaped_text_reads_back() {
        let text = "back\\slash\ttab\r\nline\u{8}\u{0}\u{7f} ü";
        let escaped = escape(text);
        assert!(!escaped.chars().any(char::is_control));
        assert_eq!(unescape(escaped.as_bytes()), text);
        assert!(matches!(escape("plain"), Cow::Borrowed("plain")));
    }
}
