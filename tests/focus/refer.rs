use std::time::Duration;

use parlor::facts::Delete;
use parlor_proto::sip::{HeaderName, Hop, Method, Request, text};

use crate::world::{Peer, World, header, offer};

const CAROL: &str = "<sip:carol@192.0.2.9:5099>";

fn world() -> (World, Peer) {
    let mut world =
        World::with_policy(|policy| policy.moderators = vec!["creator".into(), "sip:op@home.example".into()]);
    let mut ann = Peer::new("ann", "lobby").over_tcp();
    ann.join(&mut world);
    world.forget();
    (world, ann)
}

fn of(request: &Request, name: HeaderName) -> String {
    text(&request.headers, &name).unwrap_or_default()
}

fn refer(world: &mut World, by: &mut Peer, extra: &str) {
    by.extra = extra.into();
    by.send(world, "REFER", "");
    by.extra = String::new();
}

fn notifies(world: &World) -> Vec<(Hop, Request)> {
    world.requests().into_iter().filter(|(_, request)| request.method == Method::Notify).collect()
}

fn report_of(request: &Request) -> (String, String) {
    (String::from_utf8(request.body().to_vec()).unwrap(), of(request, HeaderName::SubscriptionState))
}

#[test]
fn progress_is_told_from_trying_to_the_outcome() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, &format!("Refer-To: {CAROL}\r\n"));
    assert_eq!(world.last_status(), 202);
    assert!(header(world.last_response(), HeaderName::Contact).contains(";isfocus"));
    let (hop, first) = notifies(&world).remove(0);
    assert_eq!(report_of(&first), ("SIP/2.0 100 Trying\r\n".into(), "active;expires=180".into()));
    assert_eq!(of(&first, HeaderName::ContentType), "message/sipfrag;version=2.0");
    assert_eq!((of(&first, HeaderName::Event).as_str(), hop.connection), ("refer", ann.hop().connection));
    assert_eq!(of(&first, HeaderName::CallId), "call-of-ann");
    let invite = world.requests_of(Method::Invite).remove(0);
    Peer::new("carol", "lobby").respond_to(&mut world, &invite, 603, "", "");
    assert_eq!(notifies(&world).len(), 1, "the second waits for the answer to the first");
    ann.respond_to(&mut world, &first, 200, "", "");
    let (_, last) = notifies(&world).remove(1);
    assert_eq!(report_of(&last), ("SIP/2.0 603 Refused\r\n".into(), "terminated;reason=noresource".into()));
    ann.respond_to(&mut world, &last, 200, "", "");
    world.advance(Duration::from_secs(200));
    assert_eq!(notifies(&world).len(), 2);
}

#[test]
fn who_has_come_is_told_as_200() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, &format!("Refer-To: {CAROL}\r\n"));
    let (_, first) = notifies(&world).remove(0);
    ann.respond_to(&mut world, &first, 200, "", "");
    let invite = world.requests_of(Method::Invite).remove(0);
    let contact = "Contact: <sip:carol@192.0.2.9:5099>\r\n";
    Peer::new("carol", "lobby").respond_to(&mut world, &invite, 200, contact, &offer("msrp://192.0.2.9:7/c;tcp"));
    assert_eq!(report_of(&notifies(&world).remove(1).1).0, "SIP/2.0 200 OK\r\n");
}

#[test]
fn a_second_refer_of_a_call_is_told_apart_by_its_number() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, &format!("Refer-To: {CAROL}\r\n"));
    refer(&mut world, &mut ann, "Refer-To: <sip:dave@192.0.2.9>\r\n");
    let events: Vec<String> = notifies(&world).iter().map(|(_, request)| of(request, HeaderName::Event)).collect();
    assert_eq!(events, ["refer".to_owned(), format!("refer;id={}", ann.sequence)]);
}

#[test]
fn without_a_subscription_nothing_is_told() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, &format!("Refer-To: {CAROL}\r\nRefer-Sub: false\r\nRequire: norefersub\r\n"));
    assert_eq!((world.last_status(), header(world.last_response(), HeaderName::ReferSub).as_str()), (202, "false"));
    assert_eq!((notifies(&world).len(), world.requests_of(Method::Invite).len()), (0, 1));
}

