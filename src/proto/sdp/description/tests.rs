//! Descriptions of clients, and the media selected in them.

use super::*;
use crate::limits::{ACCEPT_TYPES_BYTES_MAX, ACCEPT_TYPES_MAX, SDP_MEDIA_LINES_MAX};

const CAN: Capabilities = Capabilities { plain: true, tls: false, listen: true, connect: false };

fn media(lines: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n{lines}")
}

fn offered_media(lines: &str) -> Result<MessageMedia, MediaError> {
    Description::parse(media(lines).as_bytes()).unwrap().offered_media(CAN)
}

const PATH: &str = "a=path:msrp://192.0.2.9:9/s;tcp\r\n";
const TYPES: &str = "a=accept-types:Message/CPIM text/plain\r\n";

#[test]
fn everything_of_a_full_line_is_read() {
    let found = offered_media(&format!(
        "m=audio 5000 RTP/AVP 0\r\nm=message 9 TCP/MSRP *\r\nc=IN IP6 2001:db8::1\r\n{PATH}{TYPES}a=setup:ACTIVE\r\n\
         a=accept-wrapped-types:text/*\r\na=chatroom:nicknames\r\na=max-size: 1000\r\na=connection:new\r\n\
         a=msrp-cema\r\na=sendonly\r\n"
    ))
    .unwrap();
    assert_eq!((found.index, found.port, found.secure), (1, 9, false));
    assert_eq!(found.path.as_str(), "msrp://192.0.2.9:9/s;tcp");
    assert!(found.accept_wrapped_types.unwrap().accepts("text/html"));
    assert_eq!(found.setup, Some(Setup::Active));
    assert_eq!(found.chatroom, Some(ChatroomTokens { nickname: true, private_messages: false }));
    assert_eq!(found.max_size, Some(1000));
    assert!(found.cema);
    assert_eq!(found.direction, Direction { sends: true, receives: false });
    assert_eq!(found.address.as_deref(), Some("2001:db8::1"));
}

#[test]
fn the_first_usable_line_is_taken() {
    let found = offered_media(&format!(
        "m=message 9 TCP/MSRP *\r\na=accept-types:text/plain\r\n{PATH}m=message 0 TCP/MSRP *\r\n{PATH}{TYPES}\
         m=message 9 TCP/MSRP *\r\n{PATH}{TYPES}m=message 9 TCP/MSRP *\r\n{PATH}{TYPES}"
    ));
    assert_eq!(found.unwrap().index, 2);
}

#[test]
fn each_incompatibility_is_named() {
    let msrps = "a=path:msrps://192.0.2.9:9/s;tcp\r\n";
    for (lines, fault) in [
        (String::new(), MediaError::NoMessageMedia),
        ("m=audio 1 RTP/AVP 0\r\n".into(), MediaError::NoMessageMedia),
        (format!("m=message 1 UDP/MSRP *\r\n{PATH}{TYPES}"), MediaError::NoMessageMedia),
        (format!("m=message 9 TCP/TLS/MSRP *\r\n{msrps}{TYPES}"), MediaError::TlsUnavailable),
        (format!("m=message 9 TCP/MSRP *\r\n{msrps}{TYPES}"), MediaError::Path),
        (format!("m=message 9 TCP/MSRP *\r\n{TYPES}"), MediaError::Path),
        (format!("m=message 9 TCP/MSRP *\r\na=path:http://x\r\n{TYPES}"), MediaError::Path),
        (format!("m=message 9 TCP/MSRP *\r\na=path:msrp://192.0.2.9:9;tcp\r\n{TYPES}"), MediaError::Path),
        (format!("m=message 9 TCP/MSRP *\r\n{PATH}"), MediaError::CpimNotAccepted),
        (format!("m=message 9 TCP/MSRP *\r\n{PATH}{TYPES}a=setup:passive\r\n"), MediaError::Setup),
    ] {
        assert_eq!(offered_media(&lines), Err(fault), "{lines}");
    }
}

