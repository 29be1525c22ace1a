//! Requests that cannot be parsed, as far as an error response needs them.

use bytes::Bytes;
use sipx_sip::error::{LimitKind, ParseError};
use sipx_sip::{Header, HeaderName, Headers};

use crate::limits::Limits;

/// A request that cannot be parsed, but can be answered (RFC 3261 §18.3, §21.4.1; RFC 4475 §3.1.2). Respond with
/// [`ResponseBuilder::for_headers`](super::ResponseBuilder::for_headers), [`Self::status`] and [`Self::reason_phrase`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MalformedRequest {
    /// Via, From, To, Call-ID and CSeq as received, those that there are.
    pub headers: Headers,
    /// Why it cannot be parsed.
    pub error: ParseError,
}

impl MalformedRequest {
    /// Recovers the headers of a message that failed to parse with `error`. Returns `None` if there is nobody to answer: for a response, an
    /// ACK, or a message without a Via.
    #[must_use]
    pub fn recover(octets: &[u8], error: ParseError) -> Option<Self> {
        Self::recover_with(octets, error, &Limits::DEFAULT)
    }

    /// [`Self::recover`] with other limits: `sip_headers_max` and `sip_header_bytes_max` of `limits`.
    #[must_use]
    pub fn recover_with(octets: &[u8], error: ParseError, limits: &Limits) -> Option<Self> {
        let mut rows = rows(octets);
        let start = rows.next()?;
        let start = start.trim_ascii_start();
        let method = start.split(|b| b.is_ascii_whitespace()).next()?;
        if method.eq_ignore_ascii_case(b"ACK") || start.get(..4)?.eq_ignore_ascii_case(b"SIP/") {
            return None;
        }
        let mut headers = Headers::new();
        let rows = rows.take(limits.sip_headers_max).filter(|row| row.len() <= limits.sip_header_bytes_max);
        rows.filter_map(|row| copied(&row)).for_each(|header| headers.push(header));
        headers.get(&HeaderName::Via).is_some().then_some(Self { headers, error })
    }

    /// The status of the response: 400, or 413 or 513 beyond a limit (RFC 3261 §21.4.1, §21.4.11, §21.5.7).
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.error {
            ParseError::Limit { limit: LimitKind::BodyBytes, .. } => 413,
            ParseError::Limit { .. } => 513,
            _ => 400,
        }
    }

    /// The reason phrase of the response, which says what is wrong (RFC 3261 §21.4.1).
    #[must_use]
    pub fn reason_phrase(&self) -> String {
        format!("{} ({})", super::reason_phrase(self.status()), self.error)
    }
}

/// The rows of a head, unfolded. Any line end is accepted, as the rows are only copied into a response.
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

/// The header of a row, if it is copied into every response (RFC 3261 §8.2.6.2).
fn copied(row: &[u8]) -> Option<Header> {
    let colon = memchr::memchr(b':', row)?;
    let name = HeaderName::parse(&Bytes::copy_from_slice(row[..colon].trim_ascii()));
    let wanted = [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];
    let name = wanted.into_iter().find(|wanted| *wanted == name)?;
    Header::build(name, row[colon + 1..].trim_ascii().to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SIP_HEADER_BYTES_MAX;
    use crate::sip::{parse_datagram, text};

    const HEAD: &str =
        "To:  <sip:b@d>\r\nf: <sip:a@d>;\r\n\ttag=1\r\nCall-ID : x\r\nCSeq: 1 INVITE\r\nl: 4\r\n\r\nv: body";

    fn recovered(message: &str) -> Option<MalformedRequest> {
        MalformedRequest::recover(message.as_bytes(), parse_datagram(message.as_bytes()).unwrap_err())
    }

    #[test]
    fn only_what_a_response_needs_is_recovered() {
        let found =
            recovered(&format!("INVITE <sip:b@d> SIP/2.0\r\nnonsense\r\nv: SIP/2.0/UDP h;branch=1\r\n{HEAD}")).unwrap();
        let value = |name| text(&found.headers, &name).unwrap();
        assert_eq!(value(HeaderName::Via), "SIP/2.0/UDP h;branch=1");
        assert_eq!(value(HeaderName::From), "<sip:a@d>; tag=1");
        assert_eq!((value(HeaderName::To), value(HeaderName::CallId)), ("<sip:b@d>".into(), "x".into()));
        assert_eq!(found.headers.len(), 5);
        assert_eq!(found.status(), 400);
        assert!(found.reason_phrase().starts_with("Bad Request (malformed start line: "), "{}", found.reason_phrase());
    }

    #[test]
    fn responses_and_acks_are_not_answered() {
        for start in ["ACK <sip:b@d> SIP/2.0", "SIP/2.0 2000 What", "SIP/2.0 1 x"] {
            assert!(recovered(&format!("{start}\r\nVia: SIP/2.0/UDP h\r\n{HEAD}")).is_none(), "{start}");
        }
        assert!(recovered(&format!("INVITE <sip:b@d> SIP/2.0\r\n{HEAD}")).is_none(), "no Via");
        for nothing in ["x", "\r\n\r\nx\r\n\r\n", "a: b\r\n\r\n"] {
            assert!(recovered(nothing).is_none(), "{nothing:?}");
        }
    }

    #[test]
    fn a_message_beyond_a_limit_is_513() {
        let endless = "x".repeat(SIP_HEADER_BYTES_MAX);
        let found =
            recovered(&format!("INVITE sip:b@d SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nX: {endless}\r\n{HEAD}")).unwrap();
        assert_eq!(found.status(), 513);
    }
}
