//! `join-storm`: many join one room as fast as they are let in.

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
use crate::interrupt::{NOTICED_WITHIN, interrupted};
use crate::machine::cores::{Cores, pin};
use crate::machine::cpu::Meter;
use crate::machine::descriptors;
use crate::result::outcome::{self, Measured, Outcome, PARLOR, Pace, Subject, Watch};
use crate::result::output::OutputArguments;
use crate::subject::process::ServerUnderTest;

/// Arguments of `join-storm`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor bench join-storm --joins 1000                  32 in flight
  parlor bench join-storm --joins 1000 --rate 500       500 per second, open loop
  parlor bench join-storm --joins 200 --subscribe       each subscribes; NOTIFYs counted
  parlor bench join-storm --joins 1000 --transport udp --json joins.json")]
pub struct StormArguments {
    /// Members that join in each round, all into one room, however long it takes
    #[arg(long, default_value_t = 1000, value_parser = at_least(1))]
    joins: usize,
    /// Joins per second, started on schedule (open loop)
    #[arg(long, conflicts_with = "window", value_parser = rate)]
    rate: Option<f64>,
    /// Joins in flight (closed loop)
    #[arg(long, default_value_t = 32, value_parser = at_least(1))]
    window: usize,
    /// Have every member subscribe to the room's roster
    #[arg(long)]
    subscribe: bool,
    /// The SIP transport
    #[arg(long, value_enum, default_value = "tcp")]
    transport: Transport,
    #[command(flatten)]
    pub run: RunArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

/// How long NOTIFYs may go on after the last join.
const NOTIFIES_GRACE: Duration = Duration::from_secs(1);

/// Measures.
///
/// # Errors
/// Returns an error if a socket fails or the server refuses a call.
pub fn run(arguments: &StormArguments, cores: Cores, watch: &mut dyn Watch) -> io::Result<Outcome> {
    let rounds = arguments.run.rounds.max(1);
    descriptors::reserve(arguments.joins)?;
    let server = ServerUnderTest::start_over(arguments.transport, &arguments.run, arguments.run.shards)?;
    pin(cores.client);
    let pace = arguments.rate.map_or(Pace::Window(arguments.window), Pace::Rate);
    let options = CallOptions { subscribe: arguments.subscribe, ..CallOptions::talking(arguments.transport) };
    let own_server = server.own.is_some();
    let storm = Storm { server, options, joins: arguments.joins, run: u64::from(std::process::id()) << 8 };
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(storm)];
    let rounds = outcome::in_turns(&mut subjects, pace, arguments.run.time(), rounds, watch)?;
    Ok(Outcome {
        scenario: "join-storm",
        title: format!("{} joins into one room", arguments.joins),
        parameters: vec![
            ("joins", json!(arguments.joins)),
            ("subscribe", json!(arguments.subscribe)),
            ("transport", json!(format!("{:?}", arguments.transport).to_lowercase())),
            ("shards", json!(arguments.run.shards)),
        ],
        operation: "join",
        pace: Some(pace),
        cores,
        own_server,
        rounds,
    })
}

/// A server, and how it is stormed. Every turn has a room of its own, and ends with everybody gone.
struct Storm {
    server: ServerUnderTest,
    options: CallOptions,
    joins: usize,
    /// Of the next turn.
    run: u64,
}

impl Subject for Storm {
    fn name(&self) -> &str {
        PARLOR
    }

    /// All joins, however long they take.
    fn run(&mut self, pace: Pace, _time: Duration, watch: &mut dyn Watch) -> io::Result<Measured> {
        self.run += 1;
        let mut calls = Calls::new(self.server.addresses, self.options, self.run)?;
        let room = calls.room("storm");
        let meter = Meter::start(&self.server.target());
        let mut joining = Joining::new(pace, self.joins, meter.start)?;
        let mut told = meter.start;
        while !joining.is_over() {
            if watch.is_interrupted() {
                // Whoever is on the way may never be answered.
                break;
            }
            joining.begin(&mut calls, &room)?;
            calls.wait(joining.next(told, watch.interval()))?;
            joining.take(&mut calls)?;
            if watch.interval().is_some_and(|interval| told.elapsed() >= interval) {
                told = Instant::now();
                meter.read(&mut joining.measured);
                watch.tick(PARLOR, &joining.measured);
            }
            calls.check_patience()?;
        }
        meter.read(&mut joining.measured);
        let mut measured = joining.into_measured(&calls);
        if self.options.subscribe {
            let end = Instant::now() + NOTIFIES_GRACE;
            while Instant::now() < end && !watch.is_interrupted() {
                calls.wait(end)?;
            }
            measured.figure("subscribed", calls.subscribed() as f64, "");
            measured.figure("notifies", calls.notifies() as f64, "");
            let joins = measured.deliveries.max(1) as f64;
            measured.figure("notifies_per_join", calls.notifies() as f64 / joins, "");
        }
        let made = calls.made();
        leave_all(&mut calls, made, &|| watch.is_interrupted())?;
        if measured.deliveries == 0 && watch.is_interrupted() { Err(interrupted()) } else { Ok(measured) }
    }
}

