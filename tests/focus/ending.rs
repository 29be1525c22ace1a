use std::time::Duration;

use parlor::facts::{EndReason, Event};
use parlor_proto::sip::{HeaderName, Message, Method, text};

use crate::watcher::Watcher;
use crate::world::{Peer, World, header};

fn reason(message: &parlor_proto::sip::Request) -> String {
    text(&message.headers, &HeaderName::Reason).unwrap()
}

#[test]
fn a_bye_is_answered_and_everything_goes() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    world.forget();
    ann.send(&mut world, "BYE", "");
    assert_eq!((world.statuses(), world.command_names()), (vec![200], vec!["close session", "close room"]));
    assert_eq!(world.focus.counts().calls, 0);
    ann.send(&mut world, "BYE", "");
    assert_eq!(world.last_status(), 481);
}

#[test]
fn a_session_that_ends_is_a_bye_with_its_reason() {
    for (why, cause) in [
        (EndReason::BindTimeout, "408"),
        (EndReason::ConnectionLost, "480"),
        (EndReason::Congested, "480"),
        (EndReason::ProtocolError, "400"),
    ] {
        let mut world = World::new();
        let ann = world.join("ann", "lobby");
        let (shard, session) = ann.session.unwrap();
        world.forget();
        world.event(shard, Event::SessionEnded { session, why });
        let [(hop, bye)] = &world.requests()[..] else { panic!("{:?}", world.sent) };
        assert_eq!((bye.method.clone(), hop.remote), (Method::Bye, ann.at));
        assert_eq!(reason(bye), format!("SIP ;cause={cause} ;text=\"{}\"", why.text()));
        assert_eq!(world.command_names(), ["close session", "close room"]);
        world.event(shard, Event::SessionEnded { session, why });
        assert_eq!(world.requests().len(), 1);
    }
}

#[test]
fn our_bye_is_sent_again_until_it_is_answered() {
    let mut world = World::new();
    let ann = world.join("ann", "lobby");
    let (shard, session) = ann.session.unwrap();
    world.event(shard, Event::SessionEnded { session, why: EndReason::ConnectionLost });
    world.advance(Duration::from_millis(600));
    assert_eq!(world.requests().len(), 2);
    assert!(!world.focus.is_drained());
    ann.agree(&mut world);
    assert!(world.focus.is_drained());
    world.advance(Duration::from_secs(60));
    assert_eq!(world.requests().len(), 2);
    assert_eq!(world.focus.poll_timeout(), None, "nothing is left to wait for");
}

#[test]
fn our_bye_waits_for_the_ack_of_our_200() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    ann.invite(&mut world);
    let (shard, session) = ann.session.unwrap();
    world.event(shard, Event::SessionEnded { session, why: EndReason::ConnectionLost });
    assert!(world.requests().is_empty());
    assert!(world.command_names().ends_with(&["close session", "close room"]));
    ann.send(&mut world, "ACK", "");
    assert_eq!(world.requests().len(), 1);
    assert!(!world.command_names().contains(&"expect"));
}

#[test]
fn without_an_ack_the_call_ends_after_its_time() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    ann.invite(&mut world);
    world.advance(Duration::from_millis(31_900));
    assert!(world.requests().is_empty());
    world.advance(Duration::from_millis(200));
    assert!(reason(&world.requests()[0].1).contains("No ACK"));
    assert!(world.command_names().ends_with(&["suspend session", "close room"]));
    assert_eq!(world.focus.counts().calls, 0);
}

#[test]
fn a_cancel_before_the_answer_ends_it_all() {
    let mut world = World::new();
    world.shards_answer = false;
    let mut ann = Peer::new("ann", "lobby");
    let offer = ann.offer();
    ann.send(&mut world, "INVITE", &offer);
    ann.send(&mut world, "CANCEL", "");
    assert_eq!(world.statuses(), [200, 487]);
    assert!(world.command_names().ends_with(&["close session", "close room"]));
    assert_eq!(world.focus.counts().calls, 0);
    let tags: Vec<_> = world.sent.iter().map(|(_, m)| text(m.headers(), &HeaderName::To)).collect();
    assert_eq!(tags[0], tags[1], "both answers have one tag");
}

/// A call whose INVITE has no final response, and whose peer knows the dialog. No response names our tag before that: it is the
/// one that the same call gets from another focus with the same seed.
fn opening() -> (World, Peer) {
    let mut same = Peer::new("ann", "lobby");
    same.invite(&mut World::new());
    let mut world = World::new();
    world.shards_answer = false;
    let mut ann = Peer::new("ann", "lobby");
    let offer = ann.offer();
    ann.send(&mut world, "INVITE", &offer);
    ann.to_tag = same.to_tag;
    assert!(world.statuses().is_empty());
    (world, ann)
}

