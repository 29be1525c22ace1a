//! The limits of the focus, each reached.

use std::time::Duration;

use parlor::facts::Subscribers;
use parlor::focus::{Network, Settings};
use parlor::limits::{
    DATAGRAM_REQUEST_BYTES_MAX, INVITE_TRIES_MAX, NOTIFIES_PER_BURST_MAX, NOTIFY_RETRY_SECONDS_MAX, OUTGOING_CALLS_MAX,
    REPORT_SECONDS_MAX, RINGING_SECONDS_MAX, SUBSCRIPTION_SECONDS_MAX, SUBSCRIPTION_SECONDS_MIN,
    SUBSCRIPTIONS_PER_DIALOG_MAX, SUBSCRIPTIONS_PER_USER_MAX,
};
use parlor_proto::sip::{HeaderName, Message, Method, ResponseBuilder, Transport, text};

use crate::watcher::Watcher;
use crate::world::{Peer, World, header, policy, settings};

#[test]
fn a_user_has_so_many_subscriptions_to_a_room() {
    let mut world = World::new();
    world.join("ann", "lobby");
    world.join("bob", "lobby");
    for _ in 0..SUBSCRIPTIONS_PER_USER_MAX {
        Watcher::watching("ann", "lobby", &mut world);
    }
    assert_eq!(Watcher::new("ann", "lobby").subscribe(&mut world), 403);
    assert_eq!(Watcher::new("bob", "lobby").subscribe(&mut world), 200, "others have their own");
}

#[test]
fn a_dialog_has_so_many_subscriptions() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    let mut subscribe = |n: usize| {
        ann.extra = format!("Event: conference;id={n}\r\nExpires: 600\r\n");
        ann.send(&mut world, "SUBSCRIBE", "");
        world.last_status()
    };
    for n in 0..SUBSCRIPTIONS_PER_DIALOG_MAX {
        assert_eq!(subscribe(n), 200, "{n}");
    }
    assert_eq!(subscribe(SUBSCRIPTIONS_PER_DIALOG_MAX), 403);
    assert_eq!(subscribe(0), 200, "one that is there is refreshed");
}

#[test]
fn a_subscription_lasts_as_long_as_the_limits_say() {
    let (min, max) = (SUBSCRIPTION_SECONDS_MIN, SUBSCRIPTION_SECONDS_MAX);
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut granted = |extra: &str| {
        let mut watcher = Watcher::new("ann", "lobby");
        watcher.peer.extra = format!("Event: conference\r\n{extra}");
        let status = watcher.subscribe(&mut world);
        let name = if status == 200 { HeaderName::Expires } else { HeaderName::MinExpires };
        (status, header(world.last_response(), name))
    };
    assert_eq!(granted(&format!("Expires: {max}\r\n")), (200, max.to_string()));
    assert_eq!(granted(&format!("Expires: {}\r\n", max + 1)), (200, max.to_string()));
    assert_eq!(granted(""), (200, max.to_string()), "who asks for no time");
    assert_eq!(granted(&format!("Expires: {min}\r\n")), (200, min.to_string()));
    assert_eq!(granted(&format!("Expires: {}\r\n", min - 1)), (423, min.to_string()));
}

#[test]
fn so_many_notifies_leave_at_a_time() {
    let mut world = World::with_policy(|policy| policy.subscribers = Subscribers::Everyone);
    world.join("ann", "lobby");
    for n in 0..NOTIFIES_PER_BURST_MAX + 10 {
        Watcher::watching(&format!("user{n}"), "lobby", &mut world);
    }
    world.advance(Duration::from_secs(1));
    world.join("bob", "lobby");
    world.forget();
    world.advance(Duration::from_millis(250));
    assert_eq!(world.requests_of(Method::Notify).len(), NOTIFIES_PER_BURST_MAX);
    world.advance(Duration::from_millis(10));
    assert_eq!(world.requests_of(Method::Notify).len(), NOTIFIES_PER_BURST_MAX + 10, "the others follow");
}

#[test]
fn a_request_above_the_limit_goes_over_a_stream() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut watcher = Watcher::watching("ann", "lobby", &mut world);
    let (mut datagrams, mut streams) = (0, 0);
    for users in 0..12 {
        let mut peers: Vec<_> = (0..users).map(|n| world.join(&format!("somebody-{n}"), "lobby")).collect();
        for leaves in [false, true] {
            if leaves {
                peers.iter_mut().for_each(|peer| peer.send(&mut world, "BYE", ""));
            }
            world.advance(Duration::from_millis(250));
            for (hop, notify) in watcher.waiting(&world) {
                let len = Message::Request(notify).to_bytes().len();
                let is_datagram = hop.transport == Transport::Udp;
                *if is_datagram { &mut datagrams } else { &mut streams } += 1;
                assert!(len <= DATAGRAM_REQUEST_BYTES_MAX || !is_datagram, "{len} octets in a datagram");
            }
            watcher.take(&mut world);
        }
    }
    assert!(datagrams > 0 && streams > 0, "{datagrams} datagrams, {streams} over streams");
}

