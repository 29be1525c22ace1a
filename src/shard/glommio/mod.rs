//! A shard on glommio: an executor of its own on a pinned thread, and a task for each connection.
//!
//! glommio is used as an event loop. With its preempt timer set to an hour one state cannot arise in which its executor parks
//! with runnable tasks for good. The price is a rule that every task here keeps: **no task stays runnable**. Each turn is poll,
//! run what is ready, flush, poll again. Nobody loops on a yield; who has more to do awaits a timer of no length.

mod connection;
mod flush;
mod notify;
mod secure;
mod shell;

use std::rc::Rc;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use futures_lite::future::or;
use glommio::timer::Timer;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};
use socket2::Socket;
use tracing::debug;

use self::shell::Shell;
use super::mesh::{ShardPort, Upward};
use super::settings::{COMMANDS_PER_TURN_MAX, ShardSettings};
use super::socket::{self, Batch};
use super::start::BoundShard;
use crate::switch::{Settings, Switch};

/// See above.
const PREEMPT_TIMER: Duration = Duration::from_secs(3600);
/// How long a shard sleeps at the most. Once in many thousand starts under heavy contention a wake from another thread was
/// seen to be lost in the executor, which then slept on beside a command; what wakes it for certain is a timer. So a lost wake
/// costs this much and no more. An idle shard pays for it with four wakes a second.
const SLEEP_MAX: Duration = Duration::from_millis(250);

/// Starts a shard's thread. Answers when its executor runs.
///
/// # Errors
/// Why it does not.
pub(super) fn start(
    settings: &ShardSettings,
    shard: BoundShard,
    port: ShardPort,
    seed: [u8; 32],
) -> Result<ExecutorJoinHandle<()>, String> {
    let (ready, is_ready) = std_mpsc::channel();
    let (core, listener, tls_listener) = (shard.core, shard.listener, shard.tls_listener);
    let settings = settings.clone();
    let handle = LocalExecutorBuilder::new(Placement::Fixed(core))
        .name("parlor-shard")
        .ring_depth(settings.ring_depth)
        .io_memory(0)
        .preempt_timer(PREEMPT_TIMER)
        .spin_before_park(settings.spin_before_park)
        .spawn(move || async move {
            let _ = ready.send(());
            run(&settings, [Some(listener), tls_listener], port, seed).await;
        })
        .map_err(|error| error.to_string())?;
    if is_ready.recv().is_err() {
        return Err(handle.join().err().map_or_else(|| "it ended at once".into(), |error| error.to_string()));
    }
    Ok(handle)
}

async fn run(settings: &ShardSettings, listeners: [Option<Socket>; 2], port: ShardPort, seed: [u8; 32]) {
    let switch = Switch::new(Settings { bind_timeout: settings.bind_timeout, outbox_max: settings.outbox_max }, seed);
    let batch = Batch::new(settings.send_batch, settings.copy_below, true);
    debug!(shard = %port.id, ring = batch.has_ring(), "shard is up");
    let shell = Rc::new(Shell::new(port.id, switch, batch, Upward::new(port.id, port.events), settings.tls.clone()));
    for (which, listener) in listeners.into_iter().enumerate() {
        let Some(listener) = listener.map(socket::into_executor) else { continue };
        glommio::spawn_local(shell.clone().run_listener(listener, which > 0)).detach();
    }
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
