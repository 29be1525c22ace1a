//! Whether a new dialog can be taken at all.

use crate::focus::context::Context;
use crate::focus::refusal::Refusal;
use crate::focus::store::merged::{RequestKey, merge_window};
use crate::focus::tag::Tag;
use crate::limits::ROOM_NAME_BYTES_MAX;
use crate::shares::Claim;
use parlor_proto::sip::{Hop, Request, aor};
use parlor_proto::uri::{Aor, UriError};

pub fn check_load(cx: &mut Context<'_>, claim: &Claim) -> Result<(), Refusal> {
    if cx.admission.draining {
        return Err(Refusal::later(60).because("Server Is Ending"));
    }
    if !cx.calls.shares.has_room(claim, 1) {
        return Err(Refusal::later(10));
    }
    if cx.admission.throttle.take(claim, cx.now) { Ok(()) } else { Err(Refusal::later(1)) }
}

/// The room that a Request-URI names; `None` where it names the server itself.
pub fn locate(cx: &Context<'_>, request: &Request) -> Result<Option<String>, Refusal> {
    let target: Aor = aor(&request.uri).map_err(|error| match error {
        UriError::Scheme => Refusal::new(416),
        _ => Refusal::new(404),
    })?;
    if !cx.core.hosts.own(&target) {
        return Err(Refusal::not_our_domain(&target));
    }
    let Some(name) = target.user() else { return Ok(None) };
    if name.len() > ROOM_NAME_BYTES_MAX {
        return Err(Refusal::new(414));
    }
    let known = cx.rooms.find(name).is_some() || cx.core.settings.rooms.policy(name).is_some();
    if known { Ok(Some(name.to_owned())) } else { Err(Refusal::new(404).by("rooms.on_demand")) }
}

/// 482 for a request that has come already by another way (RFC 3261 §8.2.2.2).
pub fn check_merged(cx: &Context<'_>, request: &Request) -> Result<(), Refusal> {
    let origin = RequestKey::of(request, cx.core.tag_keys).ok_or(Refusal::new(400))?;
    let merged = cx.admission.merged.has(origin, cx.now);
    if merged { Err(Refusal::new(482).because("Merged Request")) } else { Ok(()) }
}

/// A request has begun a dialog: one that comes by another way while its transaction lasts is merged.
pub fn begin_merging(cx: &mut Context<'_>, request: &Request, tag: Tag, hop: Hop) {
    if let Some(origin) = RequestKey::of(request, cx.core.tag_keys) {
        cx.admission.merged.begin(origin, tag, cx.now, cx.now + merge_window(&request.method, hop));
    }
}
