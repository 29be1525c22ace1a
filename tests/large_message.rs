//! A large file reaches a room completely, and leaves no memory allocated in the server.

mod support;

use std::hash::{DefaultHasher, Hasher};

use support::Server;

const RECEIVERS: usize = 9;
const OCTETS: usize = 50 * 1024 * 1024;
/// What the server may grow by while the file goes through.
const GROWTH_KIB_MAX: u64 = 20 * 1024;

fn hash(octets: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(octets);
    hasher.finish()
}

/// Octets that are not the same everywhere.
fn content() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let next = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    };
    (0..OCTETS / 8).flat_map(|_| next(&mut state).to_le_bytes()).collect()
}

#[test]
fn fifty_megabytes_reach_ten_members_without_a_leak() {
    fifty_megabytes("ring");
}

#[test]
fn fifty_megabytes_reach_ten_members_on_glommio() {
    fifty_megabytes("glommio");
}

#[test]
fn fifty_megabytes_reach_ten_members_on_epoll() {
    fifty_megabytes("epoll");
}

fn fifty_megabytes(io: &str) {
    // The test's own machine may be slow; nobody is to be given up for that.
    let server = Server::with(&format!("io = \"{io}\"\n[rooms.defaults]\ncongestion_patience = \"10s\"\n"));
    let mut sender = server.join("sender", "files");
    let receivers: Vec<_> = (0..RECEIVERS).map(|n| server.join(&format!("receiver{n}"), "files")).collect();
    let before = server.memory_kib("VmRSS");
    let mut body = sender.wrap("sip:files@127.0.0.1", "").into_bytes();
    body.extend(content());
    let expected = hash(&body);
    let threads: Vec<_> = receivers
        .into_iter()
        .map(|mut receiver| std::thread::spawn(move || receiver.message().map(|message| hash(&message))))
        .collect();
    let tid = sender.send("file", "", &body);
    assert_eq!(sender.response(&tid), "200");
    for thread in threads {
        assert_eq!(thread.join().unwrap(), Some(expected));
    }
    let growth = server.memory_kib("VmHWM").saturating_sub(before);
    println!("the server grew by {growth} KiB at most");
    assert!(growth < GROWTH_KIB_MAX, "it grew by {growth} KiB");
}
