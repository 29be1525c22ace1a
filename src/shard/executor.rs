//! A shard's thread: pinned to its core, with an executor of its own.
//!
//! glommio is used as an event loop. With its preempt timer set to an hour one state cannot arise in which its executor parks
//! with runnable tasks for good. The price is a rule that every task here keeps: **no task stays runnable**. Each turn is poll,
//! run what is ready, flush, poll again. Nobody loops on a yield; who has more to do awaits a timer of no length.

use std::rc::Rc;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use futures_lite::future::or;
use glommio::timer::Timer;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};
use socket2::Socket;
use tokio::sync::mpsc;
use tracing::debug;

use super::mesh::{self, ShardHandle, ShardPort};
use super::settings::ShardSettings;
use super::shell::Shell;
use super::socket::{self, Batch};
use crate::facts::Event;
use crate::ids::ShardId;
use crate::switch::{Settings, Switch};

/// See above.
const PREEMPT_TIMER: Duration = Duration::from_secs(3600);
/// How long a shard sleeps at the most. Once in many thousand starts under heavy contention a wake from another thread was
/// seen to be lost in the executor, which then slept on beside a command; what wakes it for certain is a timer. So a lost wake
/// costs this much and no more. An idle shard pays for it with four wakes a second.
const SLEEP_MAX: Duration = Duration::from_millis(250);
/// Commands that one turn carries out.
const COMMANDS_PER_TURN_MAX: usize = 64;

/// A shard that has its port and no thread yet.
#[derive(Debug)]
pub struct BoundShard {
    /// Which one.
    pub id: ShardId,
    /// The core that it will be pinned to.
    pub core: usize,
    /// Its port.
    pub port: u16,
    listener: Socket,
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
    /// An executor cannot be made.
    #[error("shard {0} cannot start on core {1}: {2}; `parlor check` looks for the reason")]
    Executor(ShardId, usize, String),
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
/// [`StartError::Executor`]
pub fn start(
    settings: &ShardSettings,
    bound: Vec<BoundShard>,
    events: &mpsc::Sender<(ShardId, Event)>,
    mut seed: impl FnMut() -> [u8; 32],
) -> Result<Vec<(ShardHandle, ShardThread)>, StartError> {
    let start = |shard: BoundShard| {
        let (handle, port) = mesh::link(shard.id, shard.port, events.clone());
        let thread = start_one(settings, shard, port, seed())?;
        Ok((handle, thread))
    };
    bound.into_iter().map(start).collect()
}

fn start_one(
    settings: &ShardSettings,
    shard: BoundShard,
    port: ShardPort,
    seed: [u8; 32],
) -> Result<ShardThread, StartError> {
    let (id, core) = (shard.id, shard.core);
    let failed = |error: String| StartError::Executor(id, core, error);
    let (ready, is_ready) = std_mpsc::channel();
    let listener = shard.listener;
    let settings = settings.clone();
    let handle = LocalExecutorBuilder::new(Placement::Fixed(core))
        .name("parlor-shard")
        .ring_depth(settings.ring_depth)
        .io_memory(0)
        .preempt_timer(PREEMPT_TIMER)
        .spin_before_park(settings.spin_before_park)
        .spawn(move || async move {
            let _ = ready.send(());
            run(&settings, listener, port, seed).await;
        })
        .map_err(|error| failed(error.to_string()))?;
    if is_ready.recv().is_err() {
        let why = handle.join().err().map_or_else(|| "it ended at once".into(), |error| error.to_string());
        return Err(failed(why));
    }
    Ok(ShardThread { id, handle })
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

async fn run(settings: &ShardSettings, listener: Socket, port: ShardPort, seed: [u8; 32]) {
    let switch = Switch::new(Settings { bind_timeout: settings.bind_timeout, outbox_max: settings.outbox_max }, seed);
    let batch = Batch::new(settings.send_batch, settings.copy_below, true);
    debug!(shard = %port.id, ring = batch.has_ring(), "shard is up");
    let shell = Rc::new(Shell::new(port.id, switch, batch, port.events));
    let listener = socket::into_executor(listener);
    glommio::spawn_local(shell.clone().run_listener(listener)).detach();
    glommio::spawn_local(shell.clone().run_flusher()).detach();
    glommio::spawn_local(shell.clone().run_alarms(port.commands.clone())).detach();
    glommio::spawn_local(shell.clone().run_commands(port.commands)).detach();
    shell.drained.wait().await;
}

impl Shell {
    async fn run_commands(self: Rc<Self>, commands: async_channel::Receiver<crate::facts::Command>) {
        while let Ok(command) = commands.recv().await {
            let mut next = Some(command);
            for _ in 0..COMMANDS_PER_TURN_MAX {
                let Some(command) = next.take() else { break };
                self.switch.borrow_mut().handle_control(command, Instant::now());
                next = commands.try_recv().ok();
            }
            if let Some(command) = next {
                self.switch.borrow_mut().handle_control(command, Instant::now());
                self.settle();
                Timer::new(Duration::ZERO).await;
            }
            self.settle();
        }
        // The control thread is gone, and with it every call.
        self.drained.notify();
    }

    /// Tells the machine when its time has come, and looks for commands that nobody was woken for.
    async fn run_alarms(self: Rc<Self>, commands: async_channel::Receiver<crate::facts::Command>) {
        loop {
            let at = self.switch.borrow().poll_timeout();
            self.armed.set(at);
            let left = at.map_or(SLEEP_MAX, |at| at.saturating_duration_since(Instant::now()).min(SLEEP_MAX));
            or(async { _ = Timer::new(left).await }, self.alarm.wait()).await;
            let now = Instant::now();
            let missed = commands.try_recv().ok();
            let is_due = at.is_some_and(|at| at <= now);
            if is_due {
                self.switch.borrow_mut().handle_timeout(now);
            }
            if is_due || missed.is_some() {
                missed.into_iter().for_each(|command| self.switch.borrow_mut().handle_control(command, now));
                self.settle();
            }
        }
    }
}
