//! Who a subscriber is, where passwords are asked for.

use std::time::Duration;

use parlor_proto::conference_info::State;
use parlor_proto::sip::HeaderName;

use crate::identity::{ALICE, ANYBODY, BOB, alice, guarded, join, log_in};
use crate::watcher::Watcher;
use crate::world::{Peer, World, header};

const EVENT: &str = "Event: conference\r\nExpires: 600\r\n";

/// Subscribes with a password, out of any call.
fn watch_as_alice(world: &mut World) -> Watcher {
    let mut watcher = Watcher::new("alice", "lobby");
    watcher.peer.from = "<sip:alice@chat.example>;tag=watching".into();
    assert_eq!(watcher.subscribe(world), 401);
    assert!(watcher.waiting(world).is_empty());
    log_in(world, &mut watcher.peer, ALICE, "SUBSCRIBE", 1);
    watcher.peer.extra += EVENT;
    watcher
}

#[test]
fn a_subscriber_is_asked_for_its_password_and_keeps_its_dialog_to_itself() {
    let mut world = World::with(guarded());
    join(&mut world, &mut alice(), ALICE);
    let mut watcher = watch_as_alice(&mut world);
    watcher.watch(&mut world);
    assert_eq!(watcher.roster.keys().collect::<Vec<_>>(), ["sip:alice@chat.example"]);
    // In its dialog it is asked again, and nobody else's password will do.
    watcher.peer.extra = EVENT.into();
    assert_eq!(watcher.subscribe(&mut world), 401);
    log_in(&world, &mut watcher.peer, BOB, "SUBSCRIBE", 1);
    watcher.peer.extra += EVENT;
    assert_eq!(watcher.subscribe(&mut world), 403);
    watcher.peer.extra = EVENT.into();
    assert_eq!(watcher.subscribe(&mut world), 401);
    log_in(&world, &mut watcher.peer, ALICE, "SUBSCRIBE", 1);
    watcher.peer.extra += EVENT;
    watcher.watch(&mut world);
    assert_eq!(world.focus.counts().subscriptions, 1);
}

#[test]
fn an_anonymous_user_is_known_to_the_focus_alone() {
    let mut world = World::with(guarded());
    let mut hidden = alice();
    hidden.from = ANYBODY.into();
    join(&mut world, &mut hidden, ALICE);
    let mut watcher = watch_as_alice(&mut world);
    assert_ne!(watcher.peer.at, hidden.at, "from elsewhere");
    watcher.watch(&mut world);
    let uris: Vec<_> = watcher.roster.keys().cloned().collect();
    assert!(matches!(&uris[..], [one] if one.starts_with("sip:anonymous-")), "{uris:?}");
}

#[test]
fn a_refresh_that_is_too_brief_changes_nothing() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut watcher = Watcher::watching("ann", "lobby", &mut world);
    watcher.asks(59);
    assert_eq!(
        (watcher.subscribe(&mut world), header(world.last_response(), HeaderName::MinExpires)),
        (423, "60".into())
    );
    assert!(watcher.waiting(&world).is_empty());
    world.advance(Duration::from_secs(500));
    assert_eq!(world.focus.counts().subscriptions, 1, "it lasts as long as before");
    watcher.asks(60);
    watcher.watch(&mut world);
    assert_eq!(header(world.last_response(), HeaderName::Expires), "60");
    assert_eq!(header(world.last_response(), HeaderName::Event), "", "no response has it");
}

#[test]
fn a_202_to_a_notify_is_as_good_as_a_200() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut watcher = Watcher::watching("ann", "lobby", &mut world);
    world.join("bob", "lobby");
    world.advance(Duration::from_millis(250));
    let (_, notify) = watcher.waiting(&world).remove(0);
    watcher.read(&notify);
    watcher.refuse(&mut world, 202);
    world.join("cyn", "lobby");
    world.advance(Duration::from_millis(250));
    watcher.take(&mut world);
    assert_eq!(watcher.documents, [State::Full, State::Partial, State::Partial], "nothing was missed");
    assert_eq!(watcher.names(), ["ann", "bob", "cyn"]);
}

#[test]
fn two_devices_of_a_user_have_keys_of_their_own() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut phone = Peer::new("ann-phone", "lobby");
    phone.from = "<sip:ann@home.example>;tag=phone".into();
    phone.join(&mut world);
    let mut watcher = Watcher::new("ann", "lobby");
    watcher.subscribe(&mut world);
    let (_, notify) = watcher.waiting(&world).remove(0);
    let document = String::from_utf8(notify.body().to_vec()).unwrap();
    assert_eq!(document.matches("<user entity=").count(), 1, "{document}");
    let mut keys: Vec<_> =
        document.split("<endpoint entity=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(keys.len(), 2, "{document}");
    keys.dedup();
    assert!(keys.len() == 2 && keys.iter().all(|key| key.starts_with("sip:ann@home.example;endpoint=")), "{keys:?}");
}