#[test]
fn a_bye_before_the_answer_ends_the_invite_too() {
    let (mut world, mut ann) = opening();
    ann.send(&mut world, "BYE", "");
    assert_eq!(world.statuses(), [200, 487]);
    assert_eq!(header(world.last_response(), HeaderName::CSeq), "1 INVITE");
    assert!(world.command_names().ends_with(&["close session", "close room"]));
    assert_eq!(world.focus.counts().calls, 0);
}

#[test]
fn a_second_invite_before_the_answer_to_the_first_may_come_again_later() {
    let (mut world, mut ann) = opening();
    let offer = ann.offer();
    ann.send(&mut world, "INVITE", &offer);
    assert_eq!(world.statuses(), [500]);
    assert!(header(world.last_response(), HeaderName::RetryAfter).parse::<u64>().unwrap() <= 10);
    let session = world.opened().last().unwrap().session;
    world.event(session.shard, Event::SessionReady { session });
    assert_eq!(world.statuses(), [500, 200]);
    assert_eq!(header(world.last_response(), HeaderName::CSeq), "1 INVITE");
}

#[test]
fn a_cancel_after_the_answer_changes_nothing_and_one_of_nothing_is_481() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    let offer = ann.offer();
    ann.send(&mut world, "INVITE", &offer);
    ann.send(&mut world, "CANCEL", "");
    assert_eq!((world.statuses(), world.focus.counts().calls), (vec![200, 200], 1));
    let tags: Vec<_> = world.sent.iter().map(|(_, m)| text(m.headers(), &HeaderName::To)).collect();
    assert_eq!(tags[0], tags[1], "both answers have one tag");
    Peer::new("bob", "lobby").send(&mut world, "CANCEL", "");
    assert_eq!(world.last_status(), 481);
}

#[test]
fn our_bye_follows_the_recorded_route() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    ann.extra = "Record-Route: <sip:192.0.2.50:5080;lr>\r\nRecord-Route: <sip:192.0.2.51;lr>\r\n".into();
    ann.invite(&mut world);
    let echoed: Vec<_> =
        world.last_response().headers.get_all(&HeaderName::RecordRoute).map(|h| h.value().to_vec()).collect();
    assert_eq!(echoed, [b"<sip:192.0.2.50:5080;lr>".to_vec(), b"<sip:192.0.2.51;lr>".to_vec()]);
    ann.send(&mut world, "ACK", "");
    world.focus.drain(world.now);
    world.settle();
    let (hop, bye) = world.requests().pop().unwrap();
    assert_eq!(hop.remote.to_string(), "192.0.2.50:5080");
    let routes: Vec<_> = bye.headers.get_all(&HeaderName::Route).map(|h| h.value().to_vec()).collect();
    assert_eq!(routes, echoed);
}

#[test]
fn draining_ends_all_calls_and_refuses_new_ones() {
    let mut world = World::new();
    let peers: Vec<Peer> = ["ann", "bob", "cyn"].iter().map(|name| world.join(name, "lobby")).collect();
    let mut late = Peer::new("dan", "lobby");
    late.invite(&mut world);
    world.forget();
    world.focus.drain(world.now);
    world.settle();
    assert_eq!(world.requests().len(), 3, "dan's BYE waits for his ACK");
    Peer::new("eve", "lobby").send(&mut world, "INVITE", &peers[0].offer());
    assert_eq!(world.last_status(), 503);
    late.send(&mut world, "ACK", "");
    assert_eq!(world.requests().len(), 4);
    for (hop, bye) in world.requests() {
        assert!(!world.focus.is_drained());
        let response = parlor_proto::sip::ResponseBuilder::new(&bye, 200, "x").empty();
        world.focus.handle_message(Message::Response(response), hop, world.now);
        world.settle();
    }
    assert!(world.focus.is_drained());
    assert_eq!(world.command_names().iter().filter(|name| **name == "close session").count(), 4);
}

#[test]
fn draining_refuses_those_who_wait_for_a_shard() {
    let mut world = World::new();
    world.shards_answer = false;
    let mut ann = Peer::new("ann", "lobby");
    let offer = ann.offer();
    ann.send(&mut world, "INVITE", &offer);
    world.focus.drain(world.now);
    world.settle();
    assert_eq!(world.last_status(), 503);
    assert!(world.focus.is_drained());
}

#[test]
fn a_peer_that_does_not_answer_our_bye_does_not_hold_the_drain_up_for_ever() {
    let mut world = World::new();
    world.join("ann", "lobby");
    world.focus.drain(world.now);
    world.settle();
    world.advance(Duration::from_secs(33));
    assert!(world.focus.is_drained());
}

