//! Identifiers. A session id contains its shard, so no lookup crosses cores.

use std::fmt;
use std::hash::Hasher;

/// A shard: a thread on its own core with its rooms, sessions and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// A room, unique within the process. The focus assigns them and does not reuse them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomId(pub u64);

slotmap::new_key_type! {
    /// An MSRP connection of a shard: a slot and its generation, so that a stale id matches nothing.
    pub struct ConnectionId;

    /// The slot of a session in its shard.
    pub struct SessionKey;

    /// The slot of a room in its shard.
    pub struct RoomKey;
}

/// A fast hasher for slot keys. Peers cannot choose them, so it need not resist attacks; it is used for each message.
#[derive(Debug, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.write_u64(u64::from(*octet));
        }
    }

    fn write_u64(&mut self, key: u64) {
        // Multiplication by an odd number near 2^64 divided by the golden ratio spreads adjacent keys; tables use the lowest and the
        // highest bits.
        let spread = (self.0.rotate_left(5) ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ (spread >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// An MSRP session: its shard and 128 random bits. Its text form is the session-id of the path URI (RFC 4975 §6), which must be hard
/// to guess (§14.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// The shard that owns it.
    pub shard: ShardId,
    /// 128 random bits.
    pub random: u128,
}

/// Octets in the text form of a [`SessionId`]: 4 hexadecimal digits of the shard and 32 random ones.
pub const SESSION_ID_TEXT_LEN: usize = 36;

impl SessionId {
    /// The first digits, for logs: a reader of a log must not be able to bind the session (RFC 4975 §14.1).
    #[must_use]
    pub fn short(&self) -> String {
        format!("{:04x}-{:08x}", self.shard.0, (self.random >> 96) as u32)
    }

    /// Parses the text form. Session-ids are case-sensitive (RFC 4975 §6.1), so upper case is `None`.
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

/// The first digits, as in [`SessionId::short`].
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
    fn a_session_id_round_trips() {
        for id in [
            SessionId { shard: ShardId(0), random: 0 },
            SessionId { shard: ShardId(0xabcd), random: u128::MAX },
            SessionId { shard: ShardId(7), random: 0x0123_4567_89ab_cdef_0011_2233_4455_6677 },
        ] {
            assert_eq!(SessionId::from_text(id.to_string().as_bytes()), Some(id));
        }
    }

    #[test]
    fn invalid_session_ids_are_refused() {
        let good = SessionId { shard: ShardId(1), random: 0xabc }.to_string();
        assert_eq!(SessionId::from_text(good.to_ascii_uppercase().as_bytes()), None);
        assert_eq!(SessionId::from_text(&good.as_bytes()[1..]), None);
        assert_eq!(SessionId::from_text(b""), None);
    }

    #[test]
    fn debug_output_is_shortened() {
        let id = SessionId { shard: ShardId(1), random: 0x0123_4567_89ab_cdef_0011_2233_4455_6677 };
        assert!(!format!("{id:?}").contains("89ab"));
        assert_eq!(id.short().to_string(), "0001-01234567");
    }
}
