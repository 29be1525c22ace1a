use std::time::Duration;

use parlor::focus::{RoomSettings, Settings};
use parlor::limits::ROOM_NAME_BYTES_MAX;
use parlor_proto::sip::HeaderName;

use crate::world::{Peer, World, body, header, policy, settings};

/// Sends an INVITE after `change` was made to its text, and gives the world.
fn invited(world: World, change: impl FnOnce(String) -> String) -> World {
    let mut world = world;
    let mut ann = Peer::new("ann", "lobby");
    let request = ann.request("INVITE", &ann.offer());
    world.deliver(&change(request), ann.hop());
    world
}

fn refused(world: World, change: impl FnOnce(String) -> String, status: u16) -> World {
    let world = invited(world, change);
    assert_eq!(world.statuses(), [status]);
    assert!(world.opened().is_empty());
    assert_eq!(world.focus.counts().calls, 0);
    world
}

#[test]
fn unknown_places_are_404_and_unknown_schemes_416() {
    for (target, status) in [
        ("sip:lobby@elsewhere.example", 404),
        ("sip:lobby@chat.example:9999", 404),
        ("sip:lobby@192.0.2.1:9999", 404),
        ("sip:chat.example", 404),
        ("tel:+1234", 404),
        ("mailto:lobby@chat.example", 416),
        ("sip:%ff@chat.example", 404),
    ] {
        refused(World::new(), |r| r.replace("INVITE sip:lobby@chat.example ", &format!("INVITE {target} ")), status);
    }
    let closed = RoomSettings { on_demand: false, ..policy(|_| {}) };
    refused(World::with(Settings { rooms: closed, ..settings() }), |r| r, 404);
}

#[test]
fn a_host_that_is_not_ours_is_told_with_the_key_that_names_ours() {
    for (method, target) in [
        ("INVITE", "sip:lobby@elsewhere.example"),
        ("SUBSCRIBE", "sip:lobby@elsewhere.example"),
        ("OPTIONS", "sip:lobby@elsewhere.example"),
        ("INVITE", "sip:lobby@elsewhere.example:5070"),
    ] {
        let mut world = World::new();
        let mut ann = Peer { target: target.into(), ..Peer::new("ann", "lobby") };
        let body = if method == "INVITE" { ann.offer() } else { String::new() };
        let request = ann.request(method, &body);
        world.deliver(&request, ann.hop());
        assert_eq!(world.last_status(), 404, "{method} {target}");
        let host = target.split_once('@').unwrap().1;
        let expected = format!("399 parlor \"{host} is none of the hosts in sip.domains\"");
        assert_eq!(header(world.last_response(), HeaderName::Warning), expected, "{method} {target}");
    }
    // What is ours and not there is another matter.
    let closed = RoomSettings { on_demand: false, ..policy(|_| {}) };
    let world = refused(World::with(Settings { rooms: closed, ..settings() }), |r| r, 404);
    assert!(parlor_proto::sip::text(&world.last_response().headers, &HeaderName::Warning).is_none());
}

#[test]
fn a_room_has_a_name_of_bounded_length() {
    for (octets, status) in [(ROOM_NAME_BYTES_MAX, 200), (ROOM_NAME_BYTES_MAX + 1, 414)] {
        let target = format!("INVITE sip:{}@chat.example ", "r".repeat(octets));
        let world = invited(World::new(), |r| r.replace("INVITE sip:lobby@chat.example ", &target));
        assert_eq!(world.last_status(), status, "{octets}");
    }
}

#[test]
fn only_rooms_with_a_name_exist_where_none_is_made_on_demand() {
    let mut rooms = RoomSettings { on_demand: false, ..policy(|_| {}) };
    rooms.named.insert("lobby".into(), rooms.defaults.clone());
    assert_eq!(invited(World::with(Settings { rooms, ..settings() }), |r| r).last_status(), 200);
}

