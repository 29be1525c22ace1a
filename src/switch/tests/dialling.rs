//! Connections that the switch asks for, and certificates (RFC 4975 §5.4, §14.4, RFC 6135, RFC 8122 §6.2).

use std::time::Duration;

use super::fixture::{Fixture, Options, bodies};
use crate::facts::{Certificate, Command, EndReason, Event, Fingerprint, Outward, RoomPolicy, Terms};
use crate::switch::Dial;
use parlor_proto::msrp::Path;
use parlor_proto::sdp::HashFunction;

/// A room with alice in it, and bob, who only listens.
fn with_listener(change: impl FnOnce(&mut Terms)) -> (Fixture, Dial) {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let bob = room.negotiate("bob", &Options::default());
    let session = room.members[bob].session;
    let mut terms = room.terms(bob);
    let to = Outward { address: "192.0.2.7:7654".parse().unwrap(), name: "bob.example.com".into() };
    terms.connect_to = Some(Box::new(to));
    change(&mut terms);
    room.control(Command::ChangeSession { session, terms: Box::new(terms) });
    room.control(Command::ExpectBinding { session });
    let dial = room.next_dial().expect("somebody is to be connected to");
    assert!(room.next_dial().is_none(), "once");
    (room, dial)
}

fn over_tls(terms: &mut Terms) {
    terms.local = Path::parse(terms.local.as_str().replace("msrp:", "msrps:").as_bytes()).unwrap();
    terms.remote = Path::parse(terms.remote.as_str().replace("msrp:", "msrps:").as_bytes()).unwrap();
}

fn certificate(n: u8, named: bool) -> Certificate {
    Certificate { fingerprints: vec![fingerprint(n)], named }
}

fn fingerprint(n: u8) -> Fingerprint {
    Fingerprint { hash: HashFunction::Sha256, value: vec![n; 32].into() }
}

/// The transaction id of the SEND that is to bind bob's session.
fn asked(room: &mut Fixture) -> String {
    let text = room.received(1);
    assert!(
        text.contains(" SEND\r\n") && text.contains("Byte-Range: 1-0/0\r\n") && !text.contains("Content-Type"),
        "{text}"
    );
    assert!(text.contains(&format!("To-Path: {}", room.terms(1).remote)), "{text}");
    text.split(' ').nth(1).unwrap().to_owned()
}

fn answer(room: &mut Fixture, tid: &str, status: &str) {
    let (local, remote) = (room.terms(1).local, room.terms(1).remote);
    room.send(1, &format!("MSRP {tid} {status}\r\nTo-Path: {local}\r\nFrom-Path: {remote}\r\n-------{tid}$\r\n"));
}

fn ended(room: &Fixture, why: EndReason) -> bool {
    let session = room.members[1].session;
    room.events.contains(&Event::SessionEnded { session, why })
}

#[test]
fn a_listener_takes_part_once_it_has_agreed() {
    let (mut room, dial) = with_listener(|_| {});
    assert_eq!((dial.address.to_string().as_str(), dial.tls.as_deref()), ("192.0.2.7:7654", None));
    room.members[1].connection = room.switch.connected(&dial, room.now).unwrap();
    let tid = asked(&mut room);
    let session = room.members[1].session;
    assert!(!room.events.contains(&Event::SessionBound { session }), "not before the answer");
    answer(&mut room, &tid, "200 OK");
    assert!(room.events.contains(&Event::SessionBound { session }));
    let body = room.to_room(0, "welcome");
    let message = room.message(0, "m1", &body);
    room.send(0, &message);
    assert_eq!(bodies(&room.received_bytes(1)), [body]);
    room.pass(Duration::from_secs(120));
    let closing: Vec<_> = std::iter::from_fn(|| room.next_close()).collect();
    assert!(!closing.contains(&room.members[1].connection));
}

#[test]
fn a_listener_may_send_before_it_answers_the_binding_request() {
    let (mut room, dial) = with_listener(|_| {});
    room.members[1].connection = room.switch.connected(&dial, room.now).unwrap();
    let tid = asked(&mut room);
    let body = room.to_room(1, "first");
    let message = room.message(1, "m1", &body);
    room.send(1, &message);
    answer(&mut room, &tid, "200 OK");
    assert_eq!(bodies(&room.received_bytes(0)), [body]);
    let session = room.members[1].session;
    assert_eq!(room.events.iter().filter(|event| **event == Event::SessionBound { session }).count(), 1);
}

#[test]
fn a_listener_that_is_unreachable_refuses_or_does_not_answer_loses_its_session() {
    let (mut room, dial) = with_listener(|_| {});
    room.switch.connect_failed(&dial, room.now);
    room.pass(Duration::ZERO);
    assert!(ended(&room, EndReason::Unreachable));

    let (mut room, dial) = with_listener(|_| {});
    room.members[1].connection = room.switch.connected(&dial, room.now).unwrap();
    let tid = asked(&mut room);
    answer(&mut room, &tid, "481 No");
    assert!(ended(&room, EndReason::BindRefused));
    assert_eq!(room.next_close(), Some(room.members[1].connection));

    let (mut room, dial) = with_listener(|_| {});
    room.members[1].connection = room.switch.connected(&dial, room.now).unwrap();
    room.close(1);
    assert!(ended(&room, EndReason::Unreachable));

    let (mut room, dial) = with_listener(|_| {});
    room.members[1].connection = room.switch.connected(&dial, room.now).unwrap();
    room.pass(Duration::from_secs(31));
    assert!(ended(&room, EndReason::BindTimeout));
}

