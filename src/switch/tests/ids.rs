//! Message-IDs on the way out: one for each message, whatever ids clients use (RFC 4975 §7.1.1).

use std::collections::HashSet;

use super::fixture::{Fixture, Options, bodies};
use crate::facts::{Command, RoomPolicy};

/// The Message-IDs in what was received, chunk by chunk.
fn ids(wire: &str) -> Vec<&str> {
    wire.split("Message-ID: ").skip(1).map(|rest| rest.split("\r\n").next().unwrap()).collect()
}

/// Octets `range` of a message under the id `1`.
fn piece(room: &Fixture, at: usize, body: &str, range: std::ops::Range<usize>) -> String {
    let total = body.len();
    let flag = if range.end == total { '$' } else { '+' };
    let headers =
        format!("Message-ID: 1\r\nByte-Range: {}-*/{total}\r\nContent-Type: message/cpim\r\n", range.start + 1);
    room.chunk(at, "piece001", "SEND", &headers, Some(&body[range]), flag)
}

#[test]
fn two_devices_that_use_one_id_at_a_time_send_two_messages() {
    for len in [3000, 200_000] {
        let mut room = Fixture::new(RoomPolicy::default(), &["alice", "alice", "bob"]);
        let texts = ["a", "b"].map(|letter| room.to_room(0, &letter.repeat(len)));
        let total = texts[0].len();
        let mut wire = Vec::new();
        for start in (0..total).step_by(total / 4 + 1) {
            for (at, text) in texts.iter().enumerate() {
                let chunk = piece(&room, at, text, start..total.min(start + total / 4 + 1));
                room.send(at, &chunk);
                wire.extend(room.received_bytes(2));
            }
        }
        let mut got = bodies(&wire);
        got.sort();
        assert_eq!(got, texts, "each whole, under an id of its own");
        assert_eq!(ids(&String::from_utf8(wire).unwrap()).into_iter().collect::<HashSet<_>>().len(), 2);
    }
}

#[test]
fn reused_message_ids_are_new_messages() {
    let mut room = Fixture::new(RoomPolicy::default(), &["bob", "alice"]);
    let mut seen = HashSet::new();
    let mut say = |room: &mut Fixture, at: usize, text: &str| {
        let body = room.to_room(at, text);
        let message = room.message(at, "1", &body);
        room.send(at, &message);
        let wire = room.received(0);
        let [id] = ids(&wire)[..] else { panic!("one message: {wire}") };
        assert!(id.len() == 24 && id.bytes().all(|octet| octet.is_ascii_hexdigit()), "96 bits: {id}");
        assert!(seen.insert(id.to_owned()), "{text}");
    };
    say(&mut room, 1, "one");
    say(&mut room, 1, "two");
    let session = room.members[1].session;
    room.control(Command::CloseSession { session });
    let again = room.join("alice", Options::default());
    say(&mut room, again, "three");
    say(&mut room, again, "one");
}

#[test]
fn all_recipients_and_all_chunks_of_a_message_have_one_id() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol"]);
    let body = room.to_room(0, &"x".repeat(100_000));
    let mut wire = [String::new(), String::new()];
    for start in [0, 40_000, 80_000] {
        let chunk = piece(&room, 0, &body, start..body.len().min(start + 40_000));
        room.send(0, &chunk);
        for (at, wire) in wire.iter_mut().enumerate() {
            wire.push_str(&room.received(at + 1));
        }
    }
    let all: HashSet<_> = wire.iter().flat_map(|wire| ids(wire)).collect();
    assert!(ids(&wire[0]).len() > 1 && all.len() == 1, "{all:?}");
}
