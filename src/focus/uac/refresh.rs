//! Session refreshes (RFC 4028): by UPDATE where the peer takes it and else by re-INVITE.

use std::time::Duration;

use crate::focus::context::Context;
use crate::focus::lifecycle::{session, session_timer};
use crate::focus::media::{description, negotiation};
use crate::focus::store::call_state::{ByeReason, CallState};
use crate::focus::store::pending::Pending;
use crate::focus::store::timing::Refresh;
use crate::focus::tag::Tag;
use crate::focus::timer::Timer;
use crate::focus::uac::{ack, bye, request};
use crate::focus::{dialogs, headers};
use parlor_proto::sip::{HeaderName, Method, Response, cseq_number, seconds};

/// Refreshes the session, or ends the call if it has expired.
pub fn on_timer(cx: &mut Context<'_>, tag: Tag) {
    let Some(call) = cx.calls.get_mut(tag) else { return };
    let (Some(timer), Some(expires)) = (call.timing.timer, call.timing.expires) else { return };
    if !timer.we_refresh || cx.now >= expires {
        return bye::end(cx, tag, ByeReason { cause: 408, text: "The session has expired" });
    }
    if call.timing.refresh != Refresh::None {
        return cx.core.timers.set(Timer::Session(tag), expires);
    }
    // Not two INVITEs at a time (RFC 3261 §14.1).
    if !call.timing.updates && !matches!(call.state, CallState::Established) {
        return cx.core.timers.set(Timer::Session(tag), cx.now + Duration::from_secs(2));
    }
    cx.core.timers.set(Timer::Session(tag), expires);
    send(cx, tag);
}

/// Without an offer in an UPDATE; in a re-INVITE with one that changes nothing (RFC 4028 §7.4). It says `a=setup:actpass`, as every
/// offer (RFC 6135 §4.2.2), so that it differs from an answer of ours that came before, and its version from that one's (RFC 3264 §8).
fn send(cx: &mut Context<'_>, tag: Tag) {
    let branch = cx.core.branch();
    let Some(call) = cx.calls.get(tag) else { return };
    let direction = call.session_state.terms().map(|terms| terms.direction).unwrap_or_default();
    let offer = if call.timing.updates { None } else { description::describe_offer(cx, tag, direction) };
    let Some(call) = cx.calls.get_mut(tag) else { return };
    let updates = call.timing.updates;
    let (method, refresh) = if updates { (Method::Update, Refresh::Update) } else { (Method::Invite, Refresh::Invite) };
    call.timing.refresh = refresh;
    let (builder, hop) = call.dialog.request(method, &call.sent_by, &branch);
    let contact = call.contact.clone();
    let Some(call) = cx.calls.get(tag) else { return };
    let builder = session_timer::request_headers(
        &cx.core.settings,
        headers::introduce(&cx.core.settings, builder, contact),
        &call.timing,
    );
    let request = match offer {
        Some(offer) => builder.body("application/sdp", offer),
        None => builder.empty(),
    };
    request::send(cx, request, hop, Pending::Refresh(tag));
}

pub fn on_response(cx: &mut Context<'_>, tag: Tag, response: &Response) {
    if !response.status.is_final() {
        return;
    }
    let Some(call) = cx.calls.get_mut(tag) else { return };
    let refresh = std::mem::take(&mut call.timing.refresh);
    match response.status.code() {
        200..=299 if refresh == Refresh::None => ack::send_again(cx, tag, response),
        200..=299 => on_2xx(cx, tag, response, refresh),
        // RFC 4028 §10.
        408 | 481 => bye::end(cx, tag, ByeReason { cause: 408, text: "A session refresh was not answered" }),
        status => on_rejection(cx, tag, status, response, refresh),
    }
}

fn on_2xx(cx: &mut Context<'_>, tag: Tag, response: &Response, refresh: Refresh) {
    if let Some(call) = cx.calls.get_mut(tag) {
        call.learn_agent(&response.headers);
    }
    if refresh == Refresh::Invite {
        let number = cseq_number(&response.headers).unwrap_or_default();
        ack::send(cx, tag, number);
        let route = cx.calls.get(tag).map(|call| (call.dialog.hop(), call.local_description.cema));
        match route.and_then(|(hop, cema)| negotiation::answer_in(cx, response, &dialogs::room_of(cx, tag), hop, cema))
        {
            Some((media, to)) => session::change_terms(cx, tag, &media, to),
            None => tracing::info!(call = %tag, "unusable answer to a session refresh ignored"),
        }
    }
    if let Some(call) = cx.calls.get_mut(tag) {
        call.dialog.retarget(&response.headers);
    }
    session_timer::apply(cx, tag, response);
}

/// What can be done about it is tried once more; else the session lasts until it expires.
fn on_rejection(cx: &mut Context<'_>, tag: Tag, status: u16, response: &Response, refresh: Refresh) {
    let glare = glare_delay(cx, tag);
    let Some(call) = cx.calls.get_mut(tag) else { return };
    let floor = call.timing.min_se;
    call.timing.learn(&response.headers);
    let Some(expires) = call.timing.expires else { return };
    let left = expires.saturating_duration_since(cx.now);
    let wait = match status {
        422 if call.timing.min_se > floor => Duration::ZERO,
        405 | 420 | 501 if refresh == Refresh::Update => {
            call.timing.updates = false;
            Duration::ZERO
        }
        491 => glare,
        _ => seconds(&response.headers, &HeaderName::RetryAfter).unwrap_or(left / 2).max(Duration::from_secs(5)),
    };
    tracing::info!(call = %tag, status, "a session refresh was refused");
    cx.core.timers.set(Timer::Session(tag), expires.min(cx.now + wait));
}

/// How long to wait after a 491: the owner of the Call-ID waits longer (RFC 3261 §14.1).
fn glare_delay(cx: &mut Context<'_>, tag: Tag) -> Duration {
    let caller = cx.calls.get_mut(tag).is_some_and(|call| call.timing.caller);
    let step = cx.core.random();
    let tens = if caller { 210 + step % 191 } else { step % 201 };
    Duration::from_millis(10 * tens)
}

/// The refresh was not answered (RFC 4028 §10).
pub fn on_failure(cx: &mut Context<'_>, tag: Tag) {
    bye::end(cx, tag, ByeReason { cause: 408, text: "A session refresh was not answered" });
}
