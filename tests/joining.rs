//! Calls to rooms, against the server's binary.

mod support;

use std::net::UdpSocket;
use std::time::Duration;

use support::Server;
use support::participant::{Sip, offer};

const SDP: &str = "Content-Type: application/sdp\r\n";

/// Calls with an offer; answers what it is answered.
fn invite(server: &Server, uri: &str, offer: &str) -> String {
    let mut sip = Sip::connect(&server.sip);
    let to = format!("<{uri}>");
    sip.request("INVITE", uri, "<sip:alice@127.0.0.1>;tag=a", &to, "call-alice", 1, SDP, offer);
    sip.answer()
}

#[test]
fn the_answer_has_the_attributes_of_a_chat_room() {
    let server = Server::start();
    let answer = invite(&server, "sip:lobby@127.0.0.1", &offer("alice"));
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    let contact = answer.lines().find(|line| line.starts_with("Contact: ")).unwrap();
    assert!(contact.contains(";isfocus"), "{contact}");
    let port = server.msrp.rsplit(':').next().unwrap();
    let path = format!("a=path:msrp://{}/", server.msrp);
    let media = format!("m=message {port} TCP/MSRP *");
    for line in ["a=accept-types:message/cpim", "a=accept-wrapped-types:*", "a=setup:passive", &media] {
        assert!(answer.lines().any(|found| found == line), "{line} in {answer}");
    }
    assert!(answer.lines().any(|line| line.starts_with(&path) && line.ends_with(";tcp")), "{path} in {answer}");
    assert!(answer.lines().any(|line| line == "a=chatroom:nickname private-messages"), "{answer}");
}

#[test]
fn the_answer_has_the_policy_of_the_room() {
    let server =
        Server::with("[rooms.defaults]\nnicknames = false\nprivate_messages = false\nmax_message_size = 9000\n");
    let answer = invite(&server, "sip:lobby@127.0.0.1", &offer("alice"));
    for line in ["a=chatroom", "a=max-size:9000"] {
        assert!(answer.lines().any(|found| found == line), "{line} in {answer}");
    }
}

#[test]
fn another_domain_is_404() {
    let server = Server::start();
    let answer = invite(&server, "sip:lobby@elsewhere.example", &offer("alice"));
    assert!(answer.starts_with("SIP/2.0 404 "), "{answer}");
}

#[test]
fn refusals_are_logged_without_anonymous_users() {
    let server = Server::with("[rooms]\non_demand = false\n[rooms.lobby]\ndeny = [\"sip:*@127.0.0.1\"]\n");
    let offer = offer("alice");
    let mut sip = Sip::connect(&server.sip);
    let hidden = format!("{SDP}Privacy: id\r\n");
    for (user, room, headers, status) in
        [("alice", "lobby", SDP, 403), ("bob", "attic", SDP, 404), ("carol", "lobby", &hidden, 403)]
    {
        let (uri, from) = (format!("sip:{room}@127.0.0.1"), format!("<sip:{user}@127.0.0.1>;tag=a"));
        sip.request("INVITE", &uri, &from, &format!("<{uri}>"), user, 1, headers, &offer);
        assert!(sip.answer().starts_with(&format!("SIP/2.0 {status} ")));
    }
    let log = server.log();
    for (to, from, status, why, rule) in [
        ("lobby", " from=\"sip:alice@127.0.0.1\"", 403, "Forbidden", "deny"),
        ("attic", " from=\"sip:bob@127.0.0.1\"", 404, "Not Found", "rooms.on_demand"),
        ("lobby", "", 403, "Forbidden", "deny"),
    ] {
        let line =
            format!("method=INVITE to=\"sip:{to}@127.0.0.1\"{from} status={status} why=\"{why}\" rule=\"{rule}\"");
        assert!(log.contains(&line), "{line} in {log}");
    }
    assert!(!log.contains("carol"), "{log}");
}

#[test]
fn an_offer_without_msrp_is_488() {
    let server = Server::start();
    let audio = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";
    let unwrapped = offer("alice").replace("message/cpim", "text/plain");
    for offer in [audio, &unwrapped] {
        let answer = invite(&server, "sip:lobby@127.0.0.1", offer);
        assert!(answer.starts_with("SIP/2.0 488 "), "{answer}");
        assert!(answer.contains("\r\nWarning: "), "{answer}");
    }
}

#[test]
fn options_has_the_capabilities() {
    let server = Server::start();
    let mut sip = Sip::connect(&server.sip);
    let uri = "sip:lobby@127.0.0.1";
    sip.request("OPTIONS", uri, "<sip:alice@127.0.0.1>;tag=a", "<sip:lobby@127.0.0.1>", "options", 1, "", "");
    let answer = sip.answer();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert!(answer.contains("Allow: INVITE"), "{answer}");
}

#[test]
fn a_second_offer_keeps_the_session() {
    let server = Server::start();
    let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    let again = offer("alice").replace("o=- 1 1", "o=- 1 2");
    let answer = alice.in_call("INVITE", 2, SDP, &again);
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert!(answer.contains(&alice.to_path), "the path is the one it had: {answer}");
    alice.in_call("ACK", 2, "", "");
    alice.say("still here");
    assert_eq!(bob.text(), "still here");
}

#[test]
fn a_cancel_without_invite_is_481() {
    let server = Server::start();
    let mut sip = Sip::connect(&server.sip);
    let uri = "sip:lobby@127.0.0.1";
    sip.request("CANCEL", uri, "<sip:alice@127.0.0.1>;tag=a", "<sip:lobby@127.0.0.1>", "nothing", 1, "", "");
    let answer = sip.answer();
    assert!(answer.starts_with("SIP/2.0 481 "), "{answer}");
}

#[test]
fn a_call_over_udp_is_answered_over_udp() {
    let server = Server::start();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let to = server.ready.split_whitespace().find_map(|word| word.strip_prefix("udp:")).unwrap();
    let (at, body) = (socket.local_addr().unwrap(), offer("alice"));
    let text = format!(
        "INVITE sip:lobby@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKudp1\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@127.0.0.1>;tag=a\r\nTo: <sip:lobby@127.0.0.1>\r\nCall-ID: udp\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:me@{at}>\r\n{SDP}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // Garbage before it is no harm.
    socket.send_to(&[0xff; 1400], to).unwrap();
    socket.send_to(&text.as_bytes()[..60], to).unwrap();
    socket.send_to(text.as_bytes(), to).unwrap();
    let mut buffer = vec![0; 65536];
    let answer = loop {
        let n = socket.recv(&mut buffer).unwrap();
        let answer = String::from_utf8_lossy(&buffer[..n]).into_owned();
        if answer.contains("CSeq: 1 INVITE") && !answer.starts_with("SIP/2.0 1") && answer.contains("Call-ID: udp") {
            break answer;
        }
    };
    assert!(answer.starts_with("SIP/2.0 200 ") && answer.contains("a=path:msrp://"), "{answer}");
}
