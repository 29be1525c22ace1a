use std::time::Duration;

use parlor::facts::{Command, EndReason, Event};
use parlor::focus::Settings;
use parlor_proto::sip::{HeaderName, Hop, Method, Request, Transport, text, uri};

use crate::identity::{self, ALICE, alice, guarded, log_in};
use crate::watcher::Watcher;
use crate::world::{Peer, World, offer, policy, settings};

/// A world whose rooms are moderated by whoever made them, with ann in the lobby.
fn world() -> (World, Peer) {
    let mut world = World::with_policy(|policy| policy.moderators = vec!["creator".into()]);
    let ann = Peer::new("ann", "lobby").over_tcp();
    let ann = joined(&mut world, ann);
    world.forget();
    (world, ann)
}

fn joined(world: &mut World, mut peer: Peer) -> Peer {
    peer.join(world);
    peer
}

fn refer(world: &mut World, by: &mut Peer, to: &str) {
    by.extra = format!("Refer-To: {to}\r\nRefer-Sub: false\r\n");
    by.send(world, "REFER", "");
    by.extra = String::new();
}

fn of(request: &Request, name: HeaderName) -> String {
    text(&request.headers, &name).unwrap_or_default()
}

fn invite(world: &World) -> Request {
    world.requests_of(Method::Invite).pop().expect("an INVITE")
}

fn answer() -> (String, String) {
    (
        "Contact: <sip:carol@192.0.2.9:5099>\r\nAllow: INVITE, ACK, BYE, UPDATE\r\n".into(),
        offer("msrp://192.0.2.9:7/c;tcp"),
    )
}

const CAROL: &str = "\"Carol\" <sip:carol@192.0.2.9:5099>";

#[test]
fn the_invite_is_that_of_a_focus() {
    let (mut world, mut ann) = world();
    ann.extra = format!("Refer-To: {CAROL}\r\nReferred-By: <sip:ann@home.example>\r\n");
    ann.send(&mut world, "REFER", "");
    let (hop, invite) = world.requests().into_iter().find(|(_, request)| request.method == Method::Invite).unwrap();
    assert_eq!((hop.transport, hop.remote.to_string().as_str()), (Transport::Udp, "192.0.2.9:5099"));
    assert_eq!(invite.uri.to_string(), "sip:carol@192.0.2.9:5099");
    assert_eq!(of(&invite, HeaderName::To), CAROL);
    assert!(of(&invite, HeaderName::From).starts_with("<sip:lobby@chat.example>;tag="));
    assert!(of(&invite, HeaderName::Contact).starts_with("<sip:lobby@192.0.2.1:5060>;"));
    assert!(of(&invite, HeaderName::Contact).contains(";isfocus"));
    assert!(of(&invite, HeaderName::Allow).contains("UPDATE, REFER"));
    assert_eq!(of(&invite, HeaderName::ReferredBy), "<sip:ann@home.example>");
    assert_eq!(
        (of(&invite, HeaderName::SessionExpires), of(&invite, HeaderName::Require)),
        ("1800".into(), String::new())
    );
    let offer = String::from_utf8(invite.body().to_vec()).unwrap();
    assert!(offer.contains("a=setup:actpass\r\n") && offer.contains("a=chatroom:nickname private-messages\r\n"));
    assert!(offer.contains(&world.opened()[0].session.to_string()), "the shard knows the session before it is offered");
}

