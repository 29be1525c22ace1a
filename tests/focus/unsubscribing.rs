//! How subscriptions end, and what outlives what.

use std::time::Duration;

use parlor::facts::{Delete, Subscribers};
use parlor_proto::conference_info::State;
use parlor_proto::sip::{HeaderName, Message, text};

use crate::watcher::Watcher;
use crate::world::{Peer, World};

#[test]
fn without_a_refresh_it_ends_by_time() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut watcher = Watcher::watching("ann", "lobby", &mut world);
    world.advance(Duration::from_secs(601));
    watcher.take(&mut world);
    assert_eq!(watcher.state, "terminated;reason=timeout");
    assert_eq!(world.focus.counts().subscriptions, 0);
    assert_eq!(watcher.subscribe(&mut world), 481);
}

#[test]
fn subscriptions_end_with_the_user_s_last_session_and_with_the_room() {
    let mut world = World::with_policy(|policy| policy.delete = Delete::WhenEmpty);
    let mut ann = world.join("ann", "lobby");
    let mut bob = world.join("bob", "lobby");
    let (mut of_ann, mut of_bob) =
        (Watcher::watching("ann", "lobby", &mut world), Watcher::watching("bob", "lobby", &mut world));
    bob.send(&mut world, "BYE", "");
    of_bob.take(&mut world);
    assert_eq!(of_bob.state, "terminated;reason=rejected");
    world.advance(Duration::from_millis(250));
    of_ann.take(&mut world);
    assert_eq!(of_ann.names(), ["ann"]);
    ann.send(&mut world, "BYE", "");
    of_ann.take(&mut world);
    assert_eq!(
        (of_ann.state.as_str(), of_ann.documents.last()),
        ("terminated;reason=noresource", Some(&State::Deleted))
    );
    assert_eq!(world.focus.counts().subscriptions, 0);
    world.advance(Duration::from_secs(40));
    assert_eq!(world.focus.poll_timeout(), None, "nothing is left to wait for");
}

#[test]
fn a_room_that_goes_with_its_creator_says_so_to_all_who_watch() {
    let mut world = World::with_policy(|policy| policy.delete = Delete::WhenCreatorLeaves);
    let mut ann = world.join("ann", "lobby");
    world.join("bob", "lobby");
    let mut of_bob = Watcher::watching("bob", "lobby", &mut world);
    ann.send(&mut world, "BYE", "");
    of_bob.take(&mut world);
    assert_eq!(
        (of_bob.state.as_str(), of_bob.documents.last()),
        ("terminated;reason=noresource", Some(&State::Deleted))
    );
}

#[test]
fn a_user_with_another_device_there_may_go_on() {
    let mut world = World::new();
    let mut desk = world.join("ann", "lobby");
    let mut phone = Peer::new("ann-phone", "lobby");
    phone.from = "<sip:ann@home.example>;tag=phone".into();
    phone.join(&mut world);
    let mut watcher = Watcher::watching("ann", "lobby", &mut world);
    desk.send(&mut world, "BYE", "");
    world.advance(Duration::from_millis(250));
    watcher.take(&mut world);
    assert_eq!((watcher.roster.len(), watcher.state.starts_with("active")), (1, true));
    phone.send(&mut world, "BYE", "");
    watcher.take(&mut world);
    assert_eq!(watcher.state, "terminated;reason=noresource");
}

#[test]
fn answers_that_are_fatal_and_silence_end_it() {
    for status in [481, 404, 489, 408] {
        let mut world = World::new();
        world.join("ann", "lobby");
        let mut watcher = Watcher::new("ann", "lobby");
        watcher.subscribe(&mut world);
        watcher.refuse(&mut world, status);
        assert_eq!(world.focus.counts().subscriptions, 0, "{status}");
        world.join("bob", "lobby");
        world.advance(Duration::from_secs(1));
        assert!(watcher.waiting(&world).is_empty());
    }
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut watcher = Watcher::new("ann", "lobby");
    watcher.subscribe(&mut world);
    world.advance(Duration::from_secs(33));
    assert_eq!(world.focus.counts().subscriptions, 0);
    assert_eq!(watcher.subscribe(&mut world), 481);
}

