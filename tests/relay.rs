//! Several sessions on one connection, as a relay brings them.

mod support;

use std::collections::HashSet;

use support::{Participant, Server};

#[test]
fn every_session_of_a_connection_gets_a_copy_of_its_own() {
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
fn what_one_session_of_a_connection_says_the_others_on_it_get() {
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
