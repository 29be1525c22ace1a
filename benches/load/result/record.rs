//! What a bench has measured, as it is kept in a file: the schema of `--json`, which `report` and `compare` read back.
//!
//! Everything here was measured or set; what follows from it (medians, ratios, who was the limit) is in `findings`,
//! and stands in the file beside it for whoever reads that without computing. Fields may be added within a version; a reader
//! passes over those it does not know.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::result::latency::{Latency, Percentiles};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a file says it is.
pub const SCHEMA: &str = "parlor-bench";
/// Counted up when a field goes or changes its meaning.
pub const VERSION: u32 = 1;
/// Octets of a file that are read at the most.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// One call of the bench.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Always `SCHEMA`.
    pub schema: String,
    /// The `VERSION` of the program that wrote it.
    pub version: u32,
    /// What was run: `fanout` and so on.
    pub scenario: String,
    /// One line for people: what was run, with its numbers.
    pub title: String,
    /// What one of `deliveries` is: `delivery`, `join`, `call`.
    pub operation: String,
    /// The numbers that the title is made of, by flag.
    pub parameters: BTreeMap<String, Value>,
    /// Where it ran.
    pub stamp: Stamp,
    /// Who was measured; Parlor is the first.
    pub subjects: Vec<Subject>,
    /// The steps of a sweep, in the order in which they were tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    /// Whether it was ended early: then there are fewer rounds than were asked for, or one that was cut short.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// What the reader should know: a peer that is not installed, say.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The machine, its settings and the program.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    /// Version and build of Parlor.
    pub parlor: String,
    /// `optimised` or `unoptimised`.
    pub build: String,
    /// Release and version of the kernel.
    pub kernel: String,
    /// Model of the processor.
    pub cpu: String,
    /// Cores that the machine has.
    pub cores: usize,
    /// The core that the servers had for themselves.
    pub server_core: usize,
    /// The core that the load came from.
    pub client_core: usize,
    /// Settings of the kernel that move the figures, by name.
    pub tuning: BTreeMap<String, String>,
    /// The `[shards]` settings of Parlor in force, by key.
    pub shards: BTreeMap<String, String>,
    /// Seconds since 1970, when it ended.
    pub ended_at: u64,
}

/// One of those who were measured in turns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// `parlor`, `floor copied`, `floor gathered`, `redis`, `nats`, or another state of the same server.
    pub name: String,
    /// What people call it, with its version.
    pub label: String,
    /// Octets of one copy on its wire, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_bytes: Option<usize>,
    /// Whether the processor time of its server is known.
    pub own_server: bool,
    /// Its turns, the first of each round first.
    pub turns: Vec<Turn>,
    /// Latencies of all turns together.
    pub latency: Latency,
}

/// What one subject did in one round.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Copies that arrived.
    pub deliveries: u64,
    /// Nanoseconds that it took.
    pub elapsed_ns: u64,
    /// Processor time of the server in its own code.
    pub user_ns: u64,
    /// Processor time of the server in the kernel.
    pub system_ns: u64,
    /// Processor time of the softirq thread of the server's core.
    pub softirq_ns: u64,
    /// How long the busiest of the server was busy: a thread with its core's softirq thread, or all threads of one that has but a
    /// core. 0 in results of before this was told.
    #[serde(default)]
    pub busiest_ns: u64,
    /// Processor time of the thread that puts the load on.
    pub client_ns: u64,
    /// Copies that did not arrive.
    pub lost: u64,
    /// Duplicated copies.
    pub repeated: u64,
    /// Copies that arrived after a later one.
    pub reordered: u64,
    /// Misdelivered copies: received by a member that they were not for.
    pub strayed: u64,
    /// Latencies of this turn alone.
    pub latency_ns: Percentiles,
    /// Figures that only this scenario has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
}

