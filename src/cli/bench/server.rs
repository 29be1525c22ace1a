//! The servers that a bench starts for itself, each pinned to the core that is measured.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::Cores;

/// A process of ours, ended with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Held open: a server that cannot print would end.
    stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts `parlor serve` on a core, with ports of its own, and waits until it is ready. `flags` go to `serve`. To be
    /// called before this thread is bound to a core, which the server would inherit.
    ///
    /// # Errors
    /// Where it does not start, or says something else than that it is ready.
    pub fn parlor(core: usize, flags: &[String]) -> io::Result<(Self, SocketAddr)> {
        let config = "[sip]\nlisten = [\"tcp:127.0.0.1:0\"]\n[msrp]\nport = 0\n[log]\nlevel = \"error\"\n";
        let core = core.to_string();
        let mut arguments: Vec<&str> = vec!["serve", "--config", "/dev/stdin", "--cores", &core];
        arguments.extend(flags.iter().map(String::as_str));
        let (server, line) = Self::start(&arguments, config)?;
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("tcp:"));
        let address = address.and_then(|address| address.trim_end_matches(',').parse().ok());
        let address =
            address.ok_or_else(|| io::Error::other(format!("the server did not say where it listens: {line}")))?;
        Ok((server, address))
    }

    /// Starts the floor on the server's core and waits until it listens. This thread is bound to the client's core after it.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn floor(
        cores: Cores,
        receivers: usize,
        senders: usize,
        len: usize,
        gathered: bool,
    ) -> io::Result<(Self, SocketAddr)> {
        let [receivers, senders, len] = [receivers, senders, len].map(|number| number.to_string());
        let mut arguments = vec!["bench", "floor", "--receivers", &receivers, "--senders", &senders, "--len", &len];
        if gathered {
            arguments.push("--gathered");
        }
        // A process starts on the cores of the thread that starts it.
        let here = core_affinity::CoreId { id: cores.client };
        core_affinity::set_for_current(core_affinity::CoreId { id: cores.server });
        let started = Self::start(&arguments, "");
        core_affinity::set_for_current(here);
        let (server, line) = started?;
        let port: u16 = line.trim().parse().map_err(|_| io::Error::other(format!("the floor said: {line}")))?;
        Ok((server, ([127, 0, 0, 1], port).into()))
    }

    /// Starts this same program with something on its standard input, and reads its first line.
    fn start(arguments: &[&str], input: &str) -> io::Result<(Self, String)> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let mut server = Self { child, stdout: BufReader::new(stdout) };
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
