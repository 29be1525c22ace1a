//! Copies of a message are put on the outboxes of its recipients.

use std::rc::Rc;
use std::time::Instant;

use smallvec::SmallVec;

use super::connection::{Connection, Sending};
use super::frame::{ChunkTemplate, Frame};
use super::state::Egress;
use crate::ids::ConnectionId;

/// The frames of one message: one for all recipients of whom no two share a connection.
#[derive(Debug)]
pub struct Frames<'a> {
    template: ChunkTemplate<'a>,
    /// Whether it is small enough for a congested recipient.
    bypasses_congestion: bool,
    number: u64,
    now: Instant,
    made: SmallVec<[(u64, Rc<Frame>, u32); 1]>,
}

impl<'a> Frames<'a> {
    /// What they are made from.
    pub fn template(&self) -> ChunkTemplate<'a> {
        self.template
    }

    /// The transaction ids that were used, each with how many copies have it.
    pub fn transactions(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
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

impl Egress {
    /// The frames of a message. With `bypasses_congestion` it goes to congested recipients too, as far as there is room.
    pub fn frames<'a>(&mut self, template: ChunkTemplate<'a>, bypasses_congestion: bool, now: Instant) -> Frames<'a> {
        self.sequence += 1;
        Frames { template, bypasses_congestion, number: self.sequence, now, made: SmallVec::new() }
    }

    /// Puts one copy of a message on a connection's outbox.
    pub fn deliver(&mut self, id: ConnectionId, paths: &Rc<[u8]>, frames: &mut Frames<'_>) -> Delivery {
        if self.connections.get(id).is_some_and(Connection::is_attached) {
            self.detach(id);
        }
        let Some(connection) = self.connections.get_mut(id) else { return Delivery::Discarded };
        if connection.closing {
            return Delivery::Discarded;
        }
        let index = if connection.last_message == frames.number { connection.copies + 1 } else { 0 };
        let index = usize::from(index);
        if frames.made.len() <= index {
            let (tid, frame) = Frame::new(&frames.template, &mut self.rng);
            frames.made.push((tid, frame, 0));
        }
        let (_, frame, copies) = &mut frames.made[index];
        let waiting = connection.outbox.message_bytes();
        let after = waiting + frame.len() + paths.len();
        let shut = connection.congestion.is_congested() && !frames.bypasses_congestion;
        if shut || (waiting > 0 && after > self.outbox_max) {
            self.counters.discarded += 1;
            self.congest(id, frames.now);
            return Delivery::Discarded;
        }
        connection.last_message = frames.number;
        connection.copies = index as u16;
        *copies += 1;
        connection.outbox.push(frame.clone(), paths.clone());
        self.counters.deliveries += 1;
        match connection.state {
            Sending::Blocked => {
                // It will stay for a while, and must not pin what it was received in.
                frame.release_slab();
                if after > self.outbox_max / 5 * 4 {
                    self.congest(id, frames.now);
                }
            }
            // While the connection waits for its turn to be sent to, the bound alone counts: it has had no chance yet.
            state => {
                self.flush_now |= after > self.outbox_max / 2;
                if state == Sending::Idle {
                    connection.state = Sending::Dirty;
                    self.dirty.push(id);
                }
            }
        }
        Delivery::Queued
    }

    /// Puts the end of a message that has been begun on an outbox, whether there is room or not.
    pub fn deliver_end(&mut self, id: ConnectionId, paths: &Rc<[u8]>, template: &ChunkTemplate<'_>) {
        self.detach(id);
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.closing {
            return;
        }
        let (_, frame) = Frame::new(template, &mut self.rng);
        connection.outbox.push(frame, paths.clone());
        self.mark_dirty(id);
    }
}
