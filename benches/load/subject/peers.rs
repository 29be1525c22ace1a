//! The peers: other servers that put messages on many sockets, measured in turns with Parlor on the same core. They carry less
//! (no SIP, no reports, shorter headers) and keep nothing either: persistence is off.

mod nats;
mod protocol;
mod redis;

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use self::protocol::Protocol;
use crate::client::engine::Engine;
use crate::client::layout::{Layout, text};
use crate::client::load::Load;
use crate::client::stream::Stream;
use crate::client::wire::{Endpoint, Script};
use crate::machine::cores::{Cores, pin};
use crate::machine::cpu::Target;
use crate::machine::descriptors;
use crate::result::findings::is_floor;
use crate::result::outcome::{ANSWERING_FLOOR, Measured, Pace, Subject, Watch};
use crate::subject::ports::free_port;
use crate::subject::process::end_with_parent;

/// What Parlor is measured beside.
#[derive(Debug, Clone, Args)]
pub struct AgainstArguments {
    /// References that run in turns with Parlor: floor is a bare loop that moves as many octets; answering is one that also
    /// answers each message to its sender, as MSRP does (default: both); redis and nats, if installed
    #[arg(long, value_name = "REFERENCE", value_delimiter = ',', value_enum, conflicts_with = "server")]
    against: Vec<Against>,
}

/// A reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Against {
    /// Bare loop, copied and gathered
    Floor,
    /// Bare loop that also answers senders
    Answering,
    /// Redis pub/sub
    Redis,
    /// NATS core, without JetStream
    Nats,
    /// No reference
    None,
}

/// Arguments of the process that becomes a peer.
#[derive(Debug, Args)]
pub struct PeerArguments {
    /// The peer's program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

const PROTOCOLS: [&Protocol; 2] = [&redis::PROTOCOL, &nats::PROTOCOL];
/// How long a peer may take until it listens, and to answer.
const PATIENCE: Duration = Duration::from_secs(10);

impl AgainstArguments {
    /// Checks that the references support the load. `instead` is a fixed reference, in place of those of `--against`.
    ///
    /// # Errors
    /// Returns what is wrong with the arguments, in words.
    pub fn check(&self, load: &Load, instead: Option<&str>) -> Result<(), String> {
        let peers = self.against.iter().any(|against| matches!(against, Against::Redis | Against::Nats));
        match instead {
            Some(instead) if !self.against.is_empty() => {
                Err(format!("--against is not supported here: it is compared with {instead}"))
            }
            _ if self.against.contains(&Against::None) && self.against.len() > 1 => {
                Err("--against none cannot be combined with other references".into())
            }
            _ if peers && !can_take(load) => Err("redis and nats support one room with receivers only".into()),
            _ => Ok(()),
        }
    }

    /// The names of the requested references; the floors by default.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let requested = if self.against.is_empty() { &[Against::Floor, Against::Answering][..] } else { &self.against };
        requested.iter().filter_map(|against| Some(against.to_possible_value()?.get_name().to_owned())).collect()
    }

    /// Takes out of the subjects the floors that are not wanted, and adds the peers that are, warm and ready. One that is not
    /// installed is left out; the report says so.
    ///
    /// # Errors
    /// Returns an error if an installed peer does not start or does not answer as expected.
    pub fn apply(
        &self,
        subjects: &mut Vec<Box<dyn Subject>>,
        load: &Load,
        cores: Cores,
        watch: &mut dyn Watch,
    ) -> io::Result<()> {
        let names = self.names();
        let wants = |whom: &str| names.iter().any(|name| name == whom);
        subjects.retain(|subject| match subject.name() {
            ANSWERING_FLOOR => wants("answering"),
            name => wants("floor") || !is_floor(name),
        });
        for protocol in PROTOCOLS {
            if wants(protocol.name) && version(protocol.name).is_some() {
                watch.stage(&format!("starting {}", protocol.program));
                subjects.push(Box::new(Peer::start(protocol, load, cores)?));
            }
        }
        Ok(())
    }
}

/// Whether a peer supports a load: one room in which every receiver gets every message.
fn can_take(load: &Load) -> bool {
    load.rooms == 1 && !load.privately && load.receivers > 0
}

