//! The limits of SIP messages, each reached.

use sipx_sip::error::{LimitKind, ParseError};

use super::parse_datagram;
use crate::limits::SIP_HEADERS_MAX;

#[test]
fn a_message_has_as_many_headers_as_the_limit_says() {
    let options = |headers: usize| {
        let first = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nContent-Length: 0\r\n";
        format!("{first}{}\r\n", "X: y\r\n".repeat(headers - 2))
    };
    let too_many = |error: &ParseError| matches!(error, ParseError::Limit { limit: LimitKind::Headers, .. });
    assert!(parse_datagram(options(SIP_HEADERS_MAX).as_bytes()).is_ok());
    let error = parse_datagram(options(SIP_HEADERS_MAX + 1).as_bytes()).unwrap_err();
    assert!(too_many(&error), "{error}");
}
