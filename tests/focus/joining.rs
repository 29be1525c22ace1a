use std::time::Duration;

use parlor::facts::{ChatroomTokens, Command, Direction, Event, Refusal};
use parlor::ids::ShardId;
use parlor_proto::sip::{HeaderName, Transport};
use parlor_proto::uri::Aor;

use crate::world::{Peer, World, body, header, settings};

#[test]
fn the_shard_is_ready_before_the_200_goes_out() {
    let mut world = World::new();
    world.shards_answer = false;
    let mut ann = Peer::new("ann", "lobby");
    let offer = ann.offer();
    ann.send(&mut world, "INVITE", &offer);
    assert_eq!(world.command_names(), ["open room", "open session"]);
    assert!(world.sent.is_empty());
    let (shard, session) = (world.opened()[0].session.shard, world.opened()[0].session);
    world.event(shard, Event::SessionReady { session });
    assert_eq!(world.last_status(), 200);
    ann.learn(&world);
    ann.send(&mut world, "ACK", "");
    assert_eq!(world.command_names(), ["open room", "open session", "expect"]);
}

#[test]
fn the_200_says_what_a_focus_must_say() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let response = world.last_response();
    let contact = header(response, HeaderName::Contact);
    assert!(contact.starts_with("<sip:lobby@192.0.2.1:5060>;"), "{contact}");
    for tag in [
        "isfocus",
        "automata",
        "message",
        "events=\"conference\"",
        "methods=\"INVITE,ACK,BYE,CANCEL,OPTIONS,UPDATE,REFER,SUBSCRIBE\"",
    ] {
        assert!(contact.split(';').any(|part| part == tag), "{tag} in {contact}");
    }
    assert_eq!(header(response, HeaderName::Allow), "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, REFER, SUBSCRIBE");
    assert_eq!(header(response, HeaderName::Accept), "application/sdp");
    assert!(response.headers.get(&HeaderName::Supported).is_some());
    let session = world.opened()[0].session;
    let answer = body(response);
    for line in [
        "m=message 2855 TCP/MSRP *".to_owned(),
        format!("a=path:msrp://192.0.2.1:2855/{session};tcp"),
        "a=accept-types:message/cpim".into(),
        "a=accept-wrapped-types:*".into(),
        "a=setup:passive".into(),
        "a=chatroom:nickname private-messages".into(),
    ] {
        assert!(answer.lines().any(|l| l == line), "{line} in {answer}");
    }
    assert!(!answer.contains("a=max-size"));
}