/// SUBSCRIBEs within a dialog; gives the status.
fn subscribe(world: &mut World, by: &mut Peer, event: &str, extra: &str) -> u16 {
    by.extra = format!("Event: {event}\r\n{extra}");
    by.send(world, "SUBSCRIBE", "");
    by.extra = String::new();
    world.last_status()
}

#[test]
fn a_report_may_be_refreshed() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, &format!("Refer-To: {CAROL}\r\n"));
    let (_, first) = notifies(&world).remove(0);
    ann.respond_to(&mut world, &first, 200, "", "");
    world.advance(Duration::from_secs(30));
    assert_eq!(subscribe(&mut world, &mut ann, "refer", "Expires: 600\r\n"), 200);
    assert_eq!(header(world.last_response(), HeaderName::Expires), "600");
    let (_, second) = notifies(&world).remove(1);
    assert_eq!(report_of(&second), ("SIP/2.0 100 Trying\r\n".into(), "active;expires=600".into()));
    ann.respond_to(&mut world, &second, 200, "", "");
    assert_eq!(subscribe(&mut world, &mut ann, "refer", ""), 200);
    assert_eq!(header(world.last_response(), HeaderName::Expires), "180", "where nothing is asked");
    assert_eq!(subscribe(&mut world, &mut ann, "refer", "Expires: 5\r\n"), 423);
    let (_, third) = notifies(&world).remove(2);
    ann.respond_to(&mut world, &third, 200, "", "");
    let invite = world.requests_of(Method::Invite).remove(0);
    Peer::new("carol", "lobby").respond_to(&mut world, &invite, 486, "", "");
    let (_, last) = notifies(&world).remove(3);
    assert_eq!(report_of(&last), ("SIP/2.0 486 Busy Here\r\n".into(), "terminated;reason=noresource".into()));
    assert_eq!(subscribe(&mut world, &mut ann, "refer", ""), 403, "it is over");
}

#[test]
fn a_report_may_be_ended() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, &format!("Refer-To: {CAROL}\r\n"));
    refer(&mut world, &mut ann, "Refer-To: <sip:dave@192.0.2.9>\r\n");
    let second = format!("refer;id={}", ann.sequence);
    for (_, notify) in notifies(&world) {
        ann.respond_to(&mut world, &notify, 200, "", "");
    }
    assert_eq!(subscribe(&mut world, &mut ann, &second, "Expires: 0\r\n"), 200);
    let (_, last) = notifies(&world).remove(2);
    assert_eq!(report_of(&last), ("SIP/2.0 100 Trying\r\n".into(), "terminated;reason=timeout".into()));
    assert_eq!(of(&last, HeaderName::Event), second);
    ann.respond_to(&mut world, &last, 200, "", "");
    assert_eq!(subscribe(&mut world, &mut ann, &second, "Expires: 0\r\n"), 403);
    // Both are called all the same, and of the first she is told what becomes of it.
    assert!(world.requests_of(Method::Cancel).is_empty());
    for invite in world.requests_of(Method::Invite) {
        Peer::new("carol", "lobby").respond_to(&mut world, &invite, 603, "", "");
    }
    assert_eq!((notifies(&world).len(), of(&notifies(&world)[3].1, HeaderName::Event).as_str()), (4, "refer"));
}

#[test]
fn no_subscribe_begins_a_report() {
    let (mut world, mut ann) = world();
    assert_eq!(subscribe(&mut world, &mut ann, "refer", ""), 403);
    assert_eq!(subscribe(&mut world, &mut ann, "refer;id=7", "Expires: 0\r\n"), 403);
    let mut op = Peer::new("op", "lobby").over_tcp();
    assert_eq!(subscribe(&mut world, &mut op, "refer", ""), 403);
    refer(&mut world, &mut ann, &format!("Refer-To: {CAROL}\r\n"));
    assert_eq!(subscribe(&mut world, &mut ann, "refer;id=7", ""), 403, "another one does not count");
    assert_eq!((notifies(&world).len(), world.focus.counts().subscriptions), (1, 1));
}

