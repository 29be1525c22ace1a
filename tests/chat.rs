//! `parlor chat` without a terminal, against the server's binary.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use support::Server;
use support::chat::Chat;

/// A participant in the lobby.
fn join(server: &Server, name: &str, more: &[&str]) -> Chat {
    let (identity, via) = (format!("sip:{name}@localhost"), format!("tcp:{}", server.sip));
    Chat::start(&[&["sip:lobby@localhost", "--as", &identity, "--via", &via], more].concat())
}

/// A participant that has joined.
fn present(server: &Server, name: &str, more: &[&str]) -> Chat {
    let via = format!("tcp:{}", server.sip);
    Chat::present(&format!("sip:{name}@localhost"), &[&["sip:lobby@localhost", "--via", &via], more].concat())
}

/// Who is there, by /who.
fn who(chat: &mut Chat) -> Vec<String> {
    chat.say("/who");
    chat.say("/msg alice that is all");
    let mut lines = Vec::new();
    loop {
        match chat.line() {
            line if line.ends_with(": that is all") => return lines,
            line => lines.push(line),
        }
    }
}

const FINE: Option<i32> = Some(0);

#[test]
fn a_line_is_a_message_to_the_others() {
    let server = Server::start();
    let mut alice = present(&server, "alice", &[]);
    let mut bob = present(&server, "bob", &["--nick", "Bob the Builder"]);
    alice.say("hello there");
    assert_eq!(bob.line(), "alice@localhost: hello there");
    bob.say("//etc/hosts \u{1f600}");
    assert_eq!(alice.line(), "Bob the Builder: /etc/hosts \u{1f600}");
    assert_eq!(alice.end(), (FINE, String::new(), String::new()));
    assert_eq!(bob.end(), (FINE, String::new(), String::new()));
}

#[test]
fn leaving_is_not_logged_as_a_lost_connection() {
    let server = Server::start();
    let alice = present(&server, "alice", &[]);
    assert_eq!(alice.end(), (FINE, String::new(), String::new()));
    let log = server.log();
    assert!(log.contains("the peer hung up") && !log.contains("lost"), "{log}");
}

