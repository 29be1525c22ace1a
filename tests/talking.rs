//! Messages in a room, against the server's binary.

mod support;

use support::participant::offer;
use support::{Participant, Server};

#[test]
fn a_message_reaches_the_others_unchanged() {
    let server = Server::start();
    let (mut alice, mut bob, mut carol) =
        (server.join("alice", "lobby"), server.join("bob", "lobby"), server.join("carol", "lobby"));
    let body = alice.wrap("sip:lobby@127.0.0.1", "Hello æøå\r\n-------not the end$\r\n");
    let tid = alice.send("m1", "Success-Report: yes\r\n", body.as_bytes());
    assert_eq!(alice.response(&tid), "200");
    assert_eq!(bob.message().unwrap(), body.as_bytes());
    assert_eq!(carol.message().unwrap(), body.as_bytes());
    let report = alice.report();
    assert_eq!(report.header("Status"), Some("000 200 OK"));
    assert_eq!(report.header("Message-ID"), Some("m1"));
    assert_eq!(report.header("Byte-Range"), Some(format!("1-{0}/{0}", body.len()).as_str()));
}

#[test]
fn a_private_message_reaches_its_recipient_only() {
    let server = Server::start();
    let (mut alice, mut bob, mut carol) =
        (server.join("alice", "lobby"), server.join("bob", "lobby"), server.join("carol", "lobby"));
    let body = alice.wrap("sip:bob@127.0.0.1", "psst");
    let tid = alice.send("p1", "", body.as_bytes());
    assert_eq!(alice.response(&tid), "200");
    assert_eq!(bob.message().unwrap(), body.as_bytes());
    alice.say("aloud");
    assert_eq!(carol.text(), "aloud", "the first thing carol hears");
    let body = alice.wrap("sip:nobody@127.0.0.1", "hello?");
    let tid = alice.send("p2", "", body.as_bytes());
    assert_eq!(alice.response(&tid), "404");
}

#[test]
fn a_nickname_has_one_user() {
    let server = Server::start();
    let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    assert_eq!(alice.nickname("\"Ally\""), "200");
    assert_eq!(bob.nickname("\"ALLY\""), "425");
    assert_eq!(bob.nickname("\"Ally"), "424");
    assert_eq!(bob.nickname("Bobby"), "200");
    assert_eq!(alice.nickname("\"\""), "200");
    assert_eq!(bob.nickname("\"Ally\""), "200");
}

#[test]
fn rooms_are_separate() {
    let server = Server::start();
    let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    let (mut dave, mut erin) = (server.join("dave", "attic"), server.join("erin", "attic"));
    alice.say("in the lobby");
    dave.say("in the attic");
    assert_eq!(bob.text(), "in the lobby");
    assert_eq!(erin.text(), "in the attic");
}

#[test]
fn a_message_in_chunks_arrives_as_one_chunk() {
    let server = Server::start();
    let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    let body = alice.wrap("sip:lobby@127.0.0.1", &"long ".repeat(2000));
    let total = body.len();
    let mut at = 0;
    for piece in body.as_bytes().chunks(999) {
        let headers = format!("Message-ID: c1\r\nByte-Range: {}-*/{total}\r\nContent-Type: message/cpim\r\n", at + 1);
        at += piece.len();
        let tid = alice.request("SEND", &headers, Some(piece), if at == total { '$' } else { '+' });
        assert_eq!(alice.response(&tid), "200");
    }
    let chunk = bob.next_chunk().unwrap();
    assert_eq!((chunk.body.as_slice(), chunk.flag), (body.as_bytes(), '$'));
}

#[test]
fn an_aborted_message_is_aborted_for_recipients() {
    let server = Server::start();
    let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    let body = alice.wrap("sip:lobby@127.0.0.1", &"x".repeat(200_000));
    let headers = "Message-ID: c1\r\nByte-Range: 1-*/5000000\r\nContent-Type: message/cpim\r\n";
    let tid = alice.request("SEND", headers, Some(body.as_bytes()), '+');
    assert_eq!(alice.response(&tid), "200");
    alice.msrp.shutdown(std::net::Shutdown::Both).unwrap();
    assert!(alice.hung_up_on().contains("Reason: "));
    assert_eq!(bob.message(), None, "ended with #");
}

