// SPDX-License-Identifier: Apache-2.0
//! The metrics head: all series of the ring, in memory, rebuilt from the log by its caller.
//!
//! In: metrics payloads ([`Head::ingest`]), any number of threads. Out: series by matchers and time
//! range as columns ([`Head::select`]), labels, metadata, at any time.
//!
//! ```text
//! resource bytes --hash--> door (resolution cache, scratch)   one lock a resource
//!                            | misses only: registry          read, or write for a new series
//!                            v
//!                          shards: timestamp groups, chunks   one lock a shard a resource
//! ```
//!
//! A sample is taken in time order, or merged by time when it is at most
//! [`HeadOptions::out_of_order`] behind its series' newest; the same value at the same time is a
//! duplicate and ignored, another value is refused, as in Prometheus. Deltas are added up.
//! A metric name without unit and type appended, as older collectors wrote it, selects the series
//! under today's name where there is none of its own.
//! Whatever is not taken is counted by [`Refusal`], and what came for series beyond the limit as a
//! series of its own. Bounds: [`Limits`]. [`Head::window`] and [`Head::release`] move old samples
//! into blocks.

mod aliases;
mod chunk;
mod door;
mod exemplars;
mod flush;
mod overflow;
mod query;
mod read;
mod registry;
mod rows;
mod series;
mod shard;
#[cfg(test)]
mod tests;
mod written;

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use basics::UnixNano;
use otlp_series::{Family, MetricKind, Refusal, Refused};
use otlp_wire::{Payload, Signal};
use parking_lot::{Mutex, RwLock};

use aliases::Aliases;
use door::{Door, SeriesRef};
use exemplars::Exemplars;
use overflow::Overflow;
pub use registry::Cardinality;
use registry::Registry;
use shard::Shard;
use written::WrittenDoor;

/// Doors and shards: more than the cores of the machines this runs on, so that two threads seldom
/// meet; few enough that sixteen scratch buffers are nothing.
const SHARDS: usize = 16;

/// Bits of an id that are the slot in its shard.
const SLOT_BITS: u32 = 27;

/// A series without a sample for so long is forgotten once its samples are in blocks: an hour, so
/// that what is scraped seldom stays known.
const IDLE_MS: i64 = 3_600_000;

/// The id of a slot in a shard: ids of a shard are neighbours, as their samples are.
fn id_of(shard: usize, slot: u32) -> u32 {
    (shard as u32) << SLOT_BITS | slot
}

/// Shard and slot of an id.
fn place_of(id: u32) -> (usize, u32) {
    ((id >> SLOT_BITS) as usize % SHARDS, id & ((1 << SLOT_BITS) - 1))
}

/// Bounds of the head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most series. 1,000,000: about 1 GB of labels and tails, what a small server can give.
    pub series_max: usize,
    /// Most labels of a series. 64: twice what instrumented services with Kubernetes labels have.
    pub labels_max: usize,
    /// Longest label name in bytes. 1 KiB, as elsewhere in the field.
    pub label_name_bytes_max: usize,
    /// Longest label value in bytes. 4 KiB: longer ones are texts, not identities.
    pub label_value_bytes_max: usize,
    /// Most samples held; beyond it the oldest sixteenth goes. 64 M: 0.3 to 0.8 GB.
    pub samples_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            series_max: 1_000_000,
            labels_max: 64,
            label_name_bytes_max: 1 << 10,
            label_value_bytes_max: 4 << 10,
            samples_max: 64 << 20,
        }
    }
}

/// Settings of the head.
#[derive(Clone, Debug)]
pub struct HeadOptions {
    /// How metrics become series.
    pub translate: otlp_series::Options,
    /// How far behind its series' newest a sample may be. 1 h: what a restarted agent sends late.
    pub out_of_order: Duration,
    /// How far before its reception a sample may be. 7 days: imports, not clocks at 1970.
    pub past_max: Duration,
    /// How far after its reception a sample may be. 10 min: clocks that are off.
    pub future_max: Duration,
    /// What counts from a start that was told is 0 there, unless its series has something since: a
    /// sample more a start, no older than `out_of_order`, as Prometheus' `created-timestamp-zero-
    /// ingestion`.
    pub zero_at_start: bool,
    /// A series with one of these labels is a forecast.
    pub forecast_labels: Vec<String>,
    /// How far after its reception a forecast's sample may be.
    pub forecast_max: Duration,
    /// Bounds.
    pub limits: Limits,
}

