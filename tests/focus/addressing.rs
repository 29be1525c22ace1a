//! What requests of ours are addressed to, whatever the URIs of a peer hold (RFC 3261 §12.1.1, §12.2.1.1, §19.1.1).

use parlor::facts::{EndReason, Event};
use parlor::focus::Settings;
use parlor_proto::sip::{HeaderName, Method, Request, Transport, text_rows, uri};

use crate::world::{Peer, World, header, offer, policy, settings};

/// A call whose INVITE had this in place of its Contact, and these rows.
fn called(world: &mut World, contact: &str, rows: &str) -> Peer {
    let mut peer = Peer::new("ann", "lobby").over_tcp();
    peer.extra = rows.into();
    let offer = peer.offer();
    let request = peer.request("INVITE", &offer).replace(&format!("<sip:ann@{}>", peer.at), contact);
    world.deliver(&request, peer.hop());
    peer.learn(world);
    assert_eq!(world.last_status(), 200, "{request}");
    peer.send(world, "ACK", "");
    peer
}

fn hang_up(world: &mut World, peer: &Peer) -> Request {
    let (shard, session) = peer.session.unwrap();
    world.event(shard, Event::SessionEnded { session, why: EndReason::ConnectionLost });
    world.requests_of(Method::Bye).remove(0)
}

fn routes(request: &Request) -> Vec<String> {
    text_rows(&request.headers, &HeaderName::Route)
}

const FULL: &str = "<sip:ann@192.0.2.77:5070;transport=tcp;method=INVITE;ttl=3;ob?Subject=hi&Route=x>";
const BARE: &str = "sip:ann@192.0.2.77:5070;transport=tcp;ob";

#[test]
fn headers_and_method_of_a_contact_are_left_out_of_requests() {
    let mut world = World::new();
    let ann = called(&mut world, FULL, "");
    let bye = hang_up(&mut world, &ann);
    assert_eq!((bye.uri.to_string(), routes(&bye)), (BARE.to_owned(), vec![]));

    let mut world = World::new();
    let mut ann = called(&mut world, "<sip:ann@192.0.2.77:5071>", "Record-Route: <sip:192.0.2.200;lr?x=y>\r\n");
    let offer = ann.offer();
    let again = ann.request("INVITE", &offer).replace(&format!("<sip:ann@{}>", ann.at), FULL);
    world.deliver(&again, ann.hop());
    ann.send(&mut world, "ACK", "");
    let bye = hang_up(&mut world, &ann);
    assert_eq!((bye.uri.to_string(), routes(&bye)), (BARE.to_owned(), vec!["<sip:192.0.2.200;lr>".to_owned()]));
}

#[test]
fn a_strict_router_gets_neither_in_the_request_uri_nor_in_route_what_may_not_stand_there() {
    let rows = "Record-Route: <sip:192.0.2.200;method=BYE;x=1?a=b>, <sip:far.example;lr;method=BYE?a=b>\r\n";
    let mut world = World::new();
    let ann = called(&mut world, FULL, rows);
    let bye = hang_up(&mut world, &ann);
    assert_eq!(bye.uri.to_string(), "sip:192.0.2.200;x=1");
    assert_eq!(routes(&bye), ["<sip:far.example;lr>".to_owned(), format!("<{BARE}>")]);
}

#[test]
fn a_subscriber_is_notified_at_as_much_of_its_contact_as_may_be_asked() {
    let mut world = World::new();
    world.join("ann", "lobby");
    let mut ann = Peer::new("watch", "lobby").over_tcp();
    ann.from = "<sip:ann@home.example>;tag=watch".into();
    ann.extra = "Event: conference\r\n".into();
    let request = ann.request("SUBSCRIBE", "").replace(&format!("<sip:watch@{}>", ann.at), FULL);
    world.deliver(&request, ann.hop());
    assert_eq!(world.last_status(), 200);
    assert_eq!(world.requests_of(Method::Notify).remove(0).uri.to_string(), BARE);
}

/// A world whose rooms are moderated by whoever made them, with ann in the lobby, who has somebody called.
fn referred(to: &str, proxy: Option<&str>) -> World {
    let mut settings = settings();
    settings.rooms = policy(|policy| policy.moderators = vec!["creator".into()]);
    settings.outbound_proxy = proxy.and_then(uri);
    let mut world = World::with(settings);
    let mut ann = Peer::new("ann", "lobby").over_tcp();
    ann.join(&mut world);
    world.forget();
    ann.extra = format!("Refer-To: <{to}>\r\nRefer-Sub: false\r\n");
    ann.send(&mut world, "REFER", "");
    world
}

#[test]
fn an_invitation_and_its_bye_leave_out_foreign_uri_parts() {
    let mut world = referred("sip:carol@192.0.2.9:5099;method=INVITE?Subject=hi&X-Y=z", None);
    let invite = world.requests_of(Method::Invite).remove(0);
    assert_eq!(invite.uri.to_string(), "sip:carol@192.0.2.9:5099");
    let contact = "Contact: <sip:carol@192.0.2.9:5098;method=BYE?Subject=ho>\r\n";
    let carol = Peer::new("carol", "lobby");
    carol.respond_to(&mut world, &invite, 200, contact, &offer("msrp://192.0.2.9:7/c;tcp"));
    assert_eq!(world.requests_of(Method::Ack).remove(0).uri.to_string(), "sip:carol@192.0.2.9:5098");
}