#[test]
fn a_report_outside_of_any_call_is_asked_for_in_its_own_dialog() {
    let (mut world, _) = world();
    let mut op = Peer::new("op", "lobby").over_tcp();
    refer(&mut world, &mut op, &format!("Refer-To: {CAROL}\r\n"));
    op.to_tag = header(world.last_response(), HeaderName::To).split_once(";tag=").map(|(_, tag)| tag.to_owned());
    let (_, first) = notifies(&world).remove(0);
    op.respond_to(&mut world, &first, 200, "", "");
    assert_eq!(subscribe(&mut world, &mut op, "conference", ""), 481, "nobody is in a room by it");
    assert_eq!(subscribe(&mut world, &mut op, "refer", "Expires: 0\r\n"), 200);
    let (_, last) = notifies(&world).remove(1);
    assert_eq!(report_of(&last).1, "terminated;reason=timeout");
    op.respond_to(&mut world, &last, 200, "", "");
    assert_eq!(subscribe(&mut world, &mut op, "refer", ""), 481, "the dialog is over with it");
    assert_eq!(world.focus.counts().subscriptions, 0);
}

#[test]
fn the_same_refer_by_another_way_is_not_followed_twice() {
    let (mut world, _) = world();
    let mut op = Peer::new("op", "lobby").over_tcp();
    refer(&mut world, &mut op, &format!("Refer-To: {CAROL}\r\n"));
    op.sequence -= 1;
    refer(&mut world, &mut op, &format!("Refer-To: {CAROL}\r\n"));
    assert_eq!((world.last_status(), notifies(&world).len()), (482, 1));
}

#[test]
fn one_call_cannot_have_reports_without_end() {
    let (mut world, mut ann) = world();
    for number in 0..parlor::limits::REPORTS_PER_DIALOG_MAX {
        refer(&mut world, &mut ann, &format!("Refer-To: <sip:user-{number}@192.0.2.9>\r\n"));
        assert_eq!(world.last_status(), 202);
        world.forget();
    }
    refer(&mut world, &mut ann, &format!("Refer-To: {CAROL}\r\n"));
    assert_eq!((world.last_status(), world.command_names()), (503, Vec::new()));
    refer(&mut world, &mut ann, &format!("Refer-To: {CAROL}\r\nRefer-Sub: false\r\n"));
    assert_eq!(world.last_status(), 202, "without a report there is no such limit");
}

#[test]
fn a_server_that_ends_tells_what_became_of_a_refer() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, &format!("Refer-To: {CAROL}\r\n"));
    let (_, first) = notifies(&world).remove(0);
    ann.respond_to(&mut world, &first, 200, "", "");
    let invite = world.requests_of(Method::Invite).remove(0);
    let carol = Peer::new("carol", "lobby");
    carol.respond_to(&mut world, &invite, 180, "", "");
    world.focus.drain(world.now);
    world.settle();
    let cancel = world.requests_of(Method::Cancel).remove(0);
    carol.respond_to(&mut world, &cancel, 200, "", "");
    carol.respond_to(&mut world, &invite, 487, "", "");
    let (_, last) = notifies(&world).remove(1);
    assert_eq!(report_of(&last), ("SIP/2.0 487 Request Terminated\r\n".into(), "terminated;reason=noresource".into()));
}

#[test]
fn a_subscriber_that_is_not_there_ends_the_report_and_nothing_else() {
    let (mut world, mut ann) = world();
    refer(&mut world, &mut ann, &format!("Refer-To: {CAROL}\r\n"));
    let (_, first) = notifies(&world).remove(0);
    ann.respond_to(&mut world, &first, 481, "", "");
    let invite = world.requests_of(Method::Invite).remove(0);
    assert!(world.requests_of(Method::Cancel).is_empty());
    Peer::new("carol", "lobby").respond_to(&mut world, &invite, 486, "", "");
    assert_eq!(notifies(&world).len(), 1);
}

#[test]
fn a_moderator_may_refer_outside_of_a_call_and_gets_a_dialog() {
    let (mut world, _) = world();
    let mut op = Peer::new("op", "lobby").over_tcp();
    refer(&mut world, &mut op, &format!("Refer-To: {CAROL}\r\n"));
    assert_eq!(world.last_status(), 202);
    let tag = header(world.last_response(), HeaderName::To).split_once(";tag=").unwrap().1.to_owned();
    let (hop, notify) = notifies(&world).remove(0);
    assert_eq!((hop.connection, of(&notify, HeaderName::CallId).as_str()), (op.hop().connection, "call-of-op"));
    assert!(of(&notify, HeaderName::From).ends_with(&format!(";tag={tag}")));
    assert_eq!(world.focus.counts().calls, 1, "it makes nobody a participant");
}

