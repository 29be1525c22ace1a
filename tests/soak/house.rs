//! A focus, two switches, the guests, and everything that goes between them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parlor::facts::{Command, EndReason};
use parlor::focus::{Focus, Output, Settings};
use parlor::ids::{ConnectionId, ShardId};
use parlor::limits::HELD_BYTES_PER_SHARD_MAX;
use parlor::switch::{self, Switch};
use parlor_proto::sip::{HeaderName, Hop, MalformedRequest, Message, parse_datagram, text};

use super::guest::Guest;
use super::numbers::Numbers;
use super::world::{Peer, settings};

pub struct House {
    pub focus: Focus,
    pub shards: [Switch; 2],
    pub now: Instant,
    pub guests: Vec<Guest>,
    pub numbers: Numbers,
    /// NOTIFYs that have come.
    pub notifies: usize,
    /// Whether some NOTIFYs and BYEs are answered by an error, or not at all.
    pub rude: bool,
    pub tags: HashMap<String, String>,
    /// There are some who call and are no guests.
    pub strangers: bool,
    /// Connections with something to send, as the switches have listed them.
    dirty: [Vec<ConnectionId>; 2],
    met: usize,
}

impl House {
    pub fn new(numbers: Numbers) -> Self {
        let shard = |seed| Switch::new(switch::Settings::default(), [seed; 32]);
        Self {
            focus: Focus::new(Settings { transaction_bytes_max: 1 << 30, ..settings() }, [7; 32]),
            shards: [shard(1), shard(2)],
            now: Instant::now(),
            guests: Vec::new(),
            numbers,
            notifies: 0,
            rude: false,
            tags: HashMap::new(),
            strangers: false,
            dirty: [vec![], vec![]],
            met: 0,
        }
    }

    /// Somebody calls, is taken in, connects and binds. Answers its number.
    pub fn arrive(&mut self, room: &str) -> usize {
        let at = self.invite(room);
        assert_eq!(self.guests[at].status, 200, "{} calls {room}", self.guests[at].name);
        self.sip(at, "ACK", "");
        self.bind(at);
        assert!(self.guests[at].bound);
        at
    }

    pub fn invite(&mut self, room: &str) -> usize {
        self.met += 1;
        let over_tcp = self.numbers.once_in(2);
        self.guests.push(Guest::new(self.met, room, over_tcp));
        let at = self.guests.len() - 1;
        let offer = self.guests[at].offer("");
        self.sip(at, "INVITE", &offer);
        let guest = &mut self.guests[at];
        guest.peer.to_tag = self.tags.get(&guest.name).cloned();
        at
    }

    /// A request of a guest, in its dialog if it has one.
    pub fn sip(&mut self, at: usize, method: &str, body: &str) {
        let request = self.guests[at].peer.request(method, body);
        let hop = self.guests[at].peer.hop();
        self.guests[at].acknowledged |= method == "ACK";
        self.deliver(request.as_bytes(), hop);
    }

    pub fn deliver(&mut self, message: &[u8], hop: Hop) {
        match parse_datagram(message) {
            Ok(Some(message)) => self.focus.handle_message(message, hop, self.now),
            Ok(None) => {}
            Err(why) => {
                if let Some(broken) = MalformedRequest::recover(message, why) {
                    self.focus.handle_malformed(broken, hop);
                }
            }
        }
        self.settle();
    }

    /// A guest subscribes to its room, outside its call; or, with 0 seconds, asks once.
    pub fn subscribe(&mut self, at: usize, seconds: u32) {
        self.met += 1;
        let mut peer = Peer::new(&format!("w{}", self.met), &self.guests[at].room);
        peer.from.clone_from(&self.guests[at].peer.from);
        peer.extra = format!("Event: conference\r\nExpires: {seconds}\r\n");
        let request = peer.request("SUBSCRIBE", "");
        self.deliver(request.as_bytes(), peer.hop());
    }

    pub fn bind(&mut self, at: usize) {
        let Some((shard, _)) = self.guests[at].session else { return };
        if self.guests[at].connection.is_none() {
            let peer = self.guests[at].peer.at;
            let id = self.shards[usize::from(shard.0)].adopt(peer, false, self.now);
            self.guests[at].connection = Some((shard, id));
        }
        let chunk = self.guests[at].chunk("bind0000", "SEND", "Message-ID: b\r\nByte-Range: 1-0/0\r\n", None, '$');
        self.guests[at].bound = true;
        self.msrp(at, chunk.as_bytes());
    }

