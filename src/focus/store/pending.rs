//! Requests of ours that nobody has answered yet, and whom the answer is for.

use std::collections::HashMap;

use crate::focus::tag::Tag;
use crate::transaction::TransactionId;

/// What a request of ours is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// A call's session timer is refreshed.
    Refresh(Tag),
    /// Somebody is called into a room.
    Invite(Tag),
    /// And is not to be, after all.
    Cancel,
}

/// All requests of ours, BYEs aside.
pub type PendingRequests = HashMap<TransactionId, Pending>;
