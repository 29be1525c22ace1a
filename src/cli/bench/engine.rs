//! One measurement: load from the senders, and everything that every member gets, on this thread.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream as StdStream;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::cpu;
use super::layout::{Copy, Layout, chunk_len};
use super::outcome::{CpuTime, Measured, Pace, Watch};
use super::wire::Script;

/// Connections of one subject, and what is known of them; used for several rounds.
pub struct Engine {
    poll: Poll,
    /// Every member; the last ones are the senders.
    lanes: Vec<Lane>,
    senders: Vec<Sender>,
    pid: u32,
    core: usize,
    buffer: Vec<u8>,
    sample: Vec<u8>,
}

/// Reads clocks and books from a moment on.
struct Meter {
    pid: u32,
    core: usize,
    start: Instant,
    server: CpuTime,
    client: Duration,
}

struct Lane {
    stream: TcpStream,
    /// Octets of a copy of which the rest has not come.
    rest: Vec<u8>,
    layout: Option<Layout>,
    /// The number that is expected next, of each sender.
    next: Vec<u64>,
}

struct Sender {
    script: Script,
    number: u64,
    out: Vec<u8>,
    sent: usize,
}

/// What is in flight.
struct Flight {
    /// Of each sender.
    senders: Vec<Waiting>,
    measured: Measured,
}

/// A sender's messages that somebody waits for.
struct Waiting {
    first: u64,
    /// For each message from `first` on: when it was to be sent, and how many members wait for it.
    messages: VecDeque<(Instant, usize)>,
}

