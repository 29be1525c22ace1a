//! To whose share of the common limits a request counts.

use std::net::IpAddr;

use crate::call::Caller;
use crate::focus::context::Context;
use crate::focus::tag::Tag;
use crate::focus::uas::authenticate;
use crate::shares::{Claim, Holder, Reach, network};
use parlor_proto::sip::{Hop, Request};

/// The holder that a request counts for while only its source is known. The source is not forged if the request comes over a
/// stream, repeats what only its receiver knows (a nonce, our tag of a dialog), or holds a share already.
pub fn claim_of_source(cx: &Context<'_>, request: &Request, hop: Hop) -> Claim {
    let source = hop.remote.ip();
    let holder = Holder::of(source);
    let is_proved = || {
        let was_challenged =
            cx.admission.authenticator.as_ref().is_some_and(|all| all.was_challenged_at(request, source));
        was_challenged
            || is_in_dialog_from(cx, request, source)
            || cx.core.transactions.proves(&holder)
            || cx.calls.shares.proves(&holder)
    };
    let reach = match () {
        () if authenticate::is_trusted(&cx.core.settings, hop) => Reach::Trusted,
        () if hop.transport.is_reliable() || is_proved() => Reach::Proved,
        () => Reach::Unproved,
    };
    Claim { holder, reach }
}

/// The holder that a request counts for: the authenticated user, or else the source.
pub fn claim_of(cx: &Context<'_>, request: &Request, caller: &Caller, hop: Hop) -> Claim {
    match caller {
        Caller::Authenticated(name) => Claim { holder: Holder::User(name.as_str().into()), reach: Reach::Proved },
        _ => claim_of_source(cx, request, hop),
    }
}

/// The holder that a request within a dialog counts for: that of the dialog.
pub fn claim_in(cx: &Context<'_>, tag: Tag, request: &Request, hop: Hop) -> Claim {
    let known = cx.calls.claim(tag).or_else(|| cx.subscriptions.claim(tag)).cloned();
    known.unwrap_or_else(|| claim_of_source(cx, request, hop))
}

/// Whether a request belongs to a dialog whose peer is in the network that it comes from.
fn is_in_dialog_from(cx: &Context<'_>, request: &Request, source: IpAddr) -> bool {
    let of_call = cx.calls.owner(request).and_then(|tag| cx.calls.get(tag)).map(|call| call.dialog.hop());
    let peer = of_call.or_else(|| cx.subscriptions.hop(cx.subscriptions.owner(request)?));
    peer.is_some_and(|peer| network(peer.remote.ip()) == network(source))
}
