//! Nicknames that are unambiguous in the whole server (RFC 7701 §7; `nickname_scope = "server"`): every room asks here before
//! it gives one away.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Focus;
use super::face::Alarm;
use crate::facts::{Command, NicknameScope};
use crate::ids::SessionId;
use crate::nickname::Registry;
use parlor_proto::uri::Aor;

/// Who is known by what in rooms whose nicknames are the server's.
#[derive(Debug, Default)]
pub(super) struct ServerNicknames {
    registry: Registry<SessionId>,
    /// Sessions of each user, in any room: a quarantine starts when the last one has left.
    sessions: HashMap<Aor, usize>,
    /// Sessions that have left since the last call of [`Focus::settle_nicknames`].
    left: Vec<Left>,
}

#[derive(Debug)]
struct Left {
    session: SessionId,
    user: Aor,
    quarantine: Duration,
}

impl ServerNicknames {
    pub(super) fn enter(&mut self, user: &Aor) {
        *self.sessions.entry(user.clone()).or_default() += 1;
    }

    /// A session has left its room, whose policy has this quarantine.
    pub(super) fn leave(&mut self, session: SessionId, user: &Aor, quarantine: Duration) {
        self.left.push(Left { session, user: user.clone(), quarantine });
    }

    /// A session is known by no nickname any more, at its own wish.
    pub(super) fn release(&mut self, session: SessionId) {
        self.registry.release(session);
    }

    /// Somebody has come back behind another mask.
    pub(super) fn inherit(&mut self, before: &Aor, now_is: &Aor) {
        self.registry.inherit(before, now_is);
    }

    fn settle(&mut self, now: Instant) {
        for Left { session, user, quarantine } in std::mem::take(&mut self.left) {
            let left = self.sessions.get(&user).map_or(0, |sessions| sessions.saturating_sub(1));
            if left == 0 {
                self.sessions.remove(&user);
            } else {
                self.sessions.insert(user.clone(), left);
            }
            self.registry.leave(session, &user, left == 0, now, quarantine);
        }
    }
}

impl Focus {
    /// A member of a room whose nicknames are the server's asks for one; its shard waits for what comes of it.
    pub(super) fn decide_nickname(&mut self, session: SessionId, nickname: &Arc<str>, now: Instant) {
        let Some(call) = self.calls.of_session(session).and_then(|tag| self.calls.get_mut(tag)) else { return };
        let Some(room) = self.rooms.get_mut(call.room) else { return };
        let (shard, user, strict) = (call.shard, &call.member.user, room.policy.strict_nicknames());
        // A policy that changed meanwhile leaves the decision to the room.
        let granted = room.policy.nickname_scope == NicknameScope::Room
            || self.nicknames.registry.take(session, user, nickname, strict, now).is_ok();
        self.command(shard, Command::DecideNickname { session, granted });
    }

    /// Puts the nicknames of those who have left in quarantine, and forgets those whose quarantine has ended.
    pub(super) fn settle_nicknames(&mut self, now: Instant) {
        self.nicknames.settle(now);
        self.nicknames.registry.expire(now);
        match self.nicknames.registry.next_expiry() {
            Some(at) => self.alarms.set(Alarm::Nicknames, at),
            None => self.alarms.clear(&Alarm::Nicknames),
        }
    }

    /// Whether somebody has left whose nicknames have to be seen to.
    pub(super) fn nicknames_unsettled(&self) -> bool {
        !self.nicknames.left.is_empty()
    }
}