#[test]
fn an_invited_user_that_answers_joins() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, CAROL);
    let carol = Peer::new("carol", "lobby");
    let invite = invite(&world);
    carol.respond_to(&mut world, &invite, 180, "", "");
    assert_eq!(world.command_names(), ["open session"]);
    let (headers, sdp) = answer();
    carol.respond_to(&mut world, &invite, 200, &headers, &sdp);
    assert_eq!(world.command_names(), ["open session", "change", "expect"]);
    let Some((_, Command::ChangeSession { terms, .. })) = world.commands.get(1) else {
        panic!("{:?}", world.command_names())
    };
    assert_eq!(terms.remote.as_str(), "msrp://192.0.2.9:7/c;tcp");
    let (hop, ack) = world.requests().pop().unwrap();
    assert_eq!((ack.method.clone(), hop.remote.to_string().as_str()), (Method::Ack, "192.0.2.9:5099"));
    assert!(of(&ack, HeaderName::CSeq).starts_with("1 ") && of(&ack, HeaderName::To).ends_with(";tag=of-carol"));
    assert_eq!(world.focus.counts().calls, 2);
    // A 200 that comes again wants its ACK again, and is no second call.
    carol.respond_to(&mut world, &invite, 200, &headers, &sdp);
    assert_eq!((world.requests_of(Method::Ack).len(), world.focus.counts().calls), (2, 2));
    let member = &world.opened()[0].member;
    assert_eq!((&*member.uri, member.display_name.as_deref()), ("sip:carol@192.0.2.9:5099", Some("Carol")));
    world.advance(Duration::from_secs(120));
    assert_eq!(world.focus.counts().calls, 2, "what rang does not end what was answered");
}

/// Whoever has answered an INVITE hangs up.
fn hang_up(world: &mut World, by: &mut Peer, invite: &Request) {
    by.to_tag = of(invite, HeaderName::From).split_once(";tag=").map(|(_, tag)| tag.to_owned());
    by.from = format!("{};tag=of-{}", of(invite, HeaderName::To), by.name);
    let bye = by.request("BYE", "").replace(&format!("call-of-{}", by.name), &of(invite, HeaderName::CallId));
    world.deliver(&bye, by.hop());
}

#[test]
fn an_invited_user_needs_no_password_for_its_bye() {
    let mut world =
        World::with(Settings { rooms: policy(|policy| policy.moderators = vec!["creator".into()]), ..guarded() });
    let mut alice = alice();
    identity::join(&mut world, &mut alice, ALICE);
    world.forget();
    refer(&mut world, &mut alice, CAROL);
    assert_eq!((world.last_status(), world.opened().len()), (401, 0), "a REFER needs one");
    log_in(&world, &mut alice, ALICE, "REFER", 1);
    alice.extra += &format!("Refer-To: {CAROL}\r\nRefer-Sub: false\r\n");
    alice.send(&mut world, "REFER", "");
    assert_eq!(world.last_status(), 202);
    let invite = invite(&world);
    let (headers, sdp) = answer();
    let mut carol = Peer::new("carol", "lobby");
    carol.respond_to(&mut world, &invite, 200, &headers, &sdp);
    assert_eq!(world.focus.counts().calls, 2);
    let mut mallory = Peer::new("mallory", "lobby");
    hang_up(&mut world, &mut mallory, &invite);
    assert_eq!((world.last_status(), world.focus.counts().calls), (401, 2), "who was not called does");
    hang_up(&mut world, &mut carol, &invite);
    assert_eq!((world.last_status(), world.focus.counts().calls), (200, 1));
}

#[test]
fn the_roster_names_the_invited_user_and_the_inviting_one() {
    let (mut world, mut ann) = world();
    world.focus.set_wall_clock(world.now, Duration::from_secs(86_400));
    let mut watcher = Watcher::watching("ann", "lobby", &mut world);
    refer(&mut world, &mut ann, CAROL);
    let (carol, invite) = (Peer::new("carol", "lobby"), invite(&world));
    carol.respond_to(&mut world, &invite, 180, "", "");
    world.advance(Duration::from_secs(5));
    assert!(watcher.waiting(&world).is_empty(), "nobody is there before they have answered");
    let (headers, sdp) = answer();
    carol.respond_to(&mut world, &invite, 200, &headers, &sdp);
    world.advance(Duration::from_secs(5));
    let [(_, notify)] = &watcher.waiting(&world)[..] else { panic!("{:?}", world.sent) };
    let document = String::from_utf8(notify.body().to_vec()).unwrap();
    let (_, user) = document.split_once("<user entity=\"sip:carol@192.0.2.9:5099\"").expect(&document);
    assert!(user.contains("<display-text>Carol</display-text>"), "{document}");
    assert!(
        user.contains("<joining-method>dialed-out</joining-method><joining-info><when>1970-01-02T00:00:"),
        "{document}"
    );
    assert!(user.contains("</when><by>sip:ann@home.example</by></joining-info>"), "{document}");
    watcher.take(&mut world);
    assert_eq!(watcher.names(), ["ann", "Carol"]);
}

