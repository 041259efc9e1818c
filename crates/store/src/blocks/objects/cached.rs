// SPDX-License-Identifier: Apache-2.0
//! Objects that are far away, with what was read lately kept near.
//!
//! Blocks are read in whole pieces and the same query asks for the same ranges, so ranges are kept
//! as they were asked for. Only blocks are: manifests change.

use std::ops::Range;
use std::sync::Arc;

use basics::Result;
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::{Listed, ObjectWriter, Objects};

/// A range larger than this share of the cache is not kept: it would push out all others.
const SHARE: u64 = 4;

type Key = (String, u64, u64);

/// Objects and a bounded cache of ranges.
pub struct Cached {
    inner: Arc<dyn Objects>,
    cache: Cache<Key, Bytes, Size>,
    bytes_max: u64,
}

#[derive(Clone)]
struct Size;

impl Weighter<Key, Bytes> for Size {
    fn weight(&self, key: &Key, bytes: &Bytes) -> u64 {
        (key.0.len() + 64 + bytes.len()) as u64
    }
}

impl Cached {
    /// Keeps at most `bytes_max` of what is read of `inner`.
    pub fn new(inner: Arc<dyn Objects>, bytes_max: u64) -> Cached {
        let items = (bytes_max / (64 << 10)).max(16) as usize;
        Cached { inner, cache: Cache::with_weighter(items, bytes_max, Size), bytes_max }
    }
}

impl std::fmt::Debug for Cached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cached").field(&self.inner).finish()
    }
}

impl Objects for Cached {
    fn create(&self, path: &str) -> Result<Box<dyn ObjectWriter>> {
        self.inner.create(path)
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        self.inner.put(path, bytes)
    }

    fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<bool> {
        self.inner.put_if_absent(path, bytes)
    }

    fn get(&self, path: &str) -> Result<Option<Bytes>> {
        self.inner.get(path)
    }

    fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let mut parts = self.get_ranges(path, std::slice::from_ref(&range))?;
        parts.pop().ok_or_else(|| super::short(path, &range))
    }

    fn get_ranges(&self, path: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let key = |range: &Range<u64>| (path.to_owned(), range.start, range.end);
        let mut found: Vec<Option<Bytes>> =
            ranges.iter().map(|range| self.cache.get(&key(range))).collect();
        let missing: Vec<Range<u64>> = ranges
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none())
            .map(|(range, _)| range.clone())
            .collect();
        let mut read = self.inner.get_ranges(path, &missing)?.into_iter();
        for (range, found) in ranges.iter().zip(&mut found) {
            if found.is_none() {
                *found = read.next();
                let kept =
                    found.iter().filter(|bytes| bytes.len() as u64 <= self.bytes_max / SHARE);
                kept.for_each(|bytes| self.cache.insert(key(range), bytes.clone()));
            }
        }
        let all: Option<Vec<Bytes>> = found.into_iter().collect();
        all.ok_or_else(|| super::gone(path))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        self.inner.list(prefix)
    }

    fn delete(&self, path: &str) -> Result<()> {
        self.inner.delete(path)
    }
}