#[test]
fn missing_and_wrong_passwords_have_different_errors() {
    let server = Server::with("[sip.auth.users]\nalice = \"wonderland\"\n");
    let (code, _, complaint) = join(&server, "alice", &[]).end();
    assert_eq!(code, Some(1));
    assert!(complaint.contains("401") && complaint.contains("--user NAME"), "{complaint}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "looking-glass\n").unwrap();
    let with_password = ["--user", "alice", "--password-file", file.path().to_str().unwrap()];
    let (code, _, complaint) = join(&server, "alice", &with_password).end();
    assert_eq!(code, Some(1));
    assert!(complaint.contains("does not take this user with this password"), "{complaint}");
    std::fs::write(file.path(), "wonderland\n").unwrap();
    assert_eq!(join(&server, "alice", &with_password).end(), (FINE, String::new(), String::new()));
}

#[test]
fn private_messages_are_addressed_by_name() {
    let server = Server::start();
    let mut alice = present(&server, "alice", &[]);
    let mut bob = present(&server, "bob", &["--nick", "Bobby"]);
    let mut carol = present(&server, "carol", &[]);
    bob.say("hi all");
    assert_eq!((alice.line(), carol.line()), ("Bobby: hi all".into(), "Bobby: hi all".into()));
    // By the name that was seen, by the user part at one's own host.
    alice.say("/msg bobby one");
    alice.say("/msg carol two");
    assert_eq!(bob.line(), "alice@localhost (private): one");
    assert_eq!(carol.line(), "alice@localhost (private): two");
    let everybody = ["sip:alice@localhost (you)", "Bobby <sip:bob@localhost>", "sip:carol@localhost"];
    // Carol, who has said nothing, is there too, as soon as alice was told of her.
    while who(&mut alice) != everybody {}
    assert_eq!(alice.end(), (FINE, String::new(), String::new()));
}

#[test]
fn refusals_are_shown_and_set_the_exit_code() {
    let server = Server::start();
    let _bob = present(&server, "bob", &["--nick", "Bob"]);
    let mut alice = join(&server, "alice", &[]);
    alice.say("/nick BOB");
    alice.say("/msg sip:nobody@localhost psst");
    alice.say("/dance");
    let (code, _, complaints) = alice.end();
    assert_eq!(code, Some(1));
    for part in ["the nickname BOB is refused: 425", "a message was not delivered: 404", "there is no /dance"] {
        assert!(complaints.contains(part), "{part} in {complaints}");
    }
}

#[test]
fn a_file_is_sent_to_the_room() {
    let server = Server::start();
    let mut bob = present(&server, "bob", &[]);
    let mut file = tempfile::Builder::new().suffix(".png").tempfile().unwrap();
    let octets: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    file.write_all(&octets).unwrap();
    let mut alice = join(&server, "alice", &["--nick", "Alice"]);
    alice.say(&format!("/send {}", file.path().display()));
    alice.say("that was it");
    assert_eq!(alice.end(), (FINE, String::new(), String::new()));
    assert_eq!(bob.line(), "Alice: [image/png, 3000000 bytes]");
    assert_eq!(bob.line(), "Alice: that was it");
    let mut alice = join(&server, "alice", &[]);
    alice.say("/send no-such-file");
    let (code, _, complaints) = alice.end();
    assert_eq!(code, Some(1));
    assert!(complaints.contains("no-such-file cannot be sent"), "{complaints}");
}

#[test]
fn the_chat_ends_after_every_response() {
    let server = Server::start();
    let mut bob = present(&server, "bob", &[]);
    let mut alice = join(&server, "alice", &[]);
    for i in 0..500 {
        alice.say(&format!("line {i}"));
    }
    assert_eq!(alice.end(), (FINE, String::new(), String::new()));
    for i in 0..500 {
        assert_eq!(bob.line(), format!("alice@localhost: line {i}"));
    }
}

#[test]
fn a_host_name_is_resolved() {
    let server = Server::start();
    let (_, port) = server.sip.rsplit_once(':').unwrap();
    let by_name = format!("sip:lobby@localhost:{port};transport=tcp");
    let output =
        Command::new(env!("CARGO_BIN_EXE_parlor")).args(["chat", &by_name]).stdin(Stdio::null()).output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (FINE, Vec::new()));
}

#[test]
fn a_refused_call_is_an_error() {
    let server = Server::with("[rooms]\non_demand = false\n");
    let (code, _, complaints) = join(&server, "alice", &[]).end();
    assert_eq!(code, Some(1));
    assert!(complaints.starts_with("parlor: the room refuses the call: 404"), "{complaints}");
}

#[test]
fn the_chat_ends_with_the_server() {
    let server = Server::start();
    let alice = present(&server, "alice", &[]);
    server.signal("TERM");
    // The input stays open.
    let (code, complaints) = alice.wait();
    assert_eq!(code, Some(1));
    assert!(complaints.contains("the room has ended the call"), "{complaints}");
}

/// A guest, without --as.
fn chat_as_guest(server: &Server, more: &[&str], input: &str) -> (Option<i32>, String, String) {
    let via = format!("tcp:{}", server.sip);
    let mut chat = Chat::start(&[&["sip:lobby@localhost", "--via", &via], more].concat());
    chat.say(input);
    chat.end()
}

#[test]
fn a_script_with_a_nickname_may_run_again_at_once() {
    let server = Server::start();
    let mut bob = present(&server, "bob", &[]);
    for nick in ["CI", "CI", "ci", "Another One"] {
        assert_eq!(chat_as_guest(&server, &["--nick", nick], "built"), (FINE, String::new(), String::new()), "{nick}");
    }
    for who in ["CI", "CI", "ci", "Another One"] {
        assert_eq!(bob.line(), format!("{who}: built"));
    }
}