#[test]
fn a_refer_of_a_moderator_creates_a_room_that_closes_if_it_stays_empty() {
    let (mut world, _) = world();
    let mut op = Peer::new("op", "attic").over_tcp();
    refer(&mut world, &mut op, &format!("Refer-To: {CAROL}\r\n"));
    assert_eq!((world.last_status(), world.command_names()), (202, vec!["open room", "open session"]));
    let invite = world.requests_of(Method::Invite).remove(0);
    Peer::new("carol", "attic").respond_to(&mut world, &invite, 480, "", "");
    assert_eq!(world.command_names()[2..], ["close session", "close room"]);
    let mut bob = Peer::new("bob", "cellar");
    refer(&mut world, &mut bob, &format!("Refer-To: {CAROL}\r\n"));
    assert_eq!((world.last_status(), world.requests_of(Method::Invite).len()), (403, 1));
}

#[test]
fn only_moderators_may_refer() {
    let (mut world, _) = world();
    let mut bob = world.join("bob", "lobby");
    world.forget();
    for to in ["<sip:carol@192.0.2.9>", "<sip:ann@home.example;method=BYE>", "<sip:lobby@chat.example;method=BYE>"] {
        refer(&mut world, &mut bob, &format!("Refer-To: {to}\r\n"));
        assert_eq!((world.last_status(), world.requests().len(), world.focus.counts().calls), (403, 0, 2), "{to}");
    }
    let mut stranger = Peer::new("eve", "lobby");
    refer(&mut world, &mut stranger, &format!("Refer-To: {CAROL}\r\n"));
    assert_eq!(world.last_status(), 403);
    let mut world = World::new();
    let mut ann = world.join("ann", "lobby");
    refer(&mut world, &mut ann, &format!("Refer-To: {CAROL}\r\n"));
    assert_eq!(world.last_status(), 403, "without moderators nobody is one, not even who made the room");
}

#[test]
fn there_is_exactly_one_refer_to() {
    let (mut world, mut ann) = world();
    for rows in [
        "",
        "Refer-To: <sip:a@192.0.2.9>\r\nRefer-To: <sip:b@192.0.2.9>\r\n",
        "Refer-To: <sip:a@192.0.2.9>, <sip:b@192.0.2.9>\r\n",
        "Refer-To: <sip:a\r\n",
    ] {
        refer(&mut world, &mut ann, rows);
        assert_eq!(world.last_status(), 400, "{rows}");
    }
    refer(&mut world, &mut ann, "Refer-To: <sip:bob@192.0.2.9;method=REFER?Refer-To=sip:lobby%40chat.example>\r\n");
    assert_eq!((world.last_status(), world.requests().len()), (403, 0));
}

#[test]
fn a_referred_bye_removes_every_session_of_a_user() {
    for to in ["<sip:bob@home.example;method=BYE>", "<sip:bob@HOME.example:5060>;method=BYE"] {
        let (mut world, mut ann) = world();
        let bob = world.join("bob", "lobby");
        let mut device = Peer::new("bob2", "lobby");
        device.from = bob.from.replace("tag=from-bob", "tag=other");
        device.join(&mut world);
        let elsewhere = world.join("bobby", "kitchen");
        drop(elsewhere);
        world.forget();
        refer(&mut world, &mut ann, &format!("Refer-To: {to}\r\n"));
        assert_eq!(world.statuses(), [202]);
        let byes = world.requests_of(Method::Bye);
        assert_eq!((byes.len(), world.focus.counts().calls), (2, 2), "{to}");
        assert!(byes.iter().all(|bye| of(bye, HeaderName::Reason).contains("moderator")));
        let (_, first) = notifies(&world).remove(0);
        ann.respond_to(&mut world, &first, 200, "", "");
        assert_eq!(
            report_of(&notifies(&world).remove(1).1),
            ("SIP/2.0 200 OK\r\n".into(), "terminated;reason=noresource".into())
        );
    }
}

