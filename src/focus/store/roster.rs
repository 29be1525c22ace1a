//! The users of a room, as the conference event package shows them (RFC 4575), and which changes happened when.
//!
//! Every change has a number, and every user stands at its last change. What a subscriber has not seen yet is therefore one range
//! of numbers, however many changes it missed: users in the room are sent whole, those that have left are sent as deleted.
//!
//! | number | is |
//! |---|---|
//! | `forgotten` | departures up to here are forgotten: a subscriber that has seen no more needs the full state |
//! | `seen` of a subscriber | up to here it knows |
//! | `published` | changes up to here are sent to subscribers; moved once in `notify_interval` |
//! | `last` | the last change |
//!
//! `published <= last`, and no departure up to `forgotten` is sent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use crate::focus::store::participant::{ChangeNumber, Device, Entry, Participant};
use crate::focus::tag::Tag;
use crate::limits::{CONFERENCE_DOCUMENT_BYTES_MAX, CONFERENCE_DOCUMENTS_KEPT_MAX, DEPARTURES_PER_ROOM_MAX};
use parlor_proto::conference_info::{
    Description, MediaStatus, State, write_conference_state, write_deleted_user, write_description, write_head,
    write_tail, write_users,
};
use parlor_proto::uri::Aor;

/// The user that a change is about.
#[derive(Debug)]
enum Subject {
    Present(Aor),
    Left(Arc<str>),
}

/// The roster of one room.
#[derive(Debug, Default)]
pub struct Roster {
    people: HashMap<Aor, Participant>,
    of_call: HashMap<Tag, Aor>,
    changes: BTreeMap<ChangeNumber, Subject>,
    gone: HashMap<Arc<str>, ChangeNumber>,
    departures: BTreeSet<ChangeNumber>,
    forgotten: ChangeNumber,
    published: ChangeNumber,
    last: ChangeNumber,
    /// When the description has changed.
    described: ChangeNumber,
    devices: u64,
    /// How often it was published.
    version: u32,
    cached: Vec<CachedDocument>,
}

/// A document that several subscribers can share.
#[derive(Debug)]
struct CachedDocument {
    from: ChangeNumber,
    to: ChangeNumber,
    version: u32,
    document: Document,
}

/// A document and how far it reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub body: Bytes,
    /// Up to which change its reader knows everything now.
    pub reaches: ChangeNumber,
}

impl Roster {
    /// The calls of all users.
    pub fn calls(&self) -> impl Iterator<Item = Tag> {
        self.of_call.keys().copied()
    }

    /// The last change that is sent to subscribers.
    pub fn published(&self) -> ChangeNumber {
        self.published
    }

    /// Whether there is something to publish.
    pub fn is_dirty(&self) -> bool {
        self.published < self.last
    }

    /// Publishes every change so far.
    pub fn publish(&mut self) {
        if self.is_dirty() {
            self.published = self.last;
            self.version = self.version.saturating_add(1);
            self.cached.clear();
        }
    }

    /// The version of a first document. Changes in it that are not published yet belong to the next version.
    pub fn first_version(&self) -> u32 {
        self.version.saturating_add(1 + u32::from(self.is_dirty()))
    }

    /// Whether a subscriber that has seen everything up to a change can get the rest as a partial document.
    pub fn can_continue(&self, seen: ChangeNumber) -> bool {
        seen >= self.forgotten
    }

    /// A session has joined. `key` identifies the user, `uri` is its address in documents.
    pub fn join(&mut self, key: &Aor, uri: &Arc<str>, role: &'static str, device: Device) {
        if self.of_call.contains_key(&device.call) {
            return;
        }
        self.devices += 1;
        let number = self.devices;
        self.of_call.insert(device.call, key.clone());
        self.people.entry(key.clone()).or_insert_with(|| Participant::new(uri.clone(), role)).devices.push(Entry {
            device,
            number,
            nickname: None,
        });
        self.touch(key);
    }

    /// A session has left.
    pub fn leave(&mut self, call: Tag) {
        let Some(key) = self.of_call.remove(&call) else { return };
        let Some(participant) = self.people.get_mut(&key) else { return };
        participant.devices.retain(|entry| entry.device.call != call);
        if !participant.devices.is_empty() {
            return self.touch(&key);
        }
        let Some(participant) = self.people.remove(&key) else { return };
        self.changes.remove(&participant.changed);
        self.last += 1;
        self.changes.insert(self.last, Subject::Left(participant.uri.clone()));
        self.gone.insert(participant.uri, self.last);
        self.departures.insert(self.last);
        self.forget_departures();
    }

    /// A session has another nickname, or none.
    pub fn set_nickname(&mut self, call: Tag, nickname: Option<Arc<str>>) {
        let Some(key) = self.of_call.get(&call).cloned() else { return };
        let number = self.last + 1;
        let Some(entry) = self.entry(&key, call) else { return };
        if entry.nickname.as_ref().map(|(_, nickname)| nickname) != nickname.as_ref() {
            entry.nickname = nickname.map(|nickname| (number, nickname));
            self.touch(&key);
        }
    }