#[test]
fn an_invited_user_may_end_its_call() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, CAROL);
    let invite = invite(&world);
    let (headers, sdp) = answer();
    let mut carol = Peer::new("carol", "lobby");
    carol.respond_to(&mut world, &invite, 200, &headers, &sdp);
    hang_up(&mut world, &mut carol, &invite);
    assert_eq!((world.last_status(), world.focus.counts().calls), (200, 1));
    assert_eq!(*world.command_names().last().unwrap(), "close session");
}

#[test]
fn further_answers_of_a_forked_invite_are_ended() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, CAROL);
    let invite = invite(&world);
    let (headers, sdp) = answer();
    Peer::new("carol", "lobby").respond_to(&mut world, &invite, 200, &headers, &sdp);
    world.sent.clear();
    Peer::new("twin", "lobby").respond_to(&mut world, &invite, 200, &headers, &sdp);
    let methods: Vec<Method> = world.requests().into_iter().map(|(_, request)| request.method).collect();
    assert_eq!((methods, world.focus.counts().calls), (vec![Method::Ack, Method::Bye], 2));
    for (_, request) in world.requests() {
        assert!(of(&request, HeaderName::To).ends_with(";tag=of-twin"));
    }
}

#[test]
fn a_declined_invitation_leaves_nothing_behind() {
    for status in [302, 401, 404, 407, 480, 486, 500, 603] {
        let (mut world, mut ann) = world();
        refer(&mut world, &mut ann, CAROL);
        let invite = invite(&world);
        Peer::new("carol", "lobby").respond_to(&mut world, &invite, status, "Contact: <sip:other@192.0.2.8>\r\n", "");
        assert_eq!((world.requests_of(Method::Ack).len(), world.requests_of(Method::Invite).len()), (1, 1), "{status}");
        assert_eq!((world.command_names(), world.focus.counts().calls), (vec!["open session", "close session"], 1));
        ann.send(&mut world, "BYE", "");
        world.advance(Duration::from_secs(70));
        assert!(world.focus.is_drained() && world.focus.poll_timeout().is_none());
    }
}

#[test]
fn an_invitation_without_an_answer_times_out() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, CAROL);
    world.advance(Duration::from_secs(33));
    assert_eq!(world.command_names(), ["open session", "close session"]);
    assert!(world.requests_of(Method::Cancel).is_empty(), "nobody has said that there is anything to cancel");
}

#[test]
fn an_invitation_that_rings_too_long_is_cancelled() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, CAROL);
    let (carol, invite) = (Peer::new("carol", "lobby"), invite(&world));
    carol.respond_to(&mut world, &invite, 180, "", "");
    world.advance(Duration::from_secs(59));
    assert!(world.requests_of(Method::Cancel).is_empty());
    world.advance(Duration::from_secs(2));
    let cancel = world.requests_of(Method::Cancel).remove(0);
    for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId] {
        assert_eq!(of(&cancel, name.clone()), of(&invite, name));
    }
    assert_eq!(
        (of(&cancel, HeaderName::CSeq).as_str(), &cancel.uri.to_string()),
        ("1 CANCEL", &invite.uri.to_string())
    );
    carol.respond_to(&mut world, &cancel, 200, "", "");
    carol.respond_to(&mut world, &invite, 487, "", "");
    assert_eq!(world.command_names(), ["open session", "close session"]);
}

#[test]
fn an_answer_that_crosses_the_cancel_is_ended() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, CAROL);
    let (carol, invite) = (Peer::new("carol", "lobby"), invite(&world));
    ann.send(&mut world, "BYE", "");
    assert!(world.requests_of(Method::Cancel).is_empty(), "not before something has come back");
    carol.respond_to(&mut world, &invite, 180, "", "");
    assert_eq!(world.requests_of(Method::Cancel).len(), 1, "whoever asked has gone, and the room with them");
    let (headers, sdp) = answer();
    carol.respond_to(&mut world, &invite, 200, &headers, &sdp);
    assert_eq!((world.requests_of(Method::Ack).len(), world.requests_of(Method::Bye).len()), (1, 1));
    assert_eq!(world.focus.counts().calls, 0);
}

