use parlor::facts::Event;
use parlor_proto::sip::{HeaderName, Method, Request, text};

use crate::watcher::Watcher;
use crate::world::{Peer, World, header};

fn world(moderators: &[&str]) -> World {
    let moderators: Vec<String> = moderators.iter().map(|name| (*name).to_owned()).collect();
    World::with_policy(|policy| policy.moderators = moderators)
}

fn list(entries: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\" \
         xmlns:cp=\"urn:ietf:params:xml:ns:copycontrol\"><list>{entries}</list></resource-lists>"
    )
}

/// An INVITE of ann's with a description, where there is one, and a list beside it.
fn invite(world: &mut World, offer: &str, extra: &str, list: &str) -> Peer {
    let mut ann = Peer::new("ann", "lobby");
    let described = if offer.is_empty() {
        String::new()
    } else {
        format!("--b\r\nContent-Type: application/sdp\r\n\r\n{offer}\r\n")
    };
    let body = format!(
        "{described}--b\r\nContent-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list\r\n\r\n{list}\r\n--b--\r\n"
    );
    ann.extra = extra.into();
    let invite = ann
        .request("INVITE", &body)
        .replace("application/sdp\r\nContent-Length", "multipart/mixed;boundary=b\r\nContent-Length");
    ann.extra = String::new();
    world.deliver(&invite, ann.hop());
    ann
}

fn called(world: &World) -> Vec<String> {
    world.requests_of(Method::Invite).iter().map(|invite| invite.uri.to_string()).collect()
}

fn of(request: &Request, name: HeaderName) -> String {
    text(&request.headers, &name).unwrap_or_default()
}

fn offer() -> String {
    Peer::new("ann", "lobby").offer()
}

const REQUIRED: &str = "Require: recipient-list-invite\r\n";
const TWO: &str = "<entry uri=\"sip:bill@192.0.2.8\" cp:copyControl=\"to\"/><entry uri=\"sip:ted@192.0.2.9\" cp:copyControl=\"bcc\"/>";

#[test]
fn listed_users_are_invited_when_the_caller_has_joined() {
    let mut world = world(&["creator"]);
    world.shards_answer = false;
    invite(&mut world, &offer(), REQUIRED, &list(TWO));
    assert!(called(&world).is_empty());
    let (shard, session) = (world.opened()[0].session.shard, world.opened()[0].session);
    world.shards_answer = true;
    world.event(shard, Event::SessionReady { session });
    assert_eq!(world.last_status(), 200);
    assert_eq!(called(&world), ["sip:bill@192.0.2.8", "sip:ted@192.0.2.9"]);
}

#[test]
fn an_entry_is_called_by_as_much_of_its_uri_as_may_be_a_request_uri() {
    for tail in ["?Subject=hi", "?Subject=hi&amp;X=y", "?method=INVITE", ";method=INVITE", ";method=INVITE?X=y"] {
        let mut world = world(&["creator"]);
        let entry = format!("<entry uri=\"sip:bill@192.0.2.8{tail}\"/>");
        invite(&mut world, &offer(), REQUIRED, &list(&entry));
        assert_eq!(called(&world), ["sip:bill@192.0.2.8"], "{tail}");
    }
}

#[test]
fn invited_users_see_the_list_as_far_as_they_may() {
    let mut world = world(&["creator"]);
    invite(&mut world, &offer(), REQUIRED, &list(TWO));
    let invites = world.requests_of(Method::Invite);
    let body = String::from_utf8(invites[0].body().to_vec()).unwrap();
    assert!(of(&invites[0], HeaderName::ContentType).starts_with("multipart/mixed;boundary="));
    assert!(body.contains("Content-Disposition: recipient-list-history; handling=optional\r\n"));
    assert!(body.contains("sip:bill@192.0.2.8") && !body.contains("ted") && body.contains("a=setup:actpass"));
    assert_eq!(of(&invites[1], HeaderName::ContentType), "application/sdp", "who is not to be named sees nobody");
}

#[test]
fn a_client_that_refuses_multipart_gets_one_part() {
    let mut world = world(&["creator"]);
    invite(&mut world, &offer(), REQUIRED, &list(TWO));
    let first = world.requests_of(Method::Invite).remove(0);
    Peer::new("bill", "lobby").respond_to(&mut world, &first, 415, "", "");
    let again = world.requests_of(Method::Invite).pop().unwrap();
    assert_eq!(
        (again.uri.to_string(), of(&again, HeaderName::ContentType)),
        (first.uri.to_string(), "application/sdp".into())
    );
    assert_eq!(of(&again, HeaderName::CSeq), "2 INVITE");
}

#[test]
fn without_an_offer_listed_users_are_invited_after_the_answer() {
    let mut world = world(&["creator"]);
    let mut ann = invite(&mut world, "", REQUIRED, &list(TWO));
    assert_eq!((world.last_status(), called(&world).len()), (200, 0));
    ann.learn(&world);
    let answer = ann.offer();
    ann.send(&mut world, "ACK", &answer);
    assert_eq!(called(&world).len(), 2);
}

