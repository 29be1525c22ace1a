//! BYE (RFC 3261 §15.1.2).

use crate::focus::context::Context;
use crate::focus::lifecycle::leave;
use crate::focus::refusal::Refusal;
use crate::focus::responses;
use crate::focus::tag::Tag;
use crate::transaction::TransactionId;
use parlor_proto::sip::Request;

/// The peer hangs up (RFC 3261 §15.1.2).
pub fn handle(cx: &mut Context<'_>, id: &TransactionId, request: &Request, tag: Tag) {
    let response = responses::builder(&cx.core.settings, request, 200, &tag.to_string()).empty();
    cx.core.transactions.respond(id, response);
    if let Some(call) = cx.calls.get(tag) {
        let room = cx.rooms.get(call.room).map(|room| tracing::field::display(&room.name));
        tracing::info!(call = %tag, room, user = %call.member.user, "the peer hung up");
    }
    leave::detach(cx, tag);
    // An INVITE without a final response ends with its dialog.
    if let Some(opening) = leave::remove(cx, tag).and_then(|call| call.state.into_opening()) {
        responses::refuse_invite(cx, &opening, &Refusal::new(487), &tag.to_string());
    }
}

/// The peer's BYE has crossed ours: the dialog that both are about was there when it was sent (RFC 3261 §15.1.2).
pub fn handle_crossing(cx: &mut Context<'_>, id: &TransactionId, request: &Request, tag: Tag) {
    let response = responses::builder(&cx.core.settings, request, 200, &tag.to_string()).empty();
    cx.core.transactions.respond(id, response);
}
