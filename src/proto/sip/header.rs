//! Reading header fields that `sipx-sip` has no types for.

use std::borrow::Cow;
use std::time::Duration;

use sipx_sip::{Address, HeaderName, Headers};

/// The value of the first row of a header as text, unfolded; `None` if there is none, or if it is not UTF-8.
#[must_use]
pub fn text(headers: &Headers, name: &HeaderName) -> Option<String> {
    String::from_utf8(headers.value(name)?.into_owned()).ok()
}

/// The values of all rows of a header as text, unfolded. Rows that are not UTF-8 are skipped.
#[must_use]
pub fn text_rows(headers: &Headers, name: &HeaderName) -> Vec<String> {
    headers.get_all(name).filter_map(|row| String::from_utf8(row.value().into_owned()).ok()).collect()
}

/// The tokens of a list header such as Require, of all its rows.
#[must_use]
pub fn option_tags(headers: &Headers, name: &HeaderName) -> Vec<String> {
    let mut tags = Vec::new();
    for row in headers.get_all(name) {
        let value = row.value();
        let tokens = value.split(|&b| b == b',').map(|token| String::from_utf8_lossy(token).trim().to_owned());
        tags.extend(tokens.filter(|token| !token.is_empty()));
    }
    tags
}

/// The seconds of a header such as Expires or Session-Expires, without its parameters; `None` if it is missing or malformed.
#[must_use]
pub fn seconds(headers: &Headers, name: &HeaderName) -> Option<Duration> {
    let value = text(headers, name)?;
    let number = value.split(';').next().unwrap_or_default().trim();
    number.parse().ok().map(|seconds: u32| Duration::from_secs(seconds.into()))
}

/// The addresses of a header, of all its rows; `None` if one of them is malformed.
#[must_use]
pub fn addresses(headers: &Headers, name: &HeaderName) -> Option<Vec<Address>> {
    let mut all = Vec::new();
    for row in headers.get_all(name) {
        all.extend(Address::parse_list(&row.value(), "address").ok()?);
    }
    Some(all)
}

/// The tag of the From or To header; `None` if it has none. The header has to be well formed: see
/// [`check_request`](super::check_request).
#[must_use]
pub fn tag<'a>(headers: &'a Headers, name: &HeaderName) -> Option<Cow<'a, str>> {
    match headers.value(name)? {
        Cow::Borrowed(value) => tag_of(value).map(Cow::Borrowed),
        Cow::Owned(value) => tag_of(&value).map(|tag| Cow::Owned(tag.to_owned())),
    }
}

fn tag_of(address: &[u8]) -> Option<&str> {
    let tag = parameters(after_uri(address)).find(|(name, _)| name.eq_ignore_ascii_case(b"tag"))?.1;
    std::str::from_utf8(tag?).ok()
}

/// What follows the URI of an address. Without angle brackets parameters belong to the header and not to the URI (RFC 3261 §20.10).
fn after_uri(address: &[u8]) -> &[u8] {
    let at = match outside_quotes(address, |octet| matches!(octet, b'<' | b';')) {
        Some(open) if address[open] == b'<' => memchr::memchr(b'>', &address[open..]).map(|len| open + len + 1),
        at => at,
    };
    &address[at.unwrap_or(address.len())..]
}

/// A name and a value, without the white space around them.
pub type Parameter<'a> = (&'a [u8], Option<&'a [u8]>);

/// The parameters of a value, from its first semicolon on.
pub fn parameters(text: &[u8]) -> impl Iterator<Item = Parameter<'_>> {
    let mut left = semicolon(text).map(|at| &text[at + 1..]);
    std::iter::from_fn(move || {
        let text = left?;
        let end = semicolon(text);
        left = end.map(|end| &text[end + 1..]);
        let text = &text[..end.unwrap_or(text.len())];
        Some(match memchr::memchr(b'=', text) {
            Some(equals) => (text[..equals].trim_ascii(), Some(text[equals + 1..].trim_ascii())),
            None => (text.trim_ascii(), None),
        })
    })
}

/// The first semicolon outside of quotes.
pub fn semicolon(text: &[u8]) -> Option<usize> {
    let first = memchr::memchr2(b';', b'"', text)?;
    if text[first] == b';' { Some(first) } else { outside_quotes(text, |octet| octet == b';') }
}

fn outside_quotes(text: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.iter().position(|&octet| {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => return !quoted && wanted(octet),
        }
        false
    })
}

/// The display name of an address; `None` if it is missing, empty, not UTF-8, or has control characters.
#[must_use]
pub fn display_name(address: &Address) -> Option<String> {
    let name = String::from_utf8(address.display_name.clone()?).ok()?;
    let name = name.trim();
    (!name.is_empty() && !name.chars().any(char::is_control)).then(|| name.to_owned())
}

