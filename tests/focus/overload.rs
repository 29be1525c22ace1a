use std::time::Duration;

use parlor::facts::Delete;
use parlor::focus::{RoomSettings, Settings};
use parlor::limits::{OUTGOING_CALLS_MAX, PARTS_KEPT_FOR_OTHERS};
use parlor_proto::sip::HeaderName;

use crate::world::{Peer, World, header, policy, settings};

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

fn at(name: &str, room: &str, at: &str) -> Peer {
    Peer { at: at.parse().unwrap(), ..Peer::new(name, room) }
}

#[test]
fn one_source_does_not_take_all_calls_of_a_second() {
    let mut world = World::with(Settings { max_calls_per_second: 3, ..settings() });
    for i in 0..5 {
        at(&format!("u{i}"), "lobby", "198.51.100.1:5060").invite(&mut world);
    }
    assert_eq!(world.statuses(), [200, 200, 200, 503, 503]);
    at("ann", "lobby", "192.0.2.78:5060").invite(&mut world);
    assert_eq!(world.last_status(), 200, "another source");
    at("u6", "lobby", "198.51.100.1:5060").invite(&mut world);
    assert_eq!(world.last_status(), 503);
}

#[test]
fn one_source_does_not_take_all_rooms() {
    let mut world = World::with(Settings { rooms: RoomSettings { max_rooms: 20, ..settings().rooms }, ..settings() });
    for i in 0..30 {
        let mut peer = at(&format!("u{i}"), &format!("room{i}"), "198.51.100.1:5060").over_tcp();
        peer.join_or_not(&mut world);
    }
    let taken = world.statuses().iter().filter(|status| **status == 200).count();
    assert_eq!(taken, 18, "all but what is kept for others");
    at("ann", "other", "192.0.2.78:5060").join(&mut world);
    at("bob", "another", "192.0.2.79:5060").join(&mut world);
    at("cyn", "a-third", "192.0.2.80:5060").invite(&mut world);
    assert_eq!((world.last_status(), world.focus.counts().rooms), (503, 20));
}

#[test]
fn rooms_made_by_forged_calls_go_with_them_and_leave_room_for_others_meanwhile() {
    for delete in [Delete::WhenEmpty, Delete::Never] {
        let rooms = RoomSettings { max_rooms: 20, ..policy(|policy| policy.delete = delete) };
        let mut world = World::with(Settings { rooms, ..settings() });
        for i in 0..100 {
            at(&format!("u{i}"), &format!("room{i}"), &format!("10.0.0.{i}:5060")).invite(&mut world);
        }
        assert_eq!(world.focus.counts().rooms, 10, "nobody of them can be reached");
        at("ann", "other", "192.0.2.78:5060").over_tcp().join(&mut world);
        assert_eq!(world.focus.counts().rooms, 11);
        world.advance(Duration::from_secs(33));
        world.close_rooms();
        assert_eq!(world.focus.counts().rooms, 1, "what nobody has acknowledged is gone");
    }
}

#[test]
fn one_source_does_not_take_all_calls_of_ours() {
    let mut world = World::with_policy(|policy| policy.moderators = vec!["sip:*@home.example".into()]);
    let mut ann = at("ann", "lobby", "198.51.100.1:5060").over_tcp();
    let mut bob = at("bob", "lobby", "192.0.2.78:5060").over_tcp();
    ann.join(&mut world);
    bob.join(&mut world);
    let mut refer = |peer: &mut Peer, i: usize| {
        world.forget();
        peer.extra = format!("Refer-To: <sip:u{i}@127.0.0.9>\r\nRefer-Sub: false\r\n");
        peer.send(&mut world, "REFER", "");
        world.last_status()
    };
    let taken = (0..OUTGOING_CALLS_MAX).filter(|i| refer(&mut ann, *i) == 202).count();
    assert_eq!(taken, OUTGOING_CALLS_MAX - OUTGOING_CALLS_MAX / PARTS_KEPT_FOR_OTHERS);
    assert_eq!((refer(&mut bob, OUTGOING_CALLS_MAX), refer(&mut ann, OUTGOING_CALLS_MAX + 1)), (202, 503));
}

