//! Messages in flight: which recipients have not received them, and since when.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::time::Instant;

use crate::client::layout::Copy;
use crate::result::outcome::Measured;

/// Messages of a turn that have not reached all their recipients, and the measurements of the others.
pub struct Flight {
    /// Of each sender.
    senders: Vec<Waiting>,
    /// Senders of which a message has reached all its recipients.
    ready: Vec<usize>,
    /// What has been measured.
    pub measured: Measured,
}

struct Waiting {
    first: u64,
    /// For each message from `first` on: when it was to be sent, and how many members wait for it.
    messages: VecDeque<(Instant, usize)>,
}

/// The senders that a connection receives from, the next number expected of each, and the copies that were skipped.
pub struct Reception {
    senders: Range<usize>,
    next: Vec<u64>,
    /// Sender and number of copies that were not there when a later one came.
    passed_over: BTreeSet<(usize, u64)>,
}

/// Skipped copies that are remembered; of a server that loses more, one that comes late after all counts as duplicated.
const PASSED_OVER_MAX: usize = 4096;

impl Reception {
    /// Of these senders.
    #[must_use]
    pub fn new(senders: Range<usize>) -> Self {
        Self { next: vec![0; senders.len()], senders, passed_over: BTreeSet::new() }
    }

    /// Copies before `number` have been passed over.
    fn pass_over(&mut self, sender: usize, missing: Range<u64>) {
        let room = PASSED_OVER_MAX.saturating_sub(self.passed_over.len());
        self.passed_over.extend(missing.map(|number| (sender, number)).take(room));
    }

    fn next_of(&mut self, sender: usize) -> Option<&mut u64> {
        self.next.get_mut(sender.checked_sub(self.senders.start)?)
    }
}

impl Flight {
    /// Nothing in flight; the senders' next numbers are these.
    pub fn new(numbers: impl Iterator<Item = u64>) -> Self {
        let senders = numbers.map(|first| Waiting { first, messages: VecDeque::new() }).collect();
        Self { senders, ready: Vec::new(), measured: Measured::nothing() }
    }

    /// Copies that have not come.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.senders.iter().flat_map(|sender| &sender.messages).map(|(_, missing)| *missing as u64).sum()
    }

    /// Messages of a sender that somebody waits for, and those behind them.
    #[must_use]
    pub fn in_flight(&self, sender: usize) -> usize {
        self.senders[sender].messages.len()
    }

    /// A sender that may send again.
    pub fn next_ready(&mut self) -> Option<usize> {
        self.ready.pop()
    }

    /// A sender's next message was to go at `intended`, to so many members.
    pub fn sent(&mut self, sender: usize, intended: Instant, recipients: usize) {
        self.measured.messages += 1;
        self.senders[sender].messages.push_back((intended, recipients));
    }

    /// A copy has come to somebody.
    pub fn arrived(&mut self, copy: Copy, now: Instant, reception: &mut Reception) {
        let Copy { sender, number } = copy;
        let measured = &mut self.measured;
        let (Some(next), Some(waiting)) = (reception.next_of(sender), self.senders.get_mut(sender)) else {
            measured.strayed += 1;
            return;
        };
        let expected = *next;
        if number < expected {
            // It comes late, or again.
            if !reception.passed_over.remove(&(sender, number)) {
                measured.repeated += 1;
                return;
            }
            measured.reordered += 1;
        } else {
            *next = number + 1;
            if number > expected {
                reception.pass_over(sender, expected..number);
            }
        }
        let Some(at) = number.checked_sub(waiting.first).and_then(|at| usize::try_from(at).ok()) else { return };
        let Some((intended, missing)) = waiting.messages.get_mut(at) else { return };
        measured.record(now.saturating_duration_since(*intended));
        measured.deliveries += 1;
        *missing = missing.saturating_sub(1);
        let mut done = false;
        while waiting.messages.front().is_some_and(|(_, missing)| *missing == 0) {
            waiting.messages.pop_front();
            waiting.first += 1;
            done = true;
        }
        if done {
            self.ready.push(sender);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn arrive(flight: &mut Flight, reception: &mut Reception, at: Instant, sender: usize, number: u64) {
        flight.arrived(Copy { sender, number }, at, reception);
    }

    #[test]
    fn latency_counts_from_the_intended_time() {
        let start = Instant::now();
        let (mut flight, mut reception) = (Flight::new([5, 0].into_iter()), Reception::new(0..2));
        reception.next[0] = 5;
        flight.sent(0, start, 1);
        assert_eq!((flight.missing(), flight.next_ready()), (1, None));
        arrive(&mut flight, &mut reception, start + Duration::from_millis(200), 0, 5);
        assert_eq!((flight.missing(), flight.next_ready()), (0, Some(0)));
        assert!(flight.measured.latency.max() >= 199_000_000);
        assert!(flight.measured.is_clean());
    }

    #[test]
    fn faults_are_classified() {
        let start = Instant::now();
        let (mut flight, mut reception) = (Flight::new([0, 0, 0].into_iter()), Reception::new(1..2));
        for _ in 0..5 {
            flight.sent(1, start, 1);
        }
        let of = |flight: &Flight| {
            let measured = &flight.measured;
            (measured.deliveries, flight.missing(), measured.repeated, measured.reordered, measured.strayed)
        };
        arrive(&mut flight, &mut reception, start, 1, 0);
        arrive(&mut flight, &mut reception, start, 1, 0);
        arrive(&mut flight, &mut reception, start, 2, 0);
        assert_eq!(of(&flight), (1, 4, 1, 0, 1));
        arrive(&mut flight, &mut reception, start, 1, 3);
        assert_eq!(of(&flight), (2, 3, 1, 0, 1), "1 and 2 are missing so far, and not out of order");
        arrive(&mut flight, &mut reception, start, 1, 2);
        arrive(&mut flight, &mut reception, start, 1, 2);
        assert_eq!(of(&flight), (3, 2, 2, 1, 1), "2 comes late, and then again; 1 is lost, and 4");
    }
}
