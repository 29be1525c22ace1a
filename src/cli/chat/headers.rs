//! Texts for people in SIP headers.

use parlor_proto::sip::{HeaderName, Response, text};

/// The text of a Reason header (RFC 3326): `SIP;cause=200;text="Room closed"`.
pub fn reason_text(value: &str) -> Option<String> {
    let text = value.split(';').find_map(|parameter| parameter.trim().strip_prefix("text="))?;
    Some(text.trim_matches('"').to_owned())
}

/// The reason phrase of a response, and the text of its Warning header (RFC 3261 §20.43).
pub fn refusal_text(response: &Response) -> String {
    let phrase = String::from_utf8_lossy(&response.reason).into_owned();
    let warning = text(&response.headers, &HeaderName::Warning);
    match warning.as_deref().and_then(quoted_text).filter(|warning| !warning.is_empty()) {
        Some(warning) => format!("{phrase} ({warning})"),
        None => phrase,
    }
}

/// The first quoted string of a header value, unescaped.
fn quoted_text(value: &str) -> Option<String> {
    let mut quoted = value.split_once('"')?.1.chars();
    let mut text = String::new();
    loop {
        match quoted.next()? {
            '"' => return Some(text),
            '\\' => text.push(quoted.next()?),
            c => text.push(c),
        }
    }
}
