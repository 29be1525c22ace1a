//! What a scenario hands over: plain values, a measurement per subject and round. How they are weighed and shown is the
//! report's business.

use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::Value;

use crate::interrupt::interrupted;
use crate::machine::cores::Cores;

/// How a sender decides when to send.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many messages in flight: the next goes when all have the one that many before it.
    Window(usize),
    /// So many messages a second of each sender, whatever becomes of them.
    Rate(f64),
}

/// Processor time of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// Its threads, in its own code.
    pub user: Duration,
    /// Its threads, in the kernel.
    pub system: Duration,
    /// The softirq threads of its cores beside them.
    pub softirq: Duration,
    /// How long the busiest was busy of what can be busy one at a time: a thread with its core's softirq thread, or the one core
    /// that a peer has for all of its threads.
    pub busiest: Duration,
}

impl CpuTime {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.user + self.system + self.softirq
    }
}

/// A figure that only one scenario has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Its name in JSON, such as `user_bytes_per_session`.
    pub name: &'static str,
    /// What it is.
    pub value: f64,
    /// What it is in: `B`, `ns`, `/s`, `%`, `×`, or nothing for a count.
    pub unit: &'static str,
}

/// What came of one subject in one round.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Operations that were done: copies that arrived, joins, calls.
    pub deliveries: u64,
    /// Messages that were sent.
    pub messages: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Processor time of the server; nothing where it is not the bench's own.
    pub server: CpuTime,
    /// Processor time of the load's threads.
    pub client: Duration,
    /// Nanoseconds from the intended start to the end of every operation.
    pub latency: Histogram<u64>,
    /// Operations that were never done.
    pub lost: u64,
    /// Duplicated copies.
    pub repeated: u64,
    /// Copies that came after a later one.
    pub reordered: u64,
    /// Misdelivered copies: received by a member that they were not for.
    pub strayed: u64,
    /// What else was found.
    pub figures: Vec<Figure>,
}

/// Nanoseconds of the longest latency that is told apart.
pub const LATENCY_NS_MAX: u64 = 60_000_000_000;

impl Measured {
    /// Nothing yet.
    ///
    /// # Panics
    /// Never: the bounds are good ones.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            deliveries: 0,
            messages: 0,
            elapsed: Duration::ZERO,
            server: CpuTime::default(),
            client: Duration::ZERO,
            latency: Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("good bounds"),
            lost: 0,
            repeated: 0,
            reordered: 0,
            strayed: 0,
            figures: Vec::new(),
        }
    }

    /// Notes how long an operation took.
    pub fn record(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(LATENCY_NS_MAX);
        self.latency.saturating_record(ns.max(1));
    }

    /// Adds a figure.
    pub fn figure(&mut self, name: &'static str, value: f64, unit: &'static str) {
        self.figures.push(Figure { name, value, unit });
    }

    /// Whether nothing was lost, duplicated, out of order or misdelivered.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        (self.lost, self.repeated, self.reordered, self.strayed) == (0, 0, 0, 0)
    }
}

/// A measurement and whose it is.
#[derive(Debug, Clone)]
pub struct Turn {
    /// `parlor`, `floor copied`, `floor gathered`, a peer, or another state of the same server such as `without churn`.
    pub subject: String,
    /// What came of it.
    pub measured: Measured,
}

/// One turn of every subject.
#[derive(Debug, Clone, Default)]
pub struct Round {
    /// In the order in which they ran.
    pub turns: Vec<Turn>,
}

impl Round {
    /// What came of a subject.
    #[must_use]
    pub fn of(&self, subject: &str) -> Option<&Measured> {
        self.turns.iter().find(|turn| turn.subject == subject).map(|turn| &turn.measured)
    }
}

/// All of a bench.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The scenario's name, as typed.
    pub scenario: &'static str,
    /// The load in words, for a heading.
    pub title: String,
    /// The load for machines: names and values.
    pub parameters: Vec<(&'static str, Value)>,
    /// What one of `deliveries` is: `delivery`, `join`, `call`.
    pub operation: &'static str,
    /// How it was sent, where anything was.
    pub pace: Option<Pace>,
    /// Where it ran.
    pub cores: Cores,
    /// Whether the server was the bench's own, and its processor time is therefore known.
    pub own_server: bool,
    /// What was measured.
    pub rounds: Vec<Round>,
}

/// Adds to Parlor's turn of each round how its p99 compares with that of the same load in another state.
pub fn compare_p99(rounds: &mut [Round], other: &str) {
    for round in rounds {
        let p99 = |measured: &Measured| measured.latency.value_at_quantile(0.99) as f64;
        let (Some(with), Some(without)) = (round.of(PARLOR).map(p99), round.of(other).map(p99)) else { continue };
        let Some(turn) = round.turns.iter_mut().find(|turn| turn.subject == PARLOR) else { continue };
        turn.measured.figure("p99_with", with, "ns");
        turn.measured.figure("p99_without", without, "ns");
        turn.measured.figure("p99_ratio", with / without.max(1.0), "×");
    }
}

