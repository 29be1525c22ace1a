//! One MSRP connection as the switch sees it.

use std::net::SocketAddr;
use std::time::Instant;

use smallvec::SmallVec;

use super::congestion_state::Congestion;
use super::outbox::Outbox;
use super::room_log::Place;
use crate::facts::Certificate;
use crate::ids::SessionKey;
use crate::switch::dial::Dialled;
use crate::switch::incoming::Incoming;
use parlor_proto::msrp::ChunkParser;

/// A connection, whoever opened it.
#[derive(Debug)]
pub struct Connection {
    pub peer: SocketAddr,
    pub secure: bool,
    /// What the other end has shown of itself, where there is TLS.
    pub certificate: Option<Box<Certificate>>,
    /// What we have made it for, until that is settled.
    pub dialled: Option<Box<Dialled>>,
    pub parser: ChunkParser,
    /// The chunk that it is in the middle of.
    pub incoming: Option<Box<Incoming>>,
    /// The sessions bound to it. Several where the peer is a relay.
    pub sessions: SmallVec<[SessionKey; 1]>,
    pub outbox: Outbox,
    pub congestion: Congestion,
    pub state: Sending,
    /// Nothing more is read; it goes once its outbox is empty.
    pub closing: bool,
    /// When it is closed: unless a session is bound to it by then, or, while it is closing, whatever still waits on it.
    pub deadline: Option<Instant>,
    /// The last message that was put into its outbox, and how many copies of it: several sessions need an id each.
    pub stamp: u64,
    pub copies: u16,
    /// Where its session sits, if it has only one.
    pub place: Option<Place>,
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
            stamp: 0,
            copies: 0,
            place: None,
        }
    }

    /// Whether it reads a room's log.
    pub fn follows(&self) -> bool {
        self.place.as_ref().is_some_and(|place| place.follows)
    }
}
