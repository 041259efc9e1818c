// SPDX-License-Identifier: Apache-2.0
//! Which series there are: labels to id, and postings from labels back to ids.
//!
//! A series is found by the xxh3-128 of its labels and then compared in full, so equal hashes do
//! no harm. Strings are numbered, so that a label costs a series 8 bytes. Postings are one roaring bitmap per (label, value); a matcher that
//! an absent label satisfies subtracts, any other intersects.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use basics::labels::{Labels, METRIC_NAME, MatchOp, Matcher};
use hashbrown::{HashMap, HashTable};
use roaring::RoaringBitmap;
use xxhash_rust::xxh3::Xxh3;

use super::{SHARDS, id_of, place_of};

type ByValue = HashMap<Arc<str>, RoaringBitmap, foldhash::fast::RandomState>;

/// All series by id; ids of removed series are used again. An id is a shard and a slot in it
/// ([`super::id_of`]).
#[derive(Debug, Default)]
pub(crate) struct Registry {
    shards: [Slots; SHARDS],
    by_hash: HashTable<u32>,
    postings: BTreeMap<Arc<str>, ByValue>,
    all: RoaringBitmap,
    symbols: Symbols,
}

/// Names and values by number; numbers of strings that went are used again.
#[derive(Debug, Default)]
struct Symbols {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32, foldhash::fast::RandomState>,
    free: Vec<u32>,
}

impl Symbols {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let text: Arc<str> = Arc::from(text);
        let number = match self.free.pop() {
            Some(number) => {
                self.texts[number as usize] = text.clone();
                number
            }
            None => {
                self.texts.push(text.clone());
                self.texts.len() as u32 - 1
            }
        };
        self.numbers.insert(text, number);
        number
    }

    fn text(&self, number: u32) -> &Arc<str> {
        &self.texts[number as usize]
    }

    /// Lets go of all but `used`.
    fn retain(&mut self, used: &[bool]) {
        let Symbols { texts, numbers, free } = self;
        numbers.retain(|_, number| {
            let is_used = used[*number as usize];
            if !is_used {
                texts[*number as usize] = Arc::from("");
                free.push(*number);
            }
            is_used
        });
    }
}

/// The series of a shard.
#[derive(Debug, Default)]
struct Slots {
    known: Vec<Option<Known>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Known {
    hash: u128,
    /// Numbers of name and value, in the order of the names.
    labels: Box<[(u32, u32)]>,
}

/// Hash of a sorted label set.
fn hash_of<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> u128 {
    let mut hasher = Xxh3::new();
    for (name, value) in labels {
        // 0xff is in no UTF-8 text, so no two sets read the same.
        hasher.update(name.as_bytes());
        hasher.update(&[0xff]);
        hasher.update(value.as_bytes());
        hasher.update(&[0xff]);
    }
    hasher.digest128()
}

impl Registry {
    /// Number of series.
    pub(crate) fn len(&self) -> usize {
        self.all.len() as usize
    }

    /// The series with exactly these labels (sorted by name).
    pub(crate) fn find(&self, labels: &[(&str, &str)]) -> Option<u32> {
        let hash = hash_of(labels.iter().copied());
        self.find_hashed(hash, labels)
    }

    fn find_hashed(&self, hash: u128, labels: &[(&str, &str)]) -> Option<u32> {
        let equal = |id: &u32| {
            self.known(*id).is_some_and(|known| {
                known.hash == hash && self.texts(known).eq(labels.iter().copied())
            })
        };
        self.by_hash.find(hash as u64, equal).copied()
    }

    fn texts<'r>(&'r self, known: &'r Known) -> impl Iterator<Item = (&'r str, &'r str)> {
        let text = |number: u32| &**self.symbols.text(number);
        known.labels.iter().map(move |(name, value)| (text(*name), text(*value)))
    }

    fn known(&self, id: u32) -> Option<&Known> {
        let (shard, slot) = place_of(id);
        self.shards[shard].known.get(slot as usize)?.as_ref()
    }

