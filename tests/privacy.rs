//! Anonymous members against the server's binary: what others see and what they do not.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use support::chat::Chat;
use support::participant::PATIENCE;
use support::tls::certify;
use support::{Server, one_shard};

#[test]
fn an_anonymous_member_has_a_working_anonymous_uri() {
    let server = Server::with("[sip.auth]\nrealm = \"localhost\"\n[sip.auth.users]\nalice = \"x\"\nbob = \"y\"\n");
    let via = format!("tcp:{}", server.sip);
    let chat = |user: &str, password: &str, more: &[&str]| {
        let arguments = ["sip:lobby@localhost", "--via", &via, "--user", user];
        Chat::start_with(password, &[&arguments, more].concat())
    };
    let mut bob = chat("bob", "y", &[]);
    bob.say("/msg sip:bob@localhost here");
    assert!(bob.line().ends_with("here"));
    let mut owl = chat("alice", "x", &["--anonymous"]);
    let told = line_with(&mut owl, "You are anonymous here");
    let address = told.split("know you as ").nth(1).unwrap().trim_end_matches('.').to_owned();
    assert!(address.starts_with("sip:anonymous-") && address.ends_with("@anonymous.invalid"), "{told}");
    owl.say("hoo");
    let heard = bob.line();
    assert!(heard.contains("hoo") && !heard.contains("alice"), "{heard}");
    bob.say(&format!("/msg {address} who are you"));
    line_with(&mut owl, "(private): who are you");
    bob.say("/msg sip:alice@localhost are you there");
    bob.say(&format!("/msg {address} last"));
    let next = owl.line();
    assert!(next.ends_with("last"), "nobody is reached by the address that is hidden: {next}");
}

/// The next line with a text in it.
fn line_with(chat: &mut Chat, text: &str) -> String {
    loop {
        let line = chat.line();
        assert!(!line.is_empty(), "the end, before {text}");
        if line.contains(text) {
            return line;
        }
    }
}

/// Stands between a client and the server's SIP, and keeps what the server says.
struct Tap {
    address: String,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    /// Takes one connection.
    fn before(server: &str) -> Self {
        let host = server.rsplit_once(':').unwrap().0;
        let listener = TcpListener::bind(format!("{host}:0")).unwrap();
        let (address, server) = (listener.local_addr().unwrap().to_string(), server.to_owned());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keeps = heard.clone();
        std::thread::spawn(move || {
            let (client, _) = listener.accept().unwrap();
            let server = TcpStream::connect(server).unwrap();
            let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
            let (mut from_server, mut to_client, mut buffer) = (server, client, [0; 8192]);
            while let Ok(n @ 1..) = from_server.read(&mut buffer) {
                keeps.lock().unwrap().extend_from_slice(&buffer[..n]);
                let _ = to_client.write_all(&buffer[..n]);
            }
        });
        Self { address, heard }
    }

    fn heard(&self) -> String {
        String::from_utf8(self.heard.lock().unwrap().clone()).unwrap()
    }
}

/// Somebody in the room, the URI that it reaches itself by, and all that it was shown.
struct Guest {
    chat: Chat,
    uri: String,
    seen: String,
    count: u32,
}

impl Guest {
    fn new(chat: Chat, uri: &str) -> Self {
        Self { chat, uri: uri.into(), seen: String::new(), count: 0 }
    }

    fn line(&mut self) -> String {
        let line = self.chat.line();
        self.seen += &format!("{line}\n");
        line
    }

    /// What comes until all that was typed has had its effect.
    fn lines(&mut self) -> Vec<String> {
        self.count += 1;
        let mark = format!("that was all, {}", self.count);
        self.chat.say(&format!("/msg {} {mark}", self.uri));
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            if line.ends_with(&mark) {
                return lines;
            }
            assert!(!line.is_empty(), "the end, after {lines:?}");
            lines.push(line);
        }
    }

    /// The lines of /who, once they are as they should be.
    fn who(&mut self, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            self.chat.say("/who");
            let lines = self.lines();
            if wanted(&lines) {
                return lines;
            }
            assert!(Instant::now() < end, "{lines:?}");
        }
    }
}

