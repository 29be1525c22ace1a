//! One room: its names, its policy, who is in it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::Roster;
use crate::facts::{OpenRoom, RoomPolicy};
use crate::ids::{RoomId, SessionKey};
use crate::limits::UNAWARE_USERS_PER_ROOM_MAX;
use crate::nickname::Registry;
use parlor_proto::sdp::AcceptTypes;
use parlor_proto::uri::Aor;

/// Octets of the Message-IDs that a room sends: 96 random bits in hexadecimal.
pub const MESSAGE_ID_LEN: usize = 24;

/// A room of this shard.
#[derive(Debug)]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// Its URI as we write it.
    pub uri: Arc<str>,
    /// What the operator decided.
    pub policy: Arc<RoomPolicy>,
    /// Who is in it.
    pub roster: Roster,
    /// Who is known by which nickname.
    pub nicknames: Registry<SessionKey>,
    /// Sessions that were opened in it and have not ended, bound or not.
    pub sessions: usize,
    /// The focus has no calls in it any more; it goes once the last quarantine has ended.
    pub closing: bool,
    /// When the next quarantine is looked at, if a time is set.
    pub timer: Option<Instant>,
    names: Vec<Aor>,
    /// Users of clients that know nothing of chat rooms who were told that they are in one.
    unaware: HashSet<Aor>,
    wrapped_types: AcceptTypes,
}

impl Room {
    /// A room without participants.
    #[must_use]
    pub fn new(open: &OpenRoom) -> Self {
        Self {
            id: open.room,
            uri: open.uri.clone(),
            policy: open.policy.clone(),
            roster: Roster::default(),
            nicknames: Registry::new(&open.policy.reserved_nicknames),
            sessions: 0,
            closing: false,
            timer: None,
            names: open.names.clone(),
            unaware: HashSet::new(),
            wrapped_types: AcceptTypes::from_ranges(open.policy.wrapped_types.iter().map(String::as_str)),
        }
    }

    /// Takes a new policy, or is wanted again after it was closing. Participants and nicknames stay.
    pub fn reopen(&mut self, open: &OpenRoom) {
        self.closing = false;
        if self.policy != open.policy {
            self.nicknames.reserve_words(&open.policy.reserved_nicknames);
            self.wrapped_types = AcceptTypes::from_ranges(open.policy.wrapped_types.iter().map(String::as_str));
            self.policy = open.policy.clone();
        }
        self.names.clone_from(&open.names);
    }

    /// Whether an address names this room.
    #[must_use]
    pub fn is_named(&self, aor: &Aor) -> bool {
        self.names.contains(aor)
    }

    /// Records a user whose client has no chat room support. Returns whether the user is new. At [`UNAWARE_USERS_PER_ROOM_MAX`] all
    /// recorded users are dropped, and are then new again.
    pub fn meet_unaware(&mut self, user: &Aor) -> bool {
        if self.unaware.len() >= UNAWARE_USERS_PER_ROOM_MAX {
            self.unaware.clear();
        }
        self.unaware.insert(user.clone())
    }

    /// The number of recorded users without chat room support.
    #[cfg(test)]
    pub(super) fn unaware_users(&self) -> usize {
        self.unaware.len()
    }

    /// Whether the room's policy lets messages of a type pass.
    #[must_use]
    pub fn takes_type(&self, content_type: Option<&str>) -> bool {
        self.wrapped_types.accepts_all() || content_type.is_some_and(|t| self.wrapped_types.accepts(t))
    }
}

/// A Message-ID made of 96 of these bits.
#[must_use]
pub fn message_id_of(bits: u128) -> [u8; MESSAGE_ID_LEN] {
    std::array::from_fn(|i| b"0123456789abcdef"[(bits >> (4 * i)) as usize & 0xf])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(policy: RoomPolicy) -> Room {
        let open = OpenRoom {
            room: RoomId(1),
            uri: "sip:lobby@example.com".into(),
            names: vec![Aor::parse(b"sip:lobby@example.com").unwrap(), Aor::parse(b"sip:lobby@10.0.0.1:5070").unwrap()],
            policy: Arc::new(policy),
        };
        Room::new(&open)
    }

    #[test]
    fn every_address_of_the_room_names_it() {
        let room = room(RoomPolicy::default());
        assert!(room.is_named(&Aor::parse(b"sips:lobby@EXAMPLE.com;transport=tls").unwrap()));
        assert!(room.is_named(&Aor::parse(b"sip:lobby@10.0.0.1:5070").unwrap()));
        assert!(!room.is_named(&Aor::parse(b"sip:attic@example.com").unwrap()));
    }

    #[test]
    fn the_policy_says_which_types_pass() {
        let all = room(RoomPolicy::default());
        assert!(all.takes_type(Some("x/y")) && all.takes_type(None));
        let text = room(RoomPolicy { wrapped_types: vec!["text/*".into()], ..RoomPolicy::default() });
        assert!(text.takes_type(Some("text/html; charset=utf-8")));
        assert!(!text.takes_type(Some("image/png")) && !text.takes_type(None));
    }
}
