//! Calls that the focus makes over TLS.

use parlor::focus::Settings;
use parlor_proto::sip::{HeaderName, Hop, Method, Request, SipConnection, Transport, text, uri};

use crate::media::with_tls;
use crate::world::{Peer, World, offer, policy};

/// A focus that listens with TLS for SIP and MSRP, with ann in the lobby, who moderates it.
fn world(change: impl FnOnce(&mut Settings)) -> (World, Peer) {
    let mut settings = with_tls();
    settings.listen.push((Transport::Tls, "192.0.2.1:5061".parse().unwrap()));
    settings.rooms = policy(|policy| policy.moderators = vec!["creator".into()]);
    change(&mut settings);
    let mut world = World::with(settings);
    let mut ann = Peer::new("ann", "lobby").over_tcp();
    ann.join(&mut world);
    world.forget();
    (world, ann)
}

fn refer(world: &mut World, by: &mut Peer, to: &str) -> u16 {
    by.extra = format!("Refer-To: <{to}>\r\nRefer-Sub: false\r\n");
    by.send(world, "REFER", "");
    by.extra = String::new();
    world.last_status()
}

fn invite(world: &World) -> (Hop, Request) {
    world.requests().into_iter().rfind(|(_, request)| request.method == Method::Invite).expect("an INVITE")
}

fn of(request: &Request, name: HeaderName) -> String {
    text(&request.headers, &name).unwrap_or_default()
}

fn place(hop: Hop) -> (Transport, String) {
    (hop.transport, hop.remote.to_string())
}

#[test]
fn a_sips_uri_is_called_over_tls_as_is_one_that_asks_for_it() {
    for (target, at, contact) in [
        ("sips:carol@192.0.2.9", "192.0.2.9:5061", "<sips:lobby@192.0.2.1:5061>;"),
        ("sips:carol@192.0.2.9:5099;transport=tcp", "192.0.2.9:5099", "<sips:lobby@192.0.2.1:5061>;"),
        ("sip:carol@192.0.2.9;transport=TLS", "192.0.2.9:5061", "<sip:lobby@192.0.2.1:5061;transport=tls>;"),
    ] {
        let (mut world, mut ann) = world(|_| {});
        assert_eq!(refer(&mut world, &mut ann, target), 202, "{target}");
        let (hop, invite) = invite(&world);
        assert_eq!(place(hop), (Transport::Tls, at.to_owned()), "{target}");
        assert!(of(&invite, HeaderName::Via).starts_with("SIP/2.0/TLS 192.0.2.1:5061;"), "{target}");
        assert!(
            of(&invite, HeaderName::Contact).starts_with(contact),
            "{target} {:?}",
            of(&invite, HeaderName::Contact)
        );
        let offer = String::from_utf8(invite.body().to_vec()).unwrap();
        assert!(offer.contains(" TCP/TLS/MSRP *\r\n") && offer.contains("a=path:msrps:"), "{offer}");
    }
}

#[test]
fn names_have_the_port_of_tls() {
    let (mut world, mut ann) = world(|_| {});
    refer(&mut world, &mut ann, "sips:carol@far.example");
    let (query, name) = world.lookups.pop().unwrap();
    world.focus.handle_looked_up(query, &["192.0.2.66".parse().unwrap()], world.now);
    world.settle();
    let (hop, invite) = invite(&world);
    assert_eq!((name.as_str(), place(hop)), ("far.example", (Transport::Tls, "192.0.2.66:5061".to_owned())));
    assert_eq!(invite.uri.to_string(), "sips:carol@far.example", "the name that its certificate is to have");
}

#[test]
fn tls_calls_need_a_tls_listener() {
    let (mut world, mut ann) = world(|settings| settings.listen.retain(|(transport, _)| *transport != Transport::Tls));
    assert_eq!(refer(&mut world, &mut ann, "sips:carol@192.0.2.9"), 480);
    assert_eq!(refer(&mut world, &mut ann, "sip:carol@192.0.2.9;transport=tls"), 480);
    assert_eq!(refer(&mut world, &mut ann, "sips:carol@192.0.2.9;transport=udp"), 480);
    assert!(world.opened().is_empty());
}

#[test]
fn a_proxy_may_want_tls() {
    let (mut world, mut ann) = world(|settings| settings.outbound_proxy = uri("sips:192.0.2.200;lr"));
    refer(&mut world, &mut ann, "sip:carol@far.example");
    let (hop, invite) = invite(&world);
    assert_eq!(place(hop), (Transport::Tls, "192.0.2.200:5061".to_owned()));
    assert_eq!(of(&invite, HeaderName::Route), "<sips:192.0.2.200;lr>");
    assert!(of(&invite, HeaderName::Contact).starts_with("<sips:lobby@"), "RFC 3261 §8.1.1.8");
}

#[test]
fn a_sips_invitation_does_not_use_a_call_without_tls() {
    let (mut world, mut ann) = world(|_| {});
    let mut bob = Peer::new("bob", "kitchen").over_tcp();
    bob.from = "<sip:bob@192.0.2.9>;tag=b".into();
    bob.join(&mut world);
    refer(&mut world, &mut ann, "sips:bob@192.0.2.9");
    assert_eq!(place(invite(&world).0), (Transport::Tls, "192.0.2.9:5061".to_owned()));
}

#[test]
fn what_follows_stays_on_the_connection_unless_it_is_for_another_place() {
    for (contact, stays) in [
        ("sip:carol@192.0.2.9:5061;transport=tls", true),
        ("sips:carol@pc.example", true),
        ("sips:carol@192.0.2.10", false),
    ] {
        let (mut world, mut ann) = world(|_| {});
        refer(&mut world, &mut ann, "sips:carol@192.0.2.9");
        let (_, invite) = invite(&world);
        let mut carol = Peer::new("carol", "lobby").over_tcp();
        (carol.transport, carol.at) = (Transport::Tls, "192.0.2.9:5061".parse().unwrap());
        let sdp = offer("msrps://192.0.2.9:7/c;tcp").replace("TCP/MSRP", "TCP/TLS/MSRP");
        carol.respond_to(&mut world, &invite, 200, &format!("Contact: <{contact}>\r\n"), &sdp);
        let (hop, ack) = world.requests().pop().unwrap();
        assert_eq!((ack.method, hop.transport), (Method::Ack, Transport::Tls));
        let expected = stays.then_some(SipConnection(5061));
        assert_eq!((hop.connection, hop.remote.ip().to_string() == "192.0.2.9"), (expected, stays), "{contact}");
    }
}
