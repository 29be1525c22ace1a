//! Which requests belong to which session, on which connection (RFC 4975 §5.4, §7.3).

use std::time::Duration;

use super::fixture::{Fixture, Options, bodies};
use crate::facts::{Command, EndReason, Event, RoomPolicy, Terms};
use parlor_proto::msrp::Path;

#[test]
fn an_unknown_session_is_481_and_one_bound_elsewhere_506() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let stolen = room.chunk(0, "steal001", "SEND", "Message-ID: x\r\n", None, '$');
    room.send(1, &stolen);
    assert_eq!(room.answer(1, "steal001"), Some(506));
    let unknown = stolen.replace(&room.members[0].session.to_string(), &"0".repeat(36));
    room.send(1, &unknown);
    assert_eq!(room.answer(1, "steal001"), Some(481));
    let forged = stolen.replace("alice0.example.com:7654/s0", "mallory.example.com:7654/s9");
    room.send(0, &forged);
    assert_eq!(room.answer(0, "steal001"), Some(481), "another From-Path than that of the SDP");
}

#[test]
fn without_an_answer_wanted_there_is_none() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let stolen = room.chunk(0, "steal001", "SEND", "Message-ID: x\r\nFailure-Report: no\r\n", None, '$');
    room.send(1, &stolen);
    assert_eq!(room.received(1), "");
}

#[test]
fn unknown_methods_are_501_and_the_connection_goes_on() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    for method in ["AUTH", "FILE_OFFSET", "DANCE"] {
        let request = room.chunk(0, "odd00001", method, "X-Odd: 1\r\n", Some("body"), '$');
        room.send(0, &request);
        assert_eq!(room.answer(0, "odd00001"), Some(501), "{method}");
    }
    let body = room.to_room(0, "still here");
    let message = room.message(0, "m1", &body);
    room.send(0, &message);
    assert_eq!(bodies(&room.received_bytes(1)), [body]);
}

#[test]
fn an_empty_send_keeps_alive_and_is_forwarded_to_nobody() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    for headers in
        ["Message-ID: k\r\nByte-Range: 1-0/0\r\nKeep-Alive: yes\r\nSuccess-Report: no\r\n", "Message-ID: k\r\n"]
    {
        let alive = room.chunk(0, "alive001", "SEND", headers, None, '$');
        room.send(0, &alive);
        let answer = room.received(0);
        assert!(answer.starts_with("MSRP alive001 200 OK") && !answer.contains("REPORT"), "{answer}");
        assert_eq!(room.received(1), "");
    }
}

#[test]
fn an_empty_send_is_reported_where_that_is_wished() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let report_wanted = "Message-ID: k\r\nByte-Range: 1-0/0\r\nSuccess-Report: yes\r\n";
    let report = " REPORT\r\n";
    for (headers, flag, body, answers, reports) in [
        (report_wanted.to_owned(), '$', None, 1, 1),
        (report_wanted.to_owned(), '$', Some(""), 1, 1),
        (report_wanted.replace("Byte-Range: 1-0/0\r\n", ""), '$', None, 1, 1),
        (format!("{report_wanted}Failure-Report: no\r\n"), '$', None, 0, 1),
        (format!("{report_wanted}Failure-Report: partial\r\n"), '$', None, 0, 1),
        (report_wanted.to_owned(), '#', None, 1, 0),
        (report_wanted.to_owned(), '+', None, 1, 0),
    ] {
        let alive = room.chunk(0, "alive001", "SEND", &headers, body, flag);
        room.send(0, &alive);
        let wire = room.received(0);
        assert_eq!(wire.matches("MSRP alive001 200 OK\r\n").count(), answers, "{headers} {flag}: {wire}");
        assert_eq!(wire.matches(report).count(), reports, "{headers} {flag}: {wire}");
        let about = "Message-ID: k\r\nByte-Range: 1-0/0\r\nStatus: 000 200 OK\r\n-------";
        assert_eq!(wire.matches(about).count(), reports, "{wire}");
        assert_eq!(room.received(1), "");
    }
}

