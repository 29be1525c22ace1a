//! What timers there are.

use std::time::Duration;

use crate::focus::store::subscription::SubscriptionId;
use crate::focus::tag::Tag;
use crate::ids::RoomId;
use crate::transaction::{TransactionId, TransactionTimer};

/// What is due at some time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Timer {
    Transaction(TransactionId, TransactionTimer),
    /// Our 200 is to be sent again.
    Retransmit200(Tag),
    /// Our 200 was not acknowledged.
    AckTimeout(Tag),
    /// A quarantine ends.
    Nicknames,
    /// A session timer: it is time to refresh, or the session has expired.
    Session(Tag),
    /// A call that is being made takes too long.
    Outgoing(Tag),
    /// No more responses to an INVITE of ours are expected.
    ForgetInvite(TransactionId),
    /// A shard has not said whether the session can be bound.
    ShardAnswer(Tag),
    /// A subscription's time runs out.
    Expiry(SubscriptionId),
    /// The time of a subscriber's Retry-After is over.
    RetryAfter(SubscriptionId),
    /// A room's changes are to be told.
    Publish(RoomId),
    /// The next NOTIFYs in the queue are to be sent.
    NotifyBurst,
    /// A drain waits no longer for the last NOTIFYs of subscribers.
    DrainNotify,
}

/// How long a drain waits for the answers to the last NOTIFYs: enough to send each again twice.
pub const LAST_NOTIFY_PATIENCE: Duration = Duration::from_secs(2);