/// What an installed peer calls itself: `Redis 7.0.15`. `None`: it is no peer, or not installed.
#[must_use]
pub fn version(name: &str) -> Option<String> {
    let protocol = PROTOCOLS.into_iter().find(|protocol| protocol.name == name)?;
    let output = Command::new(protocol.program).arg("--version").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = said.split_whitespace().find_map(|word| {
        let number = word.trim_start_matches("v=").trim_start_matches('v');
        number.starts_with(|c: char| c.is_ascii_digit()).then(|| number.to_owned())
    });
    let called = if name == "nats" { "NATS" } else { "Redis" };
    Some(number.map_or_else(|| called.to_owned(), |number| format!("{called} {number}")))
}

/// Becomes a peer that the kernel ends with the bench.
///
/// # Errors
/// Returns an error if the program cannot be started.
pub fn exec_peer(arguments: &PeerArguments) -> io::Result<()> {
    end_with_parent()?;
    let (program, rest) = arguments.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    Err(Command::new(program).args(rest).exec())
}

/// A peer with its connections.
struct Peer {
    name: &'static str,
    engine: Engine,
    _process: Process,
}

impl Peer {
    fn start(protocol: &Protocol, load: &Load, cores: Cores) -> io::Result<Self> {
        descriptors::reserve(load.members() * 5)?;
        let port = free_port()?;
        let process = Process::start(protocol.program, &(protocol.arguments)(port), cores)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        process.wait_until_it_listens(address)?;
        let seats = seats(protocol, load, address)?;
        let target = Target::confined_to(process.child.id(), cores.server);
        let mut engine = Engine::new(seats, protocol.frame_len, target)?;
        engine.warm_up(Duration::from_millis(300))?;
        Ok(Self { name: protocol.name, engine, _process: process })
    }
}

impl Subject for Peer {
    fn name(&self) -> &str {
        self.name
    }

    fn run(&mut self, pace: Pace, time: Duration, watch: &mut dyn Watch) -> io::Result<Measured> {
        self.engine.run(pace, time, self.name, watch)
    }
}

/// Receivers first, then the senders.
fn seats(protocol: &Protocol, load: &Load, address: SocketAddr) -> io::Result<Vec<Endpoint>> {
    let others = if protocol.senders_hear { load.senders - 1 } else { 0 };
    let seat = |at: usize| -> io::Result<Endpoint> {
        let sends = at >= load.receivers;
        let stream = Stream::plain(connect(protocol, address, !sends || protocol.senders_hear)?)?;
        if !sends {
            return Ok(Endpoint::receiver(stream, 0..load.senders));
        }
        let hears = if protocol.senders_hear { 0..load.senders } else { 0..0 };
        let template = (protocol.message)(&text(load.size, 0, 0));
        let layout = Layout::learn(&template).ok_or_else(|| io::Error::other("the template has no mark"))?;
        Ok(Endpoint::sender(stream, hears, Script::Raw { template, layout }, load.receivers + others))
    };
    (0..load.receivers + load.senders).map(seat).collect()
}

fn connect(protocol: &Protocol, address: SocketAddr, hears: bool) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (greeting, end) = (protocol.greeting)(hears);
    stream.write_all(&greeting)?;
    let mut answer = Vec::new();
    let mut octet = [0];
    while !answer.ends_with(end) {
        stream.read_exact(&mut octet)?;
        answer.push(octet[0]);
    }
    stream.set_read_timeout(None)?;
    Ok(stream)
}

/// A peer's process, ended with this value or with the bench.
struct Process {
    child: Child,
}

impl Process {
    /// On the server's core; this thread is on the client's after it.
    fn start(program: impl AsRef<OsStr>, arguments: &[String], cores: Cores) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "peer", "--"]).arg(program).args(arguments);
        // As the bench's other servers.
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        pin(cores.server);
        let started = command.spawn();
        pin(cores.client);
        Ok(Self { child: started? })
    }

    fn wait_until_it_listens(&self, address: SocketAddr) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            match TcpStream::connect(address) {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() >= end => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
