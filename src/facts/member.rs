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
    /// Identifies the user in the roster: sessions with the same `user` are devices of one user.
    pub user: Aor,
    /// The URI that others see and send private messages to.
    pub uri: Arc<str>,
    /// The display name of the From header.
    pub display_name: Option<Arc<str>>,
    /// Every address that may stand in CPIM From, `user` among them (RFC 7701 §6.1).
    pub identities: Arc<[Aor]>,
    /// Whether the member is anonymous: `user` and `uri` are anonymous URIs, the member is sent its `uri` in a notice, and only `uri`
    /// addresses it. Otherwise each of its identities does.
    pub anonymous: bool,
}

impl Member {
    /// The addresses of the member for private messages. An anonymous member has only `user`: its other identities do not
    /// distinguish it from other members.
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
    /// `a=accept-wrapped-types` with `a=accept-types`; `None` if the peer has no `a=accept-wrapped-types`: it accepts all types.
    pub accept_wrapped_types: Option<AcceptTypes>,
    /// `a=max-size` of the peer, in octets.
    pub max_size: Option<u64>,
    /// `a=chatroom` of the peer; `None` where it has none.
    pub chatroom: Option<ChatroomTokens>,
    /// Whether the peer currently sends, receives, or both.
    pub direction: Direction,
    /// Where the switch connects to (RFC 6135); `None`, the usual case: the peer connects.
    pub connect_to: Option<Box<Outward>>,
    /// Fingerprints, one of which the peer's TLS certificate has to match (RFC 8122); empty if the description has none.
    pub fingerprints: Box<[Fingerprint]>,
}

/// The peer that the switch connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outward {
    /// Address and port.
    pub address: SocketAddr,
    /// Its name or address as the peer wrote it, which its certificate has to bear where no fingerprint was given (RFC 4975
    /// §14.4).
    pub name: Arc<str>,
}

/// The certificate of the peer of a TLS connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its fingerprints, one for each supported hash function.
    pub fingerprints: Vec<Fingerprint>,
    /// Whether a trusted authority has signed it for the name that was connected to. Always false if the peer connected.
    pub named: bool,
}

impl Terms {
    /// The terms of an offer without an answer: the local path stands in for the remote one. The peer may connect before the answer
    /// is known, and is identified by the session-id. The answer comes in a [`Command::ChangeSession`](super::Command::ChangeSession).
    #[must_use]
    pub fn unanswered(local: Path) -> Self {
        Self::between(local.clone(), local)
    }

    /// Terms with two paths and defaults: the peer connects, accepts all types, and has no `a=chatroom`.
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
