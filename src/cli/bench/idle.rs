//! `idle`: sessions that say nothing. What each costs in memory, and all of them in processor time.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::arguments::RunArguments;
use super::calls::{Calls, Manner};
use super::cpu::{self, Meter};
use super::outcome::{Measured, Outcome, PARLOR, Round, Turn, Watch};
use super::report::OutputArguments;
use super::server::Subjected;
use super::sip::Transport;
use super::{Cores, descriptors, memory, pin};

/// Arguments of `idle`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor bench idle --sessions 1000
  parlor bench idle --sessions 10000 --room-size 10 --seconds 10 --json idle.json")]
pub struct IdleArguments {
    /// Sessions, each with a call and a connection
    #[arg(long, default_value_t = 1000)]
    sessions: usize,
    /// Members of a room
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    room_size: u32,
    #[command(flatten)]
    pub run: RunArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

/// Sessions that join before anything is measured: the first ones warm tables and pools.
const FIRST_SESSIONS: usize = 16;
/// What follows a join is over by then: retransmissions, timers, what the kernel frees later.
const SETTLING: Duration = Duration::from_secs(1);

/// Measures.
///
/// # Errors
/// As the sockets, and where the server is not the bench's own.
pub fn run(arguments: &IdleArguments, cores: Cores, watch: &mut dyn Watch) -> io::Result<Outcome> {
    let IdleArguments { sessions, room_size, .. } = *arguments;
    descriptors::reserve(sessions + FIRST_SESSIONS)?;
    let server = Subjected::start(&arguments.run, arguments.run.shards, "")?;
    let pid = server.pid().ok_or_else(|| io::Error::other("the memory of a server elsewhere cannot be read"))?;
    pin(cores.client);
    let mut calls = Calls::new(server.addresses, Manner::talking(Transport::Tcp), u64::from(std::process::id()))?;
    let rooms: Vec<Rc<str>> = (0..=sessions / room_size as usize).map(|room| calls.room(&room.to_string())).collect();
    let first = calls.room("first");
    calls.join_all(FIRST_SESSIONS, |_| first.clone(), watch)?;
    settle(&mut calls)?;
    let before = Held::now(pid)?;
    calls.join_all(sessions, |member| rooms[member / room_size as usize].clone(), watch)?;
    settle(&mut calls)?;
    let held = Held::now(pid)?;
    let mut rounds = Vec::new();
    for number in 1..=arguments.run.rounds.max(1) {
        watch.stage(&format!("round {number}: idle"));
        let mut measured = stand_still(&server, &mut calls, arguments.run.time() / arguments.run.rounds.max(1))?;
        measured.deliveries = sessions as u64;
        held.figures(&before, sessions, &mut measured);
        rounds.push(Round { turns: vec![Turn { subject: PARLOR.to_owned(), measured }] });
    }
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

/// Reads what comes, without doing anything.
fn settle(calls: &mut Calls) -> io::Result<()> {
    wait(calls, SETTLING)
}

fn wait(calls: &mut Calls, time: Duration) -> io::Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        calls.wait(end)?;
    }
    Ok(())
}

fn stand_still(server: &Subjected, calls: &mut Calls, time: Duration) -> io::Result<Measured> {
    let mut measured = Measured::nothing();
    let target = server.target();
    let wakes = target.pid.map(cpu::wakes);
    let meter = Meter::start(&target);
    wait(calls, time)?;
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
