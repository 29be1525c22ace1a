//! What follows from a record: medians, ratios within rounds, faults, and who was the limit.

use std::fmt;

use serde::Serialize;

use crate::result::record::{Record, Subject, Turn};
use crate::result::stats::{self, Spread};

/// A thread that was busy for more of the time than this was the limit.
const BUSY: f64 = 0.95;
/// Where the kernel takes more than this of a server's time, it is the kernel that limits.
const KERNEL: f64 = 0.75;
/// Processor time that the kernel's ticks of ten milliseconds divide well enough into user space and kernel.
const DIVIDED_NS_MIN: f64 = 5e8;
/// How sure an interval is meant to be of holding the median. With few rounds it is less, and says so.
pub const CONFIDENCE: f64 = 0.95;

/// What a record shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Findings {
    /// Of each subject, in the record's order.
    pub subjects: Vec<Figures>,
    /// Parlor's cost as a multiple of others', round by round.
    pub ratios: Vec<Ratio>,
    /// Copies of Parlor's that were lost, duplicated, reordered or misdelivered.
    pub faults: Faults,
    /// What limited the throughput.
    pub limit: Limit,
}

/// The medians of one subject's rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// As in the record.
    pub name: String,
    /// Deliveries a second.
    pub deliveries_per_second: f64,
    /// Nanoseconds of server time per delivery, where it is known.
    pub server_ns_per_delivery: Option<Spread>,
    /// The part of it in user space, where there was enough to tell.
    pub user_ns_per_delivery: Option<f64>,
    /// The part of it in the kernel, with the softirq thread.
    pub kernel_ns_per_delivery: Option<f64>,
    /// The share of its time that the busiest thread of the server was busy.
    pub server_busy: f64,
    /// The share of its time that the load was busy.
    pub client_busy: f64,
}

/// Parlor's cost per delivery as a multiple of another's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ratio {
    /// `floor`, the cheaper of its two ways round by round, or a peer's name.
    pub against: String,
    /// Median and interval.
    pub spread: Spread,
    /// Of each round.
    pub rounds: Vec<f64>,
    /// Whether a load that could do no more makes it worthless.
    pub client_limited: bool,
}

/// Copies that did not come as they should.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Never came.
    pub lost: u64,
    /// Came again: duplicated.
    pub repeated: u64,
    /// Came after a later one.
    pub reordered: u64,
    /// Came to a member that was no recipient: misdelivered.
    pub strayed: u64,
}

/// What limited the throughput.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// The thread that puts the load on.
    Client,
    /// The server, in its own code.
    Server,
    /// The server's core, in the kernel.
    Kernel,
    /// Nobody: what was asked for was done, or each waited for the other.
    None,
}

impl Findings {
    /// Those of a record.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        Self {
            subjects: record.subjects.iter().map(Figures::of).collect(),
            ratios: ratios(record),
            faults: Faults::of(record.parlor()),
            limit: Limit::of(record.parlor()),
        }
    }

    /// Whether there is a verdict: not where the load could do no more.
    #[must_use]
    pub fn has_verdict(&self) -> bool {
        self.limit != Limit::Client
    }
}

impl Figures {
    fn of(subject: &Subject) -> Self {
        let middle = |of: &dyn Fn(&Turn) -> f64| stats::median(&each(subject, of)).unwrap_or(0.0);
        let cost = costs(subject).and_then(|costs| Spread::of(&costs, CONFIDENCE));
        // The clock's ticks, which tell the two apart, are too coarse for one round: all rounds together say how it is divided.
        let sum = |of: fn(&Turn) -> u64| subject.turns.iter().map(of).sum::<u64>() as f64;
        let (user, all) = (sum(|turn| turn.user_ns), sum(Turn::server_ns));
        let divided = cost.filter(|_| all >= DIVIDED_NS_MIN);
        let user = user / all.max(1.0);
        Self {
            name: subject.name.clone(),
            deliveries_per_second: middle(&Turn::rate),
            server_ns_per_delivery: cost,
            user_ns_per_delivery: divided.map(|cost| cost.median * user),
            kernel_ns_per_delivery: divided.map(|cost| cost.median * (1.0 - user)),
            server_busy: middle(&Turn::server_busy),
            client_busy: middle(&Turn::client_busy),
        }
    }
}

impl Turn {
    /// What the kernel took of the server's time, the softirq thread included.
    #[must_use]
    pub fn kernel_ns(&self) -> u64 {
        self.system_ns + self.softirq_ns
    }

