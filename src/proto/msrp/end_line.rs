//! The end-line that closes a chunk (RFC 4975 §7.1, §9), and the search for it in a body.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::limits::TRANSACTION_ID_BYTES_MAX;

/// The continuation flag of an end-line: whether more of the message follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuation {
    /// `$`: this chunk has the last octet of the message.
    Complete,
    /// `+`: more chunks follow.
    More,
    /// `#`: the sender has aborted the message.
    Abort,
}

impl Continuation {
    /// The flag as an octet: `$`, `+` or `#`.
    #[must_use]
    pub fn flag(self) -> u8 {
        match self {
            Self::Complete => b'$',
            Self::More => b'+',
            Self::Abort => b'#',
        }
    }

    fn from_flag(flag: u8) -> Option<Self> {
        match flag {
            b'$' => Some(Self::Complete),
            b'+' => Some(Self::More),
            b'#' => Some(Self::Abort),
            _ => None,
        }
    }
}

/// The seven dashes of an end-line.
pub const DASHES: &[u8; 7] = b"-------";
/// CRLF and the dashes: how the end-line after a body begins.
const OPENING: &[u8; 9] = b"\r\n-------";
/// Octets in the longest end-line: CRLF, dashes, transaction id, flag, CRLF.
pub const END_LINE_BYTES_MAX: usize = 2 + 7 + TRANSACTION_ID_BYTES_MAX + 1 + 2;

static OPENING_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(OPENING));
static DASHES_FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(DASHES));

/// Whether an end-line begins at some place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEndLine {
    /// Yes: its flag, and its length in octets.
    Yes(Continuation, usize),
    /// No.
    No,
    /// More octets are needed to decide.
    Incomplete,
}

/// Whether `text` begins with the dashes, `tid`, a flag and a line end. A bare LF counts as a line end too.
#[must_use]
pub fn at_end_line(text: &[u8], tid: &[u8]) -> AtEndLine {
    for (i, expected) in DASHES.iter().chain(tid).enumerate() {
        match text.get(i) {
            None => return AtEndLine::Incomplete,
            Some(octet) if octet != expected => return AtEndLine::No,
            Some(_) => {}
        }
    }
    let at = DASHES.len() + tid.len();
    let Some(&flag) = text.get(at) else { return AtEndLine::Incomplete };
    let Some(continuation) = Continuation::from_flag(flag) else { return AtEndLine::No };
    match (text.get(at + 1), text.get(at + 2)) {
        (Some(b'\n'), _) => AtEndLine::Yes(continuation, at + 2),
        (Some(b'\r'), Some(b'\n')) => AtEndLine::Yes(continuation, at + 3),
        (None, _) | (Some(b'\r'), None) => AtEndLine::Incomplete,
        _ => AtEndLine::No,
    }
}

/// [`at_end_line`] for a place inside a body, where a CRLF that is not part of the body comes first.
#[must_use]
pub fn at_opening(text: &[u8], tid: &[u8]) -> AtEndLine {
    match text {
        [] | [b'\r'] => AtEndLine::Incomplete,
        [b'\r', b'\n', rest @ ..] => match at_end_line(rest, tid) {
            AtEndLine::Yes(continuation, len) => AtEndLine::Yes(continuation, len + 2),
            other => other,
        },
        _ => AtEndLine::No,
    }
}

/// What [`find`] found in octets of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Octets of body, then an end-line.
    EndLine {
        /// Octets of body before the end-line.
        body: usize,
        /// Its flag.
        continuation: Continuation,
        /// Octets of the end-line with the CRLF before it.
        len: usize,
    },
    /// This many octets of body. The octets after them may be the beginning of an end-line.
    Body(usize),
}

/// Searches a piece of a body for the end-line of `tid`. Each octet is searched once: the caller does not pass the octets of
/// [`Found::Body`] again.
#[must_use]
pub fn find(text: &[u8], tid: &[u8]) -> Found {
    let mut from = 0;
    while let Some(at) = OPENING_FINDER.find(&text[from..]) {
        let at = from + at;
        match at_opening(&text[at..], tid) {
            AtEndLine::Yes(continuation, len) => return Found::EndLine { body: at, continuation, len },
            AtEndLine::Incomplete => return Found::Body(at),
            AtEndLine::No => from = at + 2,
        }
    }
    Found::Body(text.len() - partial_opening(&text[from..]))
}

/// Whether `text` contains seven dashes followed by `tid`, even in the middle of a line. A sender must not use such a transaction id
/// for a chunk with this body (RFC 4975 §7.1).
///
/// ```
/// use parlor_proto::msrp::contains_end_line;
///
/// assert!(contains_end_line(b"quoted: -------a786hjs2$", b"a786hjs2"));
/// assert!(!contains_end_line(b"hello", b"a786hjs2"));
/// ```
#[must_use]
pub fn contains_end_line(text: &[u8], tid: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = DASHES_FINDER.find(rest) {
        let run = &rest[at..];
        // Of a longer run of dashes the last seven count.
        let dashes = run.iter().position(|octet| *octet != b'-').unwrap_or(run.len());
        rest = &run[dashes..];
        if rest.starts_with(tid) {
            return true;
        }
    }
    false
}

/// Octets at the end of `text` that may be the beginning of [`OPENING`], which `text` does not contain completely.
fn partial_opening(text: &[u8]) -> usize {
    let tail = &text[text.len().saturating_sub(OPENING.len() - 1)..];
    match memchr::memrchr(b'\r', tail) {
        Some(cr) if OPENING.starts_with(&tail[cr..]) => tail.len() - cr,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_line_is_found_after_similar_octets() {
        let text = b"a\r\n-------tid\r\n-------tidx$\r\n-------tid1#\r\nb\r\n-------tid$\r\nMSRP";
        let Found::EndLine { body, continuation, len } = find(text, b"tid") else { panic!("not found") };
        assert_eq!(continuation, Continuation::Complete);
        assert_eq!(&text[body..body + len], b"\r\n-------tid$\r\n");
        assert_eq!(&text[body + len..], b"MSRP");
    }

    #[test]
    fn an_id_counts_after_seven_dashes() {
        for text in [&b"-------tid"[..], b"a-------tidx", b"\r\n--------tid$", b"-------ti\r\n-------tid"] {
            assert!(contains_end_line(text, b"tid"), "{}", text.escape_ascii());
        }
        for text in [&b""[..], b"tid", b"------tid", b"-------ti", b"-------", b"------- tid", b"-------atid------tid"]
        {
            assert!(!contains_end_line(text, b"tid"), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_possible_end_line_is_held_back() {
        let whole = b"body\r\n-------abcd+\r\n";
        for cut in 0..whole.len() {
            let kept = if cut < 4 { cut } else { 4 };
            assert_eq!(find(&whole[..cut], b"abcd"), Found::Body(kept), "{cut}");
        }
        assert_eq!(find(whole, b"abcd"), Found::EndLine { body: 4, continuation: Continuation::More, len: 16 });
    }

    #[test]
    fn a_carriage_return_after_a_false_end_line_is_held_back_too() {
        assert_eq!(find(b"x\r\n-------abcd$\rx", b"abcd"), Found::Body(17));
        assert_eq!(find(b"x\r\n-------abcX$\r", b"abcd"), Found::Body(16 - 1));
    }
}
