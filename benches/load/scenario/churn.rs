//! `churn`: members come and go while the rooms are busy. What that does to those who stay.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use serde_json::json;

use crate::arguments::{RunArguments, at_least, rate, text_size};
use crate::client::call_table::{CallOptions, Step};
use crate::client::calls::Calls;
use crate::client::engine::Engine;
use crate::client::layout;
use crate::client::load::Load;
use crate::client::sip::Transport;
use crate::machine::cores::{Cores, pin};
use crate::machine::descriptors;
use crate::result::outcome::{self, Measured, Outcome, PARLOR, Pace, Subject, Watch};
use crate::result::output::OutputArguments;
use crate::scenario::join_storm::{Deadline, leave_all};
use crate::subject::process::{Addresses, ServerUnderTest};

/// Arguments of `churn`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor bench churn                                    10 rooms of 10, 100 joins and leaves/s
  parlor bench churn --joins 500 --stay 100 --rate 100
  parlor bench churn --rooms 1 --receivers 100 --joins 50 --seconds 20 --json churn.json")]
pub struct ChurnArguments {
    /// Busy rooms
    #[arg(long, default_value_t = 10, value_parser = at_least(1))]
    rooms: usize,
    /// Receivers of each room, which stay
    #[arg(long, default_value_t = 9, value_parser = at_least(1))]
    receivers: usize,
    /// Octets of text in a message
    #[arg(long, default_value_t = 500, value_parser = text_size())]
    size: usize,
    /// Messages per second in each room
    #[arg(long, default_value_t = 100.0, value_parser = rate)]
    rate: f64,
    /// Joins per second, over all rooms; as many members leave
    #[arg(long, default_value_t = 100.0, value_parser = rate)]
    joins: f64,
    /// Milliseconds between the join and the leave of a member
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(0..=3_600_000))]
    stay: u64,
    #[command(flatten)]
    pub run: RunArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

const WITHOUT: &str = "without churn";

/// Measures.
///
/// # Errors
/// Returns an error if a socket fails or the server refuses a call.
pub fn run(arguments: &ChurnArguments, cores: Cores, watch: &mut dyn Watch) -> io::Result<Outcome> {
    let ChurnArguments { rooms, receivers, size, rate, joins, stay, ref run, .. } = *arguments;
    let load = Load { rooms, receivers, senders: 1, privately: false, size, tls: false, freeze: None };
    let comers = (joins * (stay as f64 / 1000.0 + 1.0)).ceil() as usize;
    descriptors::reserve(load.members() + comers)?;
    let server = ServerUnderTest::start(run, run.shards, "")?;
    pin(cores.client);
    let run_id = u64::from(std::process::id());
    let mut calls = Calls::new(server.addresses, CallOptions::talking(Transport::Tcp), run_id)?;
    let names: Vec<_> = (0..rooms).map(|room| calls.room(&room.to_string())).collect();
    let members = calls.gather(load.members(), |member| names[member / (receivers + 1)].clone(), watch)?;
    let mut engine = Engine::new(load.endpoints_of(members), layout::msrp, server.target())?;
    watch.stage("warming up");
    engine.warm_up(Duration::from_millis(300))?;
    let engine = Rc::new(RefCell::new(engine));
    let churn = Churn {
        addresses: server.addresses,
        rooms: names.iter().map(ToString::to_string).collect(),
        joins,
        stay: Duration::from_millis(stay),
    };
    let mut subjects: Vec<Box<dyn Subject>> = vec![
        Box::new(Rooms { name: PARLOR, engine: engine.clone(), churn: Some(churn), turn: run_id << 8 }),
        Box::new(Rooms { name: WITHOUT, engine, churn: None, turn: 0 }),
    ];
    let mut rounds = outcome::in_turns(&mut subjects, Pace::Rate(rate), run.time(), run.rounds, watch)?;
    outcome::compare_p99(&mut rounds, WITHOUT);
    Ok(Outcome {
        scenario: "churn",
        title: format!(
            "{rooms} room{} of {} with {joins} joins a second of members who stay {stay} ms",
            if rooms == 1 { "" } else { "s" },
            receivers + 1
        ),
        parameters: vec![
            ("rooms", json!(rooms)),
            ("receivers", json!(receivers)),
            ("size", json!(size)),
            ("joins_per_second", json!(joins)),
            ("stay_ms", json!(stay)),
            ("shards", json!(run.shards)),
        ],
        operation: "delivery",
        pace: Some(Pace::Rate(rate)),
        cores,
        own_server: server.own.is_some(),
        rounds,
    })
}

