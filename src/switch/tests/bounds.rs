//! What a shard holds for its members, and for how long (RFC 4975 §7.3.1, RFC 7701 §6.1).

use std::time::Duration;

use super::fixture::Fixture;
use crate::facts::RoomPolicy;
use crate::limits::HELD_BYTES_PER_SHARD_MAX;

/// A chunk of a message that is not over, and its status.
fn chunk(room: &mut Fixture, at: usize, id: &str, start: usize, body: &str) -> Option<u16> {
    let headers = format!("Message-ID: {id}\r\nByte-Range: {start}-*/*\r\nContent-Type: message/cpim\r\n");
    let tid = format!("{id}at{start}");
    let chunk = room.chunk(at, &tid, "SEND", &headers, Some(body), '+');
    room.send(at, &chunk);
    room.answer(at, &tid)
}

/// A session's second unfinished message is timed as its first one was.
#[test]
fn every_message_whose_rest_does_not_come_is_given_up() {
    let policy = RoomPolicy { chunk_reception_timeout: Duration::from_secs(60), ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob"]);
    for (n, id) in ["first", "second", "third"].into_iter().enumerate() {
        let body = room.to_room(0, "begun");
        assert_eq!(chunk(&mut room, 0, id, 1, &body), Some(200));
        room.pass(Duration::from_secs(59));
        assert_eq!((room.switch.counters().aborted, room.switch.held_bytes() > 0), (n as u64, true), "{id}");
        room.pass(Duration::from_secs(1));
        assert_eq!((room.switch.counters().aborted, room.switch.held_bytes()), (n as u64 + 1, 0), "{id}");
    }
    for (id, wait) in [("early", 30), ("late", 30)] {
        let body = room.to_room(0, "begun");
        chunk(&mut room, 0, id, 1, &body);
        room.pass(Duration::from_secs(wait));
    }
    assert_eq!(room.switch.counters().aborted, 4, "the earlier of two");
    room.pass(Duration::from_secs(30));
    assert_eq!(room.switch.counters().aborted, 5, "and the later");
}

#[test]
fn all_members_together_make_a_shard_hold_no_more_than_its_bound() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol"]);
    let part = "x".repeat(50);
    assert_eq!(chunk(&mut room, 1, "before", 1000, &part), Some(200));
    // What many others hold, without their having to.
    let others = HELD_BYTES_PER_SHARD_MAX - 150;
    room.switch.held_bytes += others;
    assert_eq!(chunk(&mut room, 0, "fits", 1000, &part), Some(200));
    assert_eq!(chunk(&mut room, 1, "fills", 1000, &part), Some(200));
    assert_eq!(room.switch.held_bytes(), HELD_BYTES_PER_SHARD_MAX);
    assert_eq!(chunk(&mut room, 2, "none", 1000, "y"), Some(413));
    assert_eq!(chunk(&mut room, 1, "before", 2000, "y"), Some(413), "of one that has begun neither");
    assert_eq!(room.switch.held_bytes(), HELD_BYTES_PER_SHARD_MAX - 50, "and what was held of it is given up");
    room.switch.held_bytes -= others;
}
