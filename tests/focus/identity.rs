//! Which requests need a password, whose identity is accepted, and what others see of a caller.

use std::sync::Arc;

use parlor::call::{Secret, Users};
use parlor::focus::{Network, Settings};
use parlor_proto::sip::{Challenge, HeaderName, Login, Message, parse_datagram, text_rows};

use crate::world::{Peer, World, header, policy, settings};

pub const ALICE: Login<'static> = Login { username: "alice", password: "wonderland" };
pub const BOB: Login<'static> = Login { username: "bob", password: "builder" };
pub const ANYBODY: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=from-alice";

pub fn guarded() -> Settings {
    let users = [ALICE, BOB]
        .map(|login| (login.username.to_owned(), Secret::of(login.username, "chat.example", login.password)));
    let trusted = Network::new("198.51.100.0".parse().unwrap(), 24);
    Settings {
        users: Some(Arc::new(Users::new("chat.example", users))),
        trusted_peers: trusted.into_iter().collect(),
        ..settings()
    }
}

pub fn alice() -> Peer {
    let mut alice = Peer::new("alice", "lobby");
    alice.from = "\"Alice Liddell\" <sip:alice@chat.example>;tag=from-alice".into();
    alice
}

fn challenges(world: &World) -> Vec<Challenge> {
    let rows = text_rows(&world.last_response().headers, &HeaderName::WwwAuthenticate);
    rows.iter().map(|row| Challenge::parse(row).expect("a challenge")).collect()
}

/// Answers the preferred challenge of the last response in every request of `method` from now on.
pub fn log_in(world: &World, peer: &mut Peer, login: Login<'_>, method: &str, count: u32) {
    let challenge = &challenges(world)[0];
    peer.extra = format!("Authorization: {}\r\n", challenge.answer(login, method, &peer.target, count, "cnonce"));
}

/// Joins with a password.
pub fn join(world: &mut World, peer: &mut Peer, login: Login<'_>) {
    peer.invite(world);
    assert_eq!(world.last_status(), 401);
    peer.to_tag = None;
    log_in(world, peer, login, "INVITE", 1);
    peer.join(world);
    peer.extra.clear();
}

#[test]
fn a_stranger_is_challenged_without_keeping_anything_of_it() {
    let mut world = World::with(guarded());
    let mut alice = alice();
    alice.invite(&mut world);
    assert_eq!(world.statuses(), [401]);
    let names: Vec<_> = challenges(&world).iter().map(|one| one.algorithm.name()).collect();
    assert_eq!(names, ["SHA-256", "MD5"], "the better one first");
    let rows = text_rows(&world.last_response().headers, &HeaderName::WwwAuthenticate);
    assert!(
        rows.iter().all(|row| row.starts_with("Digest realm=\"chat.example\", qop=\"auth\"") && !row.contains("stale"))
    );
    assert_eq!(world.focus.counts().transactions, 0);
    alice.send(&mut world, "ACK", "");
    assert_eq!(world.statuses(), [401], "an ACK is never challenged");
}

#[test]
fn an_authenticated_user_joins_under_its_own_name() {
    let mut world = World::with(guarded());
    let mut alice = alice();
    join(&mut world, &mut alice, ALICE);
    let member = world.opened()[0].member.clone();
    assert_eq!((member.user.as_str(), &*member.uri), ("alice@chat.example", "sip:alice@chat.example"));
    let known: Vec<_> = member.identities.iter().map(|one| one.as_str()).collect();
    assert_eq!(known, ["alice@chat.example", "alice@127.0.0.1"]);
}

#[test]
fn an_authenticated_user_may_not_join_under_another_name() {
    for from in ["sip:bob@chat.example", "sip:alice@home.example", "tel:+1234"] {
        let mut world = World::with(guarded());
        let mut alice = alice();
        alice.from = format!("<{from}>;tag=from-alice");
        alice.invite(&mut world);
        alice.to_tag = None;
        log_in(&world, &mut alice, ALICE, "INVITE", 1);
        alice.invite(&mut world);
        assert_eq!(world.last_status(), 403, "{from}");
        assert!(world.opened().is_empty());
    }
}