#[test]
fn a_call_and_subscriptions_share_a_dialog_and_end_apart() {
    let mut world = World::with_policy(|policy| policy.subscribers = Subscribers::Everyone);
    world.join("bob", "lobby");
    let mut ann = world.join("ann", "lobby");
    let mut in_call = Watcher::new("ann", "lobby");
    in_call.peer = ann.clone();
    in_call.peer.extra = "Event: conference;id=7\r\nExpires: 600\r\n".into();
    in_call.watch(&mut world);
    assert_eq!(in_call.names(), ["ann", "bob"]);
    // A second one in the same dialog, told apart by its id.
    in_call.peer.extra = "Event: conference;id=8\r\nExpires: 600\r\n".into();
    assert_eq!(in_call.subscribe(&mut world), 200);
    assert_eq!(world.focus.counts().subscriptions, 2);
    let (hop, notify) = in_call.waiting(&world).pop().unwrap();
    assert_eq!(text(&notify.headers, &HeaderName::Event).as_deref(), Some("conference;id=8"));
    let refusal = parlor_proto::sip::ResponseBuilder::new(&notify, 481, "x").empty();
    world.focus.handle_message(Message::Response(refusal), hop, world.now);
    world.settle();
    assert_eq!(world.focus.counts().subscriptions, 1);
    world.forget();
    // The call ends; the dialog stays for the subscription.
    ann.sequence = in_call.peer.sequence;
    ann.branch = in_call.peer.branch;
    ann.send(&mut world, "BYE", "");
    assert_eq!((world.last_status(), world.focus.counts().calls, world.focus.counts().subscriptions), (200, 1, 1));
    world.advance(Duration::from_millis(250));
    in_call.take(&mut world);
    assert_eq!(in_call.names(), ["bob"]);
    in_call.peer.sequence = ann.sequence;
    in_call.peer.branch = ann.branch;
    in_call.peer.extra = "Event: conference;id=7\r\nExpires: 0\r\n".into();
    in_call.watch(&mut world);
    assert_eq!(in_call.state, "terminated;reason=timeout");
    in_call.peer.send(&mut world, "OPTIONS", "");
    assert_eq!(world.last_status(), 481, "the dialog has ended with its last usage");
}

#[test]
fn our_bye_and_our_notifies_count_on_in_one_dialog() {
    let mut world = World::with_policy(|policy| policy.subscribers = Subscribers::Everyone);
    world.join("bob", "lobby");
    let ann = world.join("ann", "lobby");
    let mut in_call = Watcher::new("ann", "lobby");
    in_call.peer = ann.clone();
    in_call.peer.extra = "Event: conference\r\nExpires: 600\r\n".into();
    in_call.watch(&mut world);
    world.forget();
    let (shard, session) = ann.session.unwrap();
    world.event(shard, parlor::facts::Event::SessionEnded { session, why: parlor::facts::EndReason::ConnectionLost });
    world.advance(Duration::from_millis(250));
    let numbers: Vec<_> =
        world.requests().into_iter().filter_map(|(_, request)| text(&request.headers, &HeaderName::CSeq)).collect();
    assert_eq!(numbers, ["2 BYE", "3 NOTIFY"]);
}

#[test]
fn a_subscribe_in_a_call_that_is_over_is_481() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    world.join("bob", "lobby");
    ann.send(&mut world, "BYE", "");
    ann.extra = "Event: conference\r\n".into();
    ann.send(&mut world, "SUBSCRIBE", "");
    assert_eq!(world.last_status(), 481);
}

#[test]
fn a_drain_ends_subscriptions_so_that_others_may_take_them() {
    let mut world = World::new();
    let ann = world.join("ann", "lobby");
    let mut watcher = Watcher::watching("ann", "lobby", &mut world);
    world.forget();
    world.focus.drain(world.now);
    world.settle();
    watcher.take(&mut world);
    assert_eq!(watcher.state, "terminated;reason=deactivated");
    assert!(!world.focus.is_drained());
    ann.agree(&mut world);
    assert!(world.focus.is_drained());
}
