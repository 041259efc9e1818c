// SPDX-License-Identifier: Apache-2.0
//! What a block of rows tells without being read: its heads, keys, operations, and for each row
//! group its times, traces and words. It lies in the file's footer, and in memory while asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use otlp_wire::{Head, TraceId};
use xxhash_rust::xxh3::xxh3_64;

use super::RowHead;
use super::pack::{Packer, Unpacker, from_text};

/// Under which the index lies in the footer.
pub(crate) const KEY: &str = "foreglow.rows";

/// First number of an index: its version.
const VERSION: u64 = 1;

/// Most keys told of attributes, and most of events; past it every key may be anywhere.
pub(crate) const KEYS_MAX: usize = 1024;

/// Most operations told.
pub(crate) const OPERATIONS_MAX: usize = 10_000;

/// Bits of the word filter for each word: 1 in 100 words is taken for there.
const BITS: usize = 10;
/// Bits set for a word.
const PROBES: u64 = 7;
/// Most bytes of a word filter: 800,000 words in a row group.
const FILTER_BYTES_MAX: usize = 1 << 20;

/// A key of attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key {
    pub name: String,
    /// The type that most of its values have.
    pub kind: ValueKind,
    /// Its values, of any type.
    pub count: u64,
    /// Whether it has a column.
    pub has_column: bool,
    /// Whether some of its values are in `rest`.
    pub in_rest: bool,
}

/// The types that a column can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ValueKind {
    #[default]
    Text,
    Int,
    Double,
    Bool,
}

impl ValueKind {
    pub(crate) const ALL: [ValueKind; 4] =
        [ValueKind::Text, ValueKind::Int, ValueKind::Double, ValueKind::Bool];
}

/// A row group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    pub tmin: u64,
    pub tmax: u64,
    /// Hashes of its trace ids, ascending.
    pub traces: Vec<u32>,
    /// A filter of its words; empty when there is none.
    pub words: Vec<u8>,
}

impl Group {
    pub(crate) fn may_hold(&self, trace: &TraceId) -> bool {
        self.traces.binary_search(&trace_hash(trace)).is_ok()
    }

    /// Whether a text that holds `needle` may be in it: by those words of the needle that must be
    /// whole words of the text.
    pub(crate) fn may_say(&self, needle: &str) -> bool {
        self.words.is_empty() || whole_words(needle).all(|word| has_word(&self.words, &word))
    }
}

pub(crate) fn trace_hash(trace: &TraceId) -> u32 {
    xxh3_64(trace) as u32
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    pub heads: Vec<Arc<RowHead>>,
    pub keys: Vec<Key>,
    /// Keys of events' attributes.
    pub event_keys: Vec<String>,
    /// There are more keys than are told.
    pub is_cut: bool,
    /// Service, operation and kind.
    pub operations: Vec<(String, String, i32)>,
    pub groups: Vec<Group>,
}

impl Index {
    pub(crate) fn text(&self) -> String {
        let mut out = Packer::default();
        out.number(VERSION);
        out.list(&self.heads, |out, head| {
            let (resource, scope) = head.head.parts();
            out.bytes(resource);
            out.bytes(scope);
        });
        out.list(&self.keys, |out, key| {
            out.bytes(key.name.as_bytes());
            out.number(key.kind as u64);
            out.number(key.count);
            out.number(u64::from(key.has_column) | u64::from(key.in_rest) << 1);
        });
        out.list(&self.event_keys, |out, key| out.bytes(key.as_bytes()));
        out.number(u64::from(self.is_cut));
        out.list(&self.operations, |out, (service, name, kind)| {
            out.bytes(service.as_bytes());
            out.bytes(name.as_bytes());
            out.number(*kind as u32 as u64);
        });
        out.list(&self.groups, |out, group| {
            out.number(group.tmin);
            out.number(group.tmax);
            out.ascending(&group.traces);
            out.bytes(&group.words);
        });
        out.text()
    }

