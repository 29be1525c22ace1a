//! Requests of ours.

use crate::focus::context::Context;
use crate::focus::store::pending::Pending;
use crate::transaction::TransactionId;
use parlor_proto::sip::{Hop, Request};

/// Sends a request of ours and remembers what its response is for.
pub fn send(cx: &mut Context<'_>, request: Request, hop: Hop, what: Pending) -> Option<TransactionId> {
    let id = cx.core.transactions.request(request, hop)?;
    cx.pending.insert(id.clone(), what);
    Some(id)
}
