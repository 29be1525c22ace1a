//! What follows from an input and is carried out after it.
//!
//! A procedure that leads to something above it says so here instead of calling it. [`dispatch`](super::dispatch) carries the
//! changes out in their order, when the input is done with.

use crate::call::EndOfSubscription;
use crate::focus::store::call_state::ByeReason;
use crate::focus::store::subscription::SubscriptionId;
use crate::focus::tag::Tag;
use crate::ids::RoomId;

/// One such change.
#[derive(Debug)]
pub enum Change {
    /// A call is to end.
    EndCall(Tag, ByeReason),
    /// A call that is being made is to be cancelled.
    CancelOutgoing(Tag),
    /// The roster of a room may have changed.
    Roster(RoomId),
    /// A subscription is to end.
    EndSubscription(SubscriptionId, EndOfSubscription),
}