#[test]
fn an_empty_chunk_reports_no_message_that_was_refused() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let headers = "Message-ID: m\r\nByte-Range: 1-*/*\r\nSuccess-Report: yes\r\nContent-Type: text/plain\r\n";
    let refused = room.chunk(0, "begin001", "SEND", headers, Some("no wrapper"), '+');
    room.send(0, &refused);
    assert_eq!(room.answer(0, "begin001"), Some(415));
    let end = room.chunk(0, "end00001", "SEND", "Message-ID: m\r\nSuccess-Report: yes\r\n", None, '$');
    room.send(0, &end);
    assert!(!room.received(0).contains("REPORT"), "it did not arrive");
    room.send(0, &end);
    assert!(room.received(0).contains("REPORT"), "and this one is a message of its own");
}

#[test]
fn the_empty_end_of_a_message_may_ask_for_its_report() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, "all of it");
    let headers = format!("Message-ID: m\r\nByte-Range: 1-*/{}\r\nContent-Type: message/cpim\r\n", body.len());
    let begin = room.chunk(0, "begin001", "SEND", &headers, Some(&body), '+');
    let end = room.chunk(0, "end00001", "SEND", "Message-ID: m\r\nSuccess-Report: yes\r\n", None, '$');
    room.send(0, &(begin + &end));
    let wire = room.received(0);
    assert!(wire.contains(&format!("Byte-Range: 1-{0}/{0}\r\nStatus: 000 200 OK\r\n", body.len())), "{wire}");
    assert_eq!(bodies(&room.received_bytes(1)), [body]);
}

#[test]
fn an_empty_line_without_a_type_before_it_is_no_body() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let keep_alive = "Message-ID: k\r\nByte-Range: 1-0/0\r\n";
    let plain = room.chunk(0, "alive001", "SEND", keep_alive, None, '$');
    let one = plain.replace("-------", "\r\n-------");
    let two = plain.replace("-------", "\r\n\r\n-------");
    for alive in [one.clone(), two.clone(), one + &two + &plain] {
        room.send(0, &alive);
        let wire = room.received(0);
        assert_eq!(wire.matches(" 200 ").count(), alive.matches(" SEND").count(), "{wire}");
    }
    let typed = room.chunk(0, "typed001", "SEND", &format!("{keep_alive}Content-Type: text/plain\r\n"), Some(""), '$');
    room.send(0, &typed);
    assert_eq!(room.answer(0, "typed001"), Some(415), "with a type it is a message that says nothing");
    let untyped = room.chunk(0, "bodied01", "SEND", keep_alive, Some("x"), '$');
    room.send(0, &untyped);
    assert_eq!(room.answer(0, "bodied01"), Some(415));
    assert_eq!(room.received(1), "");
}

#[test]
fn what_cannot_stand_in_a_path_is_not_sent_back() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let chunk = room.chunk(0, "wrong001", "SEND", "Message-ID: k\r\n", None, '$');
    for part in ["\u{e9}", "a\tb", "a\u{7}"] {
        room.send(0, &chunk.replace("/s0;tcp", &format!("/{part};tcp")));
        assert_eq!(room.received(0), "", "{part:?}");
    }
    room.send(0, &chunk.replace("/s0;tcp", "/other;tcp"));
    assert_eq!(room.answer(0, "wrong001"), Some(481));
}

#[test]
fn several_sessions_on_one_connection_get_a_transaction_id_each() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    room.join("carol", Options { shares: Some(1), ..Options::default() });
    room.join("dave", Options { shares: Some(1), ..Options::default() });
    let body = room.to_room(0, "to a relay");
    let message = room.message(0, "m1", &body);
    room.send(0, &message);
    let wire = room.received(1);
    let mut tids: Vec<_> = wire.split("MSRP ").skip(1).map(|chunk| chunk.split(' ').next().unwrap()).collect();
    assert_eq!(tids.len(), 3, "{wire}");
    tids.sort_unstable();
    tids.dedup();
    assert_eq!(tids.len(), 3, "each its own");
    let session = room.members[2].session;
    room.control(Command::CloseSession { session });
    assert_eq!(room.next_close(), None, "the others still need the connection");
}

