//! The servers that a bench starts for itself, each on the cores that are measured. None outlives the bench, however that ends.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::arguments::RunArguments;
use crate::client::sip::Transport;
use crate::machine::cores::{self, Cores, pin};
use crate::machine::cpu::Target;
use crate::subject::certificate::Certificate;

/// A process of ours, ended with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    cores: Vec<usize>,
    /// Held open: a server that cannot print would end.
    stdout: BufReader<ChildStdout>,
}

/// Where a server takes calls.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// SIP over TCP.
    pub tcp: SocketAddr,
    /// SIP over UDP.
    pub udp: SocketAddr,
    /// SIP over TLS, where it is taken.
    pub tls: Option<SocketAddr>,
}

impl Addresses {
    /// One place for everything.
    fn at(address: SocketAddr) -> Self {
        Self { tcp: address, udp: address, tls: Some(address) }
    }
}

/// A server to put load on: the bench's own, or one that runs already.
#[derive(Debug)]
pub struct ServerUnderTest {
    /// Where it takes calls.
    pub addresses: Addresses,
    /// The bench's own.
    pub own: Option<Server>,
}

impl ServerUnderTest {
    /// The server that the arguments ask for. To be called before this thread is bound to a core, which the server would
    /// inherit. `more` is added to its config.
    ///
    /// # Errors
    /// Returns an error if the server does not start.
    pub fn start(run: &RunArguments, shards: usize, more: &str) -> io::Result<Self> {
        if let Some(address) = run.server {
            return Ok(Self { addresses: Addresses::at(address), own: None });
        }
        let (server, addresses) = Server::parlor(&server_cores(shards)?, &run.serve, "", more)?;
        Ok(Self { addresses, own: Some(server) })
    }

    /// The same for SIP over some transport.
    ///
    /// # Errors
    /// Returns an error if the server does not start.
    pub fn start_over(transport: Transport, run: &RunArguments, shards: usize) -> io::Result<Self> {
        if transport != Transport::Tls || run.server.is_some() {
            return Self::start(run, shards, "");
        }
        let certificate = Certificate::new()?;
        let listen = ", \"tls:127.0.0.1:0\"";
        let (server, addresses) = Server::parlor(&server_cores(shards)?, &run.serve, listen, &certificate.config()?)?;
        Ok(Self { addresses, own: Some(server) })
    }

    /// Whose processor time is taken.
    #[must_use]
    pub fn target(&self) -> Target {
        self.own.as_ref().map_or_else(Target::default, Server::target)
    }

    /// The process, where it is the bench's own.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.own.as_ref().map(Server::pid)
    }
}

/// The first cores that this process may use, one for each shard.
fn server_cores(shards: usize) -> io::Result<Vec<usize>> {
    let allowed = cores::allowed();
    let there = allowed.len();
    let cores: Vec<usize> = allowed.into_iter().take(shards.max(1)).collect();
    if cores.len() < shards {
        return Err(io::Error::other(format!("{shards} shards need as many cores, and there are {there}")));
    }
    Ok(cores)
}

impl Server {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whose processor time is taken.
    #[must_use]
    pub fn target(&self) -> Target {
        Target::of(self.pid(), &self.cores)
    }

    fn parlor(cores: &[usize], flags: &[String], listen: &str, more: &str) -> io::Result<(Self, Addresses)> {
        let config = format!(
            "[sip]\nlisten = [\"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\"{listen}]\n[log]\nlevel = \"error\"\n\
             [msrp]\nport = 0\n{more}"
        );
        let list = cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut arguments: Vec<&str> = vec!["serve", "--config", "/dev/stdin", "--end-with-parent", "--cores", &list];
        arguments.extend(flags.iter().map(String::as_str));
        let (server, line) = Self::start(&arguments, &config, cores.to_vec())?;
        let address = |scheme: &str| -> io::Result<SocketAddr> {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(scheme));
            word.and_then(|address| address.parse().ok())
                .ok_or_else(|| io::Error::other(format!("the server did not say where it listens: {line}")))
        };
        let addresses = Addresses { tcp: address("tcp:")?, udp: address("udp:")?, tls: address("tls:").ok() };
        Ok((server, addresses))
    }

    /// Starts the floor on the server's core and waits until it listens. This thread is bound to the client's core after it.
    ///
    /// # Errors
    /// Returns an error if the server does not start.
    pub fn floor(cores: Cores, arguments: &[String]) -> io::Result<(Self, SocketAddr)> {
        let mut all = vec!["bench", "floor"];
        all.extend(arguments.iter().map(String::as_str));
        // A process starts on the cores of the thread that starts it.
        pin(cores.server);
        let started = Self::start(&all, "", vec![cores.server]);
        pin(cores.client);
        let (server, line) = started?;
        let port: u16 = line.trim().parse().map_err(|_| io::Error::other(format!("the floor said: {line}")))?;
        Ok((server, ([127, 0, 0, 1], port).into()))
    }

    /// Starts this same program with something on its standard input, and reads its first line.
    fn start(arguments: &[&str], input: &str, cores: Vec<usize>) -> io::Result<(Self, String)> {
        let mut command = Command::new(std::env::current_exe()?);
        // A group of its own: what a terminal's Ctrl-C interrupts is the bench, which has yet to ask its servers.
        command.process_group(0);
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let mut server = Self { child, cores, stdout: BufReader::new(stdout) };
        let mut line = String::new();
        server.stdout.read_line(&mut line)?;
        if line.is_empty() {
            return Err(io::Error::other("the server ended before it was ready"));
        }
        Ok((server, line))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has the kernel end this process with the thread that started it.
///
/// # Errors
/// Returns an error if the system call fails.
pub fn end_with_parent() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}
