//! Deadlines by key, at most one for each.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};
use std::time::Instant;

use crate::limits::KEPT_TIMERS_MAX;

/// Timers by key. Setting, clearing and taking one take logarithmic time, and cleared timers use no memory.
#[derive(Debug)]
pub struct Timers<K, S = RandomState> {
    /// In order of their deadlines; equal deadlines in the order in which they were set.
    queue: BTreeMap<(Instant, u64), K>,
    places: HashMap<K, (Instant, u64), S>,
    /// Numbers what is set.
    count: u64,
}

impl<K, S: Default> Default for Timers<K, S> {
    fn default() -> Self {
        Self { queue: BTreeMap::new(), places: HashMap::default(), count: 0 }
    }
}

impl<K: Clone + Eq + Hash, S: BuildHasher> Timers<K, S> {
    /// Sets the time of a key, in place of the one it may have.
    pub fn set(&mut self, key: K, at: Instant) {
        self.count += 1;
        let place = (at, self.count);
        if let Some(before) = self.places.insert(key.clone(), place) {
            self.queue.remove(&before);
        }
        self.queue.insert(place, key);
    }

    /// Sets the time of a key, unless it has an earlier one or the same.
    pub fn set_earliest(&mut self, key: K, at: Instant) {
        if self.places.get(&key).is_none_or(|(before, _)| at < *before) {
            self.set(key, at);
        }
    }

    /// Forgets the time of a key, if it has one.
    pub fn clear(&mut self, key: &K) {
        if let Some(place) = self.places.remove(key) {
            self.queue.remove(&place);
            self.shrink();
        }
    }

    /// Whether a key has a time.
    #[must_use]
    pub fn is_set(&self, key: &K) -> bool {
        self.places.contains_key(key)
    }

    /// When the next key is due.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next key that is due at `now` or earlier.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let entry = self.queue.first_entry().filter(|entry| entry.key().0 <= now)?;
        let key = entry.remove();
        self.places.remove(&key);
        self.shrink();
        Some(key)
    }

    /// How many are set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Many are set when many join; what they took is not kept for ever.
    fn shrink(&mut self) {
        let kept = self.places.capacity();
        if self.places.len() < kept / 4 && kept > KEPT_TIMERS_MAX {
            self.places.shrink_to(kept / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn all_due<K: Clone + Eq + Hash>(timers: &mut Timers<K>, now: Instant) -> Vec<K> {
        std::iter::from_fn(|| timers.pop_due(now)).collect()
    }

    #[test]
    fn keys_come_in_order_once_and_only_when_due() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut timers: Timers<&str> = Timers::default();
        for (key, time) in [("b", 2), ("a", 1), ("c", 2), ("d", 3), ("e", 1)] {
            timers.set(key, at(time));
        }
        timers.set("a", at(4));
        timers.clear(&"e");
        assert!(timers.is_set(&"a") && !timers.is_set(&"e"));
        assert_eq!(timers.next(), Some(at(2)));
        assert_eq!(timers.pop_due(at(1)), None);
        assert_eq!(all_due(&mut timers, at(3)), ["b", "c", "d"]);
        assert_eq!((timers.next(), timers.len()), (Some(at(4)), 1));
        assert_eq!(timers.pop_due(at(9)), Some("a"));
        assert!(timers.next().is_none() && timers.is_empty() && timers.queue.is_empty());
    }

    #[test]
    fn the_earliest_of_several_times_counts_where_that_is_asked_for() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut timers: Timers<&str> = Timers::default();
        for seconds in [5, 7, 3, 3, 9] {
            timers.set_earliest("load", at(seconds));
        }
        timers.set_earliest("responses", at(4));
        assert_eq!(timers.pop_due(at(2)), None);
        assert_eq!(all_due(&mut timers, at(3)), ["load"]);
        timers.set_earliest("load", at(5));
        assert_eq!(all_due(&mut timers, at(10)), ["responses", "load"]);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn few_places_are_kept_when_many_timers_are_over() {
        let now = Instant::now();
        let mut timers: Timers<usize> = Timers::default();
        let count = 100 * KEPT_TIMERS_MAX;
        let ends: [fn(&mut Timers<usize>, usize, Instant); 2] =
            [|timers, key, _| timers.clear(&key), |timers, _, now| assert!(timers.pop_due(now).is_some())];
        for end in ends {
            (0..count).for_each(|key| timers.set(key, now));
            assert!(timers.places.capacity() >= count);
            (0..count).for_each(|key| end(&mut timers, key, now));
            assert!(timers.is_empty() && timers.queue.is_empty());
            assert!(timers.places.capacity() <= 2 * KEPT_TIMERS_MAX, "{}", timers.places.capacity());
        }
    }
}