#[test]
fn invitations_of_a_user_end_when_it_leaves() {
    let (mut world, mut ann) = world();
    world.join("bob", "lobby");
    refer(&mut world, &mut ann, CAROL);
    let invite = invite(&world);
    Peer::new("carol", "lobby").respond_to(&mut world, &invite, 180, "", "");
    ann.send(&mut world, "BYE", "");
    assert_eq!((world.requests_of(Method::Cancel).len(), world.focus.counts().calls), (1, 1));
}

#[test]
fn an_answer_without_usable_media_is_ended() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, CAROL);
    let (headers, sdp) = answer();
    let invite = invite(&world);
    Peer::new("carol", "lobby").respond_to(
        &mut world,
        &invite,
        200,
        &headers,
        &sdp.replace("message/cpim", "text/html"),
    );
    let bye = world.requests_of(Method::Bye).remove(0);
    assert!(of(&bye, HeaderName::Reason).contains("cause=488"));
    assert_eq!((world.requests_of(Method::Ack).len(), world.focus.counts().calls), (1, 1));
}

#[test]
fn a_422_makes_the_session_interval_longer() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, CAROL);
    let first = invite(&world);
    Peer::new("carol", "lobby").respond_to(&mut world, &first, 422, "Min-SE: 7200\r\n", "");
    let second = invite(&world);
    assert_eq!(
        (of(&second, HeaderName::SessionExpires), of(&second, HeaderName::MinSe)),
        ("7200".into(), "7200".into())
    );
    assert_eq!(of(&second, HeaderName::CallId), of(&first, HeaderName::CallId));
    assert_eq!(of(&second, HeaderName::CSeq), "2 INVITE");
    Peer::new("carol", "lobby").respond_to(&mut world, &second, 422, "Min-SE: 7200\r\n", "");
    assert_eq!(world.requests_of(Method::Invite).len(), 2, "what is asked for twice alike is not asked again");
}

#[test]
fn we_refresh_where_the_answer_says_so() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, CAROL);
    let (headers, sdp) = answer();
    let invite = invite(&world);
    let headers = headers + "Session-Expires: 600;refresher=uac\r\nRequire: timer\r\n";
    Peer::new("carol", "lobby").respond_to(&mut world, &invite, 200, &headers, &sdp);
    world.advance(Duration::from_secs(299));
    assert!(world.requests_of(Method::Update).is_empty());
    world.advance(Duration::from_secs(2));
    let update = world.requests_of(Method::Update).remove(0);
    assert_eq!(of(&update, HeaderName::SessionExpires), "600;refresher=uac");
}

#[test]
fn a_proxy_gets_every_call_of_ours() {
    let proxy = uri("sip:192.0.2.200:5080;transport=tcp;lr");
    let rooms = policy(|policy| policy.moderators = vec!["creator".into()]);
    let mut world = World::with(Settings { outbound_proxy: proxy, rooms, ..settings() });
    let mut ann = joined(&mut world, Peer::new("ann", "lobby").over_tcp());
    refer(&mut world, &mut ann, "<sip:carol@far.example>");
    let (hop, invite): (Hop, Request) = world.requests().pop().unwrap();
    assert_eq!((hop.transport, hop.remote.to_string().as_str()), (Transport::Tcp, "192.0.2.200:5080"));
    assert_eq!(of(&invite, HeaderName::Route), "<sip:192.0.2.200:5080;transport=tcp;lr>");
    assert_eq!(invite.uri.to_string(), "sip:carol@far.example");
}

