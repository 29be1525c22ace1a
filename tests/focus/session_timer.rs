use std::time::Duration;

use parlor::focus::Settings;
use parlor_proto::sip::{HeaderName, Method, Request, text};

use crate::world::{Peer, World, body, header, settings};

const SUPPORTS: &str = "Supported: timer\r\nAllow: INVITE, ACK, BYE, UPDATE\r\n";

/// A call whose INVITE had these header lines.
fn called(world: &mut World, extra: &str) -> Peer {
    let mut peer = Peer::new("ann", "lobby").over_tcp();
    peer.extra = extra.into();
    peer.join(world);
    peer
}

fn of(request: &Request, name: HeaderName) -> String {
    text(&request.headers, &name).unwrap_or_default()
}

fn body_of(request: &Request) -> String {
    String::from_utf8(request.body().to_vec()).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_200_says_who_refreshes_and_how_often() {
    for (extra, expires, require) in [
        ("", "", ""),
        (SUPPORTS, "1800;refresher=uac", "timer"),
        ("Supported: timer\r\nSession-Expires: 600;refresher=uas\r\n", "600;refresher=uas", "timer"),
        ("x: 600\r\n", "600;refresher=uas", ""),
    ] {
        let mut world = World::new();
        called(&mut world, extra);
        let response = world.last_response();
        assert_eq!(header(response, HeaderName::SessionExpires), expires, "{extra}");
        assert_eq!(header(response, HeaderName::Require), require, "{extra}");
        assert_eq!(header(response, HeaderName::Supported), "timer, norefersub, recipient-list-invite");
    }
}

#[test]
fn an_interval_that_is_too_short_is_422_in_every_request_that_refreshes() {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    ann.extra = "Supported: timer\r\nSession-Expires: 60\r\n".into();
    let offer = ann.offer();
    ann.send(&mut world, "INVITE", &offer);
    assert_eq!((world.last_status(), world.focus.counts().calls), (422, 0));
    assert_eq!(header(world.last_response(), HeaderName::MinSe), "90");
    ann.extra = String::new();
    ann.join(&mut world);
    ann.extra = "Supported: timer\r\nSession-Expires: 89\r\n".into();
    for (method, body) in [("INVITE", offer.as_str()), ("UPDATE", "")] {
        ann.send(&mut world, method, body);
        assert_eq!((world.last_status(), world.focus.counts().calls), (422, 1), "{method}");
    }
}

#[test]
fn without_timers_none_are_told_of_and_none_can_be_required() {
    let mut world = World::with(Settings { session_expires: Duration::ZERO, ..settings() });
    called(&mut world, "Supported: timer\r\nSession-Expires: 600\r\n");
    assert_eq!(header(world.last_response(), HeaderName::SessionExpires), "");
    assert_eq!(header(world.last_response(), HeaderName::Supported), "norefersub, recipient-list-invite");
    let mut bob = Peer::new("bob", "lobby");
    bob.extra = "Require: timer\r\n".into();
    bob.send(&mut world, "OPTIONS", "");
    assert_eq!(world.last_status(), 420);
    let mut world = World::new();
    bob.send(&mut world, "OPTIONS", "");
    assert_eq!(world.last_status(), 200);
}

#[test]
fn a_session_that_its_peer_does_not_refresh_ends_a_little_early() {
    let mut world = World::new();
    let mut ann = called(&mut world, "Supported: timer\r\nSession-Expires: 600\r\n");
    world.advance(seconds(560));
    assert!(world.requests().is_empty());
    ann.extra = "Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n".into();
    ann.send(&mut world, "UPDATE", "");
    assert_eq!(header(world.last_response(), HeaderName::SessionExpires), "600;refresher=uac");
    world.advance(seconds(567));
    assert!(world.requests().is_empty(), "the refresh counts from when it came");
    world.advance(seconds(2));
    let (_, bye) = world.requests().pop().expect("a BYE");
    assert!(of(&bye, HeaderName::Reason).contains("expired"));
    assert!(world.command_names().ends_with(&["suspend session", "close room"]));
}

#[test]
fn we_refresh_by_update_at_half_time_where_the_peer_takes_it() {
    let mut world = World::new();
    let ann = called(&mut world, &format!("{SUPPORTS}Session-Expires: 600;refresher=uas\r\nMin-SE: 100\r\n"));
    world.advance(seconds(299));
    assert!(world.requests().is_empty());
    world.advance(seconds(2));
    let (_, update) = world.requests().pop().expect("an UPDATE");
    assert_eq!((update.method.clone(), update.body().len()), (Method::Update, 0));
    assert_eq!(of(&update, HeaderName::SessionExpires), "600;refresher=uac");
    assert_eq!(of(&update, HeaderName::MinSe), "100");
    assert_eq!(of(&update, HeaderName::Supported), "timer, norefersub, recipient-list-invite");
    assert_eq!(of(&update, HeaderName::Require), "", "it is never required of the peer");
    ann.respond(&mut world, 200, "Session-Expires: 600;refresher=uac\r\nRequire: timer\r\n", "");
    world.advance(seconds(301));
    assert_eq!(world.requests().len(), 2, "and again");
    ann.respond(&mut world, 200, "", "");
    world.advance(seconds(4000));
    assert_eq!((world.requests().len(), world.focus.counts().calls), (2, 1), "a 2xx without it ends the timer");
}

#[test]
fn else_we_refresh_by_reinvite_with_an_offer_that_changes_nothing() {
    let mut world = World::new();
    let mut ann = called(&mut world, "Supported: timer\r\nSession-Expires: 600;refresher=uas\r\n");
    let described = body(world.last_response());
    world.forget();
    world.advance(seconds(300));
    let (_, invite) = world.requests().pop().expect("an INVITE");
    let offered = described.replace("a=setup:passive", "a=setup:actpass").replacen(" 1 IN", " 2 IN", 1);
    assert_eq!((invite.method.clone(), body_of(&invite)), (Method::Invite, offered));
    // Glare: neither an INVITE nor an offer in an UPDATE can be taken now.
    let offer = ann.offer();
    ann.extra = String::new();
    ann.send(&mut world, "INVITE", &offer);
    ann.send(&mut world, "ACK", "");
    ann.send(&mut world, "UPDATE", &offer);
    assert_eq!(world.statuses(), [491, 491]);
    let answer = "Session-Expires: 600;refresher=uac\r\nContact: <sip:ann@192.0.2.99>\r\n";
    ann.respond_to(&mut world, &invite, 200, answer, &offer);
    ann.respond_to(&mut world, &invite, 200, answer, &offer);
    let acks: Vec<Request> =
        world.requests().into_iter().map(|(_, ack)| ack).filter(|ack| ack.method == Method::Ack).collect();
    assert_eq!(acks.len(), 2, "a 200 that comes again wants its ACK again");
    assert!(of(&acks[1], HeaderName::CSeq).starts_with(&of(&invite, HeaderName::CSeq).replace("INVITE", "")));
    assert_eq!(world.command_names(), Vec::<&str>::new(), "nothing has changed");
    world.advance(seconds(40));
    ann.send(&mut world, "UPDATE", &offer);
    assert_eq!(world.last_status(), 200);
    assert_eq!(world.focus.counts().calls, 1);
}

#[test]
fn a_refresh_that_is_481_or_408_or_not_answered_ends_the_call() {
    for status in [481, 408, 0] {
        let mut world = World::new();
        let ann = called(&mut world, &format!("{SUPPORTS}Session-Expires: 600;refresher=uas\r\n"));
        world.advance(seconds(301));
        match status {
            0 => world.advance(seconds(33)),
            status => ann.respond(&mut world, status, "", ""),
        }
        let (_, bye) = world.requests().pop().unwrap();
        assert_eq!(bye.method, Method::Bye, "{status}");
        assert_eq!(world.focus.counts().calls, 0);
    }
}

#[test]
fn a_refusal_of_a_refresh_is_met_with_what_it_asks_for() {
    let mut world = World::new();
    let ann = called(&mut world, &format!("{SUPPORTS}Session-Expires: 600;refresher=uas\r\n"));
    world.advance(seconds(301));
    ann.respond(&mut world, 422, "Min-SE: 3600\r\n", "");
    world.advance(seconds(1));
    let (_, again) = world.requests().pop().unwrap();
    assert_eq!(of(&again, HeaderName::SessionExpires), "3600;refresher=uac");
    assert_eq!(of(&again, HeaderName::MinSe), "3600");
    ann.respond(&mut world, 491, "", "");
    world.advance(seconds(3));
    assert_eq!(world.requests().len(), 3);
    ann.respond(&mut world, 501, "", "");
    world.advance(seconds(1));
    let (_, invite) = world.requests().pop().unwrap();
    assert_eq!(invite.method, Method::Invite, "who does not know UPDATE after all gets a re-INVITE");
    ann.respond(&mut world, 500, "Retry-After: 20\r\n", "");
    world.advance(seconds(19));
    assert_eq!(world.requests().iter().filter(|(_, request)| request.method != Method::Ack).count(), 4);
    world.advance(seconds(2));
    assert_eq!(world.requests().iter().filter(|(_, request)| request.method != Method::Ack).count(), 5);
    ann.respond(&mut world, 488, "", "");
    world.advance(seconds(300));
    let (_, last) = world.requests().pop().unwrap();
    assert_eq!((last.method, world.focus.counts().calls), (Method::Bye, 0), "only a 2xx makes it last");
}

#[test]
fn a_call_that_has_ended_is_not_refreshed() {
    let mut world = World::new();
    let mut ann = called(&mut world, "Supported: timer\r\nSession-Expires: 600;refresher=uas\r\n");
    ann.send(&mut world, "BYE", "");
    world.advance(seconds(1000));
    assert!(world.requests().is_empty());
    assert_eq!(world.focus.poll_timeout(), None);
}
