//! `parlor bench`: what a delivery costs, beside the floor, in one run.

mod arguments;
mod cpu;
mod engine;
mod fanout;
mod floor;
mod join;
mod layout;
mod outcome;
mod progress;
mod report;
mod server;
mod wire;

use std::io;
use std::process::ExitCode;

use clap::{Args, Subcommand};

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
        Scenario::Fanout(arguments) => measure(&arguments.output, |cores, watch| fanout::run(arguments, cores, watch)),
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
    scenario: impl FnOnce(Cores, &mut dyn Watch) -> io::Result<Outcome>,
) -> io::Result<bool> {
    let mut progress = Progress::new();
    let outcome = scenario(cores()?, &mut progress)?;
    drop(progress);
    report::finish(&outcome, output)
}

/// The server gets the first core that this process may use, the load the last one.
fn cores() -> io::Result<Cores> {
    let allowed = super::check::allowed_cores();
    match (allowed.first(), allowed.last()) {
        (Some(server), Some(client)) if server != client => Ok(Cores { server: *server, client: *client }),
        _ => Err(io::Error::other("a bench needs two cores: one for the server, one for the load")),
    }
}
