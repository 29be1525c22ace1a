//! The senders of messages that are forwarded as they arrive.

use std::collections::HashMap;

use crate::ids::SessionKey;
use crate::room::MESSAGE_ID_LEN;

/// Senders by the Message-IDs that their messages have on the way out.
#[derive(Debug, Default)]
pub struct Senders(HashMap<[u8; MESSAGE_ID_LEN], SessionKey>);

impl Senders {
    pub fn begin(&mut self, out_id: [u8; MESSAGE_ID_LEN], sender: SessionKey) {
        self.0.insert(out_id, sender);
    }

    pub fn end(&mut self, out_id: &[u8; MESSAGE_ID_LEN]) {
        self.0.remove(out_id);
    }

    /// The sender of a message.
    pub fn of(&self, out_id: &[u8; MESSAGE_ID_LEN]) -> Option<SessionKey> {
        self.0.get(out_id).copied()
    }

    /// All senders, once for each message.
    pub fn all(&self) -> impl Iterator<Item = SessionKey> + '_ {
        self.0.values().copied()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
