//! One MSRP connection as the switch sees it.

use std::net::SocketAddr;
use std::time::Instant;

use smallvec::SmallVec;

use super::congestion_state::Congestion;
use super::outbox::Outbox;
use super::room_log::LogReader;
use crate::facts::Certificate;
use crate::ids::SessionKey;
use crate::switch::dial::Dialled;
use crate::switch::incoming::Incoming;
use parlor_proto::msrp::ChunkParser;

/// A connection, opened by the peer or by us.
#[derive(Debug)]
pub struct Connection {
    /// The address of its other end.
    pub peer: SocketAddr,
    /// It has TLS.
    pub secure: bool,
    /// The certificate of the other end, where there is TLS and it has shown one.
    pub certificate: Option<Box<Certificate>>,
    /// What we have made it for, until that is settled.
    pub dialled: Option<Box<Dialled>>,
    /// Where it is in the chunks that come.
    pub parser: ChunkParser,
    /// The chunk that it is in the middle of.
    pub incoming: Option<Box<Incoming>>,
    /// The sessions bound to it. Several where the peer is a relay.
    pub sessions: SmallVec<[SessionKey; 1]>,
    /// What waits to be sent.
    pub outbox: Outbox,
    /// Whether it is congested or paused.
    pub congestion: Congestion,
    /// The state of its outbox.
    pub state: Sending,
    /// Nothing more is read; it goes once its outbox is empty.
    pub closing: bool,
    /// When it is closed: unless a session is bound to it by then, or, while it is closing, whatever still waits on it.
    pub deadline: Option<Instant>,
    /// The number of the last message that was put into its outbox.
    pub last_message: u64,
    /// How many copies of it more than one: several sessions need a transaction id each.
    pub copies: u16,
    /// Its session as a reader of the room's log, if it has only one.
    pub reader: Option<LogReader>,
}

/// The state of a connection's outbox.
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

impl Connection {
    pub fn new(peer: SocketAddr, secure: bool, deadline: Option<Instant>) -> Self {
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
            last_message: 0,
            copies: 0,
            reader: None,
        }
    }

    /// Whether it reads a room's log.
    pub fn is_attached(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.attached)
    }
}
