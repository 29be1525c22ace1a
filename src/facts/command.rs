//! What the focus decides and the switch carries out.

use std::sync::Arc;

use super::{Member, RoomPolicy, Terms};
use crate::ids::{RoomId, SessionId};
use parlor_proto::uri::Aor;

/// From the focus to one shard's switch.
#[derive(Debug, Clone)]
pub enum Command {
    /// A room is to exist on this shard. Naming one that exists, or that is closing, keeps its nicknames.
    OpenRoom(Box<OpenRoom>),
    /// The room has no calls any more. The switch answers [`super::Event::RoomClosed`] once nothing of it is left, which is
    /// when the last nickname's quarantine has ended.
    CloseRoom {
        /// Which.
        room: RoomId,
    },
    /// A session was negotiated. Answered by [`super::Event::SessionReady`] or [`super::Event::SessionRefused`].
    OpenSession(Box<OpenSession>),
    /// The session's ACK has come: from now its peer has `bind_timeout` to bind it.
    ExpectBinding {
        /// Which.
        session: SessionId,
    },
    /// A re-INVITE changed the terms. Another remote path unbinds the connection. Answered by
    /// [`super::Event::SessionChanged`].
    ChangeSession {
        /// Which.
        session: SessionId,
        /// What is in force now.
        terms: Box<Terms>,
    },
    /// The call is about to end: the session takes no part any more, but the connection that carries it stays until
    /// [`Command::CloseSession`], so that its peer learns of the end by the BYE and not by the connection (RFC 4975 §5.4).
    SuspendSession {
        /// Which.
        session: SessionId,
    },
    /// The call has ended. What waits for the session's peer is still sent.
    CloseSession {
        /// Which.
        session: SessionId,
    },
    /// What became of [`super::Event::NicknameAsked`].
    DecideNickname {
        /// Whose request.
        session: SessionId,
        /// It may have the nickname.
        granted: bool,
    },
    /// The server drains: bind no further sessions, and close each connection when its outbox is empty and its sessions have ended.
    Drain,
}

/// A room to open.
#[derive(Debug, Clone)]
pub struct OpenRoom {
    /// Its id.
    pub room: RoomId,
    /// Its own URI as the switch writes it into what it sends itself, `sip:NAME@DOMAIN`.
    pub uri: Arc<str>,
    /// Every address of record that names it (`choices`: each of `domains`, and our Contact).
    pub names: Vec<Aor>,
    /// Its policy (RFC 7701 §4.1).
    pub policy: Arc<RoomPolicy>,
}

/// A session to open.
#[derive(Debug, Clone)]
pub struct OpenSession {
    /// Its id, which the local path URI carries.
    pub session: SessionId,
    /// Where it belongs.
    pub room: RoomId,
    /// Who it is.
    pub member: Member,
    /// What was negotiated.
    pub terms: Terms,
    /// The anonymous user that it was when it was here before: its nicknames in quarantine are kept for it (RFC 7701 §4.1).
    pub formerly: Option<Aor>,
}