#[test]
fn a_method_that_is_not_taken_is_405_with_those_that_are() {
    for method in ["MESSAGE", "REGISTER", "INFO", "PRACK", "NOTIFY", "PUBLISH"] {
        let mut world = World::new();
        Peer::new("ann", "lobby").send(&mut world, method, "");
        assert_eq!(world.last_status(), 405, "{method}");
        assert_eq!(header(world.last_response(), HeaderName::Allow), crate::world::ALLOW);
    }
    let mut world = World::new();
    Peer::new("ann", "lobby").send(&mut world, "DANCE", "");
    assert_eq!(world.last_status(), 501);
}

#[test]
fn in_a_call_too_a_method_that_is_not_taken_is_405() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    ann.send(&mut world, "MESSAGE", "");
    assert_eq!(world.last_status(), 405);
    assert_eq!(world.focus.counts().calls, 1);
}

#[test]
fn what_is_required_and_not_there_is_named() {
    let world = refused(
        World::new(),
        |r| r.replace("Max-Forwards", "Require: 100rel, foo\r\nRequire: bar\r\nMax-Forwards"),
        420,
    );
    assert_eq!(header(world.last_response(), HeaderName::Unsupported), "100rel, foo, bar");
}

#[test]
fn a_body_that_is_no_session_description_is_415() {
    let world = refused(World::new(), |r| r.replace("application/sdp", "text/plain"), 415);
    assert_eq!(header(world.last_response(), HeaderName::Accept), "application/sdp");
    refused(World::new(), |r| r.replace("v=0\r\n", "v=9\r\n"), 400);
    refused(World::new(), |r| r.replace("Max-Forwards", "Accept: text/plain\r\nMax-Forwards"), 406);
}

#[test]
fn an_offer_that_cannot_be_taken_is_488_and_says_why() {
    for (old, new, warning) in [
        ("a=accept-types:message/cpim text/plain", "a=accept-types:text/plain", "305"),
        ("m=message 9 TCP/MSRP *", "m=audio 9 RTP/AVP 0", "304"),
        ("a=setup:active", "a=setup:passive", "399"),
        ("a=path:msrp://", "a=pith:msrp://", "399"),
    ] {
        let world = invited(World::new(), |r| {
            let (head, body) = r.split_once("\r\n\r\n").unwrap();
            let body = body.replace(old, new);
            let head = head.split("\r\nContent-Length").next().unwrap();
            format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        });
        assert_eq!(world.last_status(), 488, "{new}");
        let said = header(world.last_response(), HeaderName::Warning);
        assert!(said.starts_with(&format!("{warning} parlor \"")), "{new}: {said}");
    }
}

#[test]
fn cpim_is_found_in_any_case_and_in_any_line() {
    let world = invited(World::new(), |r| r.replace("message/cpim", "Message/CPIM"));
    assert_eq!(world.last_status(), 200);
}

#[test]
fn who_may_not_join_is_403() {
    for (allow, deny, status) in [
        (vec!["sip:*@home.example"], vec![], 200),
        (vec!["sip:*@other.example"], vec![], 403),
        (vec![], vec!["sip:ann@*"], 403),
        (vec!["*"], vec!["sip:bob@*"], 200),
    ] {
        let own = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let (allow, deny) = (own(allow), own(deny));
        let world = World::with_policy(|policy| (policy.allow, policy.deny) = (allow, deny));
        assert_eq!(invited(world, |r| r).last_status(), status);
    }
    refused(World::new(), |r| r.replace("<sip:ann@home.example>", "<http://home.example>"), 403);
}

#[test]
fn a_full_room_is_busy_but_has_place_for_second_devices() {
    let mut world = World::with_policy(|policy| policy.max_participants = 2);
    let ann = world.join("ann", "lobby");
    world.join("bob", "lobby");
    let mut device = Peer::new("ann2", "lobby");
    device.from = ann.from.replace("tag=from-ann", "tag=other");
    device.join(&mut world);
    let mut cyn = Peer::new("cyn", "lobby");
    cyn.invite(&mut world);
    assert_eq!(world.last_status(), 486);
    Peer::new("dan", "other").join(&mut world);
}

#[test]
fn a_second_device_is_refused_where_policy_says_so() {
    let mut world = World::with_policy(|policy| policy.simultaneous_access = false);
    let mut ann = world.join("ann", "lobby");
    let mut device = Peer::new("ann2", "lobby");
    device.from = ann.from.replace("tag=from-ann", "tag=other");
    device.invite(&mut world);
    assert_eq!(world.last_status(), 403);
    ann.send(&mut world, "BYE", "");
    device.to_tag = None;
    device.join(&mut world);
}