/// Joins that have been made so far.
struct Joining {
    pace: Pace,
    joins: usize,
    begun: usize,
    due: Instant,
    answered: Histogram<u64>,
    measured: Measured,
}

impl Joining {
    fn new(pace: Pace, joins: usize, start: Instant) -> io::Result<Self> {
        let answered = Measured::nothing().latency;
        Ok(Self { pace, joins, begun: 0, due: start, answered, measured: Measured::nothing() })
    }

    fn is_over(&self) -> bool {
        self.measured.deliveries == self.joins as u64
    }

    /// Begins what is due.
    fn begin(&mut self, calls: &mut Calls, room: &Rc<str>) -> io::Result<()> {
        while self.begun < self.joins {
            let now = Instant::now();
            let intended = match self.pace {
                Pace::Window(window) if calls.in_flight() < window => now,
                Pace::Rate(rate) if self.due <= now => {
                    let due = self.due;
                    self.due += Duration::from_secs_f64(1.0 / rate);
                    due
                }
                _ => break,
            };
            calls.join(room, intended)?;
            self.begun += 1;
            self.measured.messages += 1;
        }
        Ok(())
    }

    fn next(&self, told: Instant, interval: Option<Duration>) -> Instant {
        let end = interval.map_or(Instant::now() + Duration::from_secs(1), |interval| told + interval);
        match self.pace {
            Pace::Rate(_) if self.begun < self.joins => self.due.min(end),
            _ => end,
        }
    }

    fn take(&mut self, calls: &mut Calls) -> io::Result<()> {
        while let Some((number, step)) = calls.next_step() {
            match step {
                Step::Answered(after) => self.answered.saturating_record(after.as_nanos() as u64),
                Step::Bound(after) => {
                    self.measured.record(after);
                    self.measured.deliveries += 1;
                }
                Step::Refused(status) => return Err(refused(number, status)),
                Step::Left(_) | Step::Ended => {}
            }
        }
        Ok(())
    }

    fn into_measured(self, calls: &Calls) -> Measured {
        let mut measured = self.measured;
        measured.figure("invite_to_200_p50", self.answered.value_at_quantile(0.5) as f64, "ns");
        measured.figure("invite_to_200_p99", self.answered.value_at_quantile(0.99) as f64, "ns");
        measured.figure("invite_to_bound_p50", measured.latency.value_at_quantile(0.5) as f64, "ns");
        measured.figure("invite_to_bound_p99", measured.latency.value_at_quantile(0.99) as f64, "ns");
        measured.figure("resent", calls.resent() as f64, "");
        measured
    }
}

/// Ends all calls of a load, a few at a time. From when `is_interrupted` says so it takes no longer than [`LEAVING_WITHIN`],
/// whatever the server answers.
///
/// # Errors
/// Returns an error if a socket fails or an answer takes too long.
pub fn leave_all(calls: &mut Calls, count: usize, is_interrupted: &dyn Fn() -> bool) -> io::Result<()> {
    let (mut begun, mut left) = (0, 0);
    let mut deadline = Deadline::default();
    while left < count && !deadline.is_over(is_interrupted) {
        while begun < count && (calls.in_flight() < LEAVING_MAX || deadline.is_on()) {
            if calls.leave(begun, Instant::now())? {
                begun += 1;
            } else {
                (begun, left) = (begun + 1, left + 1);
            }
        }
        calls.wait(Instant::now() + NOTICED_WITHIN)?;
        while let Some((_, step)) = calls.next_step() {
            left += usize::from(matches!(step, Step::Left(_) | Step::Refused(_) | Step::Ended));
        }
        if !deadline.is_on() {
            calls.check_patience()?;
        }
    }
    Ok(())
}

/// How long what is on its way is waited for after an interruption.
#[derive(Debug, Default)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Whether there was an interruption and its time is over.
    pub fn is_over(&mut self, is_interrupted: &dyn Fn() -> bool) -> bool {
        if self.0.is_none() && is_interrupted() {
            self.0 = Some(Instant::now() + LEAVING_WITHIN);
        }
        self.0.is_some_and(|end| Instant::now() >= end)
    }

    /// Whether there was one.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }
}

/// Calls that are ended at a time.
const LEAVING_MAX: usize = 64;
/// How long an interrupted bench waits for answers to what it has sent.
const LEAVING_WITHIN: Duration = Duration::from_millis(500);
