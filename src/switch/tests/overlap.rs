//! Octets that come again and otherwise: while nothing has gone out the last to come count (RFC 4975 §7.3.1), and what was decided
//! by those before is decided anew.

use super::fixture::{Fixture, Options, ROOM_URI, bodies};
use crate::facts::RoomPolicy;

/// A chunk of the first member that begins at `start`, counted from 0.
fn chunk(room: &Fixture, start: usize, total: &str, octets: &str, flag: char) -> String {
    let headers = format!(
        "Message-ID: m\r\nByte-Range: {}-*/{total}\r\nSuccess-Report: yes\r\nContent-Type: message/cpim\r\n",
        start + 1
    );
    room.chunk(0, "again001", "SEND", &headers, Some(octets), flag)
}

/// Sends a chunk, and answers the status.
fn send(room: &mut Fixture, start: usize, octets: &str, flag: char) -> Option<u16> {
    let chunk = chunk(room, start, "*", octets, flag);
    room.send(0, &chunk);
    room.answer(0, "again001")
}

#[test]
fn the_last_octets_count_before_the_wrapper_is_complete_behind_it_and_behind_a_gap() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, &"a".repeat(3000));
    let len = body.len();
    assert_eq!(send(&mut room, 0, &body[..20].replace('a', "b").replace("From", "Form"), '+'), Some(200));
    // Over the end of those headers, text that is held, text behind a gap.
    for (start, end) in [(10, 1000), (500, 800), (1500, 2000), (1600, 1900)] {
        let wrong = body[start..end].replace("aa", "bb");
        assert_eq!(send(&mut room, start, &wrong, '+'), Some(200), "{start}");
    }
    for (start, end, flag) in [(1550, 2000, '+'), (0, 900, '+'), (700, 1600, '+'), (2000, len, '$')] {
        assert_eq!(room.received(1), "");
        assert_eq!(send(&mut room, start, &body[start..end], flag), Some(200));
    }
    assert_eq!(bodies(&room.received_bytes(1)), [body]);
    assert_eq!(room.switch.held_bytes(), 0);
}

#[test]
fn a_sender_is_not_changed_once_it_was_looked_at() {
    for (old, new, status) in [
        ("sip:alice@example.com", "sip:carol@example.com", 403),
        ("From: <sip:alice", "Form: <sip:alice", 400),
        ("lobby@example.com", "nobod@example.com", 404),
        ("text/plain", "image/webp", 415),
    ] {
        let policy = RoomPolicy { wrapped_types: vec!["text/plain".into()], ..RoomPolicy::default() };
        let mut room = Fixture::new(policy, &["alice", "bob", "carol"]);
        let body = room.to_room(0, "hello, all of you");
        assert_eq!(send(&mut room, 0, &body, '+'), Some(200), "its headers are complete");
        assert_eq!(send(&mut room, body.find(old).unwrap(), new, '+'), Some(200));
        let end = send(&mut room, body.len() - 3, "you", '$');
        assert_eq!(end, Some(status), "{new}");
        assert_eq!((room.received(1), room.received(2)), (String::new(), String::new()), "{new}");
    }
}

#[test]
fn a_new_address_is_the_one_that_counts() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol"]);
    let private = room.cpim(0, "sip:carol@example.com", "between us");
    let public = private.replace("carol@example.com", "lobby@example.com");
    for (first, last) in [(&public, &private), (&private, &public)] {
        assert_eq!(send(&mut room, 0, first, '+'), Some(200));
        room.send(0, &chunk(&room, 0, "*", last, '$'));
        let wire = room.received(0);
        assert_eq!(wire.contains("To: <sip:carol@example.com>"), last == &private, "and the REPORT says so: {wire}");
        assert_eq!(bodies(&room.received_bytes(1)).len(), usize::from(last == &public));
        assert_eq!(bodies(&room.received_bytes(2)), std::slice::from_ref(last));
    }
}

#[test]
fn other_headers_may_come_in_pieces_of_any_size() {
    for cut in [1, 7, 50] {
        let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
        let old = room.to_room(0, "hello");
        let new = format!("DateTime: 2026-01-01T00:00:00Z\r\n{}", room.to_room(0, "hello again"));
        assert_eq!(send(&mut room, 0, &old, '+'), Some(200));
        let wire = chunk(&room, 0, "*", &new, '$');
        for part in wire.as_bytes().chunks(cut) {
            room.send_bytes(0, part);
        }
        assert_eq!(room.answer(0, "again001"), Some(200), "what is half old and half new is not looked at");
        assert_eq!(bodies(&room.received_bytes(1)), [new]);
    }
}

#[test]
fn an_identical_retransmission_changes_nothing() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, "hello");
    assert_eq!(send(&mut room, 0, &body, '+'), Some(200));
    let late = room.join("late", Options::default());
    assert_eq!(send(&mut room, 0, &body, '$'), Some(200));
    assert_eq!(bodies(&room.received_bytes(1)), [body]);
    assert_eq!(room.received(late), "", "who came later gets nothing of it");
}

#[test]
fn what_has_gone_out_stays() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol"]);
    let body = room.to_room(0, &"x".repeat(200_000));
    let total = body.len().to_string();
    room.send(0, &chunk(&room, 0, &total, &body[..100_000], '+'));
    assert_eq!(room.answer(0, "again001"), Some(200));
    let forged = body[..100_000].replace("alice", "carol").replace(ROOM_URI, "sip:carol@example.com");
    room.send(0, &chunk(&room, 0, &total, &forged[..100_000], '+'));
    room.send(0, &chunk(&room, 100_000, &total, &body[100_000..], '$'));
    for at in [1, 2] {
        assert!(bodies(&room.received_bytes(at)) == [body.as_str()], "as it was checked");
    }
}

#[test]
fn a_message_that_grows_large_is_looked_at_anew_before_it_flows() {
    let policy = || RoomPolicy { forward_whole_up_to: 4000, ..RoomPolicy::default() };
    for (old, new, status) in [("sip:alice", "sip:carol", 403), ("hello", "HELLO", 200)] {
        let mut room = Fixture::new(policy(), &["alice", "bob", "carol"]);
        let body = room.to_room(0, &format!("hello{}", "x".repeat(8000)));
        let end = body.len() - 1000;
        assert_eq!(send(&mut room, 0, &body[..1000], '+'), Some(200));
        assert_eq!(send(&mut room, body.find(old).unwrap(), new, '+'), Some(200));
        assert_eq!(send(&mut room, 1000, &body[1000..end], '+'), Some(status), "{new}");
        let mut wire = room.received_bytes(1);
        assert_eq!(wire.is_empty(), status == 403);
        assert_eq!(send(&mut room, end, &body[end..], '$'), Some(status));
        wire.extend(room.received_bytes(1));
        let expected = if status == 200 { vec![body.replacen(old, new, 1)] } else { vec![] };
        assert!(bodies(&wire) == expected);
        assert_eq!(room.switch.held_bytes(), 0);
    }
}