#[test]
fn a_bye_that_cannot_be_sent_or_whose_connection_closes_is_not_waited_for() {
    let mut world = World::new();
    let mut peers: Vec<Peer> = ["ann", "bob"].iter().map(|name| Peer::new(name, "lobby").over_tcp()).collect();
    peers.iter_mut().for_each(|peer| peer.join(&mut world));
    world.focus.drain(world.now);
    world.settle();
    let (of_ann, of_bob): (Vec<_>, Vec<_>) = world.sent.iter().partition(|(hop, _)| hop.remote == peers[0].at);
    let unsent = of_ann.last().unwrap().1.to_bytes();
    let closed = of_bob.last().unwrap().0.connection.unwrap();
    world.focus.handle_unsent(&unsent, world.now);
    assert!(!world.focus.is_drained());
    world.focus.handle_closed(closed, world.now);
    assert!(world.focus.is_drained());
    world.advance(Duration::from_secs(33));
    assert_eq!(world.focus.poll_timeout(), None, "no timer is left behind");
    world.focus.handle_unsent(b"nonsense", world.now);
}

#[test]
fn tags_and_branches_are_drawn_anew_and_cannot_be_guessed() {
    let mut world = World::new();
    let tags: Vec<_> = ["ann", "bob"].map(|name| world.join(name, "lobby").to_tag.unwrap()).into();
    world.focus.drain(world.now);
    world.settle();
    let branch = |bye: &parlor_proto::sip::Request| {
        let via = text(&bye.headers, &HeaderName::Via).unwrap();
        via.split_once(";branch=z9hG4bK").expect("the magic cookie").1.split(';').next().unwrap().to_owned()
    };
    let branches: Vec<_> = world.requests().iter().map(|(_, bye)| branch(bye)).collect();
    for pair in [tags, branches] {
        assert_ne!(pair[0], pair[1]);
        assert!(pair.iter().all(|text| text.len() >= 16), "64 random bits: {pair:?}");
    }
}

/// What the shard is told while our BYE has no answer, and what then.
fn sessions_told(world: &World) -> Vec<&'static str> {
    world.command_names().into_iter().filter(|name| name.ends_with(" session")).collect()
}

/// A call over TCP that is ended by us, before its BYE has an answer.
fn hung_up_on(by: fn(&mut World)) -> (World, Peer) {
    let mut world = World::with_policy(|policy| policy.moderators = vec!["sip:op@home.example".into()]);
    let mut ann = Peer::new("ann", "lobby").over_tcp();
    ann.join(&mut world);
    world.forget();
    by(&mut world);
    assert_eq!((sessions_told(&world), world.requests_of(Method::Bye).len()), (vec!["suspend session"], 1));
    assert_eq!(world.focus.counts().calls, 0);
    (world, ann)
}

fn kick(world: &mut World) {
    let mut op = Peer::new("op", "lobby").over_tcp();
    op.extra = "Refer-To: <sip:ann@home.example;method=BYE>\r\nRefer-Sub: false\r\n".into();
    op.send(world, "REFER", "");
}

fn close_the_room(world: &mut World) {
    let mut op = Peer::new("op", "lobby").over_tcp();
    op.extra = "Refer-To: <sip:lobby@chat.example;method=BYE>\r\nRefer-Sub: false\r\n".into();
    op.send(world, "REFER", "");
}

fn drain(world: &mut World) {
    world.focus.drain(world.now);
    world.settle();
}

#[test]
fn a_session_keeps_its_connection_until_our_bye_is_answered() {
    for by in [kick, close_the_room, drain] {
        let (mut world, ann) = hung_up_on(by);
        let bye = world.requests_of(Method::Bye).remove(0);
        ann.respond_to(&mut world, &bye, 100, "", "");
        assert_eq!(sessions_told(&world), ["suspend session"], "that is no answer yet");
        ann.respond_to(&mut world, &bye, 200, "", "");
        assert_eq!(sessions_told(&world), ["suspend session", "close session"]);
        ann.respond_to(&mut world, &bye, 200, "", "");
        assert_eq!(sessions_told(&world).len(), 2);
    }
}

#[test]
fn a_session_whose_bye_is_not_answered_ends_after_its_time() {
    let (mut world, _ann) = hung_up_on(kick);
    world.advance(Duration::from_secs(31));
    assert_eq!(sessions_told(&world), ["suspend session"]);
    world.advance(Duration::from_secs(2));
    assert_eq!(sessions_told(&world), ["suspend session", "close session"]);
}

#[test]
fn a_session_whose_bye_cannot_arrive_ends_at_once() {
    for closed in [false, true] {
        let (mut world, ann) = hung_up_on(kick);
        match closed {
            true => world.focus.handle_closed(ann.hop().connection.unwrap(), world.now),
            false => {
                let unsent = world
                    .sent
                    .iter()
                    .rfind(|(_, message)| message.as_request().is_some_and(|request| request.method == Method::Bye));
                let unsent = unsent.unwrap().1.to_bytes();
                world.focus.handle_unsent(&unsent, world.now);
            }
        }
        world.settle();
        assert_eq!(sessions_told(&world), ["suspend session", "close session"]);
    }
}

