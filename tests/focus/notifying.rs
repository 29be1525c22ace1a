//! What subscribers are told, when, and over what.

use std::time::Duration;

use parlor::facts::Subscribers;
use parlor::limits::{CONFERENCE_DOCUMENT_BYTES_MAX, NOTIFY_BYTES_UNDER_WAY_MAX};
use parlor_proto::conference_info::{ConferenceInfo, State};
use parlor_proto::sip::{HeaderName, Message, Method, Transport, text};

use crate::watcher::Watcher;
use crate::world::{Peer, World, header, policy};

#[test]
fn what_changes_within_an_interval_is_one_partial_notify() {
    let mut world = World::new();
    let ann = world.join("ann", "lobby");
    let mut watcher = Watcher::watching("ann", "lobby", &mut world);
    world.join("bob", "lobby");
    let mut cyn = world.join("cyn", "lobby");
    let (shard, session) = ann.session.unwrap();
    world.event(shard, parlor::facts::Event::Nickname { session, nickname: Some("Ally".into()) });
    cyn.send(&mut world, "BYE", "");
    assert!(watcher.waiting(&world).is_empty(), "the interval is not over");
    world.advance(Duration::from_millis(249));
    assert!(watcher.waiting(&world).is_empty());
    world.advance(Duration::from_millis(1));
    assert_eq!(watcher.take(&mut world), 1);
    assert_eq!(watcher.documents, [State::Full, State::Partial]);
    assert_eq!((watcher.names(), watcher.user_count), (vec!["Ally", "bob"], Some(2)));
    world.advance(Duration::from_secs(10));
    assert!(watcher.waiting(&world).is_empty(), "nothing has changed");
}

#[test]
fn a_user_that_leaves_is_notified_as_deleted() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut bob = world.join("bob", "lobby");
    let mut watcher = Watcher::watching("ann", "lobby", &mut world);
    bob.send(&mut world, "BYE", "");
    world.advance(Duration::from_millis(250));
    let (_, notify) = watcher.waiting(&world).pop().unwrap();
    let info = ConferenceInfo::parse(notify.body()).unwrap();
    assert_eq!((info.state, info.users_state, info.users.len()), (State::Partial, State::Partial, 1));
    assert_eq!((info.users[0].entity.as_str(), info.users[0].state), ("sip:bob@home.example", State::Deleted));
    watcher.take(&mut world);
    assert_eq!(watcher.names(), ["ann"]);
}

#[test]
fn one_notify_is_under_way_at_a_time_and_the_next_tells_the_rest() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut watcher = Watcher::new("ann", "lobby");
    watcher.subscribe(&mut world);
    for name in ["bob", "cyn", "dan"] {
        world.join(name, "lobby");
        world.advance(Duration::from_millis(300));
    }
    let numbers: std::collections::HashSet<_> =
        watcher.waiting(&world).iter().map(|(_, notify)| text(&notify.headers, &HeaderName::CSeq)).collect();
    assert_eq!(numbers.len(), 1, "the first one is sent again, nothing else");
    assert_eq!(watcher.take(&mut world), 2);
    assert_eq!(
        (watcher.documents.as_slice(), watcher.names()),
        (&[State::Full, State::Partial][..], vec!["ann", "bob", "cyn", "dan"])
    );
}

#[test]
fn a_subscriber_that_missed_a_notify_gets_the_full_state_next() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut watcher = Watcher::watching("ann", "lobby", &mut world);
    world.join("bob", "lobby");
    world.advance(Duration::from_millis(250));
    watcher.refuse(&mut world, 500);
    assert!(watcher.waiting(&world).is_empty(), "a refusal makes no other NOTIFY");
    world.join("cyn", "lobby");
    world.advance(Duration::from_millis(250));
    watcher.take(&mut world);
    assert_eq!(
        (watcher.documents.as_slice(), watcher.names()),
        (&[State::Full, State::Full][..], vec!["ann", "bob", "cyn"])
    );
}

