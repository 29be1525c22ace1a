//! `parlor bench`: what a delivery costs, beside the floor, in one run.

mod cpu;
mod engine;
mod floor;
mod join;
mod layout;
mod report;
mod server;
mod wire;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use self::engine::{Engine, Measured, Pace};
use self::layout::Layout;
use self::report::{Report, Round};
use self::server::Server;
use self::wire::Script;

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
    Fanout(FanoutArguments),
    /// The bare loop that a server is compared with; the bench starts it itself
    #[command(hide = true)]
    Floor(floor::FloorArguments),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor bench fanout --receivers 100 --size 500 --window 1 --seconds 5
  parlor bench fanout --receivers 100 --window 64 --json result.json
  parlor bench fanout --receivers 50 --server 127.0.0.1:5060")]
struct FanoutArguments {
    /// Members that are sent to
    #[arg(long, default_value_t = 100)]
    receivers: usize,
    /// Members that send
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=9999))]
    senders: u16,
    /// Octets of text in a message
    #[arg(long, default_value_t = 500)]
    size: usize,
    /// Messages a second, sent when they are due
    #[arg(long, conflicts_with = "window")]
    rate: Option<f64>,
    /// Messages in flight: the next is sent when all have the one that many before it
    #[arg(long, default_value_t = 1)]
    window: usize,
    /// Seconds of load on each subject, in rounds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rounds; in each every subject has its turn
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// A running server's SIP over TCP, instead of one on another core; its processor time is then not known
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<SocketAddr>,
    /// The result as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The latencies as an HdrHistogram percentile table
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,
    /// A flag for the server that is started, as in --serve=--send-batch=16
    #[arg(long, value_name = "FLAG")]
    serve: Vec<String>,
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
        Scenario::Fanout(arguments) => fanout(arguments),
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

/// Measures. Answers whether nothing was lost, repeated or out of order.
fn fanout(arguments: &FanoutArguments) -> io::Result<bool> {
    let cores = cores()?;
    let (own, address) = match arguments.server {
        Some(address) => (None, address),
        None => Server::parlor(cores.server, &arguments.serve).map(|(server, address)| (Some(server), address))?,
    };
    core_affinity::set_for_current(core_affinity::CoreId { id: cores.client });
    let mut progress = Progress::new();
    let pid = own.as_ref().map_or(0, Server::pid);
    let (mut parlor, _caller) = join_all(arguments, address, pid, cores, &mut progress)?;
    let mut sample = Vec::new();
    let share = Duration::from_secs(arguments.seconds) / arguments.rounds.max(1);
    let pace = arguments.rate.map_or(Pace::Window(arguments.window.max(1)), Pace::Rate);
    progress.say("warming up");
    parlor.run(Pace::Window(arguments.window.max(1)), Duration::from_millis(300), &mut sample)?;
    let mut floors = Floors::start(arguments, &sample, cores, own.is_some())?;
    let mut rounds = Vec::new();
    for round in 1..=arguments.rounds.max(1) {
        progress.say(&format!("round {round} of {}", arguments.rounds));
        let measured = parlor.run(pace, share, &mut sample)?;
        rounds.push(Round {
            parlor: measured,
            copied: floors.copied(pace, share)?,
            gathered: floors.gathered(pace, share)?,
        });
    }
    progress.end();
    let copy_bytes = parlor.copy_len().unwrap_or(0);
    let report = Report::new(arguments.receivers, arguments.size, copy_bytes, pace, cores, own.is_some(), rounds);
    print!("{report}");
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.json())?;
    }
    if let Some(path) = &arguments.hgrm {
        std::fs::write(path, report.hgrm())?;
    }
    Ok(report.is_clean())
}

fn join_all(
    arguments: &FanoutArguments,
    address: SocketAddr,
    pid: u32,
    cores: Cores,
    progress: &mut Progress,
) -> io::Result<(Engine, join::Caller)> {
    let mut caller = join::Caller::connect(address, u64::from(std::process::id()))?;
    let mut receivers = Vec::with_capacity(arguments.receivers);
    for number in 0..arguments.receivers {
        if number % 50 == 0 {
            progress.say(&format!("joining, {number} of {}", arguments.receivers));
        }
        receivers.push(caller.join(number)?.stream);
    }
    let mut senders = Vec::new();
    for number in 0..usize::from(arguments.senders) {
        let sender = caller.join(arguments.receivers + number)?;
        let script = Script::Msrp {
            room: caller.room().to_owned(),
            from: sender.from,
            paths: (sender.to_path.as_str().to_owned(), sender.from_path.as_str().to_owned()),
            size: arguments.size,
        };
        senders.push((sender.stream, script));
    }
    Ok((Engine::new(receivers, senders, pid, cores.server)?, caller))
}

/// The bare loops, both ways of sending.
struct Floors {
    copied: Option<(Server, Engine)>,
    gathered: Option<(Server, Engine)>,
}

impl Floors {
    fn start(arguments: &FanoutArguments, sample: &[u8], cores: Cores, wanted: bool) -> io::Result<Self> {
        let Some(layout) = Layout::learn(sample).filter(|_| wanted) else {
            return Ok(Self { copied: None, gathered: None });
        };
        let start = |gathered| -> io::Result<(Server, Engine)> {
            let senders = usize::from(arguments.senders);
            let (server, address) = Server::floor(cores, arguments.receivers, senders, layout.len, gathered)?;
            let (receivers, senders) = wire::connect_to_floor(address, arguments.receivers, senders)?;
            let script = || Script::Raw { template: sample.to_vec(), layout };
            let senders = senders.into_iter().map(|stream| (stream, script())).collect();
            let mut engine = Engine::new(receivers, senders, server.pid(), cores.server)?;
            engine.run(Pace::Window(1), Duration::from_millis(100), &mut sample.to_vec())?;
            Ok((server, engine))
        };
        Ok(Self { copied: Some(start(false)?), gathered: Some(start(true)?) })
    }

    fn copied(&mut self, pace: Pace, time: Duration) -> io::Result<Option<Measured>> {
        self.copied.as_mut().map(|(_, engine)| engine.run(pace, time, &mut vec![0])).transpose()
    }

    fn gathered(&mut self, pace: Pace, time: Duration) -> io::Result<Option<Measured>> {
        self.gathered.as_mut().map(|(_, engine)| engine.run(pace, time, &mut vec![0])).transpose()
    }
}

/// The server gets the first core that this process may use, the load the last one.
fn cores() -> io::Result<Cores> {
    let allowed = super::check::allowed_cores();
    match (allowed.first(), allowed.last()) {
        (Some(server), Some(client)) if server != client => Ok(Cores { server: *server, client: *client }),
        _ => Err(io::Error::other("a bench needs two cores: one for the server, one for the load")),
    }
}

/// A line on a terminal that says what goes on.
struct Progress {
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self { shown: io::stderr().is_terminal() }
    }

    fn say(&mut self, what: &str) {
        if self.shown {
            eprint!("\r\x1b[K{what} …");
            let _ = io::stderr().flush();
        }
    }

    fn end(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