#[test]
fn so_many_calls_of_ours_may_be_unanswered() {
    // Who is trusted may take them all.
    let trusted_peers = Network::new("192.0.2.0".parse().unwrap(), 24).into_iter().collect();
    let rooms = policy(|policy| policy.moderators = vec!["creator".into()]);
    let mut world = World::with(Settings { rooms, trusted_peers, ..settings() });
    let mut ann = Peer::new("ann", "lobby").over_tcp();
    ann.join(&mut world);
    let mut refer = |world: &mut World, n: usize| {
        let host = format!("10.1.{}.{}", n / 250, n % 250 + 1);
        ann.extra = format!("Refer-To: <sip:u{n}@{host}>\r\nRefer-Sub: false\r\n");
        ann.send(world, "REFER", "");
        let status = world.last_status();
        let invite = world.requests_of(Method::Invite).pop();
        world.forget();
        (status, invite)
    };
    let (_, first) = refer(&mut world, 0);
    for n in 1..OUTGOING_CALLS_MAX {
        assert_eq!(refer(&mut world, n).0, 202, "{n}");
    }
    assert_eq!(refer(&mut world, OUTGOING_CALLS_MAX).0, 503);
    Peer::new("u0", "lobby").respond_to(&mut world, &first.expect("an INVITE"), 486, "", "");
    assert_eq!(refer(&mut world, OUTGOING_CALLS_MAX).0, 202, "one has its answer");
}

/// Ann, who has made the lobby and calls carol into it.
fn calling(extra: &str) -> (World, Peer) {
    let mut world = World::with_policy(|policy| policy.moderators = vec!["creator".into()]);
    let mut ann = Peer::new("ann", "lobby").over_tcp();
    ann.join(&mut world);
    world.forget();
    ann.extra = format!("Refer-To: <sip:carol@192.0.2.9:5099>\r\n{extra}");
    ann.send(&mut world, "REFER", "");
    assert_eq!(world.last_status(), 202);
    (world, Peer::new("carol", "lobby"))
}

#[test]
fn an_invite_goes_out_so_many_times() {
    let (mut world, carol) = calling("Refer-Sub: false\r\n");
    let mut answered = 0;
    while let Some(invite) = world.requests_of(Method::Invite).get(answered).cloned() {
        answered += 1;
        carol.respond_to(&mut world, &invite, 422, &format!("Min-SE: {}\r\n", 7200 + answered), "");
        assert!(answered <= 100, "it goes on and on");
    }
    assert_eq!(answered, INVITE_TRIES_MAX as usize);
    assert_eq!(world.command_names(), ["open session", "close session"]);
}

#[test]
fn an_invitation_may_ring_for_so_long() {
    let (mut world, carol) = calling("Refer-Sub: false\r\n");
    let invite = world.requests_of(Method::Invite).remove(0);
    assert_eq!(text(&invite.headers, &HeaderName::Expires), Some(RINGING_SECONDS_MAX.to_string()));
    carol.respond_to(&mut world, &invite, 180, "", "");
    world.advance(Duration::from_secs(RINGING_SECONDS_MAX - 1));
    assert!(world.requests_of(Method::Cancel).is_empty());
    world.advance(Duration::from_secs(1));
    assert_eq!(world.requests_of(Method::Cancel).len(), 1);
}

#[test]
fn a_report_is_awaited_for_so_long() {
    let (world, _) = calling("");
    let state = text(&world.requests_of(Method::Notify).remove(0).headers, &HeaderName::SubscriptionState);
    assert_eq!(state, Some(format!("active;expires={REPORT_SECONDS_MAX}")));
}

#[test]
fn a_subscriber_puts_us_off_for_so_long() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut watcher = Watcher::new("ann", "lobby");
    watcher.asks(3600);
    watcher.subscribe(&mut world);
    let (hop, notify) = watcher.waiting(&world).remove(0);
    world.forget();
    let later = ResponseBuilder::new(&notify, 500, "t").header(HeaderName::RetryAfter, "100000").empty();
    world.focus.handle_message(Message::Response(later), hop, world.now);
    world.settle();
    world.advance(Duration::from_secs(NOTIFY_RETRY_SECONDS_MAX - 1));
    assert!(watcher.waiting(&world).is_empty());
    world.advance(Duration::from_secs(1));
    assert!(!watcher.waiting(&world).is_empty());
}
