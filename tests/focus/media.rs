use parlor::facts::{Command, Fingerprint, Outward, Terms};
use parlor::focus::{ConnectOut, Network, Settings, ShardAddress};
use parlor::ids::ShardId;
use parlor_proto::sdp::HashFunction;
use parlor_proto::sip::{HeaderName, Method, Request, Transport};

use crate::world::{Peer, World, body, header, offer, policy, settings};

pub fn with_tls() -> Settings {
    let shard = |n: u16| ShardAddress { id: ShardId(n), port: 2855 + n, tls_port: Some(3855 + n) };
    let value = vec![0xab; 32].into();
    Settings {
        shards: vec![shard(0), shard(1)],
        fingerprints: vec![Fingerprint { hash: HashFunction::Sha256, value }],
        ..settings()
    }
}

fn secure(offer: &str) -> String {
    offer.replace("TCP/MSRP", "TCP/TLS/MSRP").replace("a=path:msrp:", "a=path:msrps:")
}

/// What becomes of an offer: the status and the terms in force.
fn called(settings: Settings, offer: &str) -> (World, Peer) {
    let mut world = World::with(settings);
    let mut ann = Peer::new("ann", "lobby");
    ann.send(&mut world, "INVITE", offer);
    ann.learn(&world);
    (world, ann)
}

fn terms(world: &World) -> Terms {
    world.opened().last().expect("a session").terms.clone()
}

fn warning(world: &World) -> String {
    header(world.last_response(), HeaderName::Warning)
}

fn passive(host: &str) -> String {
    offer(&format!("msrp://{host}:7654/ann1;tcp"))
        .replace("m=message 9", "m=message 7654")
        .replace("setup:active", "setup:passive")
        .replace("c=IN IP4 192.0.2.77", &format!("c=IN IP4 {host}"))
}

#[test]
fn an_offer_over_tls_is_answered_with_port_and_fingerprint() {
    let (world, _) = called(with_tls(), &secure(&Peer::new("ann", "lobby").offer()));
    let answer = body(world.last_response());
    assert!(answer.contains("m=message 3855 TCP/TLS/MSRP *\r\n"), "{answer}");
    assert!(answer.contains("a=path:msrps://192.0.2.1:3855/") && answer.contains("a=fingerprint:sha-256 AB:AB:"));
    assert!(terms(&world).local.as_str().starts_with("msrps:"));
    let (world, _) = called(settings(), &secure(&Peer::new("ann", "lobby").offer()));
    assert_eq!(world.last_status(), 488);
    assert!(warning(&world).starts_with("302 "));
}

#[test]
fn a_room_that_wants_tls_takes_nothing_else() {
    let rooms = policy(|policy| policy.force_tls = true);
    let plain = Peer::new("ann", "lobby").offer();
    let (world, _) = called(Settings { rooms: rooms.clone(), ..with_tls() }, &plain);
    assert_eq!(world.last_status(), 488);
    assert!(warning(&world).contains("MSRP has to go over TLS here"), "{}", warning(&world));
    let (mut world, mut ann) = called(Settings { rooms: rooms.clone(), ..with_tls() }, &secure(&plain));
    assert_eq!(world.last_status(), 200);
    ann.send(&mut world, "ACK", "");
    ann.send(&mut world, "INVITE", &plain);
    assert_eq!((world.last_status(), world.focus.counts().calls), (488, 1), "nor does a change get round it");
    let (world, _) = called(Settings { rooms, ..with_tls() }, "");
    assert!(body(world.last_response()).contains("TCP/TLS/MSRP"), "our own offer is over TLS then");
}

/// The INVITE to carol, whom somebody brings in.
fn brings_in(world: &mut World, by: &mut Peer) -> Option<Request> {
    by.extra = "Refer-To: <sip:carol@192.0.2.77:5099>\r\nRefer-Sub: false\r\n".into();
    by.send(world, "REFER", "");
    by.extra.clear();
    world.requests_of(Method::Invite).pop()
}