#[test]
fn the_connecting_end_follows_from_offer_and_answer() {
    let with = |setup: &str| media(&format!("m=message 9 TCP/MSRP *\r\n{PATH}{TYPES}{setup}"));
    let parse = |setup: &str| Description::parse(with(setup).as_bytes()).unwrap();
    let connects = Capabilities { listen: false, connect: true, ..CAN };
    for (setup, takes_offer, can_connect_by_answer) in [
        ("", true, true),
        ("a=setup:active\r\n", true, false),
        ("a=setup:actpass\r\n", true, true),
        ("a=setup:holdconn\r\n", true, true),
        ("a=setup:passive\r\n", false, true),
    ] {
        assert_eq!(parse(setup).offered_media(CAN).is_ok(), takes_offer, "{setup}");
        assert_eq!(parse(setup).answered_media(connects).is_ok(), can_connect_by_answer, "{setup}");
    }
    assert!(parse("a=setup:active\r\n").answered_media(CAN).is_ok());
}

const FINGERPRINT: &str = "a=fingerprint:sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB\r\n";

fn secure(attributes: &str) -> Result<MessageMedia, MediaError> {
    let path = "a=path:msrps://192.0.2.9:9/s;tcp\r\n";
    let text = media(&format!("m=message 9 TCP/TLS/MSRP *\r\n{path}{TYPES}{attributes}"));
    Description::parse(text.as_bytes()).unwrap().offered_media(Capabilities { tls: true, plain: false, ..CAN })
}

#[test]
fn fingerprints_stand_on_the_line_or_above_all_lines() {
    assert_eq!(secure("").unwrap().fingerprints, []);
    assert_eq!(secure(FINGERPRINT).unwrap().fingerprints.len(), 1);
    let above = media(&format!("{FINGERPRINT}m=message 9 TCP/TLS/MSRP *\r\na=path:msrps://h:9/s;tcp\r\n{TYPES}"));
    let found = Description::parse(above.as_bytes()).unwrap().offered_media(Capabilities { tls: true, ..CAN });
    assert_eq!(found.unwrap().fingerprints.len(), 1);
    assert_eq!(secure("a=fingerprint:md5 00:01\r\n"), Err(MediaError::Fingerprint));
    let both = secure(&format!("a=fingerprint:md5 00:01\r\n{FINGERPRINT}"));
    assert_eq!(both.unwrap().fingerprints.len(), 1, "what cannot be used is passed over beside what can");
}

#[test]
fn media_without_tls_is_refused_if_tls_is_required() {
    let plain = media(&format!("m=message 9 TCP/MSRP *\r\n{PATH}{TYPES}"));
    let only_tls = Capabilities { tls: true, plain: false, ..CAN };
    assert_eq!(Description::parse(plain.as_bytes()).unwrap().offered_media(only_tls), Err(MediaError::TlsRequired));
}

fn next_hop(lines: &str) -> Result<(String, u16), MediaError> {
    let text = media(lines);
    let can = Capabilities { connect: true, ..CAN };
    let found = Description::parse(text.as_bytes()).unwrap().offered_media(can)?;
    found.next_hop().map(|(host, port)| (host.to_owned(), port))
}

#[test]
fn the_next_hop_follows_from_path_relay_and_cema() {
    let at = |host: &str, port| Ok((host.to_owned(), port));
    let passive = "a=setup:passive\r\n";
    assert_eq!(next_hop(&format!("m=message 9 TCP/MSRP *\r\n{PATH}{TYPES}{passive}")), at("192.0.2.9", 9));
    let elsewhere = format!("m=message 7777 TCP/MSRP *\r\nc=IN IP4 192.0.2.200\r\n{PATH}{TYPES}{passive}");
    assert_eq!(next_hop(&elsewhere), Err(MediaError::PathMismatch));
    assert_eq!(next_hop(&format!("{elsewhere}a=msrp-cema\r\n")), at("192.0.2.200", 7777));
    let relayed = elsewhere.replace("a=path:", "a=path:msrp://[2001:db8::5]:2855/r;tcp ");
    assert_eq!(next_hop(&relayed), at("2001:db8::5", 2855));
    assert_eq!(next_hop(&format!("{relayed}a=msrp-cema\r\n")), at("2001:db8::5", 2855), "its relay is connected to");
    let without_port = "a=path:msrp://192.0.2.9/s;tcp\r\n";
    assert_eq!(next_hop(&format!("m=message 9 TCP/MSRP *\r\n{without_port}{TYPES}{passive}")), Err(MediaError::Path));
}