#[test]
fn a_path_that_changes_while_it_is_connected_to_is_connected_to_anew() {
    let (mut room, dial) = with_listener(|_| {});
    let session = room.members[1].session;
    let mut moved = room.terms(1);
    let to = Outward { address: "192.0.2.8:1".parse().unwrap(), name: "192.0.2.8".into() };
    moved.connect_to = Some(Box::new(to));
    room.control(Command::ChangeSession { session, terms: Box::new(moved) });
    assert!(room.switch.connected(&dial, room.now).is_none(), "nobody wants that one any more");
    let again = room.next_dial().unwrap();
    assert_eq!(again.address.to_string(), "192.0.2.8:1");
    room.control(Command::CloseSession { session });
    assert!(room.switch.connected(&again, room.now).is_none());
}

#[test]
fn over_tls_whom_we_connect_to_has_to_show_the_right_certificate() {
    for (wanted, shown, good) in [
        (vec![], Some(certificate(1, true)), true),
        (vec![], Some(certificate(1, false)), false),
        (vec![], None, false),
        (vec![fingerprint(1)], Some(certificate(1, false)), true),
        (vec![fingerprint(2)], Some(certificate(1, true)), false),
    ] {
        let (mut room, dial) = with_listener(|terms| {
            over_tls(terms);
            terms.fingerprints = wanted.as_slice().into();
        });
        assert_eq!(dial.tls.as_deref(), Some("bob.example.com"));
        let connection = room.switch.connected(&dial, room.now).unwrap();
        room.members[1].connection = connection;
        assert_eq!(room.received(1), "", "nothing before the handshake");
        room.switch.handshake_done(connection, shown.clone(), room.now);
        room.pass(Duration::ZERO);
        if good {
            let tid = asked(&mut room);
            answer(&mut room, &tid, "200 OK");
            let session = room.members[1].session;
            assert!(room.events.contains(&Event::SessionBound { session }));
        } else {
            assert!(ended(&room, EndReason::Certificate), "{wanted:?} {shown:?}");
            assert_eq!(room.next_close(), Some(connection));
        }
    }
}

#[test]
fn a_certificate_other_than_negotiated_ends_the_session() {
    for (shown, good) in [(Some(certificate(1, false)), true), (Some(certificate(2, false)), false), (None, false)] {
        let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
        let bob = room.negotiate("bob", &Options::default());
        let mut terms = room.terms(bob);
        over_tls(&mut terms);
        terms.fingerprints = [fingerprint(1)].into();
        let session = room.members[bob].session;
        (room.members[bob].local, room.members[bob].remote) = (terms.local.to_string(), terms.remote.to_string());
        room.control(Command::ChangeSession { session, terms: Box::new(terms) });
        let connection = room.switch.adopt("192.0.2.7:1".parse().unwrap(), true, room.now);
        room.members[bob].connection = connection;
        room.switch.handshake_done(connection, shown.clone(), room.now);
        let bind = room.chunk(bob, "bind0000", "SEND", "Message-ID: b\r\nByte-Range: 1-0/0\r\n", None, '$');
        room.send(bob, &bind);
        assert_eq!(room.events.contains(&Event::SessionBound { session }), good, "{shown:?}");
        assert_eq!(ended(&room, EndReason::Certificate), !good, "{shown:?}");
    }
}

#[test]
fn sessions_bind_only_on_connections_of_their_security() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice"]);
    let bob = room.negotiate("bob", &Options::default());
    let bind = |room: &mut Fixture| {
        let bind = room.chunk(bob, "bind0000", "SEND", "Message-ID: b\r\nByte-Range: 1-0/0\r\n", None, '$');
        room.send(bob, &bind);
        room.answer(bob, "bind0000")
    };
    let (plain, secure) = (room.connect(), room.switch.adopt("192.0.2.7:1".parse().unwrap(), true, room.now));
    room.members[bob].connection = secure;
    assert_eq!(bind(&mut room), Some(481));
    let mut terms = room.terms(bob);
    over_tls(&mut terms);
    let session = room.members[bob].session;
    (room.members[bob].local, room.members[bob].remote) = (terms.local.to_string(), terms.remote.to_string());
    room.control(Command::ChangeSession { session, terms: Box::new(terms) });
    room.members[bob].connection = plain;
    assert_eq!(bind(&mut room), Some(481));
    room.members[bob].connection = secure;
    assert_eq!(bind(&mut room), Some(200));
}

#[test]
fn who_is_on_hold_sends_no_messages_and_reports_all_the_same() {
    let mut room = Fixture::new(RoomPolicy::default(), &["alice", "bob"]);
    let session = room.members[0].session;
    let mut held = room.terms(0);
    held.direction.sends = false;
    room.control(Command::ChangeSession { session, terms: Box::new(held.clone()) });
    let body = room.to_room(0, "psst");
    let message = room.message(0, "m1", &body);
    room.send(0, &message);
    assert_eq!((room.answer(0, "tidm1"), room.received(1)), (Some(403), String::new()));
    let long = room.to_room(0, &"x".repeat(3000));
    let first = room.chunk(
        0,
        "tidm2a",
        "SEND",
        "Message-ID: m2\r\nByte-Range: 1-*/4000\r\nContent-Type: message/cpim\r\n",
        Some(&long),
        '+',
    );
    room.send(0, &first);
    assert_eq!(room.answer(0, "tidm2a"), Some(403), "in pieces no more than whole");
    let report = body.replace("text/plain", "message/imdn+xml");
    let message = room.message(0, "m3", &report);
    room.send(0, &message);
    assert_eq!((room.answer(0, "tidm3"), bodies(&room.received_bytes(1))), (Some(200), vec![report]));
    held.direction.sends = true;
    room.control(Command::ChangeSession { session, terms: Box::new(held) });
    let message = room.message(0, "m4", &body);
    room.send(0, &message);
    assert_eq!((room.answer(0, "tidm4"), bodies(&room.received_bytes(1))), (Some(200), vec![body]));
}
