//! Wrong passwords, by where they come from: who sends too many is not heard for a while.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use crate::limits::{FAILING_SOURCES_MAX, FAILURES_PER_SOURCE_MAX};

/// After so long one wrong password is forgiven.
const FORGIVEN_AFTER: Duration = Duration::from_secs(6);

/// The sources that failed lately, each with the time at which all is forgiven: every failure moves it on.
#[derive(Debug, Default)]
pub(super) struct Failures {
    forgiven_at: HashMap<IpAddr, Instant>,
}

impl Failures {
    /// Whether a source has failed so often that it is not heard now.
    pub(super) fn bars(&self, source: IpAddr, now: Instant) -> bool {
        let most = FORGIVEN_AFTER * (FAILURES_PER_SOURCE_MAX - 1);
        self.forgiven_at.get(&network(source)).is_some_and(|at| at.saturating_duration_since(now) > most)
    }

    /// A source sent a wrong password.
    pub(super) fn add(&mut self, source: IpAddr, now: Instant) {
        let source = network(source);
        if self.forgiven_at.len() >= FAILING_SOURCES_MAX && !self.forgiven_at.contains_key(&source) {
            self.make_room(now);
        }
        let at = self.forgiven_at.entry(source).or_insert(now);
        *at = (*at).max(now) + FORGIVEN_AFTER;
    }

    /// Forgets who is forgiven, or else whoever would be next.
    fn make_room(&mut self, now: Instant) {
        self.forgiven_at.retain(|_, at| *at > now);
        if self.forgiven_at.len() >= FAILING_SOURCES_MAX {
            let next = self.forgiven_at.iter().min_by_key(|(_, at)| **at).map(|(source, _)| *source);
            next.map(|source| self.forgiven_at.remove(&source));
        }
    }
}

/// What one customer of a network has: an IPv4 address, or 64 bits of IPv6.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_too_often_waits() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..FAILURES_PER_SOURCE_MAX {
            assert!(!failures.bars(one, now));
            failures.add(one, now);
        }
        assert!(failures.bars(one, now) && !failures.bars(other, now));
        assert!(!failures.bars(one, now + FORGIVEN_AFTER), "one is forgiven");
        failures.add(one, now + FORGIVEN_AFTER);
        assert!(failures.bars(one, now + FORGIVEN_AFTER));
        assert!(!failures.bars(one, now + FORGIVEN_AFTER * 3));
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for n in 0..FAILURES_PER_SOURCE_MAX {
            failures.add(format!("2001:db8::{n:x}").parse().unwrap(), now);
        }
        assert!(failures.bars("2001:db8::ffff".parse().unwrap(), now));
        assert!(!failures.bars("2001:db8:0:1::1".parse().unwrap(), now));
    }

    #[test]
    fn no_more_sources_are_kept_than_there_is_room_for() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for n in 0..u32::try_from(FAILING_SOURCES_MAX).unwrap() + 10 {
            failures.add(IpAddr::from(n.to_be_bytes()), now + Duration::from_micros(u64::from(n)));
        }
        assert_eq!(failures.forgiven_at.len(), FAILING_SOURCES_MAX);
        assert!(!failures.forgiven_at.contains_key(&IpAddr::from(0u32.to_be_bytes())), "the oldest went");
    }
}
