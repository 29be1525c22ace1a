//! When the switch has to be looked at again. One queue for everything; who set an alarm checks, when it rings, whether it is
//! still meant.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::ids::{ConnectionId, RoomKey, SessionKey};

/// What an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// A connection that may have bound no session.
    Connection(ConnectionId),
    /// A session that may not have been bound.
    Session(SessionKey),
    /// Messages of a session whose rest may not have come.
    Streams(SessionKey),
    /// A recipient whose patience may be used up.
    Patience(ConnectionId),
    /// A connection that may have been congested for too long.
    Congestion(ConnectionId),
    /// Nicknames of a room whose quarantine may have ended.
    Room(RoomKey),
    /// Responses that may be missing.
    Responses,
    /// The load is to be told.
    Load,
}

/// Places for alarms that are kept, however few are set.
const KEPT_MAX: usize = 64;

/// The alarms that are set.
#[derive(Debug, Default)]
pub struct Timers(BinaryHeap<Reverse<(Instant, Alarm)>>);

impl Timers {
    /// Sets an alarm.
    pub fn set(&mut self, at: Instant, alarm: Alarm) {
        self.0.push(Reverse((at, alarm)));
    }

    /// When the next one rings.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// How many are set.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes one that rings at `now` or earlier.
    pub fn take_due(&mut self, now: Instant) -> Option<Alarm> {
        if self.next()? > now {
            return None;
        }
        let Reverse((_, alarm)) = self.0.pop()?;
        // Many are set when many join; what they took is not kept for ever.
        if self.0.len() < self.0.capacity() / 4 && self.0.capacity() > KEPT_MAX {
            self.0.shrink_to(self.0.capacity() / 2);
        }
        Some(alarm)
    }
}
