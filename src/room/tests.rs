//! What a room remembers of its users.

use std::rc::Rc;
use std::sync::Arc;

use slotmap::KeyData;

use super::Room;
use super::roster::{MemberTerms, Roster};
use crate::facts::{OpenRoom, RoomPolicy};
use crate::ids::{RoomId, SessionKey};
use crate::limits::UNAWARE_USERS_PER_ROOM_MAX;
use parlor_proto::uri::Aor;

fn aor(text: &str) -> Aor {
    Aor::parse(text.as_bytes()).unwrap()
}

fn key(n: u64) -> SessionKey {
    KeyData::from_ffi(1 << 32 | n).into()
}

fn add(roster: &mut Roster, n: u64, user: &Aor, aliases: &[Aor]) {
    let member_terms =
        MemberTerms { user, aliases, max_size: None, accepts: None, receives: true, takes_private: true };
    roster.add_member(key(n), KeyData::from_ffi(1 << 32 | n).into(), Rc::from(&b""[..]), &member_terms);
}

#[test]
fn an_address_that_another_user_has_taken_over_stays_with_that_one() {
    let mut roster = Roster::default();
    let (alice, bob, phone) = (aor("sip:alice@x"), aor("sip:bob@x"), aor("tel:+1"));
    add(&mut roster, 1, &alice, std::slice::from_ref(&phone));
    add(&mut roster, 2, &bob, std::slice::from_ref(&phone));
    assert_eq!(roster.sessions_of(&phone), [key(2)], "the latest has it");
    assert_eq!(roster.sessions_of(&alice), [key(1)]);
    roster.remove_member(key(1), &alice);
    assert_eq!(roster.sessions_of(&phone), [key(2)], "whoever had it before takes nothing along");
    roster.remove_member(key(2), &bob);
    assert!(roster.sessions_of(&phone).is_empty());
}

#[test]
fn a_room_remembers_so_many_unaware_users_and_then_begins_anew() {
    let open = OpenRoom {
        room: RoomId(1),
        uri: "sip:lobby@x".into(),
        names: vec![aor("sip:lobby@x")],
        policy: Arc::new(RoomPolicy::default()),
    };
    let mut room = Room::new(&open);
    let user = |n: usize| aor(&format!("sip:u{n}@x"));
    assert!((0..UNAWARE_USERS_PER_ROOM_MAX).all(|n| room.meet_unaware(&user(n))));
    assert_eq!(room.unaware_users(), UNAWARE_USERS_PER_ROOM_MAX);
    assert!(room.meet_unaware(&user(UNAWARE_USERS_PER_ROOM_MAX)));
    assert_eq!(room.unaware_users(), 1);
    assert!(room.meet_unaware(&user(0)), "of very many, some are told again");
    assert!(!room.meet_unaware(&user(0)));
}
