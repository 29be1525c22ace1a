//! Who may join, and whether the call can be taken at all.

use std::time::Instant;

use super::Focus;
use super::awareness::is_of_aware;
use super::calls::Tag;
use super::merged::InviteOrigin;
use super::refusal::Refusal;
use crate::call::{Caller, Dialog, Identity, asks_for_sips, matches_any};
use crate::facts::{Member, RoomPolicy};
use crate::limits::ROOM_NAME_BYTES_MAX;
use crate::shares::Claim;
use parlor_proto::sdp::{Description, MessageMedia};
use parlor_proto::sip::{Hop, Recipient, Request, aor};
use parlor_proto::uri::{Aor, UriError};

/// A call that may come in.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) room: String,
    pub(super) tag: Tag,
    pub(super) dialog: Dialog,
    /// Our Contact in it.
    pub(super) contact: String,
    pub(super) member: Member,
    pub(super) account: Option<Aor>,
    pub(super) vouched: bool,
    pub(super) aware: bool,
    pub(super) offer: Option<(Description, MessageMedia)>,
    /// Who is charged with it.
    pub(super) claim: Claim,
    /// Whom else the caller wants in the room.
    pub(super) listed: Vec<Recipient>,
}

impl Focus {
    pub(super) fn admit(
        &mut self,
        request: &Request,
        caller: &Caller,
        hop: Hop,
        now: Instant,
    ) -> Result<Admitted, Refusal> {
        if self.descriptors_short {
            return Err(Refusal::later(10).because("No Connections Left"));
        }
        let claim = self.claim_of(request, caller, hop);
        self.check_load(&claim, now)?;
        let room = self.locate(request)?.ok_or(Refusal::new(404))?;
        let origin = InviteOrigin::of(request, self.tag_keys).ok_or(Refusal::new(400))?;
        if self.merged.has(origin, now) {
            return Err(Refusal::new(482).because("Merged Request"));
        }
        let tag = self.new_tag();
        let dialog = Dialog::called(request, &tag.to_string(), hop)?;
        let contact = self.contact(Some(&room), asks_for_sips(request), hop)?;
        self.check_interval(request)?;
        let offer = self.offer_of(request, &room, hop)?;
        let Identity { account, member } = self.identity(request, caller, &room)?;
        self.check_room(&room, &member, account.as_ref(), Some(&claim))?;
        let listed = self.listed(request, &room, &member.user, account.as_ref())?;
        let vouched = matches!(caller, Caller::Asserted(_));
        let aware = is_of_aware(&request.headers);
        Ok(Admitted { room, tag, dialog, contact, member, account, vouched, aware, offer, claim, listed })
    }

    /// The room that an OPTIONS asks about, where an INVITE in its place would be let in (RFC 3261 §11.2); `None` where it asks
    /// about the server.
    pub(super) fn would_admit(
        &mut self,
        request: &Request,
        caller: &Caller,
        hop: Hop,
    ) -> Result<Option<String>, Refusal> {
        let Some(room) = self.locate(request)? else { return Ok(None) };
        let Identity { account, member } = self.identity(request, caller, &room)?;
        let claim = self.claim_of(request, caller, hop);
        self.check_room(&room, &member, account.as_ref(), Some(&claim))?;
        Ok(Some(room))
    }

    pub(super) fn new_tag(&mut self) -> Tag {
        loop {
            let tag = Tag(self.random());
            let taken = self.calls.contains(tag) || self.dialling.contains(tag);
            if !taken && self.subscriptions.leg_mut(tag).is_none() {
                return tag;
            }
        }
    }

    pub(super) fn check_load(&mut self, claim: &Claim, now: Instant) -> Result<(), Refusal> {
        if self.draining {
            return Err(Refusal::later(60).because("Server Is Ending"));
        }
        if !self.calls.shares.has_room(claim, 1) {
            return Err(Refusal::later(10));
        }
        if self.throttle.take(claim, now) { Ok(()) } else { Err(Refusal::later(1)) }
    }

    /// The room that a Request-URI names; `None` where it names the server itself.
    pub(super) fn locate(&self, request: &Request) -> Result<Option<String>, Refusal> {
        let target: Aor = aor(&request.uri).map_err(|error| match error {
            UriError::Scheme => Refusal::new(416),
            _ => Refusal::new(404),
        })?;
        if !self.hosts.own(&target) {
            return Err(Refusal::not_our_domain(&target));
        }
        let Some(name) = target.user() else { return Ok(None) };
        if name.len() > ROOM_NAME_BYTES_MAX {
            return Err(Refusal::new(414));
        }
        let known = self.rooms.find(name).is_some() || self.settings.rooms.policy(name).is_some();
        if known { Ok(Some(name.to_owned())) } else { Err(Refusal::new(404).by("rooms.on_demand")) }
    }

    /// Whether the patterns of a room let somebody in.
    pub(super) fn check_room_patterns(&self, name: &str, who: &Identity) -> Result<(), Refusal> {
        let room = self.rooms.find(name);
        let policy = self.settings.rooms.policy(name).or(room.map(|room| &room.policy));
        check_patterns(policy.ok_or(Refusal::new(404))?, &who.member, who.account.as_ref())
    }

    /// Whether somebody may be in a room. Whoever would make it is `maker`.
    pub(super) fn check_room(
        &self,
        name: &str,
        member: &Member,
        account: Option<&Aor>,
        maker: Option<&Claim>,
    ) -> Result<(), Refusal> {
        let room = self.rooms.find(name);
        let Some(policy) = self.settings.rooms.policy(name).or(room.map(|room| &room.policy)) else {
            return Err(Refusal::new(404));
        };
        check_patterns(policy, member, account)?;
        let Some(room) = room else {
            let place = maker.is_some_and(|maker| self.rooms.shares.has_room(maker, 1));
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
}

/// Patterns are about who it is, not about what the others see; who is nobody is refused for that (RFC 5079).
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
