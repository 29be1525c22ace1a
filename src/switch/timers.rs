//! When the switch has to be looked at again. One queue for everything; who set an alarm checks, when it rings, whether it is
//! still meant, and sets it again where it has come too early.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::BuildHasherDefault;
use std::time::Instant;

use crate::ids::{ConnectionId, KeyHasher, RoomKey, SessionKey};
use crate::limits::KEPT_ALARMS_MAX;

/// What an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// The alarms that are set, each once: however often a peer makes us set one, there are no more than there is to look at.
#[derive(Debug, Default)]
pub struct Timers {
    queue: BinaryHeap<Reverse<(Instant, Alarm)>>,
    /// When each rings. What stands in the queue at another time was set again for an earlier one, and is passed over.
    rings: HashMap<Alarm, Instant, BuildHasherDefault<KeyHasher>>,
}

impl Timers {
    /// Sets an alarm, unless it rings earlier anyhow.
    pub fn set(&mut self, at: Instant, alarm: Alarm) {
        if self.rings.get(&alarm).is_none_or(|rings| at < *rings) {
            self.rings.insert(alarm, at);
            self.queue.push(Reverse((at, alarm)));
        }
    }

    /// When to look for one that rings.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    /// How many are set.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Takes one that rings at `now` or earlier.
    pub fn take_due(&mut self, now: Instant) -> Option<Alarm> {
        while self.next()? <= now {
            let Reverse((at, alarm)) = self.queue.pop()?;
            self.shrink();
            if self.rings.get(&alarm) == Some(&at) {
                self.rings.remove(&alarm);
                return Some(alarm);
            }
        }
        None
    }

    /// Many are set when many join; what they took is not kept for ever.
    fn shrink(&mut self) {
        let kept = self.queue.capacity();
        if self.queue.len() < kept / 4 && kept > KEPT_ALARMS_MAX {
            self.queue.shrink_to(kept / 2);
            self.rings.shrink_to(kept / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn few_places_are_kept_when_many_alarms_have_rung() {
        use slotmap::KeyData;
        let (mut timers, now) = (Timers::default(), Instant::now());
        for n in 0..100 * KEPT_ALARMS_MAX as u64 {
            timers.set(now, Alarm::Session(KeyData::from_ffi(1 << 32 | n).into()));
        }
        assert!(timers.queue.capacity() >= 100 * KEPT_ALARMS_MAX);
        while timers.take_due(now).is_some() {}
        assert!(timers.queue.capacity() <= 2 * KEPT_ALARMS_MAX, "{}", timers.queue.capacity());
    }

    #[test]
    fn an_alarm_rings_once_at_the_earliest_time_it_was_set_for() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        for seconds in [5, 7, 3, 3, 9] {
            timers.set(at(seconds), Alarm::Load);
        }
        timers.set(at(4), Alarm::Responses);
        assert_eq!(timers.take_due(at(2)), None);
        assert_eq!(timers.take_due(at(3)), Some(Alarm::Load));
        assert_eq!(timers.take_due(at(3)), None);
        timers.set(at(5), Alarm::Load);
        assert_eq!(timers.take_due(at(10)), Some(Alarm::Responses));
        assert_eq!(timers.take_due(at(10)), Some(Alarm::Load));
        assert_eq!((timers.take_due(at(10)), timers.next()), (None, None));
    }
}
