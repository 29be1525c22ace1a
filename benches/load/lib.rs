//! The load generator of Parlor, behind `parlor bench`: what a delivery costs, beside a bare loop, in one run.

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
use self::result::outcome::{Outcome, Watch};
use self::result::output::OutputArguments;
use self::result::{compare, record, report};
use self::scenario::{calls, churn, fanout, idle, join_storm, large, slow, sweep};
use self::subject::{floor, peers};

/// Arguments of `bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor bench fanout --receivers 100                   one message in flight, to 100 receivers
  parlor bench fanout --receivers 1000 --window 64      saturated
  parlor bench fanout --rate 1000 --hgrm latency.hgrm   a message each millisecond, come what may
  parlor bench fanout --receivers 9 --rate 1000         a small room, beside a bare epoll loop
  parlor bench fanout --against floor,redis,nats        beside the peers that are installed
  parlor bench fanout --tls                             MSRP over TLS, beside the same without
  parlor bench sweep --p99 10ms                         the highest rate that is borne
  parlor bench compare before.json after.json           do two results differ by more than noise?
  parlor bench nxn --members 20                         everybody sends to everybody
  parlor bench private --members 100                    private messages
  parlor bench large                                    100 MB through a room of 10
  parlor bench join-storm --joins 1000                  how fast a room fills
  parlor bench churn                                    what coming and going does to busy rooms
  parlor bench idle --sessions 10000                    memory per session
  parlor bench slow --stalled 5                         what members who do not read do to others
  parlor bench calls --transport udp --standing 10000   SIP calls a second, and what each costs

One core is the server's and one the load's: the first and the last that this process may use. An
interrupted bench (Ctrl-C, TERM) reports the rounds that it has measured and ends with 1; a second
interrupt ends it at once. Its servers end with it, however it ends.

Exit codes: 0 done, 1 it ran and something was wrong (copies lost, nothing that holds, a result that
is worse, an interruption), 2 usage.")]
pub struct BenchArguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Few senders, many receivers
    Fanout(fanout::FanoutArguments),
    /// The highest rate whose 99th percentile stays under a bound
    Sweep(sweep::SweepArguments),
    /// Say do two results differ by more than noise?
    Compare(compare::CompareArguments),
    /// Show a result again, or draw it
    Report(report::ReportArguments),
    /// Everybody sends to everybody
    Nxn(fanout::NxnArguments),
    /// Each member sends private messages to another
    Private(fanout::PrivateArguments),
    /// A file through a room
    Large(large::LargeArguments),
    /// Many join one room as fast as they are let in
    JoinStorm(join_storm::StormArguments),
    /// Members come and go while the rooms are busy
    Churn(churn::ChurnArguments),
    /// Sessions that say nothing: what each costs in memory
    Idle(idle::IdleArguments),
    /// Members who read nothing, and what the others notice
    Slow(slow::SlowArguments),
    /// SIP calls, as many as the control thread can
    Calls(calls::DialArguments),
    /// Become a server that Parlor is compared with; the bench does so itself
    #[command(hide = true)]
    Peer(peers::PeerArguments),
    /// The bare loop that a server is compared with; the bench starts it itself
    #[command(hide = true)]
    Floor(floor::FloorArguments),
}

/// Why a bench has failed.
enum Failure {
    /// What was asked for makes no sense.
    Usage(String),
    /// It was tried.
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
        Scenario::Peer(it) => peers::become_peer(it).map(|()| true).map_err(Failure::from),
        Scenario::Compare(arguments) => return ExitCode::from(compare::run(arguments, host)),
        Scenario::Report(arguments) => report::again(arguments, host).map_err(Failure::Usage),
        Scenario::Floor(arguments) => floor::run(arguments).map(|()| true).map_err(Failure::from),
        Scenario::Fanout(it) => {
            measure(&it.output, &it.run, it.check(), host, |cores, watch| fanout::run(it, cores, watch))
        }
        Scenario::Nxn(it) => {
            measure(&it.output, &it.run, it.check(), host, |cores, watch| fanout::nxn(it, cores, watch))
        }
        Scenario::Private(it) => {
            measure(&it.output, &it.run, it.check(), host, |cores, watch| fanout::private(it, cores, watch))
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
    let interrupted = interrupt.is_asked();
    let record = report::record(&outcome, run, host, interrupted);
    let finished = report::finish(record, output, host)?;
    Ok(finished.is_clean && finished.is_shown && !interrupted)
}

/// Sweeps and reports on it. Returns whether a rate was found that holds.
fn search(arguments: &sweep::SweepArguments, host: &Host) -> Result<bool, Failure> {
    arguments.check().and_then(|()| arguments.output.check()).map_err(Failure::Usage)?;
    let interrupt = Interrupt::listen(host.complain)?;
    let mut progress = Progress::new(interrupt.clone());
    let (outcome, sweep) = sweep::run(arguments, Cores::choose()?, &mut progress)?;
    drop(progress);
    let interrupted = interrupt.is_asked();
    let found = sweep.highest.is_some();
    let record = report::record(&outcome, &arguments.run, host, interrupted);
    let finished = report::finish(record::Record { sweep: Some(sweep), ..record }, &arguments.output, host)?;
    Ok(found && !interrupted && finished.is_shown)
}
