//! People in a room, over the real binary.

mod support;

use support::Server;

#[test]
fn what_one_says_the_others_get_unchanged() {
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
fn a_private_message_reaches_its_addressee_alone() {
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
fn a_nickname_is_one_users() {
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
fn rooms_do_not_hear_one_another() {
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
fn a_sender_that_is_lost_in_the_middle_is_told_of() {
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
fn who_leaves_is_gone() {
    let server = Server::start();
    let (mut alice, bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    bob.leave();
    let body = alice.wrap("sip:bob@127.0.0.1", "still there?");
    let tid = alice.send("p1", "", body.as_bytes());
    assert_eq!(alice.response(&tid), "404");
}
