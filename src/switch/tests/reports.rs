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
    let range = format!("Message-ID: m1\r\nByte-Range: 1-{0}/{0}\r\nStatus: 000 200 OK\r\n-------", body.len());
    assert!(wire.contains(" REPORT\r\n") && wire.contains(&range), "{wire}");
    assert!(!wire.contains("Content-Type"), "a REPORT to a message to the room has no body: {wire}");
    assert!(!wire.contains("Success-Report:") && !wire.contains("Failure-Report:"), "it asks for none itself: {wire}");
}

#[test]
fn a_report_about_a_private_message_has_its_from_and_to() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.cpim(0, "sip:bob@example.com", "hi");
    let message = room.message_with(0, "m1", "Success-Report: yes\r\n", &body);
    room.send(0, &message);
    let wire = room.received(0);
    let wrapper = "Content-Type: message/cpim\r\n\r\nFrom: <sip:alice@example.com>\r\nTo: <sip:bob@example.com>\r\n\r\n\
        Content-Type: text/plain\r\n\r\n\r\n-------";
    assert!(wire.contains(wrapper), "a wrapper around no text, of a type all the same (RFC 3862 §2.4): {wire}");
    let read = parlor_proto::cpim::parse_complete(bodies(wire.as_bytes())[0].as_bytes())
        .unwrap()
        .content_type()
        .as_deref()
        .map(<[u8]>::to_vec);
    assert_eq!(read.as_deref(), Some(&b"text/plain"[..]));
}

#[test]
fn a_report_goes_back_by_the_path_that_its_request_came_by() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let own = room.members[0].remote.clone();
    let middlebox = own.replace("alice0.example.com:7654", "sbc.example.net:2855");
    assert_ne!(middlebox, own);
    let relayed = format!("msrp://r1.example.net:9/r;tcp msrp://r2.example.net:9/r;tcp {own}");
    let bound = "Message-ID: b\r\nByte-Range: 1-0/0\r\nSuccess-Report: yes\r\n";
    for path in [&middlebox, &relayed, &own] {
        let body = room.to_room(0, "hi");
        let whole = room.message_with(0, "m1", "Success-Report: yes\r\n", &body);
        let empty = room.chunk(0, "tid0bind", "SEND", bound, None, '$');
        for request in [whole, empty] {
            room.send(0, &request.replace(&format!("From-Path: {own}"), &format!("From-Path: {path}")));
            let wire = room.received(0);
            let (answer, report) = wire.split_once("$\r\n").unwrap();
            let first = path.split(' ').next().unwrap();
            assert!(answer.contains(&format!(" 200 OK\r\nTo-Path: {first}\r\n")), "{wire}");
            let to = format!(" REPORT\r\nTo-Path: {path}\r\nFrom-Path: {}\r\n", room.members[0].local);
            assert!(report.contains(&to), "{wire}");
        }
    }
}

#[test]
fn the_report_of_a_message_in_chunks_goes_by_the_path_of_its_last() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let own = room.members[0].remote.clone();
    let moved = format!("msrp://relay.example.net:9/r;tcp {own}");
    let body = room.to_room(0, &"x".repeat(3000));
    for (range, flag, path) in [(0..2000, '+', &own), (2000..body.len(), '$', &moved)] {
        let headers = format!(
            "Message-ID: m1\r\nByte-Range: {}-*/{}\r\nSuccess-Report: yes\r\nContent-Type: message/cpim\r\n",
            range.start + 1,
            body.len()
        );
        let chunk = room.chunk(0, "piece000", "SEND", &headers, Some(&body[range]), flag);
        room.send(0, &chunk.replace(&format!("From-Path: {own}"), &format!("From-Path: {path}")));
    }
    let wire = room.received(0);
    assert!(wire.contains(&format!(" REPORT\r\nTo-Path: {moved}\r\n")), "{wire}");
}

