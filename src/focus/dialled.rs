//! What comes of calls that the focus makes (RFC 3261 §13.2.2).

use std::time::{Duration, Instant};

use super::Focus;
use super::asked::Asked;
use super::awareness::is_of_aware;
use super::byes::Ending;
use super::calls::{Call, Goodbye, Phase, Tag};
use super::dial_out::Dialling;
use super::face::Alarm;
use crate::call::Dialog;
use crate::facts::{Command, Outward, Refusal as ShardRefusal};
use crate::ids::{RoomId, SessionId};
use crate::limits::DIALLING_TRIES_MAX;
use crate::transaction::{TransactionId, Transactions};
use parlor_proto::sdp::MessageMedia;
use parlor_proto::sip::{HeaderName, Hop, Message, Method, Request, Response, quoted};
use parlor_proto::uri::Aor;

impl Focus {
    /// A response to an INVITE of ours.
    pub(super) fn invite_answered(
        &mut self,
        id: &TransactionId,
        tag: Tag,
        response: &Response,
        hop: Hop,
        now: Instant,
    ) {
        let current = self.dialling.get(tag).is_some_and(|dialling| dialling.invite.as_ref() == Some(id));
        match response.status.code() {
            100..=199 if current => self.is_ringing(tag),
            200..=299 if current => self.picked_up(id, tag, response, hop, now),
            200..=299 => self.answered_again(id, tag, response, hop),
            300.. if current => self.declined(tag, response, now),
            _ => {}
        }
    }

    fn is_ringing(&mut self, tag: Tag) {
        let Some(dialling) = self.dialling.get_mut(tag) else { return };
        let first = !std::mem::replace(&mut dialling.ringing, true);
        if first && dialling.given_up {
            self.cancel(tag);
        }
    }

    /// Somebody has answered: they are in, if the room still is there for them.
    fn picked_up(&mut self, id: &TransactionId, tag: Tag, response: &Response, from: Hop, now: Instant) {
        let Some((invite, hop)) = self.invite_and_way(id, from) else { return };
        let Some(dialling) = self.dialling.get(tag) else { return };
        let dialog = Dialog::calling(&invite, response, hop);
        let (room, member) = (dialling.invitation.room, dialling.invitation.member.clone());
        let name = self.rooms.get(room).filter(|room| room.open).map(|room| room.name.clone());
        let media = self.answer_in(response, name.as_deref().unwrap_or_default(), hop, false);
        let place = name.is_some_and(|name| self.check_room(&name, &member, Some(&member.user), None).is_ok());
        let refused = match (&dialog, &media) {
            _ if dialling.given_up => Some((487, "Nobody waits any more")),
            (_, None) => Some((488, "No usable answer to the offer")),
            _ if !place => Some((486, "There is no place any more")),
            (Err(_), _) => Some((500, "No usable Contact")),
            (Ok(_), Some(_)) => None,
        };
        match (dialog, media) {
            (Ok(dialog), Some(media)) if refused.is_none() => {
                self.bring_in(tag, dialog, &media, &invite, response, now)
            }
            (dialog, _) => {
                let (cause, text) = refused.unwrap_or((500, "No usable answer"));
                if let Ok(dialog) = dialog {
                    self.hang_up_at_once(dialog, tag, &invite, Goodbye { cause, text });
                }
                self.dial_failed(tag, cause, text, now);
            }
        }
    }

    fn bring_in(
        &mut self,
        tag: Tag,
        dialog: Dialog,
        (media, to): &(MessageMedia, Option<Outward>),
        invite: &Request,
        response: &Response,
        now: Instant,
    ) {
        self.alarms.clear(&Alarm::Dialling(tag));
        let Some(dialling) = self.dialling.remove(tag) else { return };
        let Dialling { invitation, shard, session, path, described, timing, contact, sent_by, .. } = dialling;
        let (room, user) = (invitation.room, invitation.member.user.clone());
        let call = Call {
            dialog,
            room,
            shard,
            session,
            member: invitation.member,
            account: Some(user.clone()),
            formerly: None,
            vouched: false,
            aware: is_of_aware(&response.headers),
            path,
            contact,
            sent_by,
            described,
            timing,
            phase: Phase::Confirmed,
            terms: None,
            ready: true,
            expected: false,
            present: true,
            goodbye: None,
            suspended: false,
            listed: Vec::new(),
            brought_by: Some(self.shown_address(&invitation.by)),
            referred: false,
            share: Some(self.calls.shares.take(&invitation.claim, 1)),
        };
        let terms = call.terms_for(media, to.clone());
        self.calls.insert(tag, Call { terms: Some(terms.clone()), ..call });
        self.rooms.confirm(room);
        if let Some(room) = self.rooms.get_mut(room) {
            room.enter(&user);
            room.enter_account(&user);
            self.nicknames.enter(&user);
        }
        tracing::info!(call = %tag, user = %user, by = %invitation.by, "who was called has joined");
        self.change_session(shard, session, terms);
        self.roster_joined(tag, now);
        self.acknowledge(tag, parlor_proto::sip::cseq_number(&invite.headers).unwrap_or_default());
        self.expect_binding(tag);
        self.settle_time(tag, response, now);
        if let Some(report) = invitation.report {
            self.report_last(report, 200, "OK", now);
        }
    }

