//! Requests of ours that could not be sent and go another way: they are the same requests, under the same numbers.

use parlor_proto::sip::{HeaderName, Hop, Message, Method, Request, Transport, text};

use crate::watcher::Watcher;
use crate::world::{Peer, World};

fn number(request: &Request) -> String {
    text(&request.headers, &HeaderName::CSeq).unwrap()
}

fn branch(request: &Request) -> String {
    text(&request.headers, &HeaderName::Via).unwrap()
}

/// Tells the focus that a request could not be sent.
fn unsent(world: &mut World, request: &Request) {
    let bytes = Message::Request(request.clone()).to_bytes();
    world.forget();
    world.focus.handle_unsent(&bytes, world.now);
    world.settle();
}

fn last(world: &World, method: Method) -> (Hop, Request) {
    world.requests().into_iter().rfind(|(_, request)| request.method == method).expect("a request")
}

#[test]
fn an_invite_that_was_too_large_for_a_datagram_keeps_its_number() {
    let mut world = World::with_policy(|policy| policy.moderators = vec!["creator".into()]);
    let mut ann = world.join("ann", "lobby");
    let by = "x".repeat(800);
    ann.extra = format!("Refer-To: <sip:carol@192.0.2.9>\r\nRefer-Sub: false\r\nReferred-By: <sip:ann@h;y={by}>\r\n");
    ann.send(&mut world, "REFER", "");
    let (hop, invite) = last(&world, Method::Invite);
    assert_eq!((hop.transport, number(&invite).as_str()), (Transport::Tcp, "1 INVITE"));
    unsent(&mut world, &invite);
    let (hop, again) = last(&world, Method::Invite);
    assert_eq!((hop.transport, number(&again).as_str()), (Transport::Udp, "1 INVITE"));
    assert_ne!(branch(&again), branch(&invite));
    Peer::new("carol", "lobby").respond_to(&mut world, &again, 422, "Min-SE: 3600\r\n", "");
    assert_eq!(number(&last(&world, Method::Invite).1), "2 INVITE", "an answered one is followed by the next number");
}

#[test]
fn a_notify_that_another_request_has_overtaken_takes_a_new_number() {
    let mut world = World::new();
    for name in ["ann", "bob", "cyn", "dan"] {
        world.join(name, "lobby");
    }
    let mut ann = world.join("eve", "lobby");
    ann.extra = "Event: conference\r\nExpires: 600\r\n".into();
    ann.send(&mut world, "SUBSCRIBE", "");
    let (hop, notify) = last(&world, Method::Notify);
    assert_eq!((hop.transport, number(&notify).as_str()), (Transport::Tcp, "1 NOTIFY"));
    let (shard, session) = ann.session.unwrap();
    world.event(shard, parlor::facts::Event::SessionEnded { session, why: parlor::facts::EndReason::ConnectionLost });
    assert_eq!(number(&last(&world, Method::Bye).1), "2 BYE");
    unsent(&mut world, &notify);
    let (hop, again) = last(&world, Method::Notify);
    assert_eq!((hop.transport, number(&again).as_str()), (Transport::Udp, "3 NOTIFY"));
}

#[test]
fn each_subscription_of_a_dialog_goes_on_by_datagrams_without_a_gap() {
    let mut world = World::new();
    for name in ["ann", "bob", "cyn", "dan"] {
        world.join(name, "lobby");
    }
    let mut watcher = Watcher::new("ann", "lobby");
    watcher.subscribe(&mut world);
    for want in ["1 NOTIFY", "2 NOTIFY", "3 NOTIFY"] {
        let (hop, notify) = last(&world, Method::Notify);
        if hop.transport == Transport::Tcp {
            unsent(&mut world, &notify);
        }
        let (hop, notify) = last(&world, Method::Notify);
        assert_eq!((hop.transport, number(&notify).as_str()), (Transport::Udp, want));
        watcher.take(&mut world);
        watcher.subscribe(&mut world);
    }
}
