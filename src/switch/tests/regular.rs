//! Messages to the room (RFC 7701 §6.1, §6.3).

use super::fixture::{Fixture, ROOM_URI, bodies};
use crate::facts::RoomPolicy;

#[test]
fn a_message_goes_to_everybody_but_its_sender_unchanged() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol"]);
    let body = room.to_room(0, "Hello guys, how are you today?");
    let message = room.message(0, "99s9s2", &body);
    room.send(0, &message);
    let answer = room.received(0);
    assert!(answer.starts_with("MSRP tid99s9s2 200 OK\r\n"), "{answer}");
    assert!(bodies(answer.as_bytes()).is_empty(), "no copy to the sender");
    for member in [1, 2] {
        let wire = room.received(member);
        assert_eq!(bodies(wire.as_bytes()), std::slice::from_ref(&body));
        let seat = &room.members[member];
        assert!(wire.contains(&format!("To-Path: {}\r\nFrom-Path: {}\r\n", seat.remote, seat.local)), "{wire}");
        assert!(wire.contains(&format!("Byte-Range: 1-{0}/{0}\r\n", body.len())), "{wire}");
        assert!(wire.contains("Failure-Report: no\r\n"), "{wire}");
    }
}

#[test]
fn wrong_wrappers_are_refused_before_anything_goes_out() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let text = "\r\nContent-Type: text/plain\r\n\r\nx";
    let cases = [
        ("forged", format!("From: <sip:bob@example.com>\r\nTo: <{ROOM_URI}>\r\n{text}"), 403),
        ("nofrom", format!("To: <{ROOM_URI}>\r\n{text}"), 400),
        ("nobody", format!("From: <sip:alice@example.com>\r\n{text}"), 400),
        (
            "several",
            format!("From: <sip:alice@example.com>\r\nTo: <{ROOM_URI}>\r\nTo: <sip:bob@example.com>\r\n{text}"),
            403,
        ),
        ("unknown", format!("From: <sip:alice@example.com>\r\nTo: <sip:dave@example.com>\r\n{text}"), 404),
        ("mistyped", format!("From: <sip:alice@example.com>\r\nTo: <nonsense>\r\n{text}"), 404),
        (
            "twofroms",
            format!("From: <sip:alice@example.com>\r\nFrom: <sip:alice@example.com>\r\nTo: <{ROOM_URI}>\r\n{text}"),
            400,
        ),
    ];
    for (id, body, status) in cases {
        let message = room.message(0, id, &body);
        room.send(0, &message);
        assert_eq!(room.answer(0, &format!("tid{id}")), Some(status), "{id}");
        assert_eq!(room.received(1), "", "{id}");
    }
}

#[test]
fn headers_that_nobody_knows_are_passed_over() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, "hi");
    let message = room.message_with(0, "m1", "X-Odd: 1\r\nExpires: never\r\n", &body);
    room.send(0, &message);
    assert_eq!(room.answer(0, "tidm1"), Some(200));
    let wire = room.received(1);
    assert_eq!(bodies(wire.as_bytes()), [body]);
    assert!(!wire.contains("X-Odd"), "{wire}");
}

#[test]
fn what_a_wrapper_requires_is_for_its_recipients() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let extra = "NS: x <urn:example:x>\r\nRequire: x.Vital\r\nx.Vital: 1\r\nDateTime: 2026-01-02T03:04:05Z\r\ncc: <sip:carol@example.com>\r\n";
    let body = room.to_room(0, "hi").replacen("\r\n\r\n", &format!("\r\n{extra}\r\n"), 1);
    let message = room.message(0, "m1", &body);
    room.send(0, &message);
    assert_eq!(bodies(&room.received_bytes(1)), [body]);
}
