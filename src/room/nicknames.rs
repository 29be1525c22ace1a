//! The nicknames of a room (RFC 7701 §7): each is one user's, who may have it on several devices, and stays that user's for a
//! while after the last of them has left.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::nickname::NicknameKey;
use crate::ids::SessionKey;
use crate::msrp::Status;
use crate::uri::Aor;

/// Which nicknames are taken.
#[derive(Debug, Default)]
pub struct Nicknames {
    reserved: HashSet<NicknameKey>,
    taken: HashMap<NicknameKey, Holder>,
    of_session: HashMap<SessionKey, NicknameKey>,
}

#[derive(Debug)]
struct Holder {
    user: Aor,
    sessions: SmallVec<[SessionKey; 1]>,
    /// When the nickname is free again; `None` while its user is in the room.
    free_at: Option<Instant>,
}

impl Nicknames {
    /// No nicknames, and words that nobody may have. Words that are no nicknames need no keeping.
    #[must_use]
    pub fn new(reserved: &[String]) -> Self {
        let mut nicknames = Self::default();
        nicknames.reserve_words(reserved);
        nicknames
    }

    /// Changes the words that nobody may have. Who has one keeps it.
    pub fn reserve_words(&mut self, reserved: &[String]) {
        self.reserved = reserved.iter().filter_map(|word| NicknameKey::of(word).ok()).collect();
    }

    /// Gives a nickname to a session of `user`; the one it had before is free at once (§7.2).
    ///
    /// # Errors
    /// 425 where the nickname is reserved or another user's, and 424 where it is none. The session keeps what it has.
    pub fn take(&mut self, session: SessionKey, user: &Aor, nickname: &str, now: Instant) -> Result<(), Status> {
        let key = NicknameKey::of(nickname).map_err(|_| Status::MALFORMED_NICKNAME)?;
        let others = |holder: &Holder| holder.user != *user && holder.free_at.is_none_or(|at| at > now);
        if self.reserved.contains(&key) || self.taken.get(&key).is_some_and(others) {
            return Err(Status::NICKNAME_TAKEN);
        }
        self.release(session);
        let holder = Holder { user: user.clone(), sessions: SmallVec::new(), free_at: None };
        let entry = self.taken.entry(key.clone()).or_insert(holder);
        entry.user = user.clone();
        entry.free_at = None;
        entry.sessions.push(session);
        self.of_session.insert(session, key);
        Ok(())
    }

    /// Takes a session's nickname away, at its own wish: it is free at once, unless another session of the user has it.
    /// Answers whether it had one.
    pub fn release(&mut self, session: SessionKey) -> bool {
        let Some(key) = self.of_session.remove(&session) else { return false };
        if let Some(holder) = self.taken.get_mut(&key) {
            holder.sessions.retain(|other| *other != session);
            if holder.sessions.is_empty() {
                self.taken.remove(&key);
            }
        }
        true
    }

    /// A session has left. Its nickname stays its user's; once no session of the user is left (`user_gone`), for as long as
    /// the quarantine lasts.
    pub fn leave(&mut self, session: SessionKey, user: &Aor, user_gone: bool, now: Instant, quarantine: Duration) {
        if let Some(holder) = self.of_session.remove(&session).and_then(|key| self.taken.get_mut(&key)) {
            holder.sessions.retain(|other| *other != session);
        }
        if !user_gone {
            return;
        }
        for holder in self.taken.values_mut() {
            if holder.user == *user && holder.sessions.is_empty() && holder.free_at.is_none() {
                holder.free_at = Some(now + quarantine);
            }
        }
        self.expire(now);
    }

    /// Forgets the nicknames whose quarantine has ended.
    pub fn expire(&mut self, now: Instant) {
        self.taken.retain(|_, holder| holder.free_at.is_none_or(|at| at > now));
    }

