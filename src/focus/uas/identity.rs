//! The user that a request is from.

use crate::call::{Caller, Identity, IdentityError, Privacy, identify};
use crate::focus::context::Context;
use crate::focus::refusal::Refusal;
use crate::focus::tag::Tag;
use parlor_proto::sip::{Request, aor};
use parlor_proto::uri::Aor;

/// The user that a request to a room is from, and the member that it would join as.
pub fn identity(cx: &mut Context<'_>, request: &Request, caller: &Caller, room: &str) -> Result<Identity, Refusal> {
    let unmet = Privacy::of(&request.headers).unmet;
    if !unmet.is_empty() {
        // RFC 3323 §5: the phrase names what is not there.
        let named: String = unmet.join(", ").chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(100).collect();
        return Err(Refusal::new(500).because(format!("Privacy Failure: {named}")));
    }
    let unique = cx.core.random();
    let room = cx.rooms.find(room);
    let is_free = |address: &Aor| room.is_none_or(|room| !room.has(address));
    identify(request, caller, &cx.core.settings.domains, unique, is_free).map_err(|error| match error {
        IdentityError::NotYours => Refusal::new(403).because("Not Your Address"),
        IdentityError::Malformed | IdentityError::Scheme => Refusal::new(403).because("Unknown Caller"),
    })
}

/// A request within a dialog must be of the user whose dialog it is. Without authentication that is not known.
pub fn check_owner(cx: &Context<'_>, tag: Tag, caller: &Caller) -> Result<(), Refusal> {
    let account = cx.calls.account(tag).or_else(|| cx.subscriptions.account(tag));
    let Some(account) = account else { return Ok(()) };
    let own = match caller {
        Caller::Claimed | Caller::Vouched => true,
        Caller::Authenticated(name) => {
            cx.core.settings.domains.iter().any(|domain| Aor::new(name, domain).as_ref() == Ok(account))
        }
        Caller::Asserted(all) => all.iter().any(|address| aor(&address.uri).as_ref() == Ok(account)),
    };
    if own { Ok(()) } else { Err(Refusal::new(403).because("Not Your Call")) }
}
