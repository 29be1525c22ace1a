//! Requests of ours without a final response, and what the response is for.

use std::collections::HashMap;

use crate::focus::tag::Tag;
use crate::transaction::TransactionId;

/// What a request of ours is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// A refresh of a call's session timer.
    Refresh(Tag),
    /// An INVITE into a room.
    Invite(Tag),
    /// A CANCEL of one.
    Cancel,
}

/// All requests of ours, BYEs aside.
pub type PendingRequests = HashMap<TransactionId, Pending>;
