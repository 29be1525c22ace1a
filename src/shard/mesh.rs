//! The channels between the control thread and the shards.
//!
//! Both directions are bounded, and nobody waits for room: a full queue downwards is a 503 to the caller, and what does not
//! fit upwards waits on the shard's side. That is bounded too: the switch makes at most one event of a kind for each session and
//! room, and of a session's nicknames only the latest is kept.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_channel::TrySendError;
use tokio::sync::mpsc;

use super::socket::EventFd;
use crate::facts::{Command, Event};
use crate::ids::{SessionId, ShardId};
use crate::limits::{COMMAND_QUEUE_MAX, EVENT_QUEUE_MAX};

/// How long to wait before an event is sent again that the channel had no room for.
pub const RETRY_EVENTS_AFTER: Duration = Duration::from_millis(5);

/// The control thread's end of one shard.
#[derive(Debug, Clone)]
pub struct ShardHandle {
    /// Which shard.
    pub id: ShardId,
    /// The port that its listener has, which stands in the paths of its sessions.
    pub port: u16,
    /// Commands to it.
    pub commands: CommandSender,
}

/// A shard's end.
#[derive(Debug)]
pub struct ShardPort {
    /// Which shard.
    pub id: ShardId,
    /// Commands for it.
    pub commands: async_channel::Receiver<Command>,
    /// Its events.
    pub events: mpsc::Sender<ShardEvent>,
}

/// An event with the shard it comes from.
pub type ShardEvent = (ShardId, Event);

/// Where commands for a shard are put in. Its drop wakes the shard too, which ends when nobody can command it any more.
#[derive(Debug, Clone)]
pub struct CommandSender {
    // The order counts: the channel must be closed before the shard is woken to see it.
    queue: async_channel::Sender<Command>,
    wake: WakeOnDrop,
}

impl CommandSender {
    /// Gives the shard a command, if there is room.
    ///
    /// # Errors
    /// Returns the command if there is no room, or no shard any more.
    pub fn try_send(&self, command: Command) -> Result<(), TrySendError<Command>> {
        self.queue.try_send(command)?;
        self.wake.wake();
        Ok(())
    }
}

/// What wakes a shard.
#[derive(Debug, Clone)]
pub enum Waker {
    /// A thread that waits in the kernel.
    Thread(Arc<ShardWaker>),
    /// A task that waits for this channel, which holds one wake.
    Task(async_channel::Sender<()>),
}

impl Waker {
    fn wake(&self) {
        match self {
            Self::Thread(waker) => waker.wake(),
            // Full: it is woken already, and has not looked since.
            Self::Task(waker) => _ = waker.try_send(()),
        }
    }
}

#[derive(Debug, Clone)]
struct WakeOnDrop(Option<Waker>);

impl WakeOnDrop {
    fn wake(&self) {
        if let Some(waker) = &self.0 {
            waker.wake();
        }
    }
}

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        self.wake();
    }
}

/// Wakes a shard that waits in the kernel.
///
/// The flag saves writes: one is on its way, or the shard has not looked at the queue since. It is cleared *before* the shard
/// looks, and set *after* something was put in. Whoever finds it set put something in before it was cleared, so the shard
/// will see that; whoever finds it clear writes. Read-modify-writes on both sides give the order, so neither needs a barrier.
#[derive(Debug)]
pub struct ShardWaker {
    event: EventFd,
    woken: AtomicBool,
}

impl ShardWaker {
    /// One that nobody was woken by.
    ///
    /// # Errors
    /// Returns an error if there are no descriptors left.
    pub fn new() -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self { event: EventFd::new()?, woken: AtomicBool::new(false) }))
    }

    fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.event.signal();
        }
    }

    /// To be called by the shard before it looks at what it was woken for.
    pub fn acknowledge(&self) {
        self.woken.swap(false, Ordering::AcqRel);
    }

    /// A descriptor of its own for the shard to poll.
    ///
    /// # Errors
    /// Returns an error if there are no descriptors left.
    pub fn descriptor(&self) -> std::io::Result<OwnedFd> {
        self.event.try_clone()
    }
}

/// The way up, with the events that the channel had no room for.
#[derive(Debug)]
pub struct Upward {
    id: ShardId,
    events: mpsc::Sender<ShardEvent>,
    backlog: Backlog,
}

/// Events that wait, oldest first.
#[derive(Debug, Default)]
struct Backlog {
    events: VecDeque<Event>,
    /// Events that have been taken off the front.
    taken: usize,
    /// Where the nickname of a session waits: its index, and `taken` more.
    nicknames: HashMap<SessionId, usize>,
}

impl Backlog {
    /// Adds an event at the end. A nickname takes the place of the one that waits for the same session.
    fn push(&mut self, event: Event) {
        if let Event::Nickname { session, .. } = &event {
            let end = self.taken + self.events.len();
            let place = *self.nicknames.entry(*session).or_insert(end);
            if place < end {
                self.events[place - self.taken] = event;
                return;
            }
        }
        self.events.push_back(event);
    }

    fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.taken += 1;
        if let Event::Nickname { session, .. } = &event {
            self.nicknames.remove(session);
        }
        Some(event)
    }
}

impl Upward {
    /// An empty one.
    #[must_use]
    pub fn new(id: ShardId, events: mpsc::Sender<ShardEvent>) -> Self {
        Self { id, events, backlog: Backlog::default() }
    }

    /// Sends an event up, or keeps it behind those that wait.
    pub fn send(&mut self, event: Event) {
        if !self.backlog.events.is_empty() {
            return self.backlog.push(event);
        }
        // Where nobody listens any more the process is ending.
        if let Err(mpsc::error::TrySendError::Full((_, event))) = self.events.try_send((self.id, event)) {
            self.backlog.push(event);
        }
    }

    /// Sends what waits, as far as there is room. `false`: something is left, and it is to be tried again soon.
    pub fn flush(&mut self) -> bool {
        if self.backlog.events.is_empty() {
            return true;
        }
        while !self.backlog.events.is_empty() {
            match self.events.try_reserve() {
                Ok(permit) => {
                    let Some(event) = self.backlog.pop() else { break };
                    permit.send((self.id, event));
                }
                Err(mpsc::error::TrySendError::Full(())) => return false,
                Err(mpsc::error::TrySendError::Closed(())) => break,
            }
        }
        self.backlog = Backlog::default();
        true
    }
}

/// The queue that all shards' events come to, with the end that is cloned for each shard.
#[must_use]
pub fn events() -> (mpsc::Sender<ShardEvent>, mpsc::Receiver<ShardEvent>) {
    mpsc::channel(EVENT_QUEUE_MAX)
}

/// A shard's two ends. `waker` is woken for each command; without one, whoever takes commands waits for the channel.
#[must_use]
pub fn link(
    id: ShardId,
    port: u16,
    events: mpsc::Sender<ShardEvent>,
    waker: Option<Waker>,
) -> (ShardHandle, ShardPort) {
    let (queue, commands) = async_channel::bounded(COMMAND_QUEUE_MAX);
    let sender = CommandSender { queue, wake: WakeOnDrop(waker) };
    (ShardHandle { id, port, commands: sender }, ShardPort { id, commands, events })
}

#[cfg(test)]
mod tests;
