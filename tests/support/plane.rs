//! A switch without sockets, with as many rooms and members as are wanted.
#![allow(dead_code, reason = "every test and bench uses its share")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parlor::facts::{Command, Member, OpenRoom, OpenSession, RoomPolicy, Terms};
use parlor::ids::{ConnectionId, RoomId, SessionId, ShardId};
use parlor::switch::{PieceSink, Settings, Switch};
use parlor_proto::msrp::Path;
use parlor_proto::uri::Aor;

pub struct Plane {
    pub switch: Switch,
    pub now: Instant,
    pub seats: Vec<Seat>,
    /// Octets that have left.
    pub sent: usize,
    rooms: u64,
    dirty: Vec<ConnectionId>,
}

pub struct Seat {
    pub connection: ConnectionId,
    pub room: u64,
    pub local: String,
    pub remote: String,
}

/// Takes the octets and keeps nothing but their number.
#[derive(Default)]
pub struct Count(pub usize);

impl PieceSink for Count {
    fn push(&mut self, piece: &[u8]) {
        self.0 += piece.len();
    }
}

/// Copies what it gets into one buffer, as the flush does with small pieces.
#[derive(Default)]
pub struct Scratch(pub Vec<u8>);

impl PieceSink for Scratch {
    fn push(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
    }
}

impl Plane {
    /// So many rooms with so many members in each.
    pub fn new(rooms: usize, members: usize) -> Self {
        let switch = Switch::new(Settings::default(), [1; 32]);
        let mut plane = Self { switch, now: Instant::now(), seats: Vec::new(), sent: 0, rooms: 0, dirty: Vec::new() };
        for _ in 0..rooms {
            let room = plane.open_room();
            for _ in 0..members {
                plane.join(room);
            }
        }
        plane
    }

    pub fn open_room(&mut self) -> u64 {
        self.rooms += 1;
        let uri = room_uri(self.rooms);
        let open = OpenRoom {
            room: RoomId(self.rooms),
            uri: uri.as_str().into(),
            names: vec![Aor::parse(uri.as_bytes()).unwrap()],
            policy: Arc::new(RoomPolicy::default()),
        };
        self.switch.handle_control(Command::OpenRoom(Box::new(open)), self.now);
        self.rooms
    }

    /// Negotiates a session and binds it. Answers the member's number.
    pub fn join(&mut self, room: u64) -> usize {
        let member = self.seats.len();
        let session = SessionId { shard: ShardId(0), random: member as u128 };
        let user = Aor::parse(format!("sip:m{member}@x").as_bytes()).unwrap();
        let local = format!("msrp://room.example:2855/{session};tcp");
        let remote = format!("msrp://m.example:9/m{member};tcp");
        let open = OpenSession {
            formerly: None,
            session,
            room: RoomId(room),
            member: Member {
                user: user.clone(),
                uri: format!("sip:m{member}@x").into(),
                display_name: None,
                identities: [user].into(),
                anonymous: false,
            },
            terms: Terms::between(path(&local), path(&remote)),
        };
        self.switch.handle_control(Command::OpenSession(Box::new(open)), self.now);
        let connection = self.switch.adopt(SocketAddr::from(([192, 0, 2, 1], 9)), false, self.now);
        self.seats.push(Seat { connection, room, local, remote });
        let bind = self.chunk(member, "bind0000", "SEND", "Message-ID: b\r\n", None);
        self.receive(member, &bind);
        self.flush();
        member
    }

    /// A chunk of a member, written out.
    pub fn chunk(&self, member: usize, tid: &str, method: &str, headers: &str, body: Option<&str>) -> Bytes {
        let Seat { local, remote, .. } = &self.seats[member];
        let body = body.map(|body| format!("\r\n{body}\r\n")).unwrap_or_default();
        format!("MSRP {tid} {method}\r\nTo-Path: {local}\r\nFrom-Path: {remote}\r\n{headers}{body}-------{tid}$\r\n")
            .into()
    }

    /// A message of a member to its room, with so many octets of text.
    pub fn message(&self, member: usize, size: usize) -> Bytes {
        let (room, text) = (room_uri(self.seats[member].room), "x".repeat(size));
        let body = format!("From: <sip:m{member}@x>\r\nTo: <{room}>\r\n\r\nContent-Type: text/plain\r\n\r\n{text}");
        let headers = format!("Message-ID: m1\r\nByte-Range: 1-{0}/{0}\r\nContent-Type: message/cpim\r\n", body.len());
        self.chunk(member, "abcd1234", "SEND", &headers, Some(&body))
    }

    pub fn receive(&mut self, member: usize, bytes: &Bytes) {
        self.switch.handle_bytes(self.seats[member].connection, bytes, self.now).unwrap();
        while self.switch.poll_output().is_some() {}
    }

    /// Sends everything that waits.
    pub fn flush(&mut self) {
        self.flush_into(Count::default);
    }

    /// Sends everything that waits, each connection's into a sink of its own.
    pub fn flush_into<S: PieceSink>(&mut self, mut sink: impl FnMut() -> S) {
        self.switch.take_dirty(&mut self.dirty);
        for id in self.dirty.drain(..) {
            let n = self.switch.gather(id, &mut sink(), usize::MAX);
            self.sent += n;
            self.switch.sent(id, n, self.now);
        }
    }
}

fn path(text: &str) -> Path {
    Path::parse(text.as_bytes()).unwrap()
}

fn room_uri(room: u64) -> String {
    format!("sip:r{room}@x")
}
