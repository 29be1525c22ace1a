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
    let optional = body_is_optional(headers);
    match found {
        Err(_) if optional => Ok(None),
        found => found,
    }
}

/// Whether the body of a message may be ignored where it is not understood (RFC 3261 §20.11).
#[must_use]
pub fn body_is_optional(headers: &Headers) -> bool {
    text(headers, &HeaderName::ContentDisposition).is_some_and(|value| handling_is(&value, "optional"))
}

/// The list of others that an INVITE carries (RFC 5366 §3), as its body or as a part of it; `None` where it has none.
///
/// # Errors
/// Where a multipart body cannot be taken apart.
pub fn recipient_list(headers: &Headers, body: &Bytes) -> Result<Option<Bytes>, BodyError> {
    if body.is_empty() {
        return Ok(None);
    }
    if is_recipient_list(&text(headers, &HeaderName::ContentDisposition).unwrap_or_default()) {
        return Ok(Some(body.clone()));
    }
    match headers.typed::<ContentType>() {
        Some(Ok(content)) if content.media_type.eq_ignore_ascii_case(b"multipart") => {
            let parts = parts_of(&content, body)?;
            Ok(parts.into_iter().find(|part| is_recipient_list(&part.disposition)).map(|part| part.content))
        }
        _ => Ok(None),
    }
}

fn describe(headers: &Headers, body: &Bytes) -> Result<Option<Bytes>, BodyError> {
    if is_recipient_list(&text(headers, &HeaderName::ContentDisposition).unwrap_or_default()) {
        return Ok(None);
    }
    let coding = text(headers, &HeaderName::ContentEncoding);
    if coding.is_some_and(|coding| !coding.trim().eq_ignore_ascii_case("identity")) {
        return Err(BodyError::Coding);
    }
    let content = headers.typed::<ContentType>().ok_or(BodyError::Unsupported)?.map_err(|_| BodyError::Malformed)?;
    if content.is("application", "sdp") {
        return Ok(Some(body.clone()));
    }
    if !content.media_type.eq_ignore_ascii_case(b"multipart") {
        return Err(BodyError::Unsupported);
    }
    let parts = parts_of(&content, body)?;
    // RFC 3261 §8.2.3, by the letter where a part says so; what says nothing is let be, as clients bring all kinds of parts.
    if parts.iter().any(|part| !part.is_known() && handling_is(&part.disposition, "required")) {
        return Err(BodyError::Unsupported);
    }
    let listed = parts.iter().any(|part| is_recipient_list(&part.disposition));
    match parts.into_iter().find(|part| part.media_type == "application/sdp") {
        Some(part) => Ok(Some(part.content)),
        None if listed => Ok(None),
        None => Err(BodyError::Unsupported),
    }
}

fn parts_of(content: &ContentType, body: &Bytes) -> Result<Vec<Part>, BodyError> {
    let boundary = content.param("boundary").filter(|boundary| !boundary.is_empty()).ok_or(BodyError::Malformed)?;
    let parts = parts(body, boundary).ok_or(BodyError::Malformed)?;
    Ok(parts.into_iter().filter_map(Part::of).collect())
}

fn is_recipient_list(disposition: &str) -> bool {
    disposition.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("recipient-list")
}

fn handling_is(disposition: &str, wanted: &str) -> bool {
    disposition.split(';').any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("handling") && value.trim().eq_ignore_ascii_case(wanted)
    })
}

