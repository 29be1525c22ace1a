//! The addresses and ports from which users have logged in recently.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::limits::{KNOWN_PLACES_MAX, KNOWN_PLACES_PER_USER_MAX};

/// How long a place is known after a login with the right password.
const KNOWN_FOR: Duration = Duration::from_secs(3600);

/// A user, by the digest of its name, at an address and a port: a connection, or a client's own socket.
type Place = (u64, SocketAddr);

/// Places, each with the time until which it is known. Over the limits the oldest are removed.
#[derive(Debug, Default)]
pub struct KnownPlaces {
    until: HashMap<Place, Instant>,
    in_order: BTreeSet<(Instant, Place)>,
    /// The places of each user, oldest first, so that a user with many places does not displace those of others.
    of_user: HashMap<u64, VecDeque<SocketAddr>>,
}

impl KnownPlaces {
    pub fn has(&self, user: u64, at: SocketAddr, now: Instant) -> bool {
        self.until.get(&(user, at)).is_some_and(|until| now < *until)
    }

    /// Adds the place of a login with the right password.
    pub fn add(&mut self, user: u64, at: SocketAddr, now: Instant) {
        let place = (user, at);
        let until = now + KNOWN_FOR;
        if let Some(before) = self.until.insert(place, until) {
            self.in_order.remove(&(before, place));
        } else {
            let own = self.of_user.entry(user).or_default();
            own.push_back(at);
            if own.len() > KNOWN_PLACES_PER_USER_MAX
                && let Some(oldest) = own.front().copied()
            {
                self.forget((user, oldest));
            }
        }
        self.in_order.insert((until, place));
        if self.until.len() > KNOWN_PLACES_MAX
            && let Some((_, oldest)) = self.in_order.first().copied()
        {
            self.forget(oldest);
        }
    }

    fn forget(&mut self, place: Place) {
        if let Some(until) = self.until.remove(&place) {
            self.in_order.remove(&(until, place));
        }
        let (user, at) = place;
        if let Some(own) = self.of_user.get_mut(&user) {
            own.retain(|other| *other != at);
            if own.is_empty() {
                self.of_user.remove(&user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_known_for_a_while_and_for_its_user() {
        let (mut known, now) = (KnownPlaces::default(), Instant::now());
        let at: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        known.add(7, at, now);
        assert!(
            known.has(7, at, now) && !known.has(8, at, now) && !known.has(7, "192.0.2.1:5061".parse().unwrap(), now)
        );
        assert!(!known.has(7, at, now + KNOWN_FOR));
        known.add(7, at, now + KNOWN_FOR / 2);
        assert!(known.has(7, at, now + KNOWN_FOR));
    }

    #[test]
    fn no_more_places_are_known_than_there_is_room_for_in_all_and_for_one_user() {
        let (mut known, now) = (KnownPlaces::default(), Instant::now());
        let at = |n: usize| SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, n as u16));
        known.add(8, at(1), now);
        for n in 0..KNOWN_PLACES_PER_USER_MAX + 3 {
            known.add(7, at(n), now + Duration::from_micros(n as u64));
        }
        assert!(!known.has(7, at(2), now) && known.has(7, at(3), now) && known.has(8, at(1), now));
        for user in 100..100 + KNOWN_PLACES_MAX as u64 {
            known.add(user, at(1), now + Duration::from_millis(user));
        }
        assert_eq!((known.until.len(), known.in_order.len()), (KNOWN_PLACES_MAX, KNOWN_PLACES_MAX));
        assert!(known.of_user.len() <= KNOWN_PLACES_MAX && !known.has(8, at(1), now), "the oldest went");
    }
}
