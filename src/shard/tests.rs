//! A shard over real sockets, without SIP.

use std::io::{BufReader, Bytes, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::mesh;
use super::*;
use crate::facts::{ChatroomTokens, Command, Event, Member, OpenRoom, OpenSession, RoomPolicy, Terms};
use crate::ids::{RoomId, SessionId, ShardId};
use parlor_proto::msrp::Path;
use parlor_proto::uri::Aor;

struct Running {
    handle: mesh::ShardHandle,
    thread: ShardThread,
    events: tokio::sync::mpsc::Receiver<(ShardId, Event)>,
}

fn run(io: Io) -> Running {
    run_with(ShardSettings { io, ..ShardSettings::default() })
}

fn run_with(settings: ShardSettings) -> Running {
    let cores = core_affinity::get_core_ids().unwrap().iter().take(1).map(|core| core.id).collect();
    let settings = ShardSettings { cores, port: 0, ..settings };
    let bound = bind(&settings).unwrap();
    let (sender, events) = mesh::events();
    let (handle, thread) = start(&settings, bound, &sender, || [3; 32]).unwrap().remove(0);
    let running = Running { handle, thread, events };
    running.open_room(1);
    running
}

fn path(text: &str) -> Path {
    Path::parse(text.as_bytes()).unwrap()
}

struct Client {
    stream: TcpStream,
    octets: Bytes<BufReader<TcpStream>>,
    local: String,
    remote: String,
}

impl Running {
    fn open_room(&self, room: u64) {
        let open = OpenRoom {
            room: RoomId(room),
            uri: "sip:lobby@localhost".into(),
            names: vec![Aor::parse(b"sip:lobby@localhost").unwrap()],
            policy: Arc::new(RoomPolicy::default()),
        };
        self.handle.commands.try_send(Command::OpenRoom(Box::new(open))).unwrap();
    }

    fn join(&mut self, name: &str, number: u128) -> Client {
        self.join_room(1, name, number)
    }

    fn join_room(&mut self, room: u64, name: &str, number: u128) -> Client {
        self.join_over(|port| TcpStream::connect(("127.0.0.1", port)).unwrap(), room, name, number)
    }

    /// `connect` makes the connection to a port.
    fn join_over(&mut self, connect: impl FnOnce(u16) -> TcpStream, room: u64, name: &str, number: u128) -> Client {
        let session = SessionId { shard: ShardId(0), random: number };
        let local = format!("msrp://127.0.0.1:{}/{session};tcp", self.handle.port);
        let remote = format!("msrp://127.0.0.1:9/{name};tcp");
        let user = Aor::parse(format!("sip:{name}@localhost").as_bytes()).unwrap();
        let open = OpenSession {
            formerly: None,
            session,
            room: RoomId(room),
            member: Member {
                user: user.clone(),
                uri: format!("sip:{name}@localhost").into(),
                display_name: None,
                identities: [user].into(),
                anonymous: false,
            },
            terms: Terms {
                chatroom: Some(ChatroomTokens { nickname: true, private_messages: true }),
                ..Terms::between(path(&local), path(&remote))
            },
        };
        self.handle.commands.try_send(Command::OpenSession(Box::new(open))).unwrap();
        assert!(matches!(self.next_event(), Event::SessionReady { .. }));
        let stream = connect(self.handle.port);
        let octets = BufReader::new(stream.try_clone().unwrap()).bytes();
        let mut client = Client { stream, octets, local, remote };
        client.write("SEND", "bind0001", "Message-ID: b\r\nByte-Range: 1-0/0\r\n", None);
        client.read_until("-------bind0001$\r\n");
        assert!(matches!(self.next_event(), Event::SessionBound { .. }));
        client
    }

    fn next_event(&mut self) -> Event {
        loop {
            let (_, event) = self.events.blocking_recv().unwrap();
            if !matches!(event, Event::Load { .. }) {
                return event;
            }
        }
    }
}

impl Client {
    fn write(&mut self, method: &str, tid: &str, headers: &str, body: Option<&str>) {
        let body = body.map(|body| format!("\r\n{body}\r\n")).unwrap_or_default();
        let Self { local, remote, .. } = self;
        let chunk = format!(
            "MSRP {tid} {method}\r\nTo-Path: {local}\r\nFrom-Path: {remote}\r\n{headers}{body}-------{tid}$\r\n"
        );
        self.stream.write_all(chunk.as_bytes()).unwrap();
    }

    fn say(&mut self, from: &str, tid: &str, text: &str) {
        let body = format!(
            "From: <sip:{from}@localhost>\r\nTo: <sip:lobby@localhost>\r\n\r\nContent-Type: text/plain\r\n\r\n{text}"
        );
        let headers =
            format!("Message-ID: {tid}\r\nByte-Range: 1-{0}/{0}\r\nContent-Type: message/cpim\r\n", body.len());
        self.write("SEND", tid, &headers, Some(&body));
    }

    fn read_until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            text.push(self.octets.next().unwrap().unwrap());
        }
        String::from_utf8(text).unwrap()
    }
}

