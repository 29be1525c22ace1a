//! `calls`: INVITE, ACK, BYE, as often as the control thread can, beside sessions that stand.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use serde_json::json;

use crate::arguments::{RunArguments, at_least, rate};
use crate::client::call_table::{CallOptions, Step};
use crate::client::calls::{Calls, refused};
use crate::client::sip::Transport;
use crate::interrupt::interrupted;
use crate::machine::cores::{Cores, pin};
use crate::machine::cpu::{self, Meter};
use crate::machine::descriptors;
use crate::result::outcome::{self, Measured, Outcome, PARLOR, Pace, Subject, Watch};
use crate::result::output::OutputArguments;
use crate::scenario::join_storm::Deadline;
use crate::subject::process::ServerUnderTest;

/// Arguments of `calls`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor bench calls                                       over TCP, 16 at a time, nobody else there
  parlor bench calls --transport udp --standing 10000      beside 10 000 sessions that stand
  parlor bench calls --rate 1000 --standing 1000 --json calls.json")]
pub struct DialArguments {
    /// Established sessions meanwhile, ten in a room, many on each MSRP connection; compared with none
    #[arg(long, default_value_t = 0, value_parser = at_least(0))]
    standing: usize,
    /// Calls per second, started on schedule (open loop)
    #[arg(long, conflicts_with = "window", value_parser = rate)]
    rate: Option<f64>,
    /// Calls in flight (closed loop)
    #[arg(long, default_value_t = 16, value_parser = at_least(1))]
    window: usize,
    /// The SIP transport
    #[arg(long, value_enum, default_value = "tcp")]
    transport: Transport,
    #[command(flatten)]
    pub run: RunArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

const WITHOUT: &str = "without standing";
/// Standing sessions in a room.
const ROOM_SIZE: usize = 10;
/// Standing sessions on an MSRP connection, as a relay has them.
const SESSIONS_PER_CONNECTION: usize = 1000;

/// Measures.
///
/// # Errors
/// Returns an error if a socket fails or the server refuses a call.
pub fn run(arguments: &DialArguments, cores: Cores, watch: &mut dyn Watch) -> io::Result<Outcome> {
    descriptors::reserve(arguments.standing / SESSIONS_PER_CONNECTION)?;
    // Calls that are measured are not bound: they do not live that long.
    let servers = if arguments.standing > 0 && arguments.run.server.is_none() { 2 } else { 1 };
    let servers =
        (0..servers).map(|_| ServerUnderTest::start_over(arguments.transport, &arguments.run, arguments.run.shards));
    let servers = servers.collect::<io::Result<Vec<_>>>()?;
    pin(cores.client);
    let own_server = servers[0].own.is_some();
    let mut subjects: Vec<Box<dyn Subject>> = Vec::new();
    for (server, (name, standing)) in servers.into_iter().zip([(PARLOR, arguments.standing), (WITHOUT, 0)]) {
        let options = CallOptions::talking(arguments.transport);
        let options = CallOptions { sessions_per_connection: SESSIONS_PER_CONNECTION, ..options };
        let mut others = Calls::new(server.addresses, options, u64::from(std::process::id()))?;
        let rooms: Vec<_> = (0..=standing / ROOM_SIZE).map(|room| others.room(&room.to_string())).collect();
        others.join_all(standing, |member| rooms[member / ROOM_SIZE].clone(), watch)?;
        subjects.push(Box::new(CallSubject { name, server, others, rooms, transport: arguments.transport, run: 0 }));
    }
    let pace = arguments.rate.map_or(Pace::Window(arguments.window), Pace::Rate);
    let rounds = outcome::in_turns(&mut subjects, pace, arguments.run.time(), arguments.run.rounds, watch)?;
    let transport = format!("{:?}", arguments.transport).to_lowercase();
    Ok(Outcome {
        scenario: "calls",
        title: format!("calls over {transport} beside {} standing sessions", arguments.standing),
        parameters: vec![
            ("standing", json!(arguments.standing)),
            ("transport", json!(transport)),
            ("shards", json!(arguments.run.shards)),
        ],
        operation: "call",
        pace: Some(pace),
        cores,
        own_server,
        rounds,
    })
}

/// A server that gets calls.
struct CallSubject {
    name: &'static str,
    server: ServerUnderTest,
    /// The standing sessions.
    others: Calls,
    rooms: Vec<Rc<str>>,
    transport: Transport,
    /// The last turn: no two turns have a Call-ID in common.
    run: u64,
}

impl Subject for CallSubject {
    fn name(&self) -> &str {
        self.name
    }

