//! REFER to a room: somebody is brought in or sent away, or the room is closed (RFC 3515, RFC 4579 §5.5, §5.11).

use std::time::Instant;

use super::Focus;
use super::calls::{Goodbye, Phase, Tag};
use super::dial_out::{Dialling, Invitation};
use super::merged::InviteOrigin;
use super::refusal::Refusal;
use super::replies::{ALLOW, EVENTS};
use super::report::Origin;
use super::subscriptions::{Leg, SubscriptionId};
use crate::call::{Caller, Dialog, Identity, asks_for_sips};
use crate::facts::Member;
use crate::ids::RoomId;
use crate::shares::Claim;
use crate::transaction::TransactionId;
use parlor_proto::sip::{
    HeaderName, Hop, ReferTo, ReferredMethod, Request, address_text, aor, cseq_number, refer_to, text,
};
use parlor_proto::uri::Aor;

/// A REFER that may be followed.
struct Referral {
    room: RoomId,
    by: Aor,
    account: Option<Aor>,
    reference: ReferTo,
    claim: Claim,
}

impl Focus {
    /// A REFER, in a call or outside of any. Who may not is told at once; for the others a report says what becomes of it.
    pub(super) fn handle_refer(
        &mut self,
        id: &TransactionId,
        request: &Request,
        caller: &Caller,
        within: Option<Tag>,
        hop: Hop,
        now: Instant,
    ) {
        let tag = within.unwrap_or_else(|| self.new_tag());
        let claim = match within {
            Some(tag) => self.claim_in(tag, request, hop),
            None => self.claim_of(request, caller, hop),
        };
        let silent = text(&request.headers, &HeaderName::ReferSub).is_some_and(|value| is_false(&value));
        let may_report = if silent { Ok(()) } else { self.check_reports(tag, &claim) };
        let accepted = may_report.and_then(|()| self.accept_refer(request, caller, within, tag, hop, &claim, now));
        let (dialog, referral) = match accepted {
            Ok(accepted) => accepted,
            Err(refusal) => return self.refuse(id, request, &refusal),
        };
        let name = self.rooms.get(referral.room).map(|room| room.name.clone());
        let contact = match within.and_then(|tag| self.contact_in(tag)) {
            Some(contact) => Ok(contact),
            None => self.contact(name.as_deref(), asks_for_sips(request), hop),
        };
        let outcome = contact.and_then(|contact| Ok((self.follow(&referral, request, now)?, contact)));
        let (outcome, contact) = match outcome {
            Ok(outcome) => outcome,
            Err(refusal) => {
                self.close_if_empty(referral.room);
                return self.refuse(id, request, &refusal);
            }
        };
        let reply = self.reply(request, 202, &tag.to_string()).header(HeaderName::Contact, contact.clone());
        let reply = reply
            .header(HeaderName::Allow, ALLOW)
            .header(HeaderName::Supported, self.supported())
            .header(HeaderName::AllowEvents, EVENTS)
            .echo(request, &HeaderName::RecordRoute);
        // RFC 4488 §4: no subscription where none is wanted, and the answer says so.
        let reply = if silent { reply.header(HeaderName::ReferSub, "false") } else { reply };
        self.transactions.respond(id, reply.empty());
        if dialog.is_some() {
            self.begin_merging(request, tag, hop, now);
        }
        let report = (!silent).then(|| {
            let origin = match dialog {
                Some(dialog) => {
                    let (sent_by, account) = (self.sent_by(hop), referral.account.clone());
                    let vouched = matches!(caller, Caller::Asserted(_));
                    Origin::Own(Box::new(Leg { dialog, contact, sent_by, account, vouched }))
                }
                None => Origin::Call { number: self.number_of_refer(tag, request) },
            };
            self.open_report(tag, origin, &claim, now)
        });
        self.carry_on(outcome, report, now);
    }

    /// What a REFER asks for, and the dialog that one from outside begins.
    #[allow(clippy::too_many_arguments)]
    fn accept_refer(
        &mut self,
        request: &Request,
        caller: &Caller,
        within: Option<Tag>,
        tag: Tag,
        hop: Hop,
        claim: &Claim,
        now: Instant,
    ) -> Result<(Option<Dialog>, Referral), Refusal> {
        if within.is_some() {
            return Ok((None, self.referral(request, caller, within, claim)?));
        }
        if InviteOrigin::of(request, self.tag_keys).is_some_and(|origin| self.merged.has(origin, now)) {
            return Err(Refusal::new(482).because("Merged Request"));
        }
        let dialog = Dialog::called(request, &tag.to_string(), hop)?;
        Ok((Some(dialog), self.referral(request, caller, None, claim)?))
    }

    /// Who asks for what, in which room, if they may.
    fn referral(
        &mut self,
        request: &Request,
        caller: &Caller,
        within: Option<Tag>,
        claim: &Claim,
    ) -> Result<Referral, Refusal> {
        let reference = refer_to(&request.headers).map_err(|_| Refusal::new(400).because("Not One Refer-To"))?;
        let (room, by, account) = match within.and_then(|tag| self.calls.get(tag)) {
            Some(call) => (Some(call.room), call.member.user.clone(), call.account.clone()),
            None => {
                let name = self.locate(request)?.ok_or(Refusal::new(404))?;
                let Identity { account, member } = self.identity(request, caller, &name)?;
                let who = account.as_ref().unwrap_or(&member.user);
                (self.room_for(&name, who, reference.method, claim)?, member.user, account)
            }
        };
        let room = room.ok_or(Refusal::new(404))?;
        let may = self.rooms.get(room).is_some_and(|room| room.is_moderated_by(&by, account.as_ref()));
        if may {
            Ok(Referral { room, by, account, reference, claim: claim.clone() })
        } else {
            Err(Refusal::new(403).because("Not A Moderator"))
        }
    }

