//! What becomes of a message that is refused before its end, and of chunks that no message follows (RFC 4975 §10.5).

use std::time::Duration;

use super::fixture::{Fixture, Options, bodies};
use crate::facts::{Command, FailureReport, RoomPolicy};

fn chunk(room: &Fixture, tid: &str, id: &str, start: usize, body: &str, flag: char) -> String {
    let headers = format!("Message-ID: {id}\r\nByte-Range: {start}-*/*\r\nContent-Type: message/cpim\r\n");
    room.chunk(0, tid, "SEND", &headers, Some(body), flag)
}

#[test]
fn chunks_that_follow_a_refusal_are_refused_alike_and_hold_nothing() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let forged = room.to_room(0, "x").replace("alice", "bob");
    for round in 0..40 {
        let id = format!("m{round}");
        let chunks = [
            chunk(&room, "first000", &id, 1, &forged, '+'),
            chunk(&room, "second00", &id, 1 + forged.len(), "more", '+'),
            chunk(&room, "third000", &id, 5 + forged.len(), "more", '$'),
        ];
        room.send(0, &chunks.concat());
        let wire = room.received(0);
        for tid in ["first000", "second00", "third000"] {
            assert!(wire.contains(&format!("MSRP {tid} 403 ")), "round {round}: {wire}");
        }
    }
    assert_eq!(room.switch.held_bytes(), 0);
    let body = room.to_room(0, "in order");
    let (a, b) = body.split_at(20);
    let good = [chunk(&room, "good0000", "m0", 1, a, '+'), chunk(&room, "good0001", "m0", 21, b, '$')].concat();
    room.send(0, &good);
    assert_eq!(bodies(&room.received_bytes(1)), [body], "the same Message-ID may be tried again from its start");
}

#[test]
fn a_private_message_in_chunks_that_nobody_can_take_is_413() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    room.join("bob", Options { max_size: Some(500), ..Options::default() });
    let body = room.cpim(0, "sip:bob@example.com", &"x".repeat(2000));
    let (a, b) = body.split_at(300);
    room.send(0, &chunk(&room, "first000", "m1", 1, a, '+'));
    assert_eq!(room.answer(0, "first000"), Some(200));
    room.send(0, &chunk(&room, "second00", "m1", 301, b, '$'));
    assert_eq!(room.answer(0, "second00"), Some(413));
    assert_eq!(room.received(1), "", "more than it takes, although the chunks did not say so");
}

#[test]
fn an_empty_chunk_may_end_a_message_but_not_over_a_gap() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, "hello");
    room.send(0, &chunk(&room, "first000", "m1", 1, &body, '+'));
    let end = room.chunk(0, "end00000", "SEND", "Message-ID: m1\r\nByte-Range: 1-0/0\r\n", None, '$');
    room.send(0, &end);
    assert_eq!(bodies(&room.received_bytes(1)), std::slice::from_ref(&body));
    let (a, b) = body.split_at(30);
    let gap = [chunk(&room, "second00", "m1", 31, b, '+'), end.clone()].concat();
    room.send(0, &gap);
    assert_eq!(room.received(1), "");
    room.send(0, &chunk(&room, "third000", "m1", 1, a, '+'));
    assert_eq!(bodies(&room.received_bytes(1)), [body]);
}

#[test]
fn positions_at_the_end_of_the_number_range_are_400_and_break_nothing() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    for (range, status) in
        [("18446744073709551615-*/*", 400), ("4611686018427387904-*/*", 413), ("1-*/9999999999", 200)]
    {
        let headers = format!("Message-ID: m1\r\nByte-Range: {range}\r\nContent-Type: message/cpim\r\n");
        let body = "x".repeat(70_000);
        let body = if status == 200 { "From: <" } else { body.as_str() };
        let bytes = room.chunk(0, "edge0000", "SEND", &headers, Some(body), '+');
        room.send(0, &bytes);
        assert_eq!(room.answer(0, "edge0000"), Some(status), "{range}");
    }
}

#[test]
fn a_413_from_one_of_a_relays_sessions_ends_the_message_for_that_one() {
    let policy = RoomPolicy { failure_report: FailureReport::Yes, ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob"]);
    let carol = room.join("carol", Options { shares: Some(1), ..Options::default() });
    let body = room.to_room(0, &"x".repeat(80_000));
    room.send(0, &chunk(&room, "first000", "m1", 1, &body, '+'));
    let wire = room.received(carol);
    let to_carol = format!("To-Path: {}\r\n", room.members[carol].remote);
    let copy = wire.split("MSRP ").find(|copy| copy.contains(&to_carol)).unwrap();
    let tid = copy.split(' ').next().unwrap().to_owned();
    let stop = room.chunk(carol, &tid, "413 Stop", "", None, '$');
    room.send(carol, &stop);
    let wire = room.received(carol);
    assert!(wire.contains(&to_carol) && wire.contains("#\r\n"), "{wire}");
    room.send(0, &chunk(&room, "second00", "m1", 1 + body.len(), "the end", '$'));
    let wire = room.received(carol);
    assert!(!wire.contains(&to_carol) && wire.contains("the end"), "bob, behind the same relay, gets the rest");
}

#[test]
fn a_413_in_a_report_counts_as_one_in_a_response() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, &"x".repeat(80_000));
    room.send(0, &chunk(&room, "first000", "m1", 1, &body, '+'));
    let wire = room.received(1);
    let id = wire.split("Message-ID: ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
    let headers = format!("Message-ID: {id}\r\nByte-Range: 1-100/*\r\nStatus: 000 413 Stop\r\n");
    let report = room.chunk(1, "report00", "REPORT", &headers, None, '$');
    room.send(1, &report);
    assert!(room.received(1).ends_with("#\r\n"));
    assert!(!room.received(0).contains("REPORT"), "what bob reports is for us");
}

#[test]
fn a_trickling_message_goes_out_in_chunks_of_some_size() {
    let mut room = Fixture::new(RoomPolicy { forward_whole_up_to: 1000, ..RoomPolicy::default() }, &["alice", "bob"]);
    let body = room.to_room(0, &"0123456789".repeat(1000));
    let bytes = chunk(&room, "first000", "m1", 1, &body, '$');
    for octet in bytes.as_bytes() {
        room.send_bytes(0, &[*octet]);
    }
    let wire = room.received_bytes(1);
    assert_eq!(bodies(&wire), [body]);
    let chunks = String::from_utf8(wire).unwrap().matches(" SEND\r\n").count();
    assert!(chunks <= 6, "{chunks} chunks");
}

#[test]
fn a_member_on_hold_gets_no_more_of_a_message() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, &"x".repeat(80_000));
    room.send(0, &chunk(&room, "first000", "m1", 1, &body, '+'));
    room.received(1);
    let mut terms = room.terms(1);
    terms.direction.receives = false;
    room.control(Command::ChangeSession { session: room.members[1].session, terms: Box::new(terms) });
    room.send(0, &chunk(&room, "second00", "m1", 1 + body.len(), &"y".repeat(5000), '+'));
    let wire = room.received(1);
    assert!(wire.ends_with("#\r\n") && !wire.contains("yyy"), "{wire}");
}

#[test]
fn a_message_whose_rest_comes_too_late_is_over() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, "hello");
    room.send(0, &chunk(&room, "first000", "m1", 1, &body[..20], '+'));
    room.received(0);
    room.pass(Duration::from_secs(541));
    room.send(0, &chunk(&room, "second00", "m1", 21, &body[20..], '$'));
    assert_eq!(room.answer(0, "second00"), Some(413));
    assert_eq!((room.received(1).as_str(), room.switch.held_bytes()), ("", 0));
}
