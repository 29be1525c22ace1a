//! The connections of a shard and what waits on them.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use slotmap::{SecondaryMap, SlotMap};
use smallvec::SmallVec;

use super::connection::{Connection, Sending};
use super::frame::{Frame, Seed};
use super::log::{Log, Page};
use super::outbox::Lanes;
use super::piece_sink::{BoundedSink, PieceSink};
use super::settings::Counters;
use crate::ids::{ConnectionId, RoomKey};
use crate::limits::CONTROL_LANE_BYTES_MAX;

/// Every connection with its outbox, and the lists of what the shell has to do about them.
#[derive(Debug)]
pub struct Outlets {
    pub(super) connections: SlotMap<ConnectionId, Connection>,
    pub(super) outbox_max: usize,
    pub(super) counters: Counters,
    /// Connections with something to send that are not blocked.
    pub(super) dirty: Vec<ConnectionId>,
    /// Connections that may be read again.
    pub(super) resumed: Vec<ConnectionId>,
    /// Connections to be closed.
    pub(super) closing: Vec<ConnectionId>,
    /// Connections that have become congested, and those that are not any more.
    pub(super) fallen_behind: Vec<ConnectionId>,
    pub(super) recovered: Vec<ConnectionId>,
    /// An outbox is so full that sending should not wait for the end of the turn.
    pub(super) pressing: bool,
    /// What each room has said since it was last flushed.
    pub(super) logs: SecondaryMap<RoomKey, Log>,
    /// Rooms that have said something new.
    pub(super) fresh: Vec<RoomKey>,
    pub(super) spare: Vec<Page>,
    spare_lanes: Lanes,
    pub(super) rng: ChaCha8Rng,
    /// Numbers messages, and pages of logs.
    pub(super) stamp: u64,
}

/// The frames of one message: one for all recipients of whom no two share a connection.
#[derive(Debug)]
pub struct Frames<'a> {
    seed: Seed<'a>,
    /// Whether it is small enough for a congested recipient.
    passes: bool,
    stamp: u64,
    now: Instant,
    made: SmallVec<[(u64, Rc<Frame>, u32); 1]>,
}

impl<'a> Frames<'a> {
    pub(super) fn seed(&self) -> Seed<'a> {
        self.seed
    }

    /// The transaction ids that were used, each with how many copies have it.
    pub(super) fn transactions(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.made.iter().map(|(tid, _, copies)| (*tid, *copies))
    }
}

/// What became of one copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It waits on the connection.
    Queued,
    /// The connection is congested, or was not there any more.
    Discarded,
}

