use std::time::Duration;

use parlor::focus::Settings;
use parlor::sip::HeaderName;

use crate::world::{Peer, World, header, settings};

#[test]
fn more_calls_a_second_than_allowed_are_503_with_retry_after() {
    let mut world = World::with(Settings { max_calls_per_second: 3, ..settings() });
    let call = |world: &mut World, i: usize| {
        let mut peer = Peer::new(&format!("u{i}"), "lobby");
        peer.invite(world);
        world.last_status()
    };
    let first: Vec<u16> = (0..5).map(|i| call(&mut world, i)).collect();
    assert_eq!(first, [200, 200, 200, 503, 503]);
    assert_eq!(header(world.last_response(), HeaderName::RetryAfter), "1");
    world.advance(Duration::from_millis(400));
    assert_eq!([call(&mut world, 5), call(&mut world, 6)], [200, 503]);
}

#[test]
fn within_a_call_nothing_is_throttled() {
    let mut world = World::with(Settings { max_calls_per_second: 1, ..settings() });
    let mut ann = world.join("ann", "lobby");
    let offer = ann.offer();
    ann.send(&mut world, "INVITE", &offer);
    assert_eq!(world.last_status(), 200);
}

#[test]
fn a_full_command_queue_is_a_503() {
    let mut world = World::new();
    world.shards_answer = false;
    let mut ann = Peer::new("ann", "lobby");
    let offer = ann.offer();
    ann.send(&mut world, "INVITE", &offer);
    let session = world.opened()[0].session;
    world.focus.handle_full(session, world.now);
    world.settle();
    assert_eq!((world.last_status(), world.focus.counts().calls), (503, 0));
}

#[test]
fn over_the_last_transaction_requests_are_refused_without_state() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    let request = ann.request("OPTIONS", "");
    for i in 0..100 {
        world.deliver(&request.replace("z9hG4bK-ann-1", &format!("z9hG4bK-{i}")), ann.hop());
        world.forget();
    }
    assert_eq!(world.focus.counts().transactions, 100);
    let over = request.replace("z9hG4bK-ann-1", "z9hG4bK-over");
    world.deliver(&over, ann.hop());
    world.deliver(&over, ann.hop());
    assert_eq!(world.statuses(), [503, 503]);
    let tags: Vec<_> = world.sent.iter().map(|(_, m)| parlor::sip::text(m.headers(), &HeaderName::To)).collect();
    assert_eq!(tags[0], tags[1], "the same request has the same tag");
    world.forget();
    world.deliver(&request.replace("z9hG4bK-ann-1", "z9hG4bK-7"), ann.hop());
    assert_eq!(world.statuses(), [200], "what is known is answered as before");
    world.advance(Duration::from_secs(33));
    assert_eq!(world.focus.counts().transactions, 0);
}

#[test]
fn over_the_last_transaction_a_cancel_ends_its_invite_or_is_ignored() {
    let mut world = World::with(Settings { transactions_max: 1, ..settings() });
    world.shards_answer = false;
    let mut ann = Peer::new("ann", "lobby");
    let offer = ann.offer();
    ann.send(&mut world, "INVITE", &offer);
    Peer::new("bob", "lobby").send(&mut world, "CANCEL", "");
    Peer::new("bob", "lobby").send(&mut world, "ACK", "");
    assert_eq!(world.statuses(), [0; 0]);
    ann.send(&mut world, "CANCEL", "");
    assert_eq!((world.statuses(), world.focus.counts().calls), (vec![200, 487], 0));
}
