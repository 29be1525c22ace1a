//! Clients that only listen: the server connects to them (RFC 6135, RFC 4975 §5.4).

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use support::Server;
use support::participant::{Sip, offer};

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

fn passive(name: &str, host: &str, port: u16) -> String {
    let at = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    offer(name)
        .replace("setup:active", "setup:passive")
        .replace("m=message 9 ", &format!("m=message {port} "))
        .replace("msrp://127.0.0.1:9/", &format!("msrp://{at}:{port}/"))
}

/// Calls; answers the connection and the answer.
fn call(address: &str, name: &str, offer: &str) -> (Sip, String) {
    let mut sip = Sip::connect(address);
    let (from, room) = (format!("<sip:{name}@127.0.0.1>;tag={name}"), "sip:lobby@127.0.0.1");
    let (to, call) = (format!("<{room}>"), format!("call-{name}"));
    sip.request("INVITE", room, &from, &to, &call, 1, "Content-Type: application/sdp\r\n", offer);
    let answer = sip.answer();
    if answer.starts_with("SIP/2.0 200") {
        let to = answer.lines().find_map(|line| line.strip_prefix("To: ")).unwrap().to_owned();
        sip.request("ACK", room, &from, &to, &call, 1, "", "");
    }
    (sip, answer)
}

/// The head of the next chunk, up to its end-line.
fn chunk(stream: &mut BufReader<TcpStream>) -> String {
    let mut text = String::new();
    while !text.contains("\r\n-------") {
        assert!(stream.read_line(&mut text).unwrap() > 0, "{text}");
    }
    text
}

fn listens_and_takes_part(io: &str) {
    let more = format!("io = \"{io}\"\n");
    let server = Server::with(&more);
    let mut alice = server.join("alice", "lobby");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_sip, answer) = call(&server.sip, "bob", &passive("bob", "127.0.0.1", port));
    assert!(answer.contains("a=setup:active"), "{answer}");
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
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
fn a_client_that_listens_is_connected_to_and_takes_part() {
    listens_and_takes_part("ring");
}

#[test]
fn the_other_shell_connects_as_well() {
    listens_and_takes_part("glommio");
}

#[test]
fn nobody_there_and_nobody_answering_end_the_call() {
    let server = Server::start();
    let port = Server::free_port();
    let (mut sip, answer) = call(&server.sip, "bob", &passive("bob", "127.0.0.1", port));
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let bye = sip.next();
    assert!(bye.starts_with("BYE ") && bye.contains("MSRP peer out of reach"), "{bye}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut sip, _) =
        call(&server.sip, "carol", &passive("carol", "127.0.0.1", listener.local_addr().unwrap().port()));
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_exact(&mut [0; 10]).unwrap();
    drop(stream);
    let bye = sip.next();
    assert!(bye.starts_with("BYE ") && bye.contains("MSRP peer out of reach"), "{bye}");
}

#[test]
fn a_stranger_cannot_point_the_server_at_others() {
    let server = Server::start();
    let others = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = others.local_addr().unwrap().port();
    let offer = passive("mallory", "127.0.0.2", port).replace("c=IN IP4 127.0.0.1", "c=IN IP4 127.0.0.2");
    let (_sip, answer) = call(&server.sip, "mallory", &offer);
    assert!(answer.starts_with("SIP/2.0 488") && answer.contains("does not connect to 127.0.0.2"), "{answer}");
    others.set_nonblocking(true).unwrap();
    assert!(others.accept().is_err());
}
