//! Several sessions on one connection, as with a relay.

mod support;

use std::collections::HashSet;

use support::{Participant, Server};

#[test]
fn every_session_of_a_shared_connection_gets_a_copy() {
    let server = Server::start();
    let mut alice = server.join("alice", "lobby");
    let mut relay = server.join("bob", "lobby");
    let mut paths = vec![(relay.to_path.clone(), relay.from_path.clone())];
    // Their own connections stay unused: they are bound to bob's.
    let others = ["carol", "dave"].map(|name| Participant::call(&server, name, "lobby"));
    for other in &others {
        (relay.to_path, relay.from_path) = (other.to_path.clone(), other.from_path.clone());
        relay.bind();
        paths.push((other.to_path.clone(), other.from_path.clone()));
    }
    alice.say("one text");
    let mut ids = HashSet::new();
    let mut seen = Vec::new();
    for _ in &paths {
        let chunk = relay.next_chunk().unwrap();
        assert!(chunk.body.ends_with(b"one text"));
        assert!(ids.insert(chunk.tid.clone()), "{} is there twice", chunk.tid);
        seen.push((chunk.header("From-Path").unwrap().to_owned(), chunk.header("To-Path").unwrap().to_owned()));
    }
    seen.sort();
    paths.sort();
    assert_eq!(seen, paths);
}

#[test]
fn sessions_of_a_shared_connection_receive_from_each_other() {
    let server = Server::start();
    let mut relay = server.join("bob", "lobby");
    let carol = Participant::call(&server, "carol", "lobby");
    let bob = (relay.to_path.clone(), relay.from_path.clone());
    (relay.to_path, relay.from_path) = (carol.to_path.clone(), carol.from_path.clone());
    relay.bind();
    (relay.to_path, relay.from_path) = bob;
    relay.say("over here");
    let chunk = relay.next_chunk().unwrap();
    assert_eq!(chunk.header("From-Path"), Some(carol.to_path.as_str()));
    assert!(chunk.body.ends_with(b"over here"));
}

#[test]
fn the_path_through_a_relay_is_used_for_responses() {
    let server = Server::start();
    let path = "msrp://127.0.0.1:2855/relay;tcp msrp://127.0.0.1:9/bobpath;tcp";
    let offer =
        support::participant::offer("bob").replace("a=path:msrp://127.0.0.1:9/bobpath;tcp", &format!("a=path:{path}"));
    let mut bob = Participant::call_as(&server, "bob", "bob", "lobby", &offer);
    bob.from_path = path.to_owned();
    let tid = bob.request("SEND", "Message-ID: bind\r\nByte-Range: 1-0/0\r\n", None, '$');
    let answer = bob.next_chunk().unwrap();
    assert_eq!((answer.tid.as_str(), answer.what.as_str()), (tid.as_str(), "200"));
    assert_eq!(answer.header("To-Path"), Some("msrp://127.0.0.1:2855/relay;tcp"), "hop by hop (RFC 4975 §7.2)");
    bob.request("NICKNAME", "Use-Nickname: \"Bob\"\r\n", None, '$');
    assert_eq!(bob.next_chunk().unwrap().header("To-Path"), Some(path), "other methods go the whole way");
    server.join("alice", "lobby").say("through the relay");
    let copy = bob.next_chunk().unwrap();
    assert_eq!(copy.header("To-Path"), Some(path));
    assert_eq!(copy.header("From-Path"), Some(bob.to_path.as_str()));
}

#[test]
fn addresses_may_be_rewritten_but_not_session_ids() {
    let server = Server::start();
    let mut alice = server.join("alice", "lobby");
    let mut bob = Participant::call(&server, "bob", "lobby");
    // What an SBC makes of both paths: its own address, the same session-ids (RFC 6714 §4).
    let id = bob.to_path.rsplit('/').next().unwrap().to_owned();
    bob.to_path = format!("msrp://sbc.example:9000/{id}");
    bob.from_path = "msrp://sbc.example:9001/bobpath;tcp".into();
    bob.bind();
    bob.say("from behind it");
    assert!(alice.text().ends_with("from behind it"));
    alice.say("to behind it");
    assert!(bob.text().ends_with("to behind it"));
}
