//! Public API of the switch, for its driver: what is to be sent, what else is to be done, and when.

use std::net::SocketAddr;
use std::time::Instant;

use super::egress::PieceSink;
use super::output::{Output, PendingEvent};
use super::settings::Counters;
use super::state::Switch;
use super::timer::Timer;
use crate::facts::Event;
use crate::ids::ConnectionId;

impl Switch {
    /// The address of the other end of a connection, for logs.
    #[must_use]
    pub fn peer(&self, id: ConnectionId) -> Option<SocketAddr> {
        self.egress.connections.get(id).map(|connection| connection.peer)
    }

    /// Moves the list of connections with something to send to the end of `into`. Each of them is to be gathered.
    pub fn take_dirty(&mut self, into: &mut Vec<ConnectionId>) {
        self.egress.flush_now = false;
        self.egress.mark_readers();
        into.append(&mut self.egress.dirty);
    }

    /// Whether something waits to be sent.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.egress.dirty.is_empty() || !self.egress.updated_rooms.is_empty()
    }

    /// Whether an outbox is so full that the driver should send before it reads on.
    #[must_use]
    pub fn must_flush_now(&self) -> bool {
        self.egress.flush_now
    }

    /// Hands what waits for a connection to a sink, `max` octets at most, and no more than it has room for. Returns how many. They
    /// stay where they are for as long as the switch is borrowed, and wait until [`Switch::sent`] says what became of them.
    pub fn gather(&self, id: ConnectionId, sink: &mut impl PieceSink, max: usize) -> usize {
        self.egress.gather(id, sink, max)
    }

    /// The kernel took `n` octets of what was gathered for a connection, which can be sent to again.
    pub fn sent(&mut self, id: ConnectionId, n: usize, now: Instant) {
        self.egress.sent(id, n, now);
        self.notify_recovered(now);
    }

    /// The kernel takes nothing for a connection at the moment. It is not on the dirty list until [`Switch::sent`] says that
    /// something has left.
    pub fn blocked(&mut self, id: ConnectionId, now: Instant) {
        self.egress.blocked(id);
        self.apply_backpressure(id, now);
        self.start_congestion_timers(now);
    }

    /// Whether a connection must not be read at the moment: a recipient cannot keep up with what it sends.
    #[must_use]
    pub fn is_paused(&self, id: ConnectionId) -> bool {
        self.egress.connections.get(id).is_some_and(|connection| connection.congestion.is_paused())
    }

    /// When [`Switch::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Handles all timers that are due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Connection(id) => self.check_connection(id, now),
                Timer::Session(key) => self.check_unbound_session(key, now),
                Timer::Streams(key) => self.check_streams(key, now),
                Timer::Patience(id) => self.check_patience(id, now),
                Timer::Congestion(id) => self.check_congestion(id, now),
                Timer::Room(key) => self.on_room_timer(key, now),
                Timer::Responses => self.check_responses(now),
                Timer::Load => self.report_load(now),
            }
        }
    }

    /// What was counted since the switch began.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.egress.counters
    }

    /// How many connections, sessions and rooms there are.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.egress.connections.len(), self.sessions.len(), self.rooms.len())
    }

    /// Octets of incomplete messages in memory.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether the server is ending and no connection is left.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.draining && self.egress.connections.is_empty()
    }

    /// What is to be done next: first connections to be closed, then those to be made, then those to be read again, then events.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(id) = self.egress.closing.pop() {
            return Some(Output::Close(id));
        }
        if let Some(dial) = self.next_dial() {
            return Some(Output::Connect(dial));
        }
        if let Some(id) = self.egress.resumed.pop() {
            return Some(Output::Resume(id));
        }
        self.next_event().map(Output::Event)
    }

    pub(super) fn push_event(&mut self, event: Event) {
        self.events.push_back(PendingEvent::Event(event));
    }

    fn next_event(&mut self) -> Option<Event> {
        loop {
            match self.events.pop_front()? {
                PendingEvent::Event(event) => return Some(event),
                PendingEvent::Nickname(key) => {
                    let Some(entry) = self.sessions.get_mut(key) else { continue };
                    entry.nickname_pending = false;
                    return Some(Event::Nickname { session: entry.session.id, nickname: entry.nickname.clone() });
                }
            }
        }
    }
}