#[test]
fn an_invite_that_came_two_ways_is_merged_once() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    let first = ann.request("INVITE", &ann.offer());
    world.deliver(&first, ann.hop());
    world.deliver(&first.replace("z9hG4bK-ann-1", "z9hG4bK-fork"), ann.hop());
    assert_eq!(world.statuses(), [200, 482]);
    assert_eq!(world.focus.counts().calls, 1);
}

#[test]
fn an_invite_is_merged_with_one_whose_transaction_goes_on_only() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    ann.sequence = 0;
    ann.to_tag = None;
    world.advance(Duration::from_secs(33));
    ann.invite(&mut world);
    assert_eq!((world.last_status(), world.focus.counts().calls), (200, 2), "its like of a minute ago is over");
    ann.sequence = 0;
    ann.to_tag = None;
    ann.invite(&mut world);
    assert_eq!(world.last_status(), 482);
}

#[test]
fn a_subscription_or_a_refer_over_tcp_is_merged_only_with_one_that_comes_at_once() {
    for (method, extra) in [("SUBSCRIBE", "Event: conference\r\n"), ("REFER", "Refer-To: <sip:carol@home.example>\r\n")]
    {
        let status = |wait: u64, tcp: bool| {
            let mut world = World::with_policy(|policy| policy.moderators = vec!["sip:ann@home.example".into()]);
            world.join("ann", "lobby");
            let mut ann =
                Peer { extra: extra.into(), from: "<sip:ann@home.example>;tag=x".into(), ..Peer::new("ann", "lobby") };
            ann = if tcp { ann.over_tcp() } else { ann };
            let first = ann.request(method, "");
            world.deliver(&first, ann.hop());
            assert_eq!(world.last_status() / 100, 2, "{method}");
            world.advance(Duration::from_millis(wait));
            world.deliver(&first.replace("z9hG4bK-ann-1", "z9hG4bK-fork"), ann.hop());
            world.last_status()
        };
        assert_eq!((status(0, true), status(400, true)), (482, 482), "{method}");
        assert_ne!(status(1000, true), 482, "{method}: that transaction is over");
        assert_eq!(status(1000, false), 482, "{method}: over UDP it lasts");
    }
}

#[test]
fn an_invite_is_merged_though_its_call_has_ended_meanwhile() {
    for tcp in [true, false] {
        let mut world = World::new();
        let mut ann = Peer::new("ann", "lobby");
        ann = if tcp { ann.over_tcp() } else { ann };
        let invite = ann.request("INVITE", &ann.offer());
        world.deliver(&invite, ann.hop());
        ann.learn(&world);
        ann.send(&mut world, "ACK", "");
        ann.send(&mut world, "BYE", "");
        let fork = |n: u32| invite.replace("z9hG4bK-ann-1", &format!("z9hG4bK-fork-{n}"));
        world.advance(Duration::from_secs(20));
        world.deliver(&fork(1), ann.hop());
        assert_eq!((world.last_status(), world.focus.counts().calls), (482, 0), "over TCP: {tcp}");
        world.advance(Duration::from_secs(13));
        world.deliver(&fork(2), ann.hop());
        assert_eq!(world.last_status(), 200);
    }
}

#[test]
fn requests_of_different_methods_are_not_merged() {
    for (first, second) in
        [("SUBSCRIBE", "REFER"), ("SUBSCRIBE", "INVITE"), ("INVITE", "SUBSCRIBE"), ("INVITE", "REFER")]
    {
        let mut world = World::new();
        world.join("bob", "lobby");
        let mut ann = Peer::new("ann", "lobby").over_tcp();
        for method in [first, second] {
            ann.sequence = 0;
            ann.extra = match method {
                "SUBSCRIBE" => "Event: conference\r\n".into(),
                "REFER" => "Refer-To: <sip:carol@home.example>\r\n".into(),
                _ => String::new(),
            };
            let body = if method == "INVITE" { ann.offer() } else { String::new() };
            ann.send(&mut world, method, &body);
            assert!(!world.statuses().contains(&482), "{first} {second}: {:?}", world.statuses());
        }
    }
}