    /// What others see of somebody who may be in a call with us.
    fn shown_address(&self, who: &Aor) -> String {
        let known = self.calls.of_user(who).map(|call| call.member.uri.to_string());
        known.unwrap_or_else(|| if who.host().is_some() { format!("sip:{who}") } else { who.to_string() })
    }

    /// A 200 once more: its ACK was lost. From somebody else, whom a proxy has asked too: one is enough (RFC 3261 §13.2.2.4).
    fn answered_again(&mut self, id: &TransactionId, tag: Tag, response: &Response, from: Hop) {
        let Some((invite, hop)) = self.invite_and_way(id, from) else { return };
        if self.calls.get(tag).is_some_and(|call| call.dialog.has_remote_tag(&response.headers)) {
            return self.acknowledge_again(tag, response);
        }
        if let Ok(dialog) = Dialog::calling(&invite, response, hop) {
            self.hang_up_at_once(dialog, tag, &invite, Goodbye { cause: 200, text: "Answered elsewhere" });
        }
    }

    /// An INVITE of ours and where it went, with the connection that it went over, which is the one that its answer has come by.
    fn invite_and_way(&self, id: &TransactionId, from: Hop) -> Option<(Request, Hop)> {
        let (invite, hop) = self.transactions.sent(id)?;
        let same = (from.transport, from.remote) == (hop.transport, hop.remote);
        Some((invite.clone(), Hop { connection: hop.connection.or(from.connection.filter(|_| same)), ..hop }))
    }

    /// ACK and BYE.
    fn hang_up_at_once(&mut self, mut dialog: Dialog, tag: Tag, invite: &Request, goodbye: Goodbye) {
        let number = parlor_proto::sip::cseq_number(&invite.headers).unwrap_or_default();
        let (branch, other) = (self.branch(), self.branch());
        let sent_by = self.sent_by(dialog.hop());
        let (ack, hop) = dialog.ack(number, &sent_by, &branch);
        self.send(hop, Message::Request(ack.empty()).to_bytes());
        let (bye, hop) = dialog.request(Method::Bye, &sent_by, &other);
        tracing::info!(call = %tag, reason = goodbye.text, "hanging up on who has answered");
        self.say_goodbye(bye, hop, goodbye, None);
    }

    /// Who was called does not come. What can be changed about it is changed, and asked again.
    fn declined(&mut self, tag: Tag, response: &Response, now: Instant) {
        let status = response.status.code();
        let Some(dialling) = self.dialling.get_mut(tag) else { return };
        let once_more = !dialling.given_up
            && dialling.tries() < DIALLING_TRIES_MAX
            && match status {
                422 => dialling.timing.is_told(&response.headers),
                // It does not take several parts, of which one was not needed.
                415 | 488 => dialling.invitation.history.take().is_some(),
                _ => false,
            };
        if once_more {
            dialling.again();
            return self.send_invite(tag);
        }
        let phrase = String::from_utf8_lossy(&response.reason).into_owned();
        self.dial_failed(
            tag,
            status,
            if phrase.is_empty() { parlor_proto::sip::reason_phrase(status) } else { &phrase },
            now,
        );
    }

    /// Nobody has answered an INVITE, or it could not be sent.
    pub(super) fn invite_unanswered(&mut self, id: &TransactionId, tag: Tag, status: u16, now: Instant) {
        let Some(dialling) = self.dialling.get_mut(tag).filter(|dialling| dialling.invite.as_ref() == Some(id)) else {
            return;
        };
        // A stream that was only tried because of the size (RFC 3261 §18.1.1).
        if status == 503 && dialling.falls_back() {
            return self.send_invite(tag);
        }
        self.dial_failed(tag, status, parlor_proto::sip::reason_phrase(status), now);
    }

