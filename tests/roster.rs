//! The roster of a room for subscribers of the server's binary.

#[path = "support/schema.rs"]
mod schema;
mod support;

use std::collections::HashSet;
use std::net::UdpSocket;
use std::time::Duration;

use parlor_proto::conference_info::{ConferenceInfo, State};
use support::participant::Sip;
use support::{Participant, Server};

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

/// The 200 to a NOTIFY.
fn agreement(notify: &str) -> String {
    let echoed = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
    let lines = notify.lines().take_while(|line| !line.is_empty());
    let echo: String = lines
        .filter(|line| echoed.iter().any(|name| line.starts_with(name)))
        .map(|line| format!("{line}\r\n"))
        .collect();
    format!("SIP/2.0 200 OK\r\n{echo}Content-Length: 0\r\n\r\n")
}

fn document(notify: &str) -> ConferenceInfo {
    let body = notify.split_once("\r\n\r\n").unwrap().1;
    schema::check(body);
    ConferenceInfo::parse(body.as_bytes()).unwrap()
}

/// A subscription over a connection of its own.
struct Subscriber {
    sip: Sip,
    user: String,
    room: String,
    to: String,
    target: String,
    count: u32,
}

impl Subscriber {
    fn new(server: &Server, user: &str, room: &str) -> Self {
        let room = format!("sip:{room}@127.0.0.1");
        let (to, target) = (format!("<{room}>"), room.clone());
        Self { sip: Sip::connect(&server.sip), user: user.into(), room, to, target, count: 0 }
    }

    /// Asks; answers the response.
    fn ask(&mut self, extra: &str) -> String {
        self.count += 1;
        let from = format!("<sip:{}@127.0.0.1>;tag=watch", self.user);
        let (target, to, call) =
            (self.target.clone(), self.to.clone(), format!("watch-{}-{}", self.user, self.room.len()));
        self.sip.request("SUBSCRIBE", &target, &from, &to, &call, self.count, extra, "");
        let answer = self.sip.answer();
        if answer.starts_with("SIP/2.0 200") {
            self.to = header(&answer, "To").to_owned();
            self.target = header(&answer, "Contact").split(['<', '>']).nth(1).unwrap().to_owned();
        }
        answer
    }

    fn subscribe(&mut self, seconds: u32) -> ConferenceInfo {
        let answer = self.ask(&format!("Event: conference\r\nExpires: {seconds}\r\n"));
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        self.next()
    }

    /// The next NOTIFY, answered.
    fn notify(&mut self) -> String {
        let notify = self.sip.next();
        assert!(notify.starts_with("NOTIFY "), "{notify}");
        self.sip.write(&agreement(&notify));
        notify
    }

    fn next(&mut self) -> ConferenceInfo {
        document(&self.notify())
    }
}

fn told(info: &ConferenceInfo) -> Vec<(&str, State, Option<&str>)> {
    info.users.iter().map(|user| (user.entity.as_str(), user.state, user.nickname.as_deref())).collect()
}

#[test]
fn joins_nicknames_and_departures_are_notified() {
    let server = Server::start();
    let mut alice = Participant::join(&server, "alice", "lobby");
    let mut watching = Subscriber::new(&server, "alice", "lobby");
    let first = watching.subscribe(600);
    assert_eq!((first.state, first.user_count), (State::Full, Some(1)));
    assert_eq!(told(&first), [("sip:alice@127.0.0.1", State::Full, None)]);
    let bob = Participant::join(&server, "bob", "lobby");
    let second = watching.next();
    assert_eq!((second.state, second.version), (State::Partial, first.version.map(|version| version + 1)));
    assert_eq!(told(&second), [("sip:bob@127.0.0.1", State::Full, None)]);
    assert_eq!(alice.nickname("\"Alice the <great>\""), "200");
    let third = watching.next();
    assert_eq!(told(&third), [("sip:alice@127.0.0.1", State::Full, Some("Alice the <great>"))]);
    bob.leave();
    let fourth = watching.next();
    assert_eq!((told(&fourth), fourth.user_count), (vec![("sip:bob@127.0.0.1", State::Deleted, None)], Some(1)));
    let again = watching.subscribe(600);
    assert_eq!((again.state, told(&again).len()), (State::Full, 1));
    alice.leave();
    let last = watching.notify();
    assert_eq!(header(&last, "Subscription-State"), "terminated;reason=noresource");
    assert_eq!(document(&last).state, State::Deleted);
}

