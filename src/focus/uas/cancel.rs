//! CANCEL (RFC 3261 §9.2).

use crate::focus::context::Context;
use crate::focus::lifecycle::leave;
use crate::focus::refusal::Refusal;
use crate::focus::responses;
use crate::focus::store::merged::RequestKey;
use crate::focus::tag::Tag;
use crate::transaction::TransactionId;
use parlor_proto::sip::{Method, Request};

/// Cancels an INVITE that has no final response yet (RFC 3261 §9.2). Every other CANCEL has no effect.
pub fn handle(cx: &mut Context<'_>, id: &TransactionId, request: &Request) {
    let invite = cx.core.transactions.cancelled(request);
    if invite.is_none() && !cx.core.transactions.cancels_other_request(request) {
        return responses::refuse(cx, id, request, &Refusal::new(481));
    }
    let opening = invite.and_then(|invite| cx.calls.of_invite(&invite));
    // It has the Call-ID, From and number of what it cancels, and its answer the same tag.
    let known = [Method::Invite, Method::Subscribe, Method::Refer].iter().find_map(|method| {
        let origin = RequestKey::of_method(request, method, cx.core.tag_keys)?;
        cx.admission.merged.begun_by(origin)
    });
    let own = known.unwrap_or(Tag(cx.core.random())).to_string();
    let response = responses::builder(&cx.core.settings, request, 200, &own).empty();
    cx.core.transactions.respond(id, response);
    if let Some(tag) = opening {
        leave::detach(cx, tag);
        if let Some(opening) = leave::remove(cx, tag).and_then(|call| call.state.into_opening()) {
            responses::refuse_invite(cx, &opening, &Refusal::new(487), &own);
        }
    }
}