#[test]
fn notifies_follow_the_recorded_route_and_the_new_contact() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut watcher = Watcher::new("ann", "lobby");
    watcher.peer.extra += "Record-Route: <sip:192.0.2.50:5080;lr>\r\n";
    watcher.subscribe(&mut world);
    assert_eq!(header(world.last_response(), HeaderName::RecordRoute), "<sip:192.0.2.50:5080;lr>");
    let (hop, notify) = watcher.waiting(&world).pop().unwrap();
    assert_eq!(hop.remote.to_string(), "192.0.2.50:5080");
    assert_eq!(text(&notify.headers, &HeaderName::Route).as_deref(), Some("<sip:192.0.2.50:5080;lr>"));
    watcher.take(&mut world);
    watcher.peer.at.set_port(7777);
    watcher.subscribe(&mut world);
    let (_, notify) = watcher.waiting(&world).pop().unwrap();
    assert!(String::from_utf8_lossy(&notify.uri.to_bytes()).ends_with(":7777"));
}

#[test]
fn what_is_large_goes_over_a_stream_and_where_there_is_none_in_a_datagram() {
    let mut world = World::new();
    for name in ["ann", "bob", "cyn", "dan"] {
        world.join(name, "lobby");
    }
    let mut watcher = Watcher::new("ann", "lobby");
    watcher.subscribe(&mut world);
    let (hop, notify) = watcher.waiting(&world).pop().unwrap();
    assert_eq!((hop.transport, hop.remote), (Transport::Tcp, watcher.peer.at));
    assert!(text(&notify.headers, &HeaderName::Via).unwrap().starts_with("SIP/2.0/TCP "));
    let number = text(&notify.headers, &HeaderName::CSeq);
    let unsent = Message::Request(notify).to_bytes();
    world.forget();
    world.focus.handle_unsent(&unsent, world.now);
    world.settle();
    let (hop, again) = watcher.waiting(&world).pop().unwrap();
    assert_eq!(hop.transport, Transport::Udp);
    assert_eq!(text(&again.headers, &HeaderName::CSeq), number, "it is the same request");
    watcher.take(&mut world);
    assert_eq!((watcher.names().len(), watcher.documents.as_slice()), (4, &[State::Full][..]));
    watcher.subscribe(&mut world);
    let (hop, next) = watcher.waiting(&world).remove(0);
    assert_eq!(hop.transport, Transport::Udp, "it is not tried again");
    assert_eq!(
        (number.as_deref(), text(&next.headers, &HeaderName::CSeq).as_deref()),
        (Some("1 NOTIFY"), Some("2 NOTIFY"))
    );
    watcher.take(&mut world);
}

#[test]
fn a_small_notify_is_a_datagram_and_a_stream_stays_one() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    let mut by_datagram = Watcher::watching("ann", "lobby", &mut world);
    let mut by_stream = Watcher::new("ann", "lobby");
    by_stream.peer.name = "stream".into();
    by_stream.peer = by_stream.peer.over_tcp();
    by_stream.watch(&mut world);
    ann.send(&mut world, "BYE", "");
    assert_eq!(by_datagram.waiting(&world)[0].0.transport, Transport::Udp);
    assert_eq!(by_stream.waiting(&world)[0].0.connection, by_stream.peer.hop().connection);
    by_datagram.take(&mut world);
    // Its connection closes with the answer.
    world.focus.handle_closed(by_stream.peer.hop().connection.unwrap(), world.now);
    world.settle();
    assert_eq!(world.focus.counts().subscriptions, 0);
}

#[test]
fn anonymous_users_show_their_anonymous_uri_and_may_subscribe() {
    let mut world = World::new();
    let mut hidden = Peer::new("hidden", "lobby");
    hidden.from = "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=h".into();
    hidden.join(&mut world);
    world.join("ann", "lobby");
    let of_ann = Watcher::watching("ann", "lobby", &mut world);
    let uris: Vec<_> = of_ann.roster.keys().cloned().collect();
    assert!(uris[0].starts_with("sip:ann@") && uris[1].starts_with("sip:anonymous-"), "{uris:?}");
    let mut own = Watcher::new("hidden", "lobby");
    own.peer.from = "<sip:anonymous@anonymous.invalid>;tag=hw".into();
    assert_eq!(own.subscribe(&mut world), 403, "from elsewhere");
    own.peer.at = hidden.at;
    own.watch(&mut world);
    assert_eq!(own.names().len(), 2);
    hidden.send(&mut world, "BYE", "");
    own.take(&mut world);
    assert_eq!(own.state, "terminated;reason=rejected");
}

