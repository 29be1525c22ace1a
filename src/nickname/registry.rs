//! Whose each nickname is (RFC 7701 §7): it is one user's, who may have it on several devices, and stays that user's for a
//! while after the last of them has left.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::{NicknameKey, Skeleton, skeletons};
use parlor_proto::msrp::Status;
use parlor_proto::uri::Aor;

/// Which nicknames are taken, in a room or in the whole server. `S` is what a session is called there.
#[derive(Debug)]
pub struct Registry<S> {
    reserved: HashSet<NicknameKey>,
    reserved_skeletons: HashSet<Skeleton>,
    taken: HashMap<NicknameKey, Holder<S>>,
    /// The skeletons of the taken ones, each with the nicknames that have it.
    skeletons: HashMap<Skeleton, SmallVec<[NicknameKey; 1]>>,
    of_session: HashMap<S, NicknameKey>,
}

#[derive(Debug)]
struct Holder<S> {
    user: Aor,
    sessions: SmallVec<[S; 1]>,
    skeletons: SmallVec<[Skeleton; 2]>,
    /// When the nickname is free again; `None` while its user is in the room.
    free_at: Option<Instant>,
}

impl<S> Default for Registry<S> {
    fn default() -> Self {
        Self {
            reserved: HashSet::new(),
            reserved_skeletons: HashSet::new(),
            taken: HashMap::new(),
            skeletons: HashMap::new(),
            of_session: HashMap::new(),
        }
    }
}

impl<S: Copy + Eq + Hash> Registry<S> {
    /// No nicknames, and reserved words. Words that are no nicknames are left out.
    #[must_use]
    pub fn new(reserved: &[String]) -> Self {
        let mut nicknames = Self::default();
        nicknames.reserve_words(reserved);
        nicknames
    }

    /// Changes the reserved words. A user that has one keeps it.
    pub fn reserve_words(&mut self, reserved: &[String]) {
        self.reserved = reserved.iter().filter_map(|word| NicknameKey::of(word).ok()).collect();
        self.reserved_skeletons = reserved.iter().filter_map(|word| skeletons(word).ok()).flatten().collect();
    }

    /// Whether `user` may have a nickname; with `strict`, one that looks like another user's or like a reserved word is refused
    /// too (§7.1).
    ///
    /// # Errors
    /// Returns 425 if the nickname is reserved or another user's, and 424 if the text is no nickname.
    pub fn check(&self, user: &Aor, nickname: &str, strict: bool, now: Instant) -> Result<(), Status> {
        let key = NicknameKey::of(nickname).map_err(|_| Status::MALFORMED_NICKNAME)?;
        let free = !self.reserved.contains(&key) && !self.is_taken_by_other(&key, user, now);
        let distinct = || {
            skeletons(nickname).unwrap_or_default().iter().all(|skeleton| {
                let mut alike = self.skeletons.get(skeleton).into_iter().flatten();
                !self.reserved_skeletons.contains(skeleton) && alike.all(|key| !self.is_taken_by_other(key, user, now))
            })
        };
        if free && (!strict || distinct()) { Ok(()) } else { Err(Status::NICKNAME_TAKEN) }
    }

    fn is_taken_by_other(&self, key: &NicknameKey, user: &Aor, now: Instant) -> bool {
        self.taken.get(key).is_some_and(|holder| holder.user != *user && holder.free_at.is_none_or(|at| at > now))
    }

    /// Gives a nickname to a session of `user`; the one it had before is free at once (§7.2). `strict` as for
    /// [`Registry::check`].
    ///
    /// # Errors
    /// Returns an error as [`Registry::check`] does. The session keeps its nickname then.
    pub fn take(&mut self, session: S, user: &Aor, nickname: &str, strict: bool, now: Instant) -> Result<(), Status> {
        self.check(user, nickname, strict, now)?;
        let key = NicknameKey::of(nickname).map_err(|_| Status::MALFORMED_NICKNAME)?;
        self.release(session);
        // It may be another's whose quarantine has ended.
        let free = self.taken.get(&key).is_some_and(|holder| holder.user != *user);
        if free {
            self.forget(&key);
        }
        if !self.taken.contains_key(&key) {
            let skeletons = skeletons(nickname).unwrap_or_default();
            for skeleton in &skeletons {
                self.skeletons.entry(skeleton.clone()).or_default().push(key.clone());
            }
            let holder = Holder { user: user.clone(), sessions: SmallVec::new(), skeletons, free_at: None };
            self.taken.insert(key.clone(), holder);
        }
        if let Some(holder) = self.taken.get_mut(&key) {
            holder.free_at = None;
            holder.sessions.push(session);
        }
        self.of_session.insert(session, key);
        Ok(())
    }

