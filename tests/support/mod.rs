//! A server of a test's own, and participants that know nothing of the library: their SIP and MSRP are written and read here.
#![allow(dead_code, reason = "every test file uses its share")]

pub mod chat;
pub mod participant;
pub mod tls;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::thread::JoinHandle;

pub use participant::Participant;

/// What a shard can wait with: nothing that a peer sees may depend on it.
pub const BACK_ENDS: [&str; 3] = ["ring", "glommio", "epoll"];

/// A running `parlor serve`, ended with this value.
pub struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    config: tempfile::NamedTempFile,
    /// What it logs, whole when it has ended.
    log: Option<JoinHandle<String>>,
    /// SIP over TCP.
    pub sip: String,
    /// The first shard's MSRP.
    pub msrp: String,
    /// What it said when it was ready.
    pub ready: String,
}

/// A config on free ports and one core, with more of it.
pub fn config(more: &str) -> String {
    let shards = one_shard();
    format!("[sip]\nlisten = [\"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\"]\n[msrp]\nport = 0\n{shards}{more}")
}

/// The table `[shards]` of a config: one, on the first core that we may use.
pub fn one_shard() -> String {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    format!("[shards]\ncores = \"{}\"\n", cores.first().map_or(0, |core| core.id))
}

/// Starts `parlor serve` with a config, whatever becomes of it.
pub fn spawn(config: &str) -> (Child, tempfile::NamedTempFile) {
    spawn_by(Command::new(env!("CARGO_BIN_EXE_parlor")), config, Stdio::piped())
}

/// What `PARLOR_TEST_IO` says that shards wait with, as a flag; nothing where a config says so itself.
fn io_flag(config: &str) -> Option<String> {
    let named = config.lines().any(|line| line.starts_with("io = "));
    std::env::var("PARLOR_TEST_IO").ok().filter(|_| !named).map(|io| format!("--io={io}"))
}

fn spawn_by(mut parlor: Command, config: &str, stderr: Stdio) -> (Child, tempfile::NamedTempFile) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(config.as_bytes()).unwrap();
    let child = parlor
        .arg("serve")
        .arg("--config")
        .arg(file.path())
        .args(io_flag(config))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .unwrap();
    (child, file)
}

impl Server {
    /// A server with defaults, on free ports.
    pub fn start() -> Self {
        Self::with("")
    }

    /// A server with more config.
    pub fn with(more: &str) -> Self {
        Self::of(&config(more))
    }

    /// A server with a config of its own, which has SIP over TCP.
    pub fn of(config: &str) -> Self {
        Self::logging_to(config, Stdio::piped())
    }

    /// The same, which never has more than so many descriptors.
    pub fn with_descriptors(most: usize, config: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_parlor")]);
        Self::ready(spawn_by(shell, config, Stdio::piped()))
    }

    /// The same with its log somewhere else than here.
    pub fn logging_to(config: &str, stderr: Stdio) -> Self {
        Self::ready(spawn_by(Command::new(env!("CARGO_BIN_EXE_parlor")), config, stderr))
    }

    fn ready((mut child, config): (Child, tempfile::NamedTempFile)) -> Self {
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        stdout.read_line(&mut ready).unwrap();
        if ready.is_empty() {
            let mut why = String::new();
            if let Some(mut stderr) = child.stderr.take() {
                stderr.read_to_string(&mut why).unwrap();
            }
            panic!("the server did not start: {why}");
        }
        // What it logs is read so that it never waits for us.
        let log = child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut log = Vec::new();
                let _ = stderr.read_to_end(&mut log);
                String::from_utf8_lossy(&log).into_owned()
            })
        });
        let address = |scheme: &str| address_in(&ready, scheme);
        Self { sip: address("tcp:"), msrp: address("msrp:"), child, stdout, config, log, ready }
    }

    /// Where it listens: `tls:`, `msrps:`.
    pub fn address(&self, scheme: &str) -> String {
        address_in(&self.ready, scheme)
    }

    /// Joins a room.
    pub fn join(&self, name: &str, room: &str) -> Participant {
        Participant::join(self, name, room)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    /// Another free port, below those that the kernel gives away by itself, where another process might get it before
    /// it is used, and another one at each call.
    pub fn free_port() -> u16 {
        static CALLS: AtomicU16 = AtomicU16::new(0);
        let first = std::process::id().wrapping_mul(101) as u16;
        let mut ports = std::iter::repeat_with(|| 10_000 + first.wrapping_add(CALLS.fetch_add(1, Relaxed)) % 20_000);
        ports.find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
    }

    /// Where its config is.
    pub fn config_path(&self) -> &std::path::Path {
        self.config.path()
    }

    /// Replaces the config file.
    pub fn rewrite_config(&mut self, more: &str) {
        std::fs::write(self.config.path(), config(more)).unwrap();
    }

    /// Waits until it has ended.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Ends it; answers what it has logged.
    pub fn log(self) -> String {
        self.signal("TERM");
        self.log_at_end()
    }

    /// Waits until it has ended; answers what it has logged.
    pub fn log_at_end(mut self) -> String {
        self.child.wait().unwrap();
        self.log.take().unwrap().join().unwrap()
    }

    /// Waits until it has ended by itself; answers how, and what it has logged.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, self.log.take().unwrap().join().unwrap())
    }

    /// Whether it runs.
    pub fn is_up(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The number of its descriptors that are open.
    pub fn descriptors(&self) -> u64 {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count() as u64
    }

    /// Lets it have so many descriptors.
    pub fn limit_descriptors(&self, most: u64) {
        use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
        let limit = Rlimit { current: Some(most), maximum: getrlimit(Resource::Nofile).maximum };
        prlimit(Pid::from_raw(self.child.id().cast_signed()), Resource::Nofile, limit).unwrap();
    }

    /// Its soft limit of descriptors, and its hard one.
    pub fn descriptor_limits(&self) -> (String, String) {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.child.id())).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let mut words = line.split_whitespace().map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    }

    /// Kibibytes of a field of `/proc/PID/status`: `VmRSS`, or `VmHWM` for the most there ever was.
    pub fn memory_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    }
}

fn address_in(ready: &str, scheme: &str) -> String {
    let word = ready.split_whitespace().find_map(|word| word.strip_prefix(scheme));
    word.unwrap_or_else(|| panic!("no {scheme} in {ready}")).to_owned()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
