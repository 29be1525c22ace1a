//! What the switch saw and the focus should learn.

use std::sync::Arc;

use crate::ids::{RoomId, SessionId};

/// From one shard's switch to the focus. At most one of a kind waits for each session and room, so what the focus has not
/// fetched yet is bounded by what exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The session can be bound: the 200 may go out.
    SessionReady {
        /// Which.
        session: SessionId,
    },
    /// The session was not opened.
    SessionRefused {
        /// Which.
        session: SessionId,
        /// Why.
        why: Refusal,
    },
    /// A change of a session is in force, or concerns one that is over: what waits for that may go out. One for each change.
    SessionChanged {
        /// Which.
        session: SessionId,
    },
    /// A connection is bound to the session: the member takes part.
    SessionBound {
        /// Which.
        session: SessionId,
    },
    /// The session failed or was ended from this side: the focus sends a BYE (RFC 4975 §5.4).
    SessionEnded {
        /// Which.
        session: SessionId,
        /// Why.
        why: EndReason,
    },
    /// A member asks for a nickname in a room whose nicknames are the server's. Answered by [`super::Command::DecideNickname`];
    /// a session asks for one at a time.
    NicknameAsked {
        /// Which session.
        session: SessionId,
        /// For what.
        nickname: Arc<str>,
    },
    /// The session's nickname as it is now.
    Nickname {
        /// Which session.
        session: SessionId,
        /// `None`: it has none any more.
        nickname: Option<Arc<str>>,
    },
    /// Nothing of the room is left on the shard.
    RoomClosed {
        /// Which.
        room: RoomId,
    },
    /// How busy the shard is. Sent when it has changed, once a second at most.
    Load {
        /// Copies handed to connections in the last second.
        deliveries_per_second: u64,
    },
}

/// Why a session was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No such room on the shard.
    NoSuchRoom,
    /// The shard has as many sessions as it takes.
    Full,
    /// The server is ending.
    Draining,
}

/// Why a session ended on the switch's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// It was not bound within `bind_timeout`.
    BindTimeout,
    /// Its connection was closed by the peer or failed.
    ConnectionLost,
    /// Its connection carried something that is not MSRP.
    ProtocolError,
    /// It was congested for longer than `congestion_timeout`.
    Congested,
    /// The connection to its peer failed.
    Unreachable,
    /// Its peer, which the switch connected to, refused the binding request.
    BindRefused,
    /// The certificate of its peer does not match the negotiated fingerprints or name.
    Certificate,
}

impl EndReason {
    /// A short text for the Reason header of the BYE and for logs.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::BindTimeout => "MSRP session not bound in time",
            Self::ConnectionLost => "MSRP connection lost",
            Self::ProtocolError => "MSRP protocol error",
            Self::Congested => "MSRP session congested",
            Self::Unreachable => "MSRP peer unreachable",
            Self::BindRefused => "MSRP peer does not know the session",
            Self::Certificate => "MSRP certificate mismatch",
        }
    }
}
