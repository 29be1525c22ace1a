//! `slow`: members who read nothing. What the others notice, and what the server holds for them.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use socket2::SockRef;

use crate::arguments::{RunArguments, at_least, rate, text_size};
use crate::client::call_table::CallOptions;
use crate::client::calls::Calls;
use crate::client::engine::Engine;
use crate::client::layout;
use crate::client::layout::{Layout, chunk_len};
use crate::client::load::Load;
use crate::client::sip::Transport;
use crate::machine::cores::{Cores, pin};
use crate::machine::descriptors;
use crate::machine::memory;
use crate::result::outcome::{self, Measured, Outcome, PARLOR, Pace, Subject, Watch};
use crate::result::output::OutputArguments;
use crate::subject::process::ServerUnderTest;

/// Arguments of `slow`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor bench slow                                       one of 20 receivers reads nothing
  parlor bench slow --receivers 100 --stalled 50 --rate 1000 --size 2000
  parlor bench slow --stalled 5 --seconds 20 --json slow.json")]
pub struct SlowArguments {
    /// Receivers that read
    #[arg(long, default_value_t = 20, value_parser = at_least(1))]
    receivers: usize,
    /// Receivers that read nothing until a turn is over
    #[arg(long, default_value_t = 1, value_parser = at_least(1))]
    stalled: usize,
    /// Octets of text in a message
    #[arg(long, default_value_t = 2000, value_parser = text_size())]
    size: usize,
    /// Messages per second
    #[arg(long, default_value_t = 500.0, value_parser = rate)]
    rate: f64,
    #[command(flatten)]
    pub run: RunArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

const WITHOUT: &str = "without stalled";
/// What a stalled member's own kernel holds for it: little, so that the server feels it soon, but more than a segment of loopback,
/// or nothing gets through at all.
const STALLED_RECEIVE_BYTES: usize = 64 * 1024;
/// A stalled member has everything when nothing more has come for so long: longer than the server's kernel waits before it tries
/// a window that was shut again.
const QUIET: Duration = Duration::from_secs(3);
/// What it takes in one go when it reads at last.
const READING_RECEIVE_BYTES: usize = 1024 * 1024;

/// Measures.
///
/// # Errors
/// Returns an error if a socket fails or the server refuses a call.
pub fn run(arguments: &SlowArguments, cores: Cores, watch: &mut dyn Watch) -> io::Result<Outcome> {
    let SlowArguments { receivers, stalled, size, rate, ref run, .. } = *arguments;
    let load = Load { rooms: 1, receivers, senders: 1, privately: false, size, tls: false, freeze: None };
    descriptors::reserve(2 * load.members() + stalled)?;
    let server = ServerUnderTest::start(run, run.shards, "")?;
    pin(cores.client);
    let mut calls = Calls::new(server.addresses, CallOptions::talking(Transport::Tcp), u64::from(std::process::id()))?;
    let mut subjects: Vec<Box<dyn Subject>> = Vec::new();
    for (name, stalled) in [(PARLOR, stalled), (WITHOUT, 0)] {
        subjects.push(Box::new(Room::join(name, &load, stalled, &server, &mut calls, watch)?));
    }
    let mut rounds = outcome::in_turns(&mut subjects, Pace::Rate(rate), run.time(), run.rounds, watch)?;
    outcome::compare_p99(&mut rounds, WITHOUT);
    Ok(Outcome {
        scenario: "slow",
        title: format!("{receivers} receivers and {stalled} that read nothing, {size} octets of text"),
        parameters: vec![
            ("receivers", json!(receivers)),
            ("stalled", json!(stalled)),
            ("size", json!(size)),
            ("shards", json!(run.shards)),
        ],
        operation: "delivery",
        pace: Some(Pace::Rate(rate)),
        cores,
        own_server: server.own.is_some(),
        rounds,
    })
}

/// A room with stalled members, or without.
struct Room {
    name: &'static str,
    engine: Engine,
    stalled: Vec<Stalled>,
    pid: Option<u32>,
}

impl Room {
    fn join(
        name: &'static str,
        load: &Load,
        stalled: usize,
        server: &ServerUnderTest,
        calls: &mut Calls,
        watch: &mut dyn Watch,
    ) -> io::Result<Self> {
        let room = calls.room(if stalled > 0 { "slow" } else { "quick" });
        let members = calls.gather(load.members(), |_| room.clone(), watch)?;
        let mut engine = Engine::new(load.endpoints_of(members), layout::msrp, server.target())?;
        engine.warm_up(Duration::from_millis(300))?;
        let stalled = calls.gather(stalled, |_| room.clone(), watch)?;
        let stalled =
            stalled.into_iter().map(|member| Stalled::new(member.stream.into_plain()?)).collect::<io::Result<_>>()?;
        Ok(Self { name, engine, stalled, pid: server.pid() })
    }
}

impl Subject for Room {
    fn name(&self) -> &str {
        self.name
    }