#[test]
fn an_invited_client_must_take_tls_where_the_room_wants_it() {
    let rooms = policy(|policy| {
        policy.force_tls = true;
        policy.moderators = vec!["creator".into(), "sip:op@home.example".into()];
    });
    let plain = Peer::new("ann", "lobby").offer();
    for (answer, joins) in [(plain.clone(), false), (secure(&plain), true)] {
        let (mut world, mut ann) = called(Settings { rooms: rooms.clone(), ..with_tls() }, &secure(&plain));
        ann.send(&mut world, "ACK", "");
        let invite = brings_in(&mut world, &mut ann).expect("an INVITE");
        let offer = String::from_utf8(invite.body().to_vec()).unwrap();
        assert!(offer.contains("m=message 3855 TCP/TLS/MSRP *\r\n"), "{offer}");
        assert!(offer.contains("a=path:msrps://192.0.2.1:3855/") && offer.contains("a=fingerprint:sha-256 AB:AB:"));
        world.forget();
        let contact = "Contact: <sip:carol@192.0.2.77:5099>\r\n";
        Peer::new("carol", "lobby").respond_to(&mut world, &invite, 200, contact, &answer);
        assert_eq!(world.focus.counts().calls, if joins { 2 } else { 1 }, "{answer}");
        let reason = |bye: &Request| parlor_proto::sip::text(&bye.headers, &HeaderName::Reason).unwrap();
        let byes: Vec<String> = world.requests_of(Method::Bye).iter().map(reason).collect();
        assert_eq!(byes.iter().any(|reason| reason.contains("cause=488")), !joins, "{byes:?}");
        assert_eq!(world.command_names(), if joins { vec!["change", "expect"] } else { vec!["close session"] });
    }
    let mut world = World::with(Settings { rooms, ..settings() });
    let invite = brings_in(&mut world, &mut Peer::new("op", "lobby"));
    assert_eq!((world.last_status(), invite.is_none()), (488, true), "without TLS there is nothing to offer");
    assert_eq!(world.command_names(), ["open room", "close room"]);
}

#[test]
fn our_offer_is_over_tls_where_the_call_came_over_it() {
    let mut world = World::with(with_tls());
    let mut ann = Peer::new("ann", "lobby");
    ann.transport = Transport::Tls;
    ann.target = "sips:lobby@chat.example".into();
    ann.send(&mut world, "INVITE", "");
    let offer = body(world.last_response());
    assert!(offer.contains("TCP/TLS/MSRP") && offer.contains("a=setup:actpass"), "{offer}");
    let contact = header(world.last_response(), HeaderName::Contact);
    assert!(contact.contains("<sips:lobby@192.0.2.1:5060>"), "a sips URI is answered with one: {contact}");
}

#[test]
fn fingerprints_go_to_the_shard_and_ours_change_with_the_certificate() {
    let theirs = "a=fingerprint:SHA-256 0F".to_owned() + &":0F".repeat(31) + "\r\n";
    let offer = secure(&Peer::new("ann", "lobby").offer());
    let (mut world, _) = called(with_tls(), &(offer.clone() + &theirs));
    assert_eq!(terms(&world).fingerprints.iter().map(|one| one.value[0]).collect::<Vec<_>>(), [0x0f]);
    world.focus.replace_fingerprints(vec![Fingerprint { hash: HashFunction::Sha1, value: vec![0xcd; 20].into() }]);
    let mut ben = Peer::new("ben", "lobby");
    ben.send(&mut world, "INVITE", &secure(&ben.offer()));
    assert!(body(world.last_response()).contains("a=fingerprint:sha-1 CD:CD:"));
    let (world, _) = called(with_tls(), &(offer + "a=fingerprint:md5 00:01\r\n"));
    assert_eq!(world.last_status(), 488);
    assert!(warning(&world).contains("no usable a=fingerprint"));
}

