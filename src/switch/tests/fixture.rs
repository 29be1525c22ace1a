//! A switch with one room, members on connections of their own, and time that stands still unless told otherwise.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::facts::{
    ChatroomTokens, Command, Direction, EndReason, Event, Member, OpenRoom, OpenSession, RoomPolicy, Terms,
};
use crate::ids::{ConnectionId, RoomId, SessionId, ShardId};
use crate::switch::{Dial, Output, Settings, Switch};
use parlor_proto::msrp::Path;
use parlor_proto::sdp::AcceptTypes;
use parlor_proto::uri::Aor;

pub const ROOM_URI: &str = "sip:lobby@example.com";

/// How one member differs from the usual.
#[derive(Clone, Default)]
pub struct Options {
    pub accepts: Option<&'static str>,
    pub max_size: Option<u64>,
    pub unaware: bool,
    /// Was called, and has not answered yet as far as the switch knows.
    pub unanswered: bool,
    /// Comes on the connection of this member, as through a relay.
    pub shares: Option<usize>,
    /// Was here before as somebody of this name.
    pub formerly: Option<&'static str>,
    /// In another room than the first.
    pub room: Option<u64>,
}

pub struct TestMember {
    pub name: String,
    pub session: SessionId,
    pub connection: ConnectionId,
    pub local: String,
    pub remote: String,
}

pub struct Fixture {
    pub switch: Switch,
    pub now: Instant,
    pub members: Vec<TestMember>,
    pub events: Vec<Event>,
    closes: VecDeque<ConnectionId>,
    dials: VecDeque<Dial>,
    resumes: VecDeque<ConnectionId>,
    policy: RoomPolicy,
}

impl Fixture {
    /// A room with these members, all bound, and nothing waiting.
    pub fn new(policy: RoomPolicy, names: &[&str]) -> Self {
        let mut fixture = Self {
            switch: Switch::new(Settings::default(), [7; 32]),
            now: Instant::now(),
            members: Vec::new(),
            events: Vec::new(),
            closes: VecDeque::new(),
            dials: VecDeque::new(),
            resumes: VecDeque::new(),
            policy,
        };
        fixture.open_room();
        for name in names {
            fixture.join(name, Options::default());
        }
        fixture
    }

    pub fn open_room(&mut self) {
        self.open_another_room(1);
    }

    pub fn open_another_room(&mut self, number: u64) {
        let open = OpenRoom {
            room: RoomId(number),
            uri: ROOM_URI.into(),
            names: vec![Aor::parse(ROOM_URI.as_bytes()).unwrap()],
            policy: Arc::new(self.policy.clone()),
        };
        self.control(Command::OpenRoom(Box::new(open)));
    }

    pub fn control(&mut self, command: Command) {
        self.switch.handle_control(command, self.now);
        self.drain_outputs();
    }

