//! One room: its users, and when it closes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::call::matches_any;
use crate::facts::{CREATOR, Delete, RoomPolicy};
use crate::focus::store::roster::Roster;
use crate::ids::{RoomId, ShardId};
use crate::limits::ALIASES_PER_ROOM_MAX;
use crate::shares::Share;
use parlor_proto::uri::Aor;

/// One room.
#[derive(Debug)]
pub struct Room {
    pub id: RoomId,
    pub name: Arc<str>,
    pub shard: ShardId,
    pub policy: Arc<RoomPolicy>,
    /// Whether it is open on its shard, by the last command.
    pub open: bool,
    /// Sessions of each user.
    pub users: HashMap<Aor, usize>,
    /// Sessions of each known account, those under an alias too.
    pub accounts: HashMap<Aor, usize>,
    pub creator: Option<Aor>,
    /// A user has acknowledged our 200, or has answered our call, since it was opened. Until then it is not permanent: its
    /// creator may have forged its address.
    pub confirmed: bool,
    /// What it takes of the limit, and for which holder.
    pub share: Option<Share>,
    /// The aliases of anonymous accounts that have left, the latest last.
    pub aliases: VecDeque<(Aor, Aor)>,
    pub roster: Roster,
    /// Changes of the roster wait for the end of their interval.
    pub publishing: bool,
}

/// What follows when a session leaves.
#[derive(Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Others,
    /// The room is to be closed.
    Empty,
    /// All others are to leave too (RFC 7701 §5.3).
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

    /// Whether an account is here, under its name or an alias.
    pub fn has_account(&self, account: &Aor) -> bool {
        self.accounts.contains_key(account)
    }

    /// A session of an account has joined.
    pub fn enter_account(&mut self, account: &Aor) {
        *self.accounts.entry(account.clone()).or_default() += 1;
    }

    /// A session of an account has left.
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
        if self.aliases.len() >= ALIASES_PER_ROOM_MAX {
            self.aliases.pop_front();
        }
        self.aliases.push_back((account.clone(), alias.clone()));
    }

    /// The alias of an account that comes back.
    pub fn take_alias(&mut self, account: &Aor) -> Option<Aor> {
        let at = self.aliases.iter().position(|(known, _)| known == account)?;
        self.aliases.remove(at).map(|(_, alias)| alias)
    }

    /// Whether a user may invite and remove others.
    /// Patterns match the account, not the alias.
    pub fn is_moderated_by(&self, user: &Aor, account: Option<&Aor>) -> bool {
        let made = self.is_creator(user);
        let patterns = self.policy.moderators.iter().map(String::as_str);
        patterns.clone().any(|name| name == CREATOR && made)
            || matches_any(patterns.filter(|name| *name != CREATOR), account.unwrap_or(user))
    }

    /// Whether it has a creator: a closing room has none.
    pub fn has_creator(&self) -> bool {
        self.creator.is_some()
    }

    /// A user has created the room without joining it.
    pub fn set_creator(&mut self, user: &Aor) {
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

    /// Whether it stays open without users.
    pub fn is_permanent(&self) -> bool {
        self.policy.delete == Delete::Never && self.confirmed
    }

    /// Marks it as closing; the next user to join is its creator.
    pub fn close(&mut self) {
        self.open = false;
        self.confirmed = false;
        self.creator = None;
    }
}
