//! Backpressure with patience (RFC 7701 §6.4).
//!
//! Every outbox is bounded. Only for streams (messages that are forwarded as they arrive) are senders paused: a recipient whose
//! outbox is above half pauses the connections that fill it, within a time budget of its own. When the budget is used up, or the
//! outbox is at four fifths of the bound, the recipient is congested: it gets only the ends of messages it has begun (or, by
//! policy, small messages), until the outbox is below a quarter; then a notice states how many messages it missed. After
//! `congestion_timeout` it is closed. So every member that keeps up gets whole files, and a stalled member delays the others for
//! at most its budget.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::ids::ConnectionId;

/// The congestion state of one connection. Most connections have none, and no memory is allocated for them.
#[derive(Debug, Default)]
pub struct Congestion(pub Option<Box<CongestionState>>);

/// The state of a connection that is congested, is paused, or pauses senders.
#[derive(Debug, Default)]
pub struct CongestionState {
    /// Since when it is congested; `None`: it is not.
    pub congested: Option<Instant>,
    /// Senders that it pauses.
    pub holding: SmallVec<[ConnectionId; 1]>,
    /// Since when it pauses senders.
    pub since: Option<Instant>,
    /// The used part of its budget since `window`.
    pub spent: Duration,
    pub window: Option<Instant>,
    /// Whether its requests are not read until it has read the queued responses.
    pub control_throttled: bool,
    /// Recipients that pause it.
    pub held_by: SmallVec<[ConnectionId; 1]>,
}

/// The window of the budget, `congestion_patience`.
pub const PATIENCE_WINDOW: Duration = Duration::from_secs(10);

impl Congestion {
    /// Whether it is congested.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.since_congested().is_some()
    }

    /// Since when it is congested.
    #[must_use]
    pub fn since_congested(&self) -> Option<Instant> {
        self.0.as_ref()?.congested
    }

    /// Whether its own sending is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.is_paused())
    }

    /// Its state, to be changed.
    pub fn state_mut(&mut self) -> &mut CongestionState {
        self.0.get_or_insert_default()
    }
}

impl CongestionState {
    pub fn is_paused(&self) -> bool {
        self.is_held() || self.control_throttled
    }

    /// Whether a recipient pauses it.
    pub fn is_held(&self) -> bool {
        !self.held_by.is_empty()
    }

    /// Whether the state equals the default, so that it can be dropped.
    pub fn is_over(&self) -> bool {
        let free = self.congested.is_none() && self.since.is_none() && self.window.is_none();
        free && self.holding.is_empty() && !self.is_paused()
    }

    pub fn left(&mut self, now: Instant, patience: Duration) -> Duration {
        if self.window.is_none_or(|window| now.saturating_duration_since(window) >= PATIENCE_WINDOW) {
            self.window = Some(now);
            self.spent = Duration::ZERO;
        }
        patience.saturating_sub(self.spent)
    }
}

/// What became of an attempt to hold a sender back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The recipient's outbox is not that full, or it holds the sender back already.
    NotNeeded,
    /// The sender is paused now. Unless it is released, the recipient is congested at this instant.
    Until(Instant),
    /// The recipient has no patience left, or the sender cannot be paused: it is congested.
    Congested,
}