#[test]
fn with_tls_and_without_there_is_another_port_and_a_change_unbinds() {
    let plain = Peer::new("ann", "lobby").offer();
    let (mut world, mut ann) = called(with_tls(), &plain);
    ann.send(&mut world, "ACK", "");
    world.forget();
    ann.send(&mut world, "INVITE", &secure(&plain));
    assert!(body(world.last_response()).contains("a=path:msrps://192.0.2.1:3855/"));
    let [(_, Command::ChangeSession { terms, .. })] = &world.commands[..] else {
        panic!("{:?}", world.command_names())
    };
    assert!(terms.local.as_str().starts_with("msrps:"), "another path, and so another connection");
}

#[test]
fn a_passive_client_is_connected_to_at_its_source_address_only() {
    let (world, _) = called(settings(), &passive("192.0.2.77"));
    assert!(body(world.last_response()).contains("a=setup:active\r\n"));
    let address = "192.0.2.77:7654".parse().unwrap();
    assert_eq!(terms(&world).connect_to.as_deref(), Some(&Outward { address, name: "192.0.2.77".into() }));
    let (world, _) = called(settings(), &passive("192.0.2.66"));
    assert_eq!(world.last_status(), 488);
    assert!(warning(&world).contains("does not connect to 192.0.2.66"), "{}", warning(&world));
    assert!(world.commands.is_empty(), "a stranger's offer leads nowhere");
}

#[test]
fn policy_says_who_may_be_connected_to() {
    let networks = |first: &str, bits| ConnectOut::Networks(vec![Network::new(first.parse().unwrap(), bits).unwrap()]);
    for (connect_out, host, status) in [
        (ConnectOut::Never, "192.0.2.77", 488),
        (ConnectOut::Any, "198.51.100.9", 200),
        (networks("198.51.100.0", 24), "198.51.100.9", 200),
        (networks("198.51.100.0", 24), "192.0.2.77", 488),
        (ConnectOut::Any, "224.0.0.1", 488),
        (ConnectOut::Any, "0.0.0.0", 488),
    ] {
        let (world, _) = called(Settings { connect_out: connect_out.clone(), ..settings() }, &passive(host));
        assert_eq!(world.last_status(), status, "{connect_out:?} {host}");
    }
}

#[test]
fn a_name_stands_for_where_the_call_came_from() {
    let named = passive("192.0.2.77").replace("msrp://192.0.2.77:", "msrp://client.example:");
    let (world, _) = called(settings(), &named);
    let address = "192.0.2.77:7654".parse().unwrap();
    assert_eq!(terms(&world).connect_to.as_deref(), Some(&Outward { address, name: "client.example".into() }));
}

#[test]
fn a_client_that_may_connect_does_and_holdconn_is_ignored() {
    for setup in ["active", "actpass", "holdconn"] {
        let offer = passive("192.0.2.77").replace("setup:passive", &format!("setup:{setup}"));
        let (world, _) = called(settings(), &offer);
        assert!(body(world.last_response()).contains("a=setup:passive\r\n"), "{setup}");
        assert_eq!(terms(&world).connect_to, None, "{setup}");
    }
}

#[test]
fn the_answer_to_our_offer_says_who_connects() {
    for (setup, connects) in [("a=setup:passive\r\n", true), ("", true), ("a=setup:active\r\n", false)] {
        let (mut world, mut ann) = called(settings(), "");
        assert!(body(world.last_response()).contains("a=setup:actpass\r\n"));
        ann.send(&mut world, "ACK", &passive("192.0.2.77").replace("a=setup:passive\r\n", setup));
        assert_eq!(terms(&world).connect_to.is_some(), connects, "{setup}");
    }
    let (mut world, mut ann) = called(Settings { connect_out: ConnectOut::Never, ..settings() }, "");
    ann.send(&mut world, "ACK", &passive("192.0.2.77"));
    let (_, bye) = world.requests().pop().expect("an answer that nobody can connect by ends the call");
    assert_eq!(bye.method.as_bytes(), b"BYE");
}

