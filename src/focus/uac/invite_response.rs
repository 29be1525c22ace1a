//! What comes of our INVITEs (RFC 3261 §13.2.2).

use crate::call::Dialog;
use crate::facts::Outward;
use crate::focus::access;
use crate::focus::awareness::is_of_aware;
use crate::focus::context::Context;
use crate::focus::lifecycle::{session, session_timer};
use crate::focus::media::negotiation;
use crate::focus::roster::membership;
use crate::focus::store::call::Call;
use crate::focus::store::call_state::{ByeReason, CallState};
use crate::focus::store::outgoing::OutgoingCall;
use crate::focus::store::outgoing_state::OutgoingState;
use crate::focus::store::session_state::SessionState;
use crate::focus::tag::Tag;
use crate::focus::timer::Timer;
use crate::focus::uac::{ack, bye, cancel, invite, report};
use crate::limits::INVITE_TRIES_MAX;
use crate::transaction::TransactionId;
use parlor_proto::sdp::MessageMedia;
use parlor_proto::sip::{Hop, Request, Response, cseq_number, reason_phrase};
use parlor_proto::uri::Aor;

/// A response to an INVITE of ours.
pub fn on_response(cx: &mut Context<'_>, id: &TransactionId, tag: Tag, response: &Response, hop: Hop) {
    let current = cx.outgoing.get(tag).is_some_and(|outgoing| outgoing.state.is_invite(id));
    match response.status.code() {
        100..=199 if current => on_provisional(cx, tag),
        200..=299 if current => on_2xx(cx, id, tag, response, hop),
        200..=299 => on_another_2xx(cx, id, tag, response, hop),
        300.. if current => on_rejection(cx, tag, response),
        _ => {}
    }
}

fn on_provisional(cx: &mut Context<'_>, tag: Tag) {
    let Some(outgoing) = cx.outgoing.get_mut(tag) else { return };
    if outgoing.state.advance(OutgoingState::rings) {
        cancel::send(cx, tag);
    }
}

/// The invited user has answered: it joins, if the room still takes it.
fn on_2xx(cx: &mut Context<'_>, id: &TransactionId, tag: Tag, response: &Response, from: Hop) {
    let Some((invite, hop)) = invite_and_hop(cx, id, from) else { return };
    let Some(outgoing) = cx.outgoing.get(tag) else { return };
    let dialog = Dialog::calling(&invite, response, hop);
    let (room, member) = (outgoing.invitation.room, outgoing.invitation.member.clone());
    let name = cx.rooms.get(room).filter(|room| room.open).map(|room| room.name.clone());
    let media = negotiation::answer_in(cx, response, name.as_deref().unwrap_or_default(), hop, false);
    let place = name.is_some_and(|name| access::check_room(cx, &name, &member, Some(&member.user), None).is_ok());
    let refused = match (&dialog, &media) {
        _ if matches!(outgoing.state, OutgoingState::Cancelling(_)) => Some((487, "Invitation Cancelled")),
        (_, None) => Some((488, "No usable answer to the offer")),
        _ if !place => Some((486, "There is no place any more")),
        (Err(_), _) => Some((500, "No usable Contact")),
        (Ok(_), Some(_)) => None,
    };
    match (dialog, media) {
        (Ok(dialog), Some(media)) if refused.is_none() => promote(cx, tag, dialog, &media, &invite, response),
        (dialog, _) => {
            let (cause, text) = refused.unwrap_or((500, "No usable answer"));
            if let Ok(dialog) = dialog {
                bye::hang_up_at_once(cx, dialog, tag, &invite, ByeReason { cause, text });
            }
            cancel::fail(cx, tag, cause, text);
        }
    }
}

