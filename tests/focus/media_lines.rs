//! The media lines of a call: which is taken, and that each keeps its place in every later offer and answer (RFC 3264 §8).

use std::time::Duration;

use parlor::focus::Settings;
use parlor_proto::sip::{HeaderName, Method, Request, uri};

use crate::world::{Peer, World, body, header, offer, policy, settings};

const TIMED: &str = "Supported: timer\r\nSession-Expires: 600;refresher=uas\r\n";
const AUDIO: &str = "m=audio 5000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\n";
const VIDEO: &str = "m=video 5002 RTP/AVP 31\r\n";

/// A line for a file, as RFC 5547 §9.1 has it, which would do for a chat as well.
fn file(attribute: &str) -> String {
    format!(
        "m=message 7654 TCP/MSRP *\r\na=sendonly\r\na=accept-types:message/cpim\r\na=accept-wrapped-types:*\r\n\
         a=path:msrp://192.0.2.77:7654/jshA7we;tcp\r\na=setup:active\r\n{attribute}"
    )
}

const SELECTOR: &str = "a=file-selector:name:\"My cool picture.jpg\" type:image/jpeg size:4092\r\n";
const TRANSFER: &str = "a=file-transfer-id:vBnG916bdberum2fFEABR1FR3ExZMUrd\r\n";

/// The offer of a peer with these lines before its own, and those behind.
fn between(peer: &Peer, before: &str, behind: &str) -> String {
    peer.offer().replace("t=0 0\r\n", &format!("t=0 0\r\n{before}")) + behind
}

