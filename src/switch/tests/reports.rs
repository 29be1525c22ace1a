//! Responses and REPORTs (RFC 4975 §7.1–7.2, RFC 7701 §6.2–6.3).

use std::time::Duration;

use super::fixture::{Fixture, bodies};
use crate::facts::{FailureReport, RoomPolicy};

#[test]
fn a_success_report_names_the_message_and_its_true_length() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, "hi");
    let message = room.message_with(0, "m1", "Success-Report: yes\r\n", &body);
    room.send(0, &message);
    let wire = room.received(0);
    let range = format!("Message-ID: m1\r\nByte-Range: 1-{0}/{0}\r\nStatus: 000 200 OK\r\n", body.len());
    assert!(wire.contains(" REPORT\r\n") && wire.contains(&range), "{wire}");
    assert!(!wire.contains("Content-Type"), "a REPORT to a message to the room has no body: {wire}");
}

#[test]
fn a_report_about_a_private_message_has_its_from_and_to() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.cpim(0, "sip:bob@example.com", "hi");
    let message = room.message_with(0, "m1", "Success-Report: yes\r\n", &body);
    room.send(0, &message);
    let wire = room.received(0);
    let wrapper = "Content-Type: message/cpim\r\n\r\nFrom: <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\n";
    assert!(wire.contains(wrapper), "{wire}");
}

#[test]
fn failure_report_no_and_partial_are_kept() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let (good, bad) = (room.to_room(0, "hi"), room.cpim(0, "sip:nobody@example.com", "hi"));
    for (report, to_good, to_bad) in [("yes", Some(200), Some(404)), ("partial", None, Some(404)), ("no", None, None)] {
        for (body, expected) in [(&good, to_good), (&bad, to_bad)] {
            let message = room.message_with(0, "m1", &format!("Failure-Report: {report}\r\n"), body);
            room.send(0, &message);
            assert_eq!(room.answer(0, "tidm1"), expected, "{report}");
        }
    }
}

#[test]
fn what_is_no_cpim_is_415() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let message = room.chunk(0, "plain001", "SEND", "Message-ID: m\r\nContent-Type: text/plain\r\n", Some("hi"), '$');
    room.send(0, &message);
    assert_eq!(room.answer(0, "plain001"), Some(415));
    assert_eq!(room.received(1), "");
}

#[test]
fn copies_ask_for_what_the_room_wants_and_missing_answers_are_counted() {
    let policy = RoomPolicy { failure_report: FailureReport::Yes, ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob", "carol"]);
    let body = room.to_room(0, "hi");
    let message = room.message(0, "m1", &body);
    room.send(0, &message);
    let wire = room.received(1);
    assert!(!wire.contains("Failure-Report"), "yes is what a missing header means: {wire}");
    let tid = wire.split(' ').nth(1).unwrap().to_owned();
    let answer = room.chunk(1, &tid, "200 OK", "", None, '$');
    room.send(1, &answer);
    room.pass(Duration::from_secs(31));
    let counters = room.switch.counters();
    assert_eq!((counters.recipient_timeouts, counters.stray_responses), (1, 0));
}

#[test]
fn reports_and_stray_responses_are_never_answered() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let headers = "Message-ID: x\r\nByte-Range: 1-2/2\r\nStatus: 000 400 no\r\n";
    for request in
        [room.chunk(0, "rep00001", "REPORT", headers, None, '$'), room.chunk(0, "zzzz0001", "200 OK", "", None, '$')]
    {
        room.send(0, &request);
        assert_eq!(room.received(0), "");
    }
}

#[test]
fn byte_ranges_that_count_characters_are_put_right() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, "whole æøå message");
    let chars = body.chars().count();
    let headers = format!("Message-ID: m1\r\nByte-Range: 1-{chars}/{chars}\r\nContent-Type: message/cpim\r\n");
    let message = room.chunk(0, "chars001", "SEND", &headers, Some(&body), '$');
    room.send(0, &message);
    let wire = room.received(1);
    assert_eq!(bodies(wire.as_bytes()), std::slice::from_ref(&body));
    assert!(wire.contains(&format!("Byte-Range: 1-{0}/{0}\r\n", body.len())), "{wire}");
}
