//! The channels between the control thread and the shards.
//!
//! Both directions are bounded, and nobody waits for room: a full queue downwards is a 503 to the caller, and what does not
//! fit upwards stays in the switch, which keeps at most one event of a kind for each session and room.

use tokio::sync::mpsc;

use crate::facts::{Command, Event};
use crate::ids::ShardId;
use crate::limits::{COMMAND_QUEUE_MAX, EVENT_QUEUE_MAX};

/// The control thread's end of one shard.
#[derive(Debug, Clone)]
pub struct ShardHandle {
    /// Which shard.
    pub id: ShardId,
    /// The port that its listener has, which stands in the paths of its sessions.
    pub port: u16,
    /// Commands to it.
    pub commands: async_channel::Sender<Command>,
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

/// The queue that all shards' events come to, with the end that is cloned for each shard.
#[must_use]
pub fn events() -> (mpsc::Sender<ShardEvent>, mpsc::Receiver<ShardEvent>) {
    mpsc::channel(EVENT_QUEUE_MAX)
}

/// A shard's two ends.
#[must_use]
pub fn link(id: ShardId, port: u16, events: mpsc::Sender<ShardEvent>) -> (ShardHandle, ShardPort) {
    let (sender, receiver) = async_channel::bounded(COMMAND_QUEUE_MAX);
    (ShardHandle { id, port, commands: sender }, ShardPort { id, commands: receiver, events })
}