#[test]
fn guests_with_different_nicknames_are_different_users() {
    let server = Server::start();
    let via = format!("tcp:{}", server.sip);
    let mut bob = present(&server, "bob", &["--nick", "Bob"]);
    let mut owl = Chat::start(&["sip:lobby@localhost", "--via", &via, "--nick", "Owl"]);
    owl.say("hoot");
    assert_eq!(bob.line(), "Owl: hoot");
    let (code, output, complaints) = chat_as_guest(&server, &["--nick", "Fox"], "/msg Bob only for you");
    assert_eq!((code, output.as_str(), complaints.as_str()), (FINE, "", ""));
    assert_eq!(bob.line(), "Fox (private): only for you");
    assert_eq!(owl.end(), (FINE, String::new(), String::new()));
}

#[test]
fn a_guest_without_its_nickname_is_warned_and_may_chat() {
    let server = Server::start();
    let mut bob = present(&server, "bob", &["--nick", "Bob"]);
    for (more, input) in
        [(&["--nick", "Bob"][..], "one"), (&[], "/nick bob\ntwo"), (&["--anonymous", "--nick", "Bob"], "three")]
    {
        let (code, _, warning) = chat_as_guest(&server, more, input);
        assert_eq!(code, FINE, "{warning}");
        assert!(warning.contains("is refused: 425") && warning.contains("--as"), "{warning}");
        assert!(bob.line().ends_with(input.lines().last().unwrap()));
    }
    // An anonymous one is another at each run, so that its own nickname may be in quarantine.
    for _ in 0..2 {
        assert_eq!(chat_as_guest(&server, &["--anonymous", "--nick", "Owl"], "hoot").0, FINE);
    }
    // Who has said who it is wants what it asks for.
    let mut carol = join(&server, "carol", &["--nick", "Bob"]);
    carol.say("four");
    assert_eq!(carol.end().0, Some(1));
}

#[test]
fn a_wrong_domain_is_reported_to_the_caller_and_logged() {
    let server = Server::start();
    let via = format!("tcp:{}", server.sip);
    let wrong = Chat::start(&["sip:lobby@chat.example.com", "--as", "sip:al@localhost", "--via", &via]);
    let (code, complaints) = wrong.wait();
    assert_eq!(code, Some(1));
    let expected = "404 Not Found (chat.example.com is none of the hosts in sip.domains); call the room at a host";
    assert!(complaints.contains(expected) && !complaints.contains("no such room"), "{complaints}");
    let log = server.log();
    assert!(log.contains("chat.example.com is none of the hosts in sip.domains"), "{log}");
    // A room that is not there has nothing to do with it.
    let server = Server::with("[rooms]\non_demand = false\n");
    let (_, complaints) = join(&server, "alice", &[]).wait();
    assert!(complaints.contains("no such room") && !complaints.contains("sip.domains"), "{complaints}");
}

#[test]
fn members_over_udp_answer_the_last_request_of_a_drain() {
    let server = Server::of(&format!(
        "[sip]\nlisten = [\"udp:127.0.0.1:0\", \"tcp:127.0.0.1:0\"]\ndrain_timeout = \"25s\"\n[msrp]\nport = 0\n{}",
        support::one_shard()
    ));
    let via = format!("udp:{}", server.address("udp:"));
    let names = ["sip:alice@localhost", "sip:bob@localhost", "sip:cyn@localhost"];
    let chats = names.map(|name| Chat::present(name, &["sip:lobby@localhost", "--via", &via]));
    server.signal("TERM");
    for chat in chats {
        let (_, complaints) = chat.wait();
        assert!(complaints.contains("The server is ending"), "{complaints}");
    }
    let log = server.log_at_end();
    assert!(!log.contains("the time to drain is over"), "{log}");
}
