//! Invalid input of one peer does not affect others.

#[path = "support/numbers.rs"]
mod numbers;
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use numbers::Numbers;
use support::Server;

#[test]
fn mutated_input_does_not_disturb_others() {
    let mut server = Server::start();
    let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    let mut numbers = Numbers::new(1);
    for round in 0..300 {
        let mut stranger = server.join(&format!("stranger{round}"), "attic");
        let body = stranger.wrap("sip:attic@127.0.0.1", "text");
        let legal = format!(
            "MSRP abcd SEND\r\nTo-Path: {}\r\nFrom-Path: {}\r\nMessage-ID: m{round}\r\nByte-Range: 1-{2}/{2}\r\n\
             Content-Type: message/cpim\r\n\r\n{body}\r\n-------abcd$\r\n",
            stranger.to_path,
            stranger.from_path,
            body.len()
        );
        let mut mutant = legal.into_bytes();
        numbers.mutate(&mut mutant, b"");
        let _ = stranger.msrp.write_all(&mutant);
    }
    alice.say("still here");
    assert_eq!(bob.text(), "still here");
    assert!(server.is_up());
}

#[test]
fn connections_without_sip_or_msrp_are_closed() {
    let mut server = Server::start();
    for address in [server.sip.clone(), server.msrp.clone()] {
        for garbage in
            [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xff; 4096], b"MSRP \r\n\r\n", b"\x16\x03\x01\x02\x00"]
        {
            let mut stream = TcpStream::connect(&address).unwrap();
            let _ = stream.write_all(garbage);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
        }
    }
    let mut alice = server.join("alice", "lobby");
    alice.say("fine");
    assert!(server.is_up());
}
