//! Headers of a SEND that describe its body, beside `Content-Type: message/cpim`: the copies have them too (RFC 4975 §7.1, §9).

use crate::limits::MSRP_CONTENT_HEADERS_BYTES_MAX;
use parlor_proto::msrp::Head;

/// The headers of a body, Content-Type the last of them, each with its line end.
pub type ContentLines = Option<Box<[u8]>>;

/// The headers that describe a body are longer than goes out with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuch;

/// The lines that go out with a wrapped message in place of the usual `Content-Type: message/cpim`. `None`, as for nearly every
/// message: those will do.
pub fn lines_of(head: &Head<'_>) -> Result<ContentLines, TooMuch> {
    let kind = head.content_type.unwrap_or_default();
    if !head.has_content_headers && !kind.contains(&b';') {
        return Ok(None);
    }
    let last = (&b"Content-Type"[..], kind);
    let lines = || head.content_fields().chain([last]);
    let len: usize = lines().map(|(name, value)| name.len() + value.len() + 4).sum();
    if len > MSRP_CONTENT_HEADERS_BYTES_MAX {
        return Err(TooMuch);
    }
    let mut out = Vec::with_capacity(len);
    for (name, value) in lines() {
        for part in [name, b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    Ok(Some(out.into()))
}