#[test]
fn a_session_that_waits_for_its_bye_ends_with_the_bye_of_its_peer() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    ann.invite(&mut world);
    world.forget();
    drain(&mut world);
    assert_eq!((sessions_told(&world), world.requests().len()), (vec!["suspend session"], 0), "no ACK yet");
    ann.send(&mut world, "BYE", "");
    assert_eq!((world.last_status(), sessions_told(&world)), (200, vec!["suspend session", "close session"]));
}

#[test]
fn a_subscription_whose_call_has_ended_holds_no_drain_up() {
    for own_dialog in [false, true] {
        let mut world = World::new();
        let mut ann = Peer::new("ann", "lobby");
        ann.join(&mut world);
        let mut device = if own_dialog { Watcher::new("ann", "lobby").peer } else { ann };
        device.extra = "Event: conference\r\nExpires: 600\r\n".into();
        device.send(&mut world, "SUBSCRIBE", "");
        assert_eq!((world.last_status(), world.focus.counts().subscriptions), (200, 1));
        drain(&mut world);
        assert!(!world.focus.is_drained());
        let bye = world.requests_of(Method::Bye).remove(0);
        device.respond_to(&mut world, &bye, 200, "", "");
        assert_eq!(world.focus.counts().subscriptions, 1, "its NOTIFY has no answer, {own_dialog}");
        assert!(world.focus.is_drained(), "{own_dialog}: {:?}", world.focus.awaited());
    }
}

#[test]
fn a_watcher_that_answers_nothing_holds_a_drain_up_for_two_seconds_only() {
    let mut world = World::with_policy(|policy| policy.subscribers = parlor::facts::Subscribers::Everyone);
    let ann = world.join("ann", "lobby");
    let _silent = Watcher::watching("bob", "lobby", &mut world);
    world.forget();
    drain(&mut world);
    let bye = world.requests_of(Method::Bye).remove(0);
    ann.respond_to(&mut world, &bye, 200, "", "");
    world.advance(Duration::from_millis(1900));
    assert!(!world.focus.is_drained());
    world.advance(Duration::from_millis(200));
    assert!(world.focus.is_drained(), "{:?}", world.focus.awaited());
}

#[test]
fn a_bye_that_crosses_ours_is_200_until_ours_is_answered() {
    for watches in [false, true] {
        let mut world = World::new();
        let mut ann = world.join("ann", "lobby");
        if watches {
            ann.extra = "Event: conference\r\nExpires: 600\r\n".into();
            ann.send(&mut world, "SUBSCRIBE", "");
            ann.extra.clear();
        }
        drain(&mut world);
        let ours = world.requests_of(Method::Bye).remove(0);
        world.forget();
        ann.send(&mut world, "BYE", "");
        assert_eq!(world.statuses(), [200], "watches: {watches}");
        let mut stranger = Peer { from: "<sip:eve@home.example>;tag=eve".into(), ..ann.clone() };
        stranger.send(&mut world, "BYE", "");
        assert_eq!(world.last_status(), 481, "of somebody else");
        ann.respond_to(&mut world, &ours, 200, "", "");
        world.forget();
        ann.send(&mut world, "BYE", "");
        assert_eq!(world.last_status(), 481, "the dialog is over");
    }
}

#[test]
fn a_drain_waits_for_the_last_notify_of_a_subscriber_without_a_call() {
    let mut world = World::with_policy(|policy| policy.subscribers = parlor::facts::Subscribers::Everyone);
    let ann = world.join("ann", "lobby");
    let mut bob = Watcher::watching("bob", "lobby", &mut world);
    world.forget();
    drain(&mut world);
    let bye = world.requests_of(Method::Bye).remove(0);
    ann.respond_to(&mut world, &bye, 200, "", "");
    let awaited = world.focus.awaited();
    assert_eq!((awaited.calls, awaited.byes, awaited.subscriptions), (0, 0, 1));
    bob.take(&mut world);
    assert!(world.focus.is_drained());
}

#[test]
fn an_answer_that_comes_when_the_call_is_to_end_opens_no_session() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    ann.send(&mut world, "INVITE", "");
    ann.learn(&world);
    drain(&mut world);
    world.forget();
    let answer = ann.offer();
    ann.send(&mut world, "ACK", &answer);
    assert!(!world.command_names().contains(&"open session"), "{:?}", world.command_names());
    assert_eq!(world.requests_of(Method::Bye).len(), 1);
}