#[test]
fn a_rooms_texts_show_in_the_answer() {
    let mut world = World::with_policy(|policy| {
        policy.subject = Some("Welcome all".into());
        policy.display_text = Some("The \"Lobby\"".into());
    });
    world.join("ann", "lobby");
    let response = world.last_response();
    let contact = header(response, HeaderName::Contact);
    assert!(contact.starts_with(r#""The \"Lobby\"" <sip:lobby@192.0.2.1:5060>;"#), "{contact}");
    assert!(body(response).contains("\r\ni=Welcome all\r\n"));
}

#[test]
fn policy_shows_in_the_answer() {
    let mut world = World::with_policy(|policy| {
        policy.nicknames = false;
        policy.private_messages = false;
        policy.wrapped_types = vec!["text/plain".into(), "text/html".into()];
        policy.max_message_size = 9000;
    });
    world.join("ann", "lobby");
    let answer = body(world.last_response());
    for line in ["a=chatroom", "a=accept-wrapped-types:text/plain text/html", "a=max-size:9000"] {
        assert!(answer.lines().any(|l| l == line), "{line} in {answer}");
    }
}

#[test]
fn the_shard_learns_who_it_is_and_what_was_offered() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    ann.from = "\"Ann A.\" <sip:ann@Home.example;x=y>;tag=1".into();
    let offer = ann.offer() + "a=accept-wrapped-types:text/plain\r\na=max-size:700\r\na=sendonly\r\n";
    ann.send(&mut world, "INVITE", &offer);
    let open = world.opened()[0].clone();
    assert_eq!(&*open.member.uri, "sip:ann@Home.example");
    assert_eq!(open.member.user, Aor::parse(b"sip:ann@home.example").unwrap());
    assert_eq!(open.member.display_name.as_deref(), Some("Ann A."));
    assert_eq!(open.terms.remote.as_str(), format!("msrp://{}/ann1;tcp", ann.at));
    assert!(open.terms.local.as_str().contains(&open.session.to_string()));
    assert_eq!((open.terms.max_size, open.terms.direction), (Some(700), Direction { sends: true, receives: false }));
    let accepts = open.terms.accept_wrapped_types.unwrap();
    assert!(!accepts.accepts("text/html"));
    assert!(accepts.accepts("message/cpim"), "what may stand alone may be wrapped too");
    assert_eq!(open.terms.chatroom, Some(ChatroomTokens { nickname: true, private_messages: true }));
}

#[test]
fn a_room_is_told_all_its_names() {
    let mut world = World::new();
    world.join("ann", "my room");
    let Some((_, Command::OpenRoom(room))) = world.commands.first() else { panic!("{:?}", world.command_names()) };
    assert_eq!(&*room.uri, "sip:my%20room@chat.example");
    for uri in [
        "sip:my%20room@chat.example",
        "sip:my%20room@127.0.0.1:5070",
        "sip:my%20room@192.0.2.1;transport=tcp",
        "sip:my%20room@192.0.2.1:5070",
    ] {
        assert!(room.names.contains(&Aor::parse(uri.as_bytes()).unwrap()), "{uri}");
    }
}

#[test]
fn all_names_of_a_room_lead_into_one_room() {
    let mut settings = settings();
    settings.listen.push((Transport::Tls, "192.0.2.1:5061".parse().unwrap()));
    let mut world = World::with(settings);
    for (name, target) in [
        ("a", "sip:lobby@chat.example"),
        ("b", "sip:lobby@CHAT.example:5070;transport=tcp"),
        ("c", "sips:%6cobby@127.0.0.1"),
        ("d", "im:lobby@192.0.2.1"),
    ] {
        let mut peer = Peer::new(name, "lobby");
        peer.target = target.into();
        peer.join(&mut world);
    }
    let rooms: Vec<_> = world.opened().iter().map(|open| open.room).collect();
    assert_eq!(rooms, [rooms[0]; 4]);
    assert_eq!(world.command_names().iter().filter(|name| **name == "open room").count(), 1);
}

#[test]
fn the_place_that_we_listen_at_is_ours_without_its_port_too() {
    for (listen, target, status) in [
        ("192.0.2.9:5070", "sip:lobby@192.0.2.9", 200),
        ("192.0.2.9:5070", "sip:lobby@192.0.2.9:5070", 200),
        ("[2001:db8::9]:5070", "sip:lobby@[2001:db8:0::9]", 200),
        ("192.0.2.9:5070", "sip:lobby@192.0.2.9:5080", 404),
        ("0.0.0.0:5070", "sip:lobby@0.0.0.0", 404),
    ] {
        let listen = vec![(Transport::Udp, listen.parse().unwrap())];
        let mut world = World::with(parlor::focus::Settings { listen, ..settings() });
        let mut peer = Peer::new("ann", "lobby");
        peer.target = target.into();
        peer.invite(&mut world);
        assert_eq!(world.last_status(), status, "{target}");
    }
}

#[test]
fn every_session_id_is_another_and_names_its_shard() {
    let mut world = World::new();
    for i in 0..20 {
        world.join(&format!("user{i}"), &format!("room{i}"));
    }
    let mut ids: Vec<_> = world.opened().iter().map(|open| open.session).collect();
    let shards: Vec<u16> = ids.iter().map(|id| id.shard.0).collect();
    assert_eq!(shards, [0, 1].repeat(10), "rooms go to the shards in turn");
    ids.sort_by_key(|id| id.random);
    ids.dedup();
    assert_eq!(ids.len(), 20);
}

#[test]
fn every_bit_of_a_session_id_is_drawn() {
    let mut world = World::new();
    for i in 0..64 {
        world.join(&format!("user{i}"), "lobby");
    }
    let (mut ones, mut zeros) = (0u128, 0u128);
    for open in world.opened() {
        ones |= open.session.random;
        zeros |= !open.session.random;
    }
    assert_eq!((ones, zeros), (u128::MAX, u128::MAX));
}

#[test]
fn sipsimple_knows_chat_rooms_though_it_never_says_so() {
    for (agent, aware) in [("sipsimple 5.5.0", true), ("Blink Pro 5", true), ("other", false)] {
        let mut world = World::new();
        let mut ann = Peer::new("ann", "lobby");
        ann.extra = format!("User-Agent: {agent}\r\n");
        let offer = ann.offer().replace("a=chatroom:nickname private-messages\r\n", "");
        ann.send(&mut world, "INVITE", &offer);
        assert_eq!(world.opened()[0].terms.chatroom.is_some(), aware, "{agent}");
    }
}

#[test]
fn a_client_is_known_by_any_message_that_says_what_it_is() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    let offer = ann.offer().replace("a=chatroom:nickname private-messages\r\n", "");
    ann.send(&mut world, "INVITE", &offer);
    ann.learn(&world);
    ann.send(&mut world, "ACK", "");
    assert_eq!(world.opened()[0].terms.chatroom, None);
    world.forget();
    ann.extra = "User-Agent: SIPSIMPLE 5.5.0\r\n".into();
    ann.send(&mut world, "UPDATE", &offer);
    let [(_, Command::ChangeSession { terms, .. })] = &world.commands[..] else {
        panic!("{:?}", world.command_names())
    };
    assert!(terms.chatroom.is_some_and(|tokens| tokens.private_messages));
}