    /// When the next quarantine ends.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.taken.values().filter_map(|holder| holder.free_at).min()
    }

    /// Whether nothing is taken or in quarantine.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::KeyData;

    const QUARANTINE: Duration = Duration::from_secs(60);

    fn session(n: u64) -> SessionKey {
        KeyData::from_ffi(1 << 32 | n).into()
    }

    fn user(name: &str) -> Aor {
        Aor::parse(format!("sip:{name}@example.com").as_bytes()).unwrap()
    }

    #[test]
    fn a_nickname_is_one_users() {
        let (mut names, now) = (Nicknames::new(&["Admin".into()]), Instant::now());
        let (alice, bob) = (user("alice"), user("bob"));
        assert_eq!(names.take(session(1), &alice, "Ally", now), Ok(()));
        assert_eq!(names.take(session(2), &bob, "ALLY", now), Err(Status::NICKNAME_TAKEN));
        assert_eq!(names.take(session(2), &bob, " admin ", now), Err(Status::NICKNAME_TAKEN));
        assert_eq!(names.take(session(3), &alice, "ally", now), Ok(()), "her second device");
        assert_eq!(names.take(session(2), &bob, "", now), Err(Status::MALFORMED_NICKNAME));
    }

    #[test]
    fn a_change_frees_the_old_one_at_once_and_a_refusal_keeps_it() {
        let (mut names, now) = (Nicknames::default(), Instant::now());
        let (alice, bob) = (user("alice"), user("bob"));
        names.take(session(1), &alice, "Ally", now).unwrap();
        names.take(session(2), &bob, "Bobby", now).unwrap();
        assert_eq!(names.take(session(1), &alice, "Bobby", now), Err(Status::NICKNAME_TAKEN));
        assert_eq!(names.take(session(2), &bob, "Ally", now), Err(Status::NICKNAME_TAKEN), "she still has it");
        names.take(session(1), &alice, "Alice", now).unwrap();
        assert_eq!(names.take(session(2), &bob, "Ally", now), Ok(()));
        assert!(names.release(session(1)));
        assert!(!names.release(session(1)));
        assert_eq!(names.take(session(2), &bob, "Alice", now), Ok(()));
    }

    #[test]
    fn taking_ones_own_nickname_again_changes_nothing() {
        let (mut names, now) = (Nicknames::default(), Instant::now());
        names.take(session(1), &user("alice"), "Ally", now).unwrap();
        names.take(session(1), &user("alice"), "ALLY", now).unwrap();
        assert_eq!(names.take(session(2), &user("bob"), "Ally", now), Err(Status::NICKNAME_TAKEN));
        assert!(names.release(session(1)) && names.is_empty());
    }

    #[test]
    fn quarantine_starts_when_the_last_session_has_left() {
        let (mut names, now) = (Nicknames::default(), Instant::now());
        let (alice, bob) = (user("alice"), user("bob"));
        names.take(session(1), &alice, "Ally", now).unwrap();
        names.leave(session(1), &alice, false, now, QUARANTINE);
        assert_eq!(names.next_expiry(), None, "another device of hers is here");
        let later = now + 2 * QUARANTINE;
        assert_eq!(names.take(session(2), &bob, "Ally", later), Err(Status::NICKNAME_TAKEN));
        names.leave(session(3), &alice, true, later, QUARANTINE);
        assert_eq!(names.next_expiry(), Some(later + QUARANTINE));
        assert_eq!(names.take(session(2), &bob, "Ally", later + QUARANTINE / 2), Err(Status::NICKNAME_TAKEN));
        assert_eq!(names.take(session(4), &alice, "Ally", later + QUARANTINE / 2), Ok(()), "she may have it back");
        names.leave(session(4), &alice, true, later, QUARANTINE);
        assert_eq!(names.take(session(2), &bob, "Ally", later + QUARANTINE), Ok(()));
        names.leave(session(2), &bob, true, later, Duration::ZERO);
        assert!(names.is_empty(), "no quarantine, nothing kept");
    }
}
