//! Digest authentication against the server's binary, with `parlor chat` as the client.

mod support;

use std::time::Instant;

use support::Server;
use support::chat::Chat;
use support::participant::PATIENCE;

const USERS: &str = "[sip.auth]\nrealm = \"localhost\"\n[sip.auth.users]\nalice = \"wonderland\"\nbob = \"builder\"\n";

fn chat(server: &Server, transport: &str, user: &str, password: &str, more: &[&str]) -> Chat {
    let via = format!("{transport}:{}", server.address(&format!("{transport}:")));
    let arguments = ["sip:lobby@localhost", "--via", &via, "--user", user];
    Chat::start_with(password, &[&arguments, more].concat())
}

#[test]
fn users_with_passwords_chat_over_udp_and_tcp() {
    let server = Server::with(USERS);
    for transport in ["tcp", "udp"] {
        let mut alice = chat(&server, transport, "alice", "wonderland", &[]);
        alice.say("/msg sip:alice@localhost hello");
        let line = alice.line();
        assert!(line.ends_with("(private): hello"), "{line}");
        let (code, _, complaints) = alice.end();
        assert_eq!(code, Some(0), "the BYE is answered with the password too: {complaints}");
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
        let (code, said) = chat(&server, "tcp", user, password, more).wait();
        assert!(code == Some(1) && said.contains(status), "{user}: {said}");
        assert!(!said.contains(password) || password == "x", "{said}");
    }
}

#[test]
fn hup_reloads_users() {
    let mut server = Server::with(USERS);
    server.rewrite_config(&USERS.replace("wonderland", "looking-glass"));
    server.signal("HUP");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (code, _, said) = chat(&server, "tcp", "alice", "looking-glass", &[]).end();
        if code == Some(0) {
            break;
        }
        assert!(Instant::now() < deadline, "{said}");
    }
}
