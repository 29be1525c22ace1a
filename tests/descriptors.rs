//! The limit of file descriptors: each connection takes one.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::participant::{PATIENCE, call, offer};
use support::{BACK_ENDS, Server};

const OPTIONS: &str = "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKo\r\nFrom: <sip:a@h>;tag=a\r\n\
     To: <sip:127.0.0.1>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";

/// As few descriptors as a server starts with.
const MOST: usize = 300;

#[test]
fn the_server_raises_its_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // What is started from here begins with few.
    setrlimit(Resource::Nofile, Rlimit { current: Some(700), ..limit }).unwrap();
    let server = Server::start();
    let (soft, hard) = server.descriptor_limits();
    assert_eq!(soft, hard);
    assert_eq!(soft, limit.maximum.map_or("unlimited".to_owned(), |most| most.to_string()));
}

#[test]
fn without_descriptors_new_calls_get_503_and_others_continue() {
    let server = Server::start();
    let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    server.limit_descriptors(server.descriptors() + 40);
    let mut others = Vec::new();
    let (mut refused, answer) = loop {
        let name = format!("m{}", others.len());
        let (sip, answer) = call(&server.sip, &name, &offer(&name));
        if !answer.starts_with("SIP/2.0 200 ") {
            break (sip, answer);
        }
        others.push((sip, TcpStream::connect(&server.msrp).unwrap()));
        assert!(others.len() < 100);
    };
    assert!(answer.starts_with("SIP/2.0 503 ") && answer.contains("\r\nRetry-After: 10\r\n"), "{answer}");
    assert!(others.len() > 2, "{}", others.len());
    alice.say("still here");
    assert_eq!(bob.text(), "still here");
    refused.write(OPTIONS);
    assert!(refused.answer().starts_with("SIP/2.0 200 "), "only calls take connections");
    server.limit_descriptors(500);
    // It is looked at now and then.
    std::thread::sleep(Duration::from_millis(1100));
    server.join("late", "lobby").leave();
}

#[test]
fn a_failed_accept_is_logged_once_and_retried() {
    // One after the other: all at once take more descriptors than this process may have.
    BACK_ENDS.into_iter().for_each(cannot_accept_for_a_while);
}

fn cannot_accept_for_a_while(io: &str) {
    let config = "[sip]\nlisten = [\"tcp:127.0.0.1:0\"]\n[msrp]\nport = 0\n";
    let server = Server::with_descriptors(MOST, &format!("{config}{}io = \"{io}\"\n", support::one_shard()));
    let connect = |address| TcpStream::connect::<&str>(address).unwrap();
    let all: Vec<TcpStream> = (0..MOST).map(|_| connect(&server.sip)).collect();
    while server.descriptors() < MOST as u64 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (mut sip, mut msrp) = (connect(&server.sip), connect(&server.msrp));
    sip.write_all(OPTIONS.as_bytes()).unwrap();
    let binding = "MSRP abcd SEND\r\nTo-Path: msrp://h:1/a;tcp\r\nFrom-Path: msrp://h:2/b;tcp\r\n-------abcd$\r\n";
    msrp.write_all(binding.as_bytes()).unwrap();
    // Each is tried again several times.
    std::thread::sleep(Duration::from_millis(1500));
    drop(all);
    for stream in [&mut sip, &mut msrp] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(stream.read(&mut [0; 512]).unwrap() > 0, "{io}");
    }
    let log = server.log();
    for what in ["cannot accept a SIP connection", "cannot accept an MSRP connection"] {
        assert_eq!(log.matches(what).count(), 1, "{io}: {log}");
    }
}