/// The subject of every scenario.
pub const PARLOR: &str = "parlor";
/// The floor that copies.
pub const FLOOR_COPIED: &str = "floor copied";
/// The floor that gathers.
pub const FLOOR_GATHERED: &str = "floor gathered";
/// The one that answers each message as well.
pub const ANSWERING_FLOOR: &str = "answering floor";

/// Something that load is put on, in turns with the others.
pub trait Subject {
    /// Its name in a [`Turn`].
    fn name(&self) -> &str;

    /// Puts load on for a while.
    ///
    /// # Errors
    /// Returns an error if a socket fails.
    fn run(&mut self, pace: Pace, time: Duration, watch: &mut dyn Watch) -> io::Result<Measured>;
}

/// Where a bench is, for whoever watches.
pub trait Watch {
    /// What goes on now, such as `joining, 50 of 100`.
    fn stage(&mut self, what: &str);

    /// How long all turns together are going to take, from now on.
    fn total(&mut self, _time: Duration) {}

    /// Whether to end early.
    fn is_interrupted(&self) -> bool {
        false
    }

    /// How often [`tick`](Self::tick) is wanted while load is on; `None`: never.
    fn interval(&self) -> Option<Duration>;

    /// What has been measured so far, its processor times included.
    fn tick(&mut self, subject: &str, so_far: &Measured);
}

/// Nobody watches.
pub struct Unwatched;

impl Watch for Unwatched {
    fn stage(&mut self, _what: &str) {}

    fn interval(&self) -> Option<Duration> {
        None
    }

    fn tick(&mut self, _subject: &str, _so_far: &Measured) {}
}

/// Gives every subject its turn, `rounds` times, and shares the time out among the rounds. Where `watch` is interrupted, the rounds
/// that are whole count, and what there is of the first one where none is.
///
/// # Errors
/// Returns an error if a subject fails, or if `watch` is interrupted before anything is measured.
pub fn in_turns(
    subjects: &mut [Box<dyn Subject>],
    pace: Pace,
    time: Duration,
    rounds: u32,
    watch: &mut dyn Watch,
) -> io::Result<Vec<Round>> {
    let rounds = rounds.max(1);
    let share = time / rounds;
    let mut done = Vec::new();
    watch.total(share * rounds * subjects.len() as u32);
    for number in 1..=rounds {
        // Whoever goes first finds the caches as the round before left them, so everybody does so in turn.
        let first = (number - 1) as usize % subjects.len().max(1);
        let (late, early) = subjects.split_at_mut(first);
        let mut round = Round::default();
        for subject in early.iter_mut().chain(late) {
            watch.stage(&format!("round {number} of {rounds}: {}", subject.name()));
            let measured = match subject.run(pace, share, watch) {
                Err(_) if watch.is_interrupted() => break,
                measured => measured?,
            };
            round.turns.push(Turn { subject: subject.name().to_owned(), measured });
            if watch.is_interrupted() {
                break;
            }
        }
        if !watch.is_interrupted() || done.is_empty() && !round.turns.is_empty() {
            done.push(round);
        }
        if watch.is_interrupted() {
            break;
        }
    }
    if done.is_empty() { Err(interrupted()) } else { Ok(done) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A subject that does one thing a turn.
    struct Somebody(&'static str);

    impl Subject for Somebody {
        fn name(&self) -> &str {
            self.0
        }

        fn run(&mut self, _pace: Pace, _time: Duration, watch: &mut dyn Watch) -> io::Result<Measured> {
            watch.tick(self.0, &Measured::nothing());
            Ok(Measured { deliveries: 1, ..Measured::nothing() })
        }
    }

    /// Is interrupted in a turn.
    struct InterruptedIn(usize);

    impl Watch for InterruptedIn {
        fn stage(&mut self, _what: &str) {}

        fn is_interrupted(&self) -> bool {
            self.0 == 0
        }

        fn interval(&self) -> Option<Duration> {
            None
        }

        fn tick(&mut self, _subject: &str, _so_far: &Measured) {
            self.0 -= 1;
        }
    }

    /// The turns of each round that counts.
    fn rounds(interrupted_in: usize) -> Vec<usize> {
        let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(Somebody(PARLOR)), Box::new(Somebody(FLOOR_COPIED))];
        let watch = &mut InterruptedIn(interrupted_in);
        let rounds = in_turns(&mut subjects, Pace::Window(1), Duration::from_secs(1), 4, watch).unwrap();
        rounds.iter().map(|round| round.turns.len()).collect()
    }

    #[test]
    fn of_an_interrupted_bench_the_whole_rounds_count() {
        assert_eq!(rounds(100), [2, 2, 2, 2]);
        assert_eq!(
            (rounds(3), rounds(4), rounds(5)),
            (vec![2], vec![2], vec![2, 2]),
            "the round that is cut short goes"
        );
        assert_eq!((rounds(1), rounds(2)), (vec![1], vec![2]), "unless there is no other");
    }
}
