//! What requests of ours are addressed to, whatever the URIs of a peer hold (RFC 3261 §12.1.1, §12.2.1.1, §19.1.1).

use parlor::facts::{EndReason, Event};
use parlor::sip::{HeaderName, Method, Request, text_rows, uri};

use crate::world::{Peer, World, offer, policy, settings};

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
    world.asked(Method::Bye).remove(0)
}

fn routes(request: &Request) -> Vec<String> {
    text_rows(&request.headers, &HeaderName::Route)
}

const FULL: &str = "<sip:ann@192.0.2.77:5070;transport=tcp;method=INVITE;ttl=3;ob?Subject=hi&Route=x>";
const BARE: &str = "sip:ann@192.0.2.77:5070;transport=tcp;ob";

#[test]
fn the_headers_and_the_method_of_a_contact_are_in_no_request() {
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
    assert_eq!(world.asked(Method::Notify).remove(0).uri.to_string(), BARE);
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
fn who_is_called_is_called_and_hung_up_on_without_what_was_meant_for_others() {
    let mut world = referred("sip:carol@192.0.2.9:5099;method=INVITE?Subject=hi&X-Y=z", None);
    let invite = world.asked(Method::Invite).remove(0);
    assert_eq!(invite.uri.to_string(), "sip:carol@192.0.2.9:5099");
    let contact = "Contact: <sip:carol@192.0.2.9:5098;method=BYE?Subject=ho>\r\n";
    let carol = Peer::new("carol", "lobby");
    carol.respond_to(&mut world, &invite, 200, contact, &offer("msrp://192.0.2.9:7/c;tcp"));
    assert_eq!(world.asked(Method::Ack).remove(0).uri.to_string(), "sip:carol@192.0.2.9:5098");
}

#[test]
fn a_proxy_that_routes_strictly_takes_the_place_of_who_is_called() {
    let world = referred("sip:carol@far.example", Some("sip:192.0.2.200?x=y"));
    let (hop, invite) = world.requests().pop().unwrap();
    assert_eq!(hop.remote.to_string(), "192.0.2.200:5060");
    assert_eq!(invite.uri.to_string(), "sip:192.0.2.200");
    assert_eq!(routes(&invite), ["<sip:carol@far.example>"]);
}