/// Whether the Accept header accepts a media type. Of the ranges that match, the most specific decides, and `q=0` refuses (RFC 3261 §20.1,
/// RFC 2616 §14.1). Without the header only `application/sdp` is accepted (RFC 3261 §20.1).
#[must_use]
pub fn accepts_media_type(headers: &Headers, media_type: &str) -> bool {
    if headers.count(&HeaderName::Accept) == 0 {
        return media_type.eq_ignore_ascii_case("application/sdp");
    }
    let kind = media_type.split('/').next().unwrap_or_default();
    let of_kind = |wanted: &str| wanted.strip_suffix("/*").is_some_and(|k| k.eq_ignore_ascii_case(kind));
    let specificity = |range: &str| match range {
        range if range.eq_ignore_ascii_case(media_type) => Some(2),
        range if of_kind(range) => Some(1),
        "*/*" => Some(0),
        _ => None,
    };
    let ranges = option_tags(headers, &HeaderName::Accept);
    let matching = ranges.iter().filter_map(|row| {
        let (range, parameters) = row.split_once(';').unwrap_or((row, ""));
        specificity(range.trim()).map(|specificity| (specificity, !is_refused(parameters)))
    });
    matching.max_by_key(|(specificity, _)| *specificity).is_some_and(|(_, wanted)| wanted)
}

/// Whether the parameters of a range have `q=0`.
fn is_refused(parameters: &str) -> bool {
    let q = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let mut q = q.filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    q.next().is_some_and(|(_, value)| value.trim().parse() == Ok(0.0))
}

/// A text as a quoted-string, with its quotes (RFC 3261 §25.1). Control characters become spaces.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Headers with these rows, for tests.
#[cfg(test)]
pub fn headers(rows: &[(HeaderName, &str)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in rows {
        headers.push(sipx_sip::Header::build(name.clone(), (*value).to_owned()).unwrap());
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_from_every_row() {
        let some = headers(&[(HeaderName::Require, "a, b"), (HeaderName::Require, "c,"), (HeaderName::Supported, "d")]);
        assert_eq!(option_tags(&some, &HeaderName::Require), ["a", "b", "c"]);
        let some =
            headers(&[(HeaderName::RecordRoute, "<sip:p1;lr>, <sip:p2;lr>"), (HeaderName::RecordRoute, "<sip:p3>")]);
        assert_eq!(addresses(&some, &HeaderName::RecordRoute).unwrap().len(), 3);
        let broken = headers(&[(HeaderName::Contact, "<sip:a@b")]);
        assert!(addresses(&broken, &HeaderName::Contact).is_none());
    }

    #[test]
    fn accept_decides_by_type_and_range() {
        let accept = |value: &str| accepts_media_type(&headers(&[(HeaderName::Accept, value)]), "application/sdp");
        assert!(accept("text/plain, application/SDP;level=1"));
        assert!(accept("application/*") && accept("*/*;q=0.1"));
        assert!(!accept("text/plain") && !accept(""));
        assert!(!accept("application/sdp;q=0") && !accept("*/*; q = 0.000"));
        assert!(
            accept("*/*;q=0, application/sdp;q=0.001") && !accept("application/sdp;level=1;Q=0, application/*, */*")
        );
        assert!(accepts_media_type(&Headers::new(), "application/sdp"));
        assert!(!accepts_media_type(&Headers::new(), "text/plain"));
    }

    #[test]
    fn a_quoted_string_cannot_be_ended() {
        assert_eq!(quoted("a\"b\\c\r\nd"), "\"a\\\"b\\\\c  d\"");
    }

    #[test]
    fn tags_and_names_are_unquoted() {
        let some = headers(&[(HeaderName::From, "\"Al \\\"x\\\"\" <sip:a@b;tag=no>;tag=yes")]);
        assert_eq!(tag(&some, &HeaderName::From).as_deref(), Some("yes"));
        let from = &addresses(&some, &HeaderName::From).unwrap()[0];
        assert_eq!(display_name(from).as_deref(), Some("Al \"x\""));
        assert_eq!(tag(&some, &HeaderName::To), None);
    }

    #[test]
    fn a_tag_is_found_where_the_sip_crate_finds_it() {
        for address in [
            "sip:a@b;tag=1",
            "<sip:a@b;tag=1>",
            "<sip:a@b;tag=1>;x ; TAG = 2",
            "\"A;tag=0 <sip:x;tag=9>\" <sip:a@b>;y=\";tag=8\";tag=3",
            "Bell <sip:a@b;x=\">\"",
            "sip:a@b.com;note=\"hi <there>;tag=5\";tag=6",
            "sip:a@b;tag",
            "<tel:+1-2>;tag=a.b-c!%*_+`'~",
            "<sip:a@b>",
        ] {
            let headers = headers(&[(HeaderName::To, address)]);
            let theirs = Address::parse(address.as_bytes(), "To").ok();
            let theirs = theirs.as_ref().and_then(|address| address.tag()).map(String::from_utf8_lossy);
            assert_eq!(tag(&headers, &HeaderName::To), theirs, "{address}");
        }
    }
}
