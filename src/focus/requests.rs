//! Which request is for what (RFC 3261 §8.2, §12.2.2).

use std::time::Instant;

use super::Focus;
use super::calls::{Opening, Phase, Tag};
use super::merged::{InviteOrigin, merged_within};
use super::refusal::Refusal;
use super::replies::ALLOW;
use crate::call::Caller;
use crate::transaction::TransactionId;
use parlor_proto::sip::{HeaderName, Hop, Method, Request, cseq_number, is_sips, tag};

impl Focus {
    pub(super) fn handle_request(&mut self, id: TransactionId, request: Request, hop: Hop, now: Instant) {
        if request.method == Method::Cancel {
            return self.handle_cancel(&id, &request);
        }
        if let Err(refusal) = check_method(&request).and_then(|()| self.check_extensions(&request)) {
            return self.refuse(&id, &request, &refusal);
        }
        let caller = match self.authenticate(&request, hop, now) {
            Ok(caller) => caller,
            Err(refusal) => return self.refuse(&id, &request, &refusal),
        };
        if tag(&request.headers, &HeaderName::To).is_some() {
            return self.handle_in_dialog(&id, &request, &caller, hop, now);
        }
        match request.method {
            Method::Invite => self.handle_join(id, request, &caller, hop, now),
            Method::Options => self.handle_options(&id, &request, &caller, hop),
            Method::Subscribe => self.handle_subscribe(&id, &request, &caller, hop, now),
            Method::Refer => self.handle_refer(&id, &request, &caller, None, hop, now),
            _ => self.refuse(&id, &request, &Refusal::new(481)),
        }
    }

    fn handle_in_dialog(&mut self, id: &TransactionId, request: &Request, caller: &Caller, hop: Hop, now: Instant) {
        let owner = self.calls.owner(request).or_else(|| self.subscriptions.owner(request));
        if request.method == Method::Bye
            && let Some(tag) = self.byes.owner(request)
        {
            return self.handle_crossing_bye(id, request, tag);
        }
        let Some(tag) = owner else { return self.refuse(id, request, &Refusal::new(481)) };
        if let Err(refusal) = self.check_owner(tag, caller) {
            return self.refuse(id, request, &refusal);
        }
        let number = cseq_number(&request.headers).unwrap_or_default();
        let in_order = self.dialog_mut(tag).is_some_and(|dialog| dialog.advance(number));
        if !in_order {
            // It is so again when it comes again: nothing is kept of it.
            return self.refuse_and_forget(id, request, &Refusal::new(500).because("CSeq Out Of Order"));
        }
        match request.method {
            Method::Subscribe => self.handle_subscribe_in_dialog(id, request, tag, hop, now),
            Method::Options => self.handle_options_in_dialog(id, request, tag, hop),
            // A dialog of subscriptions only has no call to change or to end.
            _ if !self.calls.contains(tag) => self.refuse(id, request, &Refusal::new(481)),
            Method::Invite => self.handle_change(id, request, tag, hop, now),
            Method::Bye => self.handle_bye(id, request, tag),
            Method::Refer => self.handle_refer(id, request, caller, Some(tag), hop, now),
            Method::Update => self.handle_update(id, request, tag, hop, now),
            _ => self.refuse(id, request, &Refusal::new(481)),
        }
    }

    fn handle_options(&mut self, id: &TransactionId, request: &Request, caller: &Caller, hop: Hop) {
        if self.draining {
            return self.refuse(id, request, &Refusal::later(60));
        }
        let room = match self.would_admit(request, caller, hop) {
            Ok(room) => room,
            Err(refusal) => return self.refuse(id, request, &refusal),
        };
        let tag = self.stateless_tag(&request.headers);
        let contact = match self.contact(room.as_deref(), is_sips(&request.uri), hop) {
            Ok(contact) => contact,
            Err(refusal) => return self.refuse(id, request, &refusal),
        };
        let response = self.options(request, &tag, contact, room.as_deref(), hop);
        self.transactions.respond_without_state(id, response);
    }

    fn handle_options_in_dialog(&mut self, id: &TransactionId, request: &Request, tag: Tag, hop: Hop) {
        let Some(contact) = self.contact_in(tag) else { return };
        let room = Some(self.room_of(tag)).filter(|name| !name.is_empty());
        let response = self.options(request, &tag.to_string(), contact, room.as_deref(), hop);
        self.transactions.respond(id, response);
    }

    /// Cancels an INVITE that has no answer yet (RFC 3261 §9.2); one that has is let be, and so is every other request.
    fn handle_cancel(&mut self, id: &TransactionId, request: &Request) {
        let invite = self.transactions.cancelled(request);
        if invite.is_none() && !self.transactions.cancels_in_vain(request) {
            return self.refuse(id, request, &Refusal::new(481));
        }
        let opening = invite.and_then(|invite| self.calls.of_invite(&invite));
        // It has the Call-ID, From and number of what it cancels, and its answer the same tag.
        let known = [Method::Invite, Method::Subscribe, Method::Refer].iter().find_map(|method| {
            let origin = InviteOrigin::of_method(request, method, self.tag_keys)?;
            self.merged.begun_by(origin)
        });
        let own = known.unwrap_or(Tag(self.random())).to_string();
        let response = self.reply(request, 200, &own).empty();
        self.transactions.respond(id, response);
        if let Some(tag) = opening {
            self.detach(tag);
            if let Some(Phase::Opening(opening)) = self.remove(tag).map(|call| call.phase) {
                if let Some(origin) = InviteOrigin::of(&opening.request, self.tag_keys) {
                    self.merged.forget(origin);
                }
                self.refuse_as(&opening.invite, &opening.request, &Refusal::new(487), &own);
            }
        }
    }
}

impl Focus {
    /// A request has begun a dialog: one that comes by another way while its transaction lasts is merged.
    pub(super) fn begin_merging(&mut self, request: &Request, tag: Tag, hop: Hop, now: Instant) {
        if let Some(origin) = InviteOrigin::of(request, self.tag_keys) {
            self.merged.begin(origin, tag, now, now + merged_within(&request.method, hop));
        }
    }

    /// The INVITE of a call is refused after all.
    pub(super) fn refuse_opening(&mut self, opening: &Opening, refusal: &Refusal, tag: Tag) {
        if let Some(origin) = InviteOrigin::of(&opening.request, self.tag_keys) {
            self.merged.forget(origin);
        }
        self.refuse_as(&opening.invite, &opening.request, refusal, &tag.to_string());
    }
}

/// 405 for a method that others take, 501 for one that nobody knows (RFC 3261 §8.2.1, §21.5.2).
fn check_method(request: &Request) -> Result<(), Refusal> {
    match request.method {
        Method::Invite | Method::Bye | Method::Options | Method::Update => Ok(()),
        Method::Subscribe | Method::Refer => Ok(()),
        Method::Other(_) => Err(Refusal::new(501).with(HeaderName::Allow, ALLOW)),
        _ => Err(Refusal::new(405).with(HeaderName::Allow, ALLOW)),
    }
}
