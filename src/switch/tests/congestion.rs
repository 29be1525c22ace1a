//! Members that cannot keep up (RFC 7701 §6.4).

use std::time::Duration;

use bytes::BytesMut;

use super::fixture::{Fixture, Options, ROOM_URI, bodies};
use crate::facts::{Congested, EndReason, Event, RoomPolicy};
use crate::limits::CONTROL_LANE_BYTES_MAX;

/// A piece of a stream of alice's that is never finished.
fn flood(room: &mut Fixture, start: usize, len: usize) {
    flood_of(room, 0, start, len);
}

fn flood_of(room: &mut Fixture, at: usize, start: usize, len: usize) {
    let text = "x".repeat(len);
    let body = if start == 0 { room.to_room(at, &text) } else { text };
    let headers =
        format!("Message-ID: flood\r\nByte-Range: {}-*/99999999\r\nContent-Type: message/cpim\r\n", start + 1);
    let chunk = room.chunk(at, &format!("f{start:07}"), "SEND", &headers, Some(&body), '+');
    room.send(at, &chunk);
}

fn paused(room: &Fixture, at: usize) -> bool {
    room.switch.is_paused(room.members[at].connection)
}

#[test]
fn a_full_outbox_drops_messages_until_it_has_drained() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol"]);
    room.block(1);
    let mut sent = 0;
    for n in 0..100 {
        let body = room.to_room(0, &format!("{n} {}", "x".repeat(8000)));
        let message = room.message(0, &format!("m{n}"), &body);
        room.send(0, &message);
        sent += 1;
        assert_eq!(bodies(&room.received_bytes(2)), [body], "carol misses nothing");
    }
    assert!(room.switch.counters().discarded > 0);
    let kept = bodies(&room.received_bytes(1));
    assert!(kept.len() < sent && kept.len() > 10, "{}", kept.len());
    assert!(kept.iter().map(String::len).sum::<usize>() <= 256 * 1024);
    let body = room.to_room(0, "recovered");
    let message = room.message(0, "after", &body);
    room.send(0, &message);
    let after = bodies(&room.received_bytes(1));
    assert_eq!(after.len(), 2, "one notice, and then messages again");
    assert!(after[0].starts_with(&format!("From: <{ROOM_URI}>\r\nTo: <{ROOM_URI}>\r\n")), "{}", after[0]);
    assert!(after[0].contains(&format!("\r\n\r\n{} messages were not sent to you", sent - kept.len())), "{}", after[0]);
    assert_eq!(after[1], body);
    assert_eq!(room.switch.counters().missed, (sent - kept.len()) as u64);
}

/// Fills bob's outbox until he is congested; what was put into it is at its bound's four fifths.
fn congest_bob(room: &mut Fixture) {
    let before = room.switch.counters().congested;
    room.block(1);
    for n in 0.. {
        let body = room.to_room(0, &"x".repeat(8000));
        let message = room.message(0, &format!("fill{n}"), &body);
        room.send(0, &message);
        if room.switch.counters().congested > before {
            return;
        }
        assert!(n < 1000, "{:?}", room.switch.counters());
    }
}

/// Octets of messages that wait for a member.
fn waiting(room: &Fixture, at: usize) -> usize {
    room.switch.egress.connections[room.members[at].connection].outbox.message_bytes()
}

