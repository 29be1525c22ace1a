//! Indexes with several entries for a key.

use std::collections::HashMap;
use std::hash::Hash;

use smallvec::SmallVec;

/// Takes one of several that are found by a key out of an index.
pub fn remove_from<K: Eq + Hash, T: PartialEq>(map: &mut HashMap<K, SmallVec<[T; 1]>>, key: &K, id: T) {
    if let Some(ids) = map.get_mut(key) {
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            map.remove(key);
        }
    }
}
