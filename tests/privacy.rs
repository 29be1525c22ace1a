//! Anonymous members over the real binary: what the others see, and what nobody does.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use support::Server;

#[test]
fn an_anonymous_member_is_heard_told_its_address_and_written_to_without_being_known() {
    let server = Server::with("[sip.auth]\nrealm = \"localhost\"\n[sip.auth.users]\nalice = \"x\"\nbob = \"y\"\n");
    let chat = |user: &str, password: &str, more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_parlor"))
            .args(["chat", "sip:lobby@localhost", "--via", &format!("tcp:{}", server.sip), "--user", user])
            .args(more)
            .env("PARLOR_PASSWORD", password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut bob = chat("bob", "y", &[]);
    let mut bob_hears = BufReader::new(bob.stdout.take().unwrap()).lines().map(Result::unwrap);
    writeln!(bob.stdin.as_mut().unwrap(), "/msg sip:bob@localhost here").unwrap();
    assert!(bob_hears.next().unwrap().ends_with("here"));
    let mut owl = chat("alice", "x", &["--anonymous"]);
    let mut owl_hears = BufReader::new(owl.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told = owl_hears.find(|line| line.contains("You are anonymous here")).unwrap();
    let address = told.split("know you as ").nth(1).unwrap().trim_end_matches('.').to_owned();
    assert!(address.starts_with("sip:anonymous-") && address.ends_with("@anonymous.invalid"), "{told}");
    writeln!(owl.stdin.as_mut().unwrap(), "hoo").unwrap();
    let heard = bob_hears.next().unwrap();
    assert!(heard.contains("hoo") && !heard.contains("alice"), "{heard}");
    writeln!(bob.stdin.as_mut().unwrap(), "/msg {address} who are you").unwrap();
    assert!(owl_hears.any(|line| line.ends_with("(private): who are you")));
    writeln!(bob.stdin.as_mut().unwrap(), "/msg sip:alice@localhost are you there").unwrap();
    writeln!(bob.stdin.as_mut().unwrap(), "/msg {address} last").unwrap();
    let next = owl_hears.next().unwrap();
    assert!(next.ends_with("last"), "nobody is reached by the address that is hidden: {next}");
    for mut child in [bob, owl] {
        drop(child.stdin.take());
        let _ = child.wait();
    }
}
