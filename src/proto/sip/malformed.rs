//! Requests that cannot be read, as far as it takes to answer them.

use bytes::Bytes;
use sipx_sip::error::{LimitKind, ParseError};
use sipx_sip::{Header, HeaderName, Headers};

use crate::limits::{SIP_HEADER_BYTES_MAX, SIP_HEADERS_MAX};

/// A request that cannot be read although it says whom to answer (RFC 3261 §18.3, §21.4.1; RFC 4475 §3.1.2).
#[derive(Debug, Clone)]
pub struct MalformedRequest {
    /// Via, From, To, Call-ID and CSeq, as many of them as there are, as they stand there.
    pub headers: Headers,
    /// What is wrong with it.
    pub error: ParseError,
}

impl MalformedRequest {
    /// Looks into octets that are no message for `error`. `None` where nobody waits for an answer: a response, an ACK, or something
    /// without a Via.
    #[must_use]
    pub fn recover(octets: &[u8], error: ParseError) -> Option<Self> {
        let mut rows = rows(octets);
        let start = rows.next()?;
        let start = start.trim_ascii_start();
        let method = start.split(|b| b.is_ascii_whitespace()).next()?;
        if method.eq_ignore_ascii_case(b"ACK") || start.get(..4)?.eq_ignore_ascii_case(b"SIP/") {
            return None;
        }
        let mut headers = Headers::new();
        rows.take(SIP_HEADERS_MAX).filter_map(|row| copied(&row)).for_each(|header| headers.push(header));
        headers.get(&HeaderName::Via).is_some().then_some(Self { headers, error })
    }

    /// The status that it deserves (RFC 3261 §21.4.1, §21.4.11, §21.5.7).
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.error {
            ParseError::Limit { limit: LimitKind::BodyBytes, .. } => 413,
            ParseError::Limit { .. } => 513,
            _ => 400,
        }
    }

    /// A reason phrase that says what is wrong (RFC 3261 §21.4.1).
    #[must_use]
    pub fn reason_phrase(&self) -> String {
        format!("{} ({})", super::reason_phrase(self.status()), self.error)
    }
}

/// The rows of a head, unfolded. Whatever ends a line ends it here, because what is read is not acted upon.
fn rows(octets: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut lines = octets
        .split(|&b| b == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .skip_while(|line| line.is_empty())
        .take_while(|line| !line.is_empty())
        .peekable();
    std::iter::from_fn(move || {
        let mut row = lines.next()?.to_vec();
        while let Some(more) = lines.next_if(|line| matches!(line.first(), Some(b' ' | b'\t'))) {
            row.push(b' ');
            row.extend_from_slice(more.trim_ascii());
        }
        Some(row)
    })
}

/// A row that goes into every response (RFC 3261 §8.2.6.2).
fn copied(row: &[u8]) -> Option<Header> {
    let colon = memchr::memchr(b':', row).filter(|_| row.len() <= SIP_HEADER_BYTES_MAX)?;
    let name = HeaderName::parse(&Bytes::copy_from_slice(row[..colon].trim_ascii()));
    let wanted = [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];
    let name = wanted.into_iter().find(|wanted| *wanted == name)?;
    Header::build(name, row[colon + 1..].trim_ascii().to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{parse_datagram, text};

    const HEAD: &str =
        "To:  <sip:b@d>\r\nf: <sip:a@d>;\r\n\ttag=1\r\nCall-ID : x\r\nCSeq: 1 INVITE\r\nl: 4\r\n\r\nv: body";

    fn broken(message: &str) -> Option<MalformedRequest> {
        MalformedRequest::recover(message.as_bytes(), parse_datagram(message.as_bytes()).unwrap_err())
    }

    #[test]
    fn what_a_response_needs_is_found_and_nothing_else() {
        let found =
            broken(&format!("INVITE <sip:b@d> SIP/2.0\r\nnonsense\r\nv: SIP/2.0/UDP h;branch=1\r\n{HEAD}")).unwrap();
        let value = |name| text(&found.headers, &name).unwrap();
        assert_eq!(value(HeaderName::Via), "SIP/2.0/UDP h;branch=1");
        assert_eq!(value(HeaderName::From), "<sip:a@d>; tag=1");
        assert_eq!((value(HeaderName::To), value(HeaderName::CallId)), ("<sip:b@d>".into(), "x".into()));
        assert_eq!(found.headers.len(), 5);
        assert_eq!(found.status(), 400);
        assert!(found.reason_phrase().starts_with("Bad Request (malformed start line: "), "{}", found.reason_phrase());
    }

    #[test]
    fn nobody_waits_for_an_answer_to_some() {
        for start in ["ACK <sip:b@d> SIP/2.0", "SIP/2.0 2000 What", "SIP/2.0 1 x"] {
            assert!(broken(&format!("{start}\r\nVia: SIP/2.0/UDP h\r\n{HEAD}")).is_none(), "{start}");
        }
        assert!(broken(&format!("INVITE <sip:b@d> SIP/2.0\r\n{HEAD}")).is_none(), "no Via");
        for nothing in ["x", "\r\n\r\nx\r\n\r\n", "a: b\r\n\r\n"] {
            assert!(broken(nothing).is_none(), "{nothing:?}");
        }
    }

    #[test]
    fn what_is_too_large_is_told_so() {
        let endless = "x".repeat(SIP_HEADER_BYTES_MAX);
        let found = broken(&format!("INVITE sip:b@d SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nX: {endless}\r\n{HEAD}")).unwrap();
        assert_eq!(found.status(), 513);
    }
}