    /// A guest sends something.
    pub fn msrp(&mut self, at: usize, octets: &[u8]) {
        self.guests[at].unread.extend_from_slice(octets);
        self.read(at);
    }

    /// Reads what a guest has sent, in pieces of any size, as far as it may be read.
    fn read(&mut self, at: usize) {
        while !self.guests[at].unread.is_empty() {
            let Some((shard, id)) = self.guests[at].connection else { return };
            let switch = &mut self.shards[usize::from(shard.0)];
            if switch.is_paused(id) {
                return;
            }
            let len = self.guests[at].unread.len();
            let n = if self.numbers.once_in(4) { 1 + self.numbers.next(len) } else { len };
            let octets: Bytes = self.guests[at].unread.drain(..n).collect();
            let _ = switch.handle_bytes(id, &octets, self.now);
            self.settle();
        }
    }

    /// The kernel takes `max` octets of what waits for a guest, and then no more if that is not all.
    pub fn take(&mut self, at: usize, max: usize) {
        let Some((shard, id)) = self.guests[at].connection else { return };
        let switch = &mut self.shards[usize::from(shard.0)];
        let dirty = &mut self.dirty[usize::from(shard.0)];
        switch.take_dirty(dirty);
        match dirty.iter().position(|other| *other == id) {
            Some(at) => drop(dirty.swap_remove(at)),
            None if self.guests[at].stuck => {}
            None => return,
        }
        let (mut all, mut some) = (Vec::new(), Vec::new());
        let waiting = switch.gather(id, &mut all, usize::MAX);
        let n = switch.gather(id, &mut some, max);
        assert!(all.starts_with(&some) && (all.len(), some.len()) == (waiting, n) && n == waiting.min(max));
        switch.sent(id, n, self.now);
        self.guests[at].stuck = n < waiting;
        if n < waiting {
            switch.blocked(id, self.now);
        }
        let guest = &mut self.guests[at];
        guest.hearing.take(&some, &guest.name, &guest.room);
        self.settle();
    }

    /// As the shell flushes: whoever is on the list gets everything, but those whose sockets take nothing.
    pub fn flush(&mut self) {
        for shard in 0..self.shards.len() {
            self.shards[shard].take_dirty(&mut self.dirty[shard]);
            for id in self.dirty[shard].clone() {
                match self.guest_on(shard, id) {
                    Some(at) => {
                        assert!(!self.guests[at].stuck, "who is blocked is not on the list");
                        self.take(at, usize::MAX);
                    }
                    None => {
                        self.dirty[shard].retain(|other| *other != id);
                        let n = self.shards[shard].gather(id, &mut Vec::new(), usize::MAX);
                        self.shards[shard].sent(id, n, self.now);
                    }
                }
            }
        }
        self.settle();
        for at in 0..self.guests.len() {
            self.read(at);
        }
    }

    /// Whoever was stuck takes again, and everything goes out.
    pub fn flush_all(&mut self) {
        for at in 0..self.guests.len() {
            self.take(at, usize::MAX);
        }
        self.flush();
    }

    pub fn hang_up(&mut self, at: usize) {
        if let Some((shard, id)) = self.guests[at].connection {
            self.shards[usize::from(shard.0)].closed(id, EndReason::ConnectionLost, self.now);
            self.guests[at].gone();
        }
        self.settle();
    }

    pub fn pass(&mut self, by: Duration) {
        let end = self.now + by;
        loop {
            let times = self.shards.iter().map(Switch::poll_timeout).chain([self.focus.poll_timeout()]);
            let Some(at) = times.flatten().min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            self.focus.handle_timeout(self.now);
            for shard in &mut self.shards {
                shard.handle_timeout(self.now);
            }
            self.settle();
        }
        self.now = end;
        self.check();
    }

