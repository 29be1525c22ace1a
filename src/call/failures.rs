//! Wrong passwords, by user and by where they come from: too many of them are rate limited for a while.
//!
//! What counts against a source came back with a nonce that was sent to that very source, so that nobody can make another address
//! look like a guesser's; and it counts for one user from there, so that the neighbours behind one proxy do not pay for each other.
//! What came with a nonce that was sent elsewhere counts for its user over all sources together: nobody knows who it really was.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::limits::{FAILURES_PER_USER_MAX, FAILURES_REMEMBERED_MAX};
use crate::shares::network;

/// After so long one wrong password is forgiven.
const FORGIVEN_AFTER: Duration = Duration::from_secs(6);

/// Where a wrong password is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Charged {
    /// Nobody knows where it came from.
    Elsewhere,
    /// Whoever is in a network, those aside who have logged in from their places.
    Network(IpAddr),
    /// Whoever is at a place from which this user has logged in.
    Place(SocketAddr),
}

/// Whose password was guessed at, by the digest of the user's name, and from where.
type Guessed = (u64, Charged);

impl Charged {
    /// The network of a source.
    pub fn network(source: IpAddr) -> Self {
        Self::Network(network(source))
    }
}

/// Who failed lately, each with the time at which all is forgiven: every failure moves it on.
#[derive(Debug, Default)]
pub struct Failures {
    forgiven_at: HashMap<Guessed, Instant>,
    /// The same in order of time, so that whoever is forgiven next is found at once.
    in_order: BTreeSet<(Instant, Guessed)>,
}

impl Failures {
    /// Whether a user's password was guessed at so often from a source, or from elsewhere, that it is rate limited now.
    pub fn is_rate_limited(&self, user: u64, charged: Charged, now: Instant) -> bool {
        let most = FORGIVEN_AFTER * (FAILURES_PER_USER_MAX - 1);
        let at = self.forgiven_at.get(&(user, charged));
        at.is_some_and(|at| at.saturating_duration_since(now) > most)
    }

    /// A source sent a wrong password for a user, or somebody did from elsewhere.
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

    /// Forgets who was forgiven first, or would be next.
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
    fn neighbours_in_one_ipv6_network_are_one() {
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
