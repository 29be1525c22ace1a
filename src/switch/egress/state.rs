//! Every connection of a shard with what waits on it.

use std::net::SocketAddr;
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use slotmap::{SecondaryMap, SlotMap};

use super::connection::{Connection, Sending};
use super::outbox::Lanes;
use super::room_log::{Log, Page};
use crate::ids::{ConnectionId, RoomKey};
use crate::switch::settings::Counters;

/// Every connection with its outbox, and the lists of what the shell has to do about them.
#[derive(Debug)]
pub struct Egress {
    /// The connections.
    pub connections: SlotMap<ConnectionId, Connection>,
    /// Octets of messages that may wait on one of them.
    pub outbox_max: usize,
    /// What was done so far.
    pub counters: Counters,
    /// Connections with something to send that are not blocked.
    pub dirty: Vec<ConnectionId>,
    /// Connections that may be read again.
    pub resumed: Vec<ConnectionId>,
    /// Connections to be closed.
    pub closing: Vec<ConnectionId>,
    /// Connections that have become congested.
    pub newly_congested: Vec<ConnectionId>,
    /// Connections that are not congested any more.
    pub recovered: Vec<ConnectionId>,
    /// An outbox is so full that sending should not wait for the end of the turn.
    pub flush_now: bool,
    /// The log of each room.
    pub logs: SecondaryMap<RoomKey, Log>,
    /// Rooms whose logs have something new.
    pub updated_rooms: Vec<RoomKey>,
    /// Empty pages of logs.
    pub spare_pages: Vec<Page>,
    /// Empty lanes of responses and REPORTs.
    pub spare_lanes: Lanes,
    /// Transaction ids are drawn from it.
    pub rng: ChaCha8Rng,
    /// Numbers messages, and pages of logs.
    pub sequence: u64,
}

impl Egress {
    /// Without connections.
    pub fn new(outbox_max: usize, rng: ChaCha8Rng) -> Self {
        Self {
            connections: SlotMap::with_key(),
            outbox_max,
            counters: Counters::default(),
            dirty: Vec::new(),
            resumed: Vec::new(),
            closing: Vec::new(),
            newly_congested: Vec::new(),
            recovered: Vec::new(),
            flush_now: false,
            logs: SecondaryMap::new(),
            updated_rooms: Vec::new(),
            spare_pages: Vec::new(),
            spare_lanes: Lanes::default(),
            rng,
            sequence: 0,
        }
    }

    /// Adds a connection.
    pub fn adopt(&mut self, peer: SocketAddr, secure: bool, deadline: Option<Instant>) -> ConnectionId {
        self.connections.insert(Connection::new(peer, secure, deadline))
    }

    /// Puts a connection on the list of those with something to send.
    pub fn mark_dirty(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id)
            && connection.state == Sending::Idle
        {
            connection.state = Sending::Dirty;
            self.dirty.push(id);
        }
    }
}
