// SPDX-License-Identifier: Apache-2.0
//! Who a point belongs to: origins (resource and scope) and a bounded table of series.
//!
//! Everything is kept as the bytes it came as and compared exactly; a hash only finds the place.
//! Kept bytes turn into views again by `FromRaw`, so results copy attributes without decoding.
//! Bounds: a [`Table`] holds at most `max` series. A full one gives up the longest unseen of a few
//! it looks at, and unseen ones older than `ttl` go as time passes; the caller hears which slots
//! are gone. What is in use by the current batch never goes.

use basics::UnixNano;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};
use otlp_wire::{Attrs, FromRaw, NumberPoint, PointView, ResourceView, ScopeView};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

/// Series looked at to find one to give up: nearly as good as the oldest of all, in bounded time.
const EVICTION_SAMPLE: usize = 16;
/// Origins kept before unused ones are looked for the first time.
const ORIGINS_MIN: usize = 1024;

/// A resource and a scope, as they lay on the wire.
#[derive(Debug)]
pub struct Origin {
    /// The encoded `Resource`; one allocation per distinct resource, so pointers compare.
    pub resource: Arc<[u8]>,
    /// Schema of the resource.
    pub resource_schema: Box<str>,
    /// The encoded `InstrumentationScope`.
    pub scope: Box<[u8]>,
    /// Schema of the scope.
    pub scope_schema: Box<str>,
}

/// Every origin in use, once.
#[derive(Default)]
pub struct Origins {
    origins: HashMap<Box<[u8]>, Arc<Origin>>,
    resources: HashMap<Arc<[u8]>, ()>,
    sweep_at: usize,
    scratch: Vec<u8>,
}

impl Origins {
    /// The one copy of this resource and scope.
    pub fn intern(&mut self, resource: &ResourceView<'_>, scope: &ScopeView<'_>) -> Arc<Origin> {
        self.scratch.clear();
        let (resource_schema, scope_schema) = (resource.schema_url(), scope.schema_url());
        let parts =
            [resource.raw(), resource_schema.as_bytes(), scope.raw(), scope_schema.as_bytes()];
        for part in parts {
            self.scratch.extend((part.len() as u64).to_le_bytes());
            self.scratch.extend(part);
        }
        if let Some(origin) = self.origins.get(self.scratch.as_slice()) {
            return origin.clone();
        }
        self.sweep();
        let kept = match self.resources.get_key_value(resource.raw()) {
            Some((kept, ())) => kept.clone(),
            None => {
                let kept: Arc<[u8]> = resource.raw().into();
                self.resources.insert(kept.clone(), ());
                kept
            }
        };
        let origin = Arc::new(Origin {
            resource: kept,
            resource_schema: resource_schema.into(),
            scope: scope.raw().into(),
            scope_schema: scope_schema.into(),
        });
        self.origins.insert(self.scratch.as_slice().into(), origin.clone());
        origin
    }

    /// Drops what nobody uses, whenever the number has doubled.
    fn sweep(&mut self) {
        if self.origins.len() < self.sweep_at.max(ORIGINS_MIN) {
            return;
        }
        self.origins.retain(|_, origin| Arc::strong_count(origin) > 1);
        self.resources.retain(|resource, ()| Arc::strong_count(resource) > 1);
        self.sweep_at = self.origins.len() * 2;
    }
}

/// Who a result is about: cheap to clone, outlives the batch.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where the input came from.
    pub origin: Arc<Origin>,
    /// Attributes of the point as they lay on the wire, tags of a number point included.
    pub attrs: Arc<[u8]>,
}

impl Target {
    /// The attributes as a view.
    pub fn view(&self) -> Attrs<'_> {
        NumberPoint::from_raw(&self.attrs).attrs()
    }
}

/// Now, in wall-clock time and counted in batches.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Wall-clock time.
    pub now: UnixNano,
    /// Number of the batch; series it has touched are in use.
    pub batch: u64,
}

#[derive(Debug)]
struct Series {
    target: Target,
    hash: u64,
    seen: Moment,
}