    /// The series with exactly these labels (sorted by name), made in `shard` when missing.
    pub(crate) fn find_or_insert(&mut self, labels: &[(&str, &str)], shard: usize) -> u32 {
        let hash = hash_of(labels.iter().copied());
        if let Some(id) = self.find_hashed(hash, labels) {
            return id;
        }
        let symbols = &mut self.symbols;
        let numbers: Box<[(u32, u32)]> =
            labels.iter().map(|(n, v)| (symbols.number(n), symbols.number(v))).collect();
        let slots = &mut self.shards[shard];
        let slot = slots.free.pop().unwrap_or_else(|| {
            slots.known.push(None);
            slots.known.len() as u32 - 1
        });
        let id = id_of(shard, slot);
        for (name, value) in &numbers {
            let (name, value) = (symbols.text(*name), symbols.text(*value));
            let by_value = self.postings.entry(name.clone()).or_default();
            by_value.entry(value.clone()).or_default().insert(id);
        }
        self.all.insert(id);
        slots.known[slot as usize] = Some(Known { hash, labels: numbers });
        let shards = &self.shards;
        self.by_hash.insert_unique(hash as u64, id, |id| {
            let (shard, slot) = place_of(*id);
            shards[shard].known[slot as usize].as_ref().map_or(0, |known| known.hash as u64)
        });
        id
    }

    /// Forgets a series; its id may be given to another one.
    pub(crate) fn remove(&mut self, id: u32) {
        let (shard, slot) = place_of(id);
        let slots = &mut self.shards[shard];
        let Some(known) = slots.known.get_mut(slot as usize).and_then(Option::take) else { return };
        slots.free.push(slot);
        if let Ok(entry) = self.by_hash.find_entry(known.hash as u64, |other| *other == id) {
            entry.remove();
        }
        self.all.remove(id);
        for (name, value) in known.labels.iter() {
            let (name, value) = (self.symbols.text(*name), self.symbols.text(*value));
            if let Some(by_value) = self.postings.get_mut(name) {
                if let Some(ids) = by_value.get_mut(value) {
                    ids.remove(id);
                    if ids.is_empty() {
                        by_value.remove(value);
                    }
                }
                if by_value.is_empty() {
                    self.postings.remove(name);
                }
            }
        }
    }

    /// Lets go of strings no series uses any more.
    pub(crate) fn drop_unused_symbols(&mut self) {
        let mut used = vec![false; self.symbols.texts.len()];
        for known in self.shards.iter().flat_map(|slots| slots.known.iter().flatten()) {
            for (name, value) in &known.labels {
                used[*name as usize] = true;
                used[*value as usize] = true;
            }
        }
        self.symbols.retain(&used);
    }

    /// Labels of a series.
    pub(crate) fn labels(&self, id: u32) -> Option<Labels> {
        self.known(id).map(|known| {
            let text = |number: u32| self.symbols.text(number).clone();
            Labels::from_sorted(
                known.labels.iter().map(|(name, value)| (text(*name), text(*value))),
            )
        })
    }

    /// Whether there is a series of this id.
    pub(crate) fn has(&self, id: u32) -> bool {
        self.known(id).is_some()
    }

