// SPDX-License-Identifier: Apache-2.0
//! What was used last, up to a number of entries.
//!
//! Uses are stamped and queued; a queued use that is not the last of its key is passed over when
//! the oldest entry is looked for. The queue is swept when it holds as many stale uses as entries.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::hash::Hash;

use hashbrown::HashMap;

/// A map of at most so many entries; the one not used for longest makes room.
#[derive(Clone, Debug)]
pub(super) struct Lru<K, V> {
    entries: HashMap<K, (u64, V)>,
    uses: VecDeque<(u64, K)>,
    stamp: u64,
    max: usize,
}

impl<K: Clone + Eq + Hash, V: Copy> Lru<K, V> {
    /// An empty one for `max` entries; with 0 it remembers nothing.
    pub fn new(max: usize) -> Self {
        Lru { entries: HashMap::new(), uses: VecDeque::new(), stamp: 0, max }
    }

    /// The value of `key`, which counts as a use.
    pub fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if self.entries.is_empty() {
            return None;
        }
        let (owned, _) = self.entries.get_key_value(key)?;
        let owned = owned.clone();
        let (stamp, value) = self.entries.get_mut(key)?;
        self.stamp += 1;
        *stamp = self.stamp;
        let value = *value;
        self.used(owned);
        Some(value)
    }

    /// Sets the value of `key`; false when it cannot be remembered.
    pub fn put(&mut self, key: K, value: V) -> bool {
        if self.max == 0 {
            return false;
        }
        self.stamp += 1;
        self.entries.insert(key.clone(), (self.stamp, value));
        self.used(key);
        while self.entries.len() > self.max {
            let Some((stamp, key)) = self.uses.pop_front() else { break };
            if self.is_last(stamp, &key) {
                self.entries.remove(&key);
            }
        }
        true
    }

    fn used(&mut self, key: K) {
        self.uses.push_back((self.stamp, key));
        if self.uses.len() > 2 * self.entries.len() + 64 {
            let mut uses = std::mem::take(&mut self.uses);
            uses.retain(|(stamp, key)| self.is_last(*stamp, key));
            self.uses = uses;
        }
    }

    fn is_last(&self, stamp: u64, key: &K) -> bool {
        self.entries.get(key).is_some_and(|(last, _)| *last == stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_not_used_for_longest_makes_room() {
        let mut lru = Lru::new(2);
        assert!(lru.put("a", 1) && lru.put("b", 2));
        assert_eq!(lru.get("a"), Some(1));
        assert!(lru.put("c", 3));
        assert_eq!((lru.get("a"), lru.get("b"), lru.get("c")), (Some(1), None, Some(3)));
        assert!(!Lru::new(0).put("a", 1));
    }

    #[test]
    fn uses_are_bounded() {
        let mut lru = Lru::new(10);
        for i in 0..10_000 {
            lru.put(i % 20, i);
            lru.get(&(i % 7));
        }
        assert_eq!(lru.entries.len(), 10);
        assert!(lru.uses.len() <= 2 * 10 + 64);
    }
}
