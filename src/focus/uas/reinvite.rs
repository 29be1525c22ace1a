//! INVITEs within a call (RFC 3261 §14.2).

use crate::focus::context::Context;
use crate::focus::lifecycle::{session, session_timer};
use crate::focus::media::{description, negotiation};
use crate::focus::refusal::Refusal;
use crate::focus::store::call_state::CallState;
use crate::focus::tag::Tag;
use crate::focus::uas::accept;
use crate::focus::{dialogs, responses};
use crate::transaction::TransactionId;
use parlor_proto::sdp::Direction;
use parlor_proto::sip::{HeaderName, Hop, Request};

/// The Retry-After of a re-INVITE that comes too early is less than this, in seconds (RFC 3261 §14.2: from 0 to 10).
const RETRY_SECONDS_END: u64 = 11;

/// A re-INVITE. What cannot be taken leaves the call as it was.
pub fn handle(cx: &mut Context<'_>, id: &TransactionId, request: &Request, tag: Tag, hop: Hop) {
    let name = dialogs::room_of(cx, tag);
    let checked = check_state(cx, tag).and_then(|()| {
        let timer = session_timer::negotiate(&cx.core.settings, request)?;
        Ok((timer, negotiation::offer_of(cx, request, &name, hop)?))
    });
    let (timer, offer) = match checked {
        Ok(checked) => checked,
        Err(refusal) => return responses::refuse(cx, id, request, &refusal),
    };
    let Some(call) = cx.calls.get_mut(tag) else { return };
    call.dialog.refresh(request, hop);
    call.learn_agent(&request.headers);
    let body = match &offer {
        Some(offer) => session::apply_offer(cx, tag, offer),
        // Our offer then, in the 200: the answer comes with the ACK (RFC 3261 §13.3.1.4).
        None => description::describe_offer(cx, tag, Direction::default()),
    };
    if let Some(body) = body {
        accept::send_in_dialog(cx, (id, request), tag, timer, body, offer.is_none());
    }
}

/// 491 while an offer of ours has no answer (glare), 500 while the first INVITE has none (RFC 3261 §14.2, RFC 3264 §4).
fn check_state(cx: &mut Context<'_>, tag: Tag) -> Result<(), Refusal> {
    let call = cx.calls.get(tag).ok_or(Refusal::new(481))?;
    match call.state {
        _ if call.is_offering() => Err(Refusal::new(491)),
        CallState::Ending(..) => Err(Refusal::new(481)),
        CallState::Opening(_) => {
            let seconds = cx.core.random() % RETRY_SECONDS_END;
            Err(Refusal::new(500).with(HeaderName::RetryAfter, seconds.to_string()))
        }
        CallState::Answered(_) | CallState::Established => Ok(()),
    }
}
