//! Who may subscribe to what, and how that is answered.

use std::time::Duration;

use parlor::facts::Subscribers;
use parlor::focus::Settings;
use parlor_proto::conference_info::State;
use parlor_proto::sip::{HeaderName, Method, text};

use crate::watcher::Watcher;
use crate::world::{Peer, World, header, settings};

fn refused(world: &mut World, change: impl FnOnce(&mut Peer)) -> (u16, String) {
    let mut watcher = Watcher::new("ann", "lobby");
    change(&mut watcher.peer);
    watcher.subscribe(world);
    assert!(watcher.waiting(world).is_empty(), "nobody is notified who was refused");
    let response = world.last_response();
    let more = [HeaderName::AllowEvents, HeaderName::MinExpires, HeaderName::Accept];
    (response.status.code(), more.into_iter().map(|name| header(response, name)).collect())
}

#[test]
fn a_subscribe_is_answered_and_notified_at_once_of_everything() {
    let mut world = World::with_policy(|policy| {
        policy.subject = Some("Goals & more".into());
        policy.display_text = Some("The \"Lobby\"".into());
        policy.max_participants = 40;
    });
    world.focus.set_wall_clock(world.now, Duration::from_secs(951_782_400));
    world.join("ann", "lobby");
    world.join("bob", "lobby");
    world.forget();
    let mut watcher = Watcher::new("ann", "lobby");
    assert_eq!(watcher.subscribe(&mut world), 200);
    let response = world.last_response().clone();
    assert_eq!(header(&response, HeaderName::Expires), "600");
    assert_eq!(header(&response, HeaderName::AllowEvents), "conference, refer");
    assert!(header(&response, HeaderName::Contact).contains("sip:lobby@192.0.2.1:5060"));
    let [(_, notify)] = &watcher.waiting(&world)[..] else { panic!("{:?}", world.sent) };
    let of = |name| text(&notify.headers, &name).unwrap();
    assert_eq!(of(HeaderName::Event), "conference");
    assert_eq!(of(HeaderName::SubscriptionState), "active;expires=600");
    assert_eq!(of(HeaderName::From), header(&response, HeaderName::To));
    assert_eq!(of(HeaderName::To), watcher.peer.from);
    assert!(of(HeaderName::Contact).contains(";isfocus"));
    assert_eq!(of(HeaderName::CSeq), "1 NOTIFY");
    let document = String::from_utf8(notify.body().to_vec()).unwrap();
    for part in [
        "entity=\"sip:lobby@chat.example\" state=\"full\"",
        "<display-text>The &quot;Lobby&quot;</display-text><subject>Goals &amp; more</subject>",
        "<conf-uris><entry><uri>sip:lobby@chat.example</uri><purpose>participation</purpose></entry></conf-uris>",
        "<maximum-user-count>40</maximum-user-count>",
        "<user-count>2</user-count><active>true</active>",
        "<user entity=\"sip:bob@home.example\" state=\"full\"><display-text>bob</display-text><roles><entry>participant</entry>",
        "<roles><entry>participant</entry></roles><endpoint entity=\"sip:ann@home.example;endpoint=1\" state=\"full\">",
        "<status>connected</status><joining-method>dialed-in</joining-method>",
        "<joining-info><when>2000-02-29T00:00:00Z</when></joining-info>",
        "<media id=\"1\"><type>message</type><status>sendrecv</status></media>",
    ] {
        assert!(document.contains(part), "{part} in {document}");
    }
    watcher.take(&mut world);
    assert_eq!(watcher.names(), ["ann", "bob"]);
}

#[test]
fn a_refresh_gets_everything_again_and_a_longer_life() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut watcher = Watcher::watching("ann", "lobby", &mut world);
    world.advance(Duration::from_secs(500));
    watcher.watch(&mut world);
    assert_eq!(
        (watcher.documents.as_slice(), watcher.state.as_str()),
        (&[State::Full, State::Full][..], "active;expires=600")
    );
    world.join("bob", "lobby");
    world.advance(Duration::from_secs(1));
    watcher.take(&mut world);
    assert_eq!(watcher.names(), ["ann", "bob"]);
    world.advance(Duration::from_secs(500));
    assert_eq!(world.focus.counts().subscriptions, 1);
}

