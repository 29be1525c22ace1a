//! What waits on a connection is sent, and the connection is closed behind it.

use std::time::Instant;

use super::connection::Sending;
use super::piece_sink::{BoundedSink, PieceSink};
use super::state::Egress;
use crate::ids::ConnectionId;
use crate::limits::CONTROL_LANE_BYTES_MAX;

impl Egress {
    /// Writes into a connection's lane of responses and REPORTs.
    pub fn write_control(&mut self, id: ConnectionId, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        write(connection.outbox.control_lane(&mut self.spare_lanes));
        let waiting = connection.outbox.control_bytes();
        self.mark_dirty(id);
        if waiting > CONTROL_LANE_BYTES_MAX {
            // A peer that asks and never reads: nothing may be discarded here, so the connection goes.
            self.overrun(id);
        }
        self.update_control_throttle(id);
    }

    fn overrun(&mut self, id: ConnectionId) {
        if self.connections.get(id).is_some_and(|connection| !connection.closing) {
            self.counters.overrun += 1;
            self.close_now(id);
        }
    }

    /// Closes a connection, whatever waits on it.
    pub fn close_now(&mut self, id: ConnectionId) {
        self.detach(id);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.closing = true;
            self.closing.push(id);
        }
    }

    /// Hands what waits for a connection to a sink, `max` octets at most. Returns how many.
    pub fn gather(&self, id: ConnectionId, sink: &mut impl PieceSink, max: usize) -> usize {
        let Some(connection) = self.connections.get(id) else { return 0 };
        let mut sink = BoundedSink::new(max, sink);
        connection.outbox.gather(&mut sink);
        self.gather_log(connection, id, &mut sink);
        sink.taken()
    }

    /// `n` octets of what was gathered have left. What is left over waits for the next turn.
    pub fn sent(&mut self, id: ConnectionId, n: usize, now: Instant) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        self.counters.sent_bytes += n as u64;
        connection.state = Sending::Idle;
        if connection.is_attached() {
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
            self.mark_dirty(id);
        }
        self.update_control_throttle(id);
        self.update_congestion(id, now);
        self.attach(id);
    }

    /// The kernel takes nothing at the moment: the connection stays out of the dirty list, and its outbox lets go of the
    /// receive slabs.
    pub fn blocked(&mut self, id: ConnectionId) {
        self.detach(id);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.outbox.release_slab();
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

    /// Reads nothing more from a connection, and closes it once its outbox is empty, at `deadline` at the latest. Returns whether
    /// that is still to come.
    pub fn close_when_sent(&mut self, id: ConnectionId, deadline: Instant) -> bool {
        self.detach(id);
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
