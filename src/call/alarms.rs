//! What is to happen when.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// A schedule with at most one time for each thing. Setting, clearing and asking for the next take logarithmic time, and
/// what was cleared takes no room.
#[derive(Debug)]
pub struct Alarms<K> {
    by_time: BTreeMap<(Instant, u64), K>,
    by_key: HashMap<K, (Instant, u64)>,
    count: u64,
}

impl<K> Default for Alarms<K> {
    fn default() -> Self {
        Self { by_time: BTreeMap::new(), by_key: HashMap::new(), count: 0 }
    }
}

impl<K: Clone + Eq + Hash> Alarms<K> {
    /// Sets the time of a thing, instead of the one it may have had.
    pub fn set(&mut self, key: K, at: Instant) {
        self.clear(&key);
        self.count += 1;
        self.by_key.insert(key.clone(), (at, self.count));
        self.by_time.insert((at, self.count), key);
    }

    /// Forgets a thing.
    pub fn clear(&mut self, key: &K) {
        if let Some(place) = self.by_key.remove(key) {
            self.by_time.remove(&place);
        }
    }

    /// Whether a thing has a time.
    #[must_use]
    pub fn is_set(&self, key: &K) -> bool {
        self.by_key.contains_key(key)
    }

    /// When the next thing is due.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next thing whose time has come; things of one time come in the order they were set.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let entry = self.by_time.first_entry().filter(|entry| entry.key().0 <= now)?;
        let key = entry.remove();
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn things_come_in_order_once_and_only_when_due() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut alarms = Alarms::default();
        for (key, time) in [("b", 2), ("a", 1), ("c", 2), ("d", 3), ("e", 1)] {
            alarms.set(key, at(time));
        }
        alarms.set("a", at(4));
        alarms.clear(&"e");
        assert_eq!(alarms.next(), Some(at(2)));
        assert_eq!(alarms.pop_due(at(1)), None);
        let due: Vec<_> = std::iter::from_fn(|| alarms.pop_due(at(3))).collect();
        assert_eq!(due, ["b", "c", "d"]);
        assert_eq!(alarms.pop_due(at(9)), Some("a"));
        assert_eq!((alarms.next(), alarms.by_key.len()), (None, 0));
    }
}