#[test]
fn what_belongs_to_no_call_is_481() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    let right = ann.to_tag.clone();
    for (tag, from, method) in [
        (Some("0123456789abcdef".to_owned()), ann.from.clone(), "BYE"),
        (Some("short".to_owned()), ann.from.clone(), "INVITE"),
        (right.clone(), ann.from.replace("tag=", "tag=x"), "BYE"),
        (None, ann.from.clone(), "BYE"),
        (Some("0123456789abcdef".to_owned()), ann.from.clone(), "OPTIONS"),
    ] {
        let mut stranger = ann.clone();
        (stranger.to_tag, stranger.from) = (tag, from);
        stranger.name = "ann".into();
        ann.sequence += 1;
        stranger.sequence = ann.sequence;
        let request = stranger.request(method, "").replace("z9hG4bK-ann", &format!("z9hG4bK-{}", ann.sequence));
        world.deliver(&request, ann.hop());
        assert_eq!(world.last_status(), 481, "{request}");
    }
    assert_eq!(world.focus.counts().calls, 1);
}

#[test]
fn a_number_that_does_not_rise_is_500() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    ann.sequence = 0;
    ann.send(&mut world, "BYE", "");
    assert_eq!((world.last_status(), world.focus.counts().calls), (500, 1));
}

#[test]
fn what_is_broken_is_400_and_an_ack_is_never_answered() {
    refused(World::new(), |r| r.replace("Contact: <sip:ann@", "X: <sip:ann@"), 400);
    refused(World::new(), |r| r.replace("CSeq: 1 INVITE", "CSeq: 1 BYE"), 400);
    for (missing, phrase) in [("Contact", "Bad Contact"), ("To", "Missing To"), ("Call-ID", "Missing Call-ID")] {
        let world = invited(World::new(), |r| r.replace(&format!("\r\n{missing}: "), "\r\nX: "));
        let response = world.last_response();
        assert_eq!((response.status.code(), &response.reason[..]), (400, phrase.as_bytes()));
    }
    let world = invited(World::new(), |r| r.replace("Contact: ", "Record-Route: <sip:h\r\nContact: "));
    assert_eq!(&world.last_response().reason[..], b"Bad Record-Route");
    refused(World::new(), |r| r.replace(" SIP/2.0\r\nVia", " SIP/9.0\r\nVia"), 505);
    let mut world = World::new();
    Peer::new("ann", "lobby").send(&mut world, "ACK", "");
    assert!(world.sent.is_empty());
}

#[test]
fn options_list_what_is_supported() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    ann.send(&mut world, "OPTIONS", "");
    let response = world.last_response();
    assert_eq!(response.status.code(), 200);
    assert!(header(response, HeaderName::Contact).contains(";isfocus"));
    assert_eq!(header(response, HeaderName::Accept), "application/sdp");
    assert_eq!(world.focus.counts(), parlor::focus::Counts { calls: 0, rooms: 0, transactions: 0, subscriptions: 0 });
    ann.target = "sip:chat.example".into();
    ann.send(&mut world, "OPTIONS", "");
    assert_eq!(header(world.last_response(), HeaderName::Contact), "<sip:192.0.2.1:5060>");
    ann.target = "sip:x@elsewhere.example".into();
    ann.send(&mut world, "OPTIONS", "");
    assert_eq!(world.last_status(), 404);
}

#[test]
fn options_are_answered_as_an_invite_would_be() {
    let mut world = World::with_policy(|policy| {
        policy.max_participants = 1;
        policy.deny = vec!["sip:eve@*".into()];
    });
    world.join("ann", "lobby");
    for (name, room, status) in [("bob", "lobby", 486), ("eve", "attic", 403), ("cyn", "attic", 200)] {
        let mut peer = Peer::new(name, room);
        peer.send(&mut world, "OPTIONS", "");
        assert_eq!(world.last_status(), status, "{name} {room}");
        peer.invite(&mut world);
        assert_eq!(world.last_status(), status, "{name} {room}");
    }
}

