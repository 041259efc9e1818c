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
use basics::labels::METRIC_NAME;
use hashbrown::HashMap;
use otlp_series::{Family, Refusal};
use parking_lot::RwLock;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::door::{SeriesRef, Times};
use super::series::{Appended, Series};
use super::{Head, IngestReport, SHARDS};
use crate::remote_write::{Request, Written, labels_of};

/// Four times the most series: senders that order labels differently have entries of their own.
const KNOWN_MAX: usize = 4 << 20;

/// Series by the hash of their encoded labels.
#[derive(Debug)]
pub(super) struct WrittenDoor {
    /// Held by writers from the look-up of a series to its last sample; alone by who removes
    /// series.
    pub gate: RwLock<()>,
    known: RwLock<HashMap<u128, SeriesRef, foldhash::fast::RandomState>>,
    seed: u64,
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
    ) -> [Vec<(u32, SeriesRef)>; SHARDS] {
        let mut shards: [Vec<(u32, SeriesRef)>; SHARDS] = Default::default();
        let mut unknown = Vec::new();
        let hash = |key: &[u8]| xxh3_128_with_seed(key, self.written.seed);
        let known = self.written.known.read();
        for (number, part) in request.series.iter().enumerate() {
            let hash = hash(&request.keys[part.key.clone()]);
            match known.get(&hash) {
                Some(series) => shards[series.shard()].push((number as u32, *series)),
                None => unknown.push((number as u32, hash)),
            }
        }
        drop(known);
        report.cache_misses = unknown.len() as u64;
        let mut found = Vec::with_capacity(unknown.len());
        for (number, hash) in unknown {
            let part = &request.series[number as usize];
            match self.written_series(&request.keys[part.key.clone()]) {
                Ok(series) => {
                    shards[series.shard()].push((number, series));
                    found.push((hash, series));
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

    fn written_series(&self, key: &[u8]) -> Result<SeriesRef, Refusal> {
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
        self.series_ref(&labels)
    }

    fn append_written(
        &self,
        request: &Request,
        shards: [Vec<(u32, SeriesRef)>; SHARDS],
        received: UnixNano,
        written: &mut Written,
    ) {
        let times = Times::around(received, &self.options);
        let window_ms = self.options.out_of_order.as_millis() as i64;
        for (number, wanted) in shards.into_iter().enumerate() {
            if wanted.is_empty() {
                continue;
            }
            let mut shard = self.shards[number].write();
            for (part, reference) in wanted {
                let part = &request.series[part as usize];
                let series = shard.slot(reference.slot());
                for (time_ms, value) in &request.samples[part.samples.clone()] {
                    let appended = match times.check(*time_ms, reference.forecast) {
                        Ok(()) => Ok(series.append(*time_ms, *value, window_ms)),
                        Err(reason) => Err(reason),
                    };
                    written.samples += count(&mut written.report, appended);
                }
                for (time_ms, histogram) in &request.histograms[part.histograms.clone()] {
                    let checked = times.check(*time_ms, reference.forecast);
                    let appended = checked.map(|()| {
                        Series::append_histogram(
                            series,
                            *time_ms,
                            histogram.clone(),
                            false,
                            window_ms,
                        )
                    });
                    written.histograms += count(&mut written.report, appended);
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