#[test]
fn a_referred_bye_may_name_one_call_of_several() {
    for to in ["<sip:bob@home.example;method=BYE?Call-ID=call-of-bob2>", "<sip:bob2@192.0.2.77:40365;method=BYE>"] {
        let (mut world, mut ann) = world();
        let bob = world.join("bob", "lobby");
        let mut device = Peer::new("bob2", "lobby");
        device.from = bob.from.replace("tag=from-bob", "tag=other");
        device.join(&mut world);
        let to = to.replace("192.0.2.77:40365", &device.at.to_string());
        world.forget();
        refer(&mut world, &mut ann, &format!("Refer-To: {to}\r\nRefer-Sub: false\r\n"));
        let byes = world.requests_of(Method::Bye);
        assert_eq!((byes.len(), world.focus.counts().calls), (1, 2), "{to}");
        assert_eq!(of(&byes[0], HeaderName::CallId), "call-of-bob2");
    }
}

#[test]
fn a_referred_bye_cancels_an_invitation() {
    for to in ["<sip:carol@192.0.2.9:5099;method=BYE>", "<sip:lobby@chat.example;method=BYE>"] {
        let (mut world, mut ann) = world();
        refer(&mut world, &mut ann, &format!("Refer-To: {CAROL}\r\nRefer-Sub: false\r\n"));
        let invite = world.requests_of(Method::Invite).remove(0);
        let mut carol = Peer::new("carol", "lobby");
        carol.at = "192.0.2.9:5099".parse().unwrap();
        carol.respond_to(&mut world, &invite, 180, "", "");
        refer(&mut world, &mut ann, &format!("Refer-To: {to}\r\nRefer-Sub: false\r\n"));
        assert_eq!(world.last_status(), 202, "{to}");
        assert_eq!(world.requests_of(Method::Cancel).len(), 1, "{to}");
        carol.respond_to(&mut world, &invite, 487, "", "");
        assert_eq!(world.requests_of(Method::Ack).len(), 1);
        refer(&mut world, &mut ann, &format!("Refer-To: {to}\r\nRefer-Sub: false\r\n"));
        assert!(world.requests_of(Method::Cancel).len() == 1, "nobody is called any more");
    }
}

#[test]
fn a_user_that_is_not_in_the_room_cannot_be_removed() {
    let (mut world, mut ann) = world();
    world.join("bob", "kitchen");
    refer(&mut world, &mut ann, "Refer-To: <sip:bob@home.example;method=BYE>\r\n");
    assert_eq!((world.last_status(), world.focus.counts().calls), (404, 2));
}

#[test]
fn a_bye_to_the_room_itself_closes_it() {
    for (delete, closes) in [(Delete::WhenEmpty, true), (Delete::Never, false)] {
        let mut world = World::with_policy(|policy| {
            policy.moderators = vec!["creator".into()];
            policy.delete = delete;
        });
        let mut ann = Peer::new("ann", "lobby").over_tcp();
        ann.join(&mut world);
        world.join("bob", "lobby");
        world.forget();
        refer(&mut world, &mut ann, "Refer-To: <sip:lobby@chat.example;method=BYE>\r\n");
        assert_eq!((world.requests_of(Method::Bye).len(), world.focus.counts().calls), (2, 0));
        assert_eq!(world.command_names().contains(&"close room"), closes);
        // Whoever has asked is told, though their call has ended with the others.
        let (_, first) = notifies(&world).remove(0);
        ann.respond_to(&mut world, &first, 200, "", "");
        let (_, last) = notifies(&world).remove(1);
        assert_eq!(report_of(&last).0, "SIP/2.0 200 OK\r\n");
        let number =
            |request: &Request| of(request, HeaderName::CSeq).split(' ').next().unwrap().parse::<u32>().unwrap();
        let bye = world
            .requests_of(Method::Bye)
            .into_iter()
            .find(|bye| of(bye, HeaderName::CallId) == "call-of-ann")
            .unwrap();
        assert!(number(&last) > number(&bye) && number(&bye) > number(&first));
    }
}

#[test]
fn the_same_name_in_two_rooms_is_two_rooms() {
    let (mut world, mut ann) = world();
    let mut op = world.join("op", "kitchen");
    world.forget();
    refer(&mut world, &mut op, "Refer-To: <sip:ann@home.example;method=BYE>\r\n");
    assert_eq!(world.last_status(), 404, "a REFER is about the room that it is sent to");
    refer(&mut world, &mut ann, "Refer-To: <sip:op@home.example;method=BYE>\r\n");
    assert_eq!((world.last_status(), world.focus.counts().calls), (404, 2));
}
