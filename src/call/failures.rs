//! Wrong passwords, counted by user and source: too many are rate limited for a while.
//!
//! A failure counts against a source if its nonce was sent to that source, so that a forged address is charged nothing. It counts for
//! one user only, so that the users behind one proxy do not limit each other. If its nonce was sent to another source, it counts for
//! its user over all sources together.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::limits::{FAILURES_PER_USER_MAX, FAILURES_REMEMBERED_MAX};
use crate::shares::network;

/// The time after which one wrong password is forgiven.
const FORGIVEN_AFTER: Duration = Duration::from_secs(6);

/// Where a wrong password is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Charged {
    /// An unknown source.
    Elsewhere,
    /// A network, without the places in it from which users have logged in.
    Network(IpAddr),
    /// An address and port from which this user has logged in.
    Place(SocketAddr),
}

/// A user, by the digest of its name, and where its failures are charged.
type Guessed = (u64, Charged);

impl Charged {
    /// The network of a source.
    pub fn network(source: IpAddr) -> Self {
        Self::Network(network(source))
    }
}

/// Users with recent failures, each with the time at which all of them are forgiven: every failure moves it on.
#[derive(Debug, Default)]
pub struct Failures {
    forgiven_at: HashMap<Guessed, Instant>,
    /// The same in order of time.
    in_order: BTreeSet<(Instant, Guessed)>,
}

impl Failures {
    /// Whether a user's password was guessed at so often from a source, or from elsewhere, that it is rate limited now.
    pub fn is_rate_limited(&self, user: u64, charged: Charged, now: Instant) -> bool {
        let most = FORGIVEN_AFTER * (FAILURES_PER_USER_MAX - 1);
        let at = self.forgiven_at.get(&(user, charged));
        at.is_some_and(|at| at.saturating_duration_since(now) > most)
    }

    /// Adds a wrong password for a user.
    pub fn add(&mut self, user: u64, charged: Charged, now: Instant) {
        let guessed = (user, charged);
        let before = self.forgiven_at.get(&guessed).copied();
        match before {
            Some(at) => drop(self.in_order.remove(&(at, guessed))),
            None if self.forgiven_at.len() >= FAILURES_REMEMBERED_MAX => self.forget_next(),
            None => {}
        }
        let at = before.unwrap_or(now).max(now) + FORGIVEN_AFTER;
        self.forgiven_at.insert(guessed, at);
        self.in_order.insert((at, guessed));
    }

    /// Forgets the entry that is forgiven first.
    fn forget_next(&mut self) {
        if let Some((_, guessed)) = self.in_order.pop_first() {
            self.forgiven_at.remove(&guessed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(source: &str) -> Charged {
        Charged::network(source.parse().unwrap())
    }

    #[test]
    fn too_many_failures_limit_their_source_alone() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        let (one, other) = (network("192.0.2.1"), network("192.0.2.2"));
        for _ in 0..FAILURES_PER_USER_MAX {
            assert!(!failures.is_rate_limited(7, one, now));
            failures.add(7, one, now);
        }
        assert!(
            failures.is_rate_limited(7, one, now)
                && !failures.is_rate_limited(7, other, now)
                && !failures.is_rate_limited(8, one, now)
        );
        assert!(!failures.is_rate_limited(7, Charged::Elsewhere, now), "nor from elsewhere");
        assert!(!failures.is_rate_limited(7, one, now + FORGIVEN_AFTER), "one is forgiven");
        failures.add(7, one, now + FORGIVEN_AFTER);
        assert!(failures.is_rate_limited(7, one, now + FORGIVEN_AFTER));
        assert!(!failures.is_rate_limited(7, one, now + FORGIVEN_AFTER * 3));
    }

    #[test]
    fn sources_in_one_ipv6_network_are_one() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for n in 0..FAILURES_PER_USER_MAX {
            failures.add(7, network(&format!("2001:db8::{n:x}")), now);
        }
        assert!(failures.is_rate_limited(7, network("2001:db8::ffff"), now));
        assert!(!failures.is_rate_limited(7, network("2001:db8:0:1::1"), now));
    }

    #[test]
    fn no_more_guesses_are_kept_than_there_is_room_for() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        for n in 0..u32::try_from(FAILURES_REMEMBERED_MAX).unwrap() + 10 {
            failures.add(7, Charged::network(IpAddr::from(n.to_be_bytes())), now + Duration::from_micros(u64::from(n)));
        }
        assert_eq!(failures.forgiven_at.len(), FAILURES_REMEMBERED_MAX);
        assert_eq!(failures.in_order.len(), FAILURES_REMEMBERED_MAX);
        assert!(
            !failures.forgiven_at.contains_key(&(7, Charged::network(IpAddr::from(0u32.to_be_bytes())))),
            "the oldest went"
        );
    }
}
