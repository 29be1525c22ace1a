//! ACKs, and INVITEs within a call (RFC 3261 §13.2.2.4, §14.2).

use std::time::Instant;

use super::Focus;
use super::admit::{CAPABILITIES, offer_of};
use super::calls::{Goodbye, Phase, Tag};
use super::face::Alarm;
use super::refusal::Refusal;
use crate::facts::{Command, Terms};
use crate::sdp::{Description, MessageMedia, Setup};
use crate::sip::{Hop, Request, TransactionId, sequence, session_description};

impl Focus {
    /// A re-INVITE. What cannot be taken leaves the call as it was.
    pub(super) fn handle_change(&mut self, id: &TransactionId, request: &Request, tag: Tag, hop: Hop, now: Instant) {
        let Some(call) = self.calls.get_mut(tag) else { return };
        if matches!(&call.phase, Phase::Answered(waiting) if waiting.awaits_answer) {
            // Our offer is still unanswered: glare (RFC 3261 §14.2, RFC 3264 §4).
            return self.refuse(id, request, &Refusal::new(491));
        }
        if call.goodbye.is_some() {
            return self.refuse(id, request, &Refusal::new(481));
        }
        match offer_of(request) {
            Err(refusal) => self.refuse(id, request, &refusal),
            Ok(offer) => {
                call.dialog.refresh(request, hop);
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
        self.change_terms(tag, taken, now);
        if let Some(body) = self.describe(tag, Setup::Passive, |ours, origin| ours.answer(origin, offer, taken)) {
            self.answer(id, request, tag, body, false, now);
        }
    }

    /// Puts what a description says in force: on a session that is to be opened yet, or on the one there is.
    fn change_terms(&mut self, tag: Tag, media: &MessageMedia, now: Instant) {
        let Some(call) = self.calls.get_mut(tag) else { return };
        let terms: Terms = call.terms_for(media);
        match &call.terms {
            None => self.open_session(tag, terms, now),
            Some(before) if *before == terms => {}
            Some(_) => {
                let (session, shard) = (call.session, call.shard);
                call.terms = Some(terms.clone());
                self.command(shard, Command::ChangeSession { session, terms: Box::new(terms) });
                self.roster_media(tag);
            }
        }
    }

    /// An ACK ends the sending of our 200; where that had our offer, it brings the answer.
    pub(super) fn handle_ack(&mut self, ack: &Request, now: Instant) {
        let Some(tag) = self.calls.owner(ack) else { return };
        let Some(call) = self.calls.get_mut(tag) else { return };
        let Phase::Answered(waiting) = &call.phase else { return };
        if sequence(&ack.headers) != Some(waiting.sequence) {
            return;
        }
        let awaits_answer = waiting.awaits_answer;
        self.alarms.clear(&Alarm::Resend(tag));
        self.alarms.clear(&Alarm::GiveUp(tag));
        self.calls.set_phase(tag, Phase::Confirmed);
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
        match answer_of(ack) {
            Some(media) => self.change_terms(tag, &media, now),
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

fn answer_of(ack: &Request) -> Option<MessageMedia> {
    let body = session_description(&ack.headers, ack.body()).ok()??;
    Description::parse(&body).ok()?.answered(CAPABILITIES).ok()
}
