//! The limits of identities, each reached, and what the tests of this folder share.

use super::asserted;
use crate::limits::ASSERTED_IDENTITIES_MAX;
use parlor_proto::sip::{Header, HeaderName, Headers, Message, parse_datagram};

/// Headers with these rows.
pub(super) fn headers(rows: &[(HeaderName, &str)]) -> Headers {
    let header = |(name, value): &(HeaderName, &str)| Header::build(name.clone(), (*value).to_owned()).unwrap();
    let mut headers = Headers::new();
    rows.iter().for_each(|row| headers.push(header(row)));
    headers
}

#[test]
fn of_asserted_identities_so_many_count() {
    let named = |count: usize| {
        let rows: String = (0..count).map(|n| format!("P-Asserted-Identity: <sip:u{n}@h>\r\n")).collect();
        let text = format!("OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n{rows}\r\n");
        match parse_datagram(text.as_bytes()) {
            Ok(Some(Message::Request(request))) => asserted(&request).len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(named(ASSERTED_IDENTITIES_MAX), ASSERTED_IDENTITIES_MAX);
    assert_eq!(named(ASSERTED_IDENTITIES_MAX + 1), ASSERTED_IDENTITIES_MAX);
}