    fn run(&mut self, pace: Pace, time: Duration, watch: &mut dyn Watch) -> io::Result<Measured> {
        // Keep-alives and the like of those who stand.
        self.others.wait(Instant::now())?;
        self.run += 1;
        let options = CallOptions { sessions_per_connection: 0, ..CallOptions::talking(self.transport) };
        let mut calls = Calls::new(self.server.addresses, options, (self.run << 32) | u64::from(std::process::id()))?;
        let target = self.server.target();
        let control = || target.pid.map(|pid| cpu::of_thread(pid, pid));
        let before = control();
        let meter = Meter::start(&target);
        let mut turn = Calling { pace, due: meter.start, begun: 0, answered: Measured::nothing().latency };
        let (mut end, mut told, mut measured) = (meter.start + time, meter.start, Measured::nothing());
        let mut deadline = Deadline::default();
        while !deadline.is_over(&|| watch.is_interrupted()) {
            let now = Instant::now();
            if watch.is_interrupted() {
                end = end.min(now);
            }
            if now < end {
                turn.begin(&mut calls, &self.rooms, &mut measured)?;
            } else if measured.deliveries == measured.messages {
                break;
            }
            let tick = watch.interval().map(|interval| told + interval);
            let wake = turn.due(now, end).min(tick.unwrap_or(now + Duration::from_secs(1)));
            calls.wait(wake)?;
            turn.take(&mut calls, &mut measured)?;
            if tick.is_some_and(|tick| tick <= now) {
                told = now;
                meter.read(&mut measured);
                watch.tick(self.name, &measured);
            }
            calls.check_patience()?;
        }
        meter.read(&mut measured);
        let control = before.zip(control()).map(|(before, after)| after.saturating_sub(before));
        turn.figures(control, calls.resent(), &mut measured);
        if measured.deliveries == 0 && watch.is_interrupted() { Err(interrupted()) } else { Ok(measured) }
    }
}

/// The calls of one turn.
struct Calling {
    pace: Pace,
    due: Instant,
    begun: usize,
    answered: Histogram<u64>,
}

impl Calling {
    fn begin(&mut self, calls: &mut Calls, rooms: &[Rc<str>], measured: &mut Measured) -> io::Result<()> {
        loop {
            let now = Instant::now();
            let intended = match self.pace {
                Pace::Window(window) if measured.messages - measured.deliveries < window as u64 => now,
                Pace::Rate(rate) if self.due <= now => {
                    let due = self.due;
                    self.due += Duration::from_secs_f64(1.0 / rate);
                    due
                }
                _ => return Ok(()),
            };
            calls.join(&rooms[self.begun % rooms.len()], intended)?;
            self.begun += 1;
            measured.messages += 1;
        }
    }

    /// When the next call is to begin, before the end.
    fn due(&self, now: Instant, end: Instant) -> Instant {
        match self.pace {
            Pace::Rate(_) if now < end => self.due,
            _ if now < end => end,
            _ => now + Duration::from_secs(1),
        }
    }

    fn take(&mut self, calls: &mut Calls, measured: &mut Measured) -> io::Result<()> {
        while let Some((number, step)) = calls.next_step() {
            match step {
                Step::Answered(after) => {
                    self.answered.saturating_record(after.as_nanos() as u64);
                    measured.record(after);
                    calls.leave(number, Instant::now())?;
                }
                Step::Left(_) => measured.deliveries += 1,
                Step::Refused(status) => return Err(refused(number, status)),
                Step::Ended => return Err(io::Error::other("the server ends a call")),
                Step::Bound(_) => {}
            }
        }
        Ok(())
    }

    fn figures(&self, control: Option<Duration>, resent: u64, measured: &mut Measured) {
        let calls = measured.deliveries.max(1) as f64;
        if let Some(control) = control {
            measured.figure("control_thread_ns_per_call", control.as_nanos() as f64 / calls, "ns");
            let busy = control.as_secs_f64() / measured.elapsed.as_secs_f64();
            measured.figure("control_thread_busy", busy * 100.0, "%");
        }
        measured.figure("invite_to_200_p50", self.answered.value_at_quantile(0.5) as f64, "ns");
        measured.figure("invite_to_200_p99", self.answered.value_at_quantile(0.99) as f64, "ns");
        measured.figure("resent", resent as f64, "");
    }
}
