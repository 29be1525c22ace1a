use std::time::Duration;

use parlor::facts::{Command, Event};
use parlor::limits::{ACCEPT_TYPES_BYTES_MAX, ACCEPT_TYPES_MAX};
use parlor_proto::sip::HeaderName;

use crate::world::{Peer, World, body, header, offer};

fn version(description: &str) -> u64 {
    let origin = description.lines().find(|line| line.starts_with("o=")).unwrap();
    origin.split(' ').nth(2).unwrap().parse().unwrap()
}

#[test]
fn another_path_goes_to_the_shard_and_the_same_does_not() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    let first = body(world.last_response());
    world.forget();
    let same = ann.offer();
    ann.send(&mut world, "INVITE", &same);
    ann.send(&mut world, "ACK", "");
    assert_eq!((world.last_status(), world.command_names()), (200, vec![]));
    assert_eq!(body(world.last_response()), first, "an unchanged description has an unchanged version");

    ann.send(&mut world, "INVITE", &offer("msrp://192.0.2.99:7/moved;tcp"));
    ann.send(&mut world, "ACK", "");
    let [(_, Command::ChangeSession { session, terms })] = &world.commands[..] else {
        panic!("{:?}", world.command_names())
    };
    assert_eq!(terms.remote.as_str(), "msrp://192.0.2.99:7/moved;tcp");
    assert!(terms.local.as_str().contains(&session.to_string()), "our own path stays");
}

#[test]
fn a_changed_description_has_a_higher_version() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    let first = body(world.last_response());
    let held = ann.offer() + "a=sendonly\r\n";
    ann.send(&mut world, "INVITE", &held);
    let second = body(world.last_response());
    assert!(second.contains("a=recvonly\r\n"));
    assert_eq!(version(&second), version(&first) + 1);
    let id = |text: &str| text.lines().nth(1).unwrap().split(' ').nth(1).unwrap().to_owned();
    assert_eq!(id(&first), id(&second));
}

/// Its peer may bind the session by its new path on a connection that is faster than the command.
#[test]
fn a_change_is_answered_once_the_shard_knows_of_it() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    let (shard, session) = ann.session.unwrap();
    for (method, other) in [("INVITE", "bob"), ("UPDATE", "carol")] {
        world.forget();
        world.shards_answer = false;
        ann.send(&mut world, method, &offer(&format!("msrp://192.0.2.99:7/{method};tcp")));
        assert_eq!(world.command_names(), ["change"]);
        assert!(!world.statuses().contains(&200), "{method} is answered too early");
        world.shards_answer = true;
        world.join(other, "lobby");
        assert_eq!(world.statuses().iter().filter(|status| **status == 200).count(), 1, "others do not wait");
        world.forget();
        world.event(shard, Event::SessionChanged { session });
        assert_eq!(world.statuses(), [200]);
        assert!(header(world.last_response(), HeaderName::CSeq).ends_with(method));
        ann.send(&mut world, "ACK", "");
        world.forget();
        world.event(shard, Event::SessionChanged { session });
        assert!(world.sent.is_empty(), "once");
    }
}

#[test]
fn a_shard_that_is_slow_to_confirm_delays_the_answer_no_further_than_its_first_repetition() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    world.forget();
    world.shards_answer = false;
    ann.send(&mut world, "INVITE", &offer("msrp://192.0.2.99:7/moved;tcp"));
    world.advance(Duration::from_millis(499));
    assert!(!world.statuses().contains(&200));
    world.advance(Duration::from_millis(1));
    assert_eq!(world.last_status(), 200);
}

#[test]
fn a_change_that_cannot_be_taken_leaves_the_call_as_it_was() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    world.forget();
    let bad = ann.offer().replace("message/cpim", "text/html");
    ann.send(&mut world, "INVITE", &bad);
    assert_eq!((world.last_status(), world.command_names(), world.focus.counts().calls), (488, vec![], 1));
}

#[test]
fn a_reinvite_without_offer_gets_ours_and_meets_glare_until_it_is_answered() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    world.forget();
    ann.send(&mut world, "INVITE", "");
    assert!(body(world.last_response()).contains("a=setup:actpass"));
    let waiting = ann.clone();
    let moved = offer("msrp://192.0.2.99:7/moved;tcp");
    ann.send(&mut world, "INVITE", &moved);
    assert_eq!(world.statuses(), [200, 491]);
    let mut first = waiting;
    first.branch = 100;
    first.send(&mut world, "ACK", &moved);
    assert_eq!(world.command_names(), ["change"]);
    ann.send(&mut world, "INVITE", &moved);
    assert_eq!(world.last_status(), 200);
}

