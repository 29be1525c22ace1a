//! `fanout`: few senders, many receivers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::arguments::{PaceArguments, RunArguments};
use super::engine::Engine;
use super::floor::Floor;
use super::outcome::{self, Measured, Outcome, PARLOR, Pace, Subject, Unwatched, Watch};
use super::report::OutputArguments;
use super::server::Server;
use super::wire::Script;
use super::{Cores, join};

/// Arguments of `fanout`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor bench fanout --receivers 100 --size 500 --window 1 --seconds 5
  parlor bench fanout --receivers 100 --window 64 --json result.json
  parlor bench fanout --receivers 50 --server 127.0.0.1:5060")]
pub struct FanoutArguments {
    #[command(flatten)]
    pub load: FanoutLoad,
    #[command(flatten)]
    pub pace: PaceArguments,
    #[command(flatten)]
    pub run: RunArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

/// What a fan-out is of.
#[derive(Debug, Clone, Args)]
pub struct FanoutLoad {
    /// Members that are sent to
    #[arg(long, default_value_t = 100)]
    pub receivers: usize,
    /// Members that send
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=9999))]
    pub senders: u16,
    /// Octets of text in a message
    #[arg(long, default_value_t = 500)]
    pub size: usize,
}

/// Everything joined and warm, ready for its turns.
pub struct Fanout {
    /// Parlor first, then the floors where the server is the bench's own.
    pub subjects: Vec<Box<dyn Subject>>,
    /// A copy as Parlor sent it.
    pub sample: Vec<u8>,
}

/// Measures.
///
/// # Errors
/// As the sockets.
pub fn run(arguments: &FanoutArguments, cores: Cores, watch: &mut dyn Watch) -> io::Result<Outcome> {
    let pace = arguments.pace.pace();
    let mut fanout = prepare(&arguments.load, &arguments.run, cores, watch)?;
    let rounds = outcome::in_turns(&mut fanout.subjects, pace, arguments.run.time(), arguments.run.rounds, watch)?;
    let FanoutLoad { receivers, senders, size } = arguments.load;
    let copy_bytes = fanout.sample.len();
    Ok(Outcome {
        scenario: "fanout",
        title: format!("fanout to {receivers} receivers, {size} octets of text ({copy_bytes} on the wire)"),
        parameters: vec![
            ("receivers", json!(receivers)),
            ("senders", json!(senders)),
            ("size", json!(size)),
            ("copy_bytes", json!(copy_bytes)),
        ],
        operation: "delivery",
        pace: Some(pace),
        cores,
        own_server: arguments.run.server.is_none(),
        rounds,
    })
}

/// Starts what is to be measured. This thread stays bound to the client's core.
///
/// # Errors
/// As the sockets.
pub fn prepare(load: &FanoutLoad, run: &RunArguments, cores: Cores, watch: &mut dyn Watch) -> io::Result<Fanout> {
    let (own, address) = match run.server {
        Some(address) => (None, address),
        None => Server::parlor(cores.server, &run.serve).map(|(server, address)| (Some(server), address))?,
    };
    core_affinity::set_for_current(core_affinity::CoreId { id: cores.client });
    let own_server = own.is_some();
    let mut parlor = join_all(load, address, own, cores, watch)?;
    watch.stage("warming up");
    parlor.engine.run(Pace::Window(1), Duration::from_millis(300), PARLOR, &mut Unwatched)?;
    let sample = parlor.engine.sample().to_vec();
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(parlor)];
    if own_server {
        for gathered in [false, true] {
            let floor = Floor::start(load.receivers, usize::from(load.senders), &sample, cores, gathered)?;
            subjects.extend(floor.map(|floor| Box::new(floor) as Box<dyn Subject>));
        }
    }
    Ok(Fanout { subjects, sample })
}

/// A room of Parlor's.
struct Parlor {
    engine: Engine,
    _server: Option<Server>,
    _caller: join::Caller,
}

impl Subject for Parlor {
    fn name(&self) -> &str {
        PARLOR
    }

    fn run(&mut self, pace: Pace, time: Duration, watch: &mut dyn Watch) -> io::Result<Measured> {
        self.engine.run(pace, time, PARLOR, watch)
    }
}

fn join_all(
    load: &FanoutLoad,
    address: SocketAddr,
    server: Option<Server>,
    cores: Cores,
    watch: &mut dyn Watch,
) -> io::Result<Parlor> {
    let mut caller = join::Caller::connect(address, u64::from(std::process::id()))?;
    let mut receivers = Vec::with_capacity(load.receivers);
    for number in 0..load.receivers {
        if number % 50 == 0 {
            watch.stage(&format!("joining, {number} of {}", load.receivers));
        }
        receivers.push(caller.join(number)?.stream);
    }
    let mut senders = Vec::new();
    for number in 0..usize::from(load.senders) {
        let sender = caller.join(load.receivers + number)?;
        let script = Script::Msrp {
            room: caller.room().to_owned(),
            from: sender.from,
            paths: (sender.to_path.as_str().to_owned(), sender.from_path.as_str().to_owned()),
            size: load.size,
        };
        senders.push((sender.stream, script));
    }
    let pid = server.as_ref().map_or(0, Server::pid);
    let engine = Engine::new(receivers, senders, pid, cores.server)?;
    Ok(Parlor { engine, _server: server, _caller: caller })
}
