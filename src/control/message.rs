//! What other threads send to the control thread, and what its end is reported as.

use std::sync::Arc;

use crate::call::Users;
use crate::facts::Fingerprint;
use crate::focus::RoomSettings;
use crate::ids::ShardId;

/// A message to the control thread.
#[derive(Debug)]
pub enum ControlMessage {
    /// Refuse new calls, end every call, and return when all calls and shards have ended.
    Drain,
    /// Return now.
    Stop,
    /// Put these rooms and policies in force.
    ReplaceRooms(Box<RoomSettings>),
    /// Put these users in force; `None` turns authentication off.
    ReplaceUsers(Option<Arc<Users>>),
    /// The certificate was replaced: these are the fingerprints for later offers and answers (RFC 8122).
    ReplaceFingerprints(Vec<Fingerprint>),
    /// The thread of a shard has ended, with an error or without.
    ShardEnded(ShardId, Result<(), String>),
}

/// Why the control thread has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// Every call and every shard has ended.
    Drained,
    /// The drain timeout expired.
    DrainTimeout {
        /// Calls that had not ended.
        calls: usize,
    },
    /// [`ControlMessage::Stop`] was received.
    Stopped,
}