#[test]
fn a_new_contact_is_where_the_bye_goes() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    let moved =
        ann.request("INVITE", &ann.offer()).replace("Contact: <sip:ann@192.0.2.77", "Contact: <sip:ann@192.0.2.88");
    world.deliver(&moved, ann.hop());
    ann.send(&mut world, "ACK", "");
    world.focus.drain(world.now);
    world.settle();
    let (hop, bye) = world.requests().pop().unwrap();
    assert_eq!(hop.remote.ip().to_string(), "192.0.2.88");
    assert!(bye.uri.to_string().starts_with("sip:ann@192.0.2.88"));
}

#[test]
fn the_200_is_sent_again_until_its_ack_and_no_longer() {
    let mut world = World::new();
    let mut ann = crate::world::Peer::new("ann", "lobby");
    ann.invite(&mut world);
    world.advance(Duration::from_millis(3600));
    assert_eq!(world.statuses(), [200; 4], "at 0, 0.5, 1.5 and 3.5 s");
    ann.send(&mut world, "ACK", "");
    ann.send(&mut world, "ACK", "");
    world.advance(Duration::from_secs(60));
    assert_eq!(world.statuses().len(), 4);
    assert_eq!(world.command_names(), ["open room", "open session", "expect"]);
}

#[test]
fn an_ack_of_another_number_is_not_ours() {
    let mut world = World::new();
    let mut ann = crate::world::Peer::new("ann", "lobby");
    ann.invite(&mut world);
    ann.sequence += 1;
    ann.send(&mut world, "ACK", "");
    assert_eq!(world.command_names(), ["open room", "open session"]);
}

#[test]
fn another_chatroom_attribute_goes_to_the_shard() {
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    world.forget();
    let less = ann.offer().replace("a=chatroom:nickname private-messages", "a=chatroom:nickname");
    ann.send(&mut world, "INVITE", &less);
    let [(_, Command::ChangeSession { terms, .. })] = &world.commands[..] else {
        panic!("{:?}", world.command_names())
    };
    let tokens = terms.chatroom.unwrap();
    assert!(tokens.nickname && !tokens.private_messages);
}

#[test]
fn numbers_in_descriptions_fit_and_start_low() {
    let mut world = World::new();
    for n in 0..8 {
        world.join(&format!("user{n}"), "lobby");
        let text = body(world.last_response());
        let origin: Vec<_> = text.lines().find(|line| line.starts_with("o=")).unwrap().split(' ').collect();
        assert!(origin[1].parse::<i64>().is_ok(), "{text}");
        assert_eq!(version(&text), 1);
        assert!(text.contains("\r\ns=-\r\n") && text.contains("\r\nt=0 0\r\n"), "{text}");
    }
}

#[test]
fn a_list_of_types_that_is_too_long_is_refused_at_the_join_and_in_a_change() {
    let types = |count: usize| (0..count).map(|n| format!("x/y{n}")).collect::<Vec<_>>().join(" ");
    let with = |offer: &str, name: &str, list: &str| format!("{offer}a={name}:message/cpim {list}\r\n");
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    let plain = ann.offer().replace("a=accept-types:message/cpim text/plain\r\n", "");
    let wrapped = |list: &str| with(&ann.offer(), "accept-wrapped-types", list);
    let most = ACCEPT_TYPES_MAX - 1;
    let long = format!("x/{}", "y".repeat(ACCEPT_TYPES_BYTES_MAX));
    let offers = [
        (with(&plain, "accept-types", &types(most)), 200),
        (with(&plain, "accept-types", &types(most + 1)), 488),
        (wrapped(&types(most)), 200),
        (wrapped(&types(most + 1)), 488),
        (wrapped(&long), 488),
    ];
    for (n, (offer, status)) in offers.iter().enumerate() {
        world.forget();
        ann.send(&mut world, "INVITE", offer);
        assert_eq!(world.last_status(), *status, "{offer}");
        if *status == 200 {
            ann.learn(&world);
            ann.send(&mut world, "ACK", "");
        } else {
            assert!(world.command_names().is_empty(), "the shard learns nothing of what is refused");
            assert!(header(world.last_response(), HeaderName::Warning).starts_with("305 "), "it says why");
        }
        let mut bob = Peer::new(&format!("bob{n}"), "lobby");
        bob.send(&mut world, "INVITE", offer);
        assert_eq!(world.last_status() == 488, *status == 488, "{offer}");
        assert_eq!(world.focus.counts().calls, 1 + usize::from(*status == 200));
        if *status == 200 {
            bob.learn(&world);
            bob.send(&mut world, "ACK", "");
            bob.send(&mut world, "BYE", "");
        }
    }
}