#[test]
fn small_messages_pass_where_policy_limits_instead_of_discarding() {
    let policy = RoomPolicy { congested: Congested::Limit, congested_max_message_size: 500, ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob"]);
    congest_bob(&mut room);
    for (id, len) in [("small", 100), ("large", 1000), ("last", 200)] {
        let body = room.to_room(0, &"z".repeat(len));
        let message = room.message(0, id, &body);
        room.send(0, &message);
    }
    let lengths: Vec<_> = bodies(&room.received_bytes(1)).iter().map(|body| body.matches('z').count()).collect();
    assert_eq!(lengths.iter().filter(|len| **len == 100 || **len == 200).count(), 2);
    assert!(!lengths.contains(&1000));
    assert!(bodies(&room.received_bytes(1))[0].contains("1 message was not sent to you"));
}

#[test]
fn congestion_that_lasts_ends_session_and_call() {
    let policy = RoomPolicy { congestion_timeout: Duration::from_secs(60), ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob", "carol"]);
    congest_bob(&mut room);
    room.pass(Duration::from_secs(59));
    assert!(room.next_close().is_none());
    room.pass(Duration::from_secs(1));
    let (session, connection) = (room.members[1].session, room.members[1].connection);
    assert!(room.events.contains(&Event::SessionEnded { session, why: EndReason::Congested }));
    assert_eq!(room.next_close(), Some(connection), "whatever waits on it");
    assert_eq!(room.switch.sizes().1, 2);
}

#[test]
fn a_recovered_member_is_not_ended_by_an_old_timer() {
    let policy = RoomPolicy { congestion_timeout: Duration::from_secs(60), ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob"]);
    congest_bob(&mut room);
    room.pass(Duration::from_secs(30));
    room.received(1);
    room.pass(Duration::from_secs(10));
    congest_bob(&mut room);
    room.pass(Duration::from_secs(20));
    assert_eq!(room.switch.sizes().1, 2, "the timer of the first time is due, and he is congested since 20 s");
    room.pass(Duration::from_secs(39));
    assert_eq!(room.switch.sizes().1, 2, "congested anew for less than a minute");
    room.pass(Duration::from_secs(1));
    assert_eq!(room.switch.sizes().1, 1);
}

#[test]
fn congestion_ends_below_a_quarter_of_the_outbox() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let quarter = room.switch.egress.outbox_max / 4;
    congest_bob(&mut room);
    let send = |room: &mut Fixture, id: &str| {
        let discarded = room.switch.counters().discarded;
        let message = room.message(0, id, &room.to_room(0, "hi"));
        room.send(0, &message);
        room.switch.counters().discarded - discarded
    };
    for (n, left) in [3 * quarter, 2 * quarter, quarter + 1].into_iter().enumerate() {
        let excess = waiting(&room, 1) - left;
        room.taken(1, excess);
        assert_eq!((waiting(&room, 1), send(&mut room, &format!("m{n}"))), (left, 1), "{left} wait");
    }
    room.taken(1, 1);
    assert_eq!(
        (waiting(&room, 1) > quarter, send(&mut room, "after")),
        (true, 0),
        "with the notice of what was missed"
    );
}

#[test]
fn a_message_above_the_bound_goes_to_whom_nothing_waits_for() {
    for to in [ROOM_URI, "sip:bob@example.com"] {
        let policy = RoomPolicy { forward_whole_up_to: 1 << 20, ..RoomPolicy::default() };
        let mut room = Fixture::new(policy, &["alice", "bob"]);
        let body = room.cpim(0, to, &"x".repeat(room.switch.egress.outbox_max + 1));
        for (id, reaches) in [("first", true), ("second", false)] {
            let message = room.message(0, id, &body);
            room.send(0, &message);
            assert_eq!(room.switch.counters().discarded == 0, reaches, "{to} {id}");
        }
        assert!(bodies(&room.received_bytes(1)).contains(&body), "{to}: the first is whole");
    }
}

#[test]
fn a_peer_that_lets_more_answers_pile_up_than_the_lane_holds_loses_its_connection() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    room.block(0);
    let connection = room.members[0].connection;
    let mut lane = 0;
    for n in 0.. {
        // It was read before it was paused.
        let message = room.message(0, &format!("ask{n}"), &room.cpim(0, "sip:nobody@example.com", "?"));
        room.send(0, &message);
        if let Some(closing) = room.next_close() {
            assert_eq!((closing, room.switch.counters().overrun), (connection, 1));
            break;
        }
        lane = room.switch.egress.connections[connection].outbox.control_bytes();
        assert!(lane <= CONTROL_LANE_BYTES_MAX, "{lane} after {n}");
    }
    assert!(lane > CONTROL_LANE_BYTES_MAX - 1024, "and not before: {lane}");
}

#[test]
fn a_slow_member_holds_a_stream_back_for_as_long_as_its_patience_lasts() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol"]);
    flood(&mut room, 0, 60_000);
    room.received(1);
    flood(&mut room, 60_080, 60_000);
    room.block(1);
    let mut at = 120_080;
    while !paused(&room, 0) {
        flood(&mut room, at, 30_000);
        at += 30_000;
        room.received(2);
        assert!(at < 1_000_000, "{:?}", room.switch.counters());
    }
    room.pass(Duration::from_millis(199));
    assert!(paused(&room, 0));
    room.pass(Duration::from_millis(2));
    assert!(!paused(&room, 0), "its budget is spent");
    assert_eq!(room.next_resume(), Some(room.members[0].connection));
    room.received(2);
    flood(&mut room, at, 30_000);
    assert!(!bodies(&room.received_bytes(2)).is_empty(), "carol goes on");
    assert!(bodies(&room.received_bytes(1))[0].ends_with('#'), "bob gets no more of it");
}

