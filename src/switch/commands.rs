//! Commands of the focus: rooms and sessions begin, change and end.

use std::time::Instant;

use super::egress::Log;
use super::state::{SessionEntry, Switch};
use super::timer::Timer;
use crate::facts::{Command, EndReason, Event, OpenRoom, OpenSession, Refusal, Terms};
use crate::ids::{ConnectionId, RoomId, RoomKey, SessionId, SessionKey};
use crate::room::{MemberTerms, Room};
use crate::session::Session;

impl Switch {
    /// Carries out a command of the focus.
    pub fn handle_control(&mut self, command: Command, now: Instant) {
        match command {
            Command::OpenRoom(open) => self.open_room(&open),
            Command::CloseRoom { room } => self.close_room(room, now),
            Command::OpenSession(open) => self.open_session(*open),
            Command::ExpectBinding { session } => self.expect_binding(session, now),
            Command::ChangeSession { session, terms } => {
                self.change_session(session, *terms, now);
                self.push_event(Event::SessionChanged { session });
            }
            Command::SuspendSession { session } => self.suspend_session(session, now),
            Command::CloseSession { session } => {
                if let Some(key) = self.by_id.get(&session) {
                    self.end_session(*key, None, now);
                } else if let Some((connection, key)) = self.suspended.remove(&session) {
                    self.unbind(connection, key, now);
                }
            }
            Command::DecideNickname { session, granted } => self.nickname_decided(session, granted, now),
            Command::Drain => self.drain(now),
        }
    }

    fn open_room(&mut self, open: &OpenRoom) {
        if let Some(room) = self.by_room_id.get(&open.room).and_then(|key| self.rooms.get_mut(*key)) {
            room.reopen(open);
            return;
        }
        let key = self.rooms.insert(Room::new(open));
        self.egress.logs.insert(key, Log::default());
        self.by_room_id.insert(open.room, key);
    }

    fn close_room(&mut self, room: RoomId, now: Instant) {
        let Some(key) = self.by_room_id.get(&room).copied() else {
            self.push_event(Event::RoomClosed { room });
            return;
        };
        if let Some(room) = self.rooms.get_mut(key) {
            room.closing = true;
        }
        self.check_quarantine(key, now);
    }

