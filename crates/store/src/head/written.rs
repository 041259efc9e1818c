// SPDX-License-Identifier: Apache-2.0
//! Where remote write enters: each series is its labels as they came.
//!
//! Known series are found by the 128-bit hash of their encoded labels, keyed with a secret of the
//! process, so labels are decoded only for series not met before; 32 bytes a series. Samples are
//! then appended shard by shard.
//!
//! Bound: [`KNOWN_MAX`] entries; beyond it the cache starts anew.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::Ordering;

use basics::UnixNano;
use basics::labels::{Labels, METRIC_NAME};
use hashbrown::HashMap;
use otlp_series::{Family, Refusal, STALE};
use parking_lot::RwLock;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::door::{SeriesRef, Times};
use super::series::Appended;
use super::{Head, IngestReport, SHARDS};
use crate::columns::Exemplar;
use crate::remote_write::{Request, Written, labels_of};

/// Four times the most series: senders that order labels differently have entries of their own.
const KNOWN_MAX: usize = 4 << 20;

/// Series by the hash of their encoded labels.
#[derive(Debug)]
pub(super) struct WrittenDoor {
    /// Held by writers from the look-up of a series to its last sample; alone by who removes
    /// series.
    pub gate: RwLock<()>,
    known: RwLock<HashMap<u128, Known, foldhash::fast::RandomState>>,
    seed: u64,
}

/// A series met before.
#[derive(Clone, Copy, Debug)]
struct Known {
    series: SeriesRef,
    /// Hash of its target (`job` and `instance`), whose series are sampled at the same times.
    resource: u64,
}

impl Default for WrittenDoor {
    fn default() -> Self {
        let seed = RandomState::new().hash_one(0u8);
        WrittenDoor { gate: RwLock::default(), known: RwLock::default(), seed }
    }
}

impl WrittenDoor {
    /// Forgets what series resolve to. The caller holds the gate alone.
    pub fn forget(&self) {
        self.known.write().clear();
    }
}

impl Head {
    /// Takes a remote write request that was received at `received`.
    pub(crate) fn take_written(&self, request: &Request, received: UnixNano) -> Written {
        let mut written = Written::default();
        for told in &request.told {
            self.describe(Family {
                name: &told.name,
                plain: &told.name,
                kind: told.kind,
                unit: &told.unit,
                help: &told.help,
            });
        }
        {
            let _gate = self.written.gate.read();
            let shards = self.resolve_written(request, &mut written.report);
            self.append_written(request, shards, received, &mut written);
        }
        let report = &mut written.report;
        report.rejected_points = report.rejected.total();
        report.points = written.samples + written.histograms + report.rejected.total();
        self.samples.fetch_add(report.accepted, Ordering::Relaxed);
        self.total.lock().merge(report);
        self.keep_samples_bound();
        written
    }

    /// Numbers of the request's series, with what they resolve to, by shard.
    fn resolve_written(
        &self,
        request: &Request,
        report: &mut IngestReport,
    ) -> [Vec<(u32, Known)>; SHARDS] {
        let mut shards: [Vec<(u32, Known)>; SHARDS] = Default::default();
        let mut unknown = Vec::new();
        let hash = |key: &[u8]| xxh3_128_with_seed(key, self.written.seed);
        let known = self.written.known.read();
        for (number, part) in request.series.iter().enumerate() {
            let hash = hash(&request.keys[part.key.clone()]);
            match known.get(&hash) {
                Some(known) => shards[known.series.shard()].push((number as u32, *known)),
                None => unknown.push((number as u32, hash)),
            }
        }
        drop(known);
        report.cache_misses = unknown.len() as u64;
        let mut found = Vec::with_capacity(unknown.len());
        for (number, hash) in unknown {
            let part = &request.series[number as usize];
            match self.written_series(&request.keys[part.key.clone()]) {
                Ok(known) => {
                    shards[known.series.shard()].push((number, known));
                    found.push((hash, known));
                }
                Err(reason) => {
                    report
                        .rejected
                        .add(reason, (part.samples.len() + part.histograms.len()) as u64);
                }
            }
        }
        if !found.is_empty() {
            let mut known = self.written.known.write();
            if known.len() > KNOWN_MAX {
                known.clear();
            }
            known.extend(found);
        }
        shards
    }

    fn written_series(&self, key: &[u8]) -> Result<Known, Refusal> {
        let mut labels = labels_of(key).ok_or(Refusal::LabelName)?;
        // Empty means absent, as everywhere in Prometheus.
        labels.retain(|(_, value)| !value.is_empty());
        labels.sort_unstable();
        if labels.iter().any(|(name, _)| name.is_empty())
            || labels.windows(2).any(|two| two[0].0 == two[1].0)
        {
            return Err(Refusal::LabelName);
        }
        if !labels.iter().any(|(name, _)| *name == METRIC_NAME) {
            return Err(Refusal::MetricName);
        }
        let of_target = |(name, _): &&(&str, &str)| matches!(*name, "instance" | "job");
        let target: Vec<_> = labels.iter().filter(of_target).collect();
        let resource = self.hasher.hash_one(target);
        Ok(Known { series: self.series_ref(&labels, resource as usize % SHARDS)?, resource })
    }

