//! Senders are paused and resumed, recipients become congested and recover; see [`super::congestion_state`].

use std::time::{Duration, Instant};

use super::congestion_state::Hold;
use super::connection::Sending;
use super::state::Egress;
use crate::ids::ConnectionId;
use crate::limits::CONTROL_LANE_BYTES_MAX;

impl Egress {
    /// Whether a recipient pauses the senders that fill its outbox: the outbox is above half and the socket would block. Before the
    /// socket blocks, the next flush may empty the outbox.
    pub fn is_backlogged(&self, recipient: ConnectionId) -> bool {
        self.connections.get(recipient).is_some_and(|connection| {
            connection.state == Sending::Blocked
                && connection.outbox.message_bytes() > self.outbox_max / 2
                && !connection.congestion.is_congested()
        })
    }

    /// Whether a recipient pauses senders.
    pub fn is_holding(&self, recipient: ConnectionId) -> bool {
        let state = self.connections.get(recipient).and_then(|connection| connection.congestion.0.as_ref());
        state.is_some_and(|state| state.since.is_some())
    }

    /// Whether a connection can be paused: not where others than the one who sends would wait.
    pub fn can_be_held(&self, sender: ConnectionId) -> bool {
        self.connections.get(sender).is_some_and(|connection| connection.sessions.len() == 1)
    }

    /// `recipient` was given a piece of a stream that comes on `sender`. Pauses the sender if its outbox is above half.
    pub fn hold(&mut self, recipient: ConnectionId, sender: ConnectionId, now: Instant, patience: Duration) -> Hold {
        if !self.is_backlogged(recipient) {
            return Hold::NotNeeded;
        }
        let sender_has_one = self.can_be_held(sender);
        let Some(connection) = self.connections.get_mut(recipient) else { return Hold::NotNeeded };
        let state = connection.congestion.state_mut();
        if state.holding.contains(&sender) {
            return Hold::NotNeeded;
        }
        let left = state.left(now, patience);
        if !sender_has_one || left.is_zero() || sender == recipient {
            return Hold::Congested;
        }
        state.holding.push(sender);
        let since = *state.since.get_or_insert(now);
        if let Some(sender) = self.connections.get_mut(sender) {
            sender.congestion.state_mut().held_by.push(recipient);
        }
        Hold::Until(since + left)
    }

    /// Checks the budget of `recipient`. Returns when to check again if it still pauses senders. If the budget is used up, the
    /// recipient becomes congested and all paused senders are resumed.
    pub fn check_patience(&mut self, recipient: ConnectionId, now: Instant, patience: Duration) -> Option<Instant> {
        let state = self.connections.get_mut(recipient)?.congestion.0.as_mut()?;
        let since = state.since?;
        let spent = now.saturating_duration_since(since);
        let left = state.left(since, patience);
        if spent < left {
            return Some(since + left);
        }
        if state.is_held() {
            // No budget runs against a member whose own connection we have paused: that one is resumed first.
            state.since = Some(now);
            let left = state.left(now, patience).max(Duration::from_millis(1));
            self.resume(recipient);
            return Some(now + left);
        }
        self.congest(recipient, now);
        None
    }

    /// Marks `recipient` as congested: it gets no new messages until its outbox has drained, and its paused senders are resumed.
    pub fn congest(&mut self, recipient: ConnectionId, now: Instant) {
        if let Some(connection) = self.connections.get_mut(recipient)
            && !connection.congestion.is_congested()
        {
            connection.congestion.state_mut().congested = Some(now);
            self.counters.congested += 1;
            self.newly_congested.push(recipient);
            self.release_all(recipient, Some(now));
        }
    }

    /// `connection` has sent something: below a quarter it has recovered, and those it held back go on.
    pub fn update_congestion(&mut self, id: ConnectionId, now: Instant) {
        let quarter = self.outbox_max / 4;
        let Some(connection) = self.connections.get_mut(id) else { return };
        let waiting = connection.outbox.message_bytes();
        if waiting > quarter {
            return;
        }
        let Some(state) = &mut connection.congestion.0 else { return };
        if state.congested.take().is_some() {
            self.recovered.push(id);
        }
        if waiting == 0 {
            state.spent = Duration::ZERO;
            state.window = None;
        }
        if state.since.is_some() {
            self.release_all(id, (waiting > 0).then_some(now));
        }
        if let Some(connection) = self.connections.get_mut(id)
            && connection.congestion.0.as_ref().is_some_and(|state| state.is_over())
        {
            connection.congestion.0 = None;
        }
    }

    /// Something was put into the lane of responses and REPORTs, or has left it. A peer that asks faster than it reads the
    /// answers is not read until it has caught up.
    pub fn update_control_throttle(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let waiting = connection.outbox.control_bytes();
        if waiting > CONTROL_LANE_BYTES_MAX / 4 {
            connection.congestion.state_mut().control_throttled = true;
        } else if waiting <= CONTROL_LANE_BYTES_MAX / 8
            && let Some(state) = &mut connection.congestion.0
            && std::mem::take(&mut state.control_throttled)
            && !state.is_held()
        {
            self.resumed.push(id);
        }
    }

    /// Resumes all senders paused by `holder` and adds the time to its budget.
    pub fn release_all(&mut self, holder: ConnectionId, now: Option<Instant>) {
        let Some(connection) = self.connections.get_mut(holder) else { return };
        let Some(state) = &mut connection.congestion.0 else { return };
        if let (Some(since), Some(now)) = (state.since.take(), now) {
            state.spent += now.saturating_duration_since(since);
        }
        for held in std::mem::take(&mut state.holding) {
            if let Some(state) = self.connections.get_mut(held).and_then(|held| held.congestion.0.as_mut()) {
                state.held_by.retain(|other| *other != holder);
                if !state.is_paused() {
                    self.resumed.push(held);
                }
            }
        }
    }

    /// Resumes `paused` for all recipients that pause it.
    fn resume(&mut self, paused: ConnectionId) {
        let state = self.connections.get_mut(paused).and_then(|paused| paused.congestion.0.as_mut());
        let Some(state) = state else { return };
        let holders = std::mem::take(&mut state.held_by);
        if !holders.is_empty() && !state.is_paused() {
            self.resumed.push(paused);
        }
        for holder in holders {
            if let Some(state) = self.connections.get_mut(holder).and_then(|holder| holder.congestion.0.as_mut()) {
                state.holding.retain(|held| *held != paused);
            }
        }
    }

    /// Removes a connection that ends: it pauses no senders and is not paused any more.
    pub fn forget_holds(&mut self, ending: ConnectionId) {
        self.release_all(ending, None);
        self.resume(ending);
    }
}
