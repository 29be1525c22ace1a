//! The config file: TOML in, settings out, and errors that point at the place and say what would be right.
//!
//! Every key has a default, so an empty file is a config. Keys that nobody knows are errors, and so are keys of later versions:
//! a setting that does nothing would be a lie.

mod auth;
mod changes;
mod error;
mod reference;
mod rooms;
mod section;
mod server;
mod settings;
mod tls;
mod values;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::facts::RoomPolicy;
use crate::focus::{ConnectOut, Network};
use crate::shard::Io;
use section::Section;

pub use auth::AuthConfig;
pub use error::{ConfigError, ConfigErrors};
pub use reference::REFERENCE;
use tls::Places;
pub use tls::TlsConfig;
pub use values::{parse_cores, parse_duration, parse_sip_listen, parse_size};

/// The longest `spin_before_park`.
pub const SPIN_MAX: Duration = Duration::from_secs(1);
/// The most for `copy_below`, in octets: what one turn of a connection reads.
pub const COPY_BELOW_BYTES_MAX: u64 = 64 * 1024;

/// Everything an operator decides.
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

/// `[sip]`: who may call, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipConfig {
    /// Where SIP is listened for. Port 0 is any free one.
    pub listen: Vec<SipListen>,
    /// Hosts whose users are rooms here, as they were written.
    pub domains: Vec<String>,
    /// Peers whose P-Asserted-Identity is believed.
    pub trusted_peers: Vec<Network>,
    /// `[sip.auth]`; without it nobody is challenged.
    pub auth: Option<AuthConfig>,
    /// The SIP URI of the proxy that calls of ours go to; without it they go to the host of who is called.
    pub outbound_proxy: Option<String>,
    /// New calls in a second; 0 is no limit.
    pub max_calls_per_second: u32,
    /// How long a session may last without a refresh; zero: for ever.
    pub session_expires: Duration,
    /// How long a drain may take.
    pub drain_timeout: Duration,
}

/// One SIP listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SipListen {
    /// Over what.
    pub transport: SipTransport,
    /// Where.
    pub address: SocketAddr,
}

/// What SIP travels over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SipTransport {
    /// Datagrams.
    Udp,
    /// Streams.
    Tcp,
    /// Streams over TLS.
    Tls,
}

/// `[msrp]`: where messages travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MsrpConfig {
    /// The address that every shard listens on.
    pub listen: IpAddr,
    /// Shard i listens on this port + i. 0 is any free one for each.
    pub port: u16,
    /// The same for MSRP over TLS. 0: there is none.
    pub tls_port: u16,
    /// Whom shards connect to for clients that only listen.
    pub connect_out: ConnectOut,
    /// The host written in `a=path`, where it is not `listen`.
    pub advertise: Option<String>,
    /// How long a connection may bind no session.
    pub bind_timeout: Duration,
    /// Octets that may wait for one connection.
    pub outbox_max: usize,
}

/// `[shards]`: the cores that carry rooms, and how they work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardsConfig {
    /// Which cores.
    pub cores: Cores,
    /// What carries the shards.
    pub io: Io,
    /// How long a shard without work polls before it sleeps.
    pub spin_before_park: Duration,
    /// Entries that a shard's rings take at once.
    pub ring_depth: usize,
    /// Connections in one submission of the send ring.
    pub send_batch: usize,
    /// Pieces of less than this many octets are copied into the send buffer, larger ones gathered.
    pub copy_below: usize,
}

/// Which cores get a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cores {
    /// Every core that the process may run on.
    All,
    /// These, in rising order.
    These(Vec<usize>),
}

/// `[log]`: what goes to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// The least important level that is shown.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

/// How important a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Something is broken.
    Error,
    /// Something is odd.
    Warn,
    /// What an operator wants to know of a healthy server.
    Info,
    /// Every call and every session.
    Debug,
    /// Every transaction.
    Trace,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For eyes.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[rooms]`: which rooms there are, and their policies.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomsConfig {
    /// Whether a call to a room that is not there makes it; else only named rooms exist.
    pub on_demand: bool,
    /// Rooms at a time.
    pub max_rooms: usize,
    /// What holds for every room that is not named.
    pub defaults: RoomPolicy,
    /// Rooms by name, defaults already filled in.
    pub named: BTreeMap<String, RoomPolicy>,
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
    /// The host for `a=path`: a name, an IPv4 address, or an IPv6 address in brackets.
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
    /// The level's name, as the config writes it.
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
    /// Reads a config file, and the users file that it names.
    ///
    /// # Errors
    /// Everything that is wrong with it, or that it cannot be read.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let name = path.display().to_string();
        let octets = std::fs::read(path).map_err(|error| ConfigErrors::unreadable(&name, &error))?;
        let text = String::from_utf8(octets).map_err(|error| ConfigErrors::not_utf8(&name, &error))?;
        let mut config = Self::parse(&name, &text)?;
        if let Some(auth) = &mut config.sip.auth {
            auth.read_users_file(path, &text)?;
        }
        if let (Some(tls), Some(folder)) = (&mut config.tls, path.parent()) {
            tls.relative_to(folder);
        }
        Ok(config)
    }

    /// Reads a config, but no file that it names. `name` stands in the errors.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigErrors> {
        let mut errors = Vec::new();
        let mut config = Self::default();
        if let Some(root) = Section::root(text, &mut errors) {
            config.read(root);
        }
        if errors.is_empty() { Ok(config) } else { Err(ConfigErrors::new(name, text, errors)) }
    }

    fn read(&mut self, mut root: Section<'_, '_>) {
        let places = Places::of(&root);
        root.table("sip", |section| self.sip.read(section));
        root.table("msrp", |section| self.msrp.read(section));
        root.table("tls", |section| self.tls = Some(TlsConfig::read(section)));
        root.table("shards", |section| self.shards.read(section));
        root.table("log", |section| self.log.read(section));
        root.table("rooms", |section| self.rooms.read(section));
        root.later_version(&["http"]);
        self.check_tls(&mut root, &places);
        let everywhere = self.sip.listen.iter().any(|listen| listen.address.ip().is_unspecified());
        if everywhere && self.msrp.advertise.is_none() && self.msrp.listen.is_loopback() {
            let help = "set msrp.advertise to the host or address that clients are to reach, and msrp.listen";
            root.refuse("SIP is listened for on every address, but messages on loopback only", help, places.listen);
        }
        root.finish();
    }
}