    fn append_written(
        &self,
        request: &Request,
        shards: [Vec<(u32, Known)>; SHARDS],
        received: UnixNano,
        written: &mut Written,
    ) {
        let times = Times::around(received, &self.options);
        let window_ms = self.options.out_of_order.as_millis() as i64;
        let mut overflow = Vec::new();
        for (number, mut wanted) in shards.into_iter().enumerate() {
            wanted.retain(|(part, known)| {
                if known.series.overflows {
                    let part = &request.series[*part as usize];
                    let count = (part.samples.len() + part.histograms.len()) as u64;
                    written.report.rejected.add(Refusal::SeriesLimit, count);
                    overflow.push((known.series.id, count));
                }
                !known.series.overflows
            });
            if wanted.is_empty() {
                continue;
            }
            let mut shard = self.shards[number].write();
            let parts = wanted.iter().map(|(part, _)| &request.series[*part as usize]);
            let rows = parts.map(|part| part.samples.len()).max().unwrap_or(0);
            // Row by row, as they were scraped: the series of a target share their times.
            for row in 0..rows {
                for (part, Known { series, resource }) in &wanted {
                    let part = &request.series[*part as usize];
                    let samples = &request.samples[part.samples.clone()];
                    let Some((time_ms, value)) = samples.get(row) else { continue };
                    let start = self.start_of(&request.starts, part.samples.start + row, *value);
                    let (slot, time) = (series.slot(), *time_ms);
                    let appended = times.check(time, series.forecast).map(|()| match start {
                        None => shard.append(slot, *resource, time, *value, window_ms),
                        Some(start) => {
                            let times = (start, time);
                            let since =
                                shard.append_since(slot, *resource, times, *value, window_ms);
                            written.report.accepted += u64::from(since.1);
                            since.0
                        }
                    });
                    written.samples += count(&mut written.report, appended);
                }
            }
            for (part, Known { series, .. }) in &wanted {
                let part = &request.series[*part as usize];
                for at in part.histograms.clone() {
                    let (time, histogram) = &request.histograms[at];
                    let start = self.start_of(&request.histogram_starts, at, histogram.sum);
                    let appended = times.check(*time, series.forecast).map(|()| {
                        let (own, histogram) = (shard.of(series.slot()), histogram.clone());
                        match start {
                            None => own.append_histogram(*time, histogram, false, window_ms),
                            Some(start) => {
                                let times = (start, *time);
                                let since = own.append_histogram_since(times, histogram, window_ms);
                                written.report.accepted += u64::from(since.1);
                                since.0
                            }
                        }
                    });
                    written.histograms += count(&mut written.report, appended);
                }
            }
            drop(shard);
            self.put_written_exemplars(request, &wanted, times, written);
        }
        if !overflow.is_empty() {
            self.overflowed(&overflow, received);
        }
    }
}

impl Head {
    /// When a value started counting, if that is to be stored.
    #[inline]
    fn start_of(&self, starts: &[i64], at: usize, value: f64) -> Option<i64> {
        if !self.options.zero_at_start || value.to_bits() == STALE.to_bits() {
            return None;
        }
        starts.get(at).copied().filter(|start| *start != 0)
    }

    fn put_written_exemplars(
        &self,
        request: &Request,
        wanted: &[(u32, Known)],
        times: Times,
        written: &mut Written,
    ) {
        if request.exemplars.is_empty() {
            return;
        }
        let mut known = self.exemplars.lock();
        for (part, Known { series, .. }) in wanted {
            let own = request.series[*part as usize].exemplars.clone();
            for exemplar in &request.exemplars[own] {
                if times.check(exemplar.time_ms, series.forecast).is_ok() {
                    let labels = exemplar.labels.iter();
                    let labels = Labels::new(labels.map(|(n, v)| (n.as_str(), v.as_str())));
                    let (value, time_ms) = (exemplar.value, exemplar.time_ms);
                    known.add(series.id, Exemplar { labels, value, time_ms });
                    written.exemplars += 1;
                }
            }
        }
    }
}

/// Counts what became of a sample; 1 if it is in the store now.
fn count(report: &mut IngestReport, appended: Result<Appended, Refusal>) -> u64 {
    let refused = match appended {
        Ok(Appended::InOrder) => {
            report.accepted += 1;
            return 1;
        }
        Ok(Appended::OutOfOrder) => {
            report.accepted += 1;
            report.out_of_order += 1;
            return 1;
        }
        Ok(Appended::Duplicate) => {
            report.duplicates += 1;
            return 1;
        }
        Ok(Appended::Conflict) => Refusal::Conflict,
        Ok(Appended::TooOld) => Refusal::TooOld,
        Err(reason) => reason,
    };
    report.rejected.add(refused, 1);
    0
}