    /// The timer of a room is due.
    pub(super) fn on_room_timer(&mut self, key: RoomKey, now: Instant) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        // An earlier time may have been set meanwhile, and have come already.
        if room.timer.is_some_and(|at| at <= now) {
            room.timer = None;
            self.check_quarantine(key, now);
        }
    }

    /// Forgets nicknames whose quarantine is over, and the room, once it is closing and nothing of it is left.
    fn check_quarantine(&mut self, key: RoomKey, now: Instant) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        room.nicknames.expire(now);
        if let Some(at) = room.nicknames.next_expiry() {
            if room.timer.is_none_or(|set| at < set) {
                room.timer = Some(at);
                self.timers.set_earliest(Timer::Room(key), at);
            }
        } else if room.closing && room.sessions == 0 {
            let id = room.id;
            self.rooms.remove(key);
            self.egress.logs.remove(key);
            self.by_room_id.remove(&id);
            self.push_event(Event::RoomClosed { room: id });
        }
    }

    fn open_session(&mut self, open: OpenSession) {
        let session = open.session;
        match self.try_open_session(open) {
            Ok(()) => self.push_event(Event::SessionReady { session }),
            Err(why) => self.push_event(Event::SessionRefused { session, why }),
        }
    }

    fn try_open_session(&mut self, open: OpenSession) -> Result<(), Refusal> {
        if self.draining {
            return Err(Refusal::Draining);
        }
        let room_key = *self.by_room_id.get(&open.room).ok_or(Refusal::NoSuchRoom)?;
        let room = self.rooms.get_mut(room_key).ok_or(Refusal::NoSuchRoom)?;
        let count = self.sessions.len() + self.suspended.len();
        if count >= self.sessions_max || self.by_id.contains_key(&open.session) {
            return Err(Refusal::Full);
        }
        room.sessions += 1;
        if let Some(before) = &open.formerly {
            room.nicknames.inherit(before, &open.member.user);
        }
        let key = self.sessions.insert(SessionEntry {
            session: Session::new(open.session, open.member, open.terms),
            room: room_key,
            streams: Vec::new(),
            held_bytes: 0,
            refused: Vec::new(),
            streams_timer: false,
            nickname: None,
            nickname_pending: false,
            pending_nickname: None,
            missed: 0,
            bind_by: None,
            dialling: false,
        });
        self.by_id.insert(open.session, key);
        Ok(())
    }

    fn expect_binding(&mut self, session: SessionId, now: Instant) {
        if let Some(key) = self.by_id.get(&session).copied() {
            self.await_binding(key, now);
        }
    }

    fn change_session(&mut self, session: SessionId, terms: Terms, now: Instant) {
        let Some(key) = self.by_id.get(&session).copied() else { return };
        let Some(entry) = self.sessions.get_mut(key) else { return };
        let first = !entry.session.terms.are_answered();
        match entry.session.change(terms) {
            Some(connection) => {
                self.drop_streams(key, now);
                self.suspend_member(key);
                self.unbind(connection, key, now);
                self.expect_binding(session, now);
            }
            None if first => self.on_answer(key, now),
            None => self.add_member(key),
        }
    }

    /// The answer to our offer is known. A session that is bound already joins its room, if its peer has shown the certificate that
    /// was negotiated.
    fn on_answer(&mut self, key: SessionKey, now: Instant) {
        let Some(entry) = self.sessions.get(key) else { return };
        let Some(id) = entry.session.connection() else { return };
        let certificate = self.egress.connections.get(id).and_then(|connection| connection.certificate.as_deref());
        if entry.session.is_secure() && !entry.session.trusts(certificate, false) {
            return self.reject_certificate(id, key, now);
        }
        self.on_joined(key, now);
    }

    /// Makes a bound session a member of its room, by its terms as they are now.
    pub(super) fn add_member(&mut self, key: SessionKey) {
        let Some(entry) = self.sessions.get(key) else { return };
        let Some(connection) = entry.session.connection() else { return };
        let Some(room) = self.rooms.get_mut(entry.room) else { return };
        let terms = &entry.session.terms;
        let member_terms = MemberTerms {
            user: &entry.session.member.user,
            aliases: entry.session.member.aliases(),
            max_size: terms.max_size,
            accepts: terms.accept_wrapped_types.as_ref(),
            receives: terms.direction.receives,
            takes_private: room.policy.private_messages_to_unaware
                || terms.chatroom.is_some_and(|tokens| tokens.private_messages),
        };
        self.egress.remove_member(entry.room, Some(connection), key);
        room.roster.add_member(key, connection, entry.session.paths().clone(), &member_terms);
        if let Some(member) = room.roster.member(key) {
            self.egress.add_member(entry.room, connection, key, member);
        }
    }

    /// Ends a session. With a reason the focus gets an event and sends the BYE; without one it was the focus that ended it.
    pub(super) fn end_session(&mut self, key: SessionKey, why: Option<EndReason>, now: Instant) {
        let Some((session, connection)) = self.remove_session(key, now) else { return };
        if let Some(connection) = connection {
            self.unbind(connection, key, now);
        }
        if let Some(why) = why {
            self.push_event(Event::SessionEnded { session, why });
        }
    }

    /// Ends a session whose connection stays until it is closed. Requests for it are 481 from now on.
    fn suspend_session(&mut self, session: SessionId, now: Instant) {
        let Some(key) = self.by_id.get(&session).copied() else { return };
        if let Some((_, Some(connection))) = self.remove_session(key, now) {
            self.suspended.insert(session, (connection, key));
        }
    }

    /// Forgets a session. The connection that carried it still counts it.
    fn remove_session(&mut self, key: SessionKey, now: Instant) -> Option<(SessionId, Option<ConnectionId>)> {
        self.drop_streams(key, now);
        self.remove_member(key, now);
        let entry = self.sessions.remove(key)?;
        self.by_id.remove(&entry.session.id);
        if let Some(room) = self.rooms.get_mut(entry.room) {
            room.sessions = room.sessions.saturating_sub(1);
        }
        self.check_quarantine(entry.room, now);
        Some((entry.session.id, entry.session.connection()))
    }

    /// A session is no member until it is bound again. Its nickname stays its own.
    fn suspend_member(&mut self, key: SessionKey) {
        let Some(entry) = self.sessions.get(key) else { return };
        let Some(room) = self.rooms.get_mut(entry.room) else { return };
        if let Some(member) = room.roster.member(key) {
            self.egress.remove_member(entry.room, Some(member.connection), key);
        }
        room.roster.remove_member(key, &entry.session.member.user);
    }

    /// A session is no member of its room any more.
    fn remove_member(&mut self, key: SessionKey, now: Instant) {
        let Some(entry) = self.sessions.get(key) else { return };
        let Some(room) = self.rooms.get_mut(entry.room) else { return };
        if let Some(member) = room.roster.member(key) {
            self.egress.remove_member(entry.room, Some(member.connection), key);
        }
        let user = &entry.session.member.user;
        let gone = room.roster.remove_member(key, user);
        room.nicknames.leave(key, user, gone, now, room.policy.nickname_quarantine);
    }

    /// A connection carries a session no more. Without sessions it is closed once its outbox is empty
    /// (RFC 4975 §5.4).
    fn unbind(&mut self, id: ConnectionId, key: SessionKey, now: Instant) {
        let Some(connection) = self.egress.connections.get_mut(id) else { return };
        connection.sessions.retain(|other| *other != key);
        if connection.sessions.is_empty() {
            self.egress.forget_holds(id);
            self.close_when_sent(id, now);
        }
    }

    /// The server ends. Connections without a session are closed now, the others when their last session has ended.
    fn drain(&mut self, now: Instant) {
        self.draining = true;
        let unused: Vec<_> =
            self.egress.connections.iter().filter(|(_, c)| c.sessions.is_empty()).map(|(id, _)| id).collect();
        for id in unused {
            self.close_when_sent(id, now);
        }
    }
}
