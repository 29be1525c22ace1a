//! Backpressure and its limits: senders are paused for a member that cannot keep up, for `congestion_patience`; a member that
//! stays congested for `congestion_timeout` is closed (RFC 7701 §6.4).

use std::time::{Duration, Instant};

use super::egress::Hold;
use super::state::Switch;
use super::stream::{Phase, Stream};
use super::timer::Timer;
use crate::facts::{EndReason, RoomPolicy};
use crate::ids::{ConnectionId, SessionKey};

impl Switch {
    /// Applies backpressure after a recipient got a piece of a stream: if it cannot keep up, all senders of streams to it are paused
    /// for at most `congestion_patience`.
    pub(super) fn hold_back(&mut self, recipient: ConnectionId, sender: SessionKey, now: Instant) {
        let Some(from) = self.sessions.get(sender).and_then(|entry| entry.session.connection()) else { return };
        self.apply_backpressure(recipient, now);
        self.hold(recipient, from, now);
    }

    /// Pauses all senders of streams to a recipient that cannot keep up. Each sender may have a whole receive buffer in flight: if
    /// they were paused one by one, as their pieces arrive, a few of them could fill the outbox before any of the budget is used.
    pub(super) fn apply_backpressure(&mut self, recipient: ConnectionId, now: Instant) {
        if !self.egress.is_backlogged(recipient) || self.egress.is_holding(recipient) {
            return;
        }
        for from in self.streaming_to(recipient) {
            if from != recipient && self.egress.can_be_held(from) {
                self.hold(recipient, from, now);
            }
        }
    }

    fn hold(&mut self, recipient: ConnectionId, from: ConnectionId, now: Instant) {
        let Some(patience) = self.patience_of(recipient) else { return };
        match self.egress.hold(recipient, from, now, patience) {
            Hold::NotNeeded => {}
            Hold::Until(at) => self.timers.set_earliest(Timer::Patience(recipient), at),
            Hold::Congested => self.egress.congest(recipient, now),
        }
    }

    /// The connections of those whose streams go to a recipient at the moment, in an order that does not depend on chance.
    fn streaming_to(&self, recipient: ConnectionId) -> Vec<ConnectionId> {
        let Some(connection) = self.egress.connections.get(recipient) else { return Vec::new() };
        let here = |key: &SessionKey| connection.sessions.contains(key);
        let goes_here =
            |stream: &Stream| matches!(&stream.phase, Phase::Flowing(flow) if flow.recipients.iter().any(here));
        let mut senders: Vec<_> = self.senders.all().collect();
        senders.sort_unstable();
        let entries = senders.into_iter().filter_map(|key| self.sessions.get(key));
        let sending = entries.filter(|entry| entry.streams.iter().any(goes_here));
        sending.filter_map(|entry| entry.session.connection()).collect()
    }

    pub(super) fn check_patience(&mut self, id: ConnectionId, now: Instant) {
        let Some(patience) = self.patience_of(id) else { return };
        if let Some(at) = self.egress.check_patience(id, now, patience) {
            self.timers.set_earliest(Timer::Patience(id), at);
        }
        self.start_congestion_timers(now);
    }

    /// Starts the timers that close connections which do not recover (RFC 7701 §6.4).
    pub(super) fn start_congestion_timers(&mut self, now: Instant) {
        while let Some(id) = self.egress.newly_congested.pop() {
            tracing::debug!(connection = %id, peer = self.peer(id).map(tracing::field::display), "member congested");
            let timeout = self.policy_of(id).map_or(Duration::ZERO, |policy| policy.congestion_timeout);
            if !timeout.is_zero() {
                self.timers.set_earliest(Timer::Congestion(id), now + timeout);
            }
        }
    }

    /// Closes a connection that has been congested for all of `congestion_timeout`; its sessions and calls end.
    pub(super) fn check_congestion(&mut self, id: ConnectionId, now: Instant) {
        let Some(timeout) = self.policy_of(id).map(|policy| policy.congestion_timeout) else { return };
        let Some(connection) = self.egress.connections.get_mut(id) else { return };
        let Some(since) = connection.congestion.since_congested() else { return };
        if now < since + timeout {
            // It has recovered once since the time was set.
            self.timers.set_earliest(Timer::Congestion(id), since + timeout);
            return;
        }
        for key in std::mem::take(&mut connection.sessions) {
            self.end_session(key, Some(EndReason::Congested), now);
        }
        self.egress.close_now(id);
    }

    /// The patience that a connection is granted.
    fn patience_of(&self, id: ConnectionId) -> Option<Duration> {
        self.policy_of(id).map(|policy| policy.congestion_patience)
    }

    /// The policy that holds for a connection as a whole: that of its first session's room.
    fn policy_of(&self, id: ConnectionId) -> Option<&RoomPolicy> {
        let key = self.egress.connections.get(id)?.sessions.first()?;
        let room = self.rooms.get(self.sessions.get(*key)?.room)?;
        Some(&room.policy)
    }
}
