//! From bound ports to running shards: a thread for each.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use ::glommio::ExecutorJoinHandle;
use tokio::sync::mpsc;

use super::backend::{BlockingBackend, LISTENERS};
use super::bind::{BoundShard, StartError};
use super::epoll::EpollBackend;
use super::mesh::{self, ShardHandle, ShardPort, ShardWaker};
use super::ring::RingBackend;
use super::settings::{Io, ShardSettings};
use super::shell::Shell;
use super::{glommio, thread};
use crate::facts::Event;
use crate::ids::ShardId;

/// A shard's thread.
#[derive(Debug)]
pub struct ShardThread {
    /// Which shard.
    pub id: ShardId,
    handle: Handle,
}

#[derive(Debug)]
enum Handle {
    Thread(JoinHandle<()>),
    Executor(ExecutorJoinHandle<()>),
}

/// Starts a thread for each shard. `seed` gives 256 random bits at each call.
///
/// # Errors
/// Returns [`StartError::Shell`] if a thread, its ring or its core cannot be had.
pub fn start(
    settings: &ShardSettings,
    bound: Vec<BoundShard>,
    events: &mpsc::Sender<(ShardId, Event)>,
    mut seed: impl FnMut() -> [u8; 32],
) -> Result<Vec<(ShardHandle, ShardThread)>, StartError> {
    let start = |shard: BoundShard| {
        let (id, core) = (shard.id, shard.core);
        let (handle, joined) =
            start_one(settings, shard, events.clone(), seed()).map_err(|why| StartError::Shell(id, core, why))?;
        Ok((handle, ShardThread { id, handle: joined }))
    };
    bound.into_iter().map(start).collect()
}

fn start_one(
    settings: &ShardSettings,
    shard: BoundShard,
    events: mpsc::Sender<(ShardId, Event)>,
    seed: [u8; 32],
) -> Result<(ShardHandle, Handle), String> {
    let (id, port) = (shard.id, shard.port);
    if shard.io == Io::Glommio {
        let (wake, wakes) = async_channel::bounded(1);
        let (handle, port) = mesh::link(id, port, events, Some(mesh::Waker::Task(wake)));
        let joined = glommio::start(settings, shard, port, wakes, seed)?;
        return Ok((handle, Handle::Executor(joined)));
    }
    let waker = ShardWaker::new().map_err(|error| error.to_string())?;
    let (handle, port) = mesh::link(id, port, events, Some(mesh::Waker::Thread(waker.clone())));
    let spin = settings.spin_before_park;
    let joined = match shard.io {
        Io::Epoll => block(settings, shard, port, seed, move |_, listeners| EpollBackend::new(spin, listeners, waker)),
        _ => block(settings, shard, port, seed, |settings, listeners| RingBackend::new(settings, listeners, waker)),
    };
    Ok((handle, Handle::Thread(joined?)))
}

/// Starts a thread with a back end that is made there.
fn block<B: BlockingBackend>(
    settings: &ShardSettings,
    shard: BoundShard,
    port: ShardPort,
    seed: [u8; 32],
    backend: impl FnOnce(&ShardSettings, [Option<OwnedFd>; LISTENERS]) -> std::io::Result<B> + Send + 'static,
) -> Result<JoinHandle<()>, String> {
    let settings = settings.clone();
    thread::spawn(shard.core, move || {
        let listeners = shard.into_listeners().map(|listener| listener.map(OwnedFd::from));
        let backend =
            backend(&settings, listeners).map_err(|error| format!("the I/O back end cannot start: {error}"))?;
        Ok(Shell::new(backend, &settings, port, seed, false))
    })
}

impl ShardThread {
    /// Waits until the shard has ended.
    ///
    /// # Errors
    /// Returns what it ended with, if that was a failure.
    pub fn join(self) -> Result<(), String> {
        match self.handle {
            Handle::Executor(executor) => executor.join().map_err(|error| error.to_string()),
            Handle::Thread(thread) => thread.join().map_err(|panic| reason(&*panic)),
        }
    }
}

/// What a thread has panicked with.
fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the thread panicked").to_owned()
}
