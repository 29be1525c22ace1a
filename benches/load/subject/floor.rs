//! The floor: what the kernel takes to put as many octets on as many sockets. A bare loop that reads what has come and puts all
//! of it into one send per receiver, with no protocol.

use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use clap::Args;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::client::engine::{Engine, Samples};
use crate::client::layout::{self, Layout};
use crate::client::load::Load;
use crate::client::poll::ignore_interrupted;
use crate::client::stream::Stream;
use crate::client::wire::{self, Script};
use crate::machine::cores::Cores;
use crate::machine::descriptors;
use crate::result::outcome::{ANSWERING_FLOOR, FLOOR_COPIED, FLOOR_GATHERED, Measured, Pace, Subject, Watch};
use crate::subject::process::{Server, end_with_parent};

/// Arguments of the floor's process, which the bench starts itself.
#[derive(Debug, Args)]
pub struct FloorArguments {
    /// Rooms; what is sent in one stays there
    #[arg(long)]
    rooms: usize,
    /// Connections of each room that are sent to
    #[arg(long)]
    receivers: usize,
    /// Connections of each room that are read, and sent what the others send
    #[arg(long)]
    senders: usize,
    /// Octets of a message
    #[arg(long)]
    len: usize,
    /// Gather each message from where it is instead of copying all of them out of one buffer
    #[arg(long)]
    gathered: bool,
    /// Send only to the member after the one that sends
    #[arg(long)]
    privately: bool,
    /// What each message is answered to its sender with
    #[arg(long, allow_hyphen_values = true)]
    answer: Option<String>,
}

/// How a bare loop sends what it has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloorKind {
    /// Out of the buffer that it was read into.
    Copied,
    /// Each message from where it is.
    Gathered,
    /// As copied; and each message is answered to its sender, with as many octets as Parlor's response has.
    Answering,
}

/// The bare loop as a subject.
pub struct Floor {
    name: &'static str,
    engine: Engine,
    _server: Server,
}

impl Floor {
    /// Starts one that moves copies like the sample between as many sockets as the load has. `None`: that is no copy.
    ///
    /// # Errors
    /// Returns an error if a socket fails.
    pub fn start(load: &Load, samples: &Samples, cores: Cores, kind: FloorKind) -> io::Result<Option<Self>> {
        let sample = &samples.copy;
        let Some(layout) = Layout::learn(sample) else { return Ok(None) };
        let mut arguments = arguments(load, layout.len, kind == FloorKind::Gathered);
        if kind == FloorKind::Answering {
            let answer = String::from_utf8_lossy(&samples.answer);
            arguments.push(format!("--answer={answer}"));
        }
        let (server, address) = Server::floor(cores, &arguments)?;
        let streams = wire::connect_to_floor(address, load.members())?;
        let streams = streams.into_iter().map(Stream::plain).collect::<io::Result<_>>()?;
        let seats = load.seats(streams, |stream| stream, |_, _| Script::Raw { template: sample.clone(), layout });
        let mut engine = Engine::new(seats, layout::msrp, server.target())?;
        engine.warm_up(Duration::from_millis(100))?;
        let name = match kind {
            FloorKind::Copied => FLOOR_COPIED,
            FloorKind::Gathered => FLOOR_GATHERED,
            FloorKind::Answering => ANSWERING_FLOOR,
        };
        Ok(Some(Self { name, engine, _server: server }))
    }
}

impl Subject for Floor {
    fn name(&self) -> &str {
        self.name
    }

    fn run(&mut self, pace: Pace, time: Duration, watch: &mut dyn Watch) -> io::Result<Measured> {
        self.engine.run(pace, time, self.name, watch)
    }
}

/// What starts the floor's process for a load.
#[must_use]
pub fn arguments(load: &Load, len: usize, gathered: bool) -> Vec<String> {
    let numbers =
        [("--rooms", load.rooms), ("--receivers", load.receivers), ("--senders", load.senders), ("--len", len)];
    let mut all: Vec<String> =
        numbers.into_iter().flat_map(|(name, number)| [name.into(), number.to_string()]).collect();
    all.extend(gathered.then(|| "--gathered".into()));
    all.extend(load.privately.then(|| "--privately".into()));
    all
}

/// Octets that one read takes.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Slices that one send takes.
const SLICES_MAX: usize = 1024;