#[test]
fn a_replay_is_told_that_it_is_stale_and_a_wrong_password_is_not() {
    let mut world = World::with(guarded());
    let mut alice = alice();
    alice.invite(&mut world);
    alice.to_tag = None;
    log_in(&world, &mut alice, Login { password: "guess", ..ALICE }, "INVITE", 1);
    let first = challenges(&world)[0].clone();
    alice.invite(&mut world);
    assert_eq!(world.last_status(), 401);
    assert!(!challenges(&world)[0].stale);
    alice.extra = format!("Authorization: {}\r\n", first.answer(ALICE, "INVITE", &alice.target, 1, "c"));
    alice.to_tag = None;
    alice.invite(&mut world);
    assert_eq!(world.last_status(), 200);
    let mut again = alice.clone();
    again.to_tag = None;
    again.from = again.from.replace("from-alice", "other");
    again.invite(&mut world);
    assert_eq!(world.last_status(), 401);
    assert!(challenges(&world).iter().all(|one| one.stale));
    again.to_tag = None;
    log_in(&world, &mut again, ALICE, "INVITE", 1);
    again.invite(&mut world);
    assert_eq!(world.last_status(), 200);
}

#[test]
fn an_invite_that_came_by_two_ways_is_merged_not_replayed() {
    let mut world = World::with(guarded());
    let mut alice = alice();
    alice.invite(&mut world);
    alice.to_tag = None;
    log_in(&world, &mut alice, ALICE, "INVITE", 1);
    let invite = alice.request("INVITE", &alice.offer());
    world.deliver(&invite, alice.hop());
    world.deliver(&invite.replace("branch=z9hG4bK-", "branch=z9hG4bK-other-"), alice.hop());
    assert_eq!(world.statuses(), [401, 200, 482]);
    world.deliver(&invite, alice.hop());
    assert_eq!(world.statuses().len(), 3, "the same one sent again is absorbed (RFC 6026)");
}

#[test]
fn a_digest_for_another_uri_is_400_and_one_for_our_domain_is_taken() {
    for (made_for, status) in [
        ("sip:lobby@127.0.0.1", 200),
        ("sip:lobby@chat.example;transport=udp", 200),
        ("sip:attic@chat.example", 400),
        ("sip:lobby@elsewhere.example", 400),
        ("nonsense", 400),
    ] {
        let mut world = World::with(guarded());
        let mut alice = alice();
        alice.invite(&mut world);
        alice.to_tag = None;
        let answer = challenges(&world)[0].answer(ALICE, "INVITE", made_for, 1, "c");
        alice.extra = format!("Authorization: {answer}\r\n");
        alice.invite(&mut world);
        assert_eq!(world.last_status(), status, "{made_for}");
    }
}

#[test]
fn what_is_broken_is_400_and_basic_is_as_good_as_nothing() {
    for (value, status) in [("Digest username=", 400), ("Basic YWxpY2U6eA==", 401), ("Digest realm=\"x\"", 400)] {
        let mut world = World::with(guarded());
        let mut alice = alice();
        alice.extra = format!("Authorization: {value}\r\n");
        alice.invite(&mut world);
        assert_eq!(world.last_status(), status, "{value}");
        if status == 401 {
            let rows = text_rows(&world.last_response().headers, &HeaderName::WwwAuthenticate);
            assert!(rows.iter().all(|row| row.starts_with("Digest ")));
        }
    }
}

#[test]
fn who_guesses_too_often_is_403() {
    let mut world = World::with(guarded());
    let mut alice = alice();
    let mut last = 0;
    for _ in 0..22 {
        alice.extra.clear();
        alice.to_tag = None;
        alice.invite(&mut world);
        alice.to_tag = None;
        log_in(&world, &mut alice, Login { password: "guess", ..ALICE }, "INVITE", 1);
        alice.invite(&mut world);
        last = world.last_status();
    }
    assert_eq!(last, 403);
    let mut bob = Peer { from: "<sip:bob@chat.example>;tag=from-bob".into(), ..Peer::new("bob", "lobby") };
    join(&mut world, &mut bob, BOB);
    assert!(world.statuses().contains(&200), "a neighbour of the guesser");
}

