//! The executor of a shard, and the task that turns its shell.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_lite::future::{or, poll_fn};
use glommio::timer::Timer;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};

use super::backend::{GlommioBackend, Inbox};
use crate::ids::ConnectionId;
use crate::shard::bind::BoundShard;
use crate::shard::mesh::ShardPort;
use crate::shard::settings::ShardSettings;
use crate::shard::shell::Shell;
use crate::shard::socket::{self, Arrival, Stream};
use crate::shard::tls::Flushed;

/// See the module.
const PREEMPT_TIMER: Duration = Duration::from_secs(3600);
/// How long a shard sleeps at the most. Once in many thousand starts under heavy contention a wake from another thread was
/// seen to be lost in the executor, which then slept on beside a command; what wakes it for certain is a timer. So a lost wake
/// costs this much and no more. An idle shard pays for it with four wakes a second.
const SLEEP_MAX: Duration = Duration::from_millis(250);
/// Bytes that are tried at once on a connection that was full.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// Starts a shard's thread. Returns when its executor runs. `wakes` brings what the control thread's waker sends.
///
/// # Errors
/// Returns why it does not.
pub fn start(
    settings: &ShardSettings,
    shard: BoundShard,
    port: ShardPort,
    wakes: async_channel::Receiver<()>,
    seed: [u8; 32],
) -> Result<ExecutorJoinHandle<()>, String> {
    let (ready, is_ready) = mpsc::channel();
    let core = shard.core;
    let settings = settings.clone();
    let handle = LocalExecutorBuilder::new(Placement::Fixed(core))
        .name("parlor-shard")
        .ring_depth(settings.ring_depth)
        .io_memory(0)
        .preempt_timer(PREEMPT_TIMER)
        .spin_before_park(settings.spin_before_park)
        .spawn(move || async move {
            let _ = ready.send(());
            let listeners = shard.into_listeners().map(|listener| listener.map(socket::into_executor));
            let shell = Shell::new(GlommioBackend::new(listeners), &settings, port, seed, true);
            run(shell, wakes).await;
        })
        .map_err(|error| error.to_string())?;
    if is_ready.recv().is_err() {
        let why = handle.join().err().map(|error| error.to_string());
        return Err(why.unwrap_or_else(|| "the thread ended during startup".into()));
    }
    Ok(handle)
}

/// Turns until nobody is left and nobody comes any more.
async fn run(mut shell: Shell<GlommioBackend>, wakes: async_channel::Receiver<()>) {
    let inbox = shell.backend.inbox.clone();
    glommio::spawn_local(forward_wakes(wakes, inbox.clone())).detach();
    let (mut turns_by, mut timer) = (Instant::now() + SLEEP_MAX, Timer::new(SLEEP_MAX));
    shell.start();
    let shell = Rc::new(RefCell::new(shell));
    while !shell.borrow().is_done() {
        let timeout = shell.borrow().time_to_wait();
        if timeout == Some(Duration::ZERO) {
            // The executor looks at its sockets in between.
            Timer::new(Duration::ZERO).await;
        } else {
            // One timer serves all turns: to set one for each turn would cost more than most turns.
            let left = timeout.map_or(SLEEP_MAX, |timeout| timeout.min(SLEEP_MAX));
            let at = Instant::now() + left;
            if at < turns_by {
                turns_by = at;
                timer.reset(left);
            }
            or(inbox.notify.notified(), async { _ = (&mut timer).await }).await;
            if turns_by <= Instant::now() {
                (turns_by, timer) = (Instant::now() + SLEEP_MAX, Timer::new(SLEEP_MAX));
            }
        }
        let full = {
            let mut shell = shell.borrow_mut();
            // A wake may have been lost: see above.
            shell.wake();
            shell.turn();
            std::mem::take(&mut shell.backend.full)
        };
        for (id, stream) in full {
            // It runs at once, so nothing is borrowed here.
            glommio::spawn_local(write_when_possible(shell.clone(), inbox.clone(), id, stream)).detach();
        }
    }
    shell.borrow().end();
}

/// The last wake is that nobody wakes any more.
async fn forward_wakes(wakes: async_channel::Receiver<()>, inbox: Rc<Inbox>) {
    while wakes.recv().await.is_ok() {
        inbox.push(Arrival::Woken);
    }
    inbox.push(Arrival::Woken);
}

/// Writes to a connection that was full, once it has room: what waits then, since a response may overtake what waits now. The
/// executor has no other way to wait for room.
async fn write_when_possible(
    shell: Rc<RefCell<Shell<GlommioBackend>>>,
    inbox: Rc<Inbox>,
    id: ConnectionId,
    stream: Rc<Stream>,
) {
    let write = |cx: &mut Context<'_>| {
        let polled = shell.borrow_mut().poll_write(id, &stream, cx);
        // A part may have left even if more waits, and the switch may want something for it: the shell's turn looks.
        inbox.notify.notify_one();
        polled
    };
    poll_fn(write).await;
    if let Some(peer) = shell.borrow_mut().peers.get_mut(id) {
        peer.awaits_room = false;
    }
}

impl Shell<GlommioBackend> {
    /// Ready when something was written, when nothing waits any more, or when the connection has failed. What waits then is the
    /// next flush's: the switch has the connection on its list, and a failed one is on the shell's.
    fn poll_write(&mut self, id: ConnectionId, stream: &Stream, cx: &mut Context<'_>) -> Poll<()> {
        let mut out = stream.writer(cx);
        let now = Instant::now();
        let Some(peer) = self.peers.get(id) else { return Poll::Ready(()) };
        if let Some(link) = &peer.link {
            match link.borrow_mut().flush(&mut self.switch, id, self.batch.plaintext(), &mut out, now) {
                Flushed::WouldBlock => return Poll::Pending,
                Flushed::Done => {}
                Flushed::Closed => self.writable.push(id),
            }
            return Poll::Ready(());
        }
        let mut bytes = Vec::new();
        if self.switch.gather(id, &mut bytes, WRITE_BYTES_MAX) == 0 {
            self.switch.sent(id, 0, now);
            return Poll::Ready(());
        }
        match out.write(&bytes) {
            Ok(n) => self.switch.sent(id, n, now),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(_) => self.writable.push(id),
        }
        Poll::Ready(())
    }
}
