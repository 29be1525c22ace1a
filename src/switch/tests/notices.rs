//! What the room says to clients that know nothing of chat rooms (RFC 7701 §11).

use super::fixture::{Fixture, Options, ROOM_URI, bodies};
use crate::facts::RoomPolicy;

fn unaware() -> Options {
    Options { unaware: true, ..Options::default() }
}

/// Joins, and answers what the room said on that.
fn told(room: &mut Fixture, name: &str, options: &Options) -> Vec<String> {
    let at = room.negotiate(name, options);
    let chunk = room.chunk(at, "bind0000", "SEND", "Message-ID: bind\r\nByte-Range: 1-0/0\r\n", None, '$');
    room.send(at, &chunk);
    let wire = room.received_bytes(at);
    assert!(wire.starts_with(b"MSRP bind0000 200 OK"), "the response comes first");
    bodies(&wire)
}

#[test]
fn an_unaware_member_is_told_where_it_is_and_who_is_there() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let request = room.chunk(0, "nick0001", "NICKNAME", "Use-Nickname: \"Ally\"\r\n", None, '$');
    room.send(0, &request);
    room.received(0);
    let said = told(&mut room, "bob", &unaware());
    assert_eq!(said.len(), 2);
    let head = format!("From: <{ROOM_URI}>\r\nTo: <{ROOM_URI}>\r\n\r\nContent-Type: text/plain;charset=utf-8\r\n\r\n");
    assert!(said[0].starts_with(&format!("{head}You are in the chat room {ROOM_URI}.")), "{}", said[0]);
    assert_eq!(said[1], format!("{head}In the room:\nAlly <sip:alice@example.com>\n<sip:bob@example.com>"));
    assert!(room.received(0).is_empty(), "the others hear nothing of it");
}

#[test]
fn it_is_told_once_for_each_user_and_room() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    assert_eq!(told(&mut room, "bob", &unaware()).len(), 2);
    assert!(told(&mut room, "bob", &unaware()).is_empty(), "a second device");
    room.close(1);
    room.close(2);
    assert!(told(&mut room, "bob", &unaware()).is_empty(), "a lost connection");
    assert_eq!(told(&mut room, "carol", &unaware()).len(), 2);
}

#[test]
fn nobody_else_is_told() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    assert!(told(&mut room, "bob", &Options::default()).is_empty(), "he is aware");
    let picky = Options { accepts: Some("image/png"), ..unaware() };
    assert!(told(&mut room, "carol", &picky).is_empty(), "her client takes no text");
    let policy = RoomPolicy { notice_to_unaware: false, ..RoomPolicy::default() };
    let mut silent = Fixture::new(policy, &["alice"]);
    assert!(told(&mut silent, "bob", &unaware()).is_empty());
}

#[test]
fn a_long_roster_is_cut_short() {
    let names: Vec<String> = (0..300).map(|n| format!("member-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut room = Fixture::new(RoomPolicy::default(), &names);
    let said = told(&mut room, "bob", &unaware());
    let (lines, more) = said[1].rsplit_once("\nand ").unwrap();
    let named = lines.lines().filter(|line| line.starts_with("<sip:")).count();
    assert_eq!(more, format!("{} more", 301 - named));
    assert!(said[1].len() < 5000);
}
