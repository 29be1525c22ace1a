use std::collections::HashMap;
use std::time::{Duration, Instant};

use parlor::facts::{Command, Event};
use parlor::focus::{Focus, Output, Settings};
use parlor::ids::{SessionId, ShardId};
use parlor_proto::sip::{Hop, parse_datagram};

use crate::world::{Peer, settings};

/// A focus whose peers answer every NOTIFY, read as little as that takes: the storm is large.
struct Storm {
    focus: Focus,
    now: Instant,
    notifies: usize,
    octets: usize,
    statuses: HashMap<String, usize>,
    to_tag: String,
}

impl Storm {
    fn new() -> Self {
        let settings = Settings { transaction_bytes_max: 1 << 30, ..settings() };
        let focus = Focus::new(settings, [7; 32]);
        let statuses = HashMap::new();
        Self { focus, now: Instant::now(), notifies: 0, octets: 0, statuses, to_tag: String::new() }
    }

    fn deliver(&mut self, message: &str, hop: Hop) {
        let message = parse_datagram(message.as_bytes()).unwrap().unwrap();
        self.focus.handle_message(message, hop, self.now);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(output) = self.focus.poll_output() {
            match output {
                Output::Send { hop, message } if message.starts_with(b"NOTIFY ") => self.answer(&message, hop),
                Output::Send { message, .. } => self.note(&message),
                Output::Command { shard, command: Command::OpenSession(open) } => self.ready(shard, open.session),
                Output::Command { .. } | Output::LookUp { .. } => {}
            }
        }
    }

    fn ready(&mut self, shard: ShardId, session: SessionId) {
        self.focus.handle_event(shard, Event::SessionReady { session }, self.now);
    }

    fn head(message: &[u8]) -> &str {
        let end = message.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        std::str::from_utf8(&message[..end]).unwrap()
    }

    fn note(&mut self, message: &[u8]) {
        let head = Self::head(message);
        *self.statuses.entry(head.lines().next().unwrap().into()).or_default() += 1;
        let tag = head.lines().find(|line| line.starts_with("To:")).and_then(|line| line.split_once(";tag="));
        self.to_tag = tag.map(|(_, tag)| tag.to_owned()).unwrap_or_default();
    }

    fn answer(&mut self, message: &[u8], hop: Hop) {
        self.notifies += 1;
        self.octets += message.len();
        let echoed = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
        let lines = Self::head(message).lines().filter(|line| echoed.iter().any(|name| line.starts_with(name)));
        let lines: String = lines.map(|line| format!("{line}\r\n")).collect();
        let answer = format!("SIP/2.0 200 OK\r\n{lines}Content-Length: 0\r\n\r\n");
        let answer = parse_datagram(answer.as_bytes()).unwrap().unwrap();
        self.focus.handle_message(answer, hop, self.now);
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(at) = self.focus.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.focus.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// Somebody joins and subscribes, as real clients do.
    fn join(&mut self, n: usize) {
        let mut peer = Peer::new("storm", "lobby").over_tcp();
        peer.name = format!("user{n}");
        peer.from = format!("<sip:user{n}@home.example>;tag=t{n}");
        let offer = peer.offer();
        let invite = peer.request("INVITE", &offer);
        self.deliver(&invite, peer.hop());
        peer.to_tag = Some(self.to_tag.clone());
        let ack = peer.request("ACK", "");
        self.deliver(&ack, peer.hop());
        peer.to_tag = None;
        peer.name = format!("watch{n}");
        peer.extra = "Event: conference\r\nExpires: 600\r\n".into();
        let subscribe = peer.request("SUBSCRIBE", "");
        self.deliver(&subscribe, peer.hop());
    }
}

#[test]
fn a_storm_of_joins_does_not_drown_the_room() {
    const USERS: usize = 2000;
    let mut storm = Storm::new();
    for n in 0..USERS {
        storm.join(n);
        // Two thousand in two seconds.
        storm.advance(Duration::from_millis(1));
    }
    storm.advance(Duration::from_secs(5));
    assert_eq!(storm.focus.counts().subscriptions, USERS);
    assert_eq!(storm.statuses.get("SIP/2.0 200 OK"), Some(&(2 * USERS)), "{:?}", storm.statuses);
    println!("{USERS} joins: {} NOTIFYs, {} octets", storm.notifies, storm.octets);
    // Each change told to each subscriber by itself would be four million. Most of these are the parts that a roster of two
    // thousand takes: each of its users has to get to each subscriber once.
    assert!(storm.notifies < 60_000, "{} NOTIFYs", storm.notifies);
    // And now that all are there: one more is one NOTIFY for each, a hundred more within an interval are no more than that.
    for more in [1, 100] {
        let before = storm.notifies;
        let first = storm.focus.counts().calls;
        for n in first..first + more {
            storm.join(n);
        }
        let begun = storm.notifies - before;
        storm.advance(Duration::from_secs(5));
        let told = storm.notifies - before - begun;
        let subscribers = storm.focus.counts().subscriptions;
        assert!(told <= 2 * subscribers && told >= first, "{told} for {more} more");
    }
}
