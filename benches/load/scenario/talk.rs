//! Loads of talk: members of rooms who send messages that others get.

use std::io;
use std::time::Duration;

use serde_json::json;

use crate::arguments::RunArguments;
use crate::client::call_table::CallOptions;
use crate::client::calls::Calls;
use crate::client::engine::{Engine, Samples};
use crate::client::layout;
use crate::client::load::Load;
use crate::client::sip::Transport;
use crate::machine::cores::{Cores, pin};
use crate::machine::descriptors;
use crate::result::outcome::{self, Measured, Outcome, PARLOR, Pace, Subject, Watch};
use crate::subject::certificate::Certificate;
use crate::subject::floor::{Floor, FloorKind};
use crate::subject::peers::AgainstArguments;
use crate::subject::process::ServerUnderTest;

/// Everything joined and warm, ready for its turns.
pub struct Talk {
    /// Parlor first, then the floors where the server is the bench's own.
    pub subjects: Vec<Box<dyn Subject>>,
    /// What Parlor has sent.
    pub samples: Samples,
}

const ONE_SHARD: &str = "one shard";
const WITHOUT_TLS: &str = "without TLS";

/// Measures a load of talk.
///
/// # Errors
/// Returns an error if a socket fails, or if the members need more descriptors than the process may have.
pub fn run(
    scenario: &'static str,
    load: &Load,
    (pace, against): (Pace, &AgainstArguments),
    run: &RunArguments,
    cores: Cores,
    watch: &mut dyn Watch,
) -> io::Result<Outcome> {
    let mut talk = prepare(load, run, cores, watch)?;
    if run.server.is_none() && reference(load, run).is_none() {
        against.apply(&mut talk.subjects, load, cores, watch)?;
    }
    let rounds = outcome::in_turns(&mut talk.subjects, pace, run.time(), run.rounds, watch)?;
    let mut outcome = outcome(scenario, load, pace, run, cores, talk.samples.copy.len(), rounds);
    outcome.parameters.push(match load.tls {
        // Results of before have no such parameter.
        true => ("tls", json!(true)),
        false => ("against", json!(against.names().join(","))),
    });
    Ok(outcome)
}

/// What came of a load of talk.
#[allow(clippy::too_many_arguments, reason = "an outcome has as many parts")]
pub fn outcome(
    scenario: &'static str,
    load: &Load,
    pace: Pace,
    run: &RunArguments,
    cores: Cores,
    copy_bytes: usize,
    rounds: Vec<outcome::Round>,
) -> Outcome {
    let Load { rooms, receivers, senders, size, .. } = *load;
    let who = match (load.privately, receivers) {
        (true, _) => format!("{senders} members, each to another one"),
        (false, 0) => format!("{senders} members, each to all others"),
        (false, _) => format!("{senders} to {receivers} receivers"),
    };
    let many = if rooms == 1 { String::new() } else { format!("in each of {rooms} rooms ") };
    Outcome {
        scenario,
        title: format!("{scenario} {many}{who}, {size} octets of text ({copy_bytes} on the wire)"),
        parameters: vec![
            ("rooms", json!(rooms)),
            ("receivers", json!(receivers)),
            ("senders", json!(senders)),
            ("members", json!(load.members())),
            ("size", json!(size)),
            ("shards", json!(run.shards)),
            ("copy_bytes", json!(copy_bytes)),
        ],
        operation: "delivery",
        pace: Some(pace),
        cores,
        own_server: run.server.is_none(),
        rounds,
    }
}

/// Starts what is to be measured. This thread stays bound to the client's core.
///
/// # Errors
/// Returns an error if a socket fails, or if the members need more descriptors than the process may have.
pub fn prepare(load: &Load, run: &RunArguments, cores: Cores, watch: &mut dyn Watch) -> io::Result<Talk> {
    let reference = reference(load, run);
    // The subjects one by one: Parlor, and the floors or Parlor otherwise beside it.
    let subjects = if reference.is_some() || run.server.is_some() { 2 } else { 4 };
    descriptors::reserve(load.members().saturating_mul(subjects))?;
    let server = start(load, run, run.shards)?;
    let reference = reference.map(|(name, load, shards)| Ok::<_, io::Error>((name, load, start(&load, run, shards)?)));
    let reference = reference.transpose()?;
    pin(cores.client);
    let own = server.own.is_some();
    let mut parlor = Parlor::join(load, server, PARLOR, watch)?;
    watch.stage("warming up");
    parlor.warm_up()?;
    let samples = parlor.engine.samples().clone();
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(parlor)];
    if let Some((name, load, server)) = reference {
        let mut parlor = Parlor::join(&load, server, name, watch)?;
        parlor.warm_up()?;
        subjects.push(Box::new(parlor));
    } else if own {
        for kind in [FloorKind::Copied, FloorKind::Gathered, FloorKind::Answering] {
            let floor = Floor::start(load, &samples, cores, kind)?;
            subjects.extend(floor.map(|floor| Box::new(floor) as Box<dyn Subject>));
        }
    }
    Ok(Talk { subjects, samples })
}

/// What a server of the bench's own is compared with where that is not the floors: the same on one shard, or without TLS.
#[must_use]
pub fn reference(load: &Load, run: &RunArguments) -> Option<(&'static str, Load, usize)> {
    match run.server {
        Some(_) => None,
        None if load.tls => Some((WITHOUT_TLS, Load { tls: false, ..*load }, run.shards)),
        None => (run.shards > 1).then_some((ONE_SHARD, *load, 1)),
    }
}

/// Starts a server that can take a load.
fn start(load: &Load, run: &RunArguments, shards: usize) -> io::Result<ServerUnderTest> {
    if !load.tls || run.server.is_some() {
        return ServerUnderTest::start(run, shards, "");
    }
    // The server has read it when it is ready.
    let certificate = Certificate::new()?;
    ServerUnderTest::start(run, shards, &certificate.config()?)
}

/// Rooms of Parlor's, with their members.
struct Parlor {
    name: &'static str,
    engine: Engine,
    _calls: Calls,
    _server: ServerUnderTest,
}

impl Parlor {
    fn join(load: &Load, server: ServerUnderTest, name: &'static str, watch: &mut dyn Watch) -> io::Result<Self> {
        let options = CallOptions { tls: load.tls, ..CallOptions::talking(Transport::Tcp) };
        let mut calls = Calls::new(server.addresses, options, u64::from(std::process::id()))?;
        let rooms: Vec<_> = (0..load.rooms).map(|room| calls.room(&room.to_string())).collect();
        let members = calls.gather(load.members(), |member| rooms[load.room_of(member)].clone(), watch)?;
        let mut engine = Engine::new(load.endpoints_of(members), layout::msrp, server.target())?;
        if let Some(time) = load.freeze {
            engine.freeze(time);
        }
        Ok(Self { name, engine, _calls: calls, _server: server })
    }

    fn warm_up(&mut self) -> io::Result<()> {
        self.engine.warm_up(Duration::from_millis(300))
    }
}

impl Subject for Parlor {
    fn name(&self) -> &str {
        self.name
    }

    fn run(&mut self, pace: Pace, time: Duration, watch: &mut dyn Watch) -> io::Result<Measured> {
        self.engine.run(pace, time, self.name, watch)
    }
}
