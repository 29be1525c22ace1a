//! `large`: a file through a room. Its throughput beside that of the bare loop, and whether the server's memory stays flat.

use std::any::Any;
use std::io;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::arguments::RunArguments;
use crate::client::call_table::CallOptions;
use crate::client::calls::Calls;
use crate::client::load::Load;
use crate::client::sip::Transport;
use crate::client::transfer::{Content, Transfer};
use crate::client::wire;
use crate::machine::cores::{Cores, pin};
use crate::machine::cpu::{Meter, Target};
use crate::machine::descriptors;
use crate::machine::memory;
use crate::result::outcome::{self, FLOOR_COPIED, Measured, Outcome, PARLOR, Pace, Round, Subject, Watch};
use crate::result::output::OutputArguments;
use crate::subject::floor;
use crate::subject::process::{Server, ServerUnderTest};

/// Arguments of `large`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor bench large                                  100 MB through a room of 10
  parlor bench large --size 1GB --members 3 --rounds 1
  parlor bench large --size 10MB --chunk 2048 --json large.json")]
pub struct LargeArguments {
    /// Size of the file, one in each round: 100MB, 64KiB
    #[arg(long, default_value = "100MB", value_parser = octets)]
    size: u64,
    /// Members of the room, the sender included
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..))]
    members: u16,
    /// Size of the chunks in which it is sent
    #[arg(long, default_value = "64KiB", value_parser = octets)]
    chunk: u64,
    #[command(flatten)]
    pub run: RunArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

/// A number of octets as an operator writes it.
fn octets(text: &str) -> Result<u64, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 =
        text[..at].parse().map_err(|_| format!("invalid size `{text}`: expected for example 64KiB or 100MB"))?;
    let unit = match text[at..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(format!("invalid size `{text}`: expected for example 64KiB or 100MB")),
    };
    number.checked_mul(unit).filter(|octets| *octets > 0).ok_or_else(|| format!("invalid size `{text}`: out of range"))
}

/// Measures.
///
/// # Errors
/// Returns an error if a socket fails or the server refuses the file.
pub fn run(arguments: &LargeArguments, cores: Cores, watch: &mut dyn Watch) -> io::Result<Outcome> {
    let LargeArguments { size, members, chunk, ref run, .. } = *arguments;
    let load = Load {
        rooms: 1,
        receivers: usize::from(members) - 1,
        senders: 1,
        privately: false,
        size: 0,
        tls: false,
        freeze: None,
    };
    descriptors::reserve(2 * load.members())?;
    let server = ServerUnderTest::start(run, run.shards, "")?;
    pin(cores.client);
    let own_server = server.own.is_some();
    let mut calls = Calls::new(server.addresses, CallOptions::talking(Transport::Tcp), u64::from(std::process::id()))?;
    let room = calls.room("large");
    let joined = calls.gather(load.members(), |_| room.clone(), watch)?;
    let chunk = usize::try_from(chunk).map_err(io::Error::other)?;
    let parlor = File {
        name: PARLOR,
        pid: server.pid(),
        target: server.target(),
        transfer: Transfer::of_members(joined, size, chunk)?,
        _held: Box::new((server, calls)),
    };
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(parlor)];
    if own_server {
        let (server, address) = Server::floor(cores, &floor::arguments(&load, chunk, false))?;
        let streams = wire::connect_to_floor(address, load.members())?;
        let transfer = Transfer::new(streams, Content::Raw, size, chunk)?;
        let target = server.target();
        subjects.push(Box::new(File { name: FLOOR_COPIED, pid: None, target, transfer, _held: Box::new(server) }));
    }
    let mut rounds = outcome::in_turns(&mut subjects, Pace::Window(1), run.time(), run.rounds, watch)?;
    rounds.iter_mut().for_each(compare_throughput);
    Ok(Outcome {
        scenario: "large",
        title: format!("a file of {size} octets through a room of {members}, in chunks of {chunk}"),
        parameters: vec![
            ("size", json!(size)),
            ("members", json!(members)),
            ("chunk", json!(chunk)),
            ("shards", json!(run.shards)),
        ],
        operation: "file",
        pace: None,
        cores,
        own_server,
        rounds,
    })
}

/// Adds to Parlor's turn its share of the bare loop's throughput.
fn compare_throughput(round: &mut Round) {
    let of = |name: &str| -> Option<f64> {
        let figures = &round.of(name)?.figures;
        figures.iter().find(|figure| figure.name == THROUGHPUT).map(|figure| figure.value)
    };
    let (Some(parlor), Some(floor)) = (of(PARLOR), of(FLOOR_COPIED)) else { return };
    let Some(turn) = round.turns.iter_mut().find(|turn| turn.subject == PARLOR) else { return };
    turn.measured.figure("floor_throughput", floor, "MB/s");
    turn.measured.figure("share_of_floor_throughput", parlor / floor * 100.0, "%");
}

const THROUGHPUT: &str = "throughput";

/// Somebody that files go through.
struct File {
    name: &'static str,
    /// Whose memory is looked at.
    pid: Option<u32>,
    target: Target,
    transfer: Transfer,
    /// What runs as long as files are measured.
    _held: Box<dyn Any>,
}

impl Subject for File {
    fn name(&self) -> &str {
        self.name
    }

    /// One file, however long it takes.
    fn run(&mut self, _pace: Pace, _time: Duration, watch: &mut dyn Watch) -> io::Result<Measured> {
        let resident = |field: &str| self.pid.and_then(|pid| memory::of_process(pid, field)).unwrap_or(0) as f64;
        let before = resident("VmRSS");
        if let Some(pid) = self.pid {
            memory::reset_peak(pid);
        }
        let mut measured = Measured::nothing();
        let meter = Meter::start(&self.target);
        self.transfer.run(&mut measured, watch, |measured, watch| {
            meter.read(measured);
            watch.tick(self.name, measured);
        })?;
        meter.read(&mut measured);
        let octets = self.transfer.size() as f64 * measured.deliveries as f64;
        measured.figure(THROUGHPUT, octets / 1e6 / measured.elapsed.as_secs_f64(), "MB/s");
        if self.target.pid.is_some() {
            let ns = measured.server.total().as_nanos() as f64;
            measured.figure("server_ns_per_kb", ns / (octets / 1000.0), "ns");
        }
        if self.pid.is_some() {
            measured.figure("memory_before", before, "B");
            measured.figure("memory_peak", resident("VmHWM"), "B");
            measured.figure("memory_after", resident("VmRSS"), "B");
        }
        Ok(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::octets;

    #[test]
    fn sizes_are_read() {
        assert_eq!(octets("100MB"), Ok(100_000_000));
        assert_eq!(octets("64KiB"), Ok(65_536));
        assert_eq!(octets("7"), Ok(7));
        for wrong in ["", "x", "5 parsecs", "0", "99999999999GB"] {
            assert!(octets(wrong).is_err(), "{wrong}");
        }
    }
}