impl Outlets {
    pub(super) fn new(outbox_max: usize, rng: ChaCha8Rng) -> Self {
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

    pub(super) fn adopt(&mut self, peer: SocketAddr, secure: bool, deadline: Option<Instant>) -> ConnectionId {
        self.connections.insert(Connection::new(peer, secure, deadline))
    }

    /// The frames of a message; with `passes` it goes to congested recipients too, as far as there is room.
    pub(super) fn frames<'a>(&mut self, seed: Seed<'a>, passes: bool, now: Instant) -> Frames<'a> {
        self.stamp += 1;
        Frames { seed, passes, stamp: self.stamp, now, made: SmallVec::new() }
    }

    /// Puts one copy of a message on a connection's outbox.
    pub(super) fn deliver(&mut self, id: ConnectionId, paths: &Rc<[u8]>, frames: &mut Frames<'_>) -> Delivery {
        if self.connections.get(id).is_some_and(Connection::follows) {
            self.part(id);
        }
        let Some(connection) = self.connections.get_mut(id) else { return Delivery::Discarded };
        if connection.closing {
            return Delivery::Discarded;
        }
        let index = if connection.stamp == frames.stamp { connection.copies + 1 } else { 0 };
        let index = usize::from(index);
        if frames.made.len() <= index {
            let (tid, frame) = Frame::new(&frames.seed, &mut self.rng);
            frames.made.push((tid, frame, 0));
        }
        let (_, frame, copies) = &mut frames.made[index];
        let waiting = connection.outbox.message_bytes();
        let after = waiting + frame.len() + paths.len();
        let shut = connection.congestion.is_congested() && !frames.passes;
        if shut || (waiting > 0 && after > self.outbox_max) {
            self.counters.discarded += 1;
            self.congest(id, frames.now);
            return Delivery::Discarded;
        }
        connection.stamp = frames.stamp;
        connection.copies = index as u16;
        *copies += 1;
        connection.outbox.push(frame.clone(), paths.clone());
        self.counters.deliveries += 1;
        match connection.state {
            Sending::Blocked => {
                // It will stay for a while, and must not pin what it was received in.
                frame.detach();
                if after > self.outbox_max / 5 * 4 {
                    self.congest(id, frames.now);
                }
            }
            // While the connection waits for its turn to be sent to, the bound alone counts: it has had no chance yet.
            state => {
                self.pressing |= after > self.outbox_max / 2;
                if state == Sending::Idle {
                    connection.state = Sending::Dirty;
                    self.dirty.push(id);
                }
            }
        }
        Delivery::Queued
    }

    /// Puts a chunk on an outbox that is not asked whether it has room: what ends a message that has been begun.
    pub(super) fn deliver_end(&mut self, id: ConnectionId, paths: &Rc<[u8]>, seed: &Seed<'_>) {
        self.part(id);
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.closing {
            return;
        }
        let (_, frame) = Frame::new(seed, &mut self.rng);
        connection.outbox.push(frame, paths.clone());
        self.mark(id);
    }

    /// Writes into a connection's lane of responses and REPORTs.
    pub(super) fn control(&mut self, id: ConnectionId, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        write(connection.outbox.control(&mut self.spare_lanes));
        let waiting = connection.outbox.control_bytes();
        self.mark(id);
        if waiting > CONTROL_LANE_BYTES_MAX {
            // A peer that asks and never reads: nothing may be discarded here, so the connection goes.
            self.overrun(id);
        }
        self.balance(id);
    }

    fn overrun(&mut self, id: ConnectionId) {
        if self.connections.get(id).is_some_and(|connection| !connection.closing) {
            self.counters.overrun += 1;
            self.close_now(id);
        }
    }

    /// Closes a connection, whatever waits on it.
    pub(super) fn close_now(&mut self, id: ConnectionId) {
        self.part(id);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.closing = true;
            self.closing.push(id);
        }
    }

    pub(super) fn mark(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id)
            && connection.state == Sending::Idle
        {
            connection.state = Sending::Dirty;
            self.dirty.push(id);
        }
    }

    pub(super) fn gather(&self, id: ConnectionId, sink: &mut impl PieceSink, max: usize) -> usize {
        let Some(connection) = self.connections.get(id) else { return 0 };
        let mut sink = BoundedSink::new(max, sink);
        connection.outbox.gather(&mut sink);
        self.gather_log(connection, id, &mut sink);
        sink.taken()
    }

    /// `n` octets of what was gathered have left. What is left over waits for the next turn.
    pub(super) fn sent(&mut self, id: ConnectionId, n: usize, now: Instant) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        self.counters.sent_bytes += n as u64;
        connection.state = Sending::Idle;
        if connection.follows() {
            let control = n.min(connection.outbox.control_bytes());
            connection.outbox.sent(control);
            self.sent_log(id, n - control);
        } else {
            connection.outbox.sent(n);
        }
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.outbox.spare_control(&mut self.spare_lanes);
        let Some(connection) = self.connections.get(id) else { return };
        let empty = connection.outbox.is_empty() && !self.has_unread(connection, id);
        if empty && connection.closing {
            self.closing.push(id);
        }
        if !empty {
            self.mark(id);
        }
        self.balance(id);
        self.relieve(id, now);
        self.follow(id);
    }

    /// The kernel takes nothing at the moment: the connection stays out of the dirty list, and its outbox lets go of the
    /// receive slabs.
    pub(super) fn blocked(&mut self, id: ConnectionId) {
        self.part(id);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.outbox.detach();
            let was = std::mem::replace(&mut connection.state, Sending::Blocked);
            if was == Sending::Dirty {
                // It took a part and then no more. `sent` has put it last, as a rule.
                match self.dirty.last() {
                    Some(last) if *last == id => drop(self.dirty.pop()),
                    _ => self.dirty.retain(|other| *other != id),
                }
            }
        }
    }

    /// Reads nothing more from a connection, and closes it once its outbox is empty, at `deadline` at the latest. Answers whether
    /// that is still to come.
    pub(super) fn close_when_sent(&mut self, id: ConnectionId, deadline: Instant) -> bool {
        self.part(id);
        let Some(connection) = self.connections.get_mut(id) else { return false };
        if std::mem::replace(&mut connection.closing, true) {
            return false;
        }
        let empty = connection.outbox.is_empty();
        connection.deadline = Some(deadline);
        if empty {
            self.closing.push(id);
        }
        !empty
    }
}