    /// Carries everything to where it is for until nothing moves any more.
    pub fn settle(&mut self) {
        loop {
            let mut moved = false;
            while let Some(output) = self.focus.poll_output() {
                moved = true;
                match output {
                    Output::Send { hop, message } => self.arrives(&message, hop),
                    Output::Command { shard, command } => self.obey(shard, command),
                    Output::LookUp { query, .. } => self.focus.handle_looked_up(query, &[], self.now),
                }
            }
            for n in 0..self.shards.len() {
                while let Some(output) = self.shards[n].poll_output() {
                    moved = true;
                    match output {
                        switch::Output::Close(id) => {
                            self.shards[n].closed(id, EndReason::ConnectionLost, self.now);
                            if let Some(at) = self.guest_on(n, id) {
                                self.guests[at].gone();
                            }
                        }
                        switch::Output::Connect(dial) => self.shards[n].connect_failed(&dial, self.now),
                        switch::Output::Resume(_) => {}
                        switch::Output::Event(event) => {
                            self.focus.handle_event(ShardId(n as u16), event, self.now);
                        }
                    }
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn obey(&mut self, shard: ShardId, command: Command) {
        if let Command::OpenSession(open) = &command
            && let Some(guest) = self.guests.iter_mut().find(|guest| guest.remote == open.terms.remote.as_str())
        {
            guest.session = Some((shard, open.session));
            guest.local = Some(open.terms.local.as_str().to_owned());
        }
        self.shards[usize::from(shard.0)].handle_control(command, self.now);
    }

    /// A message of the focus comes to whoever it is for.
    fn arrives(&mut self, octets: &[u8], hop: Hop) {
        let message = parse_datagram(octets).expect("what is sent can be parsed").expect("a message");
        match message {
            Message::Response(response) => {
                // Of a request that lacks something its answer lacks it too.
                let header = |name| text(&response.headers, &name).unwrap_or_default();
                let (call, to) = (header(HeaderName::CallId), header(HeaderName::To));
                let Some(name) = call.strip_prefix("call-of-") else { return };
                if let Some((_, tag)) = to.split_once(";tag=") {
                    self.tags.insert(name.to_owned(), tag.to_owned());
                }
                if let Some(guest) = self.guests.iter_mut().find(|guest| guest.name == name) {
                    guest.status = response.status.code();
                }
            }
            Message::Request(_) => self.answer(octets, hop),
        }
    }

    fn answer(&mut self, request: &[u8], hop: Hop) {
        let text = String::from_utf8_lossy(request);
        if text.starts_with("ACK ") {
            return;
        }
        self.notifies += usize::from(text.starts_with("NOTIFY "));
        let status = match self.numbers.next(20) {
            // Nobody follows an invitation.
            _ if text.starts_with("INVITE ") => "603 Decline",
            0 if self.rude => return,
            1 if self.rude => "481 Gone",
            _ => "200 OK",
        };
        let echoed = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
        let lines = text.lines().take_while(|line| !line.is_empty());
        let lines: String = lines
            .filter(|line| echoed.iter().any(|name| line.starts_with(name)))
            .map(|line| format!("{line}\r\n"))
            .collect();
        let mut answer = format!("SIP/2.0 {status}\r\n{lines}Content-Length: 0\r\n\r\n").into_bytes();
        if self.strangers && text.contains("mallory") && self.numbers.once_in(2) {
            self.numbers.mutate(&mut answer, request);
        }
        if let Ok(Some(message)) = parse_datagram(&answer) {
            self.focus.handle_message(message, hop, self.now);
        }
    }

    fn guest_on(&self, shard: usize, id: ConnectionId) -> Option<usize> {
        let on = (ShardId(shard as u16), id);
        self.guests.iter().position(|guest| guest.connection == Some(on))
    }

    /// What holds whenever nothing moves.
    pub fn check(&self) {
        let sessions: usize = self.shards.iter().map(|shard| shard.sizes().1).sum();
        let calls = self.focus.counts().calls;
        // One whose session has ended before it was acknowledged has to wait for that (RFC 3261 §15).
        let waiting = if self.strangers { calls } else { self.guests.iter().filter(|g| !g.acknowledged).count() };
        let fits = (sessions..=sessions + waiting).contains(&calls);
        assert!(fits, "each call has its session, and the other way round: {calls}, {sessions}, {waiting}");
        for shard in &self.shards {
            assert!(shard.held_bytes() <= HELD_BYTES_PER_SHARD_MAX);
        }
    }

    /// Everybody goes, and after some hours nothing is left of them.
    pub fn end(mut self) {
        for at in 0..self.guests.len() {
            self.hang_up(at);
        }
        self.pass(Duration::from_secs(3 * 3600));
        self.flush();
        let counts = self.focus.counts();
        assert_eq!((counts.calls, counts.rooms, counts.transactions, counts.subscriptions), (0, 0, 0, 0));
        for shard in &self.shards {
            assert_eq!((shard.sizes(), shard.held_bytes(), shard.is_dirty()), ((0, 0, 0), 0, false));
        }
    }
}
