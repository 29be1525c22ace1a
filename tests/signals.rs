//! The effects of signals.

mod support;

use support::{Server, config};

#[test]
fn term_ends_all_calls_and_the_server() {
    let server = Server::start();
    let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    alice.say("last words");
    server.signal("TERM");
    for participant in [&mut alice, &mut bob] {
        participant.hung_up_on();
    }
    assert_eq!(bob.text(), "last words");
    assert!(alice.next_chunk().is_none() && bob.next_chunk().is_none(), "connections are closed");
    assert!(server.wait().success());
}

#[test]
fn a_drain_timeout_is_logged_with_what_is_left() {
    let config = "[sip]\nlisten = [\"tcp:127.0.0.1:0\"]\ndrain_timeout = \"1s\"\n[msrp]\nport = 0\n";
    let server = Server::of(&format!("{config}{}", support::one_shard()));
    let mut alice = server.join("alice", "lobby");
    server.signal("TERM");
    alice.sees_bye();
    let log = server.log_at_end();
    let line = log.lines().find(|line| line.contains("the time to drain is over")).expect(&log);
    assert!(line.ends_with("calls=0 invitations=0 byes=1 subscriptions=0 shards=1"), "{line}");
}

#[test]
fn a_second_int_stops_immediately() {
    let server = Server::with("");
    let mut alice = server.join("alice", "lobby");
    server.signal("INT");
    // The BYE shows that the first was heard. It is never answered, so the drain goes on.
    alice.sees_bye();
    server.signal("INT");
    assert!(server.wait().success());
}

#[test]
fn hup_replaces_policies_unless_the_config_is_invalid() {
    let mut server = Server::with("[rooms.defaults]\nnicknames = true\n");
    let mut alice = server.join("alice", "lobby");
    assert_eq!(alice.nickname("\"Ally\""), "200");
    server.rewrite_config("[rooms.defaults]\nnicknames = 7\n");
    server.signal("HUP");
    server.rewrite_config("[rooms.defaults]\nnicknames = false\n");
    server.signal("HUP");
    while alice.nickname("\"Alice\"") != "403" {
        assert!(server.is_up());
    }
}

#[test]
fn other_signals_are_ignored() {
    let server = Server::start();
    for signal in ["USR1", "USR2", "ALRM", "VTALRM", "PROF", "IO", "PWR", "PIPE", "WINCH", "CONT"] {
        server.signal(signal);
        drop(server.join(signal, "lobby"));
    }
    let log = server.log();
    assert!(log.contains("signal=\"USR1\"") && log.contains("drained after a signal"), "{log}");
}

#[test]
fn the_ports_are_free_after_the_exit() {
    let (sip, msrp) = (Server::free_port(), Server::free_port());
    let fixed = config("")
        .replace("listen = [\"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\"]", &format!("listen = [\"tcp:127.0.0.1:{sip}\"]"))
        .replace("port = 0", &format!("port = {msrp}"));
    for round in 0..6 {
        let server = Server::of(&fixed);
        let mut alice = server.join("alice", "lobby");
        server.signal("TERM");
        if round % 2 == 0 {
            alice.hung_up_on();
        } else {
            // A second one ends it while the shard still runs.
            alice.sees_bye();
            server.signal("TERM");
        }
        assert!(server.wait().success());
        for port in [sip, msrp] {
            std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        }
    }
}

#[test]
fn a_port_in_use_is_retried() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (mut child, _config) = support::spawn(&config("").replace("port = 0", &format!("port = {port}")));
    // It has not given up yet, and does not while there is a port.
    std::thread::sleep(std::time::Duration::from_millis(200));
    drop(taken);
    let mut ready = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut ready).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ready.contains(&format!("msrp:127.0.0.1:{port}")), "{ready}");
}
