//! Who joins, and what their SDP said.

use std::net::SocketAddr;
use std::sync::Arc;

use parlor_proto::msrp::Path;
use parlor_proto::sdp::AcceptTypes;
pub use parlor_proto::sdp::{ChatroomTokens, Direction, Fingerprint};
use parlor_proto::uri::Aor;

/// Who a session belongs to, as the focus found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What tells users apart in the roster: two sessions with the same one are one user on two devices.
    pub user: Aor,
    /// The URI that others see and send private messages to.
    pub uri: Arc<str>,
    /// The display name of the From header.
    pub display_name: Option<Arc<str>>,
    /// Every address that may stand in CPIM From, `user` among them (RFC 7701 §6.1).
    pub identities: Arc<[Aor]>,
    /// The member does not want to be known: `user` and `uri` are anonymous, the member is to be told `uri`, and messages reach
    /// it by that alone. Else they reach it by each of its identities.
    pub anonymous: bool,
}

impl Member {
    /// The addresses that messages reach the member by. An anonymous member shares the others of its identities with everybody.
    #[must_use]
    pub fn aliases(&self) -> &[Aor] {
        if self.anonymous { std::slice::from_ref(&self.user) } else { &self.identities }
    }
}

/// What offer and answer settled for one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Our path: one URI, with the session-id.
    pub local: Path,
    /// The peer's `a=path`, in order: the first URI is the one we send to, the last is the peer's own.
    pub remote: Path,
    /// `a=accept-wrapped-types` with `a=accept-types`; `None` where the peer has none of the first, and then it gets everything.
    pub accept_wrapped_types: Option<AcceptTypes>,
    /// `a=max-size` of the peer, in octets.
    pub max_size: Option<u64>,
    /// `a=chatroom` of the peer; `None` where it has none.
    pub chatroom: Option<ChatroomTokens>,
    /// What the peer may do at the moment.
    pub direction: Direction,
    /// Where the switch connects to (RFC 6135); `None`, as for nearly everybody: the peer connects.
    pub connect_to: Option<Box<Outward>>,
    /// What the certificate at the peer's end of a TLS connection has to match, one of them (RFC 8122); empty where the peer has
    /// said nothing about it.
    pub fingerprints: Box<[Fingerprint]>,
}

/// Whom the switch connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outward {
    /// Where.
    pub address: SocketAddr,
    /// Its name or address as the peer wrote it, which its certificate has to bear where no fingerprint was given (RFC 4975
    /// §14.4).
    pub name: Arc<str>,
}

/// What the other end of a TLS connection has shown of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The hashes of its certificate, by every function that is taken.
    pub fingerprints: Vec<Fingerprint>,
    /// Somebody whom we trust says that it belongs to the name that was connected to. Never true of one who connected to us.
    pub named: bool,
}

impl Terms {
    /// What holds while nobody has answered our offer: our own path stands where the peer's will. Whoever was offered it may
    /// connect before we know the answer, and is known by having our session-id; the answer comes with a change of terms.
    #[must_use]
    pub fn unanswered(local: Path) -> Self {
        Self::between(local.clone(), local)
    }

    /// What two paths alone settle: the peer connects, takes everything, and knows nothing of chat rooms.
    #[must_use]
    pub fn between(local: Path, remote: Path) -> Self {
        Self {
            local,
            remote,
            accept_wrapped_types: None,
            max_size: None,
            chatroom: None,
            direction: Direction::default(),
            connect_to: None,
            fingerprints: Box::default(),
        }
    }

    /// Whether the peer's path is known.
    #[must_use]
    pub fn are_answered(&self) -> bool {
        self.remote != self.local
    }
}