#[test]
fn anonymous_callers_are_users_of_their_own() {
    let mut world = World::new();
    for name in ["x", "y"] {
        let mut peer = Peer::new(name, "lobby");
        peer.from = format!("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag={name}");
        peer.join(&mut world);
    }
    let opened = world.opened();
    assert_ne!(opened[0].member.user, opened[1].member.user);
    assert_ne!(opened[0].member.uri, opened[1].member.uri);
    assert!(opened[0].member.uri.ends_with("@anonymous.invalid"));
    assert_eq!(opened[0].member.identities.len(), 2);
}

#[test]
fn an_invite_without_offer_gets_ours_and_its_answer_comes_with_the_ack() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    ann.send(&mut world, "INVITE", "");
    assert_eq!((world.last_status(), world.command_names()), (200, vec!["open room"]));
    let offer = body(world.last_response());
    assert!(offer.contains("a=setup:actpass\r\n") && offer.contains("m=message 2855 TCP/MSRP *\r\n"));
    ann.learn(&world);
    let answer = ann.offer();
    ann.send(&mut world, "ACK", &answer);
    assert_eq!(world.command_names(), ["open room", "open session", "expect"]);
    assert_eq!(world.opened()[0].terms.remote.as_str(), format!("msrp://{}/ann1;tcp", ann.at));
    assert!(offer.contains(&world.opened()[0].session.to_string()));
    assert!(world.requests().is_empty());
}

#[test]
fn an_ack_without_a_usable_answer_ends_the_call() {
    for answer in ["", "nonsense", "PASSIVE"] {
        let mut world = World::new();
        let mut ann = Peer::new("ann", "lobby");
        ann.send(&mut world, "INVITE", "");
        ann.learn(&world);
        let passive = ann.offer().replace("setup:active", "setup:passive");
        ann.send(&mut world, "ACK", if answer == "PASSIVE" { &passive } else { answer });
        assert_eq!(world.command_names(), ["open room", "close room"], "{answer}");
        let (_, bye) = world.requests().pop().expect("a BYE");
        assert!(parlor_proto::sip::text(&bye.headers, &HeaderName::Reason).unwrap().contains("cause=488"));
        assert_eq!(world.focus.counts().calls, 0);
    }
}

