//! What an operator sets about the shards.

use std::net::IpAddr;
use std::time::Duration;

use crate::tls::TlsSetup;

/// Commands that one turn carries out.
pub const COMMANDS_PER_TURN_MAX: usize = 64;
/// How long to wait after a connection could not be accepted, for want of descriptors mostly.
pub const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// How long making a connection may take.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last ciphertext of a connection may take to leave before the connection is closed without it.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// How a shard waits for its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Io {
    /// In a ring of io_uring, or by epoll where that is refused.
    #[default]
    Ring,
    /// On glommio's executor, which needs io_uring.
    Glommio,
    /// By epoll.
    Epoll,
}

/// The settings of `[msrp]` and `[shards]` that a shard's shell follows.
#[derive(Debug, Clone)]
pub struct ShardSettings {
    /// The cores that get a shard each, by number.
    pub cores: Vec<usize>,
    /// How the shards wait.
    pub io: Io,
    /// The address that every shard listens on.
    pub listen: IpAddr,
    /// The first shard's port; shard i has this one + i. 0 is any free one for each.
    pub port: u16,
    /// The same for MSRP over TLS; 0: there is none.
    pub tls_port: u16,
    /// What TLS needs; without it there is none.
    pub tls: Option<TlsSetup>,
    /// How long a connection or a session may stay without the other.
    pub bind_timeout: Duration,
    /// Octets of messages that may wait on one connection.
    pub outbox_max: usize,
    /// How long an executor without work polls before it sleeps.
    pub spin_before_park: Duration,
    /// Entries of the executor's own rings.
    pub ring_depth: usize,
    /// Connections in one submission of the send ring.
    pub send_batch: usize,
    /// Pieces below this many octets are copied into the send buffer, larger ones are gathered from where they are.
    pub copy_below: usize,
}

impl Default for ShardSettings {
    fn default() -> Self {
        Self {
            cores: vec![0],
            io: Io::default(),
            listen: IpAddr::from([127, 0, 0, 1]),
            port: 2855,
            tls_port: 0,
            tls: None,
            bind_timeout: Duration::from_secs(30),
            outbox_max: 256 * 1024,
            spin_before_park: Duration::ZERO,
            ring_depth: 128,
            send_batch: 64,
            copy_below: 1024,
        }
    }
}