    /// Messages go in other directions.
    pub fn set_media(&mut self, call: Tag, media: MediaStatus) {
        let Some(key) = self.of_call.get(&call).cloned() else { return };
        let Some(entry) = self.entry(&key, call) else { return };
        if std::mem::replace(&mut entry.device.media, media) != media {
            self.touch(&key);
        }
    }

    /// What the user of a session may do has changed.
    pub fn set_role(&mut self, call: Tag, role: &'static str) {
        let Some(key) = self.of_call.get(&call).cloned() else { return };
        let Some(participant) = self.people.get_mut(&key) else { return };
        if std::mem::replace(&mut participant.role, role) != role {
            self.touch(&key);
        }
    }

    /// The room's description is another one.
    pub fn description_changed(&mut self) {
        self.last += 1;
        self.described = self.last;
    }

    fn entry(&mut self, key: &Aor, call: Tag) -> Option<&mut Entry> {
        self.people.get_mut(key)?.devices.iter_mut().find(|entry| entry.device.call == call)
    }

    /// Moves a user to a new change.
    fn touch(&mut self, key: &Aor) {
        let Some(participant) = self.people.get_mut(key) else { return };
        self.last += 1;
        self.changes.remove(&std::mem::replace(&mut participant.changed, self.last));
        self.changes.insert(self.last, Subject::Present(key.clone()));
        participant.written.take();
        if let Some(before) = self.gone.remove(&participant.uri) {
            self.changes.remove(&before);
            self.departures.remove(&before);
        }
    }

    fn forget_departures(&mut self) {
        if self.gone.len() <= DEPARTURES_PER_ROOM_MAX {
            return;
        }
        let Some(oldest) = self.departures.pop_first() else { return };
        if let Some(Subject::Left(uri)) = self.changes.remove(&oldest) {
            self.gone.remove(&uri);
        }
        self.forgotten = oldest;
    }

    /// The full state, as it is now. Where it does not fit into one document, partial ones follow from where it reaches.
    pub fn everything(&self, entity: &str, description: &Description, version: u32) -> Document {
        let (users, reaches) = self.users_within(0, self.last, false);
        let mut out = String::with_capacity(users.len() + 1024);
        write_head(&mut out, entity, State::Full, version);
        write_description(&mut out, description);
        write_conference_state(&mut out, self.people.len(), true);
        write_users(&mut out, State::Full, &users);
        write_tail(&mut out);
        Document { body: out.into(), reaches }
    }

    /// The published changes after `seen`, or the next part of them. Subscribers that have seen the same share the document.
    pub fn changes_since(
        &mut self,
        seen: ChangeNumber,
        entity: &str,
        description: &Description,
        version: u32,
    ) -> Document {
        let same =
            |cached: &&CachedDocument| (cached.from, cached.to, cached.version) == (seen, self.published, version);
        if let Some(cached) = self.cached.iter().find(same) {
            return cached.document.clone();
        }
        let (users, reaches) = self.users_within(seen, self.published, true);
        let mut out = String::with_capacity(users.len() + 1024);
        write_head(&mut out, entity, State::Partial, version);
        if self.described > seen && self.described <= self.published {
            write_description(&mut out, description);
        }
        write_conference_state(&mut out, self.people.len(), true);
        if !users.is_empty() {
            write_users(&mut out, State::Partial, &users);
        }
        write_tail(&mut out);
        let document = Document { body: out.into(), reaches };
        if self.cached.len() < CONFERENCE_DOCUMENTS_KEPT_MAX {
            self.cached.push(CachedDocument { from: seen, to: self.published, version, document: document.clone() });
        }
        document
    }

    /// The users of a range of changes, as many as fit into a document, and the last change that is in it.
    fn users_within(&self, after: ChangeNumber, until: ChangeNumber, departures: bool) -> (String, ChangeNumber) {
        let mut users = String::new();
        let mut reached = after;
        // Who has just been told everything may know more than is published.
        let until = until.max(after);
        for (&change, who) in self.changes.range(after + 1..until + 1) {
            let before = users.len();
            match who {
                Subject::Present(key) => users.push_str(self.people.get(key).map_or("", Participant::written)),
                Subject::Left(uri) if departures => write_deleted_user(&mut users, uri),
                Subject::Left(_) => {}
            }
            // The first one goes in whatever its size: nobody is to wait for ever.
            if users.len() > CONFERENCE_DOCUMENT_BYTES_MAX && before > 0 {
                users.truncate(before);
                return (users, reached);
            }
            reached = change;
        }
        (users, until)
    }
}

/// The document of a conference that is no more (RFC 4575 §4.6).
pub fn deleted_document(entity: &str, version: u32) -> Bytes {
    let mut out = String::new();
    write_head(&mut out, entity, State::Deleted, version);
    write_tail(&mut out);
    out.into()
}

#[cfg(test)]
mod tests;
