use parlor::facts::{Command, Delete, EndReason, Event};
use parlor::focus::{RoomSettings, Settings};
use parlor::ids::{RoomId, ShardId};
use parlor_proto::sip::{HeaderName, Method, Request, text};

use crate::world::{Peer, World, policy, settings};

fn rooms_opened(world: &World) -> Vec<(ShardId, RoomId)> {
    let open = |(shard, command): &(ShardId, Command)| match command {
        Command::OpenRoom(room) => Some((*shard, room.room)),
        _ => None,
    };
    world.commands.iter().filter_map(open).collect()
}

#[test]
fn a_room_is_open_while_somebody_is_in_it() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    let mut bob = world.join("bob", "lobby");
    ann.send(&mut world, "BYE", "");
    assert!(!world.command_names().contains(&"close room"));
    bob.send(&mut world, "BYE", "");
    assert_eq!(world.command_names().iter().filter(|name| **name == "close room").count(), 1);
}

#[test]
fn a_closing_room_that_is_joined_again_is_the_same_room_on_the_same_shard() {
    let mut world = World::new();
    world.join("ann", "lobby").send(&mut world, "BYE", "");
    world.event(ShardId(0), Event::Load { deliveries_per_second: 1000 });
    world.join("bob", "lobby");
    let opened = rooms_opened(&world);
    assert_eq!(opened, [opened[0]; 2]);
    // The shard's word about the first closing, still on its way, does not undo the second opening.
    world.event(ShardId(0), Event::RoomClosed { room: opened[0].1 });
    assert_eq!(world.focus.counts().rooms, 1);
    world.join("cyn", "lobby");
    assert_eq!(rooms_opened(&world).len(), 2);
}

#[test]
fn a_closed_room_is_forgotten_and_comes_back_as_another() {
    let mut world = World::new();
    world.join("ann", "lobby").send(&mut world, "BYE", "");
    let (shard, room) = rooms_opened(&world)[0];
    world.event(shard, Event::RoomClosed { room });
    assert_eq!(world.focus.counts().rooms, 0);
    world.event(ShardId(0), Event::Load { deliveries_per_second: 1000 });
    world.join("bob", "lobby");
    let again = rooms_opened(&world)[1];
    assert_ne!(again.1, room);
    assert_eq!(again.0, ShardId(1), "it goes where there is least to do");
}

#[test]
fn a_room_may_close_when_its_creator_leaves() {
    let mut world = World::with_policy(|policy| policy.delete = Delete::WhenCreatorLeaves);
    let mut ann = world.join("ann", "lobby");
    world.join("bob", "lobby");
    let mut waiting = Peer::new("cyn", "lobby");
    waiting.invite(&mut world);
    world.forget();
    ann.send(&mut world, "BYE", "");
    assert_eq!(world.requests().len(), 1, "bob is sent away at once, cyn with her ACK");
    waiting.send(&mut world, "ACK", "");
    assert_eq!(world.requests().len(), 2);
    assert_eq!(world.command_names(), ["close session", "suspend session", "suspend session", "close room"]);
}

/// A room that closes with its creator, who is in it, with three calls that have sent no ACK yet. Calls end in the order of
/// their tags: the creator's is not the last.
fn closing_room() -> (World, Peer, [Peer; 3]) {
    let room = |earlier: usize| {
        let mut world = World::with_policy(|policy| {
            policy.delete = Delete::WhenCreatorLeaves;
            policy.moderators = vec!["creator".into()];
        });
        (0..earlier).for_each(|n| drop(world.join(&format!("earlier{n}"), "kitchen")));
        let creator = world.join("ann", "lobby");
        let mut others = ["bob", "cyn", "eve"].map(|name| Peer::new(name, "lobby"));
        others.iter_mut().for_each(|peer| peer.invite(&mut world));
        (world, creator, others)
    };
    let mut rooms = (0..20).map(room);
    rooms.find(|(_, creator, others)| others.iter().any(|other| other.to_tag > creator.to_tag)).expect("such tags")
}

/// The reasons of the BYEs that calls get with their ACKs.
fn reasons_after_ack(world: &mut World, mut peers: [Peer; 3]) -> Vec<String> {
    world.forget();
    peers.iter_mut().for_each(|peer| peer.send(world, "ACK", ""));
    let reason = |bye: &Request| text(&bye.headers, &HeaderName::Reason).unwrap();
    world.requests_of(Method::Bye).iter().map(reason).collect()
}

#[test]
fn a_drain_is_the_reason_though_the_creator_leaves_by_it() {
    let (mut world, _, others) = closing_room();
    world.focus.drain(world.now);
    world.settle();
    let reasons = reasons_after_ack(&mut world, others);
    assert!(reasons.len() == 3 && reasons.iter().all(|reason| reason.contains("cause=503")), "{reasons:?}");
}

#[test]
fn a_moderator_is_the_reason_though_the_creator_leaves_by_the_same_refer() {
    let (mut world, mut creator, others) = closing_room();
    creator.extra = "Refer-To: <sip:lobby@chat.example;method=BYE>\r\n".into();
    creator.send(&mut world, "REFER", "");
    assert!(world.statuses().contains(&202));
    let reasons = reasons_after_ack(&mut world, others);
    assert!(reasons.len() == 3 && reasons.iter().all(|reason| reason.contains("cause=403")), "{reasons:?}");
}

#[test]
fn a_lasting_room_stays_when_it_is_empty() {
    let mut world = World::with_policy(|policy| policy.delete = Delete::Never);
    world.join("ann", "lobby").send(&mut world, "BYE", "");
    assert!(!world.command_names().contains(&"close room"));
    world.join("bob", "lobby");
    assert_eq!(rooms_opened(&world).len(), 1);
}

#[test]
fn there_are_only_so_many_rooms() {
    let rooms = RoomSettings { max_rooms: 1, ..policy(|_| {}) };
    let mut world = World::with(Settings { rooms, ..settings() });
    world.join("ann", "one");
    world.join("bob", "one");
    Peer::new("cyn", "two").invite(&mut world);
    assert_eq!(world.last_status(), 503);
}

#[test]
fn a_named_room_has_its_own_policy_and_new_ones_are_put_in_force() {
    let mut rooms = policy(|policy| policy.subject = Some("any".into()));
    rooms.named.insert("lobby".into(), policy(|policy| policy.subject = Some("lobby".into())).defaults);
    let mut world = World::with(Settings { rooms, ..settings() });
    let subjects = |world: &World| {
        let subject = |(_, command): &(ShardId, Command)| match command {
            Command::OpenRoom(room) => room.policy.subject.clone(),
            _ => None,
        };
        world.commands.iter().filter_map(subject).collect::<Vec<_>>()
    };
    world.join("ann", "lobby");
    world.join("bob", "other");
    assert_eq!(subjects(&world), ["lobby", "any"]);
    world.forget();
    let mut rooms = policy(|policy| policy.subject = Some("new".into()));
    rooms.named.insert("lobby".into(), policy(|policy| policy.subject = Some("lobby".into())).defaults);
    world.focus.replace_rooms(rooms, world.now);
    world.settle();
    assert_eq!(subjects(&world), ["new"], "what has not changed is not told again");
}

#[test]
fn a_lost_session_leaves_the_room_as_a_bye_does() {
    let mut world = World::new();
    let ann = world.join("ann", "lobby");
    let (shard, session) = ann.session.unwrap();
    world.event(shard, Event::SessionEnded { session, why: EndReason::ConnectionLost });
    assert!(world.command_names().contains(&"close room"));
}
