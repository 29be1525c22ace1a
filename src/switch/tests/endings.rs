//! How connections, sessions and rooms end, with nothing left behind (RFC 4975 §5.4).

use std::time::Duration;

use super::fixture::{Fixture, Options};
use crate::facts::{Command, RoomPolicy};

#[test]
fn a_peer_that_takes_nothing_does_not_keep_its_connection_for_ever() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let message = room.message(0, "m1", &room.to_room(0, "hi"));
    room.send(0, &message);
    room.block(1);
    room.control(Command::CloseSession { session: room.members[1].session });
    assert_eq!(room.next_close(), None, "what waits may still leave");
    room.pass(Duration::from_secs(31));
    assert_eq!(room.next_close(), Some(room.members[1].connection));
}

#[test]
fn a_closing_connection_is_not_read() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let message = room.message(0, "m1", &room.to_room(0, "hi"));
    room.send(1, "HTTP/1.1 200 OK\r\n\r\n");
    for _ in 0..3 {
        room.send(1, "MSRP");
        room.send(1, "\r\n-------x$\r\n");
    }
    assert_eq!(room.switch.counters().unreadable, 1);
    room.send(0, &message);
    assert_eq!(room.received(1), "");
}

#[test]
fn a_draining_switch_binds_nobody() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let late = room.negotiate("bob", &Options::default());
    room.control(Command::Drain);
    let chunk = room.chunk(late, "bind0000", "SEND", "Message-ID: bind\r\n", None, '$');
    room.send(late, &chunk);
    assert_eq!(room.switch.sizes().1, 2);
    assert!(!room.received(late).contains("200 OK"));
    let fresh = room.connect();
    let closing: Vec<_> = std::iter::from_fn(|| room.next_close()).collect();
    assert!(closing.contains(&fresh), "and takes no connection");
}

#[test]
fn a_new_path_keeps_the_nickname() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let nickname = |room: &mut Fixture, at: usize| {
        let ask = room.chunk(at, "nick0000", "NICKNAME", "Use-Nickname: \"Ally\"\r\n", None, '$');
        room.send(at, &ask);
        room.answer(at, "nick0000")
    };
    assert_eq!(nickname(&mut room, 0), Some(200));
    let mut terms = room.terms(0);
    terms.remote = parlor_proto::msrp::Path::parse(b"msrp://elsewhere.example.com:9/new;tcp").unwrap();
    room.control(Command::ChangeSession { session: room.members[0].session, terms: Box::new(terms) });
    assert_eq!(nickname(&mut room, 1), Some(425), "she is still in the call");
}

#[test]
fn timers_do_not_accumulate_while_members_come_and_go() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    for n in 0..200 {
        let at = room.join("bob", Options::default());
        let name = format!("Use-Nickname: \"b{n}\"\r\n");
        let ask = room.chunk(at, "nick0000", "NICKNAME", &name, None, '$');
        room.send(at, &ask);
        room.received(at);
        room.close(at);
        room.pass(Duration::from_secs(1));
    }
    let set = room.switch.timers.len();
    assert!(set < 100, "{set} timers for what is over");
}

#[test]
fn a_suspended_session_takes_no_part_and_keeps_its_connection() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let (bob, session) = (room.members[1].connection, room.members[1].session);
    room.control(Command::SuspendSession { session });
    let message = room.message(0, "m1", &room.to_room(0, "hi"));
    room.send(0, &message);
    assert_eq!((room.received(1), room.next_close()), (String::new(), None));
    let own = room.chunk(1, "late0000", "SEND", "Message-ID: late\r\n", None, '$');
    room.send(1, &own);
    assert_eq!(room.answer(1, "late0000"), Some(481));
    room.pass(Duration::from_secs(120));
    assert_eq!(room.next_close(), None, "that is for the focus to say");
    room.control(Command::CloseSession { session });
    assert_eq!((room.next_close(), room.switch.sizes().1), (Some(bob), 1));
}

#[test]
fn nothing_is_left_of_a_suspended_session_whose_connection_ends_first() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let session = room.members[1].session;
    room.control(Command::SuspendSession { session });
    room.events.clear();
    room.close(1);
    assert!(room.events.is_empty(), "its end is known: {:?}", room.events);
    room.control(Command::CloseSession { session });
    assert_eq!((room.next_close(), room.switch.sizes()), (None, (1, 1, 1)));
}

#[test]
fn a_drain_waits_for_suspended_sessions() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let session = room.members[0].session;
    room.control(Command::SuspendSession { session });
    room.control(Command::Drain);
    assert!(room.next_close().is_none() && !room.switch.is_drained());
    room.control(Command::CloseSession { session });
    assert_eq!(room.next_close(), Some(room.members[0].connection));
    room.close(0);
    assert!(room.switch.is_drained());
}