/// Each of them may have a whole receive on its way: one after the other they would fill the outbox before any patience was used.
#[test]
fn all_streams_to_a_slow_member_are_held_back_at_once() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol", "dave", "erin"]);
    let senders = [0, 2, 3, 4];
    for at in senders {
        flood_of(&mut room, at, 0, 66_000);
        (0..5).for_each(|at| drop(room.received_bytes(at)));
    }
    room.block(1);
    let mut pieces = 0;
    for turn in 0.. {
        for at in senders {
            if !paused(&room, at) {
                let begun = room.to_room(at, "").len() + 66_000;
                flood_of(&mut room, at, begun + turn * 64_000, 64_000);
                pieces += 1;
            }
        }
        (2..5).for_each(|at| drop(room.received_bytes(at)));
        drop(room.received_bytes(0));
        if senders.iter().all(|at| paused(&room, *at)) {
            break;
        }
        assert!(turn < 10, "{:?}", room.switch.counters());
    }
    assert_eq!((pieces, room.switch.counters().congested), (3, 0), "above half, and below four fifths");
    room.pass(Duration::from_millis(199));
    drop(room.received_bytes(1));
    assert!(senders.iter().all(|at| !paused(&room, *at)), "bob was in time");
    assert_eq!(room.switch.counters().congested, 0);
}

#[test]
fn streams_are_held_back_when_the_kernel_takes_no_more() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "carol"]);
    flood_of(&mut room, 0, 0, 80_000);
    flood_of(&mut room, 2, 0, 80_000);
    assert!(!paused(&room, 0) && !paused(&room, 2), "the next flush may empty bob's outbox");
    room.taken(1, 10_000);
    room.block(1);
    assert!(paused(&room, 0) && paused(&room, 2));
    room.pass(Duration::from_millis(200));
    assert!(!paused(&room, 0) && !paused(&room, 2), "his patience is used up");
    assert_eq!(room.switch.counters().congested, 1);
}

#[test]
fn a_member_that_catches_up_lets_the_sender_go_on() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    flood(&mut room, 0, 100_000);
    room.block(1);
    let mut at = 100_080;
    while !paused(&room, 0) {
        flood(&mut room, at, 30_000);
        at += 30_000;
        assert!(at < 1_000_000);
    }
    room.taken(1, usize::MAX);
    assert!(!paused(&room, 0));
    room.pass(Duration::from_secs(1));
    flood(&mut room, at, 30_000);
    let wire = room.received_bytes(1);
    assert!(!bodies(&wire)[0].ends_with('#'), "nothing was given up");
}

#[test]
fn a_stalled_member_pins_no_slab() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    room.block(1);
    let body = room.to_room(0, &"x".repeat(30_000));
    for n in 0..20 {
        let message = room.message(0, &format!("m{n}"), &body);
        let mut slab = BytesMut::from(message.as_bytes());
        let len = slab.len();
        let received = slab.split().freeze();
        let connection = room.members[0].connection;
        room.switch.handle_bytes(connection, &received, room.now).unwrap();
        drop(received);
        // What the flusher does with a socket that is full.
        room.block(1);
        assert!(slab.try_reclaim(len), "message {n} pins what it was received into");
    }
}

