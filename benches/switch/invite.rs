//! A call, INVITE to 200 to ACK to BYE, through the focus; beside the parsing of what its peer sends.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use parlor::facts::{Command, Event};
use parlor::focus::{Focus, Output};
use parlor::sip::{Hop, parse_datagram};

use crate::say_allocations;
use crate::world::{Peer, settings};

pub fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("a call");
    group.throughput(Throughput::Elements(1));
    for standing in [0, 1000] {
        let mut desk = Desk::new(standing);
        say_allocations(&format!("a call beside {standing}"), 1, || {
            black_box(desk.call());
        });
        group.bench_function(format!("focus, beside {standing} that stand"), |b| {
            b.iter_custom(|n| (0..n).map(|_| desk.call()).sum());
        });
    }
    let mut desk = Desk::new(0);
    desk.call();
    let requests = std::mem::take(&mut desk.heard);
    let last = &requests[requests.len() - 3..];
    group.bench_function("floor: the three requests parsed", |b| {
        b.iter(|| {
            for request in last {
                black_box(parse_datagram(black_box(request.as_bytes())).unwrap());
            }
        });
    });
}

/// A focus, a shard that is always ready, and peers that call over a stream.
pub struct Desk {
    focus: Focus,
    now: Instant,
    calls: usize,
    to_tag: String,
    /// What peers have sent.
    pub heard: Vec<String>,
    spent: Duration,
}

impl Desk {
    /// So many calls stand, in rooms of ten, and one in the room that is called.
    pub fn new(standing: usize) -> Self {
        let focus = Focus::new(settings(), [7; 32]);
        let mut desk =
            Self { focus, now: Instant::now(), calls: 0, to_tag: String::new(), heard: vec![], spent: Duration::ZERO };
        desk.join("lobby");
        for n in 0..standing {
            desk.join(&format!("r{}", n / 10));
            desk.heard.clear();
        }
        desk
    }

    fn join(&mut self, room: &str) -> Peer {
        self.calls += 1;
        let mut peer = Peer::new("bench", room).over_tcp();
        peer.name = format!("u{}", self.calls);
        peer.from = format!("<sip:u{}@home.example>;tag=t", self.calls);
        let offer = peer.offer();
        let invite = peer.request("INVITE", &offer);
        self.hear(invite, peer.hop());
        peer.to_tag = Some(self.to_tag.clone());
        let ack = peer.request("ACK", "");
        self.hear(ack, peer.hop());
        peer
    }

    /// A call from its INVITE to the 200 of its BYE. Answers the time that the focus has spent on it.
    pub fn call(&mut self) -> Duration {
        self.heard.clear();
        self.spent = Duration::ZERO;
        let mut peer = self.join("lobby");
        let bye = peer.request("BYE", "");
        self.hear(bye, peer.hop());
        // As many calls as a busy server has in a second, so that what is kept for a while does not pile up.
        self.now += Duration::from_millis(1);
        let begun = Instant::now();
        self.focus.handle_timeout(self.now);
        self.spent + begun.elapsed()
    }

    fn hear(&mut self, message: String, hop: Hop) {
        let begun = Instant::now();
        let parsed = parse_datagram(message.as_bytes()).unwrap().unwrap();
        self.focus.handle_message(parsed, hop, self.now);
        let mut answer = None;
        while let Some(output) = self.focus.poll_output() {
            match output {
                Output::Send { message, .. } => answer = Some(message),
                Output::Command { shard, command: Command::OpenSession(open) } => {
                    self.focus.handle_event(shard, Event::SessionReady { session: open.session }, self.now);
                }
                Output::Command { .. } | Output::LookUp { .. } => {}
            }
        }
        self.spent += begun.elapsed();
        self.heard.push(message);
        if let Some(answer) = answer {
            let text = String::from_utf8_lossy(&answer);
            assert!(text.starts_with("SIP/2.0 200 "), "{text}");
            let to = text.lines().find(|line| line.starts_with("To:")).unwrap();
            self.to_tag = to.split_once(";tag=").unwrap().1.to_owned();
        }
    }
}