impl Default for HeadOptions {
    fn default() -> Self {
        const DAY: u64 = 24 * 3600;
        HeadOptions {
            translate: otlp_series::Options::for_store(),
            out_of_order: Duration::from_secs(3600),
            past_max: Duration::from_secs(7 * DAY),
            future_max: Duration::from_secs(600),
            zero_at_start: false,
            forecast_labels: vec!["ml_horizon".to_owned(), "ml_forecast".to_owned()],
            forecast_max: Duration::from_secs(30 * DAY),
            limits: Limits::default(),
        }
    }
}

/// What became of a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IngestReport {
    /// Data points translated.
    pub points: u64,
    /// Samples taken; a histogram point is many.
    pub accepted: u64,
    /// Of those, merged by time.
    pub out_of_order: u64,
    /// Samples that were there already.
    pub duplicates: u64,
    /// Points that could not be translated and samples not taken, by reason.
    pub rejected: Refused,
    /// Data points of which any value was rejected, those within one millisecond of another aside.
    pub rejected_points: u64,
    /// Points whose series had to be resolved.
    pub cache_misses: u64,
}

impl IngestReport {
    fn merge(&mut self, other: &IngestReport) {
        self.points += other.points;
        self.accepted += other.accepted;
        self.out_of_order += other.out_of_order;
        self.duplicates += other.duplicates;
        self.rejected.merge(&other.rejected);
        self.rejected_points += other.rejected_points;
        self.cache_misses += other.cache_misses;
    }
}

/// What is known about a metric family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyInfo {
    /// Type.
    pub kind: MetricKind,
    /// Unit as Prometheus writes it.
    pub unit: String,
    /// Description.
    pub help: String,
}

/// A snapshot of the head's counters and sizes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadStats {
    /// Series now.
    pub series: u64,
    /// Samples now.
    pub samples: u64,
    /// Bytes of samples now.
    pub sample_bytes: u64,
    /// Bytes of resolution caches now, estimated.
    pub cache_bytes: u64,
    /// Samples let go at the bounds.
    pub pruned: u64,
    /// Everything since the start.
    pub total: IngestReport,
}

/// All series of the ring.
#[derive(Debug)]
pub struct Head {
    options: HeadOptions,
    doors: [Mutex<Door>; SHARDS],
    written: WrittenDoor,
    registry: RwLock<Registry>,
    shards: [RwLock<Shard>; SHARDS],
    families: RwLock<BTreeMap<String, Arc<FamilyInfo>>>,
    aliases: RwLock<Aliases>,
    exemplars: Mutex<Exemplars>,
    overflow: Mutex<Overflow>,
    /// Of all doors.
    cache_bytes: AtomicU64,
    hasher: foldhash::fast::RandomState,
    /// Counts the times at which series were removed.
    epoch: AtomicU64,
    samples: AtomicU64,
    pruned: AtomicU64,
    total: Mutex<IngestReport>,
}

impl Head {
    /// An empty head.
    pub fn new(options: HeadOptions) -> Head {
        // All doors together keep the bound: one resource may be most of what there is.
        let mut per_door = options.translate.clone();
        per_door.cache_bytes_max = usize::MAX;
        Head {
            doors: std::array::from_fn(|_| Mutex::new(Door::new(per_door.clone()))),
            cache_bytes: AtomicU64::new(0),
            written: WrittenDoor::default(),
            registry: RwLock::default(),
            shards: std::array::from_fn(|_| RwLock::default()),
            families: RwLock::default(),
            aliases: RwLock::default(),
            exemplars: Mutex::default(),
            overflow: Mutex::default(),
            hasher: foldhash::fast::RandomState::default(),
            epoch: AtomicU64::new(0),
            samples: AtomicU64::new(0),
            pruned: AtomicU64::new(0),
            total: Mutex::default(),
            options,
        }
    }

