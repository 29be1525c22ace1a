//! One measurement: load from the senders, and everything that every member gets, on this thread.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};

use crate::client::flight::{Flight, Reception};
use crate::client::layout::{FrameLen, Layout};
use crate::client::poll::ignore_interrupted;
use crate::client::stream::Stream;
use crate::client::timer::Timer;
use crate::client::wire::{Endpoint, Script};
use crate::interrupt::NOTICED_WITHIN;
use crate::machine::cpu::{Meter, Target};
use crate::result::outcome::{Measured, Pace, Unwatched, Watch};
use crate::subject::freeze::Freeze;

/// Connections of one subject, and what is known of them; used for several rounds.
pub struct Engine {
    poll: Poll,
    timer: Timer,
    connections: Vec<Connection>,
    senders: Vec<Sender>,
    frame_len: FrameLen,
    target: Target,
    freeze: Option<Freeze>,
    buffer: Vec<u8>,
    samples: Samples,
}

/// What a server has sent, for a floor that is to send the same.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// The first copy that arrived.
    pub copy: Vec<u8>,
    /// What was last said to a sender beside copies: an answer.
    pub answer: Vec<u8>,
}

struct Connection {
    stream: Stream,
    /// Octets of a copy of which the rest has not come.
    rest: Vec<u8>,
    layout: Option<Layout>,
    reception: Reception,
    /// Its number among the senders.
    sender: Option<usize>,
}

struct Sender {
    connection: usize,
    script: Script,
    recipients: usize,
    number: u64,
    out: Vec<u8>,
    sent: usize,
}

/// When the next message of a rate is due, and whose it is: the senders take turns, evenly spread.
struct Schedule {
    due: Instant,
    step: Duration,
    sender: usize,
    /// Nothing is due from then on.
    end: Instant,
    /// Nanoseconds that messages went out late, by this thread's own fault or because the server did not read.
    late: Histogram<u64>,
}

impl Schedule {
    /// Whether everything has gone out.
    fn is_over(&self) -> bool {
        self.due >= self.end
    }

    /// Messages that have not gone out.
    fn unsent(&self) -> u64 {
        let left = self.end.saturating_duration_since(self.due).as_nanos();
        u64::try_from(left.div_ceil(self.step.as_nanos().max(1))).unwrap_or(u64::MAX)
    }
}

const READ_BYTES_MAX: usize = 256 * 1024;
/// Messages that are sent before it is looked at what has come.
const BURST_MAX: usize = 64;
/// Octets of one sender that a server which does not read leaves here; what is due beyond it goes out later, and counts from when it
/// was due.
const UNSENT_BYTES_MAX: usize = 16 * 1024 * 1024;
const EVENTS_MAX: usize = 1024;
/// How long to wait for what is still on its way when the load has ended.
const GRACE: Duration = Duration::from_secs(10);
const ALARM: Token = Token(usize::MAX);