fn promote(
    cx: &mut Context<'_>,
    tag: Tag,
    dialog: Dialog,
    (media, to): &(MessageMedia, Option<Outward>),
    invite: &Request,
    response: &Response,
) {
    cx.core.timers.clear(&Timer::Outgoing(tag));
    let Some(outgoing) = cx.outgoing.remove(tag) else { return };
    let OutgoingCall { invitation, shard, session, path, local_description, timing, contact, sent_by, .. } = outgoing;
    let (room, user) = (invitation.room, invitation.member.user.clone());
    let call = Call {
        dialog,
        room,
        shard,
        session,
        member: invitation.member,
        account: Some(user.clone()),
        formerly: None,
        vouched: false,
        aware: is_of_aware(&response.headers),
        path,
        contact,
        sent_by,
        local_description,
        timing,
        state: CallState::Established,
        session_state: SessionState::Unopened,
        listed: Vec::new(),
        brought_by: Some(shown_address(cx, &invitation.by)),
        refers: 0,
        share: Some(cx.calls.shares.take(&invitation.claim, 1)),
    };
    let terms = call.terms_for(media, to.clone());
    // The shard has taken the session before the INVITE went out.
    cx.calls.insert(tag, Call { session_state: SessionState::Ready(terms.clone()), ..call });
    cx.rooms.confirm(room);
    if let Some(room) = cx.rooms.get_mut(room) {
        room.enter(&user);
        room.enter_account(&user);
        cx.nicknames.enter(&user);
    }
    tracing::info!(call = %tag, user = %user, by = %invitation.by, "the invited user has joined");
    cx.core.change_session(shard, session, terms);
    membership::joined(cx, tag);
    ack::send(cx, tag, cseq_number(&invite.headers).unwrap_or_default());
    session::expect_binding(cx, tag);
    session_timer::apply(cx, tag, response);
    if let Some(report) = invitation.report {
        report::finish(cx, report, 200, "OK");
    }
}

/// The address that others see of a user.
fn shown_address(cx: &Context<'_>, who: &Aor) -> String {
    let known = cx.calls.of_user(who).map(|call| call.member.uri.to_string());
    known.unwrap_or_else(|| if who.host().is_some() { format!("sip:{who}") } else { who.to_string() })
}

/// A 200 again: its ACK was lost. A 200 of another user agent that a proxy has forked to: its dialog is ended (RFC 3261 §13.2.2.4).
fn on_another_2xx(cx: &mut Context<'_>, id: &TransactionId, tag: Tag, response: &Response, from: Hop) {
    let Some((invite, hop)) = invite_and_hop(cx, id, from) else { return };
    if cx.calls.get(tag).is_some_and(|call| call.dialog.has_remote_tag(&response.headers)) {
        return ack::send_again(cx, tag, response);
    }
    if let Ok(dialog) = Dialog::calling(&invite, response, hop) {
        bye::hang_up_at_once(cx, dialog, tag, &invite, ByeReason { cause: 200, text: "Answered elsewhere" });
    }
}

/// An INVITE of ours and where it went, with the connection that it went over, which is the one that its answer has come by.
fn invite_and_hop(cx: &Context<'_>, id: &TransactionId, from: Hop) -> Option<(Request, Hop)> {
    let (invite, hop) = cx.core.transactions.sent(id)?;
    let same = (from.transport, from.remote) == (hop.transport, hop.remote);
    Some((invite.clone(), Hop { connection: hop.connection.or(from.connection.filter(|_| same)), ..hop }))
}

/// The invitation was declined. Where another INVITE can succeed it is sent, else the call fails.
fn on_rejection(cx: &mut Context<'_>, tag: Tag, response: &Response) {
    let status = response.status.code();
    let Some(outgoing) = cx.outgoing.get_mut(tag) else { return };
    let once_more = matches!(outgoing.state, OutgoingState::Inviting(_))
        && outgoing.tries() < INVITE_TRIES_MAX
        && match status {
            422 => outgoing.timing.learn_min_se(&response.headers),
            // It does not take several parts, of which one was not needed.
            415 | 488 => outgoing.invitation.history.take().is_some(),
            _ => false,
        };
    if once_more {
        return invite::send(cx, tag);
    }
    let reason = String::from_utf8_lossy(&response.reason).into_owned();
    cancel::fail(cx, tag, status, if reason.is_empty() { reason_phrase(status) } else { &reason });
}

/// An INVITE was not answered, or could not be sent.
pub fn on_failure(cx: &mut Context<'_>, id: &TransactionId, tag: Tag, status: u16) {
    let Some(outgoing) = cx.outgoing.get_mut(tag).filter(|outgoing| outgoing.state.is_invite(id)) else {
        return;
    };
    // A stream that was only tried because of the size (RFC 3261 §18.1.1).
    if status == 503 && outgoing.fall_back_to_datagram() {
        return invite::send(cx, tag);
    }
    cancel::fail(cx, tag, status, reason_phrase(status));
}
