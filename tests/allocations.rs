//! What a delivery allocates: nothing, over many. Counted by the allocator itself.
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use parlor::facts::{Command, Direction, Member, OpenRoom, OpenSession, RoomPolicy, Terms};
use parlor::ids::{ConnectionId, RoomId, SessionId, ShardId};
use parlor::msrp::Path;
use parlor::switch::{PieceSink, Settings, Switch};
use parlor::uri::Aor;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MEMBERS: usize = 100;
const MESSAGES: usize = 1000;

/// Takes the octets and keeps nothing but their number.
#[derive(Default)]
struct Count(usize);

impl PieceSink for Count {
    fn push(&mut self, piece: &[u8]) {
        self.0 += piece.len();
    }
}

struct Room {
    switch: Switch,
    connections: Vec<ConnectionId>,
    dirty: Vec<ConnectionId>,
    now: Instant,
    sent: usize,
}

impl Room {
    fn new() -> Self {
        let now = Instant::now();
        let mut switch = Switch::new(Settings::default(), [1; 32]);
        let open = OpenRoom {
            room: RoomId(1),
            name: "r".into(),
            uri: "sip:r@x".into(),
            names: vec![Aor::parse(b"sip:r@x").unwrap()],
            policy: Arc::new(RoomPolicy::default()),
        };
        switch.handle_control(Command::OpenRoom(Box::new(open)), now);
        let mut room = Self { switch, connections: Vec::new(), dirty: Vec::new(), now, sent: 0 };
        for member in 0..=MEMBERS {
            room.join(member);
        }
        room
    }

    fn join(&mut self, member: usize) {
        let session = SessionId { shard: ShardId(0), random: member as u128 };
        let user = Aor::parse(format!("sip:m{member}@x").as_bytes()).unwrap();
        let (local, remote) = paths(member);
        let open = OpenSession {
            session,
            room: RoomId(1),
            member: Member {
                user: user.clone(),
                uri: format!("sip:m{member}@x").into(),
                display_name: None,
                identities: vec![user],
                anonymous: false,
            },
            terms: Terms {
                local: Path::parse(local.as_bytes()).unwrap(),
                remote: Path::parse(remote.as_bytes()).unwrap(),
                accept_wrapped_types: None,
                max_size: None,
                chatroom: None,
                direction: Direction::default(),
                connect_to: None,
                fingerprints: Vec::new(),
            },
        };
        self.switch.handle_control(Command::OpenSession(Box::new(open)), self.now);
        let connection = self.switch.adopt(SocketAddr::from(([192, 0, 2, 1], 9)), false, self.now);
        self.connections.push(connection);
        self.receive(
            member,
            format!("MSRP bind SEND\r\nTo-Path: {local}\r\nFrom-Path: {remote}\r\nMessage-ID: b\r\n-------bind$\r\n")
                .into(),
        );
        while self.switch.poll_event().is_some() {}
    }

    fn receive(&mut self, member: usize, bytes: Bytes) {
        self.switch.handle_bytes(self.connections[member], &bytes, self.now).unwrap();
        self.switch.take_dirty(&mut self.dirty);
        for id in self.dirty.drain(..) {
            let mut sink = Count::default();
            let n = self.switch.gather(id, &mut sink, usize::MAX);
            assert_eq!(n, sink.0);
            self.sent += n;
            self.switch.sent(id, n, self.now);
        }
    }
}

fn paths(member: usize) -> (String, String) {
    let session = SessionId { shard: ShardId(0), random: member as u128 };
    (format!("msrp://room.example:2855/{session};tcp"), format!("msrp://m.example:9/m{member};tcp"))
}

/// A message of the first member, in a block that is read into again and again as a shard does.
fn message(size: usize) -> BytesMut {
    let (local, remote) = paths(0);
    let text = "x".repeat(size);
    let body = format!("From: <sip:m0@x>\r\nTo: <sip:r@x>\r\n\r\nContent-Type: text/plain\r\n\r\n{text}");
    let chunk = format!(
        "MSRP abcd1234 SEND\r\nTo-Path: {local}\r\nFrom-Path: {remote}\r\nMessage-ID: m1\r\nByte-Range: 1-{0}/{0}\r\n\
         Content-Type: message/cpim\r\n\r\n{body}\r\n-------abcd1234$\r\n",
        body.len()
    );
    BytesMut::from(chunk.as_bytes())
}

fn allocations_per_delivery(room: &mut Room, size: usize) -> f64 {
    let chunk = message(size).freeze();
    for _ in 0..10 {
        room.receive(0, chunk.clone());
    }
    let (before, deliveries) = (ALLOCATIONS.load(Ordering::Relaxed), room.switch.counters().deliveries);
    for _ in 0..MESSAGES {
        room.receive(0, chunk.clone());
    }
    let delivered = room.switch.counters().deliveries - deliveries;
    assert_eq!(delivered, (MEMBERS * MESSAGES) as u64);
    (ALLOCATIONS.load(Ordering::Relaxed) - before) as f64 / delivered as f64
}

#[test]
fn a_delivery_allocates_nothing() {
    let mut room = Room::new();
    // What is copied on arrival goes into a log that is used again; a larger message is a frame: two for all its copies.
    for (size, max) in [(500, 0.0001), (3000, 0.0001), (30_000, 2.0 / MEMBERS as f64 + 0.0001)] {
        let allocations = allocations_per_delivery(&mut room, size);
        println!("{size} octets: {allocations:.4} allocations per delivery to {MEMBERS} members");
        assert!(allocations <= max, "{size} octets: {allocations} a delivery");
    }
    assert!(room.sent > 0);
}
