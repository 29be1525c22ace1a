//! BYEs of ours without a final response.

use std::collections::HashMap;

use crate::call::Dialog;
use crate::focus::tag::Tag;
use crate::ids::{SessionId, ShardId};
use crate::transaction::TransactionId;
use parlor_proto::sip::Request;

/// What a BYE is about, where it ends a call that was in a room.
#[derive(Debug)]
pub struct Ending {
    pub tag: Tag,
    /// The dialog goes on until the BYE is answered: the peer's own BYE may cross it (RFC 3261 §15.1).
    pub dialog: Dialog,
    /// The session that stays until then, if one does.
    pub session: Option<(ShardId, SessionId)>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Byes {
    by_id: HashMap<TransactionId, Option<Box<Ending>>>,
    by_tag: HashMap<Tag, TransactionId>,
}

impl Byes {
    pub fn insert(&mut self, id: TransactionId, ending: Option<Ending>) {
        if let Some(ending) = &ending {
            self.by_tag.insert(ending.tag, id.clone());
        }
        self.by_id.insert(id, ending.map(Box::new));
    }

    /// A BYE is answered, or has failed.
    pub fn remove(&mut self, id: &TransactionId) -> Option<Box<Ending>> {
        let ending = self.by_id.remove(id)??;
        self.by_tag.remove(&ending.tag);
        Some(ending)
    }

    /// Our tag of the dialog that a request of the peer belongs to.
    pub fn owner(&self, request: &Request) -> Option<Tag> {
        let tag = Tag::of(request)?;
        let ending = self.by_id.get(self.by_tag.get(&tag)?)?.as_ref()?;
        ending.dialog.owns(request).then_some(tag)
    }

    pub fn ids(&self) -> impl Iterator<Item = &TransactionId> {
        self.by_id.keys()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }
}