#[test]
fn a_middlebox_that_speaks_for_itself_is_believed_with_cema_only() {
    let through = passive("192.0.2.77")
        .replace("c=IN IP4 192.0.2.77", "c=IN IP4 203.0.113.5")
        .replace("m=message 7654", "m=message 9000");
    let any = || Settings { connect_out: ConnectOut::Any, ..settings() };
    let (world, _) = called(any(), &(through.clone() + "a=msrp-cema\r\n"));
    assert!(body(world.last_response()).contains("a=msrp-cema\r\n"));
    assert_eq!(terms(&world).connect_to.unwrap().address.to_string(), "203.0.113.5:9000");
    let (world, _) = called(any(), &through);
    assert_eq!(world.last_status(), 488);
    assert!(warning(&world).contains("different places"), "{}", warning(&world));
    let (world, _) = called(settings(), &(through.replace("setup:passive", "setup:actpass") + "a=msrp-cema\r\n"));
    assert_eq!(terms(&world).connect_to, None, "where it connects to us there is nothing to choose");
    assert!(body(world.last_response()).contains("a=msrp-cema\r\n"));
}

#[test]
fn a_client_behind_a_relay_is_reached_through_it() {
    let relayed = passive("192.0.2.77").replace("a=path:", "a=path:msrp://192.0.2.77:2855/relay;tcp ");
    let (world, _) = called(settings(), &relayed);
    let terms = terms(&world);
    assert_eq!(terms.connect_to.unwrap().address.port(), 2855, "the relay comes first");
    assert_eq!(terms.remote.as_str(), "msrp://192.0.2.77:2855/relay;tcp msrp://192.0.2.77:7654/ann1;tcp");
}

#[test]
fn ipv6_stands_wherever_an_address_does() {
    let settings = Settings {
        msrp_host: "[2001:db8::1]".into(),
        contact_host: "[2001:db8::1]".into(),
        domains: vec!["[2001:db8::1]".into(), "chat.example".into()],
        ..settings()
    };
    let mut world = World::with(settings);
    let mut ann = Peer::new("ann", "lobby");
    ann.at = "[2001:db8::77]:40000".parse().unwrap();
    ann.target = "sip:lobby@[2001:db8::1]".into();
    let offer = offer("msrp://[2001:db8::77]:9/ann1;tcp").replace("IN IP4 192.0.2.77", "IN IP6 2001:db8::77");
    ann.send(&mut world, "INVITE", &offer);
    assert_eq!(world.last_status(), 200);
    let answer = body(world.last_response());
    assert!(
        answer.contains("c=IN IP6 2001:db8::1\r\n") && answer.contains("a=path:msrp://[2001:db8::1]:2855/"),
        "{answer}"
    );
    let passive =
        offer.replace("m=message 9 ", "m=message 7654 ").replace("]:9/", "]:7654/").replace("active", "passive");
    let mut ben = Peer::new("ben", "lobby");
    ben.at = "[2001:db8::77]:40001".parse().unwrap();
    ben.send(&mut world, "INVITE", &passive);
    assert_eq!(terms(&world).connect_to.unwrap().address.to_string(), "[2001:db8::77]:7654");
}

#[test]
fn a_name_is_looked_for_in_the_family_that_the_caller_has() {
    let mut world = World::with(Settings { msrp_host: "chat.example".into(), ..settings() });
    world.join("ann", "lobby");
    assert!(body(world.last_response()).contains("c=IN IP4 chat.example\r\n"));
    let mut ben = Peer { at: "[2001:db8::77]:40000".parse().unwrap(), ..Peer::new("ben", "lobby") };
    ben.invite(&mut world);
    assert!(body(world.last_response()).contains("c=IN IP6 chat.example\r\n"));
}

