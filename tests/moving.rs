//! Moderators add and remove participants, against the server's binary.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use parlor::tls::{TlsSetup, Trust, fingerprint};
use rustls::{ServerConnection, StreamOwned};
use support::participant::{PATIENCE, offer};
use support::{Participant, Server, tls};

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
fn an_invited_user_joins() {
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
fn a_removed_user_gets_a_bye() {
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

/// RFC 4975 §5.4: the BYE ends the session, and the connection after it.
#[test]
fn a_removed_user_keeps_its_connection_until_the_bye_is_answered() {
    let server = Server::with(MODERATED);
    let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    alice.in_call("REFER", 2, "Refer-To: <sip:bob@127.0.0.1>;method=BYE\r\nRefer-Sub: false\r\n", "");
    let bye = bob.sees_bye();
    let late = bob.request("SEND", "Message-ID: late\r\n", None, '$');
    assert_eq!(bob.response(&late), "481", "the connection stands, the session does not");
    bob.reply(&bye, "200 OK");
    assert!(bob.next_chunk().is_none(), "now it is closed");
    alice.leave();
}

#[test]
fn a_drain_keeps_connections_until_byes_are_answered() {
    let server = Server::with("");
    let mut bob = server.join("bob", "lobby");
    server.signal("TERM");
    let bye = bob.sees_bye();
    let late = bob.request("SEND", "Message-ID: late\r\n", None, '$');
    assert_eq!(bob.response(&late), "481");
    bob.reply(&bye, "200 OK");
    assert!(bob.next_chunk().is_none());
    assert!(server.wait().success());
}

#[test]
fn an_unreachable_user_does_not_join() {
    let server = Server::with(MODERATED);
    let mut alice = server.join("alice", "lobby");
    let nobody = Server::free_port();
    alice.in_call("REFER", 2, &format!("Refer-To: <sip:carol@127.0.0.1:{nobody};transport=tcp>\r\n"), "");
    assert_eq!(progress(&mut alice), ["SIP/2.0 100 Trying", "SIP/2.0 503 Service Unavailable"]);
}

#[test]
fn the_host_of_an_invited_user_is_resolved() {
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
fn a_large_invite_is_sent_over_tcp() {
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

type Secure = StreamOwned<ServerConnection, TcpStream>;

/// Accepts a call over TLS, shows the certificate in a folder, and asks for one.
fn accept_secure(listener: &TcpListener, folder: &Path) -> std::io::Result<Secure> {
    let identity = parlor::tls::Identity::load(&folder.join("cert.pem"), &folder.join("key.pem")).unwrap();
    let setup = TlsSetup::new(&identity, &Trust::load(None).unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(ServerConnection::new(setup.msrp_server).unwrap(), stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Reads up to the end of a body of the length that its head says.
fn read_message(stream: &mut Secure) -> String {
    let mut octets = Vec::new();
    loop {
        let mut octet = [0];
        stream.read_exact(&mut octet).unwrap();
        octets.push(octet[0]);
        let text = String::from_utf8_lossy(&octets);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        if body.len() >= length.trim().parse().unwrap() {
            return text.into_owned();
        }
    }
}

/// A server with TLS whose authorities are those in a folder.
fn server_with_trust(ours: &Path, theirs: &Path) -> Server {
    let authorities = format!("authorities = {:?}\n[shards]", theirs.join("cert.pem"));
    let config = tls::config("ring", ours, "tls:127.0.0.1:0").replace("[shards]", &authorities);
    Server::of(&format!("{config}{MODERATED}"))
}

#[test]
fn a_sips_uri_is_called_over_tls() {
    let [ours, theirs] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let identity = tls::certify(ours.path());
    tls::certify(theirs.path());
    let server = server_with_trust(ours.path(), theirs.path());
    let mut alice = server.join("alice", "lobby");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = alice.in_call("REFER", 2, &format!("Refer-To: <sips:carol@localhost:{port}>\r\n"), "");
    assert!(answer.starts_with("SIP/2.0 202 "), "{answer}");
    let mut stream = accept_secure(&listener, theirs.path()).unwrap();
    let invite = read_message(&mut stream);
    assert!(invite.starts_with("INVITE sips:carol@localhost:") && invite.contains("Via: SIP/2.0/TLS "), "{invite}");
    let shown = &stream.conn.peer_certificates().expect("the server shows its own where it is asked for it")[0];
    assert_eq!(fingerprint(shown, identity.fingerprints[0].hash), identity.fingerprints[0]);
    let echoed = |line: &&str| ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name));
    let tag = |line: &str| if line.starts_with("To:") { format!("{line};tag=c\r\n") } else { format!("{line}\r\n") };
    let head: String = invite.lines().filter(echoed).map(tag).collect();
    let sdp = tls::secure(&offer("carol"), "");
    let contact = format!("Contact: <sips:carol@localhost:{port}>\r\nContent-Type: application/sdp\r\n");
    let length = sdp.len();
    write!(stream, "SIP/2.0 200 OK\r\n{head}{contact}Content-Length: {length}\r\n\r\n{sdp}").unwrap();
    assert!(read_message(&mut stream).starts_with("ACK sips:carol@localhost:"), "on the same connection");
    assert_eq!(progress(&mut alice), ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]);
    alice.leave();
}

#[test]
fn a_peer_with_another_certificate_is_not_called() {
    let [ours, theirs] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    tls::certify(ours.path());
    tls::certify(theirs.path());
    let server = server_with_trust(ours.path(), theirs.path());
    let mut alice = server.join("alice", "lobby");
    // It is made for 127.0.0.1.
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let to = format!("Refer-To: <sips:carol@{}>\r\n", listener.local_addr().unwrap());
    alice.in_call("REFER", 2, &to, "");
    let heard = accept_secure(&listener, theirs.path()).and_then(|mut stream| stream.read_to_end(&mut Vec::new()));
    let told = heard.unwrap_err().to_string();
    assert!(told.contains("BadCertificate"), "{told}");
    assert_eq!(progress(&mut alice), ["SIP/2.0 100 Trying", "SIP/2.0 503 Service Unavailable"]);
    alice.leave();
}
