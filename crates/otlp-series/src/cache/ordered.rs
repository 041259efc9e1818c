// SPDX-License-Identifier: Apache-2.0
//! A table keyed by bytes that expects its keys in the order in which they came first.

use std::hash::BuildHasher;

use hashbrown::HashTable;

/// Values by key. Nothing is removed.
#[derive(Debug)]
pub(super) struct Ordered<V> {
    /// All keys, one behind the other.
    keys: Vec<u8>,
    entries: Vec<Entry<V>>,
    by_hash: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
    /// Where the next key is expected.
    next: usize,
}

#[derive(Debug)]
struct Entry<V> {
    /// Where its key ends in the keys.
    end: usize,
    value: V,
}

impl<V> Default for Ordered<V> {
    fn default() -> Self {
        Ordered {
            keys: Vec::new(),
            entries: Vec::new(),
            by_hash: HashTable::new(),
            hasher: foldhash::fast::RandomState::default(),
            next: 0,
        }
    }
}

impl<V> Ordered<V> {
    /// The value under `key`, made when missing.
    #[inline]
    pub(super) fn get_or_insert(&mut self, key: &[u8], make: impl FnOnce() -> V) -> &mut V {
        let at = match self.is_at(self.next, key) {
            true => self.next,
            false => self.find_or_insert(key, make),
        };
        self.next = at + 1;
        &mut self.entries[at].value
    }

    #[inline]
    fn is_at(&self, at: usize, key: &[u8]) -> bool {
        self.entries.get(at).is_some_and(|entry| {
            let begin = if at == 0 { 0 } else { self.entries[at - 1].end };
            self.keys[begin..entry.end] == *key
        })
    }

    #[inline(never)]
    fn find_or_insert(&mut self, key: &[u8], make: impl FnOnce() -> V) -> usize {
        // A request begins where the one before began.
        if self.is_at(0, key) {
            return 0;
        }
        let hash = self.hasher.hash_one(key);
        if let Some(at) = self.by_hash.find(hash, |at| self.is_at(*at as usize, key)) {
            return *at as usize;
        }
        let at = self.entries.len();
        if self.entries.len() == self.entries.capacity() {
            // A quarter more instead of twice as much: this is most of what an idle series costs.
            self.entries.reserve_exact(1 + at / 4);
        }
        if self.keys.len() + key.len() > self.keys.capacity() {
            self.keys.reserve_exact(key.len() + self.keys.len() / 4);
        }
        self.keys.extend_from_slice(key);
        self.entries.push(Entry { end: self.keys.len(), value: make() });
        let (keys, entries, hasher) = (&self.keys, &self.entries, &self.hasher);
        self.by_hash.insert_unique(hash, at as u32, |at| {
            let at = *at as usize;
            let begin = if at == 0 { 0 } else { entries[at - 1].end };
            hasher.hash_one(&keys[begin..entries[at].end])
        });
        at
    }
}