    /// The time for something has run out: the shard's word or the name's address, the answer, or that to our CANCEL.
    pub(super) fn dialling_is_late(&mut self, tag: Tag, now: Instant) {
        let Some(dialling) = self.dialling.get(tag) else { return };
        match (dialling.invite.is_some(), dialling.given_up) {
            (false, _) => self.dial_failed(tag, 503, "Service Unavailable", now),
            (true, false) => self.give_up_dialling(tag, now),
            (true, true) => self.dial_failed(tag, 487, "Request Terminated", now),
        }
    }

    /// Nobody wants the call any more: CANCEL, if somebody has said that they have the INVITE, and else as soon as they do
    /// (RFC 3261 §9.1).
    pub(super) fn give_up_dialling(&mut self, tag: Tag, now: Instant) {
        let Some(dialling) = self.dialling.get_mut(tag) else { return };
        if dialling.invite.is_none() {
            return self.dial_failed(tag, 487, "Request Terminated", now);
        }
        if std::mem::replace(&mut dialling.given_up, true) {
            return;
        }
        let ringing = dialling.ringing;
        self.alarms.set(Alarm::Dialling(tag), now + 64 * Transactions::t1() + Duration::from_secs(1));
        if ringing {
            self.cancel(tag);
        }
    }

    fn cancel(&mut self, tag: Tag) {
        let Some(id) = self.dialling.get(tag).and_then(|dialling| dialling.invite.clone()) else { return };
        let hop = self.transactions.hop(&id);
        if let (Some(cancel), Some(hop)) = (self.transactions.cancel_of(&id), hop) {
            // RFC 4028 §7.1: in each request but ACK.
            let cancel = cancel.header(HeaderName::Supported, self.supported());
            self.ask(cancel.empty(), hop, Asked::Cancel);
        }
    }

    /// A call that was being made comes to nothing.
    pub(super) fn dial_failed(&mut self, tag: Tag, status: u16, phrase: &str, now: Instant) {
        self.alarms.clear(&Alarm::Dialling(tag));
        self.lookups.remove(&tag);
        let Some(dialling) = self.dialling.remove(tag) else { return };
        tracing::info!(call = %tag, user = %dialling.invitation.member.user, status, "who was called does not come");
        self.command(dialling.shard, Command::CloseSession { session: dialling.session });
        self.shards.session_closed(dialling.shard);
        if let Some(report) = dialling.invitation.report {
            self.report_last(report, status, phrase, now);
        }
        self.close_if_empty(dialling.invitation.room);
    }

    /// The shard does not take the session of a call that is being made.
    pub(super) fn dialling_refused(&mut self, session: SessionId, why: ShardRefusal, now: Instant) {
        let Some(tag) = self.dialling.of_session(session) else { return };
        let status = if why == ShardRefusal::NoSuchRoom { 500 } else { 503 };
        self.dial_failed(tag, status, parlor_proto::sip::reason_phrase(status), now);
    }

    /// Calls that are being made into a room end with it, and those that somebody has asked for with their leaving it.
    pub(super) fn no_longer_wanted(&mut self, room: Option<RoomId>, by: Option<&Aor>) {
        let of = |dialling: &Dialling| {
            let invitation = &dialling.invitation;
            room.is_none_or(|room| invitation.room == room) && by.is_none_or(|by| invitation.by == *by)
        };
        self.unwanted.extend(self.dialling.iter().filter(|(_, one)| of(one)).map(|(tag, _)| tag));
    }

    /// Sends a BYE with its reason (RFC 3326). Answers whether it could be made.
    pub(super) fn say_goodbye(
        &mut self,
        bye: parlor_proto::sip::RequestBuilder,
        hop: Hop,
        goodbye: Goodbye,
        ending: Option<Ending>,
    ) -> bool {
        let reason = format!("SIP ;cause={} ;text={}", goodbye.cause, quoted(goodbye.text));
        let bye = bye
            .header(HeaderName::Reason, reason)
            .header(HeaderName::Supported, self.supported())
            .header(HeaderName::UserAgent, self.settings.software.clone())
            .empty();
        let Some(id) = self.transactions.request(bye, hop) else { return false };
        self.byes.insert(id, ending);
        true
    }
}
