//! The connections of a shard and what waits on them.

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
pub struct Outlets {
    pub connections: SlotMap<ConnectionId, Connection>,
    pub outbox_max: usize,
    pub counters: Counters,
    /// Connections with something to send that are not blocked.
    pub dirty: Vec<ConnectionId>,
    /// Connections that may be read again.
    pub resumed: Vec<ConnectionId>,
    /// Connections to be closed.
    pub closing: Vec<ConnectionId>,
    /// Connections that have become congested, and those that are not any more.
    pub fallen_behind: Vec<ConnectionId>,
    pub recovered: Vec<ConnectionId>,
    /// An outbox is so full that sending should not wait for the end of the turn.
    pub pressing: bool,
    /// What each room has said since it was last flushed.
    pub logs: SecondaryMap<RoomKey, Log>,
    /// Rooms that have said something new.
    pub fresh: Vec<RoomKey>,
    pub spare: Vec<Page>,
    pub spare_lanes: Lanes,
    pub rng: ChaCha8Rng,
    /// Numbers messages, and pages of logs.
    pub stamp: u64,
}

impl Outlets {
    pub fn new(outbox_max: usize, rng: ChaCha8Rng) -> Self {
        Self {
            connections: SlotMap::with_key(),
            outbox_max,
            counters: Counters::default(),
            dirty: Vec::new(),
            resumed: Vec::new(),
            closing: Vec::new(),
            fallen_behind: Vec::new(),
            recovered: Vec::new(),
            pressing: false,
            logs: SecondaryMap::new(),
            fresh: Vec::new(),
            spare: Vec::new(),
            spare_lanes: Lanes::default(),
            rng,
            stamp: 0,
        }
    }

    pub fn adopt(&mut self, peer: SocketAddr, secure: bool, deadline: Option<Instant>) -> ConnectionId {
        self.connections.insert(Connection::new(peer, secure, deadline))
    }

    pub fn mark(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id)
            && connection.state == Sending::Idle
        {
            connection.state = Sending::Dirty;
            self.dirty.push(id);
        }
    }
}