/// Prints its port, takes each room's receivers and then its senders, and forwards until one of these is done.
///
/// # Errors
/// Returns an error if a socket fails.
pub fn run(arguments: &FloorArguments) -> io::Result<()> {
    end_with_parent()?;
    let width = arguments.receivers + arguments.senders;
    let _ = descriptors::reserve(arguments.rooms * width);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // Where whoever started this is gone already, this fails.
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    let mut answers = arguments.answer.as_ref().map(|answer| Answers::new(answer, arguments, width));
    let mut members = Vec::new();
    let mut poll = Poll::new()?;
    for at in 0..arguments.rooms * width {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        if at % width >= arguments.receivers {
            poll.registry().register(&mut SourceFd(&stream.as_raw_fd()), Token(at), Interest::READABLE)?;
        }
        members.push(stream);
    }
    let mut buffer = vec![0; READ_BYTES_MAX];
    let mut events = Events::with_capacity(1024);
    loop {
        poll.poll(&mut events, None).or_else(ignore_interrupted)?;
        for event in &events {
            let at = event.token();
            let n = forward(&mut members, at.0, &mut buffer, arguments)?;
            if let Some(answers) = &mut answers {
                members[at.0].write_all(answers.to(at.0, n))?;
            }
            match n {
                0 => return Ok(()),
                // Something may be left, and a socket that was readable before is not told again.
                READ_BYTES_MAX => {
                    let fd = members[at.0].as_raw_fd();
                    poll.registry().reregister(&mut SourceFd(&fd), at, Interest::READABLE)?;
                }
                _ => {}
            }
        }
    }
}

/// Answers to what is read.
struct Answers {
    /// As many as one read may ask for, one after the other.
    octets: Vec<u8>,
    /// Octets of one.
    len: usize,
    /// Octets of a message.
    message_len: usize,
    /// Octets of a message of which the rest has not come, from each member.
    begun: Vec<usize>,
}

impl Answers {
    fn new(answer: &str, arguments: &FloorArguments, width: usize) -> Self {
        let message_len = arguments.len.max(1);
        Self {
            octets: answer.as_bytes().repeat(READ_BYTES_MAX / message_len + 1),
            len: answer.len(),
            message_len,
            begun: vec![0; arguments.rooms * width],
        }
    }

    /// To a member who has sent `n` octets more.
    fn to(&mut self, member: usize, n: usize) -> &[u8] {
        let begun = &mut self.begun[member];
        let messages = (*begun + n) / self.message_len;
        *begun = (*begun + n) % self.message_len;
        &self.octets[..messages * self.len]
    }
}

/// Reads one member once and sends what has come to all others of its room, or to the one after it. Answers how much; 0 is
/// the end.
fn forward(members: &mut [TcpStream], from: usize, buffer: &mut [u8], arguments: &FloorArguments) -> io::Result<usize> {
    let n = members[from].read(buffer)?;
    let width = arguments.receivers + arguments.senders;
    let first = from - from % width;
    let to = if arguments.privately {
        let next = first + (from - first + 1) % width;
        next..next + 1
    } else {
        first..first + width
    };
    for at in to.filter(|at| *at != from) {
        if arguments.gathered {
            gather(&mut members[at], &buffer[..n], arguments.len)?;
        } else {
            members[at].write_all(&buffer[..n])?;
        }
    }
    Ok(n)
}

fn gather(receiver: &mut TcpStream, octets: &[u8], len: usize) -> io::Result<()> {
    let mut slices: smallvec::SmallVec<[IoSlice<'_>; 128]> =
        octets.chunks(len).take(SLICES_MAX).map(IoSlice::new).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        let n = receiver.write_vectored(rest)?;
        IoSlice::advance_slices(&mut rest, n);
    }
    let gathered = octets.len().min(SLICES_MAX * len);
    receiver.write_all(&octets[gathered..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_answered_once_it_is_there_whole() {
        let arguments = FloorArguments {
            rooms: 1,
            receivers: 1,
            senders: 1,
            len: 10,
            gathered: false,
            privately: false,
            answer: None,
        };
        let mut answers = Answers::new("ok", &arguments, 2);
        let text: Vec<_> = [4, 5, 1, 25, 0].map(|n| answers.to(1, n).len() / 2).to_vec();
        assert_eq!(text, [0, 0, 1, 2, 0]);
        assert_eq!(answers.to(0, 5), b"", "each member's messages are its own");
        assert_eq!(answers.to(1, 5), b"ok");
        assert_eq!(answers.to(1, READ_BYTES_MAX).len(), READ_BYTES_MAX / 10 * 2);
    }
}
