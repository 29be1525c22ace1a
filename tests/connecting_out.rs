//! Passive clients, which the server connects to (RFC 6135, RFC 4975 §5.4).

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use parlor::tls::{Identity, TlsSetup, Trust, fingerprint};
use parlor_proto::sdp::{Fingerprint, HashFunction};
use rustls::{ServerConnection, StreamOwned};
use support::participant::{PATIENCE, Sip, call, offer};
use support::tls::{self, certify, secure};
use support::{BACK_ENDS, Participant, Server};

fn passive(name: &str, host: &str, port: u16) -> String {
    let at = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    offer(name)
        .replace("setup:active", "setup:passive")
        .replace("m=message 9 ", &format!("m=message {port} "))
        .replace("msrp://127.0.0.1:9/", &format!("msrp://{at}:{port}/"))
}

/// The head of the next chunk, up to its end-line.
fn chunk(stream: &mut impl BufRead) -> String {
    let mut text = String::new();
    while !text.contains("\r\n-------") {
        assert!(stream.read_line(&mut text).unwrap() > 0, "{text}");
    }
    text
}

fn passive_client_joins(io: &str) {
    let more = format!("io = \"{io}\"\n");
    let server = Server::with(&more);
    let mut alice = server.join("alice", "lobby");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_sip, answer) = call(&server.sip, "bob", &passive("bob", "127.0.0.1", port));
    assert!(answer.contains("a=setup:active"), "{answer}");
    exchange_messages(accept(&listener), &mut alice);
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What one who was connected to does, and gets.
fn exchange_messages(stream: impl Read + Write, alice: &mut Participant) {
    let mut stream = BufReader::new(stream);
    let bind = chunk(&mut stream);
    assert!(
        bind.contains(" SEND\r\n") && bind.contains("Byte-Range: 1-0/0") && !bind.contains("Content-Type"),
        "{bind}"
    );
    let line = |name: &str| bind.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let (tid, ours, theirs) = (bind.split(' ').nth(1).unwrap().to_owned(), line("To-Path: "), line("From-Path: "));
    assert!(ours.ends_with("/bobpath;tcp"), "{ours}");
    write!(stream.get_mut(), "MSRP {tid} 200 OK\r\nTo-Path: {theirs}\r\nFrom-Path: {ours}\r\n-------{tid}$\r\n")
        .unwrap();
    // From now on it takes part: it may speak, and is spoken to.
    write!(
        stream.get_mut(),
        "MSRP live0001 SEND\r\nTo-Path: {theirs}\r\nFrom-Path: {ours}\r\nMessage-ID: k\r\n-------live0001$\r\n"
    )
    .unwrap();
    assert!(chunk(&mut stream).starts_with("MSRP live0001 200"));
    alice.say("welcome");
    assert!(chunk(&mut stream).contains("welcome"));
}

#[test]
fn a_passive_client_is_connected_to() {
    passive_client_joins("ring");
}

#[test]
fn a_passive_client_is_connected_to_on_glommio() {
    passive_client_joins("glommio");
}

#[test]
fn a_passive_client_is_connected_to_on_epoll() {
    passive_client_joins("epoll");
}

