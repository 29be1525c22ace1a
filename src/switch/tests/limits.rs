//! The limits of a shard, each reached.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::fixture::{Fixture, Options, bodies};
use crate::facts::{Command, EndReason, Event, Outward, Refusal, RoomPolicy};
use crate::limits::{
    AWAITED_RESPONSES_MAX, CONNECTIONS_PER_SHARD_MAX, COPIED_BODY_BYTES_MAX, DIALS_PER_SHARD_MAX, FRAME_SLICES_MAX,
    HELD_BYTES_PER_SESSION_MAX, REFUSED_MESSAGES_PER_SESSION_MAX, REPORT_BODY_BYTES_MAX, ROSTER_NOTICE_BYTES_MAX,
    SESSIONS_PER_CONNECTION_MAX, STREAMS_PER_SESSION_MAX, UNBOUND_CONNECTIONS_MAX, UNINTERRUPTIBLE_CHUNK_BYTES_MAX,
};
use crate::switch::awaited::Awaited;

/// A chunk that does not end its message, written out.
fn part(room: &Fixture, at: usize, id: &str, start: usize, body: &str) -> String {
    let headers = format!("Message-ID: {id}\r\nByte-Range: {start}-*/*\r\nContent-Type: message/cpim\r\n");
    room.chunk(at, &format!("{id}at{start}"), "SEND", &headers, Some(body), '+')
}

/// Sends a chunk that does not end its message, and answers its status.
fn send_part(room: &mut Fixture, at: usize, id: &str, start: usize, body: &str) -> u16 {
    let chunk = part(room, at, id, start, body);
    room.send(at, &chunk);
    room.answer(at, &format!("{id}at{start}")).expect("a response")
}

/// A message to the room of so many octets.
fn of_length(room: &Fixture, len: usize) -> String {
    let empty = room.to_room(0, "").len();
    room.to_room(0, &"x".repeat(len - empty))
}

#[test]
fn a_report_without_room_for_the_addresses_goes_without() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    for (id, name_len, has_body) in [("m1", 9_000, true), ("m2", REPORT_BODY_BYTES_MAX, false)] {
        let name = "n".repeat(name_len);
        let body = room.cpim(0, "sip:bob@example.com", "hi").replacen("From: ", &format!("From: {name} "), 1);
        let message = room.message_with(0, id, "Success-Report: yes\r\n", &body);
        room.send(0, &message);
        let wire = room.received(0);
        let report = wire.split("MSRP ").find(|chunk| chunk.contains(" REPORT\r\n")).expect("a REPORT");
        let content = report.split_once("\r\n\r\n").map_or("", |(_, content)| content);
        assert_eq!((content.contains(&name), report.contains("Status: 000 200")), (has_body, true), "{id}");
        assert!(content.len() <= REPORT_BODY_BYTES_MAX + 100, "the end-line aside: {}", content.len());
    }
}

#[test]
fn so_many_slices_of_one_turn_make_a_frame() {
    let policy = RoomPolicy { forward_whole_up_to: 0, ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob"]);
    let head = room.to_room(0, "");
    assert_eq!(send_part(&mut room, 0, "m", 1, &head), 200);
    room.received(1);
    // One turn, with more chunks than a frame gathers.
    let piece = "x".repeat(100);
    let chunks: String =
        (0..2 * FRAME_SLICES_MAX).map(|n| part(&room, 0, "m", head.len() + 1 + 100 * n, &piece)).collect();
    room.send(0, &chunks);
    let wire = room.received(1);
    let sent: Vec<usize> = bodies_of_chunks(&wire).iter().map(String::len).collect();
    assert!(sent.len() >= 2, "{sent:?}");
    assert!(sent.iter().all(|len| *len <= FRAME_SLICES_MAX * 100 + head.len()), "{sent:?}");
}

fn bodies_of_chunks(wire: &str) -> Vec<String> {
    let chunks = wire.split("MSRP ").filter(|chunk| chunk.contains(" SEND\r\n"));
    chunks.filter_map(|chunk| Some(chunk.split_once("\r\n\r\n")?.1.split("\r\n-------").next()?.to_owned())).collect()
}

#[test]
fn a_message_up_to_the_limit_is_copied_and_a_larger_one_keeps_its_slab() {
    for (len, pins) in [(COPIED_BODY_BYTES_MAX, false), (COPIED_BODY_BYTES_MAX + 1, true)] {
        let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
        let message = room.message(0, "m", &of_length(&room, len));
        let mut slab = BytesMut::from(message.as_bytes());
        let size = slab.len();
        let received: Bytes = slab.split().freeze();
        let connection = room.members[0].connection;
        room.switch.handle_bytes(connection, &received, room.now).unwrap();
        drop(received);
        assert_eq!(slab.try_reclaim(size), !pins, "{len} octets");
    }
}

#[test]
fn a_chunk_that_may_not_be_interrupted_says_where_it_ends() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let max = UNINTERRUPTIBLE_CHUNK_BYTES_MAX;
    for (len, range) in [(max, format!("1-{max}/{max}")), (max + 1, format!("1-*/{}", max + 1))] {
        let message = room.message(0, &format!("m{len}"), &of_length(&room, len));
        room.send(0, &message);
        let wire = room.received(1);
        assert!(wire.contains(&format!("\r\nByte-Range: {range}\r\n")), "{range}: {}", &wire[..300]);
    }
}