    /// Takes the metrics of a payload that was received at `received`; nothing for other signals.
    pub fn ingest(&self, payload: &Payload, received: UnixNano) -> IngestReport {
        let mut report = IngestReport::default();
        if payload.signal() != Signal::Metrics {
            return report;
        }
        for resource in payload.metrics() {
            let hash = self.hasher.hash_one(resource.raw());
            let mut door = self.doors[hash as usize % SHARDS].lock();
            let before = door.cache_bytes() as u64;
            report.merge(&door.ingest(self, resource, hash, received));
            let added = (door.cache_bytes() as u64).saturating_sub(before);
            if added > 0 {
                self.bound_caches(&mut door, added);
            }
        }
        self.total.lock().merge(&report);
        self.keep_samples_bound();
        report
    }

    /// Counts what a door's cache has grown by; beyond the bound this one starts anew.
    #[cold]
    fn bound_caches(&self, door: &mut Door, added: u64) {
        let all = self.cache_bytes.fetch_add(added, Ordering::Relaxed) + added;
        if all > self.options.translate.cache_bytes_max as u64 {
            self.cache_bytes.fetch_sub(door.cache_bytes() as u64, Ordering::Relaxed);
            door.forget();
        }
    }

    fn keep_samples_bound(&self) {
        if self.samples.load(Ordering::Relaxed) > self.options.limits.samples_max {
            self.drop_oldest();
        }
    }

    /// Lets go of samples older than `before_ms` and of series that have none left. Ingestion
    /// waits meanwhile. Returns the number of samples that went.
    pub fn prune_before(&self, before_ms: i64) -> u64 {
        let gone = self.remove_empty(|shard| {
            shard.seal_before(before_ms);
            shard.series.iter_mut().map(|series| flush::prune(series, before_ms) as u64).sum()
        });
        self.samples.fetch_sub(gone, Ordering::Relaxed);
        self.pruned.fetch_add(gone, Ordering::Relaxed);
        gone
    }

    /// Forgets series whose newest sample is older than `before_ms` and no longer here.
    fn remove_idle(&self, before_ms: i64) {
        let is_idle = |shard: &Shard, slot: u32| {
            shard.count(slot) == 0 && shard.newest(slot).is_none_or(|newest| newest < before_ms)
        };
        let any = self.shards.iter().enumerate().any(|(number, shard)| {
            let (registry, shard) = (self.registry.read(), shard.read());
            let mut slots = 0..shard.series.len() as u32;
            slots.any(|slot| is_idle(&shard, slot) && registry.has(id_of(number, slot)))
        });
        if any {
            self.remove_where(is_idle, |_| 0);
        }
    }

    /// Prunes each shard, then forgets series that have nothing left.
    fn remove_empty(&self, prune: impl Fn(&mut Shard) -> u64) -> u64 {
        self.remove_where(|shard, slot| shard.count(slot) == 0, prune)
    }

    fn remove_where(
        &self,
        goes: impl Fn(&Shard, u32) -> bool,
        prune: impl Fn(&mut Shard) -> u64,
    ) -> u64 {
        // All doors: no cached id may outlive its series.
        let _gate = self.written.gate.write();
        let mut doors: Vec<_> = self.doors.iter().map(|door| door.lock()).collect();
        let mut registry = self.registry.write();
        let mut gone = 0;
        let mut empty = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            let mut shard = shard.write();
            gone += prune(&mut shard);
            for slot in 0..shard.series.len() as u32 {
                let id = id_of(number, slot);
                if registry.has(id) && goes(&shard, slot) {
                    shard.remove(slot);
                    empty.push(id);
                }
            }
        }
        if empty.is_empty() {
            return gone;
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
        let mut exemplars = self.exemplars.lock();
        for id in empty {
            registry.remove(id);
            exemplars.forget(id);
        }
        registry.drop_unused_symbols();
        doors.iter_mut().for_each(|door| door.forget());
        self.cache_bytes.store(0, Ordering::Relaxed);
        self.written.forget();
        gone
    }

