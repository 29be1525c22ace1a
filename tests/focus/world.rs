//! A focus, the shards it speaks to and the peers that call it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor::facts::{Command, Event, OpenSession, RoomPolicy};
use parlor::focus::{Focus, Output, RoomSettings, Settings, ShardAddress};
use parlor::ids::{SessionId, ShardId};
use parlor_proto::sip::{
    HeaderName, Hop, Message, Method, Request, Response, SipConnection, Transport, parse_datagram, text,
};

pub struct World {
    pub focus: Focus,
    pub now: Instant,
    /// What the focus sent, oldest first.
    pub sent: Vec<(Hop, Message)>,
    /// What the focus told its shards, oldest first.
    pub commands: Vec<(ShardId, Command)>,
    /// Whether shards answer OpenSession by themselves.
    pub shards_answer: bool,
    /// Names that are to be looked up.
    pub lookups: Vec<(u64, String)>,
    /// Whether sessions expire.
    timers: bool,
}

pub fn settings() -> Settings {
    Settings {
        domains: vec!["chat.example".into(), "127.0.0.1".into()],
        listen: [(Transport::Udp, 5060), (Transport::Tcp, 5060), (Transport::Udp, 5070)]
            .map(|(transport, port)| (transport, SocketAddr::new("192.0.2.1".parse().unwrap(), port)))
            .into(),
        outbound_proxy: None,
        contact_host: "chat.example".into(),
        msrp_host: "192.0.2.1".into(),
        connect_out: parlor::focus::ConnectOut::Source,
        fingerprints: Vec::new(),
        shards: vec![
            ShardAddress { id: ShardId(0), port: 2855, tls_port: None },
            ShardAddress { id: ShardId(1), port: 2856, tls_port: None },
        ],
        users: None,
        trusted_peers: vec![],
        max_calls_per_second: 0,
        session_expires: Duration::from_secs(1800),
        transaction_bytes_max: 1 << 22,
        software: "Parlor".into(),
        rooms: RoomSettings { on_demand: true, ..RoomSettings::default() },
    }
}

pub fn policy(change: impl FnOnce(&mut RoomPolicy)) -> RoomSettings {
    let mut policy = RoomPolicy::default();
    change(&mut policy);
    RoomSettings { on_demand: true, max_rooms: 0, named: HashMap::new(), defaults: Arc::new(policy) }
}

impl World {
    pub fn new() -> Self {
        Self::with(settings())
    }

    pub fn with(settings: Settings) -> Self {
        let timers = !settings.session_expires.is_zero();
        let focus = Focus::new(settings, [7; 32]);
        let now = Instant::now();
        Self { focus, now, sent: vec![], commands: vec![], shards_answer: true, lookups: vec![], timers }
    }

    pub fn with_policy(change: impl FnOnce(&mut RoomPolicy)) -> Self {
        Self::with(Settings { rooms: policy(change), ..settings() })
    }

    /// Gives the focus a message and carries out what it wants.
    pub fn deliver(&mut self, message: &str, hop: Hop) {
        let message =
            parse_datagram(message.as_bytes()).unwrap_or_else(|e| panic!("{e}: {message}")).expect("a message");
        self.focus.handle_message(message, hop, self.now);
        self.settle();
    }

    pub fn event(&mut self, shard: ShardId, event: Event) {
        self.focus.handle_event(shard, event, self.now);
        self.settle();
    }

    pub fn settle(&mut self) {
        while let Some(output) = self.focus.poll_output() {
            match output {
                Output::Send { hop, message } => {
                    let message = parse_datagram(&message).expect("what we send parses").expect("a message");
                    self.check_message(&message);
                    self.sent.push((hop, message));
                }
                Output::Command { shard, command } => self.handle_command(shard, command),
                Output::LookUp { query, name } => self.lookups.push((query, name)),
            }
        }
    }

    /// What holds for every message, whatever it is about (RFC 4028 §5, §7.1, RFC 6665 §8.2).
    fn check_message(&self, message: &Message) {
        let has = |name: HeaderName| message.headers().get(&name).is_some();
        let notifies = message.as_request().is_some_and(|request| request.method == Method::Notify);
        assert_eq!(has(HeaderName::SubscriptionState), notifies, "{message:?}");
        match message {
            Message::Request(request) if request.method == Method::Ack => assert!(!has(HeaderName::Supported)),
            Message::Request(request) => {
                let tags = text(&request.headers, &HeaderName::Supported).expect("option tags in every request");
                assert_eq!(tags.split(", ").any(|tag| tag == "timer"), self.timers, "{} {tags}", request.method);
            }
            Message::Response(response) => {
                assert!(!has(HeaderName::Event), "{response:?}");
                assert_eq!(has(HeaderName::MinSe), response.status.code() == 422, "{response:?}");
            }
        }
    }

