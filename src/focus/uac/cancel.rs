//! Calls of ours that come to nothing: cancelled (RFC 3261 §9.1), or failed.

use std::time::Duration;

use crate::facts::{Command, Refusal as ShardRefusal};
use crate::focus::context::Context;
use crate::focus::headers;
use crate::focus::lifecycle::room;
use crate::focus::store::outgoing_state::OutgoingState;
use crate::focus::store::pending::Pending;
use crate::focus::tag::Tag;
use crate::focus::timer::Timer;
use crate::focus::uac::{report, request};
use crate::transaction::Transactions;
use parlor_proto::sip::{HeaderName, reason_phrase};

/// Cancels a call that is being made: CANCEL is sent at once if a provisional response has come, else as soon as one comes
/// (RFC 3261 §9.1).
pub fn give_up(cx: &mut Context<'_>, tag: Tag) {
    let Some(outgoing) = cx.outgoing.get_mut(tag) else { return };
    match outgoing.state {
        OutgoingState::Preparing { .. } => fail(cx, tag, 487, "Request Terminated"),
        OutgoingState::Inviting(_) => {
            let at_once = outgoing.state.advance(OutgoingState::cancelled);
            cx.core.timers.set(Timer::Outgoing(tag), cx.now + 64 * Transactions::t1() + Duration::from_secs(1));
            if at_once {
                send(cx, tag);
            }
        }
        OutgoingState::Cancelling(_) => {}
    }
}

/// Sends the CANCEL.
pub fn send(cx: &mut Context<'_>, tag: Tag) {
    let Some(sent) = cx.outgoing.get(tag).and_then(|outgoing| outgoing.state.sent()) else { return };
    let hop = cx.core.transactions.hop(&sent.transaction);
    if let (Some(cancel), Some(hop)) = (cx.core.transactions.cancel_of(&sent.transaction), hop) {
        // RFC 4028 §7.1: in each request but ACK.
        let cancel = cancel.header(HeaderName::Supported, headers::supported(&cx.core.settings));
        request::send(cx, cancel.empty(), hop, Pending::Cancel);
    }
}

/// A call that was being made fails.
pub fn fail(cx: &mut Context<'_>, tag: Tag, status: u16, phrase: &str) {
    cx.core.timers.clear(&Timer::Outgoing(tag));
    cx.outgoing.lookups.remove(&tag);
    let Some(outgoing) = cx.outgoing.remove(tag) else { return };
    tracing::info!(call = %tag, user = %outgoing.invitation.member.user, status, "an invitation has failed");
    cx.core.command(outgoing.shard, Command::CloseSession { session: outgoing.session });
    cx.shards.session_closed(outgoing.shard);
    if let Some(report) = outgoing.invitation.report {
        report::finish(cx, report, status, phrase);
    }
    room::close_if_empty(cx, outgoing.invitation.room);
}

/// A step has taken too long: the shard, the name lookup, the answer, or the answer to our CANCEL.
pub fn on_timer(cx: &mut Context<'_>, tag: Tag) {
    let Some(outgoing) = cx.outgoing.get(tag) else { return };
    match outgoing.state {
        OutgoingState::Preparing { .. } => fail(cx, tag, 503, "Service Unavailable"),
        OutgoingState::Inviting(_) => give_up(cx, tag),
        OutgoingState::Cancelling(_) => fail(cx, tag, 487, "Request Terminated"),
    }
}

/// The shard does not take the session of a call that is being made.
pub fn on_session_refused(cx: &mut Context<'_>, tag: Tag, why: ShardRefusal) {
    let status = if why == ShardRefusal::NoSuchRoom { 500 } else { 503 };
    fail(cx, tag, status, reason_phrase(status));
}
