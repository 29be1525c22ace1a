//! `idle`: sessions without messages. The memory of each, and the processor time of all.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::arguments::{RunArguments, at_least};
use crate::client::call_table::CallOptions;
use crate::client::calls::Calls;
use crate::client::sip::Transport;
use crate::interrupt::interrupted;
use crate::machine::cores::{Cores, pin};
use crate::machine::cpu::{self, Meter};
use crate::machine::descriptors;
use crate::machine::memory;
use crate::result::outcome::{self, Measured, Outcome, PARLOR, Pace, Subject, Watch};
use crate::result::output::OutputArguments;
use crate::subject::process::ServerUnderTest;

/// Arguments of `idle`.
#[derive(Debug, Args)]
// A server elsewhere does not show its memory.
#[command(mut_arg("server", |argument| argument.hide(true)))]
#[command(after_help = "\
Examples:
  parlor bench idle --sessions 1000
  parlor bench idle --sessions 10000 --room-size 10 --seconds 10 --json idle.json")]
pub struct IdleArguments {
    /// Sessions, each with a call and a connection
    #[arg(long, default_value_t = 1000, value_parser = at_least(1))]
    sessions: usize,
    /// Members of a room
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    room_size: u32,
    #[command(flatten)]
    pub run: RunArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

impl IdleArguments {
    /// Checks the arguments.
    ///
    /// # Errors
    /// Returns what is wrong with the arguments, in words.
    pub fn check(&self) -> Result<(), String> {
        match self.run.server {
            Some(_) => Err("--server is not supported here: the memory of a server elsewhere cannot be read".into()),
            None => Ok(()),
        }
    }
}

/// Sessions that join before anything is measured: the first ones warm tables and pools.
const FIRST_SESSIONS: usize = 16;
/// What follows a join is over by then: retransmissions, timers, what the kernel frees later.
const SETTLING: Duration = Duration::from_secs(1);

/// Measures.
///
/// # Errors
/// Returns an error if a socket fails, or if the server is not the bench's own.
pub fn run(arguments: &IdleArguments, cores: Cores, watch: &mut dyn Watch) -> io::Result<Outcome> {
    let IdleArguments { sessions, room_size, .. } = *arguments;
    descriptors::reserve(sessions + FIRST_SESSIONS)?;
    // A server for each round, or the rounds would be one measurement of memory, repeated.
    let servers = (0..arguments.run.rounds).map(|_| ServerUnderTest::start(&arguments.run, arguments.run.shards, ""));
    let idle = Idle { servers: servers.collect::<io::Result<_>>()?, sessions, room_size: room_size as usize };
    pin(cores.client);
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(idle)];
    let rounds = outcome::in_turns(&mut subjects, Pace::Window(1), arguments.run.time(), arguments.run.rounds, watch)?;
    Ok(Outcome {
        scenario: "idle",
        title: format!("{sessions} idle sessions in rooms of {room_size}"),
        parameters: vec![
            ("sessions", json!(sessions)),
            ("room_size", json!(room_size)),
            ("shards", json!(arguments.run.shards)),
        ],
        operation: "session",
        pace: None,
        cores,
        own_server: true,
        rounds,
    })
}

/// Idle servers, one for each turn.
struct Idle {
    servers: Vec<ServerUnderTest>,
    sessions: usize,
    room_size: usize,
}

impl Subject for Idle {
    fn name(&self) -> &str {
        PARLOR
    }

    fn run(&mut self, _pace: Pace, time: Duration, watch: &mut dyn Watch) -> io::Result<Measured> {
        let server = self.servers.pop().ok_or_else(|| io::Error::other("no server is left"))?;
        let pid = server.pid().ok_or_else(|| io::Error::other("the memory of a server elsewhere cannot be read"))?;
        let mut calls = Calls::new(server.addresses, CallOptions::talking(Transport::Tcp), u64::from(pid))?;
        let Self { sessions, room_size, .. } = *self;
        let rooms: Vec<Rc<str>> = (0..=sessions / room_size).map(|room| calls.room(&room.to_string())).collect();
        let first = calls.room("first");
        calls.join_all(FIRST_SESSIONS, |_| first.clone(), watch)?;
        wait_until_idle(&mut calls, watch)?;
        let before = Held::now(pid)?;
        calls.join_all(sessions, |member| rooms[member / room_size].clone(), watch)?;
        wait_until_idle(&mut calls, watch)?;
        let held = Held::now(pid)?;
        watch.stage("idle");
        let mut measured = stand_still(&server, &mut calls, time, watch)?;
        measured.deliveries = sessions as u64;
        held.figures(&before, sessions, &mut measured);
        Ok(measured)
    }
}

fn wait_until_idle(calls: &mut Calls, watch: &dyn Watch) -> io::Result<()> {
    wait(calls, SETTLING, watch)?;
    if watch.is_interrupted() { Err(interrupted()) } else { Ok(()) }
}

/// Reads what comes, without doing anything.
fn wait(calls: &mut Calls, time: Duration, watch: &dyn Watch) -> io::Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end && !watch.is_interrupted() {
        calls.wait(end)?;
    }
    Ok(())
}

fn stand_still(server: &ServerUnderTest, calls: &mut Calls, time: Duration, watch: &dyn Watch) -> io::Result<Measured> {
    let mut measured = Measured::nothing();
    let target = server.target();
    let wakes = target.pid.map(cpu::wakes);
    let meter = Meter::start(&target);
    wait(calls, time, watch)?;
    meter.read(&mut measured);
    let seconds = measured.elapsed.as_secs_f64();
    measured.figure("idle_cpu", measured.server.total().as_secs_f64() * 1e6 / seconds, "µs/s");
    if let (Some(pid), Some(before)) = (target.pid, wakes) {
        measured.figure("wakes", cpu::wakes(pid).saturating_sub(before) as f64 / seconds, "/s");
    }
    Ok(measured)
}

/// Memory that is held at a moment.
struct Held {
    resident: u64,
    anonymous: u64,
    kernel: u64,
    queues: u64,
}

impl Held {
    fn now(pid: u32) -> io::Result<Self> {
        let there = |value: Option<u64>| value.ok_or_else(|| io::Error::other("the kernel does not tell memory"));
        Ok(Self {
            resident: there(memory::of_process(pid, "VmRSS"))?,
            anonymous: there(memory::anonymous(pid))?,
            kernel: there(memory::of_kernel())?,
            queues: there(memory::of_tcp_queues())?,
        })
    }

    /// Each is what `sessions` have added, shared out among them.
    fn figures(&self, before: &Self, sessions: usize, measured: &mut Measured) {
        let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / sessions.max(1) as f64;
        measured.figure("user_bytes_per_session", each(self.resident, before.resident), "B");
        measured.figure("anonymous_bytes_per_session", each(self.anonymous, before.anonymous), "B");
        measured.figure("kernel_bytes_per_session_both_ends", each(self.kernel, before.kernel), "B");
        measured.figure("tcp_queue_bytes_per_session_both_ends", each(self.queues, before.queues), "B");
        measured.figure("resident_bytes", self.resident as f64, "B");
    }
}
