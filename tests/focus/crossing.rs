//! What comes while something else is under way.

use std::time::Duration;

use parlor::facts::{EndReason, Event};
use parlor_proto::sip::{CSeq, HeaderName, Method, text};

use crate::world::{Peer, World, offer};

fn refer(world: &mut World, by: &mut Peer, to: &str) {
    by.extra = format!("Refer-To: <{to}>\r\n");
    by.send(world, "REFER", "");
    by.extra = String::new();
    assert_eq!(world.last_status(), 202);
}

/// A room that a moderator who is not in it calls somebody into: it goes if nobody comes, and not before.
fn attic() -> (World, Peer) {
    let mut world = World::with_policy(|policy| policy.moderators = vec!["sip:op@home.example".into()]);
    let mut op = Peer::new("op", "attic").over_tcp();
    refer(&mut world, &mut op, "sip:carol@192.0.2.9:5099");
    (world, op)
}

fn refuse(world: &mut World, name: &str) {
    let invites = world.requests_of(Method::Invite);
    let of_name = |invite: &&parlor_proto::sip::Request| invite.uri.to_string().contains(&format!("sip:{name}@"));
    let invite = invites.iter().find(of_name).expect("an INVITE to them").clone();
    Peer::new(name, "attic").respond_to(world, &invite, 480, "", "");
}

#[test]
fn a_room_stays_while_somebody_calls_in() {
    let (mut world, _) = attic();
    world.shards_answer = false;
    let mut ann = Peer::new("ann", "attic");
    let offer = ann.offer();
    ann.send(&mut world, "INVITE", &offer);
    refuse(&mut world, "carol");
    assert!(
        !world.command_names().contains(&"close room"),
        "ann's session is being opened: {:?}",
        world.command_names()
    );
    let session = world.opened().last().unwrap().session;
    world.event(session.shard, Event::SessionReady { session });
    assert_eq!(world.last_status(), 200);
    ann.learn(&world);
    ann.send(&mut world, "ACK", "");
    ann.send(&mut world, "BYE", "");
    assert_eq!(world.command_names().iter().filter(|name| **name == "close room").count(), 1);
}

#[test]
fn a_room_stays_while_somebody_else_is_called_in() {
    let (mut world, mut op) = attic();
    op.to_tag = None;
    let mut other = Peer { name: "op2".into(), ..op.clone() };
    refer(&mut world, &mut other, "sip:dave@192.0.2.10:5099");
    refuse(&mut world, "carol");
    assert!(!world.command_names().contains(&"close room"), "dave's call rings: {:?}", world.command_names());
    refuse(&mut world, "dave");
    assert_eq!(world.command_names().iter().filter(|name| **name == "close room").count(), 1);
}

#[test]
fn a_reinvite_to_a_call_that_we_have_ended_is_481_and_changes_nothing() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    ann.invite(&mut world);
    let (shard, session) = ann.session.unwrap();
    world.event(shard, Event::SessionEnded { session, why: EndReason::ConnectionLost });
    world.forget();
    // Our BYE waits for the ACK of our 200 (RFC 3261 §15).
    let moved = offer("msrp://192.0.2.99:7/moved;tcp");
    ann.send(&mut world, "INVITE", &moved);
    assert_eq!((world.last_status(), world.command_names()), (481, vec![]));
    ann.send(&mut world, "ACK", "");
    ann.sequence -= 1;
    ann.send(&mut world, "ACK", "");
    assert_eq!(world.requests_of(Method::Bye).len(), 1);
    ann.sequence += 1;
    world.forget();
    ann.send(&mut world, "INVITE", &moved);
    assert_eq!((world.last_status(), world.command_names()), (481, vec![]), "behind our BYE neither");
}

#[test]
fn changes_are_answered_in_the_order_in_which_the_shard_knows_of_them() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    let mut bob = world.join("bob", "lobby");
    let (shard, session) = ann.session.unwrap();
    let (_, session_of_bob) = bob.session.unwrap();
    world.forget();
    world.shards_answer = false;
    ann.send(&mut world, "INVITE", &offer("msrp://192.0.2.99:7/first;tcp"));
    ann.send(&mut world, "UPDATE", &offer("msrp://192.0.2.99:7/second;tcp"));
    bob.send(&mut world, "INVITE", &offer("msrp://192.0.2.98:7/bob;tcp"));
    assert_eq!(world.command_names(), ["change"; 3]);
    let answered = |world: &World| {
        let of = |message: &parlor_proto::sip::Message| {
            let response = message.as_response().filter(|response| response.status.code() == 200)?;
            let cseq = response.headers.typed::<CSeq>()?.ok()?;
            let from = text(&response.headers, &HeaderName::From)?;
            Some(format!("{} {}", if from.contains("ann") { "ann" } else { "bob" }, cseq.method))
        };
        world.sent.iter().filter_map(|(_, message)| of(message)).collect::<Vec<_>>()
    };
    assert!(answered(&world).is_empty());
    world.event(shard, Event::SessionChanged { session: session_of_bob });
    assert_eq!(answered(&world), ["bob INVITE"], "whoever's shard knows does not wait for others");
    world.event(shard, Event::SessionChanged { session });
    assert_eq!(answered(&world), ["bob INVITE", "ann INVITE"]);
    world.event(shard, Event::SessionChanged { session });
    assert_eq!(answered(&world), ["bob INVITE", "ann INVITE", "ann UPDATE"]);
}

#[test]
fn a_min_se_that_was_heard_of_is_never_lowered() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby").over_tcp();
    ann.extra = "Supported: timer\r\nAllow: INVITE, ACK, BYE, UPDATE\r\nSession-Expires: 1200;refresher=uas\r\nMin-SE: 1000\r\n".into();
    ann.join(&mut world);
    ann.extra = ann.extra.replace("1000", "95");
    ann.send(&mut world, "UPDATE", "");
    for lower in ["Min-SE: 120\r\n", ""] {
        world.advance(Duration::from_secs(601));
        let (_, update) = world.requests().pop().expect("an UPDATE");
        assert_eq!(text(&update.headers, &HeaderName::MinSe).as_deref(), Some("1000"), "{lower}");
        ann.respond(&mut world, 200, &format!("Session-Expires: 1200;refresher=uac\r\nRequire: timer\r\n{lower}"), "");
    }
    world.advance(Duration::from_secs(601));
    let (_, update) = world.requests().pop().expect("an UPDATE");
    assert_eq!(text(&update.headers, &HeaderName::MinSe).as_deref(), Some("1000"));
}
