//! What our responses have in common.

use crate::focus::context::Context;
use crate::focus::headers::{ALLOW, EVENTS};
use crate::focus::refusal::Refusal;
use crate::focus::settings::Settings;
use crate::focus::store::call_state::Opening;
use crate::focus::store::merged::RequestKey;
use crate::focus::{dialogs, headers};
use crate::transaction::TransactionId;
use parlor_proto::sip::{HeaderName, Request, Response, ResponseBuilder};

/// Refuses a request. Where it is of no dialog of ours, whatever tag it has, that takes no state: the same request again is
/// refused again, with the same tag (RFC 3261 §8.2.7).
pub fn refuse(cx: &mut Context<'_>, id: &TransactionId, request: &Request, refusal: &Refusal) {
    let own = cx.core.stateless_tag(&request.headers);
    if dialogs::is_in_dialog(cx, request) {
        return refuse_as(cx, id, request, refusal, &own);
    }
    refuse_and_forget(cx, id, request, refusal);
}

/// Refuses a request and keeps nothing of it.
pub fn refuse_and_forget(cx: &mut Context<'_>, id: &TransactionId, request: &Request, refusal: &Refusal) {
    let own = cx.core.stateless_tag(&request.headers);
    refusal.log(request);
    let response = rejection(&cx.core.settings, request, refusal, &own);
    cx.core.transactions.respond_without_state(id, response);
}

pub fn refuse_as(cx: &mut Context<'_>, id: &TransactionId, request: &Request, refusal: &Refusal, tag: &str) {
    refusal.log(request);
    let response = rejection(&cx.core.settings, request, refusal, tag);
    cx.core.transactions.respond(id, response);
}

/// The INVITE of a call is refused after all.
pub fn refuse_invite(cx: &mut Context<'_>, opening: &Opening, refusal: &Refusal, tag: &str) {
    if let Some(origin) = RequestKey::of(&opening.request, cx.core.tag_keys) {
        cx.admission.merged.forget(origin);
    }
    refuse_as(cx, &opening.invite, &opening.request, refusal, tag);
}

pub fn rejection(settings: &Settings, request: &Request, refusal: &Refusal, tag: &str) -> Response {
    let mut builder = builder(settings, request, refusal.status, tag);
    if let Some(phrase) = &refusal.phrase {
        builder = builder.reason(phrase);
    }
    for (name, value) in refusal.headers.iter().cloned() {
        builder = builder.header(name, value);
    }
    builder.empty()
}

pub fn builder(settings: &Settings, request: &Request, status: u16, tag: &str) -> ResponseBuilder {
    ResponseBuilder::new(request, status, tag).header(HeaderName::Server, settings.software.clone())
}

/// A 200 that says what we can: Allow, Supported, Accept (RFC 3261 §11.2, §13.3.1.4) and Allow-Events
/// (RFC 6665 §4.4.4).
pub fn ok(settings: &Settings, request: &Request, tag: &str, contact: String) -> ResponseBuilder {
    builder(settings, request, 200, tag)
        .header(HeaderName::Contact, contact)
        .header(HeaderName::Allow, ALLOW)
        .header(HeaderName::Supported, headers::supported(settings))
        .header(HeaderName::Accept, "application/sdp")
        .header(HeaderName::AllowEvents, EVENTS)
}
