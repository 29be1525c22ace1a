//! The limits of the focus that no test can fill, each reached.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{ConnectOut, Focus, Output, RoomSettings, Settings, ShardAddress};
use crate::facts::{Command, Event, RoomPolicy, Subscribers};
use crate::ids::ShardId;
use crate::limits::{CALLS_MAX, PARTS_KEPT_FOR_OTHERS, SUBSCRIPTIONS_MAX};
use crate::shares::{Claim, Reach, Share};
use parlor_proto::sip::{Hop, Message, Transport, parse_datagram};

fn focus() -> Focus {
    let here: SocketAddr = "192.0.2.1:5060".parse().unwrap();
    let policy = RoomPolicy { subscribers: Subscribers::Everyone, ..RoomPolicy::default() };
    let settings = Settings {
        domains: vec!["chat.example".into()],
        listen: vec![(Transport::Udp, here)],
        outbound_proxy: None,
        contact_host: "chat.example".into(),
        msrp_host: "192.0.2.1".into(),
        connect_out: ConnectOut::Source,
        fingerprints: Vec::new(),
        shards: vec![ShardAddress { id: ShardId(0), port: 2855, tls_port: None }],
        users: None,
        trusted_peers: vec![],
        max_calls_per_second: 0,
        session_expires: Duration::ZERO,
        transaction_bytes_max: 1 << 24,
        software: "Parlor".into(),
        rooms: RoomSettings { on_demand: true, defaults: policy.into(), ..RoomSettings::default() },
    };
    Focus::new(settings, [7; 32])
}

/// Others, who hold what no test can.
fn others() -> Claim {
    Claim::at([198, 51, 100, 1].into(), Reach::Trusted)
}

/// A request of somebody new, with its final status. The shard takes every session.
fn status(focus: &mut Focus, method: &str, name: &str, extra: &str, body: &str) -> u16 {
    let remote: SocketAddr = "192.0.2.77:40000".parse().unwrap();
    let hop = Hop { transport: Transport::Udp, local: "192.0.2.1:5060".parse().unwrap(), remote, connection: None };
    let text = format!(
        "{method} sip:lobby@chat.example SIP/2.0\r\nVia: SIP/2.0/UDP {remote};branch=z9hG4bK-{name}-{method}\r\n\
         From: <sip:{name}@home.example>;tag={name}\r\nTo: <sip:lobby@chat.example>\r\nCall-ID: {name}\r\n\
         CSeq: 1 {method}\r\nContact: <sip:{name}@{remote}>\r\nMax-Forwards: 70\r\n{extra}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let now = Instant::now();
    let mut statuses = Vec::new();
    focus.handle_message(parse_datagram(text.as_bytes()).unwrap().unwrap(), hop, now);
    while let Some(output) = focus.poll_output() {
        match output {
            Output::Command { shard, command: Command::OpenSession(open) } => {
                focus.handle_event(shard, Event::SessionReady { session: open.session }, now);
            }
            Output::Send { message, .. } => {
                if let Ok(Some(Message::Response(response))) = parse_datagram(&message) {
                    statuses.push(response.status.code());
                }
            }
            _ => {}
        }
    }
    *statuses.last().expect("a response")
}

fn invite(focus: &mut Focus, name: &str) -> u16 {
    let offer = "v=0\r\no=- 1 1 IN IP4 192.0.2.77\r\ns=-\r\nc=IN IP4 192.0.2.77\r\nt=0 0\r\nm=message 9 TCP/MSRP *\r\n\
        a=path:msrp://192.0.2.77:9/s;tcp\r\na=accept-types:message/cpim\r\na=setup:active\r\n";
    status(focus, "INVITE", name, "Content-Type: application/sdp\r\n", offer)
}

#[test]
fn there_are_so_many_calls() {
    let mut focus = focus();
    let _ = focus.stores.calls.shares.take(&others(), CALLS_MAX - 2);
    assert_eq!([invite(&mut focus, "ann"), invite(&mut focus, "bob"), invite(&mut focus, "cyn")], [200, 200, 503]);
    focus.stores.calls.shares.give_back(Share { claim: others(), amount: 1 });
    assert_eq!(invite(&mut focus, "dan"), 200);
}

#[test]
fn there_are_so_many_subscriptions() {
    let mut focus = focus();
    assert_eq!(invite(&mut focus, "ann"), 200);
    let _ = focus.stores.subscriptions.shares.take(&others(), SUBSCRIPTIONS_MAX - 2);
    let mut subscribe = |name: &str| status(&mut focus, "SUBSCRIBE", name, "Event: conference\r\nExpires: 600\r\n", "");
    assert_eq!(["bob", "cyn", "dan"].map(&mut subscribe), [200, 200, 503]);
    focus.stores.subscriptions.shares.give_back(Share { claim: others(), amount: 1 });
    assert_eq!(status(&mut focus, "SUBSCRIBE", "erin", "Event: conference\r\nExpires: 600\r\n", ""), 200);
}

#[test]
fn one_source_leaves_calls_and_subscriptions_to_others() {
    let claim = |n: u8, reach| Claim::at([192, 0, 2, n].into(), reach);
    let mut focus = focus();
    for (shares, max) in
        [(&mut focus.stores.calls.shares, CALLS_MAX), (&mut focus.stores.subscriptions.shares, SUBSCRIPTIONS_MAX)]
    {
        let one = claim(1, Reach::Proved);
        let _ = shares.take(&one, max - max / PARTS_KEPT_FOR_OTHERS);
        assert!(!shares.has_room(&one, 1) && shares.has_room(&claim(2, Reach::Proved), 1));
        assert!(shares.has_room(&claim(3, Reach::Unproved), 1) && shares.has_room(&claim(4, Reach::Trusted), 1));
    }
}
