//! OPTIONS (RFC 3261 §11.2).

use crate::call::{Caller, Identity};
use crate::focus::context::Context;
use crate::focus::media::description;
use crate::focus::refusal::Refusal;
use crate::focus::tag::Tag;
use crate::focus::uas::{admit, claims, identity};
use crate::focus::{access, dialogs, headers, responses};
use crate::transaction::TransactionId;
use parlor_proto::sip::{HeaderName, Hop, Request, Response, accepts_media_type, is_sips};

pub fn handle(cx: &mut Context<'_>, id: &TransactionId, request: &Request, caller: &Caller, hop: Hop) {
    if cx.admission.draining {
        return responses::refuse(cx, id, request, &Refusal::later(60));
    }
    let room = match would_admit(cx, request, caller, hop) {
        Ok(room) => room,
        Err(refusal) => return responses::refuse(cx, id, request, &refusal),
    };
    let tag = cx.core.stateless_tag(&request.headers);
    let contact = match headers::contact(&cx.core.settings, room.as_deref(), is_sips(&request.uri), hop) {
        Ok(contact) => contact,
        Err(refusal) => return responses::refuse(cx, id, request, &refusal),
    };
    let response = response(cx, request, &tag, contact, room.as_deref(), hop);
    cx.core.transactions.respond_without_state(id, response);
}

pub fn handle_in_dialog(cx: &mut Context<'_>, id: &TransactionId, request: &Request, tag: Tag, hop: Hop) {
    let Some(contact) = dialogs::contact_in(cx, tag) else { return };
    let room = Some(dialogs::room_of(cx, tag)).filter(|name| !name.is_empty());
    let response = response(cx, request, &tag.to_string(), contact, room.as_deref(), hop);
    cx.core.transactions.respond(id, response);
}

/// The room that an OPTIONS asks about, where an INVITE in its place would be let in (RFC 3261 §11.2); `None` where it asks
/// about the server.
fn would_admit(cx: &mut Context<'_>, request: &Request, caller: &Caller, hop: Hop) -> Result<Option<String>, Refusal> {
    let Some(room) = admit::locate(cx, request)? else { return Ok(None) };
    let Identity { account, member } = identity::identity(cx, request, caller, &room)?;
    let claim = claims::claim_of(cx, request, caller, hop);
    access::check_room(cx, &room, &member, account.as_ref(), Some(&claim))?;
    Ok(Some(room))
}

/// The answer to an OPTIONS (RFC 3261 §11.2), with what a room takes where it is about one.
fn response(
    cx: &mut Context<'_>,
    request: &Request,
    tag: &str,
    contact: String,
    room: Option<&str>,
    hop: Hop,
) -> Response {
    let takes_sdp =
        request.headers.get(&HeaderName::Accept).is_none() || accepts_media_type(&request.headers, "application/sdp");
    let description = room.filter(|_| takes_sdp).and_then(|room| description::capabilities_of(cx, room, hop));
    let builder =
        responses::ok(&cx.core.settings, request, tag, contact).header(HeaderName::AcceptEncoding, "identity");
    let builder = builder.header(HeaderName::AcceptLanguage, "*");
    match description {
        Some(description) => builder.body("application/sdp", description),
        None => builder.empty(),
    }
}