#[test]
fn forged_failures_do_not_rate_limit_another_address() {
    let mut world = World::with(guarded());
    let mut forger = Peer { at: "203.0.113.9:5060".parse().unwrap(), ..alice() };
    for _ in 0..50 {
        forger.extra.clear();
        forger.to_tag = None;
        forger.invite(&mut world);
        forger.to_tag = None;
        log_in(&world, &mut forger, Login { password: "guess", ..ALICE }, "INVITE", 1);
        let offer = forger.offer();
        let forged = forger.request("INVITE", &offer);
        world.deliver(&forged, alice().hop());
    }
    let mut alice = alice();
    join(&mut world, &mut alice, ALICE);
    assert_eq!(world.last_status(), 200);
}

#[test]
fn a_request_in_a_dialog_has_to_be_of_its_user() {
    for method in ["BYE", "INVITE", "OPTIONS"] {
        let mut world = World::with(guarded());
        let mut alice = alice();
        join(&mut world, &mut alice, ALICE);
        let body = if method == "INVITE" { alice.offer() } else { String::new() };
        alice.send(&mut world, method, &body);
        assert_eq!(world.last_status(), 401, "{method} without credentials");
        log_in(&world, &mut alice, BOB, method, 1);
        alice.send(&mut world, method, &body);
        assert_eq!(world.last_status(), 403, "{method} of another user");
        assert_eq!(world.focus.counts().calls, 1);
        alice.extra.clear();
        alice.send(&mut world, method, &body);
        log_in(&world, &mut alice, ALICE, method, 1);
        alice.send(&mut world, method, &body);
        assert_eq!(world.last_status(), 200, "{method} of its own");
    }
}

#[test]
fn outside_a_dialog_all_but_cancel_and_the_server_s_own_options_is_challenged() {
    let mut world = World::with(guarded());
    for (method, status) in [("BYE", 401), ("OPTIONS", 401), ("CANCEL", 481)] {
        alice().send(&mut world, method, "");
        assert_eq!(world.last_status(), status, "{method}");
    }
    let mut probe = alice();
    probe.name = "probe".into();
    probe.target = "sip:chat.example".into();
    probe.send(&mut world, "OPTIONS", "");
    assert_eq!(world.last_status(), 200);
}

#[test]
fn a_reload_replaces_users_and_none_turn_authentication_off() {
    let mut world = World::with(guarded());
    let other = Users::new("chat.example", [("carol".to_owned(), Secret::of("carol", "chat.example", "x"))]);
    world.focus.replace_users(Some(Arc::new(other)));
    let mut alice = alice();
    alice.invite(&mut world);
    alice.to_tag = None;
    log_in(&world, &mut alice, ALICE, "INVITE", 1);
    alice.invite(&mut world);
    assert_eq!(world.last_status(), 401);
    world.focus.replace_users(None);
    alice.to_tag = None;
    alice.join(&mut world);
}

fn asserted(at: &str, extra: &str) -> (World, Peer) {
    let mut world = World::with(guarded());
    let mut alice = alice();
    alice.from = "<sip:whoever@else.example>;tag=from-alice".into();
    alice.at = at.parse().unwrap();
    alice.extra = format!(
        "P-Asserted-Identity: \"Alice\" <sip:+1201@ims.example>\r\nP-Asserted-Identity: <tel:+1-201>\r\n{extra}"
    );
    alice.invite(&mut world);
    (world, alice)
}

#[test]
fn a_trusted_assertion_replaces_a_password() {
    let (mut world, mut alice) = asserted("198.51.100.9:5060", "");
    assert_eq!(world.last_status(), 200);
    let member = &world.opened()[0].member;
    let known: Vec<_> = member.identities.iter().map(|one| one.as_str()).collect();
    assert_eq!((member.user.as_str(), known), ("+1201@ims.example", vec!["+1201@ims.example", "tel:+1201"]));
    alice.send(&mut world, "ACK", "");
    alice.extra = "P-Asserted-Identity: <sip:mallory@ims.example>\r\n".into();
    alice.send(&mut world, "BYE", "");
    assert_eq!(world.last_status(), 403, "another user");
    alice.extra.clear();
    let home = alice.at;
    alice.at = "203.0.113.5:5060".parse().unwrap();
    alice.send(&mut world, "BYE", "");
    assert_eq!(world.last_status(), 401, "from elsewhere");
    alice.at = home;
    alice.send(&mut world, "BYE", "");
    assert_eq!(world.last_status(), 200, "passed on by the peer that vouched");
}