#[test]
fn a_held_session_shows_its_direction() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    let mut watcher = Watcher::watching("ann", "lobby", &mut world);
    let held = ann.offer() + "a=recvonly\r\n";
    ann.send(&mut world, "INVITE", &held);
    world.advance(Duration::from_millis(250));
    let (_, notify) = watcher.waiting(&world).pop().unwrap();
    assert!(String::from_utf8_lossy(notify.body()).contains("<type>message</type><status>recvonly</status>"));
    watcher.take(&mut world);
}

#[test]
fn a_new_policy_is_published_and_ends_subscriptions_it_forbids() {
    let mut world = World::with_policy(|policy| policy.subscribers = Subscribers::Everyone);
    world.join("ann", "lobby");
    let mut of_ann = Watcher::watching("ann", "lobby", &mut world);
    let mut of_eve = Watcher::watching("eve", "lobby", &mut world);
    world.focus.replace_rooms(policy(|policy| policy.subject = Some("New".into())), world.now);
    world.settle();
    of_eve.take(&mut world);
    assert_eq!(of_eve.state, "terminated;reason=rejected");
    world.advance(Duration::from_millis(250));
    let (_, notify) = of_ann.waiting(&world).pop().unwrap();
    assert_eq!(ConferenceInfo::parse(notify.body()).unwrap().subject.as_deref(), Some("New"));
    of_ann.take(&mut world);
}

#[test]
fn the_roster_says_who_may_moderate_and_another_policy_who_may_then() {
    let roles = |world: &World, watcher: &Watcher| {
        let (_, notify) = watcher.waiting(world).pop().unwrap();
        let document = String::from_utf8(notify.body().to_vec()).unwrap();
        ["ann", "op"].map(|name| {
            let (_, user) = document.split_once(&format!("<user entity=\"sip:{name}@home.example\""))?;
            let (_, role) = user.split_once("<roles><entry>")?;
            role.split_once('<').map(|(role, _)| role.to_owned())
        })
    };
    let role = |name: &str| Some(name.to_owned());
    let mut world = World::with_policy(|policy| policy.moderators = vec!["creator".into()]);
    world.join("ann", "lobby");
    world.join("op", "lobby");
    let mut watcher = Watcher::new("ann", "lobby");
    watcher.subscribe(&mut world);
    assert_eq!(roles(&world, &watcher), [role("moderator"), role("participant")]);
    watcher.take(&mut world);
    for (moderators, then) in [
        (&["sip:op@*"][..], [role("participant"), role("moderator")]),
        // Nobody is one, not even who made the room.
        (&[], [None, role("participant")]),
    ] {
        let moderators = moderators.iter().map(|name| (*name).to_owned()).collect();
        world.focus.replace_rooms(policy(|policy| policy.moderators = moderators), world.now);
        world.settle();
        world.advance(Duration::from_millis(250));
        assert_eq!(roles(&world, &watcher), then);
        watcher.take(&mut world);
    }
}

#[test]
fn a_connection_of_many_subscribers_is_told_no_faster_than_it_answers() {
    let mut world = World::with_policy(|policy| policy.subscribers = Subscribers::Everyone);
    for n in 0..90 {
        world.join(&format!("{}{n}", "u".repeat(200)), "lobby");
    }
    let proxy = "192.0.2.99:5060".parse().unwrap();
    let over = |mut watcher: Watcher| {
        (watcher.peer.transport, watcher.peer.at) = (Transport::Tcp, proxy);
        watcher
    };
    let mut watchers: Vec<_> = (0..200).map(|n| over(Watcher::new(&format!("w{n}"), "lobby"))).collect();
    world.forget();
    for watcher in &mut watchers {
        assert_eq!(watcher.subscribe(&mut world), 200);
    }
    let mut told = vec![false; watchers.len()];
    for _ in 0..10_000 {
        let waiting: usize = world.requests_of(Method::Notify).iter().map(|notify| notify.body().len()).sum();
        assert!(waiting <= NOTIFY_BYTES_UNDER_WAY_MAX + CONFERENCE_DOCUMENT_BYTES_MAX, "{waiting} octets at a time");
        for (watcher, told) in watchers.iter_mut().zip(&mut told) {
            *told |= watcher.take(&mut world) > 0;
        }
        if told.iter().all(|told| *told) {
            break;
        }
        world.advance(Duration::from_millis(5));
    }
    assert!(told.iter().all(|told| *told), "each has heard in the end");
}
