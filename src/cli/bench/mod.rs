//! `parlor bench`: what a delivery costs, beside the floor, in one run.

mod arguments;
mod compare;
mod cpu;
mod engine;
mod fanout;
mod findings;
mod floor;
mod join;
mod layout;
mod outcome;
mod plot;
mod progress;
mod record;
mod report;
mod server;
mod stamp;
mod stats;
mod summary;
mod tables;
mod wire;

use std::io;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::arguments::RunArguments;
use self::outcome::{Outcome, Watch};
use self::progress::Progress;
use self::report::OutputArguments;

/// Arguments of `bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor bench fanout --receivers 100                   one message in flight, to 100 receivers
  parlor bench fanout --receivers 1000 --window 64      saturated
  parlor bench fanout --rate 1000 --hgrm latency.hgrm   a message each millisecond, whatever becomes of it")]
pub(super) struct BenchArguments {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Few senders, many receivers
    Fanout(fanout::FanoutArguments),
    /// Say whether two results differ by more than noise
    Compare(compare::CompareArguments),
    /// Show a result again, or draw it
    Report(report::ReportArguments),
    /// The bare loop that a server is compared with; the bench starts it itself
    #[command(hide = true)]
    Floor(floor::FloorArguments),
}

/// The two cores of a bench.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cores {
    /// Where the servers run.
    pub server: usize,
    /// Where the load comes from.
    pub client: usize,
}

/// Runs a scenario.
pub(super) fn run(arguments: &BenchArguments) -> ExitCode {
    let outcome = match &arguments.scenario {
        Scenario::Compare(arguments) => return ExitCode::from(compare::run(arguments)),
        Scenario::Report(arguments) => report::again(arguments).map(|()| true),
        Scenario::Fanout(arguments) => {
            measure(&arguments.output, &arguments.run, |cores, watch| fanout::run(arguments, cores, watch))
        }
        Scenario::Floor(arguments) => floor::run(arguments).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("parlor: the bench failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a scenario and reports on it. Answers whether nothing went wrong.
fn measure(
    output: &OutputArguments,
    run: &RunArguments,
    scenario: impl FnOnce(Cores, &mut dyn Watch) -> io::Result<Outcome>,
) -> io::Result<bool> {
    let mut progress = Progress::new();
    let outcome = scenario(cores()?, &mut progress)?;
    drop(progress);
    report::finish(&outcome, super::serve::shards_in_force(&run.serve), output)
}

/// The server gets the first core that this process may use, the load the last one.
fn cores() -> io::Result<Cores> {
    let allowed = super::check::allowed_cores();
    match (allowed.first(), allowed.last()) {
        (Some(server), Some(client)) if server != client => Ok(Cores { server: *server, client: *client }),
        _ => Err(io::Error::other("a bench needs two cores: one for the server, one for the load")),
    }
}
