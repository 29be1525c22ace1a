//! UPDATE within a call (RFC 3311): another target, another description, or a sign of life.

use std::time::Instant;

use super::Focus;
use super::calls::{Call, Phase, Tag};
use super::refusal::Refusal;
use crate::transaction::TransactionId;
use parlor_proto::sip::{Hop, Request};

impl Focus {
    /// An UPDATE is answered at once and changes what it says. What cannot be taken leaves the call as it was.
    pub(super) fn handle_update(&mut self, id: &TransactionId, request: &Request, tag: Tag, hop: Hop, now: Instant) {
        let name = self.room_of(tag);
        let offer = self.check_interval(request).and_then(|()| self.offer_of(request, &name, hop));
        let checked = offer.and_then(|offer| self.check_update(tag, offer.is_some()).map(|()| offer));
        let offer = match checked {
            Ok(offer) => offer,
            Err(refusal) => return self.refuse(id, request, &refusal),
        };
        let Some(call) = self.calls.get_mut(tag) else { return };
        call.dialog.refresh(request, hop);
        call.learn_agent(&request.headers);
        let contact = call.contact.clone();
        let reply = self.welcome(request, &tag.to_string(), contact);
        let reply = self.keep_time(tag, request, reply, now);
        let body = offer.and_then(|(offer, taken)| self.put_in_force(tag, &offer, &taken, now));
        let response = match body {
            Some(body) => reply.body("application/sdp", body),
            None => reply.empty(),
        };
        self.transactions.respond(id, response);
    }

    /// 491 while an offer of ours has no answer (RFC 3311 §5.2). One of the peer's never has none when an UPDATE comes: before
    /// our 200 the peer does not know the dialog, and what comes later is answered at once.
    fn check_update(&self, tag: Tag, offers: bool) -> Result<(), Refusal> {
        let stands = |call: &&Call| call.goodbye.is_none() && !matches!(call.phase, Phase::Opening(_));
        let call = self.calls.get(tag).filter(stands).ok_or(Refusal::new(481))?;
        if offers && call.is_offering() { Err(Refusal::new(491)) } else { Ok(()) }
    }
}