    pub(crate) fn from_text(text: &str) -> Option<Index> {
        let bytes = from_text(text)?;
        let mut from = Unpacker::new(&bytes);
        if from.number()? != VERSION {
            return None;
        }
        let heads = from.list(|from| {
            let (resource, scope) = (from.bytes()?, from.bytes()?);
            Some(Arc::new(RowHead::new(Head::from_parts(resource, scope)?)))
        })?;
        let keys = from.list(|from| {
            let name = from.str()?.to_owned();
            let kind = *ValueKind::ALL.get(usize::try_from(from.number()?).ok()?)?;
            let (count, flags) = (from.number()?, from.number()?);
            let (has_column, in_rest) = (flags & 1 == 1, flags & 2 == 2);
            Some(Key { name, kind, count, has_column, in_rest })
        })?;
        let event_keys = from.list(|from| from.str().map(str::to_owned))?;
        let is_cut = from.number()? != 0;
        let operations = from.list(|from| {
            let (service, name) = (from.str()?.to_owned(), from.str()?.to_owned());
            Some((service, name, from.number()? as u32 as i32))
        })?;
        let groups = from.list(|from| {
            let (tmin, tmax) = (from.number()?, from.number()?);
            let traces = from.ascending()?;
            Some(Group { tmin, tmax, traces, words: from.bytes()?.to_vec() })
        })?;
        Some(Index { heads, keys, event_keys, is_cut, operations, groups })
    }

    /// About what it takes in memory.
    pub(crate) fn size(&self) -> usize {
        let heads: usize = self.heads.iter().map(|head| head.head.size() + 64).sum();
        let groups: usize = self.groups.iter().map(|g| g.traces.len() * 4 + g.words.len()).sum();
        heads + groups + 64 * (self.keys.len() + self.event_keys.len()) + 96 * self.operations.len()
    }

    pub(crate) fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Keys that get a column in a block of `rows` rows of which these are the keys: those in one of
    /// a hundred rows, the most frequent [`super::write::COLUMNS_MAX`].
    pub(crate) fn columns(
        keys: &BTreeMap<String, [u64; 4]>,
        rows: u64,
    ) -> Vec<(String, ValueKind)> {
        let total = |counts: &[u64; 4]| counts.iter().sum::<u64>();
        let mut often: Vec<_> =
            keys.iter().filter(|(_, counts)| total(counts) * 100 >= rows.max(1)).collect();
        often.sort_by_key(|(_, counts)| std::cmp::Reverse(total(counts)));
        often.truncate(super::write::COLUMNS_MAX);
        often.sort();
        let kind = |counts: &[u64; 4]| {
            let most = (0..4).rev().max_by_key(|at| counts[*at]).unwrap_or(0);
            ValueKind::ALL[most]
        };
        often.into_iter().map(|(name, counts)| (name.clone(), kind(counts))).collect()
    }
}

/// A filter of these words.
pub(crate) fn word_filter(words: &hashbrown::HashSet<u64, foldhash::fast::RandomState>) -> Vec<u8> {
    let bytes = (words.len() * BITS).div_ceil(8).clamp(8, FILTER_BYTES_MAX);
    let mut filter = vec![0u8; bytes];
    for word in words {
        for bit in bits(*word, bytes) {
            filter[bit / 8] |= 1 << (bit % 8);
        }
    }
    filter
}

fn bits(hash: u64, bytes: usize) -> impl Iterator<Item = usize> {
    let (one, two) = (hash as u32 as u64, hash >> 32 | 1);
    (0..PROBES).map(move |n| (one.wrapping_add(n.wrapping_mul(two)) % (bytes as u64 * 8)) as usize)
}

fn has_word(filter: &[u8], word: &str) -> bool {
    bits(word_hash(word), filter.len()).all(|bit| filter[bit / 8] >> (bit % 8) & 1 == 1)
}

/// The words of a text, as hashes: runs of letters and digits, in lower case.
pub(crate) fn word_hashes(text: &str) -> impl Iterator<Item = u64> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(word_hash)
}

fn word_hash(word: &str) -> u64 {
    match word.bytes().any(|byte| byte.is_ascii_uppercase() || byte >= 0x80) {
        true => xxh3_64(word.to_lowercase().as_bytes()),
        false => xxh3_64(word.as_bytes()),
    }
}

/// The words of a needle with something else on both sides.
fn whole_words(needle: &str) -> impl Iterator<Item = String> {
    let is_word = |c: char| c.is_alphanumeric();
    let start = needle.find(|c| !is_word(c)).unwrap_or(needle.len());
    let end = needle.rfind(|c| !is_word(c)).unwrap_or(0);
    let inner = needle.get(start..end).unwrap_or("");
    let words = inner.split(|c| !is_word(c)).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().into_iter()
}
