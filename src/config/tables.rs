//! The tables of the config and their defaults.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::call::Secret;
use crate::facts::RoomPolicy;
use crate::focus::{ConnectOut, Network};
use crate::shard::Io;

/// The largest value of `spin_before_park`.
pub const SPIN_MAX: Duration = Duration::from_secs(1);
/// The largest value of `copy_below`, in octets: what a connection reads at once.
pub const COPY_BELOW_BYTES_MAX: u64 = 64 * 1024;

/// The whole config.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// `[sip]`
    pub sip: SipConfig,
    /// `[msrp]`
    pub msrp: MsrpConfig,
    /// `[tls]`
    pub tls: Option<TlsConfig>,
    /// `[shards]`
    pub shards: ShardsConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[rooms]`
    pub rooms: RoomsConfig,
}

/// `[sip]`: SIP listeners, domains and calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipConfig {
    /// The addresses to listen on. Port 0 is any free port.
    pub listen: Vec<SipListen>,
    /// The hosts of room URIs, as written in the file.
    pub domains: Vec<String>,
    /// The networks whose P-Asserted-Identity is trusted (RFC 3325).
    pub trusted_peers: Vec<Network>,
    /// `[sip.auth]`; `None`: no authentication.
    pub auth: Option<AuthConfig>,
    /// The SIP URI of the proxy for calls from the server; `None`: they go to the host of the callee.
    pub outbound_proxy: Option<String>,
    /// New calls per second; 0: no limit.
    pub max_calls_per_second: u32,
    /// The session interval (RFC 4028); zero: no session timer.
    pub session_expires: Duration,
    /// The longest duration of a drain.
    pub drain_timeout: Duration,
}

/// One SIP listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SipListen {
    /// The transport.
    pub transport: SipTransport,
    /// The address and port.
    pub address: SocketAddr,
}

/// A transport of SIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SipTransport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

/// `[msrp]`: MSRP listeners and connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MsrpConfig {
    /// The address that all shards listen on.
    pub listen: IpAddr,
    /// Shard i listens on this port + i. 0: any free port for each.
    pub port: u16,
    /// The same for MSRP over TLS. 0: off.
    pub tls_port: u16,
    /// The addresses that shards connect to for passive clients (RFC 4145).
    pub connect_out: ConnectOut,
    /// The host in `a=path`; `None`: `listen`.
    pub advertise: Option<String>,
    /// How long a connection may be without a session.
    pub bind_timeout: Duration,
    /// Octets that wait for one connection.
    pub outbox_max: usize,
}

/// `[shards]`: the threads that run rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardsConfig {
    /// Their cores.
    pub cores: Cores,
    /// The I/O back end.
    pub io: Io,
    /// How long an idle shard polls before it sleeps.
    pub spin_before_park: Duration,
    /// Entries of a shard's rings.
    pub ring_depth: usize,
    /// Connections in one submission of the send ring.
    pub send_batch: usize,
    /// Pieces of less than this many octets are copied into the send buffer, larger ones gathered.
    pub copy_below: usize,
}

/// The cores with a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cores {
    /// All cores that the process may run on.
    All,
    /// A list, in ascending order.
    List(Vec<usize>),
}

/// `[log]`: the log on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// The lowest level that is logged.
    pub level: LogLevel,
    /// The format of a line.
    pub format: LogFormat,
}

/// A log level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is unexpected or near a limit.
    Warn,
    /// Events of normal operation.
    Info,
    /// Every call and every session.
    Debug,
    /// Every transaction.
    Trace,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text.
    Text,
    /// A JSON object on each line.
    Json,
}

/// `[rooms]`: the rooms and their policies.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomsConfig {
    /// Whether a call to an unknown room creates it; otherwise only named rooms exist.
    pub on_demand: bool,
    /// The most rooms at a time.
    pub max_rooms: usize,
    /// The policy of rooms without a table.
    pub defaults: RoomPolicy,
    /// The rooms by name, with defaults filled in.
    pub named: BTreeMap<String, RoomPolicy>,
}

/// `[sip.auth]`: authentication of users. Of passwords only digests are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// The realm, which clients show to their users.
    pub realm: String,
    /// A file with more users.
    pub users_file: Option<PathBuf>,
    /// The position of its name in the config.
    pub users_file_span: Option<Range<usize>>,
    /// The digests by user name.
    pub users: BTreeMap<String, Secret>,
}

/// `[tls]`: the server's certificate. Paths are relative to the config file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// The certificate chain (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM).
    pub private_key: PathBuf,
    /// Trusted authorities beside the system's, for outgoing connections (PEM).
    pub authorities: Option<PathBuf>,
}

impl Default for SipConfig {
    fn default() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 5060));
        let listen = [SipTransport::Udp, SipTransport::Tcp].map(|transport| SipListen { transport, address });
        Self {
            listen: listen.into(),
            domains: vec!["localhost".into(), "127.0.0.1".into()],
            trusted_peers: Vec::new(),
            auth: None,
            outbound_proxy: None,
            max_calls_per_second: 0,
            session_expires: Duration::from_secs(30 * 60),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl Default for MsrpConfig {
    fn default() -> Self {
        Self {
            listen: Ipv4Addr::LOCALHOST.into(),
            port: 2855,
            tls_port: 0,
            connect_out: ConnectOut::default(),
            advertise: None,
            bind_timeout: Duration::from_secs(30),
            outbox_max: 256 * 1024,
        }
    }
}

impl MsrpConfig {
    /// The host in `a=path`: a name, an IPv4 address, or an IPv6 address in brackets.
    #[must_use]
    pub fn path_host(&self) -> String {
        match (&self.advertise, self.listen) {
            (Some(host), _) => host.clone(),
            (None, IpAddr::V4(address)) => address.to_string(),
            (None, IpAddr::V6(address)) => format!("[{address}]"),
        }
    }
}

impl Default for ShardsConfig {
    fn default() -> Self {
        Self {
            cores: Cores::All,
            io: Io::default(),
            spin_before_park: Duration::ZERO,
            ring_depth: 128,
            send_batch: 64,
            copy_below: 1024,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: LogLevel::Info, format: LogFormat::Text }
    }
}

impl LogLevel {
    /// The name of the level in the config.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Default for RoomsConfig {
    fn default() -> Self {
        Self { on_demand: true, max_rooms: 100_000, defaults: RoomPolicy::default(), named: BTreeMap::new() }
    }
}

impl Config {
    /// Whether any address uses TLS.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        self.msrp.tls_port != 0 || self.sip.listen.iter().any(|listen| listen.transport == SipTransport::Tls)
    }
}