#[test]
fn two_members_who_send_each_other_files_both_come_through() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let total = 2_000_000;
    let files: Vec<_> = [0, 1].iter().map(|at| room.to_room(*at, &"z".repeat(total))).collect();
    let mut sent = [0, 0];
    let mut wires = [Vec::new(), Vec::new()];
    for turn in 0..10_000 {
        for at in [0, 1] {
            if sent[at] < files[at].len() && !paused(&room, at) {
                let end = (sent[at] + 60_000).min(files[at].len());
                let headers = format!(
                    "Message-ID: f\r\nByte-Range: {}-*/{}\r\nContent-Type: message/cpim\r\n",
                    sent[at] + 1,
                    files[at].len()
                );
                let flag = if end == files[at].len() { '$' } else { '+' };
                let chunk = room.chunk(
                    at,
                    &format!("f{:07}", sent[at]),
                    "SEND",
                    &headers,
                    Some(&files[at][sent[at]..end]),
                    flag,
                );
                room.send(at, &chunk);
                sent[at] = end;
            }
            // Each takes a little at a time.
            let taken = room.taken(at, 20_000);
            room.block(at);
            wires[at].extend(taken);
        }
        if turn % 10 == 0 {
            room.pass(Duration::from_millis(1));
        }
        while room.next_resume().is_some() {}
    }
    assert!(bodies(&wires[1])[0] == files[0], "alice's file");
    assert!(bodies(&wires[0])[0] == files[1], "bob's file");
}

#[test]
fn a_peer_that_does_not_read_its_responses_is_paused() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    room.block(0);
    let mut asked = 0;
    while !paused(&room, 0) {
        let body = room.cpim(0, "sip:nobody@example.com", "?");
        let message = room.message(0, &format!("ask{asked}"), &body);
        room.send(0, &message);
        asked += 1;
        assert!(asked < 10_000, "it is read without end");
    }
    assert!(room.next_close().is_none(), "and not hung up on");
    assert!(room.next_resume().is_none());
    let wire = room.received(0);
    assert_eq!(wire.matches(" 404 ").count(), asked, "no answer is lost");
    assert!(!paused(&room, 0));
    assert_eq!(room.next_resume(), Some(room.members[0].connection));
    let flooded = room.message(1, "bob", &room.to_room(1, "hello"));
    room.send(1, &flooded);
    assert_eq!(bodies(&room.received_bytes(0)).len(), 1);
}

#[test]
fn who_does_not_read_its_answers_holds_no_stream_back_for_ever() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    room.block(1);
    for n in 0.. {
        if paused(&room, 1) {
            break;
        }
        let body = room.cpim(1, "sip:nobody@example.com", "?");
        let message = room.message(1, &format!("ask{n}"), &body);
        room.send(1, &message);
    }
    let mut at = 0;
    while !paused(&room, 0) {
        flood(&mut room, at, 30_000);
        at += if at == 0 { 30_080 } else { 30_000 };
        assert!(at < 1_000_000);
    }
    room.pass(Duration::from_millis(201));
    assert!(!paused(&room, 0), "bob's patience runs although bob is not read");
}

#[test]
fn a_connection_with_several_sessions_is_never_held_back() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    room.join("carol", Options { shares: Some(0), ..Options::default() });
    flood(&mut room, 0, 100_000);
    room.block(1);
    let mut at = 100_080;
    while room.switch.counters().congested == 0 {
        flood(&mut room, at, 30_000);
        at += 30_000;
        room.received(0);
        assert!(!paused(&room, 0), "carol would wait for what alice sends");
        assert!(at < 1_000_000);
    }
    flood(&mut room, at, 30_000);
    assert!(bodies(&room.received_bytes(1))[0].ends_with('#'), "bob gets no more of it");
}