/// What is expected of a shard, whatever carries it.
macro_rules! on_each {
    ($($name:ident),* $(,)?) => {
        mod on_ring {
            use super::Io;
            $(#[test] fn $name() { super::$name(Io::Ring); })*
        }
        mod on_glommio {
            use super::Io;
            $(#[test] fn $name() { super::$name(Io::Glommio); })*
        }
        mod on_epoll {
            use super::Io;
            $(#[test] fn $name() { super::$name(Io::Epoll); })*
        }
    };
}

on_each!(
    more_connections_than_buffers_speak_at_once,
    a_shard_that_nobody_commands_ends,
    members_talk_and_a_drained_shard_ends,
    a_lost_connection_ends_its_session,
    what_is_not_msrp_is_hung_up_on
);

mod descriptors;
mod pieces;
mod shell;
mod turns;

fn members_talk_and_a_drained_shard_ends(io: Io) {
    let mut running = run(io);
    let mut alice = running.join("alice", 1);
    let mut bob = running.join("bob", 2);
    alice.say("alice", "t0000001", "hello");
    assert!(alice.read_until("-------t0000001$\r\n").contains(" 200 OK"));
    assert!(bob.read_until("$\r\n").contains("\r\n\r\nhello\r\n-------"));
    running.handle.commands.try_send(Command::Drain).unwrap();
    for number in [1, 2] {
        let session = SessionId { shard: ShardId(0), random: number };
        running.handle.commands.try_send(Command::CloseSession { session }).unwrap();
    }
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.stream.read(&mut [0; 10]).unwrap(), 0, "the connection is closed");
    }
    running.thread.join().unwrap();
}

fn a_lost_connection_ends_its_session(io: Io) {
    let mut running = run(io);
    let alice = running.join("alice", 1);
    drop(alice);
    assert!(matches!(running.next_event(), Event::SessionEnded { .. }));
}

fn what_is_not_msrp_is_hung_up_on(io: Io) {
    let running = run(io);
    let mut stream = TcpStream::connect(("127.0.0.1", running.handle.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(stream.read(&mut [0; 10]).unwrap_or(0), 0);
}

/// The ring has 64 buffers: what finds none stays in its socket until there is one.
fn more_connections_than_buffers_speak_at_once(io: Io) {
    let mut running = run(io);
    let mut clients: Vec<_> = (0..150).map(|n| running.join(&format!("user{n}"), n + 1)).collect();
    let text = "x".repeat(20);
    for (n, client) in clients.iter_mut().enumerate() {
        client.say(&format!("user{n}"), &format!("tid{n:05}"), &text);
    }
    for (n, client) in clients.iter_mut().enumerate() {
        let own = format!("MSRP tid{n:05} ");
        // The others' messages are around it, in any order.
        let mut copies = 0;
        let mut answered = false;
        while copies < 149 || !answered {
            let chunk = client.read_until("$\r\n");
            if chunk.starts_with(&own) {
                assert!(chunk.contains(" 200 OK"), "{chunk}");
                answered = true;
            } else {
                copies += 1;
            }
        }
    }
}

fn a_shard_that_nobody_commands_ends(io: Io) {
    let running = run(io);
    drop(running.handle);
    running.thread.join().unwrap();
}