#[test]
fn an_assertion_of_an_untrusted_peer_is_ignored() {
    let (world, _) = asserted("203.0.113.9:5060", "");
    assert_eq!(world.last_status(), 401);
    let mut open = World::with(Settings { users: None, ..guarded() });
    let mut alice = alice();
    alice.extra =
        "P-Asserted-Identity: <sip:boss@home.example>\r\nP-Preferred-Identity: <sip:boss@home.example>\r\n".into();
    alice.join(&mut open);
    assert_eq!(open.opened()[0].member.user.as_str(), "alice@chat.example");
}

#[test]
fn privacy_hides_whoever_was_authenticated_or_asserted() {
    let (world, _) = asserted("198.51.100.9:5060", "Privacy: id\r\n");
    let shown = format!("{:?}", world.opened()[0].member);
    assert!(world.opened()[0].member.anonymous && !shown.contains("1201") && !shown.contains("Alice"), "{shown}");
    for (from, privacy) in [(ANYBODY, ""), (ANYBODY, "Privacy: id\r\n")] {
        let mut world = World::with(guarded());
        let mut alice = alice();
        alice.from = from.into();
        alice.invite(&mut world);
        alice.to_tag = None;
        log_in(&world, &mut alice, ALICE, "INVITE", 1);
        alice.extra += privacy;
        alice.join(&mut world);
        let shown = format!("{:?}", world.opened()[0].member);
        assert!(shown.contains("anonymous-") && !shown.to_lowercase().contains("alice"), "{shown}");
    }
}

#[test]
fn an_anonymous_address_is_unique_and_what_was_offered_is_kept_where_it_is_free() {
    let mut world = World::new();
    let mut uris = Vec::new();
    for name in ["a", "b", "c"] {
        let mut peer = Peer::new(name, "lobby");
        peer.from = format!("<sip:owl@anonymous.invalid>;tag=from-{name}");
        peer.join(&mut world);
        uris.push(world.opened().last().unwrap().member.uri.to_string());
    }
    assert_eq!(uris[0], "sip:owl@anonymous.invalid");
    assert!(uris[1] != uris[2] && uris[1..].iter().all(|uri| uri.starts_with("sip:anonymous-")), "{uris:?}");
}

#[test]
fn a_policy_is_about_who_it_is_and_nobody_is_433() {
    let allowed = |from: &str, extra: &str| {
        let rooms = policy(|policy| policy.allow = vec!["sip:*@home.example".into()]);
        let mut world = World::with(Settings { rooms, ..settings() });
        let mut ann = Peer::new("ann", "lobby");
        ann.from = format!("<{from}>;tag=from-ann");
        ann.extra = extra.into();
        ann.invite(&mut world);
        world.last_status()
    };
    assert_eq!(allowed("sip:ann@home.example", "Privacy: id\r\n"), 200);
    assert_eq!(allowed("sip:ann@else.example", "Privacy: id\r\n"), 403);
    assert_eq!(allowed("sip:anonymous@anonymous.invalid", ""), 433);
}

#[test]
fn without_simultaneous_access_an_alias_does_not_let_a_user_in_twice() {
    let mut world = World::with_policy(|policy| policy.simultaneous_access = false);
    let mut ann = world.join("ann", "lobby");
    let mut masked = Peer::new("ann", "lobby");
    masked.from = ann.from.replace("from-ann", "masked");
    masked.extra = "Privacy: id\r\n".into();
    masked.branch = 90;
    masked.invite(&mut world);
    assert_eq!(world.last_status(), 403);
    ann.send(&mut world, "BYE", "");
    masked.to_tag = None;
    masked.invite(&mut world);
    assert_eq!(world.last_status(), 200);
}

#[test]
fn privacy_that_is_critical_and_unknown_fails_by_name() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    ann.extra = "Privacy: id;teleport;critical\r\n".into();
    ann.invite(&mut world);
    assert_eq!(world.last_status(), 500);
    assert_eq!(world.last_response().reason.as_ref(), b"Privacy Failure: teleport");
    ann.extra = "Privacy: id;critical\r\n".into();
    ann.to_tag = None;
    ann.join(&mut world);
}