/// Series by slot. Slots of series that are gone are used again.
pub struct Table {
    index: HashTable<u32>,
    series: Vec<Option<Series>>,
    free: Vec<u32>,
    hasher: RandomState,
    hand: usize,
    max: usize,
    ttl: Duration,
}

impl Table {
    /// An empty table of at most `max` series, each forgotten when unseen for `ttl`.
    pub fn new(max: usize, ttl: Duration) -> Self {
        Table {
            index: HashTable::new(),
            series: Vec::new(),
            free: Vec::new(),
            hasher: RandomState::default(),
            hand: 0,
            max: max.min(u32::MAX as usize),
            ttl,
        }
    }

    /// Number of series.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Who is in `slot`; `None` when the slot is free.
    pub fn get(&self, slot: u32) -> Option<&Target> {
        self.series.get(slot as usize)?.as_ref().map(|series| &series.target)
    }

    /// The slot of a series, new or known. Slots given up for it are appended to `gone`.
    /// `None` when the table is full of series the current batch uses.
    pub fn slot(
        &mut self,
        origin: &Arc<Origin>,
        attrs: &[u8],
        moment: Moment,
        gone: &mut Vec<u32>,
    ) -> Option<u32> {
        let hash = self.hasher.hash_one((Arc::as_ptr(origin) as usize, attrs));
        let same = |slot: &u32| {
            self.series[*slot as usize].as_ref().is_some_and(|series| {
                Arc::ptr_eq(&series.target.origin, origin) && *series.target.attrs == *attrs
            })
        };
        if let Some(&slot) = self.index.find(hash, same) {
            if let Some(series) = &mut self.series[slot as usize] {
                series.seen = moment;
            }
            return Some(slot);
        }
        if self.len() >= self.max {
            self.evict(moment, gone)?;
        }
        let target = Target { origin: origin.clone(), attrs: attrs.into() };
        let series = Some(Series { target, hash, seen: moment });
        let slot = match self.free.pop() {
            Some(slot) => {
                self.series[slot as usize] = series;
                slot
            }
            None => {
                self.series.push(series);
                (self.series.len() - 1) as u32
            }
        };
        let rehash = |slot: &u32| self.series[*slot as usize].as_ref().map_or(0, |s| s.hash);
        self.index.insert_unique(hash, slot, rehash);
        Some(slot)
    }

    /// Looks at `steps` slots and forgets those unseen for too long.
    pub fn expire(&mut self, now: UnixNano, steps: usize, gone: &mut Vec<u32>) {
        let ttl = self.ttl.as_nanos() as u64;
        for _ in 0..steps.min(self.series.len()) {
            let slot = self.turn();
            let seen = self.series[slot].as_ref().map(|series| series.seen.now);
            if seen.is_some_and(|seen| now.saturating_sub(seen) > ttl) {
                self.forget(slot, gone);
            }
        }
    }

    fn evict(&mut self, moment: Moment, gone: &mut Vec<u32>) -> Option<()> {
        let mut oldest: Option<(u64, usize)> = None;
        // All are looked at if all of the sample are in use.
        for step in 0..self.series.len() {
            if step >= EVICTION_SAMPLE && oldest.is_some() {
                break;
            }
            let slot = self.turn();
            let Some(series) = &self.series[slot] else { continue };
            let batch = series.seen.batch;
            if batch != moment.batch && oldest.is_none_or(|(least, _)| batch < least) {
                oldest = Some((batch, slot));
            }
        }
        self.forget(oldest?.1, gone);
        Some(())
    }

    fn turn(&mut self) -> usize {
        self.hand = (self.hand + 1) % self.series.len();
        self.hand
    }

    fn forget(&mut self, slot: usize, gone: &mut Vec<u32>) {
        let Some(series) = self.series[slot].take() else { return };
        let slot = slot as u32;
        if let Ok(entry) = self.index.find_entry(series.hash, |have| *have == slot) {
            entry.remove();
        }
        self.free.push(slot);
        gone.push(slot);
    }
}
