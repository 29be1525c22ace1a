//! Peers that call over a stream, one after the other, and what each call costs the focus.

use std::time::{Duration, Instant};

use parlor::facts::{Command, Event};
use parlor::focus::{Focus, Output};
use parlor_proto::sip::{Hop, parse_datagram};

use crate::world::{Peer, settings};

/// A focus, a shard that is always ready, and peers that call over a stream.
pub struct Desk {
    focus: Focus,
    now: Instant,
    calls: usize,
    to_tag: String,
    /// What peers have sent.
    pub heard: Vec<String>,
    meter: fn() -> u64,
    spent: u64,
}

impl Desk {
    /// So many calls stand, in rooms of ten, and one in the room that is called.
    /// What grows by `meter` while the focus works is what a call costs.
    pub fn new(standing: usize, meter: fn() -> u64) -> Self {
        let (focus, now) = (Focus::new(settings(), [7; 32]), Instant::now());
        let mut desk = Self { focus, now, calls: 0, to_tag: String::new(), heard: vec![], meter, spent: 0 };
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
        self.handle_message(invite, peer.hop());
        peer.to_tag = Some(self.to_tag.clone());
        let ack = peer.request("ACK", "");
        self.handle_message(ack, peer.hop());
        peer
    }

    /// A call from its INVITE to the 200 of its BYE. Answers what the focus has spent on it.
    pub fn call(&mut self) -> u64 {
        self.heard.clear();
        self.spent = 0;
        let mut peer = self.join("lobby");
        let bye = peer.request("BYE", "");
        self.handle_message(bye, peer.hop());
        // As many calls as a busy server has in a second, so that what is kept for a while does not pile up.
        self.now += Duration::from_millis(1);
        let begun = (self.meter)();
        self.focus.handle_timeout(self.now);
        self.spent + (self.meter)() - begun
    }

    fn handle_message(&mut self, message: String, hop: Hop) {
        let begun = (self.meter)();
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
        self.spent += (self.meter)() - begun;
        self.heard.push(message);
        if let Some(answer) = answer {
            let text = String::from_utf8_lossy(&answer);
            assert!(text.starts_with("SIP/2.0 200 "), "{text}");
            let to = text.lines().find(|line| line.starts_with("To:")).unwrap();
            self.to_tag = to.split_once(";tag=").unwrap().1.to_owned();
        }
    }
}