impl Engine {
    /// Takes connections over; senders are numbered in the order in which they come. `target` is the server that is measured,
    /// `frame_len` tells where what it sends ends.
    ///
    /// # Errors
    /// Returns an error if a socket fails.
    pub fn new(seats: Vec<Endpoint>, frame_len: FrameLen, target: Target) -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = Timer::new(&poll, ALARM)?;
        let (mut connections, mut senders) = (Vec::with_capacity(seats.len()), Vec::new());
        for mut seat in seats {
            // Who only listens has nothing to write, once the handshakes are over.
            let interest = seat.sends.as_ref().map_or(Interest::READABLE, |_| Interest::READABLE | Interest::WRITABLE);
            seat.stream.register(poll.registry(), Token(connections.len()), interest)?;
            let stream = seat.stream;
            let sender = seat.sends.map(|(script, recipients)| {
                let connection = connections.len();
                senders.push(Sender { connection, script, recipients, number: 0, out: Vec::new(), sent: 0 });
                senders.len() - 1
            });
            let reception = Reception::new(seat.hears);
            connections.push(Connection { stream, rest: Vec::new(), layout: None, reception, sender });
        }
        let (buffer, samples) = (vec![0; READ_BYTES_MAX], Samples::default());
        Ok(Self { poll, timer, connections, senders, frame_len, target, freeze: None, buffer, samples })
    }

    /// Has the server stand still for so long in the middle of every turn.
    pub fn freeze(&mut self, time: Duration) {
        self.freeze = self.target.pid.map(|pid| Freeze::new(pid, time));
    }

    /// What has arrived.
    #[must_use]
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Puts a little load on, so that caches, buffers and layouts are there.
    ///
    /// # Errors
    /// Returns the errors of [`run`](Self::run).
    pub fn warm_up(&mut self, time: Duration) -> io::Result<()> {
        let freeze = self.freeze.take();
        self.run(Pace::Window(1), time, "", &mut Unwatched)?;
        self.freeze = freeze;
        Ok(())
    }

    /// Puts load on for a while, waits for what is on its way, and tells what came of it. `watch` is told in between, of
    /// `subject`.
    ///
    /// # Errors
    /// Returns an error if a socket fails or the server sends what it may not.
    pub fn run(&mut self, pace: Pace, time: Duration, subject: &str, watch: &mut dyn Watch) -> io::Result<Measured> {
        let mut flight = Flight::new(self.senders.iter().map(|sender| sender.number));
        let meter = Meter::start(&self.target);
        let (start, interval) = (meter.start, watch.interval());
        let (mut end, mut told) = (start + time, start);
        let mut schedule = self.schedule(pace, start, end);
        let mut freeze = self.freeze.as_ref().map(|freeze| freeze.at(start + time / 2));
        let mut events = Events::with_capacity(EVENTS_MAX);
        if let Pace::Window(window) = pace {
            (0..self.senders.len()).try_for_each(|sender| self.fill(sender, window, start, &mut flight))?;
        }
        loop {
            let now = Instant::now();
            if watch.is_interrupted() {
                end = end.min(now);
                schedule.iter_mut().for_each(|schedule| schedule.end = end);
            }
            let ended = now >= end;
            match &mut schedule {
                // What was due before the end goes out, however late: to leave it out would leave out the worst latencies.
                Some(schedule) => self.send_what_is_due(schedule, now, &mut flight)?,
                None if !ended => self.refill(pace, now, &mut flight)?,
                None => {}
            }
            let all_sent = schedule.as_ref().is_none_or(Schedule::is_over);
            if ended && (all_sent && flight.missing() == 0 || now >= end + GRACE) {
                break;
            }
            if interval.is_some_and(|interval| now >= told + interval) {
                told = now;
                meter.read(&mut flight.measured);
                watch.tick(subject, &flight.measured);
            }
            let frozen = freeze.as_mut().and_then(|freeze| freeze.poll(now));
            let due = schedule.as_ref().filter(|it| !all_sent && !self.is_full(it.sender)).map(|it| it.due);
            let wake = if ended { end + GRACE } else { end }.min(now + NOTICED_WITHIN);
            let wake = [due, frozen, interval.map(|i| told + i)].into_iter().flatten().fold(wake, Instant::min);
            self.timer.set(wake, now)?;
            self.poll.poll(&mut events, None).or_else(ignore_interrupted)?;
            for event in events.iter().filter(|event| event.token() != ALARM) {
                self.handle(event.token().0, &mut flight)?;
            }
        }
        drop(freeze);
        meter.read(&mut flight.measured);
        flight.measured.lost = flight.missing();
        if let Some(schedule) = schedule {
            let recipients = self.senders.first().map_or(0, |sender| sender.recipients);
            flight.measured.lost += schedule.unsent() * recipients as u64;
            flight.measured.figure("sent_late_p99", schedule.late.value_at_quantile(0.99) as f64, "ns");
        }
        Ok(flight.measured)
    }

    fn schedule(&self, pace: Pace, start: Instant, end: Instant) -> Option<Schedule> {
        let Pace::Rate(rate) = pace else { return None };
        let step = Duration::from_secs_f64(1.0 / (rate * self.senders.len().max(1) as f64));
        Some(Schedule { due: start, step, sender: 0, end, late: Measured::nothing().latency })
    }

    /// Sends what is due before `until`, a burst of it; what is left stays due.
    fn send_what_is_due(&mut self, schedule: &mut Schedule, now: Instant, flight: &mut Flight) -> io::Result<()> {
        let until = now.min(schedule.end);
        for _ in 0..BURST_MAX {
            if schedule.due >= until || self.is_full(schedule.sender) {
                break;
            }
            schedule.late.saturating_record(now.saturating_duration_since(schedule.due).as_nanos() as u64);
            self.queue(schedule.sender, schedule.due, flight);
            self.write(schedule.sender)?;
            schedule.sender = (schedule.sender + 1) % self.senders.len();
            schedule.due += schedule.step;
        }
        Ok(())
    }

    /// Whether a sender has to wait until the server reads.
    fn is_full(&self, sender: usize) -> bool {
        let sender = &self.senders[sender];
        sender.out.len() - sender.sent > UNSENT_BYTES_MAX
    }

    /// Has those send again of whom a message has reached everybody.
    fn refill(&mut self, pace: Pace, now: Instant, flight: &mut Flight) -> io::Result<()> {
        let Pace::Window(window) = pace else { return Ok(()) };
        while let Some(sender) = flight.next_ready() {
            self.fill(sender, window, now, flight)?;
        }
        Ok(())
    }

    /// Sends until there are `window` messages of a sender in flight.
    fn fill(&mut self, sender: usize, window: usize, now: Instant, flight: &mut Flight) -> io::Result<()> {
        while flight.in_flight(sender) < window {
            self.queue(sender, now, flight);
        }
        self.write(sender)
    }

    fn queue(&mut self, at: usize, intended: Instant, flight: &mut Flight) {
        let sender = &mut self.senders[at];
        sender.script.write(&mut sender.out, at, sender.number);
        sender.number += 1;
        flight.sent(at, intended, sender.recipients);
    }

    fn write(&mut self, at: usize) -> io::Result<()> {
        let sender = &mut self.senders[at];
        let stream = &mut self.connections[sender.connection].stream;
        stream.push()?;
        while sender.sent < sender.out.len() {
            match stream.write(&sender.out[sender.sent..]) {
                Ok(n) => sender.sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        sender.out.clear();
        sender.sent = 0;
        Ok(())
    }

    fn handle(&mut self, at: usize, flight: &mut Flight) -> io::Result<()> {
        let connection = &mut self.connections[at];
        loop {
            let kept = connection.rest.len();
            if kept == self.buffer.len() {
                return Err(io::Error::other("the server sends a chunk that is too long for this scenario"));
            }
            self.buffer[..kept].copy_from_slice(&connection.rest);
            let n = match connection.stream.read(&mut self.buffer[kept..]) {
                Ok(0) => return Err(io::Error::other("the server has closed a connection")),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let now = Instant::now();
            let used = connection.take(&self.buffer[..kept + n], now, self.frame_len, flight, &mut self.samples)?;
            connection.rest.clear();
            connection.rest.extend_from_slice(&self.buffer[used..kept + n]);
            if kept + n < self.buffer.len() {
                break;
            }
        }
        // What did not fit may fit now.
        connection.sender.map_or(Ok(()), |sender| self.write(sender))
    }
}

impl Connection {
    /// Takes the frames that are there whole. Answers how many octets they are.
    fn take(
        &mut self,
        input: &[u8],
        now: Instant,
        frame_len: FrameLen,
        flight: &mut Flight,
        samples: &mut Samples,
    ) -> io::Result<usize> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            if let Some((layout, copy)) = self.layout.and_then(|layout| Some((layout, layout.read(rest)?))) {
                used += layout.len;
                flight.arrived(copy, now, &mut self.reception);
                continue;
            }
            // Not known yet, something else, or not whole: the slow way.
            let Some(len) = frame_len(rest)? else { return Ok(used) };
            let layout = Layout::learn(&rest[..len]).filter(|layout| self.layout != Some(*layout));
            match layout {
                Some(layout) => {
                    self.layout = Some(layout);
                    if samples.copy.is_empty() {
                        samples.copy.extend_from_slice(&rest[..len]);
                    }
                }
                None => {
                    used += len;
                    if self.sender.is_some() {
                        samples.answer.clear();
                        samples.answer.extend_from_slice(&rest[..len]);
                    }
                }
            }
        }
    }
}
