//! No wake from another thread is lost, whatever else runs on the shard's core.
//!
//! Every back end of a shard is asked. A ring and epoll poll an eventfd for edges and have no heartbeat that would hide a loss;
//! glommio's executor can park with runnable tasks for good when its preempt timer fires at the wrong moment, and the shard's
//! settings rule that out (see `src/shard/glommio/mod.rs`). A lost wake shows as an answer that never comes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parlor::facts::{Command, Event, Member, OpenRoom, OpenSession, Refusal, RoomPolicy, Terms};
use parlor::ids::{RoomId, SessionId, ShardId};
use parlor::shard::{self, Io, ShardSettings, mesh};
use parlor_proto::msrp::Path;
use parlor_proto::uri::Aor;
use tokio::sync::mpsc;

/// Wakes in each test, unless `PARLOR_WAKES` asks for more. Without the settings some hundreds to some thousands are enough for a
/// loss.
const WAKES: u128 = 10_000;
/// Only a lost wake takes that long.
const LOST_AFTER: Duration = Duration::from_secs(120);

/// Threads that do something until they are dropped.
struct Background {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Background {
    fn new() -> Self {
        Self { stop: Arc::default(), threads: Vec::new() }
    }

    fn run(&mut self, mut step: impl FnMut() + Send + 'static) {
        let stop = self.stop.clone();
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                step();
            }
        }));
    }

    /// Keeps a core busy.
    fn keep_core_busy(&mut self, core: usize) {
        let mut pinned = false;
        self.run(move || {
            if !std::mem::replace(&mut pinned, true) {
                core_affinity::set_for_current(core_affinity::CoreId { id: core });
            }
            for n in 0..10_000u64 {
                std::hint::black_box(n);
            }
        });
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

struct Shard {
    handle: mesh::ShardHandle,
    events: mpsc::Receiver<(ShardId, Event)>,
    runtime: tokio::runtime::Runtime,
}

impl Shard {
    fn start(core: usize, io: Io) -> Self {
        let settings = ShardSettings { cores: vec![core], port: 0, io, ..ShardSettings::default() };
        let bound = shard::bind(&settings).unwrap();
        let (sender, events) = mesh::events();
        let (handle, _thread) = shard::start(&settings, bound, &sender, || [1; 32]).unwrap().remove(0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { handle, events, runtime }
    }

    fn give(&self, command: Command) {
        self.handle.commands.try_send(command).unwrap();
    }

    /// The next event that is not about the load.
    fn next(&mut self) -> Event {
        let next = async {
            loop {
                match self.events.recv().await {
                    Some((_, Event::Load { .. })) => {}
                    Some((_, event)) => return event,
                    None => panic!("the shard has ended"),
                }
            }
        };
        self.runtime.block_on(async { tokio::time::timeout(LOST_AFTER, next).await }).expect("a wake was lost")
    }

    /// Asks for something, waits for the answer, and asks again: every question finds the shard asleep, or about to be.
    fn ask_many_times(&mut self) {
        let wakes = std::env::var("PARLOR_WAKES").map_or(WAKES, |number| number.parse().unwrap());
        for number in 0..wakes {
            let session = SessionId { shard: ShardId(0), random: 1_000_000 + number };
            self.give(Command::OpenSession(Box::new(open(session, RoomId(404), "nobody", self.handle.port))));
            assert_eq!(self.next(), Event::SessionRefused { session, why: Refusal::NoSuchRoom });
        }
    }

    /// A room with two members of whom the first talks without a break.
    fn make_busy(&mut self, background: &mut Background) {
        let room = OpenRoom {
            room: RoomId(1),
            uri: "sip:busy@localhost".into(),
            names: vec![Aor::parse(b"sip:busy@localhost").unwrap()],
            policy: Arc::new(RoomPolicy::default()),
        };
        self.give(Command::OpenRoom(Box::new(room)));
        let mut streams = Vec::new();
        for (number, name) in ["talker", "listener"].into_iter().enumerate() {
            let session = SessionId { shard: ShardId(0), random: number as u128 };
            let open = open(session, RoomId(1), name, self.handle.port);
            let head = format!("To-Path: {}\r\nFrom-Path: {}\r\n", open.terms.local, open.terms.remote);
            self.give(Command::OpenSession(Box::new(open)));
            assert_eq!(self.next(), Event::SessionReady { session });
            let mut stream = TcpStream::connect(("127.0.0.1", self.handle.port)).unwrap();
            stream.write_all(format!("MSRP bind SEND\r\n{head}Message-ID: b\r\n-------bind$\r\n").as_bytes()).unwrap();
            assert_eq!(self.next(), Event::SessionBound { session });
            streams.push((stream, head));
        }
        let (listener, _) = streams.pop().unwrap();
        let (talker, head) = streams.pop().unwrap();
        let body = "From: <sip:talker@localhost>\r\nTo: <sip:busy@localhost>\r\n\r\n\r\nblah";
        let message = format!(
            "MSRP talk SEND\r\n{head}Message-ID: m\r\nFailure-Report: no\r\nContent-Type: message/cpim\r\n\r\n{body}\r\n-------talk$\r\n"
        );
        for stream in [&talker, &listener] {
            stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        }
        let mut writer = talker;
        background.run(move || {
            let _ = writer.write_all(message.as_bytes());
            std::thread::sleep(Duration::from_micros(50));
        });
        let (mut reader, mut buffer) = (listener, vec![0; 65536]);
        background.run(move || drop(reader.read(&mut buffer)));
    }
}

fn open(session: SessionId, room: RoomId, name: &str, port: u16) -> OpenSession {
    let user = Aor::parse(format!("sip:{name}@localhost").as_bytes()).unwrap();
    let path = |text: String| Path::parse(text.as_bytes()).unwrap();
    OpenSession {
        formerly: None,
        session,
        room,
        member: Member {
            user: user.clone(),
            uri: format!("sip:{name}@localhost").into(),
            display_name: None,
            identities: [user].into(),
            anonymous: false,
        },
        terms: Terms::between(
            path(format!("msrp://127.0.0.1:{port}/{session};tcp")),
            path(format!("msrp://127.0.0.1:9/{name};tcp")),
        ),
    }
}

fn a_core() -> usize {
    core_affinity::get_core_ids().and_then(|cores| cores.first().map(|core| core.id)).unwrap_or(0)
}

fn idle_shard_gets_every_wake(io: Io) {
    let core = a_core();
    let mut shard = Shard::start(core, io);
    let mut background = Background::new();
    background.keep_core_busy(core);
    shard.ask_many_times();
}

fn busy_shard_gets_every_wake(io: Io) {
    let core = a_core();
    let mut shard = Shard::start(core, io);
    let mut background = Background::new();
    shard.make_busy(&mut background);
    background.keep_core_busy(core);
    shard.ask_many_times();
}

#[test]
fn an_idle_loop_beside_a_hog_hears_every_wake() {
    idle_shard_gets_every_wake(Io::Ring);
}

#[test]
fn a_busy_loop_beside_a_hog_hears_every_wake() {
    busy_shard_gets_every_wake(Io::Ring);
}

#[test]
fn an_idle_epoll_loop_beside_a_hog_hears_every_wake() {
    idle_shard_gets_every_wake(Io::Epoll);
}

#[test]
fn a_busy_epoll_loop_beside_a_hog_hears_every_wake() {
    busy_shard_gets_every_wake(Io::Epoll);
}

#[test]
fn an_idle_executor_beside_a_hog_hears_every_wake() {
    idle_shard_gets_every_wake(Io::Glommio);
}

#[test]
fn a_busy_executor_beside_a_hog_hears_every_wake() {
    busy_shard_gets_every_wake(Io::Glommio);
}