/// The media lines of a description, without formats.
fn lines(description: &str) -> Vec<String> {
    let media = description.lines().filter_map(|line| line.strip_prefix("m="));
    media.map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

fn version(description: &str) -> u64 {
    description.lines().nth(1).unwrap().split(' ').nth(2).unwrap().parse().unwrap()
}

fn sdp(request: &Request) -> String {
    String::from_utf8(request.body().to_vec()).unwrap()
}

/// A call with this offer, acknowledged, and the answer to it.
fn called(world: &mut World, extra: &str, offer: impl Fn(&Peer) -> String) -> (Peer, String) {
    let mut ann = Peer::new("ann", "lobby").over_tcp();
    ann.extra = extra.into();
    let offer = offer(&ann);
    ann.send(world, "INVITE", &offer);
    ann.learn(world);
    assert_eq!(world.last_status(), 200, "{offer}");
    let answer = body(world.last_response());
    ann.send(world, "ACK", "");
    world.forget();
    (ann, answer)
}

#[test]
fn a_line_for_a_file_is_refused_and_the_chat_behind_it_taken() {
    for attributes in [format!("{SELECTOR}{TRANSFER}"), "a=FILE-SELECTOR\r\n".into(), TRANSFER.into()] {
        let mut world = World::new();
        let (ann, answer) = called(&mut world, "", |ann| between(ann, &file(&attributes), &file(&attributes)));
        assert_eq!(lines(&answer), ["message 0", "message 2855", "message 0"], "{attributes}");
        assert_eq!(answer.matches(&attributes).count(), 2, "a refusal says which file it was: {answer}");
        assert!(!answer.split("m=message").nth(1).unwrap().contains("a=path"));
        let (shard, session) = ann.session.unwrap();
        assert_eq!((shard, world.focus.counts().calls), (session.shard, 1));
    }
}

#[test]
fn an_offer_of_files_alone_is_488_in_a_call_too() {
    let mut world = World::new();
    let (mut ann, _) = called(&mut world, "", Peer::offer);
    let alone = between(&ann, &file(SELECTOR), "").split("m=message 9").next().unwrap().to_owned();
    ann.send(&mut world, "INVITE", &alone);
    assert_eq!((world.last_status(), world.command_names(), world.focus.counts().calls), (488, vec![], 1));
    assert_eq!(
        header(world.last_response(), HeaderName::Warning),
        "304 parlor \"file transfer (a=file-selector) is not available\""
    );
    let mut bob = Peer::new("bob", "lobby");
    bob.send(&mut world, "INVITE", &alone);
    assert_eq!((world.last_status(), world.focus.counts().calls), (488, 1));
    let more = between(&ann, "", &file(SELECTOR));
    ann.send(&mut world, "INVITE", &more);
    assert_eq!(lines(&body(world.last_response())), ["message 2855", "message 0"], "a file offered in a chat");
}

#[test]
fn an_offer_of_ours_has_every_line_where_it_was() {
    let mut world = World::new();
    let (mut ann, answer) = called(&mut world, "", |ann| between(ann, AUDIO, VIDEO));
    assert_eq!(lines(&answer), ["audio 0", "message 2855", "video 0"]);
    ann.send(&mut world, "INVITE", "");
    let ours = body(world.last_response());
    assert_eq!(lines(&ours), lines(&answer));
    assert!(ours.contains("m=audio 0 RTP/AVP 0 8\r\n") && ours.contains("m=video 0 RTP/AVP 31\r\n"), "{ours}");
    assert!(ours.contains("a=setup:actpass\r\n") && ours.matches("a=path:").count() == 1, "{ours}");
    assert_eq!(version(&ours), version(&answer) + 1);
    let theirs = between(&ann, &AUDIO.replace("5000", "0"), &VIDEO.replace("5002", "0"));
    ann.send(&mut world, "ACK", &theirs);

    // A line more, by UPDATE, and one less in use.
    let more = between(&ann, AUDIO, &format!("{VIDEO}m=text 5004 RTP/AVP 98\r\n"));
    ann.send(&mut world, "UPDATE", &more);
    assert_eq!(lines(&body(world.last_response())), ["audio 0", "message 2855", "video 0", "text 0"]);
    ann.send(&mut world, "INVITE", "");
    assert_eq!(lines(&body(world.last_response())), ["audio 0", "message 2855", "video 0", "text 0"]);
}

#[test]
fn the_chat_may_move_to_another_line_and_stays_there() {
    let mut world = World::new();
    let (mut ann, _) = called(&mut world, "", Peer::offer);
    let moved = between(&ann, "m=message 0 TCP/MSRP *\r\n", "");
    ann.send(&mut world, "INVITE", &moved);
    ann.send(&mut world, "ACK", "");
    assert_eq!(lines(&body(world.last_response())), ["message 0", "message 2855"]);
    ann.send(&mut world, "INVITE", "");
    assert_eq!(lines(&body(world.last_response())), ["message 0", "message 2855"]);
}

#[test]
fn a_refused_offer_moves_no_line() {
    let mut world = World::new();
    let (mut ann, answer) = called(&mut world, "", |ann| between(ann, AUDIO, ""));
    ann.send(&mut world, "INVITE", &between(&ann.clone(), &format!("{AUDIO}{VIDEO}"), "").replace("cpim", "nothing"));
    ann.send(&mut world, "ACK", "");
    assert_eq!(world.last_status(), 488);
    ann.send(&mut world, "INVITE", "");
    assert_eq!(lines(&body(world.last_response())), lines(&answer));
}

#[test]
fn a_refresh_has_every_line_and_says_actpass_and_its_version_grows_once() {
    let mut world = World::new();
    let (ann, answer) = called(&mut world, TIMED, |ann| between(ann, AUDIO, ""));
    let mut last = answer.clone();
    for (round, more) in [1, 0, 0].into_iter().enumerate() {
        world.forget();
        world.advance(Duration::from_secs(300));
        let invite = world.requests_of(Method::Invite).pop().expect("a refresh");
        let ours = sdp(&invite);
        assert_eq!(lines(&ours), ["audio 0", "message 2855"], "{round}");
        assert!(ours.contains("a=setup:actpass\r\n"), "{ours}");
        assert_eq!(version(&ours), version(&last) + more, "{round}: identical but for what has changed");
        assert_eq!(more == 0, ours == last, "{round}");
        let theirs = between(&ann, &AUDIO.replace("5000", "0"), "");
        ann.respond_to(&mut world, &invite, 200, "Session-Expires: 600;refresher=uac\r\n", &theirs);
        assert_eq!(world.command_names(), Vec::<&str>::new(), "{round}: nothing has changed");
        last = ours;
    }
}

#[test]
fn a_refresh_keeps_a_hold_and_an_agreement_on_cema() {
    let mut world = World::new();
    let held = |ann: &Peer| ann.offer() + "a=sendonly\r\na=msrp-cema\r\n";
    let (ann, answer) = called(&mut world, TIMED, held);
    assert!(answer.contains("a=recvonly\r\n") && answer.contains("a=msrp-cema\r\n"), "{answer}");
    world.advance(Duration::from_secs(300));
    let invite = world.requests_of(Method::Invite).pop().expect("a refresh");
    assert!(sdp(&invite).contains("a=recvonly\r\na=msrp-cema\r\n"), "{}", sdp(&invite));
    let without = ann.offer() + "a=sendonly\r\n";
    ann.respond_to(&mut world, &invite, 200, "Session-Expires: 600;refresher=uac\r\n", &without);
    world.forget();
    world.advance(Duration::from_secs(300));
    let next = sdp(&world.requests_of(Method::Invite).pop().expect("a refresh"));
    assert!(next.contains("a=recvonly\r\n") && !next.contains("cema"), "what was not answered is not offered: {next}");
}

#[test]
fn an_invited_client_keeps_its_media_lines_too() {
    let rooms = policy(|policy| policy.moderators = vec!["creator".into()]);
    let mut world = World::with(Settings { rooms, outbound_proxy: uri("sip:192.0.2.200;lr"), ..settings() });
    let mut ann = world.join("ann", "lobby");
    world.forget();
    ann.extra = "Refer-To: <sip:carol@192.0.2.9:5099>\r\nRefer-Sub: false\r\n".into();
    ann.send(&mut world, "REFER", "");
    let invite = world.requests_of(Method::Invite).remove(0);
    assert_eq!(lines(&sdp(&invite)), ["message 2855"]);
    let mut carol = Peer::new("carol", "lobby");
    let contact = "Contact: <sip:carol@192.0.2.9:5099>\r\nSession-Expires: 600;refresher=uac\r\nRequire: timer\r\n";
    let chat = offer("msrp://192.0.2.77:7/c;tcp");
    carol.respond_to(&mut world, &invite, 200, contact, &chat);
    let from = world.requests_of(Method::Ack).remove(0);
    let of = |name| parlor_proto::sip::text(&from.headers, &name).unwrap();
    carol.from = of(HeaderName::To);
    carol.to_tag = of(HeaderName::From).split_once(";tag=").map(|(_, tag)| tag.to_owned());
    let call = of(HeaderName::CallId);
    carol.extra = TIMED.into();
    let more = carol.request("INVITE", &(chat.clone() + AUDIO)).replace("call-of-carol", &call);
    world.deliver(&more, carol.hop());
    assert_eq!(lines(&body(world.last_response())), ["message 2855", "audio 0"]);
    world.deliver(&carol.request("ACK", "").replace("call-of-carol", &call), carol.hop());
    world.forget();
    world.advance(Duration::from_secs(300));
    let refresh = world.requests_of(Method::Invite).pop().expect("a refresh");
    assert_eq!(lines(&sdp(&refresh)), ["message 2855", "audio 0"]);
}
