//! Finding the session description in a message, alone or in a multipart body.

use bytes::Bytes;
use sipx_sip::headers::ContentType;
use sipx_sip::{HeaderName, Headers};

use super::text;
use crate::limits::BODY_PARTS_MAX;

/// Why a body has no session description for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Another type: 415.
    #[error("the body is of a type that is not taken")]
    Unsupported,
    /// It is packed: 415.
    #[error("the body is in a coding that is not taken")]
    Coding,
    /// It is not what its header says: 400.
    #[error("the body is not what its header says")]
    Malformed,
}

/// The session description that a message carries; `None` where it has no body, or one that may be ignored (RFC 3261
/// §20.11). Of a multipart body it is the first part of that type: RCS clients put a recipient list beside it.
///
/// # Errors
/// Where there is a body, but no description in it.
pub fn session_description(headers: &Headers, body: &Bytes) -> Result<Option<Bytes>, BodyError> {
    if body.is_empty() {
        return Ok(None);
    }
    let found = describe(headers, body);
    let optional = text(headers, &HeaderName::ContentDisposition).is_some_and(|value| handling_is_optional(&value));
    match found {
        Err(_) if optional => Ok(None),
        found => found.map(Some),
    }
}

fn describe(headers: &Headers, body: &Bytes) -> Result<Bytes, BodyError> {
    let coding = text(headers, &HeaderName::ContentEncoding);
    if coding.is_some_and(|coding| !coding.trim().eq_ignore_ascii_case("identity")) {
        return Err(BodyError::Coding);
    }
    let content = headers.typed::<ContentType>().ok_or(BodyError::Unsupported)?.map_err(|_| BodyError::Malformed)?;
    if content.is("application", "sdp") {
        return Ok(body.clone());
    }
    if !content.media_type.eq_ignore_ascii_case(b"multipart") {
        return Err(BodyError::Unsupported);
    }
    let boundary = content.param("boundary").filter(|boundary| !boundary.is_empty()).ok_or(BodyError::Malformed)?;
    let parts = parts(body, boundary).ok_or(BodyError::Malformed)?;
    parts.into_iter().find_map(description_of_part).ok_or(BodyError::Unsupported)
}

fn handling_is_optional(disposition: &str) -> bool {
    disposition.split(';').any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("handling") && value.trim().eq_ignore_ascii_case("optional")
    })
}

/// Cuts a multipart body at its boundary lines (RFC 2046 §5.1.1); `None` where it has none, or too many.
fn parts(body: &Bytes, boundary: &[u8]) -> Option<Vec<Bytes>> {
    let delimiter = [b"--", boundary].concat();
    let mut marks = Vec::new();
    for at in memchr::memmem::find_iter(body, &delimiter) {
        if at == 0 || body[..at].ends_with(b"\n") {
            marks.push(at);
        }
        if marks.len() > BODY_PARTS_MAX + 1 {
            return None;
        }
    }
    let mut parts = Vec::new();
    for pair in marks.windows(2) {
        let inner = body.slice(pair[0] + delimiter.len()..pair[1]);
        let start = memchr::memchr(b'\n', &inner)? + 1;
        let end = inner.len() - if inner.ends_with(b"\r\n") { 2 } else { 1 };
        parts.push(inner.slice(start.min(end)..end));
    }
    (!parts.is_empty()).then_some(parts)
}

/// The content of a part whose Content-Type is application/sdp.
fn description_of_part(part: Bytes) -> Option<Bytes> {
    let (head_end, body_start) = match memchr::memmem::find(&part, b"\r\n\r\n") {
        Some(at) => (at, at + 4),
        None => memchr::memmem::find(&part, b"\n\n").map(|at| (at, at + 2))?,
    };
    let is_sdp = part[..head_end].split(|&b| b == b'\n').any(|line| {
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(':').unwrap_or_default();
        let media_type = value.split(';').next().unwrap_or_default().trim();
        let named =
            |long: &str, short: &str| name.trim().eq_ignore_ascii_case(long) || name.trim().eq_ignore_ascii_case(short);
        named("content-type", "c") && media_type.eq_ignore_ascii_case("application/sdp")
    });
    is_sdp.then(|| part.slice(body_start..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sipx_sip::Header;
    use std::slice;

    fn find(rows: &[(HeaderName, &str)], body: &str) -> Result<Option<String>, BodyError> {
        let mut headers = Headers::new();
        for (name, value) in rows {
            headers.push(Header::build(name.clone(), (*value).to_owned()).unwrap());
        }
        let found = session_description(&headers, &Bytes::copy_from_slice(body.as_bytes()))?;
        Ok(found.map(|sdp| String::from_utf8(sdp.to_vec()).unwrap()))
    }

    #[test]
    fn a_plain_body_is_itself() {
        let sdp = (HeaderName::ContentType, "Application/SDP;x=y");
        assert_eq!(find(slice::from_ref(&sdp), "v=0\r\n"), Ok(Some("v=0\r\n".into())));
        assert_eq!(find(&[], ""), Ok(None));
        assert_eq!(find(&[], "v=0"), Err(BodyError::Unsupported));
        assert_eq!(find(&[(HeaderName::ContentType, "text/plain")], "x"), Err(BodyError::Unsupported));
        assert_eq!(find(&[sdp, (HeaderName::ContentEncoding, "gzip")], "x"), Err(BodyError::Coding));
    }

    #[test]
    fn an_optional_body_is_let_be() {
        let rows = [(HeaderName::ContentType, "x/y"), (HeaderName::ContentDisposition, "render; handling=optional")];
        assert_eq!(find(&rows, "x"), Ok(None));
    }

    #[test]
    fn the_description_is_found_among_parts() {
        let mixed = (HeaderName::ContentType, "multipart/mixed;boundary=\"b 1\"");
        let body = "preamble\r\n--b 1\r\nContent-Type: application/resource-lists+xml\r\n\r\n<x/>\r\n--b 1\r\n\
                    content-type : application/sdp\r\n\r\nv=0\r\ns=-\r\n\r\n--b 1--\r\n";
        assert_eq!(find(slice::from_ref(&mixed), body), Ok(Some("v=0\r\ns=-\r\n".into())));
        let bare = "--b 1\nc: application/sdp\n\nv=0\n--b 1--\n";
        assert_eq!(find(slice::from_ref(&mixed), bare), Ok(Some("v=0".into())));
        assert_eq!(find(slice::from_ref(&mixed), "nothing"), Err(BodyError::Malformed));
        assert_eq!(find(slice::from_ref(&mixed), "--b 1\r\n\r\nv=0\r\n--b 1--"), Err(BodyError::Unsupported));
        assert_eq!(find(&[mixed], &"--b 1\r\n".repeat(40)), Err(BodyError::Malformed));
        assert_eq!(find(&[(HeaderName::ContentType, "multipart/mixed")], "--\r\n"), Err(BodyError::Malformed));
    }

    #[test]
    fn no_prefix_of_a_multipart_body_panics() {
        let mixed = (HeaderName::ContentType, "multipart/mixed;boundary=b");
        let body = "--b\r\nc:application/sdp\r\n\r\nv=0\r\n--b\n\n--b--";
        for end in 0..body.len() {
            let _ = find(slice::from_ref(&mixed), &body[..end]);
        }
    }
}
