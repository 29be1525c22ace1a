//! The floor: what the kernel takes to put as many octets on as many sockets. A bare loop that reads what has come and puts all
//! of it into one send per receiver, with no protocol.

use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use clap::Args;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::Cores;
use super::engine::Engine;
use super::layout::Layout;
use super::outcome::{FLOOR_COPIED, FLOOR_GATHERED, Measured, Pace, Subject, Unwatched, Watch};
use super::server::Server;
use super::wire::{self, Script};

/// Arguments of the floor's process, which the bench starts itself.
#[derive(Debug, Args)]
pub struct FloorArguments {
    /// Connections that are sent to
    #[arg(long)]
    receivers: usize,
    /// Connections that are read, and sent what the others send
    #[arg(long)]
    senders: usize,
    /// Octets of a message
    #[arg(long)]
    len: usize,
    /// Gather each message from where it is instead of copying all of them out of one buffer
    #[arg(long)]
    gathered: bool,
}

/// The bare loop as a subject.
pub struct Floor {
    name: &'static str,
    engine: Engine,
    _server: Server,
}

impl Floor {
    /// Starts one that moves copies like `sample`. `None`: that is no copy.
    ///
    /// # Errors
    /// As the sockets.
    pub fn start(
        receivers: usize,
        senders: usize,
        sample: &[u8],
        cores: Cores,
        gathered: bool,
    ) -> io::Result<Option<Self>> {
        let Some(layout) = Layout::learn(sample) else { return Ok(None) };
        let (server, address) = Server::floor(cores, receivers, senders, layout.len, gathered)?;
        let (receivers, senders) = wire::connect_to_floor(address, receivers, senders)?;
        let script = || Script::Raw { template: sample.to_vec(), layout };
        let senders = senders.into_iter().map(|stream| (stream, script())).collect();
        let mut engine = Engine::new(receivers, senders, server.pid(), cores.server)?;
        engine.run(Pace::Window(1), Duration::from_millis(100), "", &mut Unwatched)?;
        let name = if gathered { FLOOR_GATHERED } else { FLOOR_COPIED };
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

/// Octets that one read takes.
const READ_BYTES_MAX: usize = 64 * 1024;
/// Slices that one send takes.
const SLICES_MAX: usize = 1024;

/// Prints its port, takes the receivers and then the senders, and forwards until one of these is done.
///
/// # Errors
/// As the sockets.
pub fn run(arguments: &FloorArguments) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    let mut members = Vec::new();
    for _ in 0..arguments.receivers + arguments.senders {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        members.push(stream);
    }
    let mut buffer = vec![0; READ_BYTES_MAX];
    if arguments.senders == 1 {
        // The barest loop there is: the one socket to read is waited for by reading it.
        while forward(&mut members, arguments.receivers, &mut buffer, arguments)? > 0 {}
        return Ok(());
    }
    let mut poll = Poll::new()?;
    for (at, sender) in members.iter().enumerate().skip(arguments.receivers) {
        poll.registry().register(&mut SourceFd(&sender.as_raw_fd()), Token(at), Interest::READABLE)?;
    }
    let mut events = Events::with_capacity(1024);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            let at = event.token();
            match forward(&mut members, at.0, &mut buffer, arguments)? {
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

/// Reads one member once and sends what has come to all others. Answers how much; 0 is the end.
fn forward(members: &mut [TcpStream], from: usize, buffer: &mut [u8], arguments: &FloorArguments) -> io::Result<usize> {
    let n = members[from].read(buffer)?;
    for (at, member) in members.iter_mut().enumerate() {
        if at == from {
            continue;
        }
        if arguments.gathered {
            gather(member, &buffer[..n], arguments.len)?;
        } else {
            member.write_all(&buffer[..n])?;
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