#[test]
fn a_subscription_may_share_the_dialog_of_a_call() {
    let server = Server::start();
    let mut alice = Participant::join(&server, "alice", "lobby");
    let answer = alice.in_call("SUBSCRIBE", 2, "Event: conference\r\nExpires: 0\r\n", "");
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let notify = alice.next_sip();
    assert_eq!(header(&notify, "Subscription-State"), "terminated;reason=timeout");
    assert_eq!(told(&document(&notify)), [("sip:alice@127.0.0.1", State::Full, None)]);
    alice.write_sip(&agreement(&notify));
    alice.leave();
}

#[test]
fn other_users_and_unknown_events_are_refused() {
    let server = Server::with("[rooms.open]\nsubscribers = \"everyone\"\n");
    let _alice = Participant::join(&server, "alice", "lobby");
    let _bob = Participant::join(&server, "bob", "open");
    let event = |name: &str| format!("Event: {name}\r\nExpires: 600\r\n");
    assert!(Subscriber::new(&server, "eve", "lobby").ask(&event("conference")).starts_with("SIP/2.0 403"));
    let refusal = Subscriber::new(&server, "alice", "lobby").ask(&event("presence"));
    assert!(refusal.starts_with("SIP/2.0 489") && header(&refusal, "Allow-Events") == "conference, refer", "{refusal}");
    assert_eq!(told(&Subscriber::new(&server, "eve", "open").subscribe(600)).len(), 1);
}

/// What a real client sends right after its 200, from a datagram socket that takes no connections: what it was recorded
/// sending, with the addresses and tags of today.
#[test]
fn sipsimple_gets_the_roster_it_asks_for() {
    let server = Server::start();
    let at = server.ready.split(|c: char| c.is_whitespace() || c == ',').find_map(|word| word.strip_prefix("udp:"));
    let at = at.unwrap_or_else(|| panic!("{}", server.ready)).to_owned();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let own = socket.local_addr().unwrap().port().to_string();
    let send = |name: &str, change: &dyn Fn(String) -> String| {
        let path = format!("{}/tests/wire/sip/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap().replace("56566", &own);
        socket.send_to(change(text).as_bytes(), &at).unwrap();
    };
    // What was answered late is sent again, to the letter.
    let mut seen = HashSet::new();
    let mut receive = || {
        let mut buffer = vec![0; 65536];
        loop {
            let n = socket.recv(&mut buffer).unwrap();
            let message = String::from_utf8(buffer[..n].to_vec()).unwrap();
            if seen.insert(message.clone()) {
                return message;
            }
        }
    };
    send("sipsimple-invite.sip", &|text| text);
    let answer = loop {
        let answer = receive();
        if answer.starts_with("SIP/2.0 200") {
            break answer;
        }
        assert!(answer.starts_with("SIP/2.0 1"), "{answer}");
    };
    assert!(header(&answer, "Contact").contains(";isfocus") && header(&answer, "Allow-Events") == "conference, refer");
    let tag = header(&answer, "To").split("tag=").nth(1).unwrap().to_owned();
    send("sipsimple-ack.sip", &|text| {
        let lines = text.lines().map(|line| match line.strip_prefix("To: ") {
            Some(to) => format!("To: {};tag={tag}\r\n", to.split(";tag=").next().unwrap()),
            None => format!("{line}\r\n"),
        });
        lines.collect()
    });
    send("sipsimple-subscribe.sip", &|text| text);
    let accepted = receive();
    assert!(accepted.starts_with("SIP/2.0 200"), "{accepted}");
    assert_eq!((header(&accepted, "CSeq"), header(&accepted, "Expires")), ("7045 SUBSCRIBE", "600"));
    let notify = receive();
    assert!(notify.starts_with("NOTIFY "), "{notify}");
    assert_eq!((header(&notify, "Event"), header(&notify, "Subscription-State")), ("conference", "active;expires=600"));
    assert_eq!(header(&notify, "From"), header(&accepted, "To"));
    let info = document(&notify);
    assert_eq!((info.state, told(&info)), (State::Full, vec![("sip:alice@127.0.0.1", State::Full, None)]));
    socket.send_to(agreement(&notify).as_bytes(), &at).unwrap();
    let _bob = Participant::join(&server, "bob", "room1");
    let partial = document(&receive());
    assert_eq!((partial.state, told(&partial)), (State::Partial, vec![("sip:bob@127.0.0.1", State::Full, None)]));
}