#[test]
fn a_strict_proxy_takes_the_place_of_the_target() {
    let world = referred("sip:carol@far.example", Some("sip:192.0.2.200?x=y"));
    let (hop, invite) = world.requests().pop().unwrap();
    assert_eq!(hop.remote.to_string(), "192.0.2.200:5060");
    assert_eq!(invite.uri.to_string(), "sip:192.0.2.200");
    assert_eq!(routes(&invite), ["<sip:carol@far.example>"]);
}

/// A focus that listens with TLS too.
fn with_sips() -> Settings {
    let mut settings = settings();
    let rest = ["192.0.2.2:5061", "192.0.2.1:5062", "[2001:db8::1]:5063"];
    settings.listen.extend(rest.map(|at| (Transport::Tls, at.parse().unwrap())));
    settings
}

/// A request of ann, whose Contact is this, and the status and Contact of its answer.
fn answered(world: &mut World, method: &str, target: &str, contact: &str, rows: &str) -> (u16, String) {
    let mut ann = Peer::new("ann", "lobby");
    (ann.extra, ann.target) = (rows.into(), target.into());
    let body = if method == "INVITE" { ann.offer() } else { String::new() };
    let request = ann.request(method, &body).replace(&format!("<sip:ann@{}>", ann.at), contact);
    world.deliver(&request, ann.hop());
    let contact = header(world.last_response(), HeaderName::Contact);
    (world.last_status(), contact.split('>').next().unwrap().to_owned())
}

const ROOM: &str = "sip:lobby@chat.example";
const SIPS: &str = "<sips:lobby@192.0.2.1:5062";
const SIP: &str = "<sip:lobby@192.0.2.1:5060";

#[test]
fn our_contact_is_a_sips_uri_where_request_route_or_contact_is_and_one_that_is_served() {
    let (plain, secure) = ("<sip:ann@192.0.2.77>", "<sips:ann@192.0.2.77>");
    for (target, contact, rows, ours) in [
        (ROOM, plain, "", SIP),
        ("sips:lobby@chat.example", plain, "", SIPS),
        (ROOM, secure, "", SIPS),
        (ROOM, plain, "Record-Route: <sips:p.example;lr>\r\n", SIPS),
        (ROOM, plain, "Record-Route: <SIPS:p.example;lr>, <sip:q.example;lr>\r\n", SIPS),
        (ROOM, secure, "Record-Route: <sip:p.example;lr>, <sips:q.example;lr>\r\n", SIP),
        (ROOM, plain, "Record-Route: <sip:p.example;lr;transport=tls>\r\n", SIP),
    ] {
        let found = answered(&mut World::with(with_sips()), "INVITE", target, contact, rows);
        assert_eq!(found, (200, ours.to_owned()), "{target} {contact} {rows}");
    }
}

#[test]
fn every_dialog_and_every_answer_about_one_has_the_same_kind_of_contact() {
    let rows = "Record-Route: <sips:p.example;lr>\r\n";
    let settings = Settings { rooms: policy(|policy| policy.moderators = vec!["sip:ann@*".into()]), ..with_sips() };
    for (method, more, status) in
        [("SUBSCRIBE", "Event: conference\r\n", 200), ("REFER", "Refer-To: <sip:carol@192.0.2.9>\r\n", 202)]
    {
        let mut world = World::with(settings.clone());
        world.join("ann", "lobby");
        let found = answered(&mut world, method, ROOM, "<sip:ann@192.0.2.77>", &format!("{rows}{more}"));
        assert_eq!(found, (status, SIPS.to_owned()), "{method}");
    }
    let mut world = World::with(settings);
    let ann = called(&mut world, "<sip:ann@192.0.2.77>", rows);
    let hop = ann.hop();
    let mut ann = ann;
    for method in ["UPDATE", "OPTIONS"] {
        ann.extra.clear();
        ann.send(&mut world, method, "");
        assert!(header(world.last_response(), HeaderName::Contact).starts_with(SIPS), "{method} over {hop:?}");
    }
    ann.extra = "Refer-To: <sip:carol@192.0.2.9>\r\n".into();
    ann.send(&mut world, "REFER", "");
    assert!(header(world.last_response(), HeaderName::Contact).starts_with(SIPS));
}

#[test]
fn where_nobody_listens_with_tls_what_asks_for_a_sips_contact_is_480() {
    for (method, more) in [("INVITE", ""), ("SUBSCRIBE", "Event: conference\r\n")] {
        let rows = format!("Record-Route: <sips:p.example;lr>\r\n{more}");
        let mut world = World::new();
        let (status, contact) = answered(&mut world, method, ROOM, "<sip:ann@192.0.2.77>", &rows);
        assert_eq!((status, contact.as_str()), (480, ""), "{method}");
        assert_eq!(header(world.last_response(), HeaderName::Warning), "380 parlor \"SIPS Not Allowed\"");
        assert_eq!((world.command_names(), world.focus.counts().calls), (vec![], 0));
    }
    let (status, _) = answered(&mut World::new(), "OPTIONS", "sips:lobby@chat.example", "<sip:ann@192.0.2.77>", "");
    assert_eq!(status, 480, "as an INVITE would be");
}