    fn handle_command(&mut self, shard: ShardId, command: Command) {
        let answer = match &command {
            _ if !self.shards_answer => None,
            Command::OpenSession(open) => Some(Event::SessionReady { session: open.session }),
            Command::ChangeSession { session, .. } => Some(Event::SessionChanged { session: *session }),
            _ => None,
        };
        self.commands.push((shard, command));
        if let Some(event) = answer {
            self.focus.handle_event(shard, event, self.now);
        }
    }

    /// Lets time pass, with everything that falls due in it.
    pub fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(at) = self.focus.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.focus.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// Forgets what was sent and told so far.
    pub fn forget(&mut self) {
        self.sent.clear();
        self.commands.clear();
    }

    pub fn last_response(&self) -> &Response {
        let found = self.sent.iter().rev().find_map(|(_, message)| message.as_response());
        found.expect("a response")
    }

    pub fn last_status(&self) -> u16 {
        self.last_response().status.code()
    }

    pub fn statuses(&self) -> Vec<u16> {
        self.sent.iter().filter_map(|(_, message)| Some(message.as_response()?.status.code())).collect()
    }

    pub fn requests(&self) -> Vec<(Hop, Request)> {
        self.sent.iter().filter_map(|(hop, message)| Some((*hop, message.as_request()?.clone()))).collect()
    }

    /// The requests of a method that the focus has sent.
    pub fn requests_of(&self, method: Method) -> Vec<Request> {
        self.requests().into_iter().map(|(_, request)| request).filter(|request| request.method == method).collect()
    }

    pub fn opened(&self) -> Vec<&OpenSession> {
        let mut opened = Vec::new();
        for (_, command) in &self.commands {
            if let Command::OpenSession(open) = command {
                opened.push(&**open);
            }
        }
        opened
    }

    /// The shards say that they have closed the rooms that they were told to close.
    pub fn close_rooms(&mut self) {
        let closed = |(shard, command): &(ShardId, Command)| match command {
            Command::CloseRoom { room } => Some((*shard, *room)),
            _ => None,
        };
        let closed: Vec<_> = self.commands.iter().filter_map(closed).collect();
        for (shard, room) in closed {
            self.event(shard, Event::RoomClosed { room });
        }
    }

    /// The names of the commands given so far.
    pub fn command_names(&self) -> Vec<&'static str> {
        let name = |(_, command): &(ShardId, Command)| match command {
            Command::OpenRoom(_) => "open room",
            Command::CloseRoom { .. } => "close room",
            Command::OpenSession(_) => "open session",
            Command::ExpectBinding { .. } => "expect",
            Command::ChangeSession { .. } => "change",
            Command::SuspendSession { .. } => "suspend session",
            Command::CloseSession { .. } => "close session",
            Command::DecideNickname { .. } => "decide nickname",
            Command::Drain => "drain",
        };
        self.commands.iter().map(name).collect()
    }

    /// A peer joins over UDP and acknowledges.
    pub fn join(&mut self, name: &str, room: &str) -> Peer {
        let mut peer = Peer::new(name, room);
        peer.join(self);
        peer
    }
}

/// The methods that the focus takes.
pub const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, REFER, SUBSCRIBE";

pub fn header(response: &Response, name: HeaderName) -> String {
    text(&response.headers, &name).unwrap_or_default()
}

pub fn body(response: &Response) -> String {
    String::from_utf8(response.body().to_vec()).unwrap()
}

/// A client that writes its requests as text.
#[derive(Clone)]
pub struct Peer {
    pub name: String,
    pub room: String,
    pub transport: Transport,
    pub at: SocketAddr,
    /// More header lines for every request.
    pub extra: String,
    pub to_tag: Option<String>,
    pub sequence: u32,
    pub from: String,
    pub target: String,
    pub branch: u32,
    pub session: Option<(ShardId, SessionId)>,
}

