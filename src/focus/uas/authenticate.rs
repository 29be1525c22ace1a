//! Which requests need a password, and how they are authenticated (RFC 3261 §22.2, RFC 3325 §8).
//!
//! With `[sip.auth]`, everything is challenged but ACK and CANCEL, which must not be (RFC 3261 §22.1), and an OPTIONS to the server
//! itself, by which proxies see that it is alive; one to a room is, since it is answered as an INVITE would be (§11.2). A request
//! without credentials is answered without keeping anything of it (§26.3.2.4). What a trusted peer asserts stands in place of a
//! password.

use std::net::{IpAddr, Ipv4Addr};

use crate::call::{AuthError, Caller, RequestSource, asserted};
use crate::focus::context::Context;
use crate::focus::refusal::Refusal;
use crate::focus::settings::Settings;
use crate::focus::store::merged::RequestKey;
use parlor_proto::sip::{HeaderName, Hop, Method, Request, aor, tag, uri};
use parlor_proto::uri::Aor;

/// Whether a request is to be challenged before a transaction is created for it.
pub fn lacks_credentials(cx: &Context<'_>, request: &Request, hop: Hop) -> bool {
    let Some(authenticator) = &cx.admission.authenticator else { return false };
    needs_password(cx, request, hop) && !authenticator.has_credentials(request)
}

/// The refusal that asks for credentials.
pub fn challenge(cx: &mut Context<'_>, stale: bool, hop: Hop) -> Refusal {
    let source = challenge_source(cx, hop);
    let values =
        cx.admission.authenticator.as_mut().map(|all| all.challenge(stale, source, cx.now)).unwrap_or_default();
    values.into_iter().fold(Refusal::new(401), |refusal, value| refusal.with(HeaderName::WwwAuthenticate, value))
}

/// Whether a request is the BYE of a call and needs no password.
pub fn ends_call(cx: &Context<'_>, request: &Request, hop: Hop) -> bool {
    request.method == Method::Bye
        && (cx.calls.owner(request).is_some() || cx.byes.owner(request).is_some())
        && !needs_password(cx, request, hop)
}

/// Authenticates a request.
pub fn authenticate(cx: &mut Context<'_>, request: &Request, hop: Hop) -> Result<Caller, Refusal> {
    let is_trusted = is_trusted(&cx.core.settings, hop);
    let asserted = if is_trusted { asserted(request) } else { Vec::new() };
    if !asserted.is_empty() {
        return Ok(Caller::Asserted(asserted));
    }
    if !needs_password(cx, request, hop) {
        return Ok(if is_trusted { Caller::Vouched } else { Caller::Claimed });
    }
    // An INVITE that came by two ways has the same credentials twice: it is merged, not replayed (RFC 3261 §8.2.2.2).
    let is_new = tag(&request.headers, &HeaderName::To).is_none();
    if is_new && RequestKey::of(request, cx.core.tag_keys).is_some_and(|origin| cx.admission.merged.has(origin, cx.now))
    {
        return Err(Refusal::new(482).because("Merged Request"));
    }
    verify(cx, request, hop)
}

fn verify(cx: &mut Context<'_>, request: &Request, hop: Hop) -> Result<Caller, Refusal> {
    let source = challenge_source(cx, hop);
    let Some(authenticator) = &mut cx.admission.authenticator else { return Ok(Caller::Claimed) };
    let place = (!source.is_unspecified()).then_some(hop.remote);
    match authenticator.verify(request, RequestSource { source, place }, cx.now) {
        Ok(name) => {
            check_digest_uri(cx, request)?;
            Ok(Caller::Authenticated(name))
        }
        Err(AuthError::NoCredentials) => Err(challenge(cx, false, hop)),
        Err(AuthError::Stale) => Err(challenge(cx, true, hop)),
        Err(AuthError::Malformed) => Err(Refusal::new(400).because("Bad Authorization")),
        Err(AuthError::WrongPassword) => {
            tracing::info!(source = %hop.remote.ip(), user = user_named(cx, request), "a wrong password");
            Err(challenge(cx, false, hop))
        }
        Err(AuthError::RateLimited) => {
            if let Some(times) = cx.admission.authenticator.as_mut().and_then(|all| all.rate_limit_to_log(cx.now)) {
                let user = user_named(cx, request);
                tracing::warn!(source = %hop.remote.ip(), user, times, "too many wrong passwords");
            }
            Err(Refusal::new(403).because("Too Many Wrong Passwords"))
        }
    }
}

/// The source that is challenged. Trusted proxies are one: a request and the answer to its challenge may come by different
/// ones.
fn challenge_source(cx: &Context<'_>, hop: Hop) -> IpAddr {
    if is_trusted(&cx.core.settings, hop) { Ipv4Addr::UNSPECIFIED.into() } else { hop.remote.ip() }
}

/// The user that credentials name, for the log.
fn user_named(cx: &Context<'_>, request: &Request) -> Option<String> {
    cx.admission.authenticator.as_ref().and_then(|all| all.user_named(request))
}

fn needs_password(cx: &Context<'_>, request: &Request, hop: Hop) -> bool {
    let required = match request.method {
        Method::Ack | Method::Cancel => false,
        Method::Options => aor(&request.uri).is_ok_and(|target| target.user().is_some()),
        _ => true,
    };
    required
        && cx.admission.authenticator.is_some()
        && !is_vouched_for(cx, request, hop)
        && !is_of_called(cx, request)
        && !crosses_our_bye(cx, request)
}

/// Whether it is from a user that we have called. It need not have a password here, and knows the dialog only because
/// it was called.
fn is_of_called(cx: &Context<'_>, request: &Request) -> bool {
    cx.calls.owner(request).and_then(|tag| cx.calls.get(tag)).is_some_and(|call| call.timing.caller)
}

/// Whether it is a BYE that crosses ours: it changes nothing, and its sender knows the dialog.
fn crosses_our_bye(cx: &Context<'_>, request: &Request) -> bool {
    request.method == Method::Bye && cx.byes.owner(request).is_some()
}

/// Whether a trusted peer asserts the sender, or forwards the request in a dialog that began with an assertion.
fn is_vouched_for(cx: &Context<'_>, request: &Request, hop: Hop) -> bool {
    is_trusted(&cx.core.settings, hop)
        && (!asserted(request).is_empty()
            || cx.calls.owner(request).is_some_and(|tag| cx.calls.is_vouched(tag))
            || cx.subscriptions.owner(request).is_some_and(|tag| cx.subscriptions.is_vouched(tag)))
}

pub fn is_trusted(settings: &Settings, hop: Hop) -> bool {
    let source = hop.remote.ip();
    settings.trusted_peers.iter().any(|network| network.contains(source))
}

/// The URI of a digest need not be the Request-URI, which proxies change, but
/// has to name the same user at a host of ours (RFC 8760 §2.6, point 6; RFC 7616 §3.4.6).
fn check_digest_uri(cx: &Context<'_>, request: &Request) -> Result<(), Refusal> {
    let made_for = cx.admission.authenticator.as_ref().and_then(|all| all.digest_uri(request)).unwrap_or_default();
    if made_for.as_bytes() == &request.uri.to_bytes()[..] {
        return Ok(());
    }
    let named = uri(&made_for).and_then(|uri| aor(&uri).ok()).filter(|named| cx.core.hosts.own(named));
    let requested = aor(&request.uri).ok();
    let same = |named: &Aor| requested.as_ref().is_some_and(|requested| requested.user() == named.user());
    if named.as_ref().is_some_and(same) { Ok(()) } else { Err(Refusal::new(400).because("Digest For Another URI")) }
}
