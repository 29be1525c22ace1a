//! Nicknames that are one user's in the whole server (RFC 7701 §7, `nickname_scope`).

use std::time::Duration;

use parlor::facts::{Command, Confusable, Delete, Event, NicknameScope};

use crate::world::{Peer, World};

fn world() -> World {
    World::with_policy(|policy| policy.nickname_scope = NicknameScope::Server)
}

/// A shard asks for a member. Answers what it is told.
fn ask(world: &mut World, peer: &Peer, nickname: &str) -> bool {
    let (shard, session) = peer.session.expect("it has joined");
    world.event(shard, Event::NicknameAsked { session, nickname: nickname.into() });
    match world.commands.last() {
        Some((to, Command::DecideNickname { session: of, granted })) => {
            assert_eq!((*to, *of), (shard, session));
            *granted
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_nickname_is_one_users_in_all_rooms() {
    let mut world = world();
    let (ann, bob) = (world.join("ann", "lobby"), world.join("bob", "attic"));
    assert!(ask(&mut world, &ann, "Queen"));
    assert!(!ask(&mut world, &bob, "QUEEN"));
    assert!(ask(&mut world, &bob, "King"));
    let mut elsewhere = Peer::new("ann", "attic");
    (elsewhere.branch, elsewhere.from) = (100, elsewhere.from.replace("from-ann", "again"));
    elsewhere.join(&mut world);
    assert!(ask(&mut world, &elsewhere, "queen"), "she is the same user in another room");
    let (shard, session) = ann.session.unwrap();
    world.event(shard, Event::Nickname { session, nickname: None });
    assert!(!ask(&mut world, &bob, "Queen"), "she has it there");
    let (shard, session) = elsewhere.session.unwrap();
    world.event(shard, Event::Nickname { session, nickname: None });
    assert!(ask(&mut world, &bob, "Queen"), "she has given it up");
    assert!(ask(&mut world, &ann, "King"), "and with that his old one is free");
}

#[test]
fn quarantine_starts_when_the_user_has_left_the_last_room() {
    let mut world = world();
    let mut ann = world.join("ann", "lobby");
    let mut elsewhere = Peer::new("ann", "attic");
    (elsewhere.branch, elsewhere.from) = (100, elsewhere.from.replace("from-ann", "again"));
    elsewhere.join(&mut world);
    let bob = world.join("bob", "attic");
    assert!(ask(&mut world, &ann, "Queen"));
    ann.send(&mut world, "BYE", "");
    world.advance(Duration::from_secs(100));
    assert!(!ask(&mut world, &bob, "Queen"), "she is still in the attic");
    elsewhere.send(&mut world, "BYE", "");
    world.advance(Duration::from_secs(59));
    assert!(!ask(&mut world, &bob, "Queen"));
    world.advance(Duration::from_secs(2));
    assert!(ask(&mut world, &bob, "Queen"));
}

#[test]
fn look_alikes_are_refused_across_rooms_too() {
    let mut world = World::with_policy(|policy| {
        policy.nickname_scope = NicknameScope::Server;
        policy.confusable_nicknames = Confusable::Refuse;
    });
    let (ann, bob) = (world.join("ann", "lobby"), world.join("bob", "attic"));
    assert!(ask(&mut world, &ann, "Alice"));
    assert!(!ask(&mut world, &bob, "\u{0410}lice"));
}

#[test]
fn a_call_that_has_left_takes_no_nickname() {
    let mut world = World::with_policy(|policy| {
        policy.nickname_scope = NicknameScope::Server;
        policy.delete = Delete::WhenCreatorLeaves;
    });
    let (mut creator, bob) = (world.join("creator", "lobby"), world.join("bob", "attic"));
    let mut ann = Peer::new("ann", "lobby");
    ann.invite(&mut world);
    creator.send(&mut world, "BYE", "");
    world.forget();
    // Her BYE waits for her ACK. Her shard asked before it was told that she has left.
    let (shard, session) = ann.session.unwrap();
    world.event(shard, Event::NicknameAsked { session, nickname: "Queen".into() });
    assert_eq!(world.command_names(), [""; 0]);
    assert!(ask(&mut world, &bob, "Queen"));
}