#[test]
fn a_connection_attribute_is_ignored() {
    let lines = format!("m=message 9 TCP/MSRP *\r\n{PATH}{TYPES}");
    for value in ["new", "existing"] {
        assert_eq!(offered_media(&format!("{lines}a=connection:{value}\r\n")), offered_media(&lines));
    }
}

#[test]
fn an_address_of_zeros_is_taken() {
    let text =
        media(&format!("m=message 9 TCP/MSRP *\r\n{PATH}{TYPES}")).replace("c=IN IP4 192.0.2.9", "c=IN IP4 0.0.0.0");
    assert!(Description::parse(text.as_bytes()).unwrap().offered_media(CAN).is_ok());
}

#[test]
fn a_star_in_accept_types_takes_cpim() {
    assert!(offered_media(&format!("m=message 9 TCP/MSRP *\r\n{PATH}a=accept-types:*\r\n")).is_ok());
}

#[test]
fn a_line_end_cannot_be_smuggled_into_an_answer() {
    let text = media("m=video 1 RTP/AVP 31\rm=message 9 TCP/MSRP *\r\n");
    assert!(matches!(Description::parse(text.as_bytes()), Err(SdpError::Syntax(_))));
}

#[test]
fn media_lines_are_limited() {
    let lines = |count: usize| media(&"m=audio 1 RTP/AVP 0\r\n".repeat(count));
    for max in [SDP_MEDIA_LINES_MAX, 1] {
        let limits = Limits { sdp_media_lines_max: max, ..Limits::DEFAULT };
        assert!(Description::parse_with(lines(max).as_bytes(), &limits).is_ok());
        assert_eq!(Description::parse_with(lines(max + 1).as_bytes(), &limits), Err(SdpError::TooManyMedia));
    }
    assert_eq!(Description::parse(lines(SDP_MEDIA_LINES_MAX + 1).as_bytes()), Err(SdpError::TooManyMedia));
    assert!(matches!(Description::parse(b"nonsense"), Err(SdpError::Syntax(_))));
}

#[test]
fn an_offer_with_two_addresses_is_refused() {
    let with = |port: u16, host: &str, rest: &str| {
        offered_media(&format!("m=message {port} TCP/MSRP *\r\nc=IN IP4 {host}\r\n{TYPES}{rest}"))
    };
    let path = "a=path:msrp://192.0.2.9:2855/s;tcp\r\n";
    for setup in ["", "a=setup:active\r\n", "a=setup:actpass\r\n"] {
        let lines = format!("{path}{setup}");
        assert!(with(2855, "192.0.2.9", &lines).is_ok(), "{setup}");
        assert!(with(9, "192.0.2.200", &lines).is_ok(), "{setup}: port 9 is nobody's");
        assert!(with(2855, "client.example", &lines).is_ok(), "{setup}: nobody looks names up");
        assert_eq!(with(2856, "192.0.2.9", &lines), Err(MediaError::PathMismatch), "{setup}");
        assert_eq!(with(2855, "192.0.2.200", &lines), Err(MediaError::PathMismatch), "{setup}");
        assert_eq!(with(2856, "client.example", &lines), Err(MediaError::PathMismatch), "{setup}");
        assert!(with(2856, "192.0.2.200", &format!("{lines}a=msrp-cema\r\n")).is_ok(), "{setup}");
        let relayed = lines.replace("a=path:", "a=path:msrp://192.0.2.50:2855/r;tcp ");
        assert!(with(2855, "192.0.2.9", &relayed).is_ok(), "{setup}");
    }
    assert!(with(9, "192.0.2.9", "a=path:msrps://x.invalid:2855/s;ws\r\n").is_err(), "another scheme than its m= line");
    assert!(with(2856, "0.0.0.0", path).is_ok(), "an address of zeros is none");
    assert!(with(9, "192.0.2.9", "a=path:msrp://x.invalid:2855/s;tcp\r\n").is_ok());
}

