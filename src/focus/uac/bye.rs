//! How the focus ends calls.

use crate::call::Dialog;
use crate::facts::Command;
use crate::focus::context::Context;
use crate::focus::lifecycle::{leave, room};
use crate::focus::refusal::Refusal;
use crate::focus::store::byes::Ending;
use crate::focus::store::call_state::{ByeReason, CallState};
use crate::focus::store::session_state::Departure;
use crate::focus::tag::Tag;
use crate::focus::{headers, responses};
use crate::transaction::TransactionId;
use parlor_proto::sip::{HeaderName, Hop, Message, Method, Request, RequestBuilder, cseq_number, quoted};

/// Ends a call from our side: it leaves its room at once, its dialog ends as soon as our 200 is acknowledged (RFC 3261 §15), and
/// its session when the BYE is answered, or its time is out (RFC 4975 §5.4).
pub fn end(cx: &mut Context<'_>, tag: Tag, reason: ByeReason) {
    let Some(call) = cx.calls.get(tag) else { return };
    match call.state {
        // An INVITE that has no answer yet is refused, not hung up.
        CallState::Opening(_) => refuse_invite(cx, tag, &Refusal::new(480).because(reason.text)),
        CallState::Answered(_) | CallState::Ending(..) => {
            leave::leave(cx, tag, Departure::Suspend);
            cx.calls.advance(tag, |state| (state.ended(reason), ()));
        }
        CallState::Established => {
            leave::leave(cx, tag, Departure::Suspend);
            send(cx, tag, reason);
        }
    }
}

/// Ends every call and cancels every invitation.
pub fn end_all(cx: &mut Context<'_>) {
    room::cancel_invitations(cx, None, None);
    for tag in cx.calls.tags(None) {
        let reason = ByeReason { cause: 503, text: "The server is ending" };
        refuse_or_end(cx, tag, &Refusal::later(60), reason);
    }
}

/// The session did not come to be: the INVITE is refused, or, where it was answered already, the call ends.
pub fn on_session_failed(cx: &mut Context<'_>, tag: Tag, refusal: &Refusal) {
    let reason = ByeReason { cause: refusal.status, text: "The session could not be opened" };
    refuse_or_end(cx, tag, refusal, reason);
}

/// Refuses the INVITE of a call, or, where it was answered already, ends the call.
pub fn refuse_or_end(cx: &mut Context<'_>, tag: Tag, refusal: &Refusal, reason: ByeReason) {
    match cx.calls.get(tag).map(|call| &call.state) {
        Some(CallState::Opening(_)) => refuse_invite(cx, tag, refusal),
        _ => end(cx, tag, reason),
    }
}

fn refuse_invite(cx: &mut Context<'_>, tag: Tag, refusal: &Refusal) {
    leave::detach(cx, tag);
    if let Some(opening) = leave::remove(cx, tag).and_then(|call| call.state.into_opening()) {
        responses::refuse_invite(cx, &opening, refusal, &tag.to_string());
    }
}

/// Sends the BYE of a call that has left its room. Its session ends with the answer.
pub fn send(cx: &mut Context<'_>, tag: Tag, reason: ByeReason) {
    let branch = cx.core.branch();
    let Some(call) = cx.calls.get_mut(tag) else { return };
    let (builder, hop) = call.dialog.request(Method::Bye, &call.sent_by, &branch);
    let session = call.session_state.take_suspended().then_some((call.shard, call.session));
    let ending = Ending { tag, dialog: call.dialog.clone(), session };
    let (user, room) = (call.member.user.clone(), call.room);
    let room = cx.rooms.get(room).map(|room| tracing::field::display(room.name.clone()));
    leave::remove(cx, tag);
    tracing::info!(call = %tag, room, user = %user, reason = reason.text, "hanging up");
    if !send_with_reason(cx, builder, hop, reason, Some(ending))
        && let Some((shard, session)) = session
    {
        cx.core.command(shard, Command::CloseSession { session });
    }
}

/// ACK and BYE.
pub fn hang_up_at_once(cx: &mut Context<'_>, mut dialog: Dialog, tag: Tag, invite: &Request, reason: ByeReason) {
    let number = cseq_number(&invite.headers).unwrap_or_default();
    let (branch, other) = (cx.core.branch(), cx.core.branch());
    let sent_by = headers::sent_by(&cx.core.settings, dialog.hop());
    let (ack, hop) = dialog.ack(number, &sent_by, &branch);
    cx.core.send(hop, Message::Request(ack.empty()).to_bytes());
    let (bye, hop) = dialog.request(Method::Bye, &sent_by, &other);
    tracing::info!(call = %tag, reason = reason.text, "ending a call that was answered too late");
    send_with_reason(cx, bye, hop, reason, None);
}

/// Sends a BYE with its reason (RFC 3326). Answers whether it could be made.
pub fn send_with_reason(
    cx: &mut Context<'_>,
    bye: RequestBuilder,
    hop: Hop,
    reason: ByeReason,
    ending: Option<Ending>,
) -> bool {
    let text = format!("SIP ;cause={} ;text={}", reason.cause, quoted(reason.text));
    let bye = bye
        .header(HeaderName::Reason, text)
        .header(HeaderName::Supported, headers::supported(&cx.core.settings))
        .header(HeaderName::UserAgent, cx.core.settings.software.clone())
        .empty();
    let Some(id) = cx.core.transactions.request(bye, hop) else { return false };
    cx.byes.insert(id, ending);
    true
}

/// A BYE of ours was answered or has failed: its session ends.
pub fn on_final_response(cx: &mut Context<'_>, id: &TransactionId) {
    if let Some((shard, session)) = cx.byes.remove(id).and_then(|ending| ending.session) {
        cx.core.command(shard, Command::CloseSession { session });
    }
}