    fn run(&mut self, pace: Pace, time: Duration, watch: &mut dyn Watch) -> io::Result<Measured> {
        let resident = |field: &str| self.pid.and_then(|pid| memory::of_process(pid, field)).unwrap_or(0) as f64;
        let before = resident("VmRSS");
        if let Some(pid) = self.pid {
            memory::reset_peak(pid);
        }
        self.stalled.iter().try_for_each(Stalled::stall)?;
        let mut measured = self.engine.run(pace, time, self.name, watch)?;
        let peak = resident("VmHWM");
        let sent = measured.messages;
        let mut told = Received::default();
        for stalled in &mut self.stalled {
            stalled.drain(&mut told)?;
        }
        if self.pid.is_some() {
            measured.figure("memory_before", before, "B");
            measured.figure("memory_peak", peak, "B");
            measured.figure("memory_after", resident("VmRSS"), "B");
        }
        if !self.stalled.is_empty() {
            let meant = sent * self.stalled.len() as u64;
            measured.figure("for_stalled", meant as f64, "");
            measured.figure("discarded", meant.saturating_sub(told.copies) as f64, "");
            measured.figure("given_up", told.given_up as f64, "");
            measured.figure("notices", told.others as f64, "");
            measured.figure("told_missed", told.missed as f64, "");
            measured.figure("ended", told.ended as f64, "");
        }
        Ok(measured)
    }
}

/// Who reads nothing while there is load.
struct Stalled {
    stream: TcpStream,
    input: Vec<u8>,
    over: bool,
}

/// What the stalled ones found when they looked.
#[derive(Debug, Default)]
struct Received {
    /// Copies that were whole.
    copies: u64,
    /// Copies that the server gave up in the middle.
    given_up: u64,
    /// What else came: a notice of what was missed.
    others: u64,
    /// Messages that were missed by those notices.
    missed: u64,
    /// Connections that the server has closed.
    ended: u64,
}

impl Stalled {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(QUIET))?;
        Ok(Self { stream, input: Vec::new(), over: false })
    }

    fn stall(&self) -> io::Result<()> {
        SockRef::from(&self.stream).set_recv_buffer_size(STALLED_RECEIVE_BYTES)
    }

    /// Reads everything that waits.
    fn drain(&mut self, told: &mut Received) -> io::Result<()> {
        SockRef::from(&self.stream).set_recv_buffer_size(READING_RECEIVE_BYTES)?;
        let mut buffer = vec![0; 64 * 1024];
        let end = Instant::now() + Duration::from_secs(30);
        while !self.over && Instant::now() < end {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.over = true,
                Ok(n) => self.take(&buffer[..n], told)?,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.over = true,
                Err(error) => return Err(error),
            }
        }
        told.ended += u64::from(self.over);
        Ok(())
    }

    fn take(&mut self, octets: &[u8], told: &mut Received) -> io::Result<()> {
        self.input.extend_from_slice(octets);
        let mut used = 0;
        while let Some(len) = chunk_len(&self.input[used..]).map_err(io::Error::other)? {
            let chunk = &self.input[used..used + len];
            match (Layout::learn(chunk), chunk.ends_with(b"#\r\n")) {
                (_, true) => told.given_up += 1,
                (Some(_), false) => told.copies += 1,
                (None, false) => {
                    told.others += 1;
                    told.missed += missed(chunk).unwrap_or(0);
                }
            }
            used += len;
        }
        self.input.drain(..used);
        Ok(())
    }
}

/// How many messages a notice says were not sent.
fn missed(chunk: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(chunk).ok()?;
    let at = text.find(" not sent to you")?;
    text[..at].rsplit("\r\n").next()?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_says_how_many() {
        let notice = |count: &str| {
            missed(format!("MSRP a SEND\r\n\r\n{count} not sent to you, because\r\n-------a$\r\n").as_bytes())
        };
        assert_eq!((notice("1 message was"), notice("987 messages were")), (Some(1), Some(987)));
        assert_eq!(missed(b"MSRP a SEND\r\n\r\nYou are anonymous here.\r\n-------a$\r\n"), None);
    }
}