#[test]
fn a_fetch_is_one_notify_and_an_unsubscribe_the_last() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut fetch = Watcher::new("ann", "lobby");
    fetch.asks(0);
    fetch.watch(&mut world);
    assert_eq!((fetch.state.as_str(), fetch.names()), ("terminated;reason=timeout", vec!["ann"]));
    assert_eq!(world.focus.counts().subscriptions, 0);
    let mut watcher = Watcher::watching("ann", "lobby", &mut world);
    watcher.asks(0);
    watcher.watch(&mut world);
    assert_eq!(watcher.state, "terminated;reason=timeout");
    world.join("bob", "lobby");
    world.advance(Duration::from_secs(1));
    assert!(watcher.waiting(&world).is_empty());
    assert_eq!(world.focus.counts().subscriptions, 0);
}

#[test]
fn what_cannot_be_subscribed_to_is_refused() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let event = |event: &str| format!("{event}Expires: 600\r\n");
    let with = |world: &mut World, extra: String| refused(world, |peer| peer.extra = extra);
    assert_eq!(with(&mut world, event("Event: presence\r\n")), (489, "conference, refer".into()));
    assert_eq!(with(&mut world, event("")), (489, "conference, refer".into()));
    assert_eq!(with(&mut world, event("Event: Conference\r\n")), (489, "conference, refer".into()));
    let conference = "Event: conference\r\n";
    assert_eq!(with(&mut world, format!("{conference}Expires: 59\r\n")), (423, "60".into()));
    assert_eq!(with(&mut world, format!("{conference}Expires: soon\r\n")).0, 400);
    let accept = format!("{conference}Accept: application/pidf+xml\r\n");
    assert_eq!(with(&mut world, accept), (406, "application/conference-info+xml".into()));
    assert_eq!(refused(&mut world, |peer| peer.target = "sip:lobby@elsewhere.example".into()).0, 404);
    assert_eq!(refused(&mut world, |peer| peer.target = "sip:chat.example".into()).0, 404);
    let mut filter = Watcher::new("ann", "lobby");
    filter.peer.send(&mut world, "SUBSCRIBE", "<filter-set/>");
    assert_eq!(world.last_status(), 415);
    assert_eq!(world.focus.counts().subscriptions, 0);
}

#[test]
fn without_an_expiry_it_is_an_hour_and_longer_ones_are_shortened() {
    let mut world = World::new();
    world.join("ann", "lobby");
    for asked in ["", "Expires: 7200\r\n", "Expires: 99999999999999999999\r\n"] {
        let mut watcher = Watcher::new("ann", "lobby");
        watcher.peer.name = format!("ann-{}", asked.len());
        watcher.peer.extra = format!("Event: conference\r\n{asked}");
        watcher.subscribe(&mut world);
        assert_eq!(header(world.last_response(), HeaderName::Expires), "3600", "{asked}");
    }
}

#[test]
fn only_participants_may_watch_unless_everyone_may() {
    let mut world = World::new();
    world.join("ann", "lobby");
    assert_eq!(Watcher::new("eve", "lobby").subscribe(&mut world), 403);
    assert_eq!(Watcher::new("ann", "cellar").subscribe(&mut world), 403);
    let mut open = World::with_policy(|policy| {
        policy.subscribers = Subscribers::Everyone;
        policy.deny = vec!["sip:mallory@*".into()];
    });
    open.join("ann", "lobby");
    let eve = Watcher::watching("eve", "lobby", &mut open);
    assert_eq!(eve.names(), ["ann"]);
    assert_eq!(Watcher::new("mallory", "lobby").subscribe(&mut open), 403);
    assert_eq!(Watcher::new("eve", "cellar").subscribe(&mut open), 480, "nobody is there");
}

#[test]
fn the_checks_of_calls_hold_for_subscriptions() {
    let mut world = World::with(Settings { max_calls_per_second: 2, ..settings() });
    world.join("ann", "lobby");
    assert_eq!(Watcher::new("ann", "lobby").subscribe(&mut world), 200);
    let mut late = Watcher::new("ann", "lobby");
    late.peer.name = "late".into();
    assert_eq!((late.subscribe(&mut world), header(world.last_response(), HeaderName::RetryAfter)), (503, "1".into()));
    world.focus.drain(world.now);
    world.settle();
    world.advance(Duration::from_secs(2));
    late.peer.name = "later".into();
    assert_eq!(late.subscribe(&mut world), 503);
}