#[test]
fn octets_that_are_not_utf_8_are_accepted() {
    let lines = format!("m=message 9 TCP/MSRP *\r\n{PATH}{TYPES}a=note:");
    let mut text = media(&lines).trim_end().as_bytes().to_vec();
    text.extend_from_slice(b"caf\xe9 \xff\r\n");
    let found = Description::parse(&text).unwrap().offered_media(CAN);
    assert!(found.is_ok(), "{found:?}");
}

#[test]
fn a_charset_applies_to_the_lines_for_people() {
    let of = |charset: &str, info: &[u8]| {
        let head = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=\xe9\r\ni=";
        let rest = format!("\r\nt=0 0\r\n{charset}a=x:\u{e9}\r\n");
        Description::parse(&[&head[..], info, rest.as_bytes()].concat()).unwrap().subject().unwrap().to_owned()
    };
    assert_eq!(of("a=charset:ISO-8859-1\r\n", b"caf\xe9"), "caf\u{e9}");
    assert_eq!(of("a=charset:iso-8859-5\r\n", b"\xbf\xd8\xe0"), "\u{41f}\u{438}\u{440}");
    assert_eq!(of("", "caf\u{e9}".as_bytes()), "caf\u{e9}");
    assert_eq!(of("", b"caf\xe9"), "caf\u{fffd}");
    assert_eq!(of("a=charset:no-such-thing\r\n", b"caf\xe9"), "caf\u{fffd}");
}

#[test]
fn lists_of_types_are_limited_in_ranges_and_octets() {
    let offer =
        |types: &str| media(&format!("m=message 9 TCP/MSRP *\r\n{PATH}a=accept-types:message/cpim {types}\r\n"));
    let taken = |types: &str, limits: &Limits| {
        Description::parse_with(offer(types).as_bytes(), limits).unwrap().offered_media(CAN).map(|_| ())
    };
    let list = |count: usize| (1..count).map(|n| format!("x/y{n}")).collect::<Vec<_>>().join(" ");
    let long = |octets: usize| format!("x/{}", "y".repeat(octets - "message/cpim x/".len()));
    for (types_max, bytes_max) in [(ACCEPT_TYPES_MAX, ACCEPT_TYPES_BYTES_MAX), (3, 40)] {
        let limits = Limits { accept_types_max: types_max, accept_types_bytes_max: bytes_max, ..Limits::DEFAULT };
        let refused = Err(MediaError::TooManyTypes { types_max, bytes_max });
        assert_eq!((taken(&list(types_max), &limits), taken(&list(types_max + 1), &limits)), (Ok(()), refused));
        assert_eq!((taken(&long(bytes_max), &limits), taken(&long(bytes_max + 1), &limits)), (Ok(()), refused));
    }
}

#[test]
fn the_uris_of_a_path_are_limited() {
    let relayed = format!("m=message 9 TCP/MSRP *\r\na=path:msrp://r:1/r;tcp msrp://a:9/s;tcp\r\n{TYPES}");
    let limits = |max: usize| Limits { msrp_path_uris_max: max, ..Limits::DEFAULT };
    let parse = |max: usize| Description::parse_with(media(&relayed).as_bytes(), &limits(max)).unwrap();
    assert!(parse(2).offered_media(CAN).is_ok());
    assert_eq!(parse(1).offered_media(CAN), Err(MediaError::Path));
}
