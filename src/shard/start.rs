//! From settings to running shards: a port for each, then a thread for each.

use ::glommio::ExecutorJoinHandle;
use socket2::Socket;
use tokio::sync::mpsc;

use super::mesh::{self, ShardHandle};
use super::settings::ShardSettings;
use super::{glommio, socket};
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
    pub(super) listener: Socket,
}

/// A shard's thread.
#[derive(Debug)]
pub struct ShardThread {
    /// Which shard.
    pub id: ShardId,
    handle: ExecutorJoinHandle<()>,
}

/// Why the shards cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The kernel has no io_uring, or refuses it.
    #[error("io_uring is not available ({0}): it needs a kernel from 5.8 on, and kernel.io_uring_disabled = 0")]
    NoRing(std::io::Error),
    /// A port cannot be bound.
    #[error("cannot listen for MSRP on {0}: {1}; choose another [msrp] port or listen address, or end what has it")]
    Listen(std::net::SocketAddr, std::io::Error),
    /// There are not enough ports above the first.
    #[error("[msrp] port {0} leaves no room for {1} shards, each of which takes one port")]
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
    socket::probe_ring().map_err(StartError::NoRing)?;
    let mut bound = Vec::with_capacity(settings.cores.len());
    for (index, core) in settings.cores.iter().enumerate() {
        let too_many = StartError::Ports(settings.port, settings.cores.len());
        let Ok(offset) = u16::try_from(index) else { return Err(too_many) };
        let port = match settings.port {
            0 => 0,
            first => first.checked_add(offset).ok_or(too_many)?,
        };
        let address = (settings.listen, port).into();
        let failed = |error| StartError::Listen(address, error);
        let listener = socket::listen(address).map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        let port = local.as_socket().map_or(port, |local| local.port());
        bound.push(BoundShard { id: ShardId(offset), core: *core, port, listener });
    }
    Ok(bound)
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
        let (handle, port) = mesh::link(shard.id, shard.port, events.clone());
        let (id, core) = (shard.id, shard.core);
        let joined = glommio::start(settings, shard, port, seed()).map_err(|why| StartError::Shell(id, core, why))?;
        Ok((handle, ShardThread { id, handle: joined }))
    };
    bound.into_iter().map(start).collect()
}

impl ShardThread {
    /// Waits until the shard has ended.
    ///
    /// # Errors
    /// What it ended with, if that was a failure.
    pub fn join(self) -> Result<(), String> {
        self.handle.join().map_err(|error| error.to_string())
    }
}