impl Peer {
    pub fn new(name: &str, room: &str) -> Self {
        let port = 40000 + name.bytes().map(u16::from).sum::<u16>();
        Self {
            name: name.into(),
            room: room.into(),
            transport: Transport::Udp,
            at: SocketAddr::new("192.0.2.77".parse().unwrap(), port),
            extra: String::new(),
            to_tag: None,
            sequence: 0,
            from: format!("\"{name}\" <sip:{name}@home.example>;tag=from-{name}"),
            target: format!("sip:{}@chat.example", parlor_proto::sip::escape_user(room)),
            branch: 0,
            session: None,
        }
    }

    pub fn over_tcp(mut self) -> Self {
        self.transport = Transport::Tcp;
        self
    }

    pub fn hop(&self) -> Hop {
        let connection = self.transport.is_reliable().then_some(SipConnection(u64::from(self.at.port())));
        Hop { transport: self.transport, local: "192.0.2.1:5060".parse().unwrap(), remote: self.at, connection }
    }

    /// A request with the next number; `ACK` and `CANCEL` take the last one.
    pub fn request(&mut self, method: &str, body: &str) -> String {
        if method != "ACK" && method != "CANCEL" {
            self.sequence += 1;
        }
        if method != "CANCEL" {
            self.branch += 1;
        }
        let Self { name, at, extra, sequence, branch, from, target, .. } = self;
        let to = format!("sip:{}@chat.example", parlor_proto::sip::escape_user(&self.room));
        let transport = self.transport.name();
        let tag = self.to_tag.as_ref().map(|tag| format!(";tag={tag}")).unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let length = body.len();
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/{transport} {at};rport;branch=z9hG4bK-{name}-{branch}\r\n\
             From: {from}\r\nTo: <{to}>{tag}\r\nCall-ID: call-of-{name}\r\nCSeq: {sequence} {method}\r\n\
             Contact: <sip:{name}@{at}>\r\nMax-Forwards: 70\r\n{extra}{kind}Content-Length: {length}\r\n\r\n{body}"
        )
    }

    pub fn offer(&self) -> String {
        offer(&format!("msrp://{}/{}1;tcp", self.at, self.name))
    }

    pub fn send(&mut self, world: &mut World, method: &str, body: &str) {
        let request = self.request(method, body);
        world.deliver(&request, self.hop());
    }

    pub fn invite(&mut self, world: &mut World) {
        let offer = self.offer();
        self.send(world, "INVITE", &offer);
        self.learn(world);
    }

    /// Takes tag and session from what the focus did last.
    pub fn learn(&mut self, world: &World) {
        let to = text(&world.last_response().headers, &HeaderName::To).unwrap();
        self.to_tag = to.split_once(";tag=").map(|(_, tag)| tag.to_owned());
        self.session = world.opened().last().map(|open| (open.session.shard, open.session));
    }

    /// Joins if it is let in, and leaves no ACK out then.
    pub fn join_or_not(&mut self, world: &mut World) {
        self.invite(world);
        let status = world.last_status();
        self.send(world, "ACK", "");
        assert!(matches!(status, 200 | 503), "{status}");
    }

    pub fn join(&mut self, world: &mut World) {
        self.invite(world);
        assert_eq!(world.last_status(), 200, "{} joins {}", self.name, self.room);
        self.send(world, "ACK", "");
    }

    /// Answers the last request of the focus with 200.
    pub fn agree(&self, world: &mut World) {
        self.respond(world, 200, "", "");
    }

    /// Answers the last request of the focus.
    pub fn respond(&self, world: &mut World, status: u16, extra: &str, body: &str) {
        let (_, request) = world.requests().pop().expect("a request");
        self.respond_to(world, &request, status, extra, body);
    }

    /// Answers a request of the focus. A To without a tag gets one of this peer.
    pub fn respond_to(&self, world: &mut World, request: &Request, status: u16, extra: &str, body: &str) {
        let mut answer = format!("SIP/2.0 {status} {}\r\n", parlor_proto::sip::reason_phrase(status));
        for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
            let mut value = text(&request.headers, &name).unwrap();
            if name == HeaderName::To && !value.contains(";tag=") && status > 100 {
                value += &format!(";tag=of-{}", self.name);
            }
            answer += &format!("{name}: {value}\r\n");
        }
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        world.deliver(&format!("{answer}{extra}{kind}Content-Length: {}\r\n\r\n{body}", body.len()), self.hop());
    }
}

pub fn offer(path: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.77\r\ns=-\r\nc=IN IP4 192.0.2.77\r\nt=0 0\r\nm=message 9 TCP/MSRP *\r\n\
         a=path:{path}\r\na=accept-types:message/cpim text/plain\r\na=setup:active\r\na=chatroom:nickname private-messages\r\n"
    )
}