#[test]
fn what_a_reinvite_changes_is_in_force() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    world.forget();
    let changed = ann.offer().replace("nickname private-messages", "nickname")
        + "a=accept-wrapped-types:text/plain\r\na=recvonly\r\n";
    ann.send(&mut world, "INVITE", &changed);
    ann.send(&mut world, "ACK", "");
    assert!(body(world.last_response()).contains("a=sendonly\r\n"));
    let [(_, Command::ChangeSession { terms, .. })] = &world.commands[..] else {
        panic!("{:?}", world.command_names())
    };
    let tokens = terms.chatroom.unwrap();
    assert!(tokens.nickname && !tokens.private_messages && !terms.direction.sends && terms.direction.receives);
    assert!(terms.accept_wrapped_types.as_ref().unwrap().accepts("text/plain"));
    world.forget();
    let resumed = ann.offer() + "a=connection:new\r\n";
    ann.send(&mut world, "INVITE", &resumed);
    let [(_, Command::ChangeSession { terms, .. })] = &world.commands[..] else {
        panic!("{:?}", world.command_names())
    };
    assert!(terms.direction.sends && terms.direction.receives && terms.chatroom.unwrap().private_messages);
    assert!(!body(world.last_response()).contains("a=connection"), "RFC 6135 §4.4");
    assert_eq!(
        terms.remote.as_str(),
        format!("msrp://{}/ann1;tcp", ann.at),
        "the same path, and so the same connection"
    );
}

#[test]
fn what_may_be_wrapped_is_what_both_lists_name_together() {
    let types = |lines: &str| {
        let lines = lines.replace("WRAPPED", "a=accept-wrapped-types").replace("TYPES", "a=accept-types");
        let own = offer("msrp://192.0.2.77:9/ann1;tcp");
        let (world, _) = called(settings(), &own.replace("a=accept-types:message/cpim text/plain\r\n", &lines));
        terms(&world).accept_wrapped_types
    };
    for (lines, png, plain) in [
        ("TYPES:message/cpim text/plain\r\n", false, true),
        ("TYPES:message/cpim text/plain\r\nWRAPPED:\r\n", false, true),
        ("TYPES:message/cpim\r\nWRAPPED:text/plain\r\n", false, true),
        ("TYPES:message/cpim\r\nWRAPPED:image/*\r\n", true, false),
        ("TYPES:message/cpim text/plain\r\nWRAPPED:image/png\r\n", true, true),
        ("TYPES:message/cpim *\r\n", true, true),
        ("TYPES:*\r\n", true, true),
    ] {
        let accepted = types(lines).expect(lines);
        assert_eq!((accepted.accepts("image/png"), accepted.accepts("text/plain")), (png, plain), "{lines}");
    }
    assert_eq!(types("TYPES:message/cpim\r\n"), None, "who names no content takes any");
}

#[test]
fn an_offer_that_a_box_in_between_has_half_changed_is_488_whoever_connects() {
    for setup in ["active", "actpass"] {
        let own = Peer::new("ann", "lobby").offer().replace("setup:active", &format!("setup:{setup}"));
        assert_eq!(called(settings(), &own).0.last_status(), 200);
        let moved = own.replace("m=message 9", "m=message 7777");
        let (world, _) = called(settings(), &moved);
        assert_eq!(world.last_status(), 488, "{setup}");
        assert!(warning(&world).contains("a=path and the c= and m= lines"), "{}", warning(&world));
        let cema = format!("{moved}a=msrp-cema\r\n");
        assert_eq!(called(settings(), &cema).0.last_status(), 200, "{setup}");
    }
}

#[test]
fn octets_that_are_no_utf_8_in_a_description_harm_nobody() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    let body = format!("{}a=note:#\r\n", ann.offer());
    let mut request = ann.request("INVITE", &body).into_bytes();
    let at = request.iter().rposition(|&b| b == b'#').unwrap();
    request[at] = 0xe9;
    let message = parlor_proto::sip::parse_datagram(&request).unwrap().unwrap();
    world.focus.handle_message(message, ann.hop(), world.now);
    world.settle();
    assert_eq!(world.last_status(), 200);
}

