use std::time::Duration;

use parlor::conference_info::{ConferenceInfo, State};
use parlor::facts::{Delete, Subscribers};
use parlor::focus::Settings;
use parlor::sip::{HeaderName, Message, Method, Transport, text};

use crate::watcher::Watcher;
use crate::world::{Peer, World, header, policy, settings};

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
    world.focus.tell_time(world.now, Duration::from_secs(951_782_400));
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
        "<roles><entry>moderator</entry></roles><endpoint entity=\"sip:ann@home.example;endpoint=1\" state=\"full\">",
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
fn who_leaves_is_told_as_deleted() {
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
fn who_leaves_may_not_watch_any_more_and_the_end_of_the_room_is_the_end_of_all() {
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
fn who_missed_a_notify_gets_everything_next() {
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
    let refusal = parlor::sip::Reply::new(&notify, 481, "x").empty();
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
fn a_cancel_leaves_a_subscribe_alone() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut watcher = Watcher::new("ann", "lobby");
    watcher.subscribe(&mut world);
    watcher.peer.send(&mut world, "CANCEL", "");
    assert_eq!(header(world.last_response(), HeaderName::CSeq), "1 CANCEL", "it is answered");
    assert!([200, 481].contains(&world.last_status()));
    watcher.take(&mut world);
    assert_eq!((watcher.names(), watcher.state.as_str()), (vec!["ann"], "active;expires=600"));
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
    let unsent = Message::Request(notify).to_bytes();
    world.forget();
    world.focus.handle_unsent(&unsent, world.now);
    world.settle();
    let (hop, _) = watcher.waiting(&world).pop().unwrap();
    assert_eq!(hop.transport, Transport::Udp);
    watcher.take(&mut world);
    assert_eq!((watcher.names().len(), watcher.documents.as_slice()), (4, &[State::Full][..]));
    watcher.subscribe(&mut world);
    assert_eq!(watcher.waiting(&world)[0].0.transport, Transport::Udp, "it is not tried again");
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
fn the_hidden_are_told_by_their_anonymous_uri_and_watch_from_where_they_call() {
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
fn another_description_is_told_and_another_policy_sends_strangers_away() {
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

#[test]
fn nobody_subscribes_without_bound() {
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
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    ann.invite(&mut world);
    assert_eq!(header(world.last_response(), HeaderName::AllowEvents), "conference, refer");
    assert!(header(world.last_response(), HeaderName::Allow).contains("SUBSCRIBE"));
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
    world.event(shard, parlor::facts::Event::SessionReady { session });
    for target in ["sip:lobby@chat.example", "sip:lobby@192.0.2.1:5060"] {
        let mut watcher = Watcher::new("ann", "lobby");
        watcher.peer.target = target.into();
        assert_eq!(watcher.subscribe(&mut world), 200, "{target}, without an ACK yet");
    }
}
