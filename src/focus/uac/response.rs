//! Responses to requests of ours.

use crate::focus::context::Context;
use crate::focus::store::pending::Pending;
use crate::focus::timer::Timer;
use crate::focus::uac::{invite_response, refresh};
use crate::transaction::{TransactionId, Transactions};
use parlor_proto::sip::{CSeq, HeaderError, Hop, Method, Response, SipConnection};

/// A response has come. That of an INVITE may come again, from the same peer or from others (RFC 3261 §13.2.2.4).
pub fn on_response(cx: &mut Context<'_>, id: &TransactionId, response: &Response, hop: Hop) {
    let Some(pending) = cx.pending.get(id).cloned() else { return };
    if response.status.is_success() && response.headers.typed::<CSeq>().is_some_and(is_invite) {
        cx.core.timers.set(Timer::ForgetInvite(id.clone()), cx.now + 64 * Transactions::t1());
    } else if response.status.is_final() {
        cx.pending.remove(id);
    }
    match pending {
        Pending::Refresh(tag) => refresh::on_response(cx, tag, response),
        Pending::Invite(tag) => invite_response::on_response(cx, id, tag, response, hop),
        Pending::Cancel => {}
    }
}

/// A request was not answered (408), or could not be sent (503; RFC 3261 §8.1.3.1).
pub fn on_failure(cx: &mut Context<'_>, id: &TransactionId, status: u16) {
    let Some(pending) = cx.pending.remove(id) else { return };
    cx.core.timers.clear(&Timer::ForgetInvite(id.clone()));
    match pending {
        Pending::Refresh(tag) => refresh::on_failure(cx, tag),
        Pending::Invite(tag) => invite_response::on_failure(cx, id, tag, status),
        Pending::Cancel => {}
    }
}

/// A connection is closed: the requests that were sent on it fail.
pub fn on_closed(cx: &mut Context<'_>, connection: SipConnection) {
    let on = |id: &&TransactionId| cx.core.transactions.hop(id).is_some_and(|hop| hop.connection == Some(connection));
    let lost: Vec<TransactionId> = cx.pending.keys().filter(on).cloned().collect();
    for id in lost {
        if cx.core.transactions.fail(&id).is_some() {
            on_failure(cx, &id, 503);
        }
    }
}

fn is_invite(cseq: Result<CSeq, HeaderError>) -> bool {
    cseq.is_ok_and(|cseq| cseq.method == Method::Invite)
}
