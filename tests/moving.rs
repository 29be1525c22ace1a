//! Moderators bring others in and send them away, over the real binary.

mod support;

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use support::{Participant, Server};

const MODERATED: &str = "[rooms.defaults]\nmoderators = [\"creator\"]\n";

/// Reads the NOTIFYs of a REFER until the last one; answers their bodies.
fn progress(of: &mut Participant) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let notify = of.sip_message();
        if !notify.starts_with("NOTIFY ") {
            continue;
        }
        of.reply(&notify, "200 OK");
        told.push(notify.split_once("\r\n\r\n").unwrap().1.trim_end().to_owned());
        if notify.contains("Subscription-State: terminated;reason=noresource") {
            return told;
        }
    }
}

#[test]
fn who_is_invited_joins_and_talks() {
    let server = Server::with(MODERATED);
    let mut alice = server.join("alice", "lobby");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let to = format!("Refer-To: <sip:carol@{at};transport=tcp>\r\n");
    let called = std::thread::spawn(move || Participant::invited(&listener, "carol"));
    let answer = alice.in_call("REFER", 2, &to, "");
    assert!(answer.starts_with("SIP/2.0 202 "), "{answer}");
    let mut carol = called.join().unwrap();
    assert_eq!(progress(&mut alice), ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]);
    alice.say("welcome");
    assert_eq!(carol.text(), "welcome");
    let from = carol.wrap(&carol.room.clone(), "thanks").replace("<sip:carol@127.0.0.1>", &format!("<sip:carol@{at}>"));
    let tid = carol.send("m1", "", from.as_bytes());
    assert_eq!((carol.response(&tid), alice.text()), ("200".to_owned(), "thanks".to_owned()));
    carol.leave();
    alice.leave();
}

#[test]
fn who_is_sent_away_gets_a_bye() {
    let server = Server::with(MODERATED);
    let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    for (number, to) in [(2, "<sip:alice@127.0.0.1;method=BYE>"), (3, "<sip:alice@127.0.0.1>;method=BYE")] {
        let answer = bob.in_call("REFER", number, &format!("Refer-To: {to}\r\n"), "");
        assert!(answer.starts_with("SIP/2.0 403 "), "{answer}");
    }
    let answer = alice.in_call("REFER", 2, "Refer-To: <sip:bob@127.0.0.1>;method=BYE\r\n", "");
    assert!(answer.starts_with("SIP/2.0 202 "), "{answer}");
    let bye = bob.hung_up_on();
    assert!(bye.contains("moderator"), "{bye}");
    assert_eq!(progress(&mut alice), ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]);
    alice.leave();
}

#[test]
fn who_cannot_be_reached_does_not_come() {
    let server = Server::with(MODERATED);
    let mut alice = server.join("alice", "lobby");
    let nobody = Server::free_port();
    alice.in_call("REFER", 2, &format!("Refer-To: <sip:carol@127.0.0.1:{nobody};transport=tcp>\r\n"), "");
    assert_eq!(progress(&mut alice), ["SIP/2.0 100 Trying", "SIP/2.0 503 Service Unavailable"]);
}

#[test]
fn a_name_is_looked_up() {
    let server = Server::with(MODERATED);
    let mut alice = server.join("alice", "lobby");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let to = format!("Refer-To: <sip:carol@localhost:{}>\r\nRefer-Sub: false\r\n", socket.local_addr().unwrap().port());
    let answer = alice.in_call("REFER", 2, &to, "");
    assert!(answer.contains("Refer-Sub: false"), "{answer}");
    let mut buffer = vec![0; 65536];
    let n = socket.recv(&mut buffer).unwrap();
    let invite = String::from_utf8_lossy(&buffer[..n]).into_owned();
    assert!(invite.starts_with("INVITE sip:carol@localhost:"), "{invite}");
}

#[test]
fn a_large_invitation_goes_over_a_stream() {
    let types: Vec<String> = (0..40).map(|n| format!("\"application/x-type-number-{n}\"")).collect();
    let server = Server::with(&format!("{MODERATED}wrapped_types = [{}]\n", types.join(", ")));
    let mut alice = server.join("alice", "lobby");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let called = std::thread::spawn(move || Participant::invited(&listener, "carol"));
    alice.in_call("REFER", 2, &format!("Refer-To: <sip:carol@{at}>\r\nRefer-Sub: false\r\n"), "");
    called.join().unwrap();
    // Where nobody takes a stream, a datagram has to do.
    let socket = UdpSocket::bind(("127.0.0.1", Server::free_port())).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    alice.in_call(
        "REFER",
        3,
        &format!("Refer-To: <sip:dave@{}>\r\nRefer-Sub: false\r\n", socket.local_addr().unwrap()),
        "",
    );
    let mut buffer = vec![0; 65536];
    let n = socket.recv(&mut buffer).unwrap();
    assert!(n > 1300 && buffer.starts_with(b"INVITE "));
}
