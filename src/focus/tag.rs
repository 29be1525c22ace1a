//! Our tags: by them dialogs are known.

use std::hash::Hash;

use parlor_proto::sip::{HeaderName, Request, tag};

/// A call, by our tag of its dialog: 64 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u64);

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Tag {
    /// Our tag in a request of the peer.
    pub fn of(request: &Request) -> Option<Self> {
        Self::parse(&tag(&request.headers, &HeaderName::To)?)
    }

    fn parse(text: &str) -> Option<Self> {
        let legal = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        legal.then(|| u64::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}
