//! A port for each shard, before anything runs.

use std::time::Instant;

use socket2::Socket;
use tracing::warn;

use super::backend::LISTENERS;
use super::port::{TAKEN_PORT_TIMEOUT, bind_until};
use super::settings::{Io, ShardSettings};
use super::{ring, socket};
use crate::ids::ShardId;

/// A shard that has its port and no thread yet.
#[derive(Debug)]
pub struct BoundShard {
    /// Which one.
    pub id: ShardId,
    /// The core that it will be pinned to.
    pub core: usize,
    /// Its port.
    pub port: u16,
    /// Its port for TLS, if there is one.
    pub tls_port: Option<u16>,
    /// The back end that it will wait with.
    pub io: Io,
    listener: Socket,
    tls_listener: Option<Socket>,
}

impl BoundShard {
    /// Its listeners: without TLS, and with it.
    pub fn listeners(&self) -> impl Iterator<Item = &Socket> {
        [Some(&self.listener), self.tls_listener.as_ref()].into_iter().flatten()
    }

    /// The same, for whoever accepts from them.
    pub fn into_listeners(self) -> [Option<Socket>; LISTENERS] {
        [Some(self.listener), self.tls_listener]
    }
}

/// Why the shards cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel has no io_uring, or refuses it, and nothing else was asked for.
    #[error("glommio needs io_uring, which is refused ({0}): `parlor check` says why; --io epoll does without")]
    NoRing(std::io::Error),
    /// A port cannot be bound.
    #[error(
        "cannot listen for MSRP on {0}: {1}; choose another [msrp] port, tls_port or listen address, or end what has it"
    )]
    Listen(std::net::SocketAddr, std::io::Error),
    /// There are not enough ports above the first.
    #[error("[msrp] port or tls_port {0} leaves no room for {1} shards, each of which takes one port")]
    Ports(u16, usize),
    /// A shard's thread cannot be made.
    #[error("shard {0} cannot start on core {1}: {2}; `parlor check` looks for the reason")]
    Shell(ShardId, usize, String),
}

/// Binds a port for each shard, so that one that is taken is found before anything runs.
///
/// # Errors
/// Returns [`StartError::NoRing`] if glommio was asked for and io_uring is refused, [`StartError::Listen`] if a port cannot be
/// bound, and [`StartError::Ports`] if there are too few ports above the first.
pub fn bind(settings: &ShardSettings) -> Result<Vec<BoundShard>, StartError> {
    let io = choose(settings.io)?;
    let mut bound = Vec::with_capacity(settings.cores.len());
    for (index, core) in settings.cores.iter().enumerate() {
        let (port, listener) = bind_one(settings, settings.port, index)?;
        let with_tls = settings.tls.is_some() && settings.tls_port != 0;
        let tls = with_tls.then(|| bind_one(settings, settings.tls_port, index)).transpose()?;
        let (tls_port, tls_listener) = tls.unzip();
        let id = ShardId(u16::try_from(index).unwrap_or(u16::MAX));
        bound.push(BoundShard { id, core: *core, port, tls_port, io, listener, tls_listener });
    }
    Ok(bound)
}

/// Binds the port of a shard: the first one plus its number.
fn bind_one(settings: &ShardSettings, first: u16, index: usize) -> Result<(u16, Socket), StartError> {
    let too_many = || StartError::Ports(first, settings.cores.len());
    let offset = u16::try_from(index).map_err(|_| too_many())?;
    let port = if first == 0 { 0 } else { first.checked_add(offset).ok_or_else(too_many)? };
    let address = (settings.listen, port).into();
    let failed = |error| StartError::Listen(address, error);
    let until = Instant::now() + TAKEN_PORT_TIMEOUT;
    let listener = bind_until(until, || socket::listen(address)).map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((local.as_socket().map_or(port, |local| local.port()), listener))
}

/// The back end that was asked for, or epoll where the default is refused.
fn choose(io: Io) -> Result<Io, StartError> {
    match io {
        Io::Ring => {
            let Err(error) = ring::probe() else { return Ok(Io::Ring) };
            warn!(%error, "io_uring cannot be used: the shards use epoll, at more CPU time for each message; see `parlor check`");
            Ok(Io::Epoll)
        }
        Io::Glommio => socket::probe_ring().map(|()| Io::Glommio).map_err(StartError::NoRing),
        Io::Epoll => Ok(Io::Epoll),
    }
}