#[test]
fn names_are_looked_up_and_what_has_no_address_is_not_called() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, "<sip:carol@far.example:5090;transport=tcp>");
    let (query, name) = world.lookups.pop().unwrap();
    assert_eq!((name.as_str(), world.requests().len()), ("far.example", 0));
    world.focus.handle_looked_up(query, &["2001:db8::1".parse().unwrap(), "192.0.2.66".parse().unwrap()], world.now);
    world.settle();
    let (hop, _) = world.requests().pop().unwrap();
    assert_eq!((hop.transport, hop.remote.to_string().as_str()), (Transport::Tcp, "192.0.2.66:5090"));
    refer(&mut world, &mut ann, "<sip:dave@nowhere.example>");
    let (query, _) = world.lookups.pop().unwrap();
    world.focus.handle_looked_up(query, &[], world.now);
    world.settle();
    assert_eq!(world.requests_of(Method::Invite).len(), 1);
    refer(&mut world, &mut ann, "<sip:erin@slow.example>");
    world.advance(Duration::from_secs(6));
    let (query, _) = world.lookups.pop().unwrap();
    world.focus.handle_looked_up(query, &["192.0.2.66".parse().unwrap()], world.now);
    world.settle();
    assert_eq!(world.requests_of(Method::Invite).len(), 1, "too late is not at all");
}

#[test]
fn a_user_in_a_call_is_invited_at_its_contact() {
    let (mut world, mut ann) = world();
    let bob = joined(&mut world, Peer::new("bob", "kitchen").over_tcp());
    refer(&mut world, &mut ann, "<sip:bob@home.example>");
    let (hop, invite) = world.requests().pop().unwrap();
    assert_eq!((hop.connection, invite.uri.to_string()), (bob.hop().connection, format!("sip:bob@{}", bob.at)));
    assert_eq!(of(&invite, HeaderName::To), "<sip:bob@home.example>");
}

#[test]
fn our_own_hosts_and_unknown_transports_are_not_called() {
    let (mut world, mut ann) = world();
    for (target, status) in [
        ("sip:carol@chat.example", 404),
        ("sip:lobby@192.0.2.1", 404),
        ("sips:carol@192.0.2.9", 480),
        ("tel:+123", 416),
        ("mailto:carol@192.0.2.9", 416),
        ("sip:carol@192.0.2.9;transport=sctp", 480),
        ("sip:carol@[2001:db8::1]", 480),
    ] {
        refer(&mut world, &mut ann, &format!("<{target}>"));
        assert_eq!(world.last_status(), status, "{target}");
    }
    assert!(world.requests_of(Method::Invite).is_empty() && world.opened().is_empty());
}

#[test]
fn a_user_that_the_room_refuses_is_not_invited() {
    let mut world = World::with_policy(|policy| {
        policy.moderators = vec!["creator".into()];
        policy.deny = vec!["sip:mallory@*".into()];
        policy.max_participants = 1;
    });
    let mut ann = joined(&mut world, Peer::new("ann", "lobby"));
    refer(&mut world, &mut ann, "<sip:mallory@192.0.2.9>");
    assert_eq!(world.last_status(), 403);
    refer(&mut world, &mut ann, CAROL);
    assert_eq!((world.last_status(), world.requests_of(Method::Invite).len()), (486, 0));
}

#[test]
fn a_user_is_invited_once_at_a_time() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, CAROL);
    refer(&mut world, &mut ann, "<sip:carol@192.0.2.9:5099;method=INVITE>");
    assert_eq!((world.last_status(), world.requests_of(Method::Invite).len()), (486, 1));
}

#[test]
fn a_shard_that_refuses_or_loses_the_session_ends_the_call() {
    let (mut world, mut ann) = world();
    world.shards_answer = false;
    refer(&mut world, &mut ann, CAROL);
    let (shard, session) = (world.opened()[0].session.shard, world.opened()[0].session);
    assert!(world.requests_of(Method::Invite).is_empty(), "not before the shard has said that it takes the session");
    world.event(shard, Event::SessionRefused { session, why: parlor::facts::Refusal::Full });
    assert_eq!(world.command_names(), ["open session", "close session"]);
    refer(&mut world, &mut ann, CAROL);
    world.advance(Duration::from_secs(6));
    assert_eq!(world.command_names()[2..], ["open session", "close session"], "a silent shard is no better");
    world.shards_answer = true;
    refer(&mut world, &mut ann, CAROL);
    let (invite, session) = (invite(&world), world.opened().last().unwrap().session);
    Peer::new("carol", "lobby").respond_to(&mut world, &invite, 180, "", "");
    world.event(shard, Event::SessionEnded { session, why: EndReason::ConnectionLost });
    assert_eq!(world.requests_of(Method::Cancel).len(), 1);
}