#[test]
fn options_say_what_is_taken() {
    let mut world = World::new();
    Peer::new("ann", "lobby").send(&mut world, "OPTIONS", "");
    let response = world.last_response();
    for (name, value) in [
        (HeaderName::Allow, crate::world::ALLOW),
        (HeaderName::Accept, "application/sdp"),
        (HeaderName::AcceptEncoding, "identity"),
        (HeaderName::AcceptLanguage, "*"),
    ] {
        assert_eq!(header(response, name.clone()), value, "{name}");
    }
    assert!(response.headers.get(&HeaderName::Supported).is_some());
}

#[test]
fn options_describe_what_a_room_takes_and_nothing_of_a_session() {
    let mut world = World::with_policy(|policy| {
        policy.max_message_size = 5000;
        policy.wrapped_types = vec!["text/plain".into()];
        policy.private_messages = false;
    });
    let mut ann = Peer::new("ann", "lobby");
    ann.send(&mut world, "OPTIONS", "");
    let outside = body(world.last_response());
    assert_eq!(header(world.last_response(), HeaderName::ContentType), "application/sdp");
    let lines = "m=message 0 TCP/MSRP *\r\na=accept-types:message/cpim\r\na=accept-wrapped-types:text/plain\r\n\
                 a=max-size:5000\r\na=chatroom:nickname\r\n";
    assert!(outside.ends_with(lines), "{outside}");
    ann.extra = "Accept: application/pidf+xml\r\n".into();
    ann.send(&mut world, "OPTIONS", "");
    assert_eq!((world.last_status(), body(world.last_response())), (200, String::new()), "no type that could tell it");
    ann.extra = "Accept: application/pidf+xml, application/sdp\r\n".into();
    ann.join(&mut world);
    ann.send(&mut world, "OPTIONS", "");
    let within = body(world.last_response());
    let number = |text: &str| text.split(' ').nth(1).unwrap().to_owned();
    assert!(within.ends_with(lines) && number(&within) != number(&outside), "each has a number of its own: {within}");
    ann.to_tag = None;
    ann.target = "sip:chat.example".into();
    ann.send(&mut world, "OPTIONS", "");
    assert_eq!((world.last_status(), body(world.last_response())), (200, String::new()), "the server is no room");
}

#[test]
fn a_coding_that_is_not_taken_is_named() {
    let packed = |r: String| r.replace("Content-Type", "Content-Encoding: gzip\r\nContent-Type");
    let world = refused(World::new(), packed, 415);
    assert_eq!(header(world.last_response(), HeaderName::AcceptEncoding), "identity");
}

#[test]
fn unknown_headers_are_ignored_and_short_names_are_taken() {
    let odd =
        |r: String| r.replace("Max-Forwards", "X-Odd: \u{fc}\r\nDate: yesterday\r\nTimestamp: now\r\nMax-Forwards");
    assert_eq!(invited(World::new(), odd).last_status(), 200);
    let short = |r: String| {
        let names =
            [("Via", "v"), ("From", "f"), ("To", "t"), ("Call-ID", "i"), ("Contact", "m"), ("Content-Type", "c")];
        let text = r.replace("Content-Length:", "l:");
        names.iter().fold(text, |text, (long, short)| text.replace(&format!("\r\n{long}:"), &format!("\r\n{short}:")))
    };
    assert_eq!(invited(World::new(), short).last_status(), 200);
}

#[test]
fn a_caller_without_a_tag_is_a_caller_all_the_same() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    ann.from = "<sip:ann@home.example>".into();
    ann.join(&mut world);
    world.forget();
    ann.send(&mut world, "BYE", "");
    assert_eq!((world.last_status(), world.focus.counts().calls), (200, 0));
}

#[test]
fn what_a_cancel_requires_is_ignored() {
    let mut world = World::new();
    world.shards_answer = false;
    let mut ann = Peer::new("ann", "lobby");
    let offer = ann.offer();
    ann.send(&mut world, "INVITE", &offer);
    ann.extra = "Require: foo\r\nProxy-Require: bar\r\n".into();
    ann.send(&mut world, "CANCEL", "");
    assert_eq!(world.statuses(), [200, 487]);
}
