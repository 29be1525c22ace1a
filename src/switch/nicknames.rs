//! NICKNAME requests (RFC 7701 §7). Where nicknames are the whole server's, the focus is asked before one is given away, and the
//! request is answered once it has decided.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::nickname_request::{DeferredRequest, PendingNickname};
use super::output::PendingEvent;
use super::state::Switch;
use crate::facts::{Event, NicknameScope};
use crate::ids::{ConnectionId, SessionId, SessionKey};
use crate::limits::NICKNAME_REQUESTS_WAITING_MAX;
use crate::nickname::{Requested, parse_use_nickname};
use parlor_proto::msrp::{Head, Status, encode};

impl Switch {
    pub(super) fn handle_nickname(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        value: &[u8],
        head: &Head<'_>,
        now: Instant,
    ) {
        if let Some(pending) = self.sessions.get_mut(key).and_then(|entry| entry.pending_nickname.as_mut()) {
            if pending.later.len() < NICKNAME_REQUESTS_WAITING_MAX {
                pending.later.push_back((value.into(), DeferredRequest::of(id, head)));
            } else {
                self.refuse(id, head, Status::FORBIDDEN);
            }
            return;
        }
        match self.use_nickname(key, value, now) {
            Ok(None) => self.answer_head(id, head, Status::OK),
            Ok(Some(nickname)) => self.ask_focus(key, nickname, DeferredRequest::of(id, head), VecDeque::new()),
            Err(status) => self.refuse(id, head, status),
        }
    }

    /// Takes a nickname or gives one up. Returns the nickname about which the focus is to be asked first.
    fn use_nickname(&mut self, key: SessionKey, value: &[u8], now: Instant) -> Result<Option<Arc<str>>, Status> {
        let entry = self.sessions.get_mut(key).ok_or(Status::NO_SESSION)?;
        let room = self.rooms.get_mut(entry.room).ok_or(Status::NO_SESSION)?;
        if !room.policy.nicknames {
            return Err(Status::FORBIDDEN);
        }
        let requested = parse_use_nickname(value, room.policy.unquoted_nicknames);
        match requested.map_err(|_| Status::MALFORMED_NICKNAME)? {
            Requested::Remove => {
                room.nicknames.release(key);
                self.show_nickname(key, None);
                Ok(None)
            }
            Requested::Take(nickname) if room.policy.nickname_scope == NicknameScope::Server => {
                let strict = room.policy.strict_nicknames();
                room.nicknames.check(&entry.session.member.user, &nickname, strict, now)?;
                Ok(Some(nickname.into()))
            }
            Requested::Take(nickname) => self.take_nickname(key, &nickname.into(), now).map(|()| None),
        }
    }

    fn take_nickname(&mut self, key: SessionKey, nickname: &Arc<str>, now: Instant) -> Result<(), Status> {
        let entry = self.sessions.get(key).ok_or(Status::NO_SESSION)?;
        let room = self.rooms.get_mut(entry.room).ok_or(Status::NO_SESSION)?;
        let strict = room.policy.strict_nicknames();
        room.nicknames.take(key, &entry.session.member.user, nickname, strict, now)?;
        self.show_nickname(key, Some(nickname.clone()));
        Ok(())
    }

    fn ask_focus(
        &mut self,
        key: SessionKey,
        nickname: Arc<str>,
        request: DeferredRequest,
        later: VecDeque<(Box<[u8]>, DeferredRequest)>,
    ) {
        let Some(entry) = self.sessions.get_mut(key) else { return };
        let session = entry.session.id;
        entry.pending_nickname = Some(Box::new(PendingNickname { nickname: nickname.clone(), request, later }));
        self.push_event(Event::NicknameAsked { session, nickname });
    }

    /// The focus has decided about a nickname. What was asked for since is done now, up to the next that it decides about.
    pub(super) fn nickname_decided(&mut self, session: SessionId, granted: bool, now: Instant) {
        let Some(key) = self.by_id.get(&session).copied() else { return };
        let Some(pending) = self.sessions.get_mut(key).and_then(|entry| entry.pending_nickname.take()) else { return };
        let outcome =
            if granted { self.take_nickname(key, &pending.nickname, now) } else { Err(Status::NICKNAME_TAKEN) };
        self.answer_later(&pending.request, outcome);
        let mut later = pending.later;
        while let Some((value, request)) = later.pop_front() {
            match self.use_nickname(key, &value, now) {
                Ok(Some(nickname)) => return self.ask_focus(key, nickname, request, later),
                Ok(None) => self.answer_later(&request, Ok(())),
                Err(status) => self.answer_later(&request, Err(status)),
            }
        }
    }

    fn answer_later(&mut self, request: &DeferredRequest, outcome: Result<(), Status>) {
        let status = outcome.err().unwrap_or(Status::OK);
        self.egress.write_control(request.connection, |out| {
            encode::response(out, request.tid.get(), status, &request.to_path, &request.from_path);
        });
    }

    /// The roster shows another nickname for a session.
    fn show_nickname(&mut self, key: SessionKey, nickname: Option<Arc<str>>) {
        let Some(entry) = self.sessions.get_mut(key) else { return };
        if entry.nickname != nickname {
            entry.nickname = nickname;
            if !std::mem::replace(&mut entry.nickname_pending, true) {
                self.events.push_back(PendingEvent::Nickname(key));
            }
        }
    }
}