#[test]
fn an_unreachable_passive_client_is_hung_up_on() {
    let server = Server::start();
    let port = Server::free_port();
    let (mut sip, answer) = call(&server.sip, "bob", &passive("bob", "127.0.0.1", port));
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let bye = sip.next();
    assert!(bye.starts_with("BYE ") && bye.contains("MSRP peer unreachable"), "{bye}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut sip, _) =
        call(&server.sip, "carol", &passive("carol", "127.0.0.1", listener.local_addr().unwrap().port()));
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_exact(&mut [0; 10]).unwrap();
    drop(stream);
    let bye = sip.next();
    assert!(bye.starts_with("BYE ") && bye.contains("MSRP peer unreachable"), "{bye}");
}

/// Accepts the call to an invited user, and answers as passive on a port. Returns the offer and the call.
fn answer_as_passive(calls: &TcpListener, port: u16) -> (Sip, String) {
    let mut sip = Sip::on(accept(calls));
    let invite = sip.next();
    assert!(invite.starts_with("INVITE "), "{invite}");
    sip.reply(&invite, "200 OK", "bob", &passive("bob", "127.0.0.1", port));
    let ack = sip.next();
    assert!(ack.starts_with("ACK "), "{ack}");
    (sip, invite)
}

/// A server whose rooms have a moderator, a participant, a listener for a call and one for MSRP; a user is being called.
fn invite_user(io: &str, connect_out: &str) -> (Server, Participant, TcpListener, TcpListener) {
    let more = format!("io = \"{io}\"\n[rooms.defaults]\nmoderators = [\"creator\"]\n");
    let msrp = format!("[msrp]\nconnect_out = \"{connect_out}\"\n");
    let server = Server::of(&support::config(&more).replace("[msrp]\n", &msrp));
    let mut alice = server.join("alice", "lobby");
    let [calls, listener] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let to = format!("Refer-To: <sip:bob@{};transport=tcp>\r\nRefer-Sub: false\r\n", calls.local_addr().unwrap());
    let answer = alice.in_call("REFER", 2, &to, "");
    assert!(answer.starts_with("SIP/2.0 202 "), "{answer}");
    (server, alice, calls, listener)
}

#[test]
fn an_invited_passive_client_is_connected_to() {
    for io in BACK_ENDS {
        let (_server, mut alice, calls, listener) = invite_user(io, "source");
        let (_sip, invite) = answer_as_passive(&calls, listener.local_addr().unwrap().port());
        assert!(invite.contains("a=setup:actpass\r\n"), "{invite}");
        exchange_messages(accept(&listener), &mut alice);
    }
}

#[test]
fn an_invited_passive_client_is_hung_up_on_without_connect_out() {
    let (_server, mut alice, calls, listener) = invite_user("ring", "never");
    let (mut sip, _) = answer_as_passive(&calls, listener.local_addr().unwrap().port());
    let bye = sip.next();
    assert!(bye.starts_with("BYE ") && bye.contains("cause=488"), "{bye}");
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
    alice.say("still here");
}

#[test]
fn a_caller_cannot_direct_connections_to_other_hosts() {
    let server = Server::start();
    let others = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = others.local_addr().unwrap().port();
    let offer = passive("mallory", "127.0.0.2", port).replace("c=IN IP4 127.0.0.1", "c=IN IP4 127.0.0.2");
    let (_sip, answer) = call(&server.sip, "mallory", &offer);
    assert!(answer.starts_with("SIP/2.0 488") && answer.contains("does not connect to 127.0.0.2"), "{answer}");
    others.set_nonblocking(true).unwrap();
    assert!(others.accept().is_err());
}

/// Accepts, as one who shows a certificate and asks for one.
fn accept_tls(listener: &TcpListener, shown: &Identity) -> std::io::Result<StreamOwned<ServerConnection, TcpStream>> {
    let setup = TlsSetup::new(shown, &Trust::load(None).unwrap()).unwrap();
    let mut stream = StreamOwned::new(ServerConnection::new(setup.msrp_server).unwrap(), accept(listener));
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// A server with TLS and a client that listens with a certificate of its own, which has named the fingerprint of another one
/// if `honest` is false.
fn passive_tls_client(io: &str, honest: bool) {
    let [ours, theirs, others] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let our_identity = certify(ours.path());
    let (shown, other) = (certify(theirs.path()), certify(others.path()));
    let server = Server::of(&tls::config(io, ours.path(), "udp:127.0.0.1:0"));
    let mut alice = server.join("alice", "lobby");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let offer = passive("bob", "127.0.0.1", listener.local_addr().unwrap().port());
    let named = if honest { &shown } else { &other }.fingerprints[0].clone();
    let (mut sip, answer) = call(&server.sip, "bob", &secure(&offer, &format!("a=fingerprint:{named}\r\n")));
    assert!(answer.starts_with("SIP/2.0 200") && answer.contains("a=setup:active"), "{answer}");
    let stream = accept_tls(&listener, &shown);
    if !honest {
        // Over TLS 1.3 a server is done with its part before the client has looked at it.
        let mut spoken = Vec::new();
        let told = stream.and_then(|mut stream| stream.read_to_end(&mut spoken)).unwrap_err().to_string();
        assert!(told.contains("BadCertificate"), "{told}");
        assert!(spoken.is_empty(), "nothing is said to a stranger: {}", String::from_utf8_lossy(&spoken));
        let bye = sip.next();
        assert!(bye.starts_with("BYE ") && bye.contains("MSRP certificate mismatch"), "{bye}");
        return alice.say("still here");
    }
    let stream = stream.unwrap();
    let certificate = &stream.conn.peer_certificates().expect("the server shows its own")[0];
    let of_answer = answer.lines().find_map(|line| line.strip_prefix("a=fingerprint:")).unwrap();
    assert_eq!(Fingerprint::parse(of_answer), Some(fingerprint(certificate, HashFunction::Sha256)));
    assert_eq!(our_identity.fingerprints[0], fingerprint(certificate, HashFunction::Sha256));
    exchange_messages(stream, &mut alice);
}

#[test]
fn a_passive_tls_client_with_its_fingerprint_is_connected_to() {
    BACK_ENDS.into_iter().for_each(|io| passive_tls_client(io, true));
}

#[test]
fn nothing_is_sent_to_a_passive_client_with_another_certificate() {
    BACK_ENDS.into_iter().for_each(|io| passive_tls_client(io, false));
}