/// One is anonymous, one has TLS, one IPv6 where there is any; all have passwords.
#[test]
fn an_anonymous_member_is_hidden_from_every_kind_of_client() {
    let ip = if TcpListener::bind("[::1]:0").is_ok() { "[::1]" } else { "127.0.0.1" };
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let any = if ip == "[::1]" { "::" } else { "0.0.0.0" };
    let server = Server::of(&format!(
        "[sip]\nlisten = [\"tcp:{ip}:0\", \"tls:127.0.0.1:0\"]\ndomains = [\"localhost\", \"{ip}\"]\n\
         [sip.auth]\nrealm = \"localhost\"\n[sip.auth.users]\nliddell = \"x\"\nbob = \"y\"\ncarol = \"z\"\n\
         [msrp]\nlisten = \"{any}\"\nadvertise = \"localhost\"\nport = 0\ntls_port = {}\n\
         [tls]\ncertificate = {certificate:?}\nprivate_key = {key:?}\n{}[log]\nlevel = \"info\"\n",
        Server::free_port(),
        one_shard()
    ));
    let tap = Tap::before(&server.sip);
    let via = format!("tcp:{}", tap.address);
    let bob = ["sip:lobby@localhost", "--via", &via, "--user", "bob"];
    let mut bob = Guest::new(Chat::start_with("y", &bob), "sip:bob@localhost");
    assert!(bob.lines().is_empty());

    let via = format!("tls:localhost:{}", server.address("tls:").rsplit_once(':').unwrap().1);
    let ca = folder.path().join("cert.pem");
    let carol = ["sips:lobby@localhost", "--via", &via, "--msrps", "--ca", ca.to_str().unwrap(), "--user", "carol"];
    let mut carol = Guest::new(Chat::start_with("z", &carol), "sip:carol@localhost");
    assert!(carol.lines().is_empty());

    let via = format!("tcp:{}", server.sip);
    let owl = ["sip:lobby@localhost", "--via", &via, "--anonymous", "--user", "liddell"];
    let mut owl = Guest::new(Chat::start_with("x", &owl), "");
    let told = line_with(&mut owl.chat, "know you as ");
    owl.uri = told.split("know you as ").nth(1).unwrap().trim_end_matches('.').to_owned();

    // Nicknames, and who is there by them.
    for (guest, nickname) in [(&mut owl, "Owl"), (&mut bob, "Builder"), (&mut carol, "Christmas")] {
        guest.chat.say(&format!("/nick {nickname}"));
        guest.who(|lines| lines.iter().any(|line| line.starts_with(nickname)));
    }
    let everybody = |lines: &[String]| {
        let is_there = |nickname: &str| lines.iter().any(|line| line.starts_with(nickname));
        lines.len() == 3 && ["Owl", "Builder", "Christmas"].into_iter().all(is_there)
    };
    let there = bob.who(everybody);
    carol.who(everybody);
    owl.who(everybody);
    let shown = there.iter().find(|line| line.starts_with("Owl")).unwrap();
    let shown = shown.split(['<', '>']).nth(1).unwrap().to_owned();
    assert_eq!(shown, owl.uri, "/who shows what the anonymous one was told");

    // Talk, and whispers to the address that /who shows.
    owl.chat.say("hoo");
    assert_eq!([bob.line(), carol.line()], ["Owl: hoo", "Owl: hoo"]);
    carol.chat.say("who is that");
    assert_eq!([bob.line(), owl.line()], ["Christmas: who is that", "Christmas: who is that"]);
    bob.chat.say(&format!("/msg {shown} a word with you"));
    carol.chat.say("/msg Owl and with me");
    let mut whispers = [owl.line(), owl.line()];
    whispers.sort();
    assert_eq!(whispers, ["Builder (private): a word with you", "Christmas (private): and with me"]);
    owl.chat.say("/msg Builder which");
    assert_eq!(bob.line(), "Owl (private): which");
    assert!(carol.lines().is_empty(), "nothing of it for others");

    let Guest { chat, seen: owl_seen, .. } = owl;
    let (code, rest, complaints) = chat.end();
    assert_eq!((code, rest.as_str(), complaints.as_str()), (Some(0), "", ""), "{owl_seen}");
    // That it has left is told as well.
    bob.who(|lines| lines.len() == 2);
    for mut guest in [bob, carol] {
        let lines = guest.lines();
        assert!(lines.is_empty(), "{lines:?}");
        let (code, rest, complaints) = guest.chat.end();
        assert_eq!(code, Some(0), "{complaints}");
        let all = format!("{}{rest}{complaints}", guest.seen);
        assert!(all.contains("hoo") && !all.contains("liddell"), "{all}");
    }
    let heard = tap.heard();
    for part in ["NOTIFY ", "a=path:", "Owl", &shown, "deleted"] {
        assert!(heard.contains(part), "{part} is not in what was heard: {heard}");
    }
    assert!(!heard.contains("liddell"), "{heard}");
    let log = server.log();
    assert!(log.contains("user=bob@localhost") && !log.contains("liddell"), "{log}");
}