#[test]
fn events_of_an_unknown_session_are_ignored() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, CAROL);
    let (first, gone) = (invite(&world), world.opened()[0].session);
    Peer::new("carol", "lobby").respond_to(&mut world, &first, 603, "", "");
    refer(&mut world, &mut ann, CAROL);
    let second = invite(&world);
    Peer::new("carol", "lobby").respond_to(&mut world, &second, 180, "", "");
    world.forget();
    for event in [
        Event::SessionReady { session: gone },
        Event::SessionRefused { session: gone, why: parlor::facts::Refusal::Full },
        Event::SessionEnded { session: gone, why: EndReason::ConnectionLost },
    ] {
        world.event(gone.shard, event);
    }
    assert!(world.command_names().is_empty() && world.sent.is_empty(), "{:?}", world.sent);
    let (headers, sdp) = answer();
    Peer::new("carol", "lobby").respond_to(&mut world, &second, 200, &headers, &sdp);
    assert_eq!(world.focus.counts().calls, 2, "the one that rings is another");
}

#[test]
fn a_user_that_has_left_is_invited_at_its_uri() {
    let (mut world, mut ann) = world();
    let mut bob = world.join("bob", "kitchen");
    let mut again = Peer::new("bob2", "garden");
    again.from = bob.from.replace("tag=from-bob", "tag=other");
    again.join(&mut world);
    for at in [Some(again.at), None] {
        bob.send(&mut world, "BYE", "");
        world.forget();
        refer(&mut world, &mut ann, "<sip:bob@home.example>");
        let called: Vec<_> = world.requests().into_iter().map(|(hop, invite)| (hop.remote, invite)).collect();
        match at {
            Some(at) => {
                assert_eq!(called[0].0, at, "the call that is left");
                Peer::new("bob", "lobby").respond_to(&mut world, &called[0].1, 486, "", "");
                bob = again.clone();
            }
            None => assert!(called.is_empty() && world.lookups.last().unwrap().1 == "home.example"),
        }
    }
}

#[test]
fn a_drain_cancels_what_rings() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, CAROL);
    let (carol, invite) = (Peer::new("carol", "lobby"), invite(&world));
    carol.respond_to(&mut world, &invite, 180, "", "");
    world.focus.drain(world.now);
    world.settle();
    assert_eq!(world.requests_of(Method::Cancel).len(), 1);
    let cancel = world.requests_of(Method::Cancel).remove(0);
    carol.respond_to(&mut world, &cancel, 200, "", "");
    carol.respond_to(&mut world, &invite, 487, "", "");
    let bye = world.requests_of(Method::Bye).remove(0);
    assert!(!world.focus.is_drained());
    ann.respond_to(&mut world, &bye, 200, "", "");
    assert!(world.focus.is_drained());
}

#[test]
fn what_cannot_be_sent_is_given_up() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, "<sip:carol@192.0.2.9;transport=tcp>");
    let bytes = parlor_proto::sip::Message::Request(invite(&world)).to_bytes();
    world.focus.handle_unsent(&bytes, world.now);
    world.settle();
    assert_eq!(world.command_names(), ["open session", "close session"]);
}

#[test]
fn a_replaces_is_passed_on_and_required() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, "<sip:carol@192.0.2.9:5099?Replaces=abc%3Bto-tag%3D1%3Bfrom-tag%3D2>");
    let invite = invite(&world);
    assert_eq!(of(&invite, HeaderName::Replaces), "abc;to-tag=1;from-tag=2");
    assert_eq!(
        (of(&invite, HeaderName::Require).as_str(), invite.uri.to_string().as_str()),
        ("replaces", "sip:carol@192.0.2.9:5099")
    );
}