#[test]
fn sessions_fail_with_their_connection() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let session = room.members[1].session;
    room.close(1);
    assert!(room.events.contains(&Event::SessionEnded { session, why: EndReason::ConnectionLost }));
    let body = room.cpim(0, "sip:bob@example.com", "gone?");
    let message = room.message(0, "p1", &body);
    room.send(0, &message);
    assert_eq!(room.answer(0, "tidp1"), Some(404));
}

#[test]
fn what_is_not_msrp_ends_its_own_connection_only() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let session = room.members[0].session;
    room.send(0, "HTTP/1.1 200 OK\r\n\r\n");
    assert!(room.events.contains(&Event::SessionEnded { session, why: EndReason::ProtocolError }));
    assert_eq!(room.next_close(), Some(room.members[0].connection));
    assert_eq!(room.next_close(), None);
}

#[test]
fn a_connection_that_binds_nothing_is_closed() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let stranger = room.connect();
    let late = room.negotiate("bob", &Options::default());
    let session = room.members[late].session;
    room.control(Command::ExpectBinding { session });
    room.pass(Duration::from_secs(29));
    assert_eq!(room.next_close(), None);
    room.pass(Duration::from_secs(2));
    let closing: Vec<_> = std::iter::from_fn(|| room.next_close()).collect();
    assert!(closing.contains(&stranger) && !closing.contains(&room.members[0].connection));
    assert!(room.events.contains(&Event::SessionEnded { session, why: EndReason::BindTimeout }));
}

#[test]
fn a_drained_switch_lets_what_waits_go_out_first() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, "last words");
    let message = room.message(0, "m1", &body);
    room.send(0, &message);
    for member in [0, 1] {
        let session = room.members[member].session;
        room.control(Command::CloseSession { session });
    }
    room.control(Command::Drain);
    assert_eq!(room.next_close(), None, "something waits for both");
    assert_eq!(bodies(&room.received_bytes(1)), [body]);
    assert_eq!(room.next_close(), Some(room.members[1].connection));
}

#[test]
fn who_was_called_may_bind_before_the_answer_is_known_and_takes_part_once_it_is() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let bob = room.negotiate("bob", &Options { unanswered: true, ..Options::default() });
    let session = room.members[bob].session;
    room.events.clear();
    room.bind(bob);
    assert_eq!(room.events, [], "it has a connection, but no terms");
    let body = room.to_room(0, "too early for bob");
    let message = room.message(0, "m1", &body);
    room.send(0, &message);
    assert_eq!(room.received(bob), "");
    let remote = Path::parse(room.members[bob].remote.as_bytes()).unwrap();
    let terms = Terms { remote, ..room.terms(bob) };
    room.control(Command::ChangeSession { session, terms: Box::new(terms) });
    assert_eq!(room.events, [Event::SessionBound { session }, Event::SessionChanged { session }]);
    let body = room.to_room(0, "in time");
    let message = room.message(0, "m2", &body);
    room.send(0, &message);
    assert_eq!(bodies(&room.received_bytes(bob)).last(), Some(&body), "behind the notice of where it is");
}

#[test]
fn who_binds_early_and_is_not_who_answers_is_turned_out() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let bob = room.negotiate("bob", &Options { unanswered: true, ..Options::default() });
    let session = room.members[bob].session;
    room.bind(bob);
    room.events.clear();
    let remote = Path::parse(b"msrp://elsewhere.example.com:7654/another;tcp").unwrap();
    let terms = Terms { remote, ..room.terms(bob) };
    room.control(Command::ChangeSession { session, terms: Box::new(terms) });
    room.control(Command::ExpectBinding { session });
    assert_eq!(room.events, [Event::SessionChanged { session }]);
    room.pass(Duration::from_secs(31));
    assert_eq!(room.events.last(), Some(&Event::SessionEnded { session, why: EndReason::BindTimeout }));
}
