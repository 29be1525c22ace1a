//! The load generator of Parlor: puts load on a chat-room server over SIP and MSRP, checks every copy that arrives, and reports what
//! a delivery costs, compared with a bare loop that moves the same octets.
//!
//! `parlor bench` is this crate behind the command line of the server. It knows the grammar ([`parlor_proto`]) and nothing of the
//! server: the servers that it measures are processes.
//!
//! # Terms
//!
//! - A **scenario** is a kind of load with its arguments: `fanout` (few senders, many receivers), `nxn`, `private`, `large` (a file),
//!   `join-storm`, `churn`, `idle`, `slow` (stalled members), `calls`, and `sweep`, which repeats `fanout` at one rate after another.
//! - A **subject** is what load is put on: Parlor, or a reference. Every subject is a process on the server's core; the load runs on
//!   another core.
//! - A **floor** is a reference that does the least that is possible: a loop that reads what has come and sends it to each
//!   receiver, with no protocol. It comes copied (one buffer), gathered (one slice for each message) and answering (each message
//!   is also answered to its sender, as MSRP does).
//! - A **peer** is a reference that is another product: Redis or NATS, if installed.
//! - A **turn** is load on one subject for a share of the time; a **round** is one turn of each subject. Machines change their speed
//!   from minute to minute, so ratios are taken within a round ([`Ratio`]).
//! - The **pace** of a load is a window (closed loop: so many messages in flight) or a rate (open loop: messages are sent on
//!   schedule, and the latency counts from the intended send time).
//! - A **record** ([`Record`]) is what was measured, with the stamp of the machine: the schema of `--json`. **Findings**
//!   ([`Findings`]) follow from it: medians with intervals, ratios, faults, and what limited the throughput. If the load was the
//!   limit, there is no verdict.
//! - A **report** shows both: a [`Summary`] as text, a [`page`] with plots, CSV, and the percentile table of HdrHistogram.
//!
//! # From the command line
//!
//! [`BenchArguments`] are the arguments of the subcommand, for `clap`; [`run`] carries them out and returns the exit code. [`Host`] is
//! what the program around it provides.
//!
//! # As a library
//!
//! Results can be read, shown and compared without running anything:
//!
//! ```
//! use parlor_bench::{Findings, Record, Summary, compare};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/bench-samples/result.json"));
//! let record = Record::read(path)?;
//! let findings = Findings::of(&record);
//! println!("{}", Summary { record: &record, findings: &findings });
//! for ratio in &findings.ratios {
//!     println!("{} × the CPU per delivery of {}", ratio.spread.median, ratio.against);
//! }
//!
//! // Is a second result significantly worse than the first? Here both are the same.
//! let comparison = compare(&record, &record)?;
//! assert_eq!(comparison.exit_code(), 0);
//! # Ok(())
//! # }
//! ```

mod arguments;
mod client;
mod host;
mod interrupt;
mod machine;
mod progress;
mod result;
mod scenario;
mod subject;

use std::io;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::arguments::RunArguments;
pub use self::host::Host;
use self::interrupt::Interrupt;
use self::machine::cores::Cores;
use self::progress::Progress;
pub use self::result::compare::{Compared, Comparison, Verdict, compare};
pub use self::result::findings::{Faults, Figures, Findings, Limit, Ratio};
pub use self::result::latency::{Latency, Percentiles};
use self::result::outcome::{Outcome, Watch};
use self::result::output::OutputArguments;
pub use self::result::plot::page;
pub use self::result::record::{Figure, Record, Stamp, Step, Subject, Sweep, Turn, Unreadable};
use self::result::report;
pub use self::result::stats::{Difference, Spread};
pub use self::result::summary::Summary;
use self::scenario::{calls, churn, fanout, idle, join_storm, large, slow, sweep};
use self::subject::{floor, peers};

/// Arguments of `bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor bench fanout --receivers 100                   one message in flight, to 100 receivers
  parlor bench fanout --receivers 1000 --window 64      saturated
  parlor bench fanout --rate 1000 --hgrm latency.hgrm   open loop: one message each millisecond
  parlor bench fanout --receivers 9 --rate 1000         a small room, compared with an epoll loop
  parlor bench fanout --against floor,redis,nats        compared with Redis and NATS, if installed
  parlor bench fanout --tls                             MSRP over TLS, compared with plain TCP
  parlor bench sweep --p99 10ms                         the highest sustainable rate
  parlor bench compare before.json after.json           test whether results differ significantly
  parlor bench nxn --members 20                         every member sends to all others
  parlor bench private --members 100                    private messages
  parlor bench large                                    100 MB through a room of 10
  parlor bench join-storm --joins 1000                  time to fill a room
  parlor bench churn                                    latency while members join and leave
  parlor bench idle --sessions 10000                    memory per session
  parlor bench slow --stalled 5                         effect of stalled members on the others
  parlor bench calls --transport udp --standing 10000   SIP calls per second and the cost of each

The servers run on the first core that this process may use, the load on the last one. The first
Ctrl-C or TERM ends the run early and reports the rounds measured so far, with exit code 1; the
second ends it at once. The servers end with the run in every case.

Exit codes: 0 done, 1 it ran and something was wrong (copies lost, no sustainable rate, a result
that is worse, an interruption), 2 usage.")]
pub struct BenchArguments {
    #[command(subcommand)]
    scenario: Scenario,
}

const NXN_EXAMPLES: &str = "\
Examples:
  parlor bench nxn --members 20                     each of 20 sends to the others, one at a time
  parlor bench nxn --members 50 --rate 20           20 messages a second of each
  parlor bench nxn --rooms 100 --members 5 --rate 10";

