//! What a REFER requests, and which calls it concerns.

use crate::call::{Caller, Identity, matches_any};
use crate::facts::Member;
use crate::focus::context::Context;
use crate::focus::lifecycle::room;
use crate::focus::refusal::Refusal;
use crate::focus::store::outgoing::{Invitation, OutgoingCall};
use crate::focus::tag::Tag;
use crate::focus::uac::outgoing;
use crate::focus::uas::{admit, identity};
use crate::ids::RoomId;
use crate::shares::Claim;
use parlor_proto::sip::{HeaderName, ReferTo, ReferredMethod, Request, address_text, aor, refer_to, text};
use parlor_proto::uri::Aor;

/// A REFER that may be followed.
pub struct Referral {
    pub room: RoomId,
    pub by: Aor,
    pub account: Option<Aor>,
    pub reference: ReferTo,
    pub claim: Claim,
}

/// What follows from a REFER once it is accepted.
pub enum Outcome {
    Called(Tag),
    Removed(Vec<Tag>),
}

/// Reads a REFER and checks that its sender is a moderator.
pub fn referral(
    cx: &mut Context<'_>,
    request: &Request,
    caller: &Caller,
    within: Option<Tag>,
    claim: &Claim,
) -> Result<Referral, Refusal> {
    let reference =
        refer_to(&request.headers).map_err(|_| Refusal::new(400).because("Exactly One Refer-To Expected"))?;
    let (room, by, account) = match within.and_then(|tag| cx.calls.get(tag)) {
        Some(call) => (Some(call.room), call.member.user.clone(), call.account.clone()),
        None => {
            let name = admit::locate(cx, request)?.ok_or(Refusal::new(404))?;
            let Identity { account, member } = identity::identity(cx, request, caller, &name)?;
            let who = account.as_ref().unwrap_or(&member.user);
            (room_for(cx, &name, who, reference.method, claim)?, member.user, account)
        }
    };
    let room = room.ok_or(Refusal::new(404))?;
    let may = cx.rooms.get(room).is_some_and(|room| room.is_moderated_by(&by, account.as_ref()));
    if may {
        Ok(Referral { room, by, account, reference, claim: claim.clone() })
    } else {
        Err(Refusal::new(403).because("Not A Moderator"))
    }
}

/// The room of a REFER outside of a call. A moderator who invites a user into a room that does not exist creates it.
fn room_for(
    cx: &mut Context<'_>,
    name: &str,
    by: &Aor,
    method: ReferredMethod,
    claim: &Claim,
) -> Result<Option<RoomId>, Refusal> {
    if let Some(room) = cx.rooms.find(name).filter(|room| room.open) {
        return Ok(Some(room.id));
    }
    let policy = cx.core.settings.rooms.policy(name).ok_or(Refusal::new(404))?;
    let may = matches_any(policy.moderators.iter().map(String::as_str), by);
    if method != ReferredMethod::Invite || !may {
        let refusal = if may { Refusal::new(404) } else { Refusal::new(403).because("Not A Moderator") };
        return Err(refusal);
    }
    let (room, _) = room::find_or_make(cx, name, claim)?;
    if let Some(room) = cx.rooms.get_mut(room) {
        room.set_creator(by);
    }
    Ok(Some(room))
}

pub fn carry_out(cx: &mut Context<'_>, referral: &Referral, request: &Request) -> Result<Outcome, Refusal> {
    match referral.reference.method {
        ReferredMethod::Invite => invite(cx, referral, request).map(Outcome::Called),
        ReferredMethod::Bye => calls_meant(cx, referral).map(Outcome::Removed),
        ReferredMethod::Other => Err(Refusal::new(403).because("Refer-To Method Not Supported")),
    }
}

fn invite(cx: &mut Context<'_>, referral: &Referral, request: &Request) -> Result<Tag, Refusal> {
    let reference = &referral.reference;
    let member = member_of(reference)?;
    let invitation = Invitation {
        room: referral.room,
        target: reference.target.clone(),
        member,
        by: referral.by.clone(),
        claim: referral.claim.clone(),
        referred_by: text(&request.headers, &HeaderName::ReferredBy),
        replaces: reference.replaces.clone(),
        history: None,
        report: None,
    };
    outgoing::start(cx, invitation)
}

/// The calls that a BYE is meant for: every call of the user in the room, invitations too, or the one of them with its Call-ID or its
/// Contact; all calls, where it is the room itself (RFC 4579 §5.12).
fn calls_meant(cx: &Context<'_>, referral: &Referral) -> Result<Vec<Tag>, Refusal> {
    let target = &referral.reference.target;
    let user = aor(target).map_err(|_| Refusal::new(416))?;
    let room = cx.rooms.get(referral.room).ok_or(Refusal::new(404))?;
    let mut tags = cx.calls.tags(Some(referral.room));
    if cx.core.hosts.own(&user) && user.user() == Some(&room.name) {
        tags.extend(outgoing_to(cx, referral.room, |_| true));
        return Ok(tags);
    }
    let call_id = referral.reference.call_id.as_deref();
    let meant = |tag: &Tag| {
        let Some(call) = cx.calls.get(*tag) else { return false };
        let named = call.member.user == user || call.member.identities.contains(&user) || call.dialog.is_with(target);
        named && call_id.is_none_or(|id| call.dialog.call_id() == id)
    };
    let mut found: Vec<Tag> = tags.into_iter().filter(meant).collect();
    found.extend(outgoing_to(cx, referral.room, |outgoing| {
        outgoing.invitation.member.user == user && call_id.is_none_or(|id| outgoing.call_id() == id)
    }));
    if found.is_empty() { Err(Refusal::new(404).because("Not In The Room")) } else { Ok(found) }
}

/// The calls that are being made into a room, of those that are meant.
fn outgoing_to(cx: &Context<'_>, room: RoomId, meant: impl Fn(&OutgoingCall) -> bool) -> Vec<Tag> {
    let mut calls: Vec<Tag> = cx
        .outgoing
        .iter()
        .filter(|(_, outgoing)| outgoing.invitation.room == room && meant(outgoing))
        .map(|(tag, _)| tag)
        .collect();
    calls.sort();
    calls
}

/// The member that a Refer-To URI names.
fn member_of(reference: &ReferTo) -> Result<Member, Refusal> {
    let user = aor(&reference.target).map_err(|_| Refusal::new(416))?;
    let display_name = reference.display_name.as_deref().map(Into::into);
    let identities = [user.clone()].into();
    Ok(Member { user, uri: address_text(&reference.target).into(), display_name, identities, anonymous: false })
}

pub fn is_false(value: &str) -> bool {
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("false")
}
