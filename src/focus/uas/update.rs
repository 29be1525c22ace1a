//! UPDATE within a call (RFC 3311): another target, another description, or a sign of life.

use crate::focus::context::Context;
use crate::focus::lifecycle::{session, session_timer};
use crate::focus::media::negotiation;
use crate::focus::refusal::Refusal;
use crate::focus::store::call_state::CallState;
use crate::focus::tag::Tag;
use crate::focus::{dialogs, responses};
use crate::transaction::TransactionId;
use parlor_proto::sip::{Hop, Request};

/// An UPDATE is answered at once and changes what it says. What cannot be taken leaves the call as it was.
pub fn handle(cx: &mut Context<'_>, id: &TransactionId, request: &Request, tag: Tag, hop: Hop) {
    let name = dialogs::room_of(cx, tag);
    let checked = session_timer::negotiate(&cx.core.settings, request).and_then(|timer| {
        let offer = negotiation::offer_of(cx, request, &name, hop)?;
        check_state(cx, tag, offer.is_some())?;
        Ok((timer, offer))
    });
    let (timer, offer) = match checked {
        Ok(checked) => checked,
        Err(refusal) => return responses::refuse(cx, id, request, &refusal),
    };
    let Some(call) = cx.calls.get_mut(tag) else { return };
    call.dialog.refresh(request, hop);
    call.learn_agent(&request.headers);
    call.timing.learn(&request.headers);
    session_timer::arm(cx.core, &mut call.timing, tag, timer, cx.now);
    let builder = responses::ok(&cx.core.settings, request, &tag.to_string(), call.contact.clone());
    let builder = session_timer::response_headers(builder, timer);
    let response = match offer.and_then(|offer| session::apply_offer(cx, tag, &offer)) {
        Some(body) => builder.body("application/sdp", body),
        None => builder.empty(),
    };
    cx.core.transactions.respond(id, response);
}

/// 491 while an offer of ours has no answer (RFC 3311 §5.2). One of the peer's never has none when an UPDATE comes: before
/// our 200 the peer does not know the dialog, and what comes later is answered at once.
fn check_state(cx: &Context<'_>, tag: Tag, offers: bool) -> Result<(), Refusal> {
    let call = cx.calls.get(tag).ok_or(Refusal::new(481))?;
    match call.state {
        CallState::Opening(_) | CallState::Ending(..) => Err(Refusal::new(481)),
        CallState::Answered(_) | CallState::Established if offers && call.is_offering() => Err(Refusal::new(491)),
        CallState::Answered(_) | CallState::Established => Ok(()),
    }
}
