//! The switch without sockets: parsing, fanning out and draining, each beside a floor of its own.

use std::hint::black_box;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use parlor::facts::{Command, Direction, Member, OpenRoom, OpenSession, RoomPolicy, Terms};
use parlor::ids::{ConnectionId, RoomId, SessionId, ShardId};
use parlor::msrp::{ChunkParser, Path};
use parlor::switch::{PieceSink, Settings, Switch};
use parlor::uri::Aor;

fn paths(member: usize) -> (String, String) {
    let session = SessionId { shard: ShardId(0), random: member as u128 };
    (format!("msrp://room.example:2855/{session};tcp"), format!("msrp://m.example:9/m{member};tcp"))
}

fn message(size: usize) -> Bytes {
    let (local, remote) = paths(0);
    let text = "x".repeat(size);
    let body = format!("From: <sip:m0@x>\r\nTo: <sip:r@x>\r\n\r\nContent-Type: text/plain\r\n\r\n{text}");
    let len = body.len();
    let head = format!("MSRP abcd1234 SEND\r\nTo-Path: {local}\r\nFrom-Path: {remote}\r\nMessage-ID: m1\r\n");
    format!("{head}Byte-Range: 1-{len}/{len}\r\nContent-Type: message/cpim\r\n\r\n{body}\r\n-------abcd1234$\r\n")
        .into()
}

/// A room of one sender and so many others.
fn room(members: usize) -> (Switch, Vec<ConnectionId>, Instant) {
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
    let connections = (0..=members).map(|member| join(&mut switch, member, now)).collect();
    (switch, connections, now)
}

fn join(switch: &mut Switch, member: usize, now: Instant) -> ConnectionId {
    let user = Aor::parse(format!("sip:m{member}@x").as_bytes()).unwrap();
    let (local, remote) = paths(member);
    let path = |text: &str| Path::parse(text.as_bytes()).unwrap();
    let open = OpenSession {
        session: SessionId { shard: ShardId(0), random: member as u128 },
        room: RoomId(1),
        member: Member {
            user: user.clone(),
            uri: format!("sip:m{member}@x").into(),
            display_name: None,
            identities: vec![user],
            anonymous: false,
        },
        terms: Terms {
            local: path(&local),
            remote: path(&remote),
            accept_wrapped_types: None,
            max_size: None,
            chatroom: None,
            direction: Direction::default(),
            connect_to: None,
            fingerprints: Vec::new(),
        },
    };
    switch.handle_control(Command::OpenSession(Box::new(open)), now);
    let connection = switch.adopt(SocketAddr::from(([192, 0, 2, 1], 9)), false, now);
    let bind =
        format!("MSRP bind SEND\r\nTo-Path: {local}\r\nFrom-Path: {remote}\r\nMessage-ID: b\r\n-------bind$\r\n");
    switch.handle_bytes(connection, &bind.into(), now).unwrap();
    while switch.poll_event().is_some() {}
    connection
}

/// Copies what it gets into one buffer, as the flusher does with small pieces.
struct Scratch(Vec<u8>);

impl PieceSink for Scratch {
    fn push(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
    }
}

fn drain(switch: &mut Switch, dirty: &mut Vec<ConnectionId>, scratch: &mut Scratch, now: Instant) {
    switch.take_dirty(dirty);
    for id in dirty.drain(..) {
        scratch.0.clear();
        let n = switch.gather(id, scratch, usize::MAX);
        switch.sent(id, black_box(n), now);
    }
}

fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    for size in [500, 30_000] {
        let message = message(size);
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_with_input(BenchmarkId::new("chunk", size), &message, |b, message| {
            let mut parser = ChunkParser::new();
            b.iter(|| {
                let mut input = &message[..];
                while let Some(event) = parser.next(&mut input).unwrap() {
                    black_box(&event);
                }
            });
        });
        group.bench_with_input(BenchmarkId::new("floor: memchr over the same octets", size), &message, |b, message| {
            b.iter(|| memchr::memchr_iter(b'\r', black_box(message)).count());
        });
    }
}

fn fan_out_and_drain(c: &mut Criterion) {
    let mut group = c.benchmark_group("a message of 500 octets to everybody, and out again");
    for members in [100, 1000] {
        group.throughput(Throughput::Elements(members as u64));
        group.bench_function(BenchmarkId::new("switch", members), |b| {
            let (mut switch, connections, now) = room(members);
            let (message, mut dirty, mut scratch) = (message(500), Vec::new(), Scratch(Vec::new()));
            b.iter(|| {
                switch.handle_bytes(connections[0], &message, now).unwrap();
                drain(&mut switch, &mut dirty, &mut scratch, now);
            });
        });
        group.bench_function(BenchmarkId::new("floor: a push and a copy for each", members), |b| {
            let frame: Rc<[u8]> = Rc::from(&message(500)[..]);
            let mut outboxes: Vec<Vec<Rc<[u8]>>> = (0..members).map(|_| Vec::new()).collect();
            let mut scratch = Vec::new();
            b.iter(|| {
                for outbox in &mut outboxes {
                    outbox.push(frame.clone());
                }
                for outbox in &mut outboxes {
                    for frame in outbox.drain(..) {
                        scratch.clear();
                        scratch.extend_from_slice(black_box(&frame));
                    }
                }
            });
        });
    }
}

criterion_group!(benches, parse, fan_out_and_drain);
criterion_main!(benches);
