//! The type inside the wrapper decides, however its header is written (RFC 3862 §2.4, RFC 7701 §4.1, RFC 4975 §8.6).

use super::fixture::{Fixture, Options, ROOM_URI, bodies};
use crate::facts::RoomPolicy;

const ADDRESSES: &str = "From: <sip:alice@example.com>\r\nTo: <sip:lobby@example.com>\r\n\r\n";

/// One type in every way in which a Content-Type may be written.
fn spellings(kind: &str, subtype: &str) -> Vec<String> {
    let plain = format!("{kind}/{subtype}");
    [
        format!("Content-Type: {plain}"),
        format!("Content-Type:\r\n {plain}"),
        format!("Content-Type:\n\t{plain}"),
        format!("Content-Type: \r\n \r\n {plain};\r\n x=y"),
        format!("CONTENT-TYPE : {}", plain.to_uppercase()),
        format!("content-type:(x/y) {plain} (z/z)"),
        format!("Content-Type: {kind} / {subtype};q=\"; x/y\""),
        format!("Content-Type: {kind}(/x;)/\r\n {subtype}"),
        format!("X: y\r\nContent-Type: {plain}\r\n ;x=y\r\nContent-ID:\r\n <1@h>"),
    ]
    .into()
}

fn send(room: &mut Fixture, id: &str, body: &str) -> Option<u16> {
    let message = room.message(0, id, body);
    room.send(0, &message);
    room.answer(0, &format!("tid{id}"))
}

#[test]
fn the_types_of_a_room_hold_however_the_header_is_written() {
    let policy = RoomPolicy { wrapped_types: vec!["text/plain".into()], ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob"]);
    for (kind, subtype, status) in [("image", "png", 415), ("text", "plain", 200)] {
        for (n, headers) in spellings(kind, subtype).into_iter().enumerate() {
            let body = format!("{ADDRESSES}{headers}\r\n\r\nx");
            assert_eq!(send(&mut room, &format!("{kind}{n}"), &body), Some(status), "{headers:?}");
            let expected: &[String] = if status == 200 { &[body] } else { &[] };
            assert_eq!(bodies(&room.received_bytes(1)), expected, "{headers:?}");
        }
    }
}

#[test]
fn a_member_gets_its_types_however_the_header_is_written() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    for accepts in ["text/html", "text/plain"] {
        room.join("bob", Options { accepts: Some(accepts), ..Options::default() });
    }
    for (subtype, gets, misses) in [("html", 1, 2), ("plain", 2, 1)] {
        for (n, headers) in spellings("text", subtype).into_iter().enumerate() {
            let body = format!("{ADDRESSES}{headers}\r\n\r\nx");
            assert_eq!(send(&mut room, &format!("{subtype}{n}"), &body), Some(200), "{headers:?}");
            assert_eq!(bodies(&room.received_bytes(gets)), [body], "{headers:?}");
            assert_eq!(room.received(misses), "", "{headers:?}");
        }
    }
}

#[test]
fn a_large_message_is_judged_by_its_folded_type_too() {
    let policy =
        RoomPolicy { wrapped_types: vec!["text/plain".into()], forward_whole_up_to: 10, ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob"]);
    for (id, kind, status) in [("m1", "image/png", 415), ("m2", "text/plain", 200)] {
        let head = format!("{ADDRESSES}Content-Type:\r\n {kind}\r\n\r\n");
        let total = head.len() + 4;
        let mut statuses = Vec::new();
        for (n, (start, piece, flag)) in
            [(1, &head[..70], '+'), (71, &head[70..], '+'), (total - 3, "text", '$')].into_iter().enumerate()
        {
            let headers =
                format!("Message-ID: {id}\r\nByte-Range: {start}-*/{total}\r\nContent-Type: message/cpim\r\n");
            let chunk = room.chunk(0, &format!("{id}chunk{n}"), "SEND", &headers, Some(piece), flag);
            room.send(0, &chunk);
            statuses.extend(room.answer(0, &format!("{id}chunk{n}")));
        }
        assert_eq!(statuses, [200, status, status], "{kind}");
        let expected: &[String] = if status == 200 { &[format!("{head}text")] } else { &[] };
        assert_eq!(bodies(&room.received_bytes(1)), expected);
    }
}

#[test]
fn a_header_that_decides_and_stands_twice_is_400() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let cases = [
        "Content-Type: text/plain\r\nContent-Type: text/plain",
        "Content-Type: text/plain\r\ncontent-type:\r\n image/png",
        "Content-Type:\r\nX: y\r\nContent-Type : text/plain",
        "Content-Type: a/b\r\nContent-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding:\r\n base64",
        "Content-Type: a/b\r\nContent-Disposition: render\r\nContent-Disposition: render",
        "Content-Type: a/b\r\nContent-ID: <1@h>\r\nContent-ID: <2@h>",
        "Content-Type: a/b\r\nContent-Length: 1\r\nContent-Length: 1",
        " folded/nothing\r\nContent-Type: text/plain",
    ];
    for (n, headers) in cases.into_iter().enumerate() {
        let body = format!("{ADDRESSES}{headers}\r\n\r\nx");
        assert_eq!(send(&mut room, &format!("m{n}"), &body), Some(400), "{headers:?}");
        assert_eq!(room.received(1), "", "{headers:?}");
    }
    let both_blocks =
        ADDRESSES.replace("\r\n\r\n", "\r\nContent-Type: text/plain\r\n\r\nContent-Type: image/png\r\n\r\n");
    assert_eq!(send(&mut room, "both", &both_blocks), Some(400));
}

#[test]
fn a_type_that_cannot_be_read_is_taken_by_whoever_takes_everything() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    room.join("carol", Options { accepts: Some("text/plain image/*"), ..Options::default() });
    for (n, value) in
        ["", "text", "text/plain image/png", "text/plain (", "text/plain\rimage/png"].into_iter().enumerate()
    {
        let body = format!("{ADDRESSES}Content-Type: {value}\r\n\r\nx");
        assert_eq!(send(&mut room, &format!("m{n}"), &body), Some(200), "{value:?}");
        assert_eq!(bodies(&room.received_bytes(1)), [body], "{value:?}");
        assert_eq!(room.received(2), "", "{value:?}");
    }
}

#[test]
fn the_type_of_a_send_stands_once() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, "hi");
    let twice = room.message_with(0, "m1", "Content-Type: text/plain\r\n", &body);
    room.send(0, &twice);
    assert_eq!(room.answer(0, "tidm1"), Some(400));
    assert_eq!(room.received(1), "");
    let odd = room.message(0, "m2", &body).replace("message/cpim", "Message/CPIM ;x=\"y;z\"");
    room.send(0, &odd);
    assert_eq!(room.answer(0, "tidm2"), Some(200));
    assert_eq!(bodies(&room.received_bytes(1)), [body]);
    assert_eq!(ROOM_URI, "sip:lobby@example.com", "as the addresses above have it");
}
