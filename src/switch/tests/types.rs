//! Who gets a message of which type (RFC 4975 §8.6).

use super::fixture::{Fixture, Options, ROOM_URI, bodies};
use crate::facts::{Command, RoomPolicy, Terms};
use crate::limits::SHARED_TYPE_LISTS_MAX;
use parlor_proto::sdp::AcceptTypes;

fn wrapped(content_type: &str, to: &str, text: &str) -> String {
    format!("From: <sip:alice@example.com>\r\nTo: <{to}>\r\n\r\nContent-Type: {content_type}\r\n\r\n{text}")
}

#[test]
fn a_type_that_cannot_be_read_reaches_only_who_takes_everything() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    room.join("carol", Options { accepts: Some("text/plain"), ..Options::default() });
    for (n, to, status) in [(1, ROOM_URI, 200), (2, "sip:carol@example.com", 415), (3, "sip:bob@example.com", 200)] {
        let body = wrapped("text/\u{1}pl\u{e6}in", to, "what am I?").into_bytes();
        let headers = format!("Message-ID: m{n}\r\nContent-Type: message/cpim\r\n");
        let text = room.chunk(0, &format!("tid0000{n}"), "SEND", &headers, Some("BODY"), '$');
        let (before, after) = text.split_once("BODY").unwrap();
        // æ in Latin-1: not even UTF-8.
        let latin: Vec<u8> = String::from_utf8(body).unwrap().chars().map(|c| c as u8).collect();
        room.send_bytes(0, &[before.as_bytes(), &latin, after.as_bytes()].concat());
        assert_eq!(room.answer(0, &format!("tid0000{n}")), Some(status), "{to}");
        assert_eq!(room.received_bytes(2), b"", "she takes text/plain alone");
        assert_eq!(room.received_bytes(1).is_empty(), status == 415);
    }
}

#[test]
fn however_often_a_member_changes_its_list_it_has_one() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let bob = room.join("bob", Options { accepts: Some("text/plain"), ..Options::default() });
    let session = room.members[bob].session;
    for n in 0..3 * SHARED_TYPE_LISTS_MAX {
        let list = Some(AcceptTypes::parse(&format!("x/y{n}")));
        let terms = Terms { accept_wrapped_types: list, ..room.terms(bob) };
        room.control(Command::ChangeSession { session, terms: Box::new(terms) });
    }
    let last = 3 * SHARED_TYPE_LISTS_MAX - 1;
    for (n, kind, taken) in [(1, format!("x/y{}", last - 1), false), (2, format!("x/y{last}"), true)] {
        let body = wrapped(&kind, ROOM_URI, "hi");
        let message = room.message(0, &format!("m{n}"), &body);
        room.send(0, &message);
        assert_eq!(!bodies(&room.received_bytes(bob)).is_empty(), taken, "{kind}");
    }
}

#[test]
fn with_more_lists_than_are_shared_nobody_is_sent_what_it_refuses() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let list = |n: usize| -> &'static str { format!("x/y{n}").leak() };
    let count = SHARED_TYPE_LISTS_MAX + 2;
    let members: Vec<_> = (0..count)
        .map(|n| room.join(&format!("m{n}"), Options { accepts: Some(list(n)), ..Options::default() }))
        .collect();
    for n in [0, SHARED_TYPE_LISTS_MAX - 1, SHARED_TYPE_LISTS_MAX, count - 1] {
        let body = wrapped(list(n), ROOM_URI, "hi");
        let message = room.message(0, &format!("m{n}"), &body);
        room.send(0, &message);
        for (other, at) in members.iter().enumerate() {
            assert_eq!(bodies(&room.received_bytes(*at)).len(), usize::from(other == n), "{n} {other}");
        }
    }
}