const PRIVATE_EXAMPLES: &str = "\
Examples:
  parlor bench private --members 100                each of 100 sends to one other, one at a time
  parlor bench private --members 100 --window 64    saturated
  parlor bench private --members 1000 --rate 1 --seconds 10";

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Few senders, many receivers
    Fanout(fanout::FanoutArguments),
    /// Find the highest sustainable rate: its 99th percentile stays under a bound
    Sweep(sweep::SweepArguments),
    /// Test whether two results differ significantly
    Compare(result::compare::CompareArguments),
    /// Print a stored result again, or plot it
    Report(report::ReportArguments),
    /// Every member sends to all others
    #[command(after_help = NXN_EXAMPLES)]
    Nxn(fanout::MembersArguments),
    /// Each member sends private messages to one other
    #[command(after_help = PRIVATE_EXAMPLES)]
    Private(fanout::MembersArguments),
    /// A file through a room
    Large(large::LargeArguments),
    /// Many members join one room as fast as possible
    JoinStorm(join_storm::StormArguments),
    /// Members come and go while the rooms are busy
    Churn(churn::ChurnArguments),
    /// Idle sessions: memory of each
    Idle(idle::IdleArguments),
    /// Stalled members, and their effect on the others
    Slow(slow::SlowArguments),
    /// SIP calls, as many as the control thread can take
    Calls(calls::DialArguments),
    /// Run a peer; the bench starts it itself
    #[command(hide = true)]
    Peer(peers::PeerArguments),
    /// Run the bare loop; the bench starts it itself
    #[command(hide = true)]
    Floor(floor::FloorArguments),
}

/// Why a run has failed.
enum Failure {
    /// The arguments contradict one another, in words.
    Usage(String),
    /// It started and failed.
    Tried(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Tried(error)
    }
}

/// Runs a scenario. The exit code is 0 if it is done, 1 if it ran and something was wrong, and 2 for wrong usage.
#[must_use]
pub fn run(arguments: &BenchArguments, host: &Host) -> ExitCode {
    let outcome = match &arguments.scenario {
        Scenario::Sweep(it) => search(it, host),
        Scenario::Peer(it) => peers::exec_peer(it).map(|()| true).map_err(Failure::from),
        Scenario::Compare(arguments) => return ExitCode::from(result::compare::run(arguments, host)),
        Scenario::Report(arguments) => report::again(arguments, host).map_err(Failure::Usage),
        Scenario::Floor(arguments) => floor::run(arguments).map(|()| true).map_err(Failure::from),
        Scenario::Fanout(it) => {
            measure(&it.output, &it.run, it.check(), host, |cores, watch| fanout::run(it, cores, watch))
        }
        Scenario::Nxn(it) => {
            measure(&it.output, &it.run, it.check(false), host, |cores, watch| fanout::members(it, false, cores, watch))
        }
        Scenario::Private(it) => {
            measure(&it.output, &it.run, it.check(true), host, |cores, watch| fanout::members(it, true, cores, watch))
        }
        Scenario::Large(it) => measure(&it.output, &it.run, Ok(()), host, |cores, watch| large::run(it, cores, watch)),
        Scenario::JoinStorm(it) => {
            measure(&it.output, &it.run, Ok(()), host, |cores, watch| join_storm::run(it, cores, watch))
        }
        Scenario::Churn(it) => measure(&it.output, &it.run, Ok(()), host, |cores, watch| churn::run(it, cores, watch)),
        Scenario::Idle(it) => {
            measure(&it.output, &it.run, it.check(), host, |cores, watch| idle::run(it, cores, watch))
        }
        Scenario::Slow(it) => measure(&it.output, &it.run, Ok(()), host, |cores, watch| slow::run(it, cores, watch)),
        Scenario::Calls(it) => measure(&it.output, &it.run, Ok(()), host, |cores, watch| calls::run(it, cores, watch)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failure::Tried(error)) => {
            (host.complain)(&format_args!("the bench failed: {error}"));
            ExitCode::FAILURE
        }
        Err(Failure::Usage(why)) => {
            (host.complain)(&why);
            ExitCode::from(2)
        }
    }
}

/// Runs a scenario and reports on it, unless `check` says why not. Returns whether nothing went wrong.
fn measure(
    output: &OutputArguments,
    run: &RunArguments,
    check: Result<(), String>,
    host: &Host,
    scenario: impl FnOnce(Cores, &mut dyn Watch) -> io::Result<Outcome>,
) -> Result<bool, Failure> {
    check.and_then(|()| output.check()).map_err(Failure::Usage)?;
    let interrupt = Interrupt::listen(host.complain)?;
    let mut progress = Progress::new(interrupt.clone());
    let outcome = scenario(Cores::choose()?, &mut progress)?;
    drop(progress);
    let interrupted = interrupt.is_interrupted();
    let record = report::record(&outcome, run, host, interrupted);
    let finished = report::finish(record, output, host)?;
    Ok(finished.is_clean && finished.is_shown && !interrupted)
}

/// Runs a sweep and reports on it. Returns whether a sustainable rate was found.
fn search(arguments: &sweep::SweepArguments, host: &Host) -> Result<bool, Failure> {
    arguments.check().and_then(|()| arguments.output.check()).map_err(Failure::Usage)?;
    let interrupt = Interrupt::listen(host.complain)?;
    let mut progress = Progress::new(interrupt.clone());
    let (outcome, sweep) = sweep::run(arguments, Cores::choose()?, &mut progress)?;
    drop(progress);
    let interrupted = interrupt.is_interrupted();
    let found = sweep.highest.is_some();
    let record = report::record(&outcome, &arguments.run, host, interrupted);
    let finished = report::finish(Record { sweep: Some(sweep), ..record }, &arguments.output, host)?;
    Ok(found && !interrupted && finished.is_shown)
}
