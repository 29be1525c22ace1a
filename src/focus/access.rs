//! Access control: who may join a room.

use crate::call::{Identity, matches_any};
use crate::facts::{Member, RoomPolicy};
use crate::focus::context::Context;
use crate::focus::refusal::Refusal;
use crate::shares::Claim;
use parlor_proto::uri::Aor;

/// Checks a user against the allow and deny patterns of a room.
pub fn check_room_patterns(cx: &Context<'_>, name: &str, who: &Identity) -> Result<(), Refusal> {
    let room = cx.rooms.find(name);
    let policy = cx.core.settings.rooms.policy(name).or(room.map(|room| &room.policy));
    check_patterns(policy.ok_or(Refusal::new(404))?, &who.member, who.account.as_ref())
}

/// Checks whether a user may join a room. Where the room does not exist, it is created at the expense of `maker`.
pub fn check_room(
    cx: &Context<'_>,
    name: &str,
    member: &Member,
    account: Option<&Aor>,
    maker: Option<&Claim>,
) -> Result<(), Refusal> {
    let room = cx.rooms.find(name);
    let Some(policy) = cx.core.settings.rooms.policy(name).or(room.map(|room| &room.policy)) else {
        return Err(Refusal::new(404));
    };
    check_patterns(policy, member, account)?;
    let Some(room) = room else {
        let place = maker.is_some_and(|maker| cx.rooms.shares.has_room(maker, 1));
        return if place { Ok(()) } else { Err(Refusal::later(60)) };
    };
    let here = room.has(&member.user) || account.is_some_and(|account| room.has_account(account));
    if here && !policy.simultaneous_access {
        return Err(Refusal::new(403).because("Already In The Room").by("simultaneous_access"));
    }
    if room.has(&member.user) {
        return Ok(());
    }
    let full = policy.max_participants > 0 && room.users() >= policy.max_participants;
    if full { Err(Refusal::new(486).because("Room Is Full").by("max_participants")) } else { Ok(()) }
}

/// Patterns match the account, not the alias that others see; an anonymous user is refused with 433 (RFC 5079).
fn check_patterns(policy: &RoomPolicy, member: &Member, account: Option<&Aor>) -> Result<(), Refusal> {
    let covers =
        |patterns: &[String]| matches_any(patterns.iter().map(String::as_str), account.unwrap_or(&member.user));
    let allowed = policy.allow.is_empty() || covers(&policy.allow);
    let rule = match () {
        () if !allowed => "allow",
        () if covers(&policy.deny) => "deny",
        () => return Ok(()),
    };
    let status = if account.is_none() { 433 } else { 403 };
    Err(Refusal::new(status).by(rule))
}
