//! From settings to running shards: a port for each, then a thread for each.

use std::any::Any;
use std::thread::JoinHandle;
use std::time::Instant;

use ::glommio::ExecutorJoinHandle;
use socket2::Socket;
use tokio::sync::mpsc;
use tracing::warn;

use super::mesh::{self, ShardHandle, Wake};
use super::port::{TAKEN_PORT_TIMEOUT, bind_until};
use super::settings::{Io, ShardSettings};
use super::{glommio, ring, socket};
use crate::facts::Event;
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
    /// What will carry it.
    pub io: Io,
    pub(super) listener: Socket,
    pub(super) tls_listener: Option<Socket>,
}

/// A shard's thread.
#[derive(Debug)]
pub struct ShardThread {
    /// Which shard.
    pub id: ShardId,
    handle: Handle,
}

#[derive(Debug)]
enum Handle {
    Ring(JoinHandle<()>),
    Glommio(ExecutorJoinHandle<()>),
}

/// Why the shards cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel has no io_uring, or refuses it.
    #[error("io_uring is not available ({0}); `parlor check` says what is in its way")]
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
/// See [`StartError`].
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

/// What is asked for, if this machine has what it needs; glommio needs less.
fn choose(io: Io) -> Result<Io, StartError> {
    if io == Io::Ring {
        let Err(error) = ring::probe() else { return Ok(io) };
        warn!(%error, "no loop on a ring here, `parlor check` says why; glommio carries the shards");
    }
    socket::probe_ring().map_err(StartError::NoRing)?;
    Ok(Io::Glommio)
}

/// Starts a thread for each shard. `seed` gives 256 random bits at each call.
///
/// # Errors
/// [`StartError::Shell`]
pub fn start(
    settings: &ShardSettings,
    bound: Vec<BoundShard>,
    events: &mpsc::Sender<(ShardId, Event)>,
    mut seed: impl FnMut() -> [u8; 32],
) -> Result<Vec<(ShardHandle, ShardThread)>, StartError> {
    let start = |shard: BoundShard| {
        let (id, core) = (shard.id, shard.core);
        let failed = |why| StartError::Shell(id, core, why);
        let wake = match shard.io {
            Io::Ring => Some(Wake::new().map_err(|error| failed(error.to_string()))?),
            Io::Glommio => None,
        };
        let (handle, port) = mesh::link(id, shard.port, events.clone(), wake.clone());
        let joined = match wake {
            Some(wake) => ring::start(settings, shard, port, wake, seed()).map(Handle::Ring),
            None => glommio::start(settings, shard, port, seed()).map(Handle::Glommio),
        };
        Ok((handle, ShardThread { id, handle: joined.map_err(failed)? }))
    };
    bound.into_iter().map(start).collect()
}

impl ShardThread {
    /// Waits until the shard has ended.
    ///
    /// # Errors
    /// What it ended with, if that was a failure.
    pub fn join(self) -> Result<(), String> {
        match self.handle {
            Handle::Glommio(executor) => executor.join().map_err(|error| error.to_string()),
            Handle::Ring(thread) => thread.join().map_err(|panic| reason(&*panic)),
        }
    }
}

/// What a thread has panicked with.
fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it panicked").to_owned()
}