    fn drain_outputs(&mut self) {
        while let Some(output) = self.switch.poll_output() {
            match output {
                Output::Close(id) => self.closes.push_back(id),
                Output::Connect(dial) => self.dials.push_back(dial),
                Output::Resume(id) => self.resumes.push_back(id),
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// The next connection that the switch wants closed.
    pub fn next_close(&mut self) -> Option<ConnectionId> {
        self.drain_outputs();
        self.closes.pop_front()
    }

    /// The next connection that may be read again.
    pub fn next_resume(&mut self) -> Option<ConnectionId> {
        self.drain_outputs();
        self.resumes.pop_front()
    }

    /// The next connection that the switch wants made.
    pub fn next_dial(&mut self) -> Option<Dial> {
        self.drain_outputs();
        self.dials.pop_front()
    }

    /// Negotiates a session and binds it. Returns the member's number.
    pub fn join(&mut self, name: &str, options: Options) -> usize {
        let at = self.negotiate(name, &options);
        self.bind(at);
        at
    }

    pub fn negotiate(&mut self, name: &str, options: &Options) -> usize {
        let at = self.members.len();
        let session = SessionId { shard: ShardId(0), random: 1000 + at as u128 };
        let local = format!("msrp://room.example.com:2855/{session};tcp");
        let remote = format!("msrp://{name}{at}.example.com:7654/s{at};tcp");
        let connection = match options.shares {
            Some(other) => self.members[other].connection,
            None => self.connect(),
        };
        let user = |name: &str| Aor::parse(format!("sip:{name}@example.com").as_bytes()).unwrap();
        let formerly = options.formerly.map(user);
        let user = user(name);
        let open = OpenSession {
            formerly,
            session,
            room: RoomId(options.room.unwrap_or(1)),
            member: Member {
                user: user.clone(),
                uri: format!("sip:{name}@example.com").into(),
                display_name: None,
                identities: [user].into(),
                anonymous: false,
            },
            terms: Terms {
                local: Path::parse(local.as_bytes()).unwrap(),
                remote: Path::parse(remote.as_bytes()).unwrap(),
                accept_wrapped_types: options.accepts.map(AcceptTypes::parse),
                max_size: options.max_size,
                chatroom: (!options.unaware).then_some(ChatroomTokens { nickname: true, private_messages: true }),
                direction: Direction::default(),
                connect_to: None,
                fingerprints: Box::default(),
            },
        };
        let open = if options.unanswered {
            OpenSession { terms: Terms::unanswered(open.terms.local.clone()), ..open }
        } else {
            open
        };
        self.control(Command::OpenSession(Box::new(open)));
        self.members.push(TestMember { name: name.into(), session, connection, local, remote });
        at
    }

    /// What was negotiated for a member.
    pub fn terms(&self, at: usize) -> Terms {
        let key = self.switch.by_id[&self.members[at].session];
        self.switch.sessions[key].session.terms.clone()
    }

    pub fn connect(&mut self) -> ConnectionId {
        let peer: SocketAddr = "192.0.2.1:7654".parse().unwrap();
        self.switch.adopt(peer, false, self.now)
    }

    /// Sends the empty SEND that binds a session, and drops its answer.
    pub fn bind(&mut self, at: usize) {
        let chunk = self.chunk(at, "bind0000", "SEND", "Message-ID: bind\r\nByte-Range: 1-0/0\r\n", None, '$');
        self.send(at, &chunk);
        let answer = self.received(at);
        assert!(answer.contains("MSRP bind0000 200 OK"), "{answer}");
    }

    /// A chunk of member `at`, written out.
    pub fn chunk(&self, at: usize, tid: &str, method: &str, headers: &str, body: Option<&str>, flag: char) -> String {
        let TestMember { local, remote, .. } = &self.members[at];
        let body = body.map(|body| format!("\r\n{body}\r\n")).unwrap_or_default();
        format!(
            "MSRP {tid} {method}\r\nTo-Path: {local}\r\nFrom-Path: {remote}\r\n{headers}{body}-------{tid}{flag}\r\n"
        )
    }

    /// A whole SEND of member `at`.
    pub fn message(&self, at: usize, id: &str, body: &str) -> String {
        self.message_with(at, id, "", body)
    }

    pub fn message_with(&self, at: usize, id: &str, headers: &str, body: &str) -> String {
        let range = format!("1-{0}/{0}", body.len());
        let headers = format!("Message-ID: {id}\r\nByte-Range: {range}\r\n{headers}Content-Type: message/cpim\r\n");
        self.chunk(at, &format!("tid{id}"), "SEND", &headers, Some(body), '$')
    }

    /// A wrapped text from member `at`.
    pub fn cpim(&self, at: usize, to: &str, text: &str) -> String {
        let from = &self.members[at].name;
        format!("From: <sip:{from}@example.com>\r\nTo: <{to}>\r\n\r\nContent-Type: text/plain\r\n\r\n{text}")
    }

    pub fn to_room(&self, at: usize, text: &str) -> String {
        self.cpim(at, ROOM_URI, text)
    }

    pub fn send(&mut self, at: usize, bytes: &str) {
        self.send_bytes(at, bytes.as_bytes());
    }

    pub fn send_bytes(&mut self, at: usize, bytes: &[u8]) {
        let connection = self.members[at].connection;
        let _ = self.switch.handle_bytes(connection, &Bytes::copy_from_slice(bytes), self.now);
        self.drain_outputs();
    }

    /// Everything that waits for a member, which is then sent.
    pub fn received(&mut self, at: usize) -> String {
        String::from_utf8(self.received_bytes(at)).unwrap()
    }

    pub fn received_bytes(&mut self, at: usize) -> Vec<u8> {
        self.taken(at, usize::MAX)
    }

    /// What waits for a member, of which the kernel takes `max` octets.
    pub fn taken(&mut self, at: usize, max: usize) -> Vec<u8> {
        let connection = self.members[at].connection;
        self.switch.take_dirty(&mut Vec::new());
        let mut out = Vec::new();
        let n = self.switch.gather(connection, &mut out, max);
        self.switch.sent(connection, n, self.now);
        out
    }

    /// The kernel takes nothing more for a member.
    pub fn block(&mut self, at: usize) {
        self.switch.blocked(self.members[at].connection, self.now);
    }

    pub fn close(&mut self, at: usize) {
        self.switch.closed(self.members[at].connection, EndReason::ConnectionLost, self.now);
        self.drain_outputs();
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.switch.handle_timeout(self.now);
        self.drain_outputs();
    }

    /// The status of the response to `tid` among what waits for a member, if there is one.
    pub fn answer(&mut self, at: usize, tid: &str) -> Option<u16> {
        let text = String::from_utf8_lossy(&self.received_bytes(at)).into_owned();
        let rest = text.split(&format!("MSRP {tid} ")).nth(1)?;
        rest.split([' ', '\r']).next()?.parse().ok()
    }
}

/// The bodies of the messages in what a member received: with `+` chunks put together by Message-ID, and `#` ones marked.
pub fn bodies(wire: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(wire);
    let mut out: Vec<(String, String)> = Vec::new();
    for chunk in text.split("MSRP ").skip(1) {
        let Some(id) = chunk.split("Message-ID: ").nth(1).and_then(|rest| rest.split("\r\n").next()) else { continue };
        let tid = chunk.split(' ').next().unwrap();
        let end = format!("-------{tid}");
        let (content, flag) = chunk.split_once(end.as_str()).unwrap();
        let body = content.split_once("\r\n\r\n").map_or("", |(_, body)| body.strip_suffix("\r\n").unwrap());
        let body = if flag.starts_with('#') { format!("{body}#") } else { body.to_owned() };
        match out.iter_mut().find(|(known, _)| known == id) {
            Some((_, sofar)) => sofar.push_str(&body),
            None => out.push((id.to_owned(), body)),
        }
    }
    out.into_iter().map(|(_, body)| body).collect()
}
