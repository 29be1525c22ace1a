//! Nicknames that are unambiguous in the whole server.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ids::SessionId;
use crate::nickname::Registry;
use parlor_proto::uri::Aor;

/// The nicknames of all rooms whose scope is the server.
#[derive(Debug, Default)]
pub struct ServerNicknames {
    registry: Registry<SessionId>,
    /// Sessions of each user, in any room: a quarantine starts when the last one has left.
    sessions: HashMap<Aor, usize>,
}

impl ServerNicknames {
    pub fn enter(&mut self, user: &Aor) {
        *self.sessions.entry(user.clone()).or_default() += 1;
    }

    /// Grants a nickname to a user; `false` where it is taken.
    pub fn take(&mut self, session: SessionId, user: &Aor, nickname: &Arc<str>, strict: bool, now: Instant) -> bool {
        self.registry.take(session, user, nickname, strict, now).is_ok()
    }

    /// A session has left its room, whose policy has this quarantine. Returns when that ends, if it begins now.
    pub fn leave(&mut self, session: SessionId, user: &Aor, quarantine: Duration, now: Instant) -> Option<Instant> {
        let left = self.sessions.get(user).map_or(0, |sessions| sessions.saturating_sub(1));
        if left == 0 {
            self.sessions.remove(user);
        } else {
            self.sessions.insert(user.clone(), left);
        }
        self.registry.leave(session, user, left == 0, now, quarantine);
        (left == 0 && !self.registry.is_empty()).then(|| now + quarantine)
    }

    /// Frees the nicknames whose quarantine has ended. Returns when the next quarantine ends.
    pub fn expire(&mut self, now: Instant) -> Option<Instant> {
        self.registry.expire(now);
        self.registry.next_expiry()
    }

    /// A session is known by no nickname any more, at its own wish.
    pub fn release(&mut self, session: SessionId) {
        self.registry.release(session);
    }

    /// A user has come back under another alias.
    pub fn inherit(&mut self, before: &Aor, now_is: &Aor) {
        self.registry.inherit(before, now_is);
    }
}