/// Whether a description has the lines of RFC 8866 §9 in their order, each of its shape.
fn check_grammar(text: &str) {
    let body = text.strip_suffix("\r\n").expect("the last line ends too");
    let lines: Vec<&str> = body.split("\r\n").collect();
    let order = "vosiuepcbtrzka";
    let head = lines.iter().position(|line| line.starts_with("m=")).expect("a line of media");
    let places: Vec<usize> = lines[..head].iter().map(|line| order.find(&line[..1]).expect(line)).collect();
    assert!(places.is_sorted(), "{text}");
    for kind in ["v=0", "o=", "s=", "t=0 0"] {
        assert_eq!(lines[..head].iter().filter(|line| line.starts_with(kind)).count(), 1, "{kind} in {text}");
    }
    for line in &lines {
        let (kind, value) = line.split_at(2);
        assert!(kind.ends_with('=') && !value.is_empty() && !value.starts_with(' '), "{line:?}");
        assert!(!line.contains(['\r', '\n', '\0']));
        let fields = value.split(' ').count();
        match kind {
            "o=" => assert_eq!(fields, 6, "{line}"),
            "c=" => assert_eq!(fields, 3, "{line}"),
            "m=" => assert!(fields >= 4 && value.split(' ').nth(1).unwrap().parse::<u16>().is_ok(), "{line}"),
            _ => {}
        }
    }
    let of_media = "micbka";
    for part in lines[head..].split(|line| line.starts_with("m=")) {
        let places: Vec<usize> = part.iter().map(|line| of_media.find(&line[..1]).expect(line)).collect();
        assert!(places.is_sorted(), "{text}");
    }
}

#[test]
fn every_description_that_we_write_keeps_to_the_grammar() {
    for settings in [settings(), with_tls()] {
        let mut world = World::with(settings);
        let mut ann = Peer::new("ann", "lobby");
        let audio = "m=audio 5000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\n";
        let offer = ann.offer() + audio;
        ann.send(&mut world, "INVITE", &offer);
        ann.learn(&world);
        check_grammar(&body(world.last_response()));
        ann.send(&mut world, "ACK", "");
        ann.send(&mut world, "INVITE", "");
        check_grammar(&body(world.last_response()));
        Peer::new("bob", "lobby").send(&mut world, "OPTIONS", "");
        check_grammar(&body(world.last_response()));
        Peer::new("carol", "lobby").send(&mut world, "INVITE", "");
        check_grammar(&body(world.last_response()));
    }
}

#[test]
fn unknown_lines_of_a_description_are_ignored() {
    let own = Peer::new("ann", "lobby").offer();
    let odd = own.replace("t=0 0", "b=X-YZ:128\r\nt=0 0\r\na=x-unknown\r\na=x-other:1 2 3") + "b=AS:1\r\na=x:y\r\n";
    assert_eq!(called(settings(), &odd).0.last_status(), 200);
}

#[test]
fn media_of_webrtc_is_refused_with_port_0() {
    let channel = "m=application 54111 UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:5000\r\n\
                   a=dcmap:0 subprotocol=\"msrp\"\r\n";
    let (world, _) = called(settings(), &(Peer::new("ann", "lobby").offer() + channel));
    assert!(body(world.last_response()).contains("m=application 0 UDP/DTLS/SCTP"), "{}", body(world.last_response()));
    let alone = "v=0\r\no=- 1 1 IN IP4 192.0.2.77\r\ns=-\r\nc=IN IP4 192.0.2.77\r\nt=0 0\r\n".to_owned() + channel;
    assert_eq!(called(settings(), &alone).0.last_status(), 488);
}
