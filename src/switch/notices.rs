//! Notices of the room to a member: text from the room's URI to the room's URI (RFC 7701 §6.4, §11).

use std::collections::HashSet;
use std::fmt::Write;
use std::time::Instant;

use super::egress::{Body, Label};
use super::state::Switch;
use crate::ids::SessionKey;
use crate::limits::ROSTER_NOTICE_BYTES_MAX;
use parlor_proto::cpim;

const TYPE: &str = "text/plain;charset=utf-8";

impl Switch {
    /// Sends a text from the room to one session, if it is bound and takes such text.
    pub(super) fn notify(&mut self, key: SessionKey, text: &str, now: Instant) {
        let Some(room) = self.sessions.get(key).and_then(|entry| self.rooms.get(entry.room)) else { return };
        if !room.roster.member(key).is_some_and(|seat| room.roster.accepts(seat, Some("text/plain"))) {
            return;
        }
        let mut body = cpim::encode(&room.uri, &room.uri, None, TYPE);
        body.extend_from_slice(text.as_bytes());
        let out_id = self.draw_message_id();
        self.deliver_whole(key, &[key], Label::of(&out_id), Body::Copied(&body), now);
    }

    /// Sends a user whose client knows nothing of chat rooms the room's address and its roster (RFC 7701 §11): once for each user and
    /// room, however often the user joins and on however many devices.
    pub(super) fn notify_unaware(&mut self, key: SessionKey, now: Instant) {
        let Some(entry) = self.sessions.get(key).filter(|entry| entry.session.terms.chatroom.is_none()) else { return };
        let Some(room) = self.rooms.get_mut(entry.room) else { return };
        if !room.policy.notice_to_unaware || !room.meet_unaware(&entry.session.member.user) {
            return;
        }
        let place = format!(
            "You are in the chat room {}. What you send to it goes to everybody in it; what you send to the address of a \
             member goes to that member alone.",
            room.uri
        );
        let roster = self.roster_text(key);
        self.notify(key, &place, now);
        self.notify(key, &roster, now);
    }

    /// Sends an anonymous member the address that the others know it by (RFC 7701 §6.1), at each binding.
    pub(super) fn notify_anonymous(&mut self, key: SessionKey, now: Instant) {
        let Some(entry) = self.sessions.get(key).filter(|entry| entry.session.member.anonymous) else { return };
        let text = format!("You are anonymous here. The others know you as {}.", entry.session.member.uri);
        self.notify(key, &text, now);
    }

    /// The users in a session's room, one on a line.
    fn roster_text(&self, key: SessionKey) -> String {
        let mut text = String::from("In the room:");
        let Some(room) = self.sessions.get(key).and_then(|entry| self.rooms.get(entry.room)) else { return text };
        let (mut listed, mut left) = (HashSet::new(), 0usize);
        for entry in room.roster.members().iter().filter_map(|seat| self.sessions.get(seat.session)) {
            let member = &entry.session.member;
            if !listed.insert(&member.user) {
                continue;
            }
            if text.len() >= ROSTER_NOTICE_BYTES_MAX {
                left += 1;
                continue;
            }
            let _ = match entry.nickname.as_ref().or(member.display_name.as_ref()) {
                Some(name) => write!(text, "\n{name} <{}>", member.uri),
                None => write!(text, "\n<{}>", member.uri),
            };
        }
        if left > 0 {
            let _ = write!(text, "\nand {left} more");
        }
        text
    }

    /// A copy for this session was not made because its connection is congested.
    pub(super) fn count_missed(&mut self, key: SessionKey) {
        if let Some(entry) = self.sessions.get_mut(key) {
            entry.missed += 1;
        }
    }

    /// Notifies members whose connections have recovered of how much they have missed (RFC 7701 §6.4), in one message each.
    pub(super) fn notify_recovered(&mut self, now: Instant) {
        while let Some(connection) = self.egress.recovered.pop() {
            let Some(connection) = self.egress.connections.get(connection) else { continue };
            for key in connection.sessions.clone() {
                let Some(entry) = self.sessions.get_mut(key) else { continue };
                let missed = std::mem::take(&mut entry.missed);
                if missed > 0 {
                    tracing::debug!(session = entry.session.id.short(), missed, "member recovered from congestion");
                    self.egress.counters.missed += missed;
                    let messages = if missed == 1 { "1 message was" } else { &format!("{missed} messages were") };
                    let text = format!("{messages} not sent to you, because your connection could not keep up.");
                    self.notify(key, &text, now);
                }
            }
        }
    }
}