#[test]
fn nothing_that_the_focus_sends_names_an_anonymous_member_to_others() {
    let mut world = World::new();
    let mut bob = world.join("bob", "lobby");
    world.forget();
    let mut ann = Peer::new("ann", "lobby");
    ann.extra = "Privacy: id\r\n".into();
    ann.join(&mut world);
    // What goes to ann itself echoes its own headers; everything else must not know it.
    bob.send(&mut world, "OPTIONS", "");
    let offer = bob.offer();
    bob.send(&mut world, "INVITE", &offer);
    for (hop, message) in world.sent.iter().filter(|(hop, _)| hop.remote != ann.at) {
        let text = String::from_utf8(message.to_bytes().to_vec()).unwrap();
        assert!(!text.contains("ann@"), "to {}: {text}", hop.remote);
    }
    let sdp: Vec<_> =
        world.sent.iter().filter_map(|(_, message)| message.as_response()).map(crate::world::body).collect();
    assert!(sdp.iter().all(|body| !body.contains("ann@home.example")));
    assert!(!format!("{:?}", world.commands).contains("ann@home.example"), "the shard is not told either");
    assert_eq!(header(world.last_response(), HeaderName::WwwAuthenticate), "");
}

#[test]
fn credentials_that_were_tampered_with_never_panic() {
    let mut world = World::with(guarded());
    let mut alice = alice().over_tcp();
    alice.invite(&mut world);
    alice.to_tag = None;
    log_in(&world, &mut alice, ALICE, "INVITE", 1);
    let row = alice.extra.trim_end().to_owned();
    for at in "Authorization: ".len()..row.len() {
        alice.extra = format!("{}\u{7f}{}\r\n", &row[..at], &row[at + 1..]);
        alice.to_tag = None;
        let request = alice.request("BYE", "");
        if let Ok(Some(Message::Request(_))) = parse_datagram(request.as_bytes()) {
            world.deliver(&request, alice.hop());
            assert!([400, 401, 403, 481].contains(&world.last_status()), "{}: {}", world.last_status(), alice.extra);
        }
    }
}

#[test]
fn an_anonymous_user_that_returns_has_another_uri_and_its_nicknames() {
    let mut world = World::with(guarded());
    let hidden = || Peer { from: ANYBODY.into(), ..alice() };
    let mut first = hidden();
    join(&mut world, &mut first, ALICE);
    let alias = |world: &World| world.opened().last().unwrap().member.user.clone();
    let before = |world: &World| world.opened().last().unwrap().formerly.clone();
    let owl = alias(&world);
    assert_eq!(before(&world), None);
    let mut second = Peer { branch: 100, at: "192.0.2.78:5060".parse().unwrap(), ..hidden() };
    second.from = second.from.replace("from-alice", "again");
    join(&mut world, &mut second, ALICE);
    assert_eq!(before(&world), None, "the first one is still here");
    first.extra = String::new();
    first.send(&mut world, "BYE", "");
    log_in(&world, &mut first, ALICE, "BYE", 1);
    first.send(&mut world, "BYE", "");
    assert_eq!(world.last_status(), 200);
    let mut third = Peer { branch: 200, at: "192.0.2.79:5060".parse().unwrap(), ..hidden() };
    third.from = third.from.replace("from-alice", "once-more");
    join(&mut world, &mut third, ALICE);
    assert_eq!(before(&world), Some(owl.clone()));
    assert_ne!(alias(&world), owl);
}

#[test]
fn a_bye_that_crosses_ours_needs_no_password() {
    let mut world = World::with(guarded());
    let mut alice = alice();
    join(&mut world, &mut alice, ALICE);
    world.focus.drain(world.now);
    world.settle();
    world.forget();
    alice.send(&mut world, "BYE", "");
    assert_eq!(world.statuses(), [200]);
}

#[test]
fn what_was_answered_before_users_were_taken_out_and_put_back_is_not_taken_again() {
    let mut world = World::with(guarded());
    let mut alice = alice();
    alice.invite(&mut world);
    alice.to_tag = None;
    log_in(&world, &mut alice, ALICE, "INVITE", 1);
    let seen = alice.extra.clone();
    alice.join(&mut world);
    let users = guarded().users;
    world.focus.replace_users(None);
    world.focus.replace_users(users);
    let mut thief =
        Peer { at: alice.at, from: alice.from.replace("from-alice", "thief"), ..Peer::new("thief", "lobby") };
    thief.extra = seen;
    thief.invite(&mut world);
    assert_eq!(world.last_status(), 401);
}
