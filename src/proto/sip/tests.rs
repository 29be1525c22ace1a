//! The limits of SIP messages, each reached with its default and with another value.

use sipx_sip::error::{LimitKind, ParseError};

use super::{Framer, HeaderName, MalformedRequest, parse_datagram, parse_datagram_with};
use crate::limits::{Limits, SIP_HEADER_BYTES_MAX, SIP_HEADERS_MAX, SIP_MESSAGE_BYTES_MAX};

const FIRST: &str = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nContent-Length: 0\r\n";

fn limit_of(error: &ParseError) -> Option<LimitKind> {
    match error {
        ParseError::Limit { limit, .. } => Some(*limit),
        _ => None,
    }
}

#[test]
fn the_headers_of_a_message_are_limited() {
    let options = |headers: usize| format!("{FIRST}{}\r\n", "X: y\r\n".repeat(headers - 2));
    for max in [SIP_HEADERS_MAX, 5] {
        let limits = Limits { sip_headers_max: max, ..Limits::DEFAULT };
        assert!(parse_datagram_with(options(max).as_bytes(), &limits).is_ok());
        let error = parse_datagram_with(options(max + 1).as_bytes(), &limits).unwrap_err();
        assert!(matches!(limit_of(&error), Some(LimitKind::Headers)), "{error}");
        let mut framer = Framer::with_limits(&limits);
        assert!(framer.push(options(max).as_bytes()).pop().and_then(super::Framed::message).is_some());
        assert!(framer.push(options(max + 1).as_bytes()).pop().and_then(super::Framed::message).is_none());
    }
    assert!(parse_datagram(options(SIP_HEADERS_MAX + 1).as_bytes()).is_err());
}

#[test]
fn a_header_of_a_message_is_limited() {
    let options = |octets: usize| format!("{FIRST}X: {}\r\n\r\n", "x".repeat(octets));
    for max in [SIP_HEADER_BYTES_MAX, 60] {
        let limits = Limits { sip_header_bytes_max: max, ..Limits::DEFAULT };
        assert!(parse_datagram_with(options(max - 5).as_bytes(), &limits).is_ok(), "{max}");
        let error = parse_datagram_with(options(max + 1).as_bytes(), &limits).unwrap_err();
        assert!(limit_of(&error).is_some(), "{error}");
    }
}

#[test]
fn a_message_is_limited_on_any_transport() {
    for max in [SIP_MESSAGE_BYTES_MAX, 200] {
        let limits = Limits { sip_message_bytes_max: max, ..Limits::DEFAULT };
        let mut framer = Framer::with_limits(&limits);
        assert!(framer.push(&vec![b'a'; max]).is_empty() && framer.error().is_none(), "{max}");
        assert!(framer.push(b"a").is_empty() && framer.error().is_some(), "{max}");
        let long = format!("{FIRST}\r\n").replace("Length: 0", &format!("Length: {max}")) + &"b".repeat(max);
        let error = parse_datagram_with(long.as_bytes(), &limits).unwrap_err();
        assert!(limit_of(&error).is_some(), "{error}");
    }
}

#[test]
fn recovery_of_a_malformed_request_is_limited() {
    let request =
        format!("OPTIONS <sip:a@b> SIP/2.0\r\nX: y\r\nVia: SIP/2.0/TCP h\r\nTo: <sip:a@{}>\r\n\r\n", "b".repeat(50));
    let recovered = |limits: &Limits| {
        let error = parse_datagram(request.as_bytes()).unwrap_err();
        let found = MalformedRequest::recover_with(request.as_bytes(), error, limits)?;
        Some(found.headers.get(&HeaderName::To).is_some())
    };
    assert_eq!(recovered(&Limits::DEFAULT), Some(true));
    assert_eq!(recovered(&Limits { sip_headers_max: 1, ..Limits::DEFAULT }), None, "the Via is the second");
    assert_eq!(recovered(&Limits { sip_header_bytes_max: 40, ..Limits::DEFAULT }), Some(false));
}
