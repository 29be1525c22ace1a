//! Identifiers. The owner is inside the id: a session's id names its shard, so nothing has to be looked up across cores.

use std::fmt;
use std::hash::Hasher;

/// One shard: a pinned core with its own rooms, sessions and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// One room, unique within the process. The focus hands them out and never reuses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomId(pub u64);

slotmap::new_key_type! {
    /// One MSRP connection of a shard. A slot and how often the slot has been used, so that a stale id names nothing.
    pub struct ConnectionId;

    /// Where a shard keeps a session, in the same manner.
    pub struct SessionKey;

    /// Where a shard keeps a room.
    pub struct RoomKey;
}

/// A hasher for keys that a shard hands out itself, slot by slot: nobody else has a say in them, so there is no need of one
/// that stands up to an attacker, and a member who has to be looked up for each message is cheap.
#[derive(Debug, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.write_u64(u64::from(*octet));
        }
    }

    fn write_u64(&mut self, key: u64) {
        // Multiplied by an odd number near 2^64 divided by the golden ratio, neighbours end far apart; tables take the lowest bits
        // and the highest.
        let spread = (self.0.rotate_left(5) ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ (spread >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// One MSRP session: the shard that owns it and 128 random bits. Its text form is the session-id of the path URI that the
/// focus offers (RFC 4975 §6), which §14.1 wants hard to guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// The owner.
    pub shard: ShardId,
    /// 128 bits that nobody can guess.
    pub random: u128,
}

/// Octets in the text form of a [`SessionId`]: four hexadecimal digits of shard, 32 of randomness.
pub const SESSION_ID_TEXT_LEN: usize = 36;

impl SessionId {
    /// The first digits only, for logs: whoever reads one must not be able to bind to the session (RFC 4975 §14.1).
    #[must_use]
    pub fn short(&self) -> String {
        format!("{:04x}-{:08x}", self.shard.0, (self.random >> 96) as u32)
    }

    /// Reads the text form; `None` for anything else. Session-ids are compared case-sensitively (RFC 4975 §6.1), so upper
    /// case is not ours.
    #[must_use]
    pub fn from_text(text: &[u8]) -> Option<Self> {
        if text.len() != SESSION_ID_TEXT_LEN {
            return None;
        }
        let mut shard = 0u16;
        let mut random = 0u128;
        for (i, octet) in text.iter().enumerate() {
            let nibble = match octet {
                b'0'..=b'9' => octet - b'0',
                b'a'..=b'f' => octet - b'a' + 10,
                _ => return None,
            };
            if i < 4 {
                shard = shard << 4 | u16::from(nibble);
            } else {
                random = random << 4 | u128::from(nibble);
            }
        }
        Some(Self { shard: ShardId(shard), random })
    }
}

/// The text form, lower-case hexadecimal.
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}{:032x}", self.shard.0, self.random)
    }
}

/// Shows the first digits only, as in [`SessionId::short`].
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({}…)", self.short())
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", slotmap::Key::data(self).as_ffi() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_survives_its_text() {
        for id in [
            SessionId { shard: ShardId(0), random: 0 },
            SessionId { shard: ShardId(0xabcd), random: u128::MAX },
            SessionId { shard: ShardId(7), random: 0x0123_4567_89ab_cdef_0011_2233_4455_6677 },
        ] {
            assert_eq!(SessionId::from_text(id.to_string().as_bytes()), Some(id));
        }
    }

    #[test]
    fn anything_else_is_no_session_id() {
        let good = SessionId { shard: ShardId(1), random: 0xabc }.to_string();
        assert_eq!(SessionId::from_text(good.to_ascii_uppercase().as_bytes()), None);
        assert_eq!(SessionId::from_text(&good.as_bytes()[1..]), None);
        assert_eq!(SessionId::from_text(b""), None);
    }

    #[test]
    fn debug_output_does_not_give_the_id_away() {
        let id = SessionId { shard: ShardId(1), random: 0x0123_4567_89ab_cdef_0011_2233_4455_6677 };
        assert!(!format!("{id:?}").contains("89ab"));
        assert_eq!(id.short().to_string(), "0001-01234567");
    }
}
