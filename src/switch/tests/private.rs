//! Messages to one member (RFC 7701 §6.2).

use super::fixture::{Fixture, Options, bodies};
use crate::facts::{ChatroomTokens, Command, RoomPolicy};

fn whisper(room: &mut Fixture, id: &str, to: &str) -> (Option<u16>, String) {
    let body = room.cpim(0, to, "psst");
    let message = room.message(0, id, &body);
    room.send(0, &message);
    (room.answer(0, &format!("tid{id}")), body)
}

#[test]
fn every_device_of_the_addressee_gets_it_and_nobody_else() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob", "bob", "carol"]);
    let (status, body) = whisper(&mut room, "p1", "sip:bob@example.com");
    assert_eq!(status, Some(200));
    for device in [1, 2] {
        assert_eq!(bodies(&room.received_bytes(device)), std::slice::from_ref(&body));
    }
    assert_eq!(room.received(3), "");
}

#[test]
fn to_oneself_it_goes_to_every_device_of_ones_own() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "alice"]);
    let body = room.cpim(0, "sip:alice@example.com", "note to self");
    let message = room.message(0, "p1", &body);
    room.send(0, &message);
    for device in [0, 1] {
        assert_eq!(bodies(&room.received_bytes(device)), std::slice::from_ref(&body));
    }
}

#[test]
fn who_does_not_know_private_messages_gets_none() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let bob = room.join("bob", Options { unaware: true, ..Options::default() });
    assert_eq!(whisper(&mut room, "p1", "sip:bob@example.com").0, Some(428));
    assert_eq!(room.received(bob), "");
    room.join("bob", Options::default());
    assert_eq!(whisper(&mut room, "p2", "sip:bob@example.com").0, Some(200), "one device that can is enough");
    assert_eq!(room.received(bob), "");
}

#[test]
fn a_policy_sends_them_to_the_unaware_too() {
    let policy = RoomPolicy { private_messages_to_unaware: true, ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice"]);
    let bob = room.join("bob", Options { unaware: true, ..Options::default() });
    assert_eq!(whisper(&mut room, "p1", "sip:bob@example.com").0, Some(200));
    assert_ne!(room.received(bob), "");
}

#[test]
fn a_policy_forbids_them() {
    let policy = RoomPolicy { private_messages: false, ..RoomPolicy::default() };
    let mut room = Fixture::new(policy, &["alice", "bob"]);
    assert_eq!(whisper(&mut room, "p1", "sip:bob@example.com").0, Some(403));
}

#[test]
fn a_type_that_no_device_takes_is_415() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let pictures = room.join("bob", Options { accepts: Some("image/*"), ..Options::default() });
    assert_eq!(whisper(&mut room, "p1", "sip:bob@example.com").0, Some(415));
    let texts = room.join("bob", Options { accepts: Some("text/*"), ..Options::default() });
    assert_eq!(whisper(&mut room, "p2", "sip:bob@example.com").0, Some(200));
    assert_eq!(room.received(pictures), "");
    assert_ne!(room.received(texts), "");
}

#[test]
fn what_a_client_can_changes_with_its_description() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    for (private_messages, status) in [(false, 428), (true, 200)] {
        let mut terms = room.terms(1);
        terms.chatroom = Some(ChatroomTokens { nickname: true, private_messages });
        room.control(Command::ChangeSession { session: room.members[1].session, terms: Box::new(terms) });
        assert_eq!(whisper(&mut room, "p1", "sip:bob@example.com").0, Some(status));
        assert_eq!(room.received(1).is_empty(), status == 428);
    }
}