const READ_BYTES_MAX: usize = 256 * 1024;
/// How long to wait for what is still on its way when the load has ended.
const GRACE: Duration = Duration::from_secs(10);
impl Engine {
    /// Takes connections over: the receivers', and each sender's with what it sends. `pid` and `core` are those of the server
    /// that is measured.
    ///
    /// # Errors
    /// As the sockets.
    pub fn new(
        receivers: Vec<StdStream>,
        senders: Vec<(StdStream, Script)>,
        pid: u32,
        core: usize,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let (sending, scripts): (Vec<_>, Vec<_>) = senders.into_iter().unzip();
        let (count, sender_count) = (receivers.len(), sending.len());
        let lane = |(at, stream): (usize, StdStream)| -> io::Result<Lane> {
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = if at < count { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            poll.registry().register(&mut stream, Token(at), interest)?;
            Ok(Lane { stream, rest: Vec::new(), layout: None, next: vec![0; sender_count] })
        };
        let lanes = receivers.into_iter().chain(sending).enumerate().map(lane).collect::<io::Result<Vec<_>>>()?;
        let senders =
            scripts.into_iter().map(|script| Sender { script, number: 0, out: Vec::new(), sent: 0 }).collect();
        Ok(Self { poll, lanes, senders, pid, core, buffer: vec![0; READ_BYTES_MAX], sample: Vec::new() })
    }

    fn first_sender(&self) -> usize {
        self.lanes.len() - self.senders.len()
    }

    /// The first copy that arrived.
    #[must_use]
    pub fn sample(&self) -> &[u8] {
        &self.sample
    }

    /// Puts load on for a while, waits for what is on its way, and tells what came of it. `watch` is told in between, of
    /// `subject`.
    ///
    /// # Errors
    /// As the sockets, and where something else than MSRP comes.
    pub fn run(&mut self, pace: Pace, time: Duration, subject: &str, watch: &mut dyn Watch) -> io::Result<Measured> {
        let waiting = |sender: &Sender| Waiting { first: sender.number, messages: VecDeque::new() };
        let mut flight = Flight { senders: self.senders.iter().map(waiting).collect(), measured: Measured::nothing() };
        let meter = Meter::start(self.pid, self.core);
        let (start, interval) = (meter.start, watch.interval());
        let (end, mut due, mut told) = (start + time, start, start);
        let mut events = Events::with_capacity(1024);
        loop {
            let now = Instant::now();
            let ended = now >= end;
            if !ended {
                self.send_what_is_due(pace, now, &mut due, &mut flight)?;
            }
            if ended && (flight.missing() == 0 || now >= end + GRACE) {
                break;
            }
            if interval.is_some_and(|interval| now >= told + interval) {
                told = now;
                meter.read(&mut flight.measured);
                watch.tick(subject, &flight.measured);
            }
            let mut wake = if ended { end + GRACE } else { self.next_wake(pace, due, end) };
            wake = interval.map_or(wake, |interval| wake.min(told + interval));
            self.poll.poll(&mut events, Some(wake.saturating_duration_since(now))).or_else(interrupted)?;
            for event in &events {
                self.handle(event.token(), &mut flight)?;
            }
        }
        flight.measured.lost = flight.missing();
        meter.read(&mut flight.measured);
        Ok(flight.measured)
    }

    fn next_wake(&self, pace: Pace, due: Instant, end: Instant) -> Instant {
        match pace {
            Pace::Window(_) => end,
            Pace::Rate(_) => due.min(end),
        }
    }

    fn send_what_is_due(&mut self, pace: Pace, now: Instant, due: &mut Instant, flight: &mut Flight) -> io::Result<()> {
        match pace {
            Pace::Window(window) => {
                for sender in 0..self.senders.len() {
                    while flight.senders[sender].messages.len() < window {
                        self.queue(sender, now, flight);
                    }
                }
            }
            Pace::Rate(rate) => {
                while *due <= now {
                    for sender in 0..self.senders.len() {
                        self.queue(sender, *due, flight);
                    }
                    *due += Duration::from_secs_f64(1.0 / rate);
                }
            }
        }
        (0..self.senders.len()).try_for_each(|sender| self.write(sender))
    }

    fn queue(&mut self, at: usize, intended: Instant, flight: &mut Flight) {
        let recipients = self.lanes.len() - 1;
        let sender = &mut self.senders[at];
        sender.script.write(&mut sender.out, at, sender.number);
        sender.number += 1;
        flight.senders[at].messages.push_back((intended, recipients));
    }

    fn write(&mut self, at: usize) -> io::Result<()> {
        let lane = self.first_sender() + at;
        let sender = &mut self.senders[at];
        while sender.sent < sender.out.len() {
            match self.lanes[lane].stream.write(&sender.out[sender.sent..]) {
                Ok(n) => sender.sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        sender.out.clear();
        sender.sent = 0;
        Ok(())
    }

    fn handle(&mut self, token: Token, flight: &mut Flight) -> io::Result<()> {
        let lane = &mut self.lanes[token.0];
        loop {
            let kept = lane.rest.len();
            self.buffer[..kept].copy_from_slice(&lane.rest);
            let n = match lane.stream.read(&mut self.buffer[kept..]) {
                Ok(0) => return Err(io::Error::other("the server has closed a connection")),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let now = Instant::now();
            let used = lane.take(&self.buffer[..kept + n], now, flight, &mut self.sample)?;
            lane.rest.clear();
            lane.rest.extend_from_slice(&self.buffer[used..kept + n]);
            if kept + n < self.buffer.len() {
                break;
            }
        }
        match token.0.checked_sub(self.first_sender()) {
            // What did not fit may fit now.
            Some(sender) => self.write(sender),
            None => Ok(()),
        }
    }
}

impl Meter {
    fn start(pid: u32, core: usize) -> Self {
        let (server, client) = (cpu::of_process(pid, Some(core)), cpu::of_this_thread());
        Self { pid, core, start: Instant::now(), server, client }
    }

    fn read(&self, measured: &mut Measured) {
        measured.elapsed = self.start.elapsed();
        measured.server = cpu::of_process(self.pid, Some(self.core)).since(&self.server);
        measured.client = cpu::of_this_thread().saturating_sub(self.client);
    }
}

impl Lane {
    /// Takes the chunks that are there whole. Answers how many octets they are.
    fn take(&mut self, input: &[u8], now: Instant, flight: &mut Flight, sample: &mut Vec<u8>) -> io::Result<usize> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            if let Some((layout, copy)) = self.layout.and_then(|layout| Some((layout, layout.read(rest)?))) {
                used += layout.len;
                flight.arrived(copy, now, &mut self.next);
                continue;
            }
            // Not known yet, something else, or not whole: the slow way.
            let Some(len) = chunk_len(rest).map_err(io::Error::other)? else { return Ok(used) };
            let layout = Layout::learn(&rest[..len]).filter(|layout| self.layout != Some(*layout));
            match layout {
                Some(layout) => {
                    self.layout = Some(layout);
                    if sample.is_empty() {
                        sample.extend_from_slice(&rest[..len]);
                    }
                }
                None => used += len,
            }
        }
    }
}

impl Flight {
    fn missing(&self) -> u64 {
        self.senders.iter().flat_map(|sender| &sender.messages).map(|(_, missing)| *missing as u64).sum()
    }

    fn arrived(&mut self, copy: Copy, now: Instant, next: &mut [u64]) {
        let Copy { sender, number } = copy;
        let (Some(next), Some(waiting)) = (next.get_mut(sender), self.senders.get_mut(sender)) else { return };
        let measured = &mut self.measured;
        match number.cmp(next) {
            std::cmp::Ordering::Less => measured.repeated += 1,
            std::cmp::Ordering::Greater => measured.reordered += 1,
            std::cmp::Ordering::Equal => {}
        }
        *next = (*next).max(number + 1);
        let Some(at) = number.checked_sub(waiting.first).and_then(|at| usize::try_from(at).ok()) else { return };
        let Some((intended, missing)) = waiting.messages.get_mut(at) else { return };
        measured.record(now.saturating_duration_since(*intended));
        measured.deliveries += 1;
        *missing = missing.saturating_sub(1);
        while waiting.messages.front().is_some_and(|(_, missing)| *missing == 0) {
            waiting.messages.pop_front();
            waiting.first += 1;
        }
    }
}

fn interrupted(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}
