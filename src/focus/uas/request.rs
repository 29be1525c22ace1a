//! Which request is for what (RFC 3261 §8.2, §12.2.2).

use crate::call::Caller;
use crate::focus::context::Context;
use crate::focus::core::Core;
use crate::focus::headers::{ALLOW, LIST_TAG};
use crate::focus::refusal::Refusal;
use crate::focus::settings::Settings;
use crate::focus::uas::{
    authenticate, bye, cancel, claims, identity, invite, options, refer, reinvite, subscribe, update,
};
use crate::focus::{dialogs, headers, responses};
use crate::transaction::{Arrival, TransactionId};
use parlor_proto::sip::{
    HeaderName, Hop, MalformedRequest, Message, Method, Request, RequestError, ResponseBuilder, add_received,
    check_request, cseq_number, option_tags, response_hop, tag,
};

/// Checks a request and passes it to its transaction. One that is refused here is answered without a transaction.
pub fn receive(cx: &mut Context<'_>, mut request: Request, hop: Hop) -> Option<Arrival> {
    add_received(&mut request.headers, hop.remote);
    let back = response_hop(&request.headers, hop);
    let claim = claims::claim_of_source(cx, &request, hop);
    let refusal = match check_request(&request) {
        Err(RequestError::Unanswerable) => return None,
        Err(RequestError::Refused(status, phrase)) => Some(Refusal::new(status).because(phrase)),
        Ok(()) if cx.core.transactions.contains(&request) => None,
        // What ends a transaction is no load.
        Ok(()) if cx.core.transactions.cancelled(&request).is_some() => None,
        // Nor is a BYE: a forged source address must not keep a user from ending its call.
        Ok(()) if authenticate::ends_call(cx, &request, hop) => None,
        Ok(()) if !cx.core.transactions.has_room(&request, &claim) => Some(Refusal::later(5)),
        Ok(()) => authenticate::lacks_credentials(cx, &request, hop).then(|| authenticate::challenge(cx, false, hop)),
    };
    match refusal {
        None => cx.core.transactions.receive_request(request, back, &claim),
        // RFC 3261 §8.2.7.
        Some(_) if matches!(request.method, Method::Ack | Method::Cancel) => None,
        Some(refusal) => {
            refuse_without_state(cx, &request, back, &refusal);
            None
        }
    }
}

/// Refuses a malformed request without state (RFC 3261 §18.3, RFC 4475 §3.1.2).
pub fn refuse_malformed(core: &mut Core, mut malformed: MalformedRequest, hop: Hop) {
    tracing::debug!(peer = %hop.remote, why = %malformed.error, "malformed request");
    add_received(&mut malformed.headers, hop.remote);
    let tag = core.stateless_tag(&malformed.headers);
    let builder =
        ResponseBuilder::for_headers(&malformed.headers, malformed.status(), &tag).reason(&malformed.reason_phrase());
    let response = builder.header(HeaderName::Server, core.settings.software.clone()).empty();
    core.send(response_hop(&malformed.headers, hop), Message::Response(response).to_bytes());
}

fn refuse_without_state(cx: &mut Context<'_>, request: &Request, hop: Hop, refusal: &Refusal) {
    let tag = cx.core.stateless_tag(&request.headers);
    let response = responses::rejection(&cx.core.settings, request, refusal, &tag);
    cx.core.send(hop, Message::Response(response).to_bytes());
}

pub fn handle(cx: &mut Context<'_>, id: TransactionId, request: Request, hop: Hop) {
    if request.method == Method::Cancel {
        return cancel::handle(cx, &id, &request);
    }
    if let Err(refusal) = check_method(&request).and_then(|()| check_extensions(&cx.core.settings, &request)) {
        return responses::refuse(cx, &id, &request, &refusal);
    }
    let caller = match authenticate::authenticate(cx, &request, hop) {
        Ok(caller) => caller,
        Err(refusal) => return responses::refuse(cx, &id, &request, &refusal),
    };
    if tag(&request.headers, &HeaderName::To).is_some() {
        return handle_in_dialog(cx, &id, &request, &caller, hop);
    }
    match request.method {
        Method::Invite => invite::handle(cx, id, request, &caller, hop),
        Method::Options => options::handle(cx, &id, &request, &caller, hop),
        Method::Subscribe => subscribe::handle(cx, &id, &request, &caller, hop),
        Method::Refer => refer::handle(cx, &id, &request, &caller, None, hop),
        _ => responses::refuse(cx, &id, &request, &Refusal::new(481)),
    }
}

fn handle_in_dialog(cx: &mut Context<'_>, id: &TransactionId, request: &Request, caller: &Caller, hop: Hop) {
    let owner = cx.calls.owner(request).or_else(|| cx.subscriptions.owner(request));
    if request.method == Method::Bye
        && let Some(tag) = cx.byes.owner(request)
    {
        return bye::handle_crossing(cx, id, request, tag);
    }
    let Some(tag) = owner else { return responses::refuse(cx, id, request, &Refusal::new(481)) };
    if let Err(refusal) = identity::check_owner(cx, tag, caller) {
        return responses::refuse(cx, id, request, &refusal);
    }
    let number = cseq_number(&request.headers).unwrap_or_default();
    let in_order = dialogs::dialog_mut(cx, tag).is_some_and(|dialog| dialog.advance(number));
    if !in_order {
        // It is so again when it comes again: nothing is kept of it.
        return responses::refuse_and_forget(cx, id, request, &Refusal::new(500).because("CSeq Out Of Order"));
    }
    match request.method {
        Method::Subscribe => subscribe::handle_in_dialog(cx, id, request, tag, hop),
        Method::Options => options::handle_in_dialog(cx, id, request, tag, hop),
        // A dialog of subscriptions only has no call to change or to end.
        _ if !cx.calls.contains(tag) => responses::refuse(cx, id, request, &Refusal::new(481)),
        Method::Invite => reinvite::handle(cx, id, request, tag, hop),
        Method::Bye => bye::handle(cx, id, request, tag),
        Method::Refer => refer::handle(cx, id, request, caller, Some(tag), hop),
        Method::Update => update::handle(cx, id, request, tag, hop),
        _ => responses::refuse(cx, id, request, &Refusal::new(481)),
    }
}

/// 405 for a known method that is not supported, 501 for an unknown one (RFC 3261 §8.2.1, §21.5.2).
fn check_method(request: &Request) -> Result<(), Refusal> {
    match request.method {
        Method::Invite | Method::Bye | Method::Options | Method::Update => Ok(()),
        Method::Subscribe | Method::Refer => Ok(()),
        Method::Other(_) => Err(Refusal::new(501).with(HeaderName::Allow, ALLOW)),
        _ => Err(Refusal::new(405).with(HeaderName::Allow, ALLOW)),
    }
}

/// 420 names the extensions that are required and not supported (RFC 3261 §8.2.2.3).
fn check_extensions(settings: &Settings, request: &Request) -> Result<(), Refusal> {
    // In a call a list has no meaning (RFC 5366 §5.1).
    let in_call = tag(&request.headers, &HeaderName::To).is_some();
    let known = headers::supported(settings).split(", ").filter(|known| !(in_call && *known == LIST_TAG));
    let mut missing = option_tags(&request.headers, &HeaderName::Require);
    missing.retain(|tag| !known.clone().any(|known| known.eq_ignore_ascii_case(tag)));
    if missing.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(420).with(HeaderName::Unsupported, missing.join(", ")))
}