/// A further figure of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name, for example `user_bytes_per_session`.
    pub name: String,
    /// In `unit`.
    pub value: f64,
    /// `B`, `ns`, `/s`, `%`, `×`, or nothing for a count.
    pub unit: String,
}

/// The search for the highest sustainable rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// Nanoseconds under which the 99th percentile has to stay.
    pub p99_max_ns: u64,
    /// The highest rate that held, in messages a second.
    pub highest: Option<f64>,
    /// Every rate that was tried.
    pub steps: Vec<Step>,
}

/// One rate of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The requested rate, in messages a second.
    pub rate: f64,
    /// Nanoseconds of the median latency, of each repetition.
    pub p50_ns: Vec<u64>,
    /// Nanoseconds of the 99th percentile, of each repetition.
    pub p99_ns: Vec<u64>,
    /// Whether most repetitions stayed under it and lost nothing.
    pub held: bool,
    /// Whether it was the load that could do no more.
    pub client_limited: bool,
    /// What went wrong, where nothing could be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Why a file is no record.
#[derive(Debug)]
pub struct Unreadable {
    path: String,
    why: String,
}

impl std::error::Error for Unreadable {}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.why)
    }
}

impl Record {
    /// Reads a file that `--json` wrote.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is no result, or has another version of the schema.
    pub fn read(path: &Path) -> Result<Self, Unreadable> {
        let fail = |why: String| Unreadable { path: path.display().to_string(), why };
        let size = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?.len();
        if size > FILE_BYTES_MAX {
            return Err(fail(format!("{size} octets are more than a result has")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
        Self::parse(&text).map_err(fail)
    }

    /// Reads what `--json` wrote.
    ///
    /// # Errors
    /// Returns the reason, in words, if the text is no result or has another version of the schema.
    pub fn parse(text: &str) -> Result<Self, String> {
        let kind: Kind = serde_json::from_str(text).map_err(|error| format!("is no result of the bench: {error}"))?;
        if kind.schema != SCHEMA {
            return Err(format!("is no result of the bench: its schema is {:?}, not {SCHEMA:?}", kind.schema));
        }
        if kind.version != VERSION {
            return Err(format!("has version {} of the schema, this program reads {VERSION}", kind.version));
        }
        let record: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if record.subjects.is_empty() {
            return Err("has no subjects".into());
        }
        Ok(record)
    }

    /// Whether anything was done in it, so that there are rates and costs: sessions that idle do nothing.
    #[must_use]
    pub fn has_rates(&self) -> bool {
        self.scenario != "idle"
    }

    /// Parlor.
    #[must_use]
    pub fn parlor(&self) -> &Subject {
        &self.subjects[0]
    }
}

/// What is read before anything else.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    schema: String,
    #[serde(default)]
    version: u32,
}

impl Subject {
    /// A figure of the scenario's own, of each turn that tells it.
    #[must_use]
    pub fn figure(&self, name: &str) -> Vec<f64> {
        self.turns.iter().flat_map(|turn| &turn.figures).filter(|figure| figure.name == name).map(|f| f.value).collect()
    }

    /// What a figure of the scenario's own is counted in; nothing where it is a number of things.
    #[must_use]
    pub fn unit_of(&self, name: &str) -> &str {
        let mut figures = self.turns.iter().flat_map(|turn| &turn.figures);
        figures.find(|figure| figure.name == name).map_or("", |figure| figure.unit.as_str())
    }
}

impl Turn {
    /// Processor time of the server, its core's softirq thread included.
    #[must_use]
    pub fn server_ns(&self) -> u64 {
        self.user_ns + self.system_ns + self.softirq_ns
    }

    /// Nanoseconds of server time per delivery.
    #[must_use]
    pub fn cost_ns(&self) -> f64 {
        self.server_ns() as f64 / self.deliveries.max(1) as f64
    }

    /// Deliveries a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.deliveries as f64 * 1e9 / self.elapsed_ns.max(1) as f64
    }
}