#[test]
fn what_cannot_stand_in_a_path_is_in_no_report() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let own = room.members[0].remote.clone();
    for odd in ["msrp://\u{e9}.example.net:9/r;tcp", "msrp://a\u{7}:9/r;tcp"] {
        let body = room.to_room(0, "hi");
        let message = room.message_with(0, "m1", "Success-Report: yes\r\n", &body);
        room.send(0, &message.replace(&format!("From-Path: {own}"), &format!("From-Path: {odd} {own}")));
        let wire = room.received(0);
        assert!(!wire.contains(odd), "{wire}");
        assert!(wire.contains(&format!(" REPORT\r\nTo-Path: {own}\r\n")), "the path of the SDP serves: {wire}");
    }
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
fn one_timer_serves_all_awaited_responses() {
    let policy = RoomPolicy { failure_report: FailureReport::Yes, ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob"]);
    let mut set = 0;
    for n in 0..100 {
        let body = room.to_room(0, "hi");
        let message = room.message(0, &format!("m{n}"), &body);
        room.send(0, &message);
        let tid = room.received(1).split(' ').nth(1).unwrap().to_owned();
        let answer = room.chunk(1, &tid, "200 OK", "", None, '$');
        room.send(1, &answer);
        room.pass(Duration::from_millis(500));
        set = set.max(room.switch.timers.len());
    }
    assert!(set <= 4, "a connection's for each member, the responses', the load's: {set}");
    assert_eq!(room.switch.counters().recipient_timeouts, 0);
}

#[test]
fn reports_and_stray_responses_are_never_answered() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let headers = "Message-ID: x\r\nByte-Range: 1-2/2\r\nStatus: 000 400 no\r\n";
    for request in
        [room.chunk(0, "rep00001", "REPORT", headers, None, '$'), room.chunk(0, "zzzz0001", "200 OK", "", None, '$')]
    {
        room.send(0, &request);
        assert_eq!((room.received(0).as_str(), room.received(1).as_str()), ("", ""), "nor passed on");
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

#[test]
fn a_message_in_chunks_is_reported_once_it_is_whole() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, &"x".repeat(5000));
    let len = body.len();
    for (start, end, flag) in [(0, 2500, '+'), (2500, len, '$')] {
        let headers = format!(
            "Message-ID: m1\r\nByte-Range: {}-*/{len}\r\nSuccess-Report: yes\r\nContent-Type: message/cpim\r\n",
            start + 1
        );
        let chunk = room.chunk(0, "piece000", "SEND", &headers, Some(&body[start..end]), flag);
        room.send(0, &chunk);
        let wire = room.received(0);
        assert!(wire.starts_with("MSRP piece000 200 OK\r\n"), "{wire}");
        assert_eq!(wire.matches(" REPORT\r\n").count(), usize::from(flag == '$'), "{wire}");
        assert_eq!(wire.contains(&format!("Byte-Range: 1-{len}/{len}\r\nStatus: 000 200 OK\r\n")), flag == '$');
    }
}

#[test]
fn who_does_not_ask_for_success_reports_gets_none() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    for report_wanted in ["", "Success-Report: no\r\n"] {
        let body = room.to_room(0, "hi");
        let message = room.message_with(0, "m1", report_wanted, &body);
        room.send(0, &message);
        let wire = room.received(0);
        assert!(wire.contains("200 OK") && !wire.contains("REPORT"), "{wire}");
    }
}

#[test]
fn a_408_is_as_good_as_no_answer() {
    let policy = RoomPolicy { failure_report: FailureReport::Yes, ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob"]);
    for (status, timeouts, errors) in [("408 Late", 1, 0), ("481 Gone", 1, 1)] {
        let body = room.to_room(0, "hi");
        let message = room.message(0, "m1", &body);
        room.send(0, &message);
        let tid = room.received(1).split(' ').nth(1).unwrap().to_owned();
        let answer = room.chunk(1, &tid, status, "", None, '$');
        room.send(1, &answer);
        let counters = room.switch.counters();
        assert_eq!((counters.recipient_timeouts, counters.recipient_errors), (timeouts, errors), "{status}");
    }
}

#[test]
fn a_send_is_answered_to_the_first_of_its_path_and_others_to_all_of_it() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let own = room.members[0].remote.clone();
    let path = format!("msrp://relay.example.com:9/r;tcp {own}");
    let body = room.to_room(0, "hi");
    let send = room.message(0, "m1", &body);
    let nickname = room.chunk(0, "nick0001", "NICKNAME", "Use-Nickname: \"Ally\"\r\n", None, '$');
    for (request, to) in [(send, "msrp://relay.example.com:9/r;tcp"), (nickname, path.as_str())] {
        room.send(0, &request.replace(&format!("From-Path: {own}"), &format!("From-Path: {path}")));
        let wire = room.received(0);
        assert!(
            wire.contains(&format!(" 200 OK\r\nTo-Path: {to}\r\nFrom-Path: {}\r\n", room.members[0].local)),
            "{wire}"
        );
    }
}

#[test]
fn a_wrapper_too_large_for_a_report_is_left_out() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    for (len, wrapped) in [(5000, true), (10_300, false)] {
        let name = format!("From: \"{}\" <", "x".repeat(len));
        let body = room.cpim(0, "sip:bob@example.com", "hi").replacen("From: <", &name, 1);
        let message = room.message_with(0, "m1", "Success-Report: yes\r\n", &body);
        room.send(0, &message);
        let wire = room.received(0);
        assert!(wire.contains(" REPORT\r\n"), "{wire}");
        assert_eq!(wire.contains(&name), wrapped);
    }
}
