//! Which procedure an input is for, and what follows from it.

use crate::call::EndOfSubscription;
use crate::facts::{EndReason, Event, Refusal as ShardRefusal};
use crate::focus::change::Change;
use crate::focus::context::Context;
use crate::focus::lifecycle::{leave, nickname, room};
use crate::focus::roster::{membership, publish};
use crate::focus::store::call_state::ByeReason;
use crate::focus::timer::Timer;
use crate::focus::{uac, uas};
use crate::ids::{SessionId, ShardId};
use crate::transaction::{Arrival, TransactionId};
use parlor_proto::sip::Hop;

/// Handles what a transaction passes on.
pub fn on_arrival(cx: &mut Context<'_>, arrival: Option<Arrival>, hop: Hop) {
    match arrival {
        Some(Arrival::Request { id, request }) => uas::request::handle(cx, id, *request, hop),
        Some(Arrival::Ack(ack)) => uas::ack::handle(cx, &ack),
        Some(Arrival::Response { id, response }) => {
            let of_notify = uac::notify_response::on_response(cx, &id, &response);
            if !of_notify && response.status.is_final() {
                uac::bye::on_final_response(cx, &id);
            }
            uac::response::on_response(cx, &id, &response, hop);
        }
        Some(Arrival::TimedOut(id)) => uac::response::on_failure(cx, &id, 408),
        None => {}
    }
}

/// Handles an event of a shard.
pub fn on_event(cx: &mut Context<'_>, shard: ShardId, event: Event) {
    match event {
        Event::SessionReady { session } => on_session_ready(cx, session),
        Event::SessionRefused { session, why } => on_session_refused(cx, session, why),
        Event::SessionEnded { session, why } => on_session_ended(cx, session, why),
        Event::SessionChanged { session } => cx.core.outputs.release(session),
        Event::RoomClosed { room } => room::on_closed(cx, room),
        Event::Load { deliveries_per_second } => cx.shards.set_load(shard, deliveries_per_second),
        Event::NicknameAsked { session, nickname } => nickname::decide(cx, session, &nickname),
        Event::Nickname { session, nickname } => {
            if nickname.is_none() {
                cx.nicknames.release(session);
            }
            membership::set_nickname(cx, session, nickname);
        }
        // The roster has a session from its answer on; `bind_timeout` ends one that is not bound.
        Event::SessionBound { .. } => {}
    }
}

fn on_session_ready(cx: &mut Context<'_>, session: SessionId) {
    if let Some(tag) = cx.calls.of_session(session) {
        uas::invite::on_session_ready(cx, tag);
    } else if let Some(tag) = cx.outgoing.of_session(session) {
        uac::outgoing::on_session_ready(cx, tag);
    }
}

/// Handles a session that a shard refuses.
pub fn on_session_refused(cx: &mut Context<'_>, session: SessionId, why: ShardRefusal) {
    if let Some(tag) = cx.calls.of_session(session) {
        uas::invite::on_session_refused(cx, tag, why);
    } else if let Some(tag) = cx.outgoing.of_session(session) {
        uac::cancel::on_session_refused(cx, tag, why);
    }
}

fn on_session_ended(cx: &mut Context<'_>, session: SessionId, why: EndReason) {
    if let Some(tag) = cx.calls.of_session(session) {
        tracing::info!(call = %tag, session = session.short(), why = why.text(), "a session ended");
        let cause = match why {
            EndReason::BindTimeout => 408,
            EndReason::ConnectionLost | EndReason::Congested | EndReason::Unreachable | EndReason::BindRefused => 480,
            EndReason::Certificate => 488,
            EndReason::ProtocolError => 400,
        };
        leave::detach(cx, tag);
        uac::bye::end(cx, tag, ByeReason { cause, text: why.text() });
    } else if let Some(tag) = cx.outgoing.of_session(session) {
        uac::cancel::give_up(cx, tag);
    }
}

/// A timer has fired.
pub fn on_timer(cx: &mut Context<'_>, timer: Timer) {
    match timer {
        Timer::Transaction(id, timer) => {
            if let Some(Arrival::TimedOut(id)) = cx.core.transactions.fire(&id, timer) {
                on_unanswered(cx, &id);
                uac::response::on_failure(cx, &id, 408);
            }
        }
        Timer::Session(tag) => uac::refresh::on_timer(cx, tag),
        Timer::Outgoing(tag) => uac::cancel::on_timer(cx, tag),
        Timer::ForgetInvite(id) => drop(cx.pending.remove(&id)),
        Timer::Retransmit200(tag) => uas::ack::retransmit(cx, tag),
        Timer::AckTimeout(tag) => uas::ack::on_timeout(cx, tag),
        Timer::ShardAnswer(tag) => uas::invite::on_shard_timeout(cx, tag),
        Timer::Nicknames => nickname::expire(cx),
        Timer::Expiry(id) => uac::subscription::end(cx, id, EndOfSubscription::Timeout),
        Timer::RetryAfter(id) => uac::notify::send_due(cx, id),
        Timer::Publish(id) => publish::publish(cx, id),
        Timer::NotifyBurst => uac::notify::send_burst(cx),
        Timer::DrainNotify => cx.subscriptions.stop_awaiting(),
    }
}

/// A BYE or a NOTIFY of ours will not be answered.
pub fn on_unanswered(cx: &mut Context<'_>, id: &TransactionId) {
    uac::bye::on_final_response(cx, id);
    uac::notify_response::on_failure(cx, id);
}

/// Carries out what follows from an input. The only place where changes are taken from their queue.
pub fn finish(cx: &mut Context<'_>) {
    while let Some(change) = cx.core.changes.pop_front() {
        match change {
            Change::EndCall(tag, reason) => {
                // The input may have ended the call already: its own reason stays.
                if cx.calls.get(tag).is_some_and(|call| call.session_state.is_in_room()) {
                    uac::bye::end(cx, tag, reason);
                }
            }
            Change::CancelOutgoing(tag) => uac::cancel::give_up(cx, tag),
            Change::Roster(room) => publish::schedule(cx, room),
            Change::EndSubscription(id, why) => uac::subscription::end_with_room(cx, id, why),
        }
    }
    cx.core.finish(cx.now);
}
