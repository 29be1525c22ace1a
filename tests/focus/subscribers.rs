//! Who a subscriber is, where passwords are asked for.

use crate::identity::{ALICE, ANYBODY, BOB, alice, guarded, join, log_in};
use crate::watcher::Watcher;
use crate::world::World;

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
fn who_hides_is_known_to_us_by_its_password_and_to_nobody_else() {
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