#[test]
fn a_session_that_is_ready_after_its_call_has_left_joins_and_invites_nobody() {
    let mut world = world(&["creator"]);
    let mut ann = invite(&mut world, "", REQUIRED, &list(TWO));
    ann.learn(&world);
    world.join("bob", "lobby");
    world.shards_answer = false;
    let answer = ann.offer();
    ann.send(&mut world, "ACK", &answer);
    let session = world.opened().last().unwrap().session;
    // Her refresh is answered, and her BYE waits for the ACK of that.
    ann.send(&mut world, "INVITE", "");
    assert_eq!(world.last_status(), 200);
    ann.extra = "Refer-To: <sip:ann@home.example;method=BYE>\r\nRefer-Sub: false\r\n".into();
    ann.send(&mut world, "REFER", "");
    assert_eq!((world.last_status(), world.focus.counts().calls), (202, 2));
    assert!(world.command_names().ends_with(&["suspend session"]), "{:?}", world.command_names());
    world.shards_answer = true;
    world.event(session.shard, Event::SessionReady { session });
    assert_eq!(called(&world), [""; 0]);
    let watcher = Watcher::watching("bob", "lobby", &mut world);
    assert_eq!(watcher.roster.keys().collect::<Vec<_>>(), ["sip:bob@home.example"]);
}

#[test]
fn a_list_of_a_user_who_may_not_invite_has_no_effect() {
    for moderators in [&[][..], &["sip:op@home.example"]] {
        let mut world = world(moderators);
        invite(&mut world, &offer(), REQUIRED, &list(TWO));
        assert_eq!((world.last_status(), called(&world).len(), world.focus.counts().calls), (403, 0, 0));
        let mut world =
            World::with_policy(|policy| policy.moderators = moderators.iter().map(|m| (*m).to_owned()).collect());
        invite(&mut world, &offer(), "", &list(TWO));
        assert_eq!((world.last_status(), called(&world).len()), (200, 0), "what is not required is not done");
    }
    let mut world = world(&["creator"]);
    world.join("bob", "lobby");
    invite(&mut world, &offer(), REQUIRED, &list(TWO));
    assert_eq!(world.last_status(), 403, "bob has made the room");
}

#[test]
fn oneself_those_who_are_there_and_those_named_twice_are_not_called_again() {
    let mut world = world(&["*"]);
    world.join("bob", "lobby");
    let entries = "<entry uri=\"sip:ann@home.example\"/><entry uri=\"sip:bob@home.example\"/><entry uri=\"sip:bill@192.0.2.8\"/>\
        <entry uri=\"sip:bill@192.0.2.8;transport=tcp\"/><entry uri=\"nonsense\"/><entry uri=\"sip:lobby@chat.example\"/>";
    invite(&mut world, &offer(), REQUIRED, &list(entries));
    assert_eq!((world.statuses().pop(), called(&world)), (Some(200), vec!["sip:bill@192.0.2.8".to_owned()]));
}

#[test]
fn a_list_that_cannot_be_taken_is_refused() {
    let long = list(&"<entry uri=\"sip:x@192.0.2.8\"/>".repeat(101));
    for (list, status) in [("<x/>", 400), ("", 400), (long.as_str(), 413)] {
        let mut world = world(&["creator"]);
        invite(&mut world, &offer(), REQUIRED, list);
        assert_eq!((world.last_status(), world.focus.counts().calls), (status, 0));
    }
    let mut world = world(&["creator"]);
    let mut ann = Peer::new("ann", "lobby");
    ann.extra = REQUIRED.into();
    let offer = ann.offer();
    ann.send(&mut world, "INVITE", &offer);
    assert_eq!(world.last_status(), 400, "a list was announced, and there is none");
}

#[test]
fn within_a_call_a_list_has_no_meaning() {
    let mut world = world(&["creator"]);
    let mut ann = world.join("ann", "lobby");
    ann.extra = REQUIRED.into();
    let offer = ann.offer();
    ann.send(&mut world, "INVITE", &offer);
    assert_eq!(
        (world.last_status(), header(world.last_response(), HeaderName::Unsupported).as_str()),
        (420, "recipient-list-invite")
    );
}

#[test]
fn unanswered_invitations_of_a_list_end_with_the_call() {
    let mut world = world(&["creator"]);
    let mut ann = invite(&mut world, &offer(), REQUIRED, &list(TWO));
    ann.to_tag = header(world.last_response(), HeaderName::To).split_once(";tag=").map(|(_, tag)| tag.to_owned());
    ann.send(&mut world, "ACK", "");
    for invite in world.requests_of(Method::Invite) {
        Peer::new("bill", "lobby").respond_to(&mut world, &invite, 180, "", "");
    }
    ann.send(&mut world, "BYE", "");
    assert_eq!(world.requests_of(Method::Cancel).len(), 2);
}

#[test]
fn options_tell_of_it() {
    let mut world = World::new();
    Peer::new("ann", "lobby").send(&mut world, "OPTIONS", "");
    assert!(header(world.last_response(), HeaderName::Supported).contains("recipient-list-invite"));
}
