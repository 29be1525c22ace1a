//! The charset of a description (RFC 8866 §6.10).

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

/// Decodes a description. The values of s= and i= are in the charset that `a=charset` names, all else is UTF-8 (§9). Invalid octets
/// become U+FFFD.
pub fn in_utf8(text: &[u8]) -> Cow<'_, str> {
    let charset = charset(text);
    match (charset, std::str::from_utf8(text)) {
        (None, Ok(text)) => Cow::Borrowed(text),
        _ => {
            let lines = text.split_inclusive(|&b| b == b'\n');
            lines.map(|line| line_in_utf8(line, charset.unwrap_or(UTF_8))).collect::<String>().into()
        }
    }
}

fn line_in_utf8<'a>(line: &'a [u8], charset: &'static Encoding) -> Cow<'a, str> {
    let is_text = line.starts_with(b"s=") || line.starts_with(b"i=");
    if !is_text {
        return String::from_utf8_lossy(line);
    }
    let end = line.trim_ascii_end().len();
    let (value, _) = charset.decode_without_bom_handling(&line[2..end.max(2)]);
    // Decoding must not yield another line.
    let value = value.replace(char::is_control, " ");
    format!("{}={value}\r\n", char::from(line[0])).into()
}

/// The charset of the session-level `a=charset`, if it is known and not UTF-8.
fn charset(text: &[u8]) -> Option<&'static Encoding> {
    let lines = text.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_end).take_while(|line| !line.starts_with(b"m="));
    let label = lines.filter_map(|line| line.strip_prefix(b"a=charset:")).next()?;
    Encoding::for_label(label.trim_ascii()).filter(|charset| *charset != UTF_8)
}
