//! The roster of the room, kept up to date with conference documents (RFC 4575 §4.6).

use std::collections::BTreeMap;

use parlor_proto::conference_info::{ConferenceInfo, State, UserUpdate};
use parlor_proto::uri::Aor;

/// Participants that are kept.
const PARTICIPANTS_MAX: usize = 100_000;

/// A participant of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterEntry {
    /// The URI.
    pub uri: String,
    /// The nickname.
    pub nickname: Option<String>,
    /// The display name.
    pub display_name: Option<String>,
}

impl RosterEntry {
    /// The nickname, or else the display name, or else the URI.
    pub fn name(&self) -> &str {
        self.nickname.as_deref().or(self.display_name.as_deref()).unwrap_or(&self.uri)
    }

    /// Name and URI.
    pub fn label(&self) -> String {
        if self.name() == self.uri { self.uri.clone() } else { format!("{} <{}>", self.name(), self.uri) }
    }

    /// A line with nickname, display name and URI.
    pub fn line(&self, own: bool) -> String {
        let mark = if own { " (you)" } else { "" };
        match (&self.nickname, &self.display_name) {
            (Some(nickname), Some(name)) => format!("{nickname} ({name}) <{}>{mark}", self.uri),
            _ => format!("{}{mark}", self.label()),
        }
    }
}

/// A change of the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RosterChange {
    /// A participant has joined.
    Joined(RosterEntry),
    /// A participant has left.
    Left(RosterEntry),
    /// A participant has another nickname: the name before, and the entry now.
    Renamed(String, RosterEntry),
}

/// The result of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It was applied, or was outdated.
    Done,
    /// A document before it is missing: a full one is needed.
    Gap,
}

/// The roster, and its changes since the last call of [`Self::take_changes`].
pub struct Roster {
    own: Option<Aor>,
    version: Option<u32>,
    /// Every participant was received once: later differences are changes.
    complete: bool,
    entries: BTreeMap<Aor, RosterEntry>,
    changes: Vec<RosterChange>,
}

impl Roster {
    /// An empty roster. `own` is the user's URI, whose changes are not reported.
    pub fn new(own: &str) -> Self {
        let own = Aor::parse(own.as_bytes()).ok();
        Self { own, version: None, complete: false, entries: BTreeMap::new(), changes: Vec::new() }
    }

    /// Whether every participant was received.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether an entry is the user.
    pub fn is_own(&self, entry: &RosterEntry) -> bool {
        Aor::parse(entry.uri.as_bytes()).ok() == self.own
    }

    /// The participants; `None` before the first document.
    pub fn entries(&self) -> Option<impl Iterator<Item = &RosterEntry>> {
        self.version.map(|_| self.entries.values())
    }

    /// The changes since the last call.
    pub fn take_changes(&mut self) -> Vec<RosterChange> {
        std::mem::take(&mut self.changes)
    }

    /// Applies a document (RFC 4575 §4.6).
    pub fn apply(&mut self, info: ConferenceInfo) -> Applied {
        let before = self.version;
        if before.is_some() && info.version <= before {
            return Applied::Done;
        }
        if info.state == State::Partial && (before.is_none() || info.version != before.map(|version| version + 1)) {
            return Applied::Gap;
        }
        self.version = info.version;
        if info.state == State::Deleted {
            return Applied::Done;
        }
        let full = info.state == State::Full || info.users_state == State::Full && !info.users.is_empty();
        let mut unlisted = if full { std::mem::take(&mut self.entries) } else { BTreeMap::new() };
        for user in info.users {
            self.update(user, &mut unlisted);
        }
        let complete = info.user_count.is_none_or(|count| self.entries.len() >= count as usize);
        // A participant missing in a complete document has left; in a part of one it may follow in the next part.
        if complete {
            unlisted.into_values().for_each(|left| self.report(RosterChange::Left(left)));
        } else {
            self.entries.extend(unlisted);
        }
        self.complete |= complete;
        Applied::Done
    }

    fn update(&mut self, user: UserUpdate, unlisted: &mut BTreeMap<Aor, RosterEntry>) {
        let Ok(aor) = Aor::parse(user.entity.as_bytes()) else { return };
        let known = unlisted.remove(&aor).or_else(|| self.entries.remove(&aor));
        if user.state == State::Deleted {
            if let Some(left) = known {
                self.report(RosterChange::Left(left));
            }
            return;
        }
        let partial = user.state == State::Partial;
        let merged = |new: Option<String>, old: Option<String>| if partial { new.or(old) } else { new };
        let (nickname, display_name) = known.clone().map_or((None, None), |known| (known.nickname, known.display_name));
        let entry = RosterEntry {
            uri: user.entity,
            nickname: merged(user.nickname, nickname),
            display_name: merged(user.display_text, display_name),
        };
        match known {
            None => self.report(RosterChange::Joined(entry.clone())),
            Some(known) if known.nickname != entry.nickname => {
                self.report(RosterChange::Renamed(known.name().to_owned(), entry.clone()));
            }
            Some(_) => {}
        }
        if self.entries.len() < PARTICIPANTS_MAX {
            self.entries.insert(aor, entry);
        }
    }

    /// Reports a change after the roster was complete, except of the user itself.
    fn report(&mut self, change: RosterChange) {
        let (RosterChange::Joined(who) | RosterChange::Left(who) | RosterChange::Renamed(_, who)) = &change;
        if self.complete && !self.is_own(who) {
            self.changes.push(change);
        }
    }
}
