//! A member that does not read delays no one and takes a bounded amount of memory.

mod support;

use support::Server;

#[test]
fn a_stalled_member_delays_no_one_and_is_bounded() {
    stalled_member("ring");
}

#[test]
fn a_stalled_member_delays_no_one_on_glommio() {
    stalled_member("glommio");
}

#[test]
fn a_stalled_member_delays_no_one_on_epoll() {
    stalled_member("epoll");
}

fn stalled_member(io: &str) {
    let server = Server::with(&format!("io = \"{io}\"\n"));
    let mut alice = server.join("alice", "lobby");
    let stalled = server.join("stalled", "lobby");
    let mut bob = server.join("bob", "lobby");
    let before = server.memory_kib("VmRSS");
    let text = "x".repeat(8 * 1024);
    // Far more than kernel and outbox take for one who does not read.
    for round in 0..4000 {
        let body = alice.wrap("sip:lobby@127.0.0.1", &format!("{round} {text}"));
        let tid = alice.send(&format!("m{round}"), "", body.as_bytes());
        assert_eq!(alice.response(&tid), "200");
        assert_eq!(bob.message().unwrap(), body.as_bytes());
    }
    let growth = server.memory_kib("VmHWM").saturating_sub(before);
    assert!(growth < 8 * 1024, "it grew by {growth} KiB");
    drop(stalled);
}
