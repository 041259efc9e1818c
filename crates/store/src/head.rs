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
//!                          shards of samples by series id     one lock a shard a resource
//! ```
//!
//! A sample is taken in time order, or merged by time when it is at most
//! [`HeadOptions::out_of_order`] behind its series' newest; the same value at the same time is a
//! duplicate and ignored, another value is refused, as in Prometheus. Deltas are added up.
//! A metric name without unit and type appended, as older collectors wrote it, selects the series
//! under today's name where there is none of its own.
//! Whatever is not taken is counted by [`Refusal`]. Bounds: [`Limits`].

mod aliases;
mod chunk;
mod door;
mod query;
mod registry;
mod series;
#[cfg(test)]
mod tests;
mod written;

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use basics::UnixNano;
use otlp_series::{Family, MetricKind, Refusal, Refused};
use otlp_wire::{Payload, Signal};
use parking_lot::{Mutex, RwLock};

use aliases::Aliases;
use door::{Door, SeriesRef};
use registry::Registry;
use series::Series;
use written::WrittenDoor;

pub use query::SeriesData;

/// Doors and shards: more than the cores of the machines this runs on, so that two threads seldom
/// meet; few enough that sixteen scratch buffers are nothing.
const SHARDS: usize = 16;

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
    families: RwLock<BTreeMap<String, FamilyInfo>>,
    aliases: RwLock<Aliases>,
    hasher: foldhash::fast::RandomState,
    /// Counts the times at which series were removed.
    epoch: AtomicU64,
    samples: AtomicU64,
    pruned: AtomicU64,
    total: Mutex<IngestReport>,
}

/// Samples of the series whose id is `slot * SHARDS + number of the shard`.
#[derive(Debug, Default)]
struct Shard {
    series: Vec<Series>,
}

impl Shard {
    fn slot(&mut self, slot: usize) -> &mut Series {
        if slot >= self.series.len() {
            self.series.resize_with(slot + 1, Series::default);
        }
        &mut self.series[slot]
    }
}

impl Head {
    /// An empty head.
    pub fn new(options: HeadOptions) -> Head {
        let mut per_door = options.translate.clone();
        per_door.cache_bytes_max /= SHARDS;
        Head {
            doors: std::array::from_fn(|_| Mutex::new(Door::new(per_door.clone()))),
            written: WrittenDoor::default(),
            registry: RwLock::default(),
            shards: std::array::from_fn(|_| RwLock::default()),
            families: RwLock::default(),
            aliases: RwLock::default(),
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
            let door = self.hasher.hash_one(resource.raw()) as usize % SHARDS;
            let mut door = self.doors[door].lock();
            report.merge(&door.ingest(self, resource, received));
        }
        self.total.lock().merge(&report);
        self.keep_samples_bound();
        report
    }

    fn keep_samples_bound(&self) {
        if self.samples.load(Ordering::Relaxed) > self.options.limits.samples_max {
            self.drop_oldest();
        }
    }

    /// Lets go of samples older than `before_ms` and of series that have none left. Ingestion
    /// waits meanwhile. Returns the number of samples that went.
    pub fn prune_before(&self, before_ms: i64) -> u64 {
        // All doors: no cached id may outlive its series.
        let mut doors: Vec<_> = self.doors.iter().map(|door| door.lock()).collect();
        let _gate = self.written.gate.write();
        let mut registry = self.registry.write();
        let mut gone = 0;
        let mut empty = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            for (slot, series) in shard.write().series.iter_mut().enumerate() {
                gone += series.prune(before_ms) as u64;
                let id = (slot * SHARDS + number) as u32;
                if series.count() == 0 && registry.labels(id).is_some() {
                    *series = Series::default();
                    empty.push(id);
                }
            }
        }
        if !empty.is_empty() {
            self.epoch.fetch_add(1, Ordering::AcqRel);
        }
        for id in &empty {
            registry.remove(*id);
        }
        if !empty.is_empty() {
            registry.drop_unused_symbols();
            doors.iter_mut().for_each(|door| door.forget());
            self.written.forget();
        }
        self.samples.fetch_sub(gone, Ordering::Relaxed);
        self.pruned.fetch_add(gone, Ordering::Relaxed);
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
        let mut range: Option<(i64, i64)> = None;
        for shard in &self.shards {
            for series in &shard.read().series {
                if let (Some(oldest), Some(newest)) = (series.oldest(), series.newest_of_any()) {
                    let (low, high) = range.unwrap_or((oldest, newest));
                    range = Some((low.min(oldest), high.max(newest)));
                }
            }
        }
        range
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
            shard.read().series.iter().map(|series| series.bytes() as u64).sum::<u64>()
        };
        HeadStats {
            series: self.registry.read().len() as u64,
            samples: self.samples.load(Ordering::Relaxed),
            sample_bytes: self.shards.iter().map(bytes).sum(),
            cache_bytes: self.doors.iter().map(|door| door.lock().cache_bytes() as u64).sum(),
            pruned: self.pruned.load(Ordering::Relaxed),
            total: *self.total.lock(),
        }
    }

    /// A label set as doors remember it.
    fn series_ref(&self, labels: &[(&str, &str)]) -> Result<SeriesRef, Refusal> {
        let forecasts = &self.options.forecast_labels;
        let forecast = labels.iter().any(|(name, _)| forecasts.iter().any(|f| f == name));
        Ok(SeriesRef { id: self.series_id(labels)?, forecast })
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
            families.insert(family.name.to_owned(), FamilyInfo { kind: family.kind, unit, help });
        }
    }

    /// The id of a label set, made when missing.
    fn series_id(&self, labels: &[(&str, &str)]) -> Result<u32, Refusal> {
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
        Ok(registry.find_or_insert(labels))
    }
}