    /// Makes room: the oldest sixteenth of the time held goes.
    fn drop_oldest(&self) {
        if let Some((oldest, newest)) = self.time_range() {
            let span = (newest - oldest) / 16;
            let gone = self.prune_before(oldest + span.max(1));
            tracing::warn!(gone, "most samples reached, the oldest are gone");
        }
    }

    /// Times of the oldest and newest sample, Unix milliseconds.
    pub fn time_range(&self) -> Option<(i64, i64)> {
        let mut ranges = Vec::new();
        for shard in &self.shards {
            let shard = shard.read();
            ranges.extend(shard.series.iter().filter_map(|series| series.range()));
            ranges.extend(shard.tail_range());
        }
        let oldest = ranges.iter().map(|(oldest, _)| *oldest).min()?;
        Some((oldest, ranges.iter().map(|(_, newest)| *newest).max()?))
    }

    /// Samples held.
    pub fn sample_count(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    /// Series held.
    pub fn series_count(&self) -> usize {
        self.registry.read().len()
    }

    /// Counters and sizes for metrics. Walks all series: for a scrape, not for each request.
    pub fn stats(&self) -> HeadStats {
        let bytes = |shard: &RwLock<Shard>| {
            let shard = shard.read();
            let sealed: usize = shard.series.iter().map(|series| series.bytes()).sum();
            (sealed + shard.tail_bytes()) as u64
        };
        HeadStats {
            series: self.registry.read().len() as u64,
            samples: self.samples.load(Ordering::Relaxed),
            sample_bytes: self.shards.iter().map(bytes).sum(),
            cache_bytes: self.cache_bytes.load(Ordering::Relaxed),
            pruned: self.pruned.load(Ordering::Relaxed),
            total: *self.total.lock(),
        }
    }

    /// A label set as doors remember it.
    fn series_ref(&self, labels: &[(&str, &str)], shard: usize) -> Result<SeriesRef, Refusal> {
        let forecasts = &self.options.forecast_labels;
        let forecast = labels.iter().any(|(name, _)| forecasts.iter().any(|f| f == name));
        match self.series_id(labels, shard) {
            Ok(id) => Ok(SeriesRef { id, forecast, overflows: false }),
            Err(Refusal::SeriesLimit) => {
                let id = self.overflow.lock().place_of(labels);
                Ok(SeriesRef { id, forecast, overflows: true })
            }
            Err(reason) => Err(reason),
        }
    }

    /// Remembers what is told of a family.
    fn describe(&self, family: Family<'_>) {
        let known = self.families.read().get(family.name).is_some_and(|known| {
            known.kind == family.kind && known.unit == family.unit && known.help == family.help
        });
        let mut families = match known {
            true => return,
            false => self.families.write(),
        };
        // As many families as series are possible; the same bound holds for both.
        if families.len() < self.options.limits.series_max {
            self.aliases.write().add(family.plain, family.name);
            let (unit, help) = (family.unit.to_owned(), family.help.to_owned());
            let info = Arc::new(FamilyInfo { kind: family.kind, unit, help });
            families.insert(family.name.to_owned(), info);
        }
    }

    /// The id of a label set, made in `shard` when missing.
    fn series_id(&self, labels: &[(&str, &str)], shard: usize) -> Result<u32, Refusal> {
        let limits = &self.options.limits;
        if labels.len() > limits.labels_max {
            return Err(Refusal::LabelsLimit);
        }
        let too_long = |(name, value): &(&str, &str)| {
            name.len() > limits.label_name_bytes_max || value.len() > limits.label_value_bytes_max
        };
        if labels.iter().any(too_long) {
            return Err(Refusal::LabelLength);
        }
        if let Some(id) = self.registry.read().find(labels) {
            return Ok(id);
        }
        let mut registry = self.registry.write();
        if registry.len() >= limits.series_max {
            // Another thread may have made it meanwhile; a full registry takes no others.
            return registry.find(labels).ok_or(Refusal::SeriesLimit);
        }
        Ok(registry.find_or_insert(labels, shard))
    }
}