/// The same busy rooms, with members who come and go or without.
struct Rooms {
    name: &'static str,
    engine: Rc<RefCell<Engine>>,
    churn: Option<Churn>,
    /// Makes the names of those who come unique.
    turn: u64,
}

impl Subject for Rooms {
    fn name(&self) -> &str {
        self.name
    }

    fn run(&mut self, pace: Pace, time: Duration, watch: &mut dyn Watch) -> io::Result<Measured> {
        self.turn += 1;
        let going = self.churn.as_ref().map(|churn| Going::start(churn.clone(), self.turn));
        let measured = self.engine.borrow_mut().run(pace, time, self.name, watch);
        let Some(churned) = going.map(|going| going.stop(watch)).transpose()? else { return measured };
        let mut measured = measured?;
        measured.figure("joined", churned.joined as f64, "");
        measured.figure("left", churned.left as f64, "");
        measured.figure("refused", churned.refused as f64, "");
        measured.figure("invite_to_bound_p50", churned.bound.value_at_quantile(0.5) as f64, "ns");
        measured.figure("invite_to_bound_p99", churned.bound.value_at_quantile(0.99) as f64, "ns");
        Ok(measured)
    }
}

/// How members come and go.
#[derive(Debug, Clone)]
struct Churn {
    addresses: Addresses,
    rooms: Vec<String>,
    joins: f64,
    stay: Duration,
}

/// What became of those who came.
struct Churned {
    joined: u64,
    left: u64,
    refused: u64,
    bound: Histogram<u64>,
}

/// Members coming and going on a thread of their own.
struct Going {
    stop: Arc<AtomicBool>,
    /// The bench is interrupted: nobody waits long for the last answers.
    interrupted: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Churned>>,
}

impl Going {
    fn start(churn: Churn, turn: u64) -> Self {
        let (stop, interrupted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (stopped, hurried) = (stop.clone(), interrupted.clone());
        let thread = thread::spawn(move || churn.go(turn, &stopped, &hurried));
        Self { stop, interrupted, thread }
    }

    fn stop(self, watch: &dyn Watch) -> io::Result<Churned> {
        self.stop.store(true, Ordering::Relaxed);
        while !self.thread.is_finished() {
            self.interrupted.store(watch.is_interrupted(), Ordering::Relaxed);
            thread::sleep(LOOKING);
        }
        self.thread.join().map_err(|_| io::Error::other("the churn thread has panicked"))?
    }
}

impl Churn {
    fn go(&self, turn: u64, stop: &AtomicBool, interrupted: &AtomicBool) -> io::Result<Churned> {
        let is_interrupted = || interrupted.load(Ordering::Relaxed);
        let mut calls = Calls::new(self.addresses, CallOptions::talking(Transport::Tcp), turn)?;
        let rooms: Vec<Rc<str>> = self.rooms.iter().map(|room| room.as_str().into()).collect();
        let mut churned = Churned { joined: 0, left: 0, refused: 0, bound: Measured::nothing().latency };
        let step = Duration::from_secs_f64(1.0 / self.joins);
        let (mut due, mut begun) = (Instant::now(), 0);
        let mut leaving = std::collections::VecDeque::new();
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            while due <= now {
                calls.join(&rooms[begun % rooms.len()], due)?;
                (begun, due) = (begun + 1, due + step);
            }
            while leaving.front().is_some_and(|(_, at)| *at <= now) {
                let Some((number, at)) = leaving.pop_front() else { break };
                calls.leave(number, at)?;
            }
            let next = leaving.front().map_or(due, |(_, at)| due.min(*at));
            calls.wait(next.min(now + LOOKING))?;
            while let Some((number, step)) = calls.next_step() {
                churned.note(step);
                if matches!(step, Step::Bound(_)) {
                    leaving.push_back((number, Instant::now() + self.stay));
                }
            }
            calls.check_patience()?;
        }
        let mut deadline = Deadline::default();
        while calls.in_flight() > 0 && !deadline.is_over(&is_interrupted) {
            calls.wait(Instant::now() + LOOKING)?;
            calls.check_patience()?;
        }
        while let Some((_, step)) = calls.next_step() {
            churned.note(step);
        }
        leave_all(&mut calls, begun, &is_interrupted)?;
        Ok(churned)
    }
}

impl Churned {
    fn note(&mut self, step: Step) {
        match step {
            Step::Bound(after) => {
                self.joined += 1;
                self.bound.saturating_record(after.as_nanos() as u64);
            }
            Step::Left(_) => self.left += 1,
            Step::Refused(_) | Step::Ended => self.refused += 1,
            Step::Answered(_) => {}
        }
    }
}

/// How soon the end of a turn is noticed.
const LOOKING: Duration = Duration::from_millis(20);
