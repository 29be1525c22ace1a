//! Splitting a multipart body (RFC 2046 §5.1.1).

use memchr::{memchr, memmem};

use super::MimeError;
use crate::limits::Limits;

/// What a line that begins with the boundary means.
enum Mark {
    /// It begins the next part, whose octets start here.
    Delimiter(usize),
    /// It ends the last part.
    Close,
    /// Neither: the line has a longer boundary.
    Other,
}

/// The parts of a body between its boundary lines, each with its headers: see [`split_head`](super::split_head). What is before the
/// first and after the last part is ignored. `boundary` is the value of the parameter, without the two hyphens.
///
/// # Errors
/// Returns [`MimeError::Parts`] if there is no part or no line that ends the last one, and [`MimeError::TooManyParts`] if there are
/// more than [`BODY_PARTS_MAX`](crate::limits::BODY_PARTS_MAX).
pub fn parts<'a>(body: &'a [u8], boundary: &[u8]) -> Result<Vec<&'a [u8]>, MimeError> {
    parts_with(body, boundary, &Limits::DEFAULT)
}

/// [`parts`] with other limits: `body_parts_max` of `limits`.
///
/// # Errors
/// Returns an error as [`parts`] does.
pub fn parts_with<'a>(body: &'a [u8], boundary: &[u8], limits: &Limits) -> Result<Vec<&'a [u8]>, MimeError> {
    let delimiter = [b"--", boundary].concat();
    let (mut parts, mut open) = (Vec::new(), None);
    for at in memmem::find_iter(body, &delimiter).filter(|&at| at == 0 || body[at - 1] == b'\n') {
        let mark = mark(body, at + delimiter.len());
        if matches!(mark, Mark::Other) {
            continue;
        }
        if let Some(start) = open {
            parts.push(&body[start..line_end_before(body, at).max(start)]);
        }
        match mark {
            Mark::Delimiter(_) if parts.len() >= limits.body_parts_max => return Err(MimeError::TooManyParts),
            Mark::Delimiter(start) => open = Some(start),
            Mark::Close if !parts.is_empty() => return Ok(parts),
            _ => break,
        }
    }
    Err(MimeError::Parts)
}

/// Reads the rest of a boundary line: two hyphens or none, and white space.
fn mark(body: &[u8], at: usize) -> Mark {
    let rest = &body[at..];
    let (closes, rest) = rest.strip_prefix(b"--").map_or((false, rest), |rest| (true, rest));
    let end = memchr(b'\n', rest);
    let is_blank = rest[..end.unwrap_or(rest.len())].trim_ascii().is_empty();
    match (closes, end) {
        _ if !is_blank => Mark::Other,
        (true, _) => Mark::Close,
        (false, Some(_)) => Mark::Delimiter(body.len() - rest.len() + end.map_or(0, |end| end + 1)),
        (false, None) => Mark::Other,
    }
}

/// The line end before a boundary line belongs to the boundary.
fn line_end_before(body: &[u8], at: usize) -> usize {
    let before = &body[..at];
    let before = before.strip_suffix(b"\n").unwrap_or(before);
    before.strip_suffix(b"\r").unwrap_or(before).len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BODY_PARTS_MAX;

    fn cut(body: &str) -> Result<Vec<String>, MimeError> {
        let parts = parts(body.as_bytes(), b"b")?;
        Ok(parts.into_iter().map(|part| String::from_utf8(part.to_vec()).unwrap()).collect())
    }

    fn of(parts: &[&str]) -> Result<Vec<String>, MimeError> {
        Ok(parts.iter().map(|&part| part.to_owned()).collect())
    }

    #[test]
    fn parts_are_between_boundary_lines() {
        assert_eq!(cut("before\r\n--b\r\none\r\n\r\n--b \t\r\ntwo\n--b--\r\nafter"), of(&["one\r\n", "two"]));
        assert_eq!(cut("--b\n\n--b--"), of(&[""]));
        assert_eq!(cut("--b\r\n--b--"), of(&[""]));
    }

    #[test]
    fn a_longer_boundary_and_the_epilogue_are_not_parts() {
        assert_eq!(cut("--bc\r\nx\r\n--b\r\none\r\n--bc\r\nstill\r\n--b-\r\nx--b--\r\n--b--"), {
            of(&["one\r\n--bc\r\nstill\r\n--b-\r\nx--b--"])
        });
        assert_eq!(cut("--b\r\none\r\n--b--\r\n--b\r\ntwo\r\n--b--"), of(&["one"]));
    }

    #[test]
    fn a_body_without_parts_or_without_an_end_is_an_error() {
        for body in ["", "b", "--b--", "--b\r\none", "--b\r\none\r\n--b\r\ntwo\r\n", "--b\r\none\r\n--b"] {
            assert_eq!(cut(body), Err(MimeError::Parts), "{body:?}");
        }
    }

    #[test]
    fn the_parts_of_a_body_are_limited() {
        let body = |count: usize| format!("{}--b--", "--b\r\nx\r\n".repeat(count));
        assert_eq!(cut(&body(BODY_PARTS_MAX)).unwrap().len(), BODY_PARTS_MAX);
        assert_eq!(cut(&body(BODY_PARTS_MAX + 1)), Err(MimeError::TooManyParts));
        let two = Limits { body_parts_max: 2, ..Limits::DEFAULT };
        let cut = |count| parts_with(body(count).as_bytes(), b"b", &two).map(|parts| parts.len());
        assert_eq!((cut(2), cut(3)), (Ok(2), Err(MimeError::TooManyParts)));
        assert!(MimeError::TooManyParts.exceeds_limit() && !MimeError::Parts.exceeds_limit());
    }
}
