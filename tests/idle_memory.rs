//! The memory of an idle session with its call, counted by the allocator, so that it is the same on every machine.
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parlor::facts::{Command, Event, RoomPolicy};
use parlor::focus::{Focus, Output, RoomSettings, Settings, ShardAddress};
use parlor::ids::{ConnectionId, ShardId};
use parlor::switch::{Output as SwitchOutput, PieceSink, Switch};
use parlor_proto::sip::{HeaderName, Hop, Response, SipConnection, Transport, parse_datagram, text};

struct Counting;

static LIVE_BYTES: AtomicI64 = AtomicI64::new(0);

/// What the C library's allocator takes from the system for so many octets: a word of its own, and whole pairs of words.
fn taken(size: usize) -> i64 {
    ((size + 8).next_multiple_of(16)).max(32) as i64
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE_BYTES.fetch_add(taken(layout.size()), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(taken(layout.size()), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE_BYTES.fetch_add(taken(size) - taken(layout.size()), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The tables that hold so many are as full as those of a server with 9000.
const SESSIONS: usize = 1125;
const ROOM_SIZE: usize = 10;
const SHARD: ShardId = ShardId(0);

struct Nothing;

impl PieceSink for Nothing {
    fn push(&mut self, _: &[u8]) {}
}

/// A focus, and the switch that it speaks to unless it is to be alone.
struct Server {
    focus: Focus,
    switch: Option<Switch>,
    now: Instant,
    /// The last 200 with a description.
    answer: Option<Response>,
}

impl Server {
    fn new(with_switch: bool) -> Self {
        let settings = Settings {
            domains: vec!["127.0.0.1".into()],
            listen: vec![(Transport::Tcp, "127.0.0.1:5060".parse().unwrap())],
            outbound_proxy: None,
            session_expires: Duration::from_secs(1800),
            contact_host: "127.0.0.1".into(),
            msrp_host: "127.0.0.1".into(),
            shards: vec![ShardAddress { id: SHARD, port: 2855, tls_port: None }],
            users: None,
            trusted_peers: vec![],
            max_calls_per_second: 0,
            transaction_bytes_max: 1 << 24,
            software: "Parlor".into(),
            fingerprints: vec![],
            connect_out: parlor::focus::ConnectOut::Source,
            rooms: RoomSettings {
                on_demand: true,
                max_rooms: 0,
                named: HashMap::new(),
                defaults: Arc::new(RoomPolicy::default()),
            },
        };
        let switch = with_switch.then(|| Switch::new(parlor::switch::Settings::default(), [1; 32]));
        Self { focus: Focus::new(settings, [7; 32]), switch, now: Instant::now(), answer: None }
    }

    fn receive(&mut self, message: &str) {
        let remote: SocketAddr = "127.0.0.1:40001".parse().unwrap();
        let local = "127.0.0.1:5060".parse().unwrap();
        let hop = Hop { transport: Transport::Tcp, local, remote, connection: Some(SipConnection(1)) };
        let message = parse_datagram(message.as_bytes()).unwrap().unwrap();
        self.focus.handle_message(message, hop, self.now);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(output) = self.focus.poll_output() {
            match output {
                Output::Send { message, .. } => {
                    let message = parse_datagram(&message).unwrap().unwrap();
                    let answer = message.as_response().filter(|response| !response.body().is_empty());
                    self.answer = answer.cloned().or(self.answer.take());
                }
                Output::Command { command, .. } => self.handle_command(command),
                Output::LookUp { .. } => panic!("nobody has a name here"),
            }
        }
    }

    fn handle_command(&mut self, command: Command) {
        match &mut self.switch {
            Some(switch) => {
                switch.handle_control(command, self.now);
                while let Some(output) = switch.poll_output() {
                    if let SwitchOutput::Event(event) = output {
                        self.focus.handle_event(SHARD, event, self.now);
                    }
                }
            }
            None => {
                if let Command::OpenSession(open) = command {
                    self.focus.handle_event(SHARD, Event::SessionReady { session: open.session }, self.now);
                }
            }
        }
    }

    /// Calls, acknowledges, and binds a connection of its own.
    fn join(&mut self, member: usize) {
        let room = format!("sip:bench-4711-{}@127.0.0.1:5060", member / ROOM_SIZE);
        let user = format!("sip:member-{member:06}.4711@127.0.0.1:5060");
        let path = format!("msrp://127.0.0.1:2856/bench-4711-{member:06};tcp");
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=message 2856 TCP/MSRP *\r\n\
             a=accept-types:message/cpim text/plain\r\na=accept-wrapped-types:text/plain *\r\na=path:{path}\r\n\
             a=setup:active\r\na=chatroom:nickname private-messages\r\n"
        );
        let request = |method: &str, to: &str, target: &str, body: &str| {
            let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
            format!(
                "{method} {target} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:40001;branch=z9hG4bK-{member}-1{method}\r\n\
                 Max-Forwards: 70\r\nFrom: <{user}>;tag=from{member}\r\nTo: {to}\r\nCall-ID: 4711.call.{member}@127.0.0.1\r\n\
                 CSeq: 1 {method}\r\nContact: <sip:member-{member:06}@127.0.0.1:40001;transport=tcp>\r\n{content}\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        self.receive(&request("INVITE", &format!("<{room}>"), &room, &offer));
        let answer = self.answer.take().expect("a 200");
        let to = text(&answer.headers, &HeaderName::To).unwrap();
        self.receive(&request("ACK", &to, &room, ""));
        let body = String::from_utf8(answer.body().to_vec()).unwrap();
        let ours = body.lines().find_map(|line| line.strip_prefix("a=path:")).unwrap();
        self.bind(ours, &path);
    }

    fn bind(&mut self, to: &str, from: &str) {
        let Some(switch) = &mut self.switch else { return };
        let connection = switch.adopt(SocketAddr::from(([127, 0, 0, 1], 9)), false, self.now);
        let bind =
            format!("MSRP bind1 SEND\r\nTo-Path: {to}\r\nFrom-Path: {from}\r\nMessage-ID: b\r\n-------bind1$\r\n");
        switch.handle_bytes(connection, &Bytes::from(bind), self.now).unwrap();
        let mut dirty: Vec<ConnectionId> = Vec::new();
        switch.take_dirty(&mut dirty);
        for id in dirty {
            let n = switch.gather(id, &mut Nothing, usize::MAX);
            switch.sent(id, n, self.now);
        }
        while let Some(output) = switch.poll_output() {
            if let SwitchOutput::Event(event) = output {
                self.focus.handle_event(SHARD, event, self.now);
            }
        }
        self.settle();
    }

    /// Lets everything that follows a call come to rest.
    fn rest(&mut self) {
        self.now += Duration::from_secs(60);
        self.focus.handle_timeout(self.now);
        self.settle();
        if let Some(switch) = &mut self.switch {
            switch.handle_timeout(self.now);
        }
    }
}

/// What each of many sessions adds.
fn bytes_per_session(with_switch: bool) -> f64 {
    let before = LIVE_BYTES.load(Ordering::Relaxed);
    let mut server = Server::new(with_switch);
    (0..SESSIONS).for_each(|member| server.join(member));
    server.rest();
    assert_eq!(server.focus.counts().calls, SESSIONS);
    if let Some(switch) = &server.switch {
        assert_eq!(switch.sizes(), (SESSIONS, SESSIONS, SESSIONS.div_ceil(ROOM_SIZE)));
    }
    (LIVE_BYTES.load(Ordering::Relaxed) - before) as f64 / SESSIONS as f64
}

#[test]
fn an_idle_session_takes_little_memory() {
    let call = bytes_per_session(false);
    let both = bytes_per_session(true);
    println!("an idle call holds {call:.0} octets, its session {:.0} more", both - call);
    assert!(both - call < 2300.0, "the session: {}", both - call);
    assert!(both < 6000.0, "call and session: {both}");
}