#[test]
fn a_trusted_proxy_carries_as_many_as_there_is_room_for() {
    let trusted = parlor::focus::Network::new("198.51.100.0".parse().unwrap(), 24);
    let rooms = RoomSettings { max_rooms: 20, ..settings().rooms };
    let mut world = World::with(Settings { rooms, trusted_peers: trusted.into_iter().collect(), ..settings() });
    for i in 0..20 {
        at(&format!("u{i}"), &format!("room{i}"), "198.51.100.1:5060").join(&mut world);
    }
    assert_eq!(world.focus.counts().rooms, 20);
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

/// The same INVITE to a room, as often as there are numbers, each a call of its own over UDP from one place.
fn calls(world: &mut World, at: &str, numbers: std::ops::Range<usize>) -> Vec<u16> {
    let mut statuses = Vec::new();
    for i in numbers {
        let mut peer = Peer { at: at.parse().unwrap(), ..Peer::new(&format!("u{i}"), "lobby") };
        peer.join_or_not(world);
        statuses.push(world.last_status());
        world.forget();
    }
    statuses
}

#[test]
fn one_source_of_calls_leaves_room_for_others_and_is_refused_without_state() {
    let mut world = World::with(Settings { transaction_bytes_max: 64 * 1024, ..settings() });
    let flood = calls(&mut world, "198.51.100.1:5060", 0..190);
    let taken = flood.iter().position(|status| *status == 503).expect("a bound");
    assert!(taken > 10 && flood[taken..].iter().all(|status| *status == 503), "{flood:?}");
    assert_eq!(calls(&mut world, "192.0.2.77:5061", 200..205), [200; 5], "another source");
    let (mut ann, held) = (Peer::new("ann", "lobby"), world.focus.counts().transactions);
    ann.at = "198.51.100.1:5061".parse().unwrap();
    let over = ann.request("INVITE", &ann.offer());
    world.deliver(&over, ann.hop());
    world.deliver(&over, ann.hop());
    assert_eq!(world.statuses(), [503, 503]);
    let tags: Vec<_> = world.sent.iter().map(|(_, m)| parlor_proto::sip::text(m.headers(), &HeaderName::To)).collect();
    assert_eq!(tags[0], tags[1], "the same request has the same tag");
    assert_eq!(world.focus.counts().transactions, held);
    world.advance(Duration::from_secs(33));
    assert_eq!(world.focus.counts().transactions, 0);
    assert_eq!(calls(&mut world, "198.51.100.1:5060", 300..310), [200; 10], "when the old ones are forgotten");
}

#[test]
fn what_begins_nothing_takes_no_state_and_has_the_same_tag_when_it_comes_again() {
    let mut world = World::new();
    for (method, target, status) in [
        ("OPTIONS", "sip:lobby@chat.example", 200),
        ("OPTIONS", "sip:chat.example", 200),
        ("INVITE", "sip:lobby@elsewhere.example", 404),
        ("SUBSCRIBE", "sip:lobby@elsewhere.example", 404),
        ("REGISTER", "sip:chat.example", 405),
        ("WEIRD", "sip:chat.example", 501),
        ("BYE", "sip:lobby@chat.example", 481),
    ] {
        let mut ann = Peer { target: target.into(), ..Peer::new("ann", "lobby") };
        let request = ann.request(method, "");
        world.forget();
        world.deliver(&request, ann.hop());
        world.deliver(&request, ann.hop());
        assert_eq!(world.statuses(), [status, status], "{method} {target}");
        let tags: Vec<_> =
            world.sent.iter().map(|(_, m)| parlor_proto::sip::text(m.headers(), &HeaderName::To)).collect();
        assert_eq!(tags[0], tags[1], "{method} {target}");
        world.forget();
        ann.send(&mut world, "ACK", "");
        assert!(world.sent.is_empty());
        assert_eq!((world.focus.counts().transactions, world.focus.poll_timeout()), (0, None), "{method} {target}");
    }
}

/// What stands between To and the rest of a request, so that it has so many octets more.
fn padded(request: &str, lines: usize) -> String {
    request.replacen("Max-Forwards", &(format!("X-Junk: {}\r\n", "x".repeat(7000)).repeat(lines) + "Max-Forwards"), 1)
}

#[test]
fn requests_in_progress_count_with_every_octet_of_their_heads() {
    let max = 512 * 1024;
    let mut world = World::with(Settings { transaction_bytes_max: max, ..settings() });
    world.shards_answer = false;
    let mut held = 0;
    for i in 0..50 {
        let mut peer = Peer::new(&format!("u{i}"), "lobby").over_tcp();
        let invite = padded(&peer.request("INVITE", &peer.offer()), 8);
        world.deliver(&invite, peer.hop());
        held += if world.statuses().is_empty() { invite.len() } else { 0 };
    }
    assert_eq!(world.last_status(), 503);
    assert!(held > max / 4 && held <= max / 2, "{held} octets of requests of one source, of {max}");
}

#[test]
fn a_refused_change_of_a_call_costs_its_answer_alone() {
    let mut world = World::with(Settings { transaction_bytes_max: 512 * 1024, ..settings() });
    let mut ann = world.join("ann", "lobby");
    for i in 0..50 {
        let change = padded(&ann.request("INVITE", &ann.offer().replace("TCP/MSRP", "TCP/TLS/MSRP")), 8);
        world.deliver(&change, ann.hop());
        assert_eq!(world.last_status(), 488, "{i}");
        world.forget();
    }
    world.advance(Duration::from_secs(1));
    assert!(world.statuses().len() >= 50, "each is sent again until its ACK comes");
    world.forget();
    world.advance(Duration::from_secs(33));
    world.forget();
    world.advance(Duration::from_secs(33));
    assert_eq!((world.statuses(), world.focus.counts().transactions), (vec![], 0), "and then forgotten");
}

#[test]
fn what_has_a_tag_but_belongs_to_no_dialog_takes_no_state() {
    let mut world = World::new();
    for method in ["INVITE", "BYE", "OPTIONS", "UPDATE", "SUBSCRIBE", "REFER", "REGISTER", "WEIRD"] {
        let mut ann = Peer { to_tag: Some("0123456789abcdef".into()), ..Peer::new("ann", "lobby") };
        let request = ann.request(method, "");
        world.deliver(&request, ann.hop());
        world.deliver(&request, ann.hop());
        let status = if method == "REGISTER" {
            405
        } else if method == "WEIRD" {
            501
        } else {
            481
        };
        assert_eq!(world.statuses(), [status, status], "{method}");
        world.forget();
        ann.send(&mut world, "ACK", "");
        assert!(world.sent.is_empty());
        assert_eq!((world.focus.counts().transactions, world.focus.poll_timeout()), (0, None), "{method}");
    }
}

#[test]
fn forged_addresses_leave_room_for_reachable_ones() {
    let mut world = World::with(Settings { transaction_bytes_max: 64 * 1024, ..settings() });
    let mut ann = world.join("ann", "lobby");
    let mut statuses = Vec::new();
    for i in 0..300u32 {
        let at = std::net::SocketAddr::new(std::net::IpAddr::from((0x0a00_0000 + i).to_be_bytes()), 5060);
        let mut forged = Peer { at, ..Peer::new(&format!("u{i}"), "lobby") };
        forged.invite(&mut world);
        statuses.push(world.last_status());
        world.forget();
    }
    assert!(statuses.starts_with(&[200; 50]) && statuses.ends_with(&[503; 50]), "{statuses:?}");
    let mut bob = Peer { at: "203.0.113.9:5060".parse().unwrap(), ..Peer::new("bob", "lobby") };
    bob.over_tcp().join(&mut world);
    ann.send(&mut world, "BYE", "");
    assert_eq!(world.last_status(), 200, "in a call");
    ann = Peer { from: "<sip:ann@home.example>;tag=again".into(), ..Peer::new("ann", "lobby") };
    ann.join(&mut world);
    bob = Peer { at: "203.0.113.10:5060".parse().unwrap(), ..Peer::new("bob", "lobby") };
    bob.invite(&mut world);
    assert_eq!(world.last_status(), 503, "whose address may be forged too");
}

#[test]
fn a_bye_is_taken_though_its_address_has_no_share_left() {
    let mut world = World::with(Settings { transaction_bytes_max: 64 * 1024, ..settings() });
    let mut ann = Peer { at: "198.51.100.1:5070".parse().unwrap(), ..Peer::new("ann", "lobby") };
    ann.join(&mut world);
    let flood = calls(&mut world, "198.51.100.1:5060", 0..190);
    assert_eq!(flood.last(), Some(&503));
    let held = world.focus.counts().transactions;
    for _ in 0..20 {
        ann.sequence = 0;
        ann.send(&mut world, "BYE", "");
        assert_eq!((world.last_status(), world.focus.counts().transactions), (500, held), "out of order, and not kept");
    }
    ann.sequence = 9;
    ann.send(&mut world, "BYE", "");
    assert_eq!((world.last_status(), world.focus.counts().transactions), (200, held + 1));
    ann.send(&mut world, "BYE", "");
    assert_eq!((world.last_status(), world.focus.counts().transactions), (503, held + 1), "once");
}

#[test]
fn an_invite_over_tcp_that_comes_again_after_its_ack_is_absorbed() {
    for tcp in [true, false] {
        let mut world = World::new();
        let mut ann = if tcp { Peer::new("ann", "lobby").over_tcp() } else { Peer::new("ann", "lobby") };
        let invite = ann.request("INVITE", &ann.offer());
        world.deliver(&invite, ann.hop());
        ann.learn(&world);
        ann.send(&mut world, "ACK", "");
        world.forget();
        world.deliver(&invite, ann.hop());
        assert_eq!((world.statuses(), world.focus.counts().calls), (vec![], 1), "over TCP: {tcp}");
    }
}

#[test]
fn a_refused_invite_of_a_client_of_rfc_2543_is_acknowledged() {
    let mut world = World::new();
    world.shards_answer = false;
    let mut ann = Peer::new("ann", "lobby");
    let plain = |request: String| request.replace(";branch=z9hG4bK-ann-1", "").replace(";branch=z9hG4bK-ann-2", "");
    let invite = plain(ann.request("INVITE", &ann.offer()));
    world.deliver(&invite, ann.hop());
    world.advance(Duration::from_millis(200));
    assert_eq!(world.statuses(), [100], "from now on it waits and sends nothing again");
    let session = world.opened()[0].session;
    world.focus.handle_full(session, world.now);
    world.settle();
    assert_eq!(world.last_status(), 503);
    ann.learn(&world);
    let ack = plain(ann.request("ACK", ""));
    world.deliver(&ack, ann.hop());
    world.forget();
    world.advance(Duration::from_secs(31));
    assert!(world.sent.is_empty(), "an acknowledged refusal is not sent again");
}

#[test]
fn a_branch_of_the_cookie_alone_tells_nothing_apart() {
    for branch in ["z9hG4bK", "Z9HG4BK", "old"] {
        let mut world = World::new();
        let mut tags = Vec::new();
        for name in ["ann", "bob"] {
            let mut peer = Peer { at: "192.0.2.77:5060".parse().unwrap(), ..Peer::new(name, "lobby") };
            let own = format!("z9hG4bK-{name}-1");
            let invite = peer.request("INVITE", &peer.offer()).replace(&own, branch);
            world.deliver(&invite, peer.hop());
            assert!(header(world.last_response(), HeaderName::CallId).contains(name), "{branch}");
            tags.push(header(world.last_response(), HeaderName::To));
        }
        assert_eq!((world.statuses(), world.focus.counts().calls), (vec![200, 200], 2), "{branch}");
        assert_ne!(tags[0], tags[1]);
    }
}

#[test]
fn over_the_last_transaction_a_cancel_ends_its_invite_or_is_ignored() {
    let mut world = World::with(Settings { transaction_bytes_max: 12_000, ..settings() });
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

#[test]
fn without_descriptors_new_calls_are_503_and_those_that_stand_go_on() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    world.focus.set_descriptors_short(true);
    let mut bob = Peer::new("bob", "lobby");
    let offer = bob.offer();
    bob.send(&mut world, "INVITE", &offer);
    assert_eq!((world.last_status(), header(world.last_response(), HeaderName::RetryAfter)), (503, "10".to_owned()));
    bob.send(&mut world, "ACK", "");
    let again = ann.offer();
    ann.send(&mut world, "INVITE", &again);
    assert_eq!(world.last_status(), 200, "a re-INVITE takes no connection");
    world.focus.set_descriptors_short(false);
    world.join("cyn", "lobby");
}