/// A description and a list of who else was invited, in one body with its type (RFC 5366 §5).
#[must_use]
pub fn parts_with_history(description: &str, history: &str) -> (String, String) {
    let taken = |boundary: &String| description.contains(boundary) || history.contains(boundary);
    let boundary = (0u32..).map(|n| format!("parlor-part-{n}")).find(|boundary| !taken(boundary)).unwrap_or_default();
    let body = format!(
        "--{boundary}\r\nContent-Type: application/sdp\r\n\r\n{description}\r\n--{boundary}\r\n\
         Content-Type: application/resource-lists+xml\r\n\
         Content-Disposition: recipient-list-history; handling=optional\r\n\r\n{history}\r\n--{boundary}--\r\n"
    );
    (format!("multipart/mixed;boundary={boundary}"), body)
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

/// One part: what its headers say of it, and what follows them.
struct Part {
    /// Without parameters, in lower case.
    media_type: String,
    disposition: String,
    content: Bytes,
}

impl Part {
    /// Whether we know what to do with it.
    fn is_known(&self) -> bool {
        self.media_type == "application/sdp" || is_recipient_list(&self.disposition)
    }

    fn of(part: Bytes) -> Option<Self> {
        let (head_end, body_start) = match memchr::memmem::find(&part, b"\r\n\r\n") {
            Some(at) => (at, at + 4),
            None => memchr::memmem::find(&part, b"\n\n").map(|at| (at, at + 2))?,
        };
        let (mut media_type, mut disposition) = (String::new(), String::new());
        for line in part[..head_end].split(|&b| b == b'\n') {
            let line = String::from_utf8_lossy(line);
            let (name, value) = line.split_once(':').unwrap_or_default();
            match name.trim().to_ascii_lowercase().as_str() {
                "content-type" | "c" => {
                    media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
                }
                "content-disposition" => disposition = value.trim().to_owned(),
                _ => {}
            }
        }
        Some(Self { media_type, disposition, content: part.slice(body_start..) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::headers;
    use std::slice;

    fn find(rows: &[(HeaderName, &str)], body: &str) -> Result<Option<String>, BodyError> {
        let found = session_description(&headers(rows), &Bytes::copy_from_slice(body.as_bytes()))?;
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
    fn a_part_that_has_to_be_understood_and_is_not_makes_the_body_unsupported() {
        let mixed = (HeaderName::ContentType, "multipart/mixed;boundary=b");
        for (disposition, found) in [
            ("", Ok(Some("v=0".to_owned()))),
            ("Content-Disposition: render;handling=optional\r\n", Ok(Some("v=0".to_owned()))),
            ("Content-Disposition: render; Handling = Required\r\n", Err(BodyError::Unsupported)),
            ("Content-Disposition: recipient-list;handling=required\r\n", Ok(Some("v=0".to_owned()))),
        ] {
            let body = format!(
                "--b\r\nContent-Type: application/sdp\r\nContent-Disposition: session;handling=required\r\n\r\nv=0\r\n\
                 --b\r\nContent-Type: x/y\r\n{disposition}\r\nz\r\n--b--"
            );
            assert_eq!(find(slice::from_ref(&mixed), &body), found, "{disposition}");
        }
    }

    #[test]
    fn a_list_is_found_beside_a_description_and_without_one() {
        let list = |rows: &[(HeaderName, &str)], body: &str| {
            let found = recipient_list(&headers(rows), &Bytes::copy_from_slice(body.as_bytes())).unwrap();
            found.map(|list| String::from_utf8(list.to_vec()).unwrap())
        };
        let mixed = (HeaderName::ContentType, "multipart/mixed;boundary=b");
        let part = "--b\r\nContent-Type: application/resource-lists+xml\r\nContent-Disposition: Recipient-List; handling=required\r\n\r\n<x/>\r\n";
        let with_sdp = format!("{part}--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--");
        let alone = format!("{part}--b--");
        assert_eq!(list(slice::from_ref(&mixed), &with_sdp).as_deref(), Some("<x/>"));
        assert_eq!(find(slice::from_ref(&mixed), &with_sdp), Ok(Some("v=0".into())));
        assert_eq!(list(slice::from_ref(&mixed), &alone).as_deref(), Some("<x/>"));
        assert_eq!(find(slice::from_ref(&mixed), &alone), Ok(None));
        let whole = [
            (HeaderName::ContentType, "application/resource-lists+xml"),
            (HeaderName::ContentDisposition, "recipient-list"),
        ];
        assert_eq!((list(&whole, "<x/>").as_deref(), find(&whole, "<x/>")), (Some("<x/>"), Ok(None)));
        assert_eq!(list(&[(HeaderName::ContentType, "application/sdp")], "v=0"), None);
    }

    #[test]
    fn what_is_put_together_comes_apart_again() {
        let (kind, body) = parts_with_history("v=0\r\ns=parlor-part-0\r\n", "<x/>");
        let found = find(&[(HeaderName::ContentType, &kind)], &body);
        assert_eq!(found, Ok(Some("v=0\r\ns=parlor-part-0\r\n".into())));
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
