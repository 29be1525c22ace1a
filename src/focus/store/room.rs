//! One room: who is in it, and when it goes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::call::matches_any;
use crate::facts::{CREATOR, Delete, RoomPolicy};
use crate::focus::store::roster::Roster;
use crate::ids::{RoomId, ShardId};
use crate::limits::MASKS_PER_ROOM_MAX;
use crate::shares::Share;
use parlor_proto::uri::Aor;

/// One room.
#[derive(Debug)]
pub struct Room {
    pub id: RoomId,
    pub name: Arc<str>,
    pub shard: ShardId,
    pub policy: Arc<RoomPolicy>,
    /// Whether its shard was told last that it exists, not that it closes.
    pub open: bool,
    /// Sessions of each user.
    pub users: HashMap<Aor, usize>,
    /// Sessions of those who are known to us, by who they are: an anonymous one is the same here.
    pub accounts: HashMap<Aor, usize>,
    pub creator: Option<Aor>,
    /// Somebody in it has acknowledged our 200, or has answered our call, since it was opened. Until then it is not there to stay: whoever
    /// made it may be nobody.
    pub confirmed: bool,
    /// What it counts for whoever made it.
    pub share: Option<Share>,
    /// As whom those were here who have left and whom only we know, the latest last.
    pub aliases: VecDeque<(Aor, Aor)>,
    pub roster: Roster,
    /// Changes of the roster wait for the end of their interval.
    pub publishing: bool,
}

/// What follows from somebody's leaving.
#[derive(Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Others,
    /// The room is to be closed.
    Empty,
    /// Everybody else is to leave too (RFC 7701 §5.3).
    Dissolved,
}

impl Room {
    /// Users, however many sessions they have.
    pub fn users(&self) -> usize {
        self.users.len()
    }

    pub fn has(&self, user: &Aor) -> bool {
        self.users.contains_key(user)
    }

    /// Whether it is there because of a user.
    pub fn is_creator(&self, user: &Aor) -> bool {
        self.creator.as_ref() == Some(user)
    }

    /// Whether somebody is here, seen or unseen.
    pub fn has_account(&self, account: &Aor) -> bool {
        self.accounts.contains_key(account)
    }

    /// Notes who is behind a session that enters.
    pub fn enter_account(&mut self, account: &Aor) {
        *self.accounts.entry(account.clone()).or_default() += 1;
    }

    /// Forgets it again.
    pub fn leave_account(&mut self, account: &Aor) {
        if let Some(sessions) = self.accounts.get_mut(account) {
            *sessions -= 1;
            if *sessions == 0 {
                self.accounts.remove(account);
            }
        }
    }

    /// An account has left that was hidden behind `alias`.
    pub fn remember_alias(&mut self, account: &Aor, alias: &Aor) {
        self.take_alias(account);
        if self.aliases.len() >= MASKS_PER_ROOM_MAX {
            self.aliases.pop_front();
        }
        self.aliases.push_back((account.clone(), alias.clone()));
    }

    /// The alias of an account that comes back.
    pub fn take_alias(&mut self, account: &Aor) -> Option<Aor> {
        let at = self.aliases.iter().position(|(known, _)| known == account)?;
        self.aliases.remove(at).map(|(_, alias)| alias)
    }

    /// Whether somebody may bring others in and send them away.
    /// Patterns are about who it is, not about what the others see.
    pub fn is_moderated_by(&self, user: &Aor, account: Option<&Aor>) -> bool {
        let made = self.is_creator(user);
        let patterns = self.policy.moderators.iter().map(String::as_str);
        patterns.clone().any(|name| name == CREATOR && made)
            || matches_any(patterns.filter(|name| *name != CREATOR), account.unwrap_or(user))
    }

    /// Whether anybody has made it: one that waits for its first, or for its first again, is yet to be made.
    pub fn is_made(&self) -> bool {
        self.creator.is_some()
    }

    /// Somebody has made the room without being in it.
    pub fn made_by(&mut self, user: &Aor) {
        self.creator.get_or_insert_with(|| user.clone());
    }

    pub fn enter(&mut self, user: &Aor) {
        self.creator.get_or_insert_with(|| user.clone());
        *self.users.entry(user.clone()).or_default() += 1;
    }

    pub fn leave(&mut self, user: &Aor) -> Left {
        let Some(sessions) = self.users.get_mut(user) else { return Left::Others };
        *sessions -= 1;
        if *sessions > 0 {
            return Left::Others;
        }
        self.users.remove(user);
        let created = self.creator.as_ref() == Some(user);
        match self.policy.delete {
            Delete::Never if self.confirmed => Left::Others,
            _ if self.users.is_empty() => Left::Empty,
            Delete::WhenCreatorLeaves if created => Left::Dissolved,
            _ => Left::Others,
        }
    }

    /// Whether it stays when nobody is in it.
    pub fn is_to_stay(&self) -> bool {
        self.policy.delete == Delete::Never && self.confirmed
    }

    /// Marks it as closing; whoever joins it next has made it.
    pub fn close(&mut self) {
        self.open = false;
        self.confirmed = false;
        self.creator = None;
    }
}
