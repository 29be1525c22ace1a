//! ACKs, and INVITEs within a call (RFC 3261 §13.2.2.4, §14.2).

use std::time::Instant;

use super::Focus;
use super::calls::{Goodbye, Phase, Tag};
use super::face::Alarm;
use super::refusal::Refusal;
use crate::facts::{Command, Outward, Terms};
use crate::transaction::TransactionId;
use parlor_proto::sdp::{Description, MessageMedia, Setup};
use parlor_proto::sip::{Hop, Request, cseq_number};

impl Focus {
    /// A re-INVITE. What cannot be taken leaves the call as it was.
    pub(super) fn handle_change(&mut self, id: &TransactionId, request: &Request, tag: Tag, hop: Hop, now: Instant) {
        let Some(call) = self.calls.get_mut(tag) else { return };
        if call.is_offering() {
            // Our offer is still unanswered: glare (RFC 3261 §14.2, RFC 3264 §4).
            return self.refuse(id, request, &Refusal::new(491));
        }
        if call.goodbye.is_some() {
            return self.refuse(id, request, &Refusal::new(481));
        }
        let name = self.room_of(tag);
        let offer = self.check_interval(request).and_then(|()| self.offer_of(request, &name, hop));
        match offer {
            Err(refusal) => self.refuse(id, request, &refusal),
            Ok(offer) => {
                if let Some(call) = self.calls.get_mut(tag) {
                    call.dialog.refresh(request, hop);
                    call.learn_agent(&request.headers);
                }
                match offer {
                    Some((offer, taken)) => self.take_change(id, request, tag, &offer, &taken, now),
                    None => self.send_offer(id, request, tag, now),
                }
            }
        }
    }

    fn take_change(
        &mut self,
        id: &TransactionId,
        request: &Request,
        tag: Tag,
        offer: &Description,
        taken: &MessageMedia,
        now: Instant,
    ) {
        if let Some(body) = self.put_in_force(tag, offer, taken, now) {
            self.answer(id, request, tag, body, false, now);
        }
    }

    /// Takes an offer, and gives the answer to it.
    pub(super) fn put_in_force(
        &mut self,
        tag: Tag,
        offer: &Description,
        taken: &MessageMedia,
        now: Instant,
    ) -> Option<String> {
        let hop = self.calls.get(tag).map(|call| call.dialog.hop());
        let to = hop.and_then(|hop| self.outward(taken, taken.setup == Some(Setup::Passive), hop).ok().flatten());
        self.change_terms(tag, taken, to, now);
        let setup = self.answered_setup(tag);
        self.describe(tag, setup, |ours, origin| ours.answer(origin, offer, taken))
    }

    /// Puts what a description says in force: on a session that is to be opened yet, or on the one there is.
    pub(super) fn change_terms(&mut self, tag: Tag, media: &MessageMedia, connect_to: Option<Outward>, now: Instant) {
        let Some(call) = self.calls.get_mut(tag) else { return };
        // With TLS we are to be found at another port than without.
        let (shard, session) = (call.shard, call.session);
        let Ok(path) = self.path(shard, session, media.secure) else { return };
        let Some(call) = self.calls.get_mut(tag) else { return };
        (call.path, call.described.cema) = (path, media.accepts_cema());
        let terms: Terms = call.terms_for(media, connect_to);
        match &call.terms {
            None => self.open_session(tag, terms, now),
            Some(before) if *before == terms => {}
            Some(_) => {
                let (session, shard) = (call.session, call.shard);
                call.terms = Some(terms.clone());
                self.change_session(shard, session, terms);
                self.roster_media(tag);
            }
        }
    }

    /// An ACK ends the sending of our 200; where that had our offer, it brings the answer.
    pub(super) fn handle_ack(&mut self, ack: &Request, now: Instant) {
        let Some(tag) = self.calls.owner(ack) else { return };
        let Some(call) = self.calls.get_mut(tag) else { return };
        let Phase::Answered(waiting) = &call.phase else { return };
        if cseq_number(&ack.headers) != Some(waiting.sequence) {
            return;
        }
        // A call that is to end opens nothing any more.
        let awaits_answer = waiting.awaits_answer && call.goodbye.is_none();
        call.learn_agent(&ack.headers);
        self.alarms.clear(&Alarm::Resend(tag));
        self.alarms.clear(&Alarm::GiveUp(tag));
        let room = call.room;
        self.calls.set_phase(tag, Phase::Confirmed);
        self.calls.prove(tag);
        self.rooms.confirm(room);
        if awaits_answer {
            self.take_answer(tag, ack, now);
        }
        self.confirm(tag);
    }

    fn confirm(&mut self, tag: Tag) {
        let Some(call) = self.calls.get_mut(tag) else { return };
        match call.goodbye {
            Some(goodbye) => self.send_bye(tag, goodbye),
            None if call.ready => self.expect_binding(tag),
            None => {}
        }
    }

    /// Without a usable answer a new call ends; one that has terms keeps them.
    fn take_answer(&mut self, tag: Tag, ack: &Request, now: Instant) {
        let Some(call) = self.calls.get_mut(tag) else { return };
        let (room, hop, cema) = (call.room, call.dialog.hop(), call.described.cema);
        let name = self.rooms.get_mut(room).map(|room| room.name.clone()).unwrap_or_default();
        match self.answer_of(ack, &name, hop, cema) {
            Some((media, to)) => self.change_terms(tag, &media, to, now),
            None if self.calls.get_mut(tag).is_some_and(|call| call.terms.is_none()) => {
                self.end(tag, Goodbye { cause: 488, text: "No usable answer to the offer" });
            }
            None => tracing::info!(call = %tag, "an ACK without a usable answer changes nothing"),
        }
    }

    /// Tells the shard, once, that its peer is to connect now.
    pub(super) fn expect_binding(&mut self, tag: Tag) {
        let Some(call) = self.calls.get_mut(tag) else { return };
        if !std::mem::replace(&mut call.expected, true) {
            let (session, shard) = (call.session, call.shard);
            self.command(shard, Command::ExpectBinding { session });
        }
    }
}