#[test]
fn a_subscribe_that_came_two_ways_is_merged_once() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut watcher = Watcher::watching("ann", "lobby", &mut world);
    let tag = watcher.peer.to_tag.take();
    watcher.peer.sequence -= 1;
    assert_eq!(watcher.subscribe(&mut world), 482);
    watcher.peer.to_tag = tag;
    watcher.peer.sequence += 1;
    watcher.watch(&mut world);
}

#[test]
fn a_cancel_leaves_a_subscribe_alone() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut watcher = Watcher::new("ann", "lobby");
    watcher.subscribe(&mut world);
    watcher.peer.send(&mut world, "CANCEL", "");
    assert_eq!(header(world.last_response(), HeaderName::CSeq), "1 CANCEL", "it is answered");
    assert_eq!(world.last_status(), 200);
    let tag = format!(";tag={}", watcher.peer.to_tag.clone().unwrap());
    assert!(header(world.last_response(), HeaderName::To).ends_with(&tag), "by the tag of what it is about");
    watcher.take(&mut world);
    assert_eq!((watcher.names(), watcher.state.as_str()), (vec!["ann"], "active;expires=600"));
    // Over a stream nothing is kept of what was answered.
    let mut by_stream = Watcher::new("ann", "lobby");
    by_stream.peer = by_stream.peer.over_tcp();
    by_stream.watch(&mut world);
    by_stream.peer.to_tag = None;
    by_stream.peer.send(&mut world, "CANCEL", "");
    assert_eq!(world.last_status(), 481);
}

#[test]
fn subscriptions_are_bounded() {
    let mut world = World::new();
    let ann = world.join("ann", "lobby");
    let mut statuses = Vec::new();
    for n in 0..40 {
        let mut watcher = Watcher::new("ann", "lobby");
        watcher.peer.name = format!("w{n}");
        statuses.push(watcher.subscribe(&mut world));
        watcher.take(&mut world);
    }
    assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 32);
    assert_eq!(statuses.last(), Some(&403));
    let mut in_call = Watcher::new("ann", "lobby");
    in_call.peer = ann;
    in_call.peer.extra = "Event: conference\r\n".into();
    assert_eq!(in_call.subscribe(&mut world), 403);
}

#[test]
fn an_answer_names_the_events_and_an_offer_of_options_too() {
    let mut world = World::with_policy(|policy| policy.moderators = vec!["creator".into()]);
    let mut ann = Peer::new("ann", "lobby");
    ann.invite(&mut world);
    assert_eq!(header(world.last_response(), HeaderName::AllowEvents), "conference, refer");
    assert!(header(world.last_response(), HeaderName::Allow).contains("SUBSCRIBE"));
    ann.send(&mut world, "ACK", "");
    let to = Peer::new("carol", "lobby");
    ann.extra = format!("Refer-To: <sip:carol@{}>\r\nRefer-Sub: false\r\n", to.at);
    ann.send(&mut world, "REFER", "");
    assert_eq!(
        (world.last_status(), header(world.last_response(), HeaderName::AllowEvents).as_str()),
        (202, "conference, refer")
    );
    let invite = world.requests_of(Method::Invite).remove(0);
    assert_eq!(text(&invite.headers, &HeaderName::AllowEvents).as_deref(), Some("conference, refer"));
    Peer::new("bob", "lobby").send(&mut world, "OPTIONS", "");
    assert_eq!(header(world.last_response(), HeaderName::AllowEvents), "conference, refer");
    assert!(world.requests().iter().all(|(_, request)| request.method != Method::Notify));
}

#[test]
fn whoever_has_its_200_may_watch_at_either_address_of_the_room() {
    let mut world = World::new();
    world.shards_answer = false;
    let mut ann = Peer::new("ann", "lobby");
    let offer = ann.offer();
    ann.send(&mut world, "INVITE", &offer);
    let (shard, session) = (world.opened()[0].session.shard, world.opened()[0].session);
    assert_eq!(Watcher::new("ann", "lobby").subscribe(&mut world), 403, "it may still be refused");
    world.event(shard, parlor::facts::Event::SessionReady { session });
    for target in ["sip:lobby@chat.example", "sip:lobby@192.0.2.1:5060"] {
        let mut watcher = Watcher::new("ann", "lobby");
        watcher.peer.target = target.into();
        assert_eq!(watcher.subscribe(&mut world), 200, "{target}, without an ACK yet");
    }
}
