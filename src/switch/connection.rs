//! One MSRP connection as the switch sees it.

use std::net::SocketAddr;
use std::time::Instant;

use smallvec::SmallVec;

use super::congestion::Congestion;
use super::content::ContentLines;
use super::dialling::Dialled;
use super::log::Place;
use super::outbox::Outbox;
use crate::facts::Certificate;
use crate::ids::SessionKey;
use parlor_proto::msrp::{ByteRange, ChunkParser, FailureReport, TransactionId};

/// A connection, whoever opened it.
#[derive(Debug)]
pub struct Connection {
    pub(super) peer: SocketAddr,
    pub(super) secure: bool,
    /// What the other end has shown of itself, where there is TLS.
    pub(super) certificate: Option<Box<Certificate>>,
    /// What we have made it for, until that is settled.
    pub(super) dialled: Option<Box<Dialled>>,
    pub(super) parser: ChunkParser,
    /// The chunk that it is in the middle of.
    pub(super) incoming: Option<Box<Incoming>>,
    /// The sessions bound to it. Several where the peer is a relay.
    pub(super) sessions: SmallVec<[SessionKey; 1]>,
    pub(super) outbox: Outbox,
    pub(super) congestion: Congestion,
    pub(super) state: Sending,
    /// Nothing more is read; it goes once its outbox is empty.
    pub(super) closing: bool,
    /// When it is closed: unless a session is bound to it by then, or, while it is closing, whatever still waits on it.
    pub(super) deadline: Option<Instant>,
    /// The last message that was put into its outbox, and how many copies of it: several sessions need an id each.
    pub(super) stamp: u64,
    pub(super) copies: u16,
    /// Where its session sits, if it has only one.
    pub(super) place: Option<Place>,
}

/// Where a connection's outbox stands.
///
/// ```text
///   Idle ──something waits──► Dirty ──gathered──► Idle
///                               └──the kernel is full──► Blocked ──it took something──► Dirty or Idle
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// Nothing waits.
    Idle,
    /// On the list of those to be sent to.
    Dirty,
    /// The kernel takes no more at the moment.
    Blocked,
}

/// A chunk whose head was read.
#[derive(Debug)]
pub struct Incoming {
    pub(super) tid: TransactionId,
    pub(super) failure_report: FailureReport,
    pub(super) success_report: bool,
    /// Its From-Path, where that is not the session's remote path.
    pub(super) from_path: Option<Box<[u8]>>,
    pub(super) task: Task,
}

/// What is done with a chunk's body.
#[derive(Debug)]
pub enum Task {
    /// Dropped.
    Drop,
    /// Dropped, being a part of a message that was refused.
    Refused {
        /// Whose.
        session: SessionKey,
        /// Its Message-ID.
        message_id: MessageId,
    },
    /// A piece of a message.
    Message {
        /// Whose.
        session: SessionKey,
        /// Its Message-ID.
        message_id: MessageId,
        /// What its head says.
        range: ByteRange,
        /// Octets of the chunk so far.
        seen: u64,
        /// The Content-Type is message/cpim.
        cpim: bool,
        /// There is a Content-Type.
        typed: bool,
        /// What else is said about the body.
        content: ContentLines,
    },
}

impl Task {
    /// Whether a chunk of which nothing has come so far has no body if it ends here. An empty body has a Content-Type, so where
    /// there is none an empty line behind the headers is one too many (RFC 4975 §7.1).
    pub(super) fn has_no_body(&self) -> bool {
        matches!(self, Self::Message { seen: 0, typed: false, .. })
    }
}

/// A Message-ID that has to be remembered.
pub type MessageId = SmallVec<[u8; 40]>;

impl Connection {
    pub(super) fn new(peer: SocketAddr, secure: bool, deadline: Option<Instant>) -> Self {
        Self {
            peer,
            secure,
            certificate: None,
            dialled: None,
            parser: ChunkParser::new(),
            incoming: None,
            sessions: SmallVec::new(),
            outbox: Outbox::default(),
            congestion: Congestion::default(),
            state: Sending::Idle,
            closing: false,
            deadline,
            stamp: 0,
            copies: 0,
            place: None,
        }
    }
}