#[test]
fn a_departed_member_gets_nothing() {
    let server = Server::start();
    let (mut alice, bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    bob.leave();
    let body = alice.wrap("sip:bob@127.0.0.1", "still there?");
    let tid = alice.send("p1", "", body.as_bytes());
    assert_eq!(alice.response(&tid), "404");
}

#[test]
fn all_other_sessions_of_a_user_get_its_messages() {
    let server = Server::start();
    let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    let mut tablet = Participant::call_as(&server, "alice", "tablet", "lobby", &offer("tablet"));
    tablet.bind();
    bob.say("to all");
    assert_eq!((alice.text(), tablet.text()), ("to all".into(), "to all".into()));
    let body = bob.wrap("sip:alice@127.0.0.1", "to alice");
    let tid = bob.send("p1", "", body.as_bytes());
    assert_eq!(bob.response(&tid), "200");
    assert_eq!((alice.text(), tablet.text()), ("to alice".into(), "to alice".into()));
    alice.say("from the phone");
    bob.say("after it");
    assert_eq!(alice.text(), "after it", "the first thing the phone hears");
}

#[test]
fn refused_messages_have_the_right_status() {
    let server = Server::with("[rooms.defaults]\nmax_message_size = 1000\nwrapped_types = [\"text/plain\"]\n");
    let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    let plain = offer("carol").replace("a=chatroom:nickname private-messages\r\n", "");
    Participant::call_as(&server, "carol", "carol", "lobby", &plain).bind();
    let fine = alice.wrap("sip:lobby@127.0.0.1", "fine");
    let cases = [
        ("403", fine.replace("sip:alice@", "sip:bob@")),
        ("404", alice.wrap("sip:nobody@127.0.0.1", "who")),
        ("415", fine.replace("text/plain", "text/html")),
        ("413", alice.wrap("sip:lobby@127.0.0.1", &"x".repeat(2000))),
    ];
    for (round, (status, body)) in cases.into_iter().enumerate() {
        let tid = alice.send(&format!("r{round}"), "", body.as_bytes());
        assert_eq!(alice.response(&tid), status, "{body}");
    }
    alice.say("fine");
    assert_eq!(bob.text(), "fine", "the first thing bob hears");
}

#[test]
fn a_member_without_private_messages_gets_none() {
    let server = Server::start();
    let (mut alice, plain) = (server.join("alice", "lobby"), offer("carol").replace(" private-messages", ""));
    let mut carol = Participant::call_as(&server, "carol", "carol", "lobby", &plain);
    carol.bind();
    let body = alice.wrap("sip:carol@127.0.0.1", "psst");
    let tid = alice.send("p1", "", body.as_bytes());
    assert_eq!(alice.response(&tid), "428");
    alice.say("aloud");
    assert_eq!(carol.text(), "aloud", "the first thing carol hears");
}

/// IMDN (RFC 5438) and isComposing (RFC 3994) are content like any other.
#[test]
fn notifications_and_composing_are_forwarded() {
    let server = Server::start();
    let (mut alice, mut bob) = (server.join("alice", "room2"), server.join("bob", "room2"));
    for (number, sample) in ["imdn", "imdn-display", "sipsimple-composing"].iter().enumerate() {
        let path = format!("{}/tests/wire/cpim/{sample}.cpim", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let to = text.lines().find(|line| line.starts_with("To: ")).unwrap().to_owned();
        for (way, addressee) in [("room", "sip:room2@127.0.0.1"), ("private", "sip:bob@127.0.0.1")] {
            let body = text.replacen(&to, &format!("To: <{addressee}>"), 1);
            let tid = alice.send(&format!("{way}{number}"), "", body.as_bytes());
            assert_eq!(alice.response(&tid), "200", "{sample} {way}");
            assert_eq!(bob.message().unwrap(), body.as_bytes(), "{sample} {way}");
        }
    }
}