#[test]
fn a_session_may_have_so_many_messages_under_way() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let body = room.to_room(0, "begun");
    for n in 0..STREAMS_PER_SESSION_MAX {
        assert_eq!(send_part(&mut room, 0, &format!("m{n}"), 1, &body), 200);
    }
    assert_eq!(send_part(&mut room, 0, "more", 1, &body), 413);
    let headers = format!("Message-ID: m0\r\nByte-Range: {}-*/*\r\nContent-Type: message/cpim\r\n", body.len() + 1);
    let last = room.chunk(0, "lastofm0", "SEND", &headers, Some("."), '$');
    room.send(0, &last);
    assert_eq!(room.answer(0, "lastofm0"), Some(200));
    assert_eq!(send_part(&mut room, 0, "again", 1, &body), 200, "one has ended");
}

#[test]
fn of_refused_messages_the_latest_are_remembered() {
    let policy = RoomPolicy { wrapped_types: vec!["image/png".into()], ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob"]);
    let body = room.to_room(0, "no image");
    for n in 0..=REFUSED_MESSAGES_PER_SESSION_MAX {
        assert_eq!(send_part(&mut room, 0, &format!("m{n}"), 1, &body), 415);
    }
    assert_eq!(send_part(&mut room, 0, "m1", 500, "more"), 415, "refused as it was");
    assert_eq!(send_part(&mut room, 0, "m0", 500, "more"), 200, "forgotten: its beginning may come yet");
}

#[test]
fn a_session_makes_us_hold_no_more_than_its_bound() {
    let policy = RoomPolicy { forward_whole_up_to: HELD_BYTES_PER_SESSION_MAX, ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob"]);
    let most = "x".repeat(HELD_BYTES_PER_SESSION_MAX - 1);
    assert_eq!(send_part(&mut room, 0, "m1", 1000, &most), 200);
    assert_eq!(send_part(&mut room, 0, "m2", 1000, "x"), 200);
    assert_eq!(room.switch.held_bytes(), HELD_BYTES_PER_SESSION_MAX);
    assert_eq!(send_part(&mut room, 0, "m3", 1000, "x"), 413);
    assert_eq!(send_part(&mut room, 1, "m1", 1000, "x"), 200, "others have a bound of their own");
}

#[test]
fn the_roster_in_words_names_as_many_as_it_has_room_for() {
    let mut room = Fixture::new(RoomPolicy::default(), &[]);
    let line = "\n<sip:user-0000@example.com>".len();
    let count = ROSTER_NOTICE_BYTES_MAX / line + 50;
    for n in 0..count {
        room.join(&format!("user-{n:04}"), Options::default());
    }
    let at = room.negotiate("old", &Options { unaware: true, ..Options::default() });
    let bind = room.chunk(at, "bind0000", "SEND", "Message-ID: bind\r\nByte-Range: 1-0/0\r\n", None, '$');
    room.send(at, &bind);
    let roster = bodies(&room.received_bytes(at)).pop().expect("the roster");
    let text = roster.split_once("In the room:").expect("the roster").1;
    let named = text.matches("\n<").count();
    assert!(text.len() <= ROSTER_NOTICE_BYTES_MAX + 2 * line, "{}", text.len());
    assert!(named * line > ROSTER_NOTICE_BYTES_MAX - 2 * line, "{named}");
    assert!(text.ends_with(&format!("\nand {} more", count + 1 - named)), "{}", &text[text.len() - 40..]);
}

#[test]
fn a_shard_waits_for_so_many_responses() {
    let (mut awaited, now) = (Awaited::default(), Instant::now());
    for tid in 0..=AWAITED_RESPONSES_MAX as u64 {
        awaited.add(tid, 1, None, now);
    }
    assert!(awaited.take(AWAITED_RESPONSES_MAX as u64).is_none(), "one too many is not waited for");
    assert!(awaited.take(AWAITED_RESPONSES_MAX as u64 - 1).is_some() && awaited.take(0).is_some());
    awaited.add(u64::MAX, 1, None, now);
    assert!(awaited.take(u64::MAX).is_some(), "what was answered has made room");
}

#[test]
fn a_connection_carries_so_many_sessions() {
    let mut room = Fixture::new(RoomPolicy::default(), &["relay"]);
    let shares = || Options { shares: Some(0), ..Options::default() };
    let bind = |room: &mut Fixture, n: usize| {
        let at = room.negotiate(&format!("u{n}"), &shares());
        let bind = room.chunk(at, &format!("bind{n}"), "SEND", "Message-ID: b\r\nByte-Range: 1-0/0\r\n", None, '$');
        room.send(at, &bind);
        room.answer(0, &format!("bind{n}"))
    };
    for n in 1..SESSIONS_PER_CONNECTION_MAX {
        assert_eq!(bind(&mut room, n), Some(200), "{n}");
    }
    assert_eq!(bind(&mut room, SESSIONS_PER_CONNECTION_MAX), Some(481));
    let body = room.to_room(0, "still here");
    let message = room.message(0, "m", &body);
    room.send(0, &message);
    assert_eq!(bodies(&room.received_bytes(0)).len(), 1, "those that are there stay");
}

#[test]
fn a_shard_has_so_many_sessions() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    assert_eq!(room.switch.sessions_max, CONNECTIONS_PER_SHARD_MAX);
    room.switch.sessions_max = 3;
    room.join("bob", Options::default());
    room.join("carol", Options::default());
    let dave = room.negotiate("dave", &Options::default());
    let session = room.members[dave].session;
    assert!(room.events.contains(&Event::SessionRefused { session, why: Refusal::Full }));
    room.close(1);
    room.negotiate("erin", &Options::default());
    assert!(matches!(room.events.last(), Some(Event::SessionReady { .. })), "{:?}", room.events.last());
}

/// Somebody joins who only listens.
fn listen(room: &mut Fixture, name: &str) {
    let at = room.negotiate(name, &Options::default());
    let (session, mut terms) = (room.members[at].session, room.terms(at));
    let to = Outward { address: "192.0.2.7:7654".parse().unwrap(), name: "h.example.com".into() };
    terms.connect_to = Some(Box::new(to));
    room.control(Command::ChangeSession { session, terms: Box::new(terms) });
    room.control(Command::ExpectBinding { session });
}

#[test]
fn a_shard_makes_so_many_connections_at_a_time() {
    let mut room = Fixture::new(RoomPolicy::default(), &[]);
    for n in 0..DIALS_PER_SHARD_MAX + 2 {
        listen(&mut room, &format!("u{n}"));
    }
    let mut dials: Vec<_> = std::iter::from_fn(|| room.next_dial()).collect();
    assert_eq!(dials.len(), DIALS_PER_SHARD_MAX);
    let now = room.now;
    assert!(room.switch.connected(&dials.pop().unwrap(), now).is_some());
    dials.extend(room.next_dial());
    assert!(room.next_dial().is_none(), "one for one");
    room.switch.connect_failed(&dials.pop().unwrap(), now);
    assert!(room.next_dial().is_some() && room.next_dial().is_none());
}

#[test]
fn a_network_with_too_many_unbound_connections_loses_its_oldest() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let now = room.now;
    let adopt = |room: &mut Fixture, peer: &str| room.switch.adopt(peer.parse().unwrap(), false, now);
    let waiting = adopt(&mut room, "192.0.2.9:1000");
    let flood: Vec<_> = (1..UNBOUND_CONNECTIONS_MAX).map(|_| adopt(&mut room, "198.51.100.1:2000")).collect();
    assert_eq!(room.next_close(), None);
    let newcomer = adopt(&mut room, "203.0.113.1:3000");
    assert_eq!((room.next_close(), room.next_close()), (Some(flood[0]), None));
    let again = adopt(&mut room, "198.51.100.1:2000");
    assert_eq!((room.next_close(), room.next_close()), (Some(flood[1]), None));
    for id in [flood[0], flood[1], again, newcomer, waiting] {
        room.switch.closed(id, EndReason::ConnectionLost, now);
    }
    let late = room.negotiate("bob", &Options::default());
    room.bind(late);
    assert_eq!(room.next_close(), None, "there is room again, and who is bound does not count");
}

#[test]
fn at_twice_the_limit_a_new_unbound_connection_is_closed() {
    let mut room = Fixture::new(RoomPolicy::default(), &[]);
    for n in 0..u32::try_from(UNBOUND_CONNECTIONS_MAX).unwrap() + 2 {
        let peer = (std::net::Ipv4Addr::from(0x0a00_0000 + n), 1000).into();
        room.switch.adopt(peer, false, room.now);
    }
    assert_eq!(room.next_close(), None);
    let last = (0..=UNBOUND_CONNECTIONS_MAX).map(|n| {
        let peer = (std::net::Ipv4Addr::from(0x0b00_0000 + u32::try_from(n).unwrap()), 1000).into();
        room.switch.adopt(peer, false, room.now)
    });
    let last = last.last();
    assert_eq!(room.next_close(), last, "twice as many are too many");
}