#[test]
fn over_tcp_everything_goes_back_on_the_connection() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby").over_tcp();
    ann.join(&mut world);
    assert!(
        header(world.last_response(), HeaderName::Contact).starts_with("<sip:lobby@192.0.2.1:5060;transport=tcp>;")
    );
    let (shard, session) = ann.session.unwrap();
    world.event(shard, Event::SessionEnded { session, why: parlor::facts::EndReason::ConnectionLost });
    for (hop, _) in &world.sent {
        assert_eq!((hop.transport, hop.connection), (Transport::Tcp, ann.hop().connection));
    }
    assert_eq!(
        world.focus.counts().transactions,
        1,
        "only the INVITE is remembered, for when it comes again (RFC 6026 §7.1)"
    );
    world.advance(Duration::from_secs(33));
    assert_eq!(world.focus.counts().transactions, 0);
}

#[test]
fn a_slow_shard_makes_it_trying_and_a_silent_one_503() {
    let mut world = World::new();
    world.shards_answer = false;
    let mut ann = Peer::new("ann", "lobby");
    let invite = ann.request("INVITE", &ann.offer());
    world.deliver(&invite, ann.hop());
    world.advance(Duration::from_millis(300));
    assert_eq!(world.statuses(), [100]);
    world.deliver(&invite, ann.hop());
    assert_eq!(world.statuses(), [100, 100], "an INVITE sent again is no second call");
    world.advance(Duration::from_secs(5));
    assert_eq!(world.statuses()[2], 503);
    assert_eq!(world.command_names(), ["open room", "open session", "close session", "close room"]);
    assert_eq!(world.focus.counts().calls, 0);
}

#[test]
fn a_shard_that_refuses_is_a_503_and_the_room_goes() {
    for (why, status) in [(Refusal::Full, 503), (Refusal::Draining, 503), (Refusal::NoSuchRoom, 500)] {
        let mut world = World::new();
        world.shards_answer = false;
        let mut ann = Peer::new("ann", "lobby");
        let offer = ann.offer();
        ann.send(&mut world, "INVITE", &offer);
        let session = world.opened()[0].session;
        world.event(ShardId(0), Event::SessionRefused { session, why });
        assert_eq!(world.last_status(), status);
        assert_eq!(header(world.last_response(), HeaderName::RetryAfter).is_empty(), status == 500);
        assert_eq!((world.focus.counts().calls, *world.command_names().last().unwrap()), (0, "close room"));
    }
}

#[test]
fn a_body_of_several_parts_brings_its_offer() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    let body = format!(
        "--b\r\nContent-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\r\n<x/>\r\n--b\r\n\
         Content-Type: application/sdp\r\n\r\n{}\r\n--b--\r\n",
        ann.offer()
    );
    let invite = ann
        .request("INVITE", &body)
        .replace("application/sdp\r\nContent-Length", "multipart/mixed;boundary=b\r\nContent-Length");
    world.deliver(&invite, ann.hop());
    assert_eq!(world.last_status(), 200);
}

#[test]
fn contact_has_a_name_where_the_socket_has_no_address() {
    let mut world = World::with(parlor::focus::Settings {
        listen: vec![(parlor_proto::sip::Transport::Udp, "0.0.0.0:5070".parse().unwrap())],
        ..settings()
    });
    // Whichever of the machine's addresses it came to: others may reach that one or not.
    for (name, local) in [("ann", "0.0.0.0:5070"), ("bob", "10.0.0.8:5070")] {
        let mut peer = Peer::new(name, "lobby");
        let invite = peer.request("INVITE", &peer.offer());
        world.deliver(&invite, parlor_proto::sip::Hop { local: local.parse().unwrap(), ..peer.hop() });
        let contact = header(world.last_response(), HeaderName::Contact);
        assert!(contact.starts_with("<sip:lobby@chat.example:5070>"), "{local}: {contact}");
    }
}
