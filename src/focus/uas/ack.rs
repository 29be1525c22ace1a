//! The ACK of our 200 (RFC 3261 §13.2.2.4): it is awaited, the 200 being sent again meanwhile, and ends that.

use crate::focus::context::Context;
use crate::focus::lifecycle::session;
use crate::focus::media::negotiation;
use crate::focus::store::call_state::{ByeReason, CallState};
use crate::focus::tag::Tag;
use crate::focus::timer::Timer;
use crate::focus::uac::bye;
use crate::transaction::Transactions;
use parlor_proto::sip::{Request, cseq_number};

/// An ACK ends the sending of our 200; where that had our offer, it brings the answer.
pub fn handle(cx: &mut Context<'_>, ack: &Request) {
    let Some(tag) = cx.calls.owner(ack) else { return };
    let Some(call) = cx.calls.get_mut(tag) else { return };
    let Some(response) = call.state.unacknowledged() else { return };
    if cseq_number(&ack.headers) != Some(response.sequence) {
        return;
    }
    let (awaits_answer, room) = (response.awaits_answer, call.room);
    call.learn_agent(&ack.headers);
    cx.core.timers.clear(&Timer::Retransmit200(tag));
    cx.core.timers.clear(&Timer::AckTimeout(tag));
    let ending = cx.calls.advance(tag, CallState::acknowledged).flatten();
    cx.calls.prove(tag);
    cx.rooms.confirm(room);
    // A call that is to end opens nothing any more.
    if let Some(reason) = ending {
        return bye::send(cx, tag, reason);
    }
    if awaits_answer {
        take_answer(cx, tag, ack);
    }
    session::expect_binding(cx, tag);
}

/// Without a usable answer a new call ends; one that has terms keeps them.
fn take_answer(cx: &mut Context<'_>, tag: Tag, ack: &Request) {
    let Some(call) = cx.calls.get_mut(tag) else { return };
    let (room, hop, cema) = (call.room, call.dialog.hop(), call.local_description.cema);
    let name = cx.rooms.get_mut(room).map(|room| room.name.clone()).unwrap_or_default();
    match negotiation::answer_of(cx, ack, &name, hop, cema) {
        Some((media, to)) => session::change_terms(cx, tag, &media, to),
        None if cx.calls.get(tag).is_some_and(|call| call.session_state.terms().is_none()) => {
            bye::end(cx, tag, ByeReason { cause: 488, text: "No usable answer to the offer" });
        }
        None => tracing::info!(call = %tag, "ACK without a usable answer ignored"),
    }
}

/// Sends the 200 again, at intervals that double up to T2.
pub fn retransmit(cx: &mut Context<'_>, tag: Tag) {
    let Some(call) = cx.calls.get_mut(tag) else { return };
    let Some(waiting) = call.state.unacknowledged_mut() else { return };
    waiting.interval = (waiting.interval * 2).min(Transactions::t2());
    cx.core.timers.set(Timer::Retransmit200(tag), cx.now + waiting.interval);
    cx.core.send(waiting.hop, waiting.response.clone());
}

/// No ACK has come for our 200: the call ends (RFC 3261 §13.3.1.4).
pub fn on_timeout(cx: &mut Context<'_>, tag: Tag) {
    let ending = cx.calls.advance(tag, CallState::acknowledged).flatten();
    bye::end(cx, tag, ending.unwrap_or(ByeReason { cause: 408, text: "No ACK" }));
}
