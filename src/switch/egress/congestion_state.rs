//! Backpressure with patience (RFC 7701 §6.4).
//!
//! Every outbox is bounded. Only streams (messages that are forwarded as they arrive) hold their sender back: a recipient whose
//! outbox is above half pauses the connections that fill it, out of a budget of its own. The budget spent, or four fifths of
//! the bound reached, it is congested: it gets nothing but the end of what it has begun (or, by policy, small messages), until
//! it is below a quarter; then a notice says how much it has missed. Congested for too long, it is closed. So a file goes through
//! whole to everyone who can take it, and a stalled member slows nobody for longer than its budget.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::ids::ConnectionId;

/// The congestion state of one connection. Most never have any, and keep no room for it.
#[derive(Debug, Default)]
pub struct Congestion(pub Option<Box<CongestionState>>);

/// The state of a connection that is congested, paused, or holds somebody back.
#[derive(Debug, Default)]
pub struct CongestionState {
    /// Since when it gets nothing new, if it is congested.
    pub congested: Option<Instant>,
    /// Connections that it holds back.
    pub holding: SmallVec<[ConnectionId; 1]>,
    /// Since when it holds somebody back.
    pub since: Option<Instant>,
    /// What it has used up of its patience since `window`.
    pub spent: Duration,
    pub window: Option<Instant>,
    /// It has to read the responses that wait for it before more of its requests are read.
    pub control_throttled: bool,
    /// Connections that hold it back.
    pub held_by: SmallVec<[ConnectionId; 1]>,
}

/// A member's patience is for any span of this length.
pub const PATIENCE_WINDOW: Duration = Duration::from_secs(10);

impl Congestion {
    /// Whether it gets nothing new at the moment.
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

    /// Whether somebody else holds it back.
    pub fn is_held(&self) -> bool {
        !self.held_by.is_empty()
    }

    /// Whether it is as if nothing had ever been.
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
