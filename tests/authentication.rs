//! Passwords over the real binary, with `parlor chat` as the client.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use support::Server;

const USERS: &str = "[sip.auth]\nrealm = \"localhost\"\n[sip.auth.users]\nalice = \"wonderland\"\nbob = \"builder\"\n";

fn chat(server: &Server, transport: &str, user: &str, password: &str, more: &[&str]) -> Child {
    let address = if transport == "udp" { server.ready.split("udp:").nth(1).unwrap() } else { server.sip.as_str() };
    let via = format!("{transport}:{}", address.split_whitespace().next().unwrap());
    Command::new(env!("CARGO_BIN_EXE_parlor"))
        .args(["chat", "sip:lobby@localhost", "--via", &via, "--user", user])
        .args(more)
        .env("PARLOR_PASSWORD", password)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn outcome(child: Child) -> (bool, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn who_knows_the_password_chats_over_udp_and_tcp() {
    let server = Server::with(USERS);
    for transport in ["tcp", "udp"] {
        let mut alice = chat(&server, transport, "alice", "wonderland", &[]);
        alice.stdin.as_mut().unwrap().write_all(b"/msg sip:alice@localhost hello\n").unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(alice.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert!(line.trim_end().ends_with("(private): hello"), "{line}");
        drop(alice.stdin.take());
        output.read_to_string(&mut line).unwrap();
        assert!(outcome(alice).0, "the BYE is answered with the password too");
    }
}

#[test]
fn a_wrong_password_and_another_user_are_refused() {
    let server = Server::with(USERS);
    for (user, password, more, status) in [
        ("alice", "guess", &[][..], "401"),
        ("mallory", "x", &[], "401"),
        ("bob", "builder", &["--as", "sip:alice@localhost"], "403"),
    ] {
        let (well, said) = outcome(chat(&server, "tcp", user, password, more));
        assert!(!well && said.contains(status), "{user}: {said}");
        assert!(!said.contains(password) || password == "x", "{said}");
    }
}

#[test]
fn users_are_read_again_from_the_config() {
    let mut server = Server::with(USERS);
    server.rewrite_config(&USERS.replace("wonderland", "looking-glass"));
    server.signal("HUP");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let (well, said) = outcome({
            let mut child = chat(&server, "tcp", "alice", "looking-glass", &[]);
            drop(child.stdin.take());
            child
        });
        if well {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{said}");
    }
}