    /// Whether a series has this metric name.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.postings.get(METRIC_NAME).is_some_and(|by_value| by_value.contains_key(name))
    }

    /// Ids of the series that satisfy every matcher.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> RoaringBitmap {
        let mut found: Option<RoaringBitmap> = None;
        let (absent_fails, absent_passes): (Vec<&Matcher>, Vec<&Matcher>) =
            matchers.iter().partition(|matcher| !matcher.matches(""));
        for matcher in absent_fails {
            let ids = self.with_value(matcher, true);
            match &mut found {
                Some(found) => *found &= ids,
                None => found = Some(ids),
            }
        }
        let mut found = found.unwrap_or_else(|| self.all.clone());
        for matcher in absent_passes {
            found -= self.with_value(matcher, false);
        }
        found
    }

    /// Series that have the matcher's label with a value that does (`wanted`) or does not match.
    fn with_value(&self, matcher: &Matcher, wanted: bool) -> RoaringBitmap {
        let Some(by_value) = self.postings.get(&*matcher.name) else {
            return RoaringBitmap::new();
        };
        let exact = match matcher.op {
            MatchOp::Equal => wanted,
            MatchOp::NotEqual => !wanted,
            MatchOp::Regex | MatchOp::NotRegex => false,
        };
        if exact && !matcher.value.is_empty() {
            return by_value.get(&*matcher.value).cloned().unwrap_or_default();
        }
        let mut ids = RoaringBitmap::new();
        for (value, with_it) in by_value {
            if matcher.matches(value) == wanted {
                ids |= with_it;
            }
        }
        ids
    }

    /// Names of all labels of the series `among` (all without), ascending.
    pub(crate) fn label_names(&self, among: Option<&RoaringBitmap>) -> Vec<Arc<str>> {
        let has = |by_value: &ByValue| match among {
            None => true,
            Some(among) => by_value.values().any(|ids| !ids.is_disjoint(among)),
        };
        let names = self.postings.iter().filter(|(_, by_value)| has(by_value));
        names.map(|(name, _)| name.clone()).collect()
    }

    /// Values of a label among the series `among` (all without), ascending.
    pub(crate) fn label_values(&self, name: &str, among: Option<&RoaringBitmap>) -> Vec<Arc<str>> {
        let Some(by_value) = self.postings.get(name) else { return Vec::new() };
        let has = |ids: &RoaringBitmap| among.is_none_or(|among| !ids.is_disjoint(among));
        let mut values: Vec<Arc<str>> =
            by_value.iter().filter(|(_, ids)| has(ids)).map(|(value, _)| value.clone()).collect();
        values.sort_unstable();
        values
    }

    /// What makes the series many: at most `limit` of each, most first.
    pub(crate) fn cardinality(&self, limit: usize) -> Cardinality {
        let mut found = Cardinality::default();
        let [mut names, mut labels, mut bytes, mut pairs] =
            [(); 4].map(|()| Top { limit, least: BinaryHeap::new() });
        for (name, values) in &self.postings {
            found.pairs += values.len() as u64;
            labels.add(values.len() as u64, (name, None));
            let mut size = 0;
            for (value, ids) in values {
                size += ids.len() * value.len() as u64;
                pairs.add(ids.len(), (name, Some(value)));
                if **name == *METRIC_NAME {
                    names.add(ids.len(), (value, None));
                }
            }
            bytes.add(size, (name, None));
        }
        found.series_by_name = names.into_list();
        found.values_by_label = labels.into_list();
        found.bytes_by_label = bytes.into_list();
        found.series_by_pair = pairs.into_list();
        found
    }
}

/// What makes series many, most first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// Series by metric name.
    pub series_by_name: Vec<(String, u64)>,
    /// Values by label name.
    pub values_by_label: Vec<(String, u64)>,
    /// Bytes of the values of all series by label name.
    pub bytes_by_label: Vec<(String, u64)>,
    /// Series by `label=value`.
    pub series_by_pair: Vec<(String, u64)>,
    /// Distinct pairs of label and value.
    pub pairs: u64,
}

/// A name, or a name and a value.
type Key<'k> = (&'k Arc<str>, Option<&'k Arc<str>>);

/// The largest of many.
struct Top<'k> {
    limit: usize,
    least: BinaryHeap<Reverse<(u64, Reverse<Key<'k>>)>>,
}

impl<'k> Top<'k> {
    fn add(&mut self, count: u64, key: Key<'k>) {
        self.least.push(Reverse((count, Reverse(key))));
        if self.least.len() > self.limit {
            self.least.pop();
        }
    }

    fn into_list(self) -> Vec<(String, u64)> {
        let all = self.least.into_sorted_vec().into_iter();
        let text = |(name, value): Key<'_>| match value {
            None => name.to_string(),
            Some(value) => format!("{name}={value}"),
        };
        all.map(|Reverse((count, Reverse(key)))| (text(key), count)).collect()
    }
}