    fn forget(&mut self, key: &NicknameKey) {
        let Some(holder) = self.taken.remove(key) else { return };
        for skeleton in holder.skeletons {
            if let Some(alike) = self.skeletons.get_mut(&skeleton) {
                alike.retain(|other| other != key);
                if alike.is_empty() {
                    self.skeletons.remove(&skeleton);
                }
            }
        }
    }

    /// Removes the nickname of a session that requests it: it is free at once, unless another session of the user has it.
    /// Returns whether it had one.
    pub fn release(&mut self, session: S) -> bool {
        let Some(key) = self.of_session.remove(&session) else { return false };
        if let Some(holder) = self.taken.get_mut(&key) {
            holder.sessions.retain(|other| *other != session);
            if holder.sessions.is_empty() {
                self.forget(&key);
            }
        }
        true
    }

    /// A session has left. Its nickname stays its user's; once no session of the user is left (`user_gone`), for as long as
    /// the quarantine lasts.
    pub fn leave(&mut self, session: S, user: &Aor, user_gone: bool, now: Instant, quarantine: Duration) {
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

    /// A user that was `before` has come back under the alias `after`: what is in quarantine for `before` is so for `after`. What `before` has on another device stays as it is.
    pub fn inherit(&mut self, before: &Aor, after: &Aor) {
        for holder in self.taken.values_mut().filter(|holder| holder.user == *before && holder.free_at.is_some()) {
            holder.user = after.clone();
        }
    }

    /// Forgets the nicknames whose quarantine has ended.
    pub fn expire(&mut self, now: Instant) {
        let is_over = |holder: &Holder<S>| holder.free_at.is_some_and(|at| at <= now);
        let over: Vec<_> = self.taken.iter().filter(|(_, h)| is_over(h)).map(|(key, _)| key.clone()).collect();
        over.iter().for_each(|key| self.forget(key));
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
    const QUARANTINE: Duration = Duration::from_secs(60);

    fn session(n: u64) -> u64 {
        n
    }

    fn user(name: &str) -> Aor {
        Aor::parse(format!("sip:{name}@example.com").as_bytes()).unwrap()
    }

    #[test]
    fn a_nickname_is_one_users() {
        let (mut names, now) = (Registry::new(&["Admin".into()]), Instant::now());
        let (alice, bob) = (user("alice"), user("bob"));
        assert_eq!(names.take(session(1), &alice, "Ally", false, now), Ok(()));
        assert_eq!(names.take(session(2), &bob, "ALLY", false, now), Err(Status::NICKNAME_TAKEN));
        assert_eq!(names.take(session(2), &bob, " admin ", false, now), Err(Status::NICKNAME_TAKEN));
        assert_eq!(names.take(session(3), &alice, "ally", false, now), Ok(()), "her second device");
        assert_eq!(names.take(session(2), &bob, "", false, now), Err(Status::MALFORMED_NICKNAME));
    }

    #[test]
    fn a_change_frees_the_old_one_at_once_and_a_refusal_keeps_it() {
        let (mut names, now) = (Registry::default(), Instant::now());
        let (alice, bob) = (user("alice"), user("bob"));
        names.take(session(1), &alice, "Ally", false, now).unwrap();
        names.take(session(2), &bob, "Bobby", false, now).unwrap();
        assert_eq!(names.take(session(1), &alice, "Bobby", false, now), Err(Status::NICKNAME_TAKEN));
        assert_eq!(names.take(session(2), &bob, "Ally", false, now), Err(Status::NICKNAME_TAKEN), "she still has it");
        names.take(session(1), &alice, "Alice", false, now).unwrap();
        assert_eq!(names.take(session(2), &bob, "Ally", false, now), Ok(()));
        assert!(names.release(session(1)));
        assert!(!names.release(session(1)));
        assert_eq!(names.take(session(2), &bob, "Alice", false, now), Ok(()));
    }

    #[test]
    fn taking_ones_own_nickname_again_changes_nothing() {
        let (mut names, now) = (Registry::default(), Instant::now());
        names.take(session(1), &user("alice"), "Ally", false, now).unwrap();
        names.take(session(1), &user("alice"), "ALLY", false, now).unwrap();
        assert_eq!(names.take(session(2), &user("bob"), "Ally", false, now), Err(Status::NICKNAME_TAKEN));
        assert!(names.release(session(1)) && names.is_empty());
    }

    #[test]
    fn quarantine_starts_when_the_last_session_has_left() {
        let (mut names, now) = (Registry::default(), Instant::now());
        let (alice, bob) = (user("alice"), user("bob"));
        names.take(session(1), &alice, "Ally", false, now).unwrap();
        names.leave(session(1), &alice, false, now, QUARANTINE);
        assert_eq!(names.next_expiry(), None, "another device of hers is here");
        let later = now + 2 * QUARANTINE;
        assert_eq!(names.take(session(2), &bob, "Ally", false, later), Err(Status::NICKNAME_TAKEN));
        names.leave(session(3), &alice, true, later, QUARANTINE);
        assert_eq!(names.next_expiry(), Some(later + QUARANTINE));
        assert_eq!(names.take(session(2), &bob, "Ally", false, later + QUARANTINE / 2), Err(Status::NICKNAME_TAKEN));
        assert_eq!(
            names.take(session(4), &alice, "Ally", false, later + QUARANTINE / 2),
            Ok(()),
            "she may have it back"
        );
        names.leave(session(4), &alice, true, later, QUARANTINE);
        assert_eq!(names.take(session(2), &bob, "Ally", false, later + QUARANTINE), Ok(()));
        names.leave(session(2), &bob, true, later, Duration::ZERO);
        assert!(names.is_empty(), "no quarantine, nothing kept");
    }

    #[test]
    fn who_comes_back_as_another_finds_what_is_in_quarantine_and_nothing_else() {
        let (mut names, now) = (Registry::default(), Instant::now());
        let (mask, other, bob) = (user("anonymous-1"), user("anonymous-2"), user("bob"));
        names.take(session(1), &mask, "Owl", false, now).unwrap();
        names.inherit(&mask, &other);
        assert_eq!(names.check(&other, "Owl", false, now), Err(Status::NICKNAME_TAKEN), "the first one is here");
        names.leave(session(1), &mask, true, now, QUARANTINE);
        names.inherit(&mask, &other);
        assert_eq!(names.check(&bob, "Owl", false, now), Err(Status::NICKNAME_TAKEN));
        assert_eq!(names.check(&mask, "Owl", false, now), Err(Status::NICKNAME_TAKEN), "nobody has that mask any more");
        assert_eq!(names.take(session(2), &other, "Owl", false, now), Ok(()));
        names.expire(now + QUARANTINE);
        assert_eq!(names.check(&bob, "Owl", false, now + QUARANTINE), Err(Status::NICKNAME_TAKEN), "it is in use");
    }

    #[test]
    fn look_alikes_are_refused_where_that_is_asked_for() {
        let (mut names, now) = (Registry::new(&["Admin".into()]), Instant::now());
        let (alice, bob) = (user("alice"), user("bob"));
        names.take(session(1), &alice, "Alice", true, now).unwrap();
        assert_eq!(names.check(&bob, "\u{0410}lice", true, now), Err(Status::NICKNAME_TAKEN));
        assert_eq!(names.check(&bob, "\u{0410}lice", false, now), Ok(()));
        assert_eq!(names.check(&bob, "\u{0430}dmin", true, now), Err(Status::NICKNAME_TAKEN), "like a reserved word");
        assert_eq!(names.take(session(2), &alice, "\u{0410}lice", true, now), Ok(()), "she may look like herself");
        assert!(names.release(session(1)));
        assert_eq!(names.check(&bob, "Alice", true, now), Err(Status::NICKNAME_TAKEN), "the other one is still hers");
        assert!(names.release(session(2)));
        assert_eq!(names.take(session(3), &bob, "AIice", true, now), Ok(()));
        names.leave(session(3), &bob, true, now, QUARANTINE);
        assert_eq!(names.check(&alice, "Alice", true, now), Err(Status::NICKNAME_TAKEN), "in quarantine too");
        names.expire(now + QUARANTINE);
        assert!(names.is_empty() && names.skeletons.is_empty());
    }
}
