//! What the driver is to do.

use bytes::Bytes;

use crate::facts::Command;
use crate::ids::ShardId;
use parlor_proto::sip::Hop;

/// What the driver is to do.
#[derive(Debug)]
pub enum Output {
    /// Send these bytes there.
    Send {
        /// Where to.
        hop: Hop,
        /// One SIP message.
        message: Bytes,
    },
    /// Give this to a shard. Commands to one shard must not overtake one another, and only [`Command::OpenSession`] may be
    /// given back, by `Focus::handle_full`.
    Command {
        /// Which shard.
        shard: ShardId,
        /// What.
        command: Command,
    },
    /// Look up the addresses of a name and give them to `Focus::handle_looked_up`.
    LookUp {
        /// To be given back.
        query: u64,
        /// Whose addresses.
        name: String,
    },
}

/// How much there is of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls.
    pub calls: usize,
    /// Rooms, closing ones included.
    pub rooms: usize,
    /// SIP server transactions.
    pub transactions: usize,
    /// Subscriptions.
    pub subscriptions: usize,
}

/// What a drain waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Awaited {
    /// Calls.
    pub calls: usize,
    /// Calls of ours without an answer.
    pub invitations: usize,
    /// BYEs without an answer.
    pub byes: usize,
    /// Subscriptions whose last NOTIFY has no answer.
    pub subscriptions: usize,
}
