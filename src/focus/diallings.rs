//! The calls that are being made, and by what they are found.

use std::collections::HashMap;

use super::calls::Tag;
use super::dial_out::Dialling;
use crate::ids::SessionId;
use crate::limits::{DIALLINGS_MAX, PARTS_KEPT_FOR_OTHERS};
use crate::shares::Shares;

/// All calls that are being made, by our tag in them.
#[derive(Debug)]
pub(super) struct Diallings {
    pub(super) shares: Shares,
    by_tag: HashMap<Tag, Dialling>,
    by_session: HashMap<SessionId, Tag>,
}

impl Default for Diallings {
    fn default() -> Self {
        let shares = Shares::new(DIALLINGS_MAX, PARTS_KEPT_FOR_OTHERS);
        Self { shares, by_tag: HashMap::new(), by_session: HashMap::new() }
    }
}

impl Diallings {
    pub(super) fn len(&self) -> usize {
        self.by_tag.len()
    }

    pub(super) fn insert(&mut self, tag: Tag, mut dialling: Dialling) {
        dialling.share = Some(self.shares.take(&dialling.invitation.claim, 1));
        self.by_session.insert(dialling.session, tag);
        self.by_tag.insert(tag, dialling);
    }

    pub(super) fn remove(&mut self, tag: Tag) -> Option<Dialling> {
        let mut dialling = self.by_tag.remove(&tag)?;
        dialling.share.take().into_iter().for_each(|share| self.shares.give_back(share));
        self.by_session.remove(&dialling.session);
        Some(dialling)
    }

    pub(super) fn contains(&self, tag: Tag) -> bool {
        self.by_tag.contains_key(&tag)
    }

    pub(super) fn get(&self, tag: Tag) -> Option<&Dialling> {
        self.by_tag.get(&tag)
    }

    pub(super) fn get_mut(&mut self, tag: Tag) -> Option<&mut Dialling> {
        self.by_tag.get_mut(&tag)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Tag, &Dialling)> {
        self.by_tag.iter().map(|(tag, dialling)| (*tag, dialling))
    }

    /// The one whose session it is. Shards tell of sessions that have just gone, too, so this is no search.
    pub(super) fn of_session(&self, session: SessionId) -> Option<Tag> {
        self.by_session.get(&session).copied()
    }
}