    /// The room of a REFER from outside. One that is not there is made by a moderator who brings somebody in.
    fn room_for(
        &mut self,
        name: &str,
        by: &Aor,
        method: ReferredMethod,
        claim: &Claim,
    ) -> Result<Option<RoomId>, Refusal> {
        if let Some(room) = self.rooms.find(name).filter(|room| room.open) {
            return Ok(Some(room.id));
        }
        let policy = self.settings.rooms.policy(name).ok_or(Refusal::new(404))?;
        let may = crate::call::matches_any(policy.moderators.iter().map(String::as_str), by);
        if method != ReferredMethod::Invite || !may {
            let refusal = if may { Refusal::new(404) } else { Refusal::new(403).because("Not A Moderator") };
            return Err(refusal);
        }
        let (room, _) = self.room_named(name, claim)?;
        if let Some(room) = self.rooms.get_mut(room) {
            room.made_by(by);
        }
        Ok(Some(room))
    }

    fn follow(&mut self, referral: &Referral, request: &Request, now: Instant) -> Result<Outcome, Refusal> {
        match referral.reference.method {
            ReferredMethod::Invite => self.bring(referral, request, now).map(Outcome::Called),
            ReferredMethod::Bye => self.find(referral).map(Outcome::SentAway),
            ReferredMethod::Other => Err(Refusal::new(403).because("Only INVITE And BYE Are Referred")),
        }
    }

    fn bring(&mut self, referral: &Referral, request: &Request, now: Instant) -> Result<Tag, Refusal> {
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
        self.dial(invitation, now)
    }

    /// Whom a BYE is meant for: every call of the user in the room, those that are being made too, or the one of them that is named by its Call-ID or its
    /// Contact; everybody, where it is the room itself (RFC 4579 §5.12).
    fn find(&self, referral: &Referral) -> Result<Vec<Tag>, Refusal> {
        let target = &referral.reference.target;
        let user = aor(target).map_err(|_| Refusal::new(416))?;
        let room = self.rooms.get(referral.room).ok_or(Refusal::new(404))?;
        let mut tags = self.calls.tags(Some(referral.room));
        if self.hosts.own(&user) && user.user() == Some(&room.name) {
            tags.extend(self.being_called(referral.room, |_| true));
            return Ok(tags);
        }
        let call_id = referral.reference.call_id.as_deref();
        let meant = |tag: &Tag| {
            let Some(call) = self.calls.get(*tag) else { return false };
            let named =
                call.member.user == user || call.member.identities.contains(&user) || call.dialog.is_with(target);
            named && call_id.is_none_or(|id| call.dialog.call_id() == id)
        };
        let mut found: Vec<Tag> = tags.into_iter().filter(meant).collect();
        found.extend(self.being_called(referral.room, |dialling| {
            dialling.invitation.member.user == user && call_id.is_none_or(|id| dialling.call_id() == id)
        }));
        if found.is_empty() { Err(Refusal::new(404).because("Not In The Room")) } else { Ok(found) }
    }

    /// The calls that are being made into a room, of those that are meant.
    fn being_called(&self, room: RoomId, meant: impl Fn(&Dialling) -> bool) -> Vec<Tag> {
        let mut calls: Vec<Tag> = self
            .dialling
            .iter()
            .filter(|(_, dialling)| dialling.invitation.room == room && meant(dialling))
            .map(|(tag, _)| tag)
            .collect();
        calls.sort();
        calls
    }

    fn carry_on(&mut self, outcome: Outcome, report: Option<SubscriptionId>, now: Instant) {
        match outcome {
            // It may have failed by now.
            Outcome::Called(tag) => match (self.dialling.get_mut(tag), report) {
                (Some(dialling), report) => dialling.invitation.report = report,
                (None, Some(report)) => self.report_last(report, 503, "Service Unavailable", now),
                (None, None) => {}
            },
            Outcome::SentAway(tags) => {
                for tag in tags {
                    match self.calls.get(tag).map(|call| &call.phase) {
                        Some(Phase::Opening(_)) => self.unopened(tag, &Refusal::new(403)),
                        Some(_) => self.end(tag, Goodbye { cause: 403, text: "A moderator has ended it" }),
                        // Who is being called is called no more (RFC 3261 §9.1).
                        None => self.give_up_dialling(tag, now),
                    }
                }
                if let Some(report) = report {
                    self.report_last(report, 200, "OK", now);
                }
            }
        }
    }

    /// From the second on, REFERs of a call are told apart by their number (RFC 3515 §2.4.6).
    fn number_of_refer(&mut self, tag: Tag, request: &Request) -> Option<u32> {
        let call = self.calls.get_mut(tag)?;
        let again = std::mem::replace(&mut call.referred, true);
        again.then(|| cseq_number(&request.headers)).flatten()
    }
}

/// What follows from a REFER once it is accepted.
enum Outcome {
    Called(Tag),
    SentAway(Vec<Tag>),
}

/// Who is called by a URI.
pub(super) fn member_of(reference: &ReferTo) -> Result<Member, Refusal> {
    let user = aor(&reference.target).map_err(|_| Refusal::new(416))?;
    let display_name = reference.display_name.as_deref().map(Into::into);
    let identities = [user.clone()].into();
    Ok(Member { user, uri: address_text(&reference.target).into(), display_name, identities, anonymous: false })
}

fn is_false(value: &str) -> bool {
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("false")
}