    /// The share of its time that the busiest thread of the server was busy, or the core of one that has but a core.
    #[must_use]
    pub fn server_busy(&self) -> f64 {
        let busiest = if self.busiest_ns > 0 { self.busiest_ns } else { self.server_ns() };
        busiest as f64 / self.elapsed_ns.max(1) as f64
    }

    /// The share of its time that the load was busy.
    #[must_use]
    pub fn client_busy(&self) -> f64 {
        self.client_ns as f64 / self.elapsed_ns.max(1) as f64
    }
}

impl Faults {
    fn of(subject: &Subject) -> Self {
        let sum = |of: fn(&Turn) -> u64| subject.turns.iter().map(of).sum();
        Self {
            lost: sum(|turn| turn.lost),
            repeated: sum(|turn| turn.repeated),
            reordered: sum(|turn| turn.reordered),
            strayed: sum(|turn| turn.strayed),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn none(self) -> bool {
        self == Self::default()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, repeated, reordered, strayed } = self;
        write!(f, "lost {lost}, duplicated {repeated}, out of order {reordered}, misdelivered {strayed}")
    }
}

impl Limit {
    /// Of one subject, by the medians of its rounds.
    #[must_use]
    pub fn of(subject: &Subject) -> Self {
        let middle = |of: &dyn Fn(&Turn) -> f64| stats::median(&each(subject, of)).unwrap_or(0.0);
        let kernel = |turn: &Turn| turn.kernel_ns() as f64 / turn.server_ns().max(1) as f64;
        Self::from_shares(middle(&Turn::client_busy), middle(&Turn::server_busy), middle(&kernel))
    }

    /// From the shares of their time that both were busy, and the kernel's share of the server's time.
    #[must_use]
    pub fn from_shares(client: f64, server: f64, kernel: f64) -> Self {
        match () {
            () if server >= BUSY && kernel >= KERNEL => Self::Kernel,
            () if server >= BUSY => Self::Server,
            () if client >= BUSY => Self::Client,
            () => Self::None,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "the load was the limit",
            Self::Server => "the server was the limit",
            Self::Kernel => "the kernel was the limit, on the server's core",
            Self::None => "neither server nor load was the limit",
        })
    }
}

/// Nanoseconds per delivery of each turn, where they are known.
fn costs(subject: &Subject) -> Option<Vec<f64>> {
    subject.own_server.then(|| each(subject, &Turn::cost_ns))
}

fn each(subject: &Subject, of: &dyn Fn(&Turn) -> f64) -> Vec<f64> {
    subject.turns.iter().map(of).collect()
}

/// What the floor takes round by round: the cheaper of its ways, by `of`.
#[must_use]
pub fn floor(record: &Record, of: &dyn Fn(&Turn) -> f64) -> Option<Vec<f64>> {
    let ways: Vec<Vec<f64>> = record.subjects.iter().filter(|s| is_floor(&s.name)).map(|s| each(s, of)).collect();
    let (first, rest) = ways.split_first()?;
    Some(rest.iter().fold(first.clone(), |least, way| least.iter().zip(way).map(|(a, b)| a.min(*b)).collect()))
}

/// Whether a subject is one of the bare loops.
#[must_use]
pub fn is_floor(name: &str) -> bool {
    name.starts_with("floor")
}

fn ratios(record: &Record) -> Vec<Ratio> {
    let parlor = record.parlor();
    let Some(own) = costs(parlor) else { return Vec::new() };
    let limited = |subject: &Subject| Limit::of(subject) == Limit::Client;
    let against_floor = floor(record, &Turn::cost_ns).map(|costs| {
        let floors: Vec<_> = record.subjects.iter().filter(|s| is_floor(&s.name)).collect();
        ("floor".to_owned(), costs, floors.into_iter().any(limited))
    });
    let peers = record.subjects[1..].iter().filter(|subject| !is_floor(&subject.name));
    let peers = peers.filter_map(|peer| Some((peer.name.clone(), costs(peer)?, limited(peer))));
    let ratio = |(against, costs, peer_limited): (String, Vec<f64>, bool)| {
        let rounds: Vec<f64> = own.iter().zip(&costs).map(|(own, other)| own / other).collect();
        let spread = Spread::of(&rounds, CONFIDENCE)?;
        Some(Ratio { against, spread, rounds, client_limited: peer_limited || limited(parlor) })
    };
    against_floor.into_iter().chain(peers).filter_map(ratio).collect()
}
