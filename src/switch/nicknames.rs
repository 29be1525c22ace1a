//! NICKNAME requests (RFC 7701 §7). Where nicknames are the whole server's, the focus is asked before one is given away, and the
//! request is answered once it has decided.

use std::sync::Arc;
use std::time::Instant;

use super::connection::Tid;
use super::{Pending, Switch};
use crate::facts::{Event, NicknameScope};
use crate::ids::{ConnectionId, SessionId, SessionKey};
use crate::msrp::{Head, Status, encode, uris};
use crate::nickname::{Requested, parse_use_nickname};

/// A request whose answer the focus decides.
#[derive(Debug)]
pub struct Asked {
    nickname: Arc<str>,
    connection: ConnectionId,
    tid: Tid,
    to_path: Box<[u8]>,
    from_path: Box<[u8]>,
}

impl Switch {
    pub(super) fn handle_nickname(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        value: &[u8],
        head: &Head<'_>,
        now: Instant,
    ) {
        match self.use_nickname(key, value, now) {
            Ok(None) => self.answer_head(id, head, Status::OK),
            Ok(Some(nickname)) => self.ask_focus(id, key, nickname, head),
            Err(status) => self.answer_head(id, head, status),
        }
    }

    /// Takes a nickname or gives one up. Answers the nickname about which the focus is to be asked first.
    fn use_nickname(&mut self, key: SessionKey, value: &[u8], now: Instant) -> Result<Option<Arc<str>>, Status> {
        let entry = self.sessions.get_mut(key).ok_or(Status::NO_SESSION)?;
        let room = self.rooms.get_mut(entry.room).ok_or(Status::NO_SESSION)?;
        if !room.policy.nicknames {
            return Err(Status::FORBIDDEN);
        }
        if entry.asked.is_some() {
            // One at a time: what the first one comes to decides about the next.
            return Err(Status::NICKNAME_TAKEN);
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

    fn ask_focus(&mut self, id: ConnectionId, key: SessionKey, nickname: Arc<str>, head: &Head<'_>) {
        let Some(entry) = self.sessions.get_mut(key) else { return };
        let session = entry.session.id;
        entry.asked = Some(Box::new(Asked {
            nickname: nickname.clone(),
            connection: id,
            tid: Tid::of(head),
            to_path: head.from_path.into(),
            from_path: uris(head.to_path).next().unwrap_or_default().into(),
        }));
        self.tell(Event::NicknameAsked { session, nickname });
    }

    /// The focus has decided about a nickname.
    pub(super) fn nickname_decided(&mut self, session: SessionId, granted: bool, now: Instant) {
        let Some(key) = self.by_id.get(&session).copied() else { return };
        let Some(asked) = self.sessions.get_mut(key).and_then(|entry| entry.asked.take()) else { return };
        let outcome = if granted { self.take_nickname(key, &asked.nickname, now) } else { Err(Status::NICKNAME_TAKEN) };
        let status = outcome.err().unwrap_or(Status::OK);
        self.outlets.control(asked.connection, |out| {
            encode::response(out, asked.tid.get(), status, &asked.to_path, &asked.from_path);
        });
    }

    /// The roster shows another nickname for a session.
    fn show_nickname(&mut self, key: SessionKey, nickname: Option<Arc<str>>) {
        let Some(entry) = self.sessions.get_mut(key) else { return };
        if entry.nickname != nickname {
            entry.nickname = nickname;
            if !std::mem::replace(&mut entry.nickname_pending, true) {
                self.events.push_back(Pending::Nickname(key));
            }
        }
    }
}
