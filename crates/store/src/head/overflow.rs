// SPDX-License-Identifier: Apache-2.0
//! What came for series there was no room for, counted where a user looks: as a series.
//!
//! `foreglow_store_overflow_samples_total{metric="...", otel_metric_overflow="true"}` counts the
//! samples that were refused at [`super::Limits::series_max`], by metric. These series come on top of
//! the limit, at most [`METRICS_MAX`] and one for all other metrics.

use basics::UnixNano;
use basics::labels::METRIC_NAME;

use super::shard::Shard;
use super::{Head, place_of};

/// Metrics that are told apart: a limit is reached by one or a few of them.
const METRICS_MAX: usize = 1000;

const NAME: &str = "foreglow_store_overflow_samples_total";
const OTHERS: &str = "others";

/// Metrics with series there was no room for.
#[derive(Debug, Default)]
pub(super) struct Overflow {
    /// Name, and how many samples were refused.
    metrics: Vec<(String, u64)>,
}

impl Overflow {
    /// The place of the metric that a label set belongs to.
    pub(super) fn place_of(&mut self, labels: &[(&str, &str)]) -> u32 {
        let name = labels.iter().find(|(label, _)| *label == METRIC_NAME);
        let name = name.map_or("", |(_, value)| *value);
        let known = self.metrics.iter().position(|(known, _)| known == name);
        let place = known.unwrap_or_else(|| {
            let name = if self.metrics.len() < METRICS_MAX { name } else { OTHERS };
            if self.metrics.len() <= METRICS_MAX {
                self.metrics.push((name.to_owned(), 0));
            }
            self.metrics.len() - 1
        });
        place as u32
    }

    fn add(&mut self, place: u32, count: u64) -> Option<(String, u64)> {
        let metric = self.metrics.get_mut(place as usize)?;
        metric.1 += count;
        Some(metric.clone())
    }
}

impl Head {
    /// Counts refused samples, given by place and number.
    #[cold]
    pub(super) fn overflowed(&self, counts: &[(u32, u64)], received: UnixNano) {
        let time = (received / 1_000_000) as i64;
        for (place, count) in counts {
            let Some((metric, total)) = self.overflow.lock().add(*place, *count) else { continue };
            let labels =
                [(METRIC_NAME, NAME), ("metric", &metric), ("otel_metric_overflow", "true")];
            let id = self.registry.write().find_or_insert(&labels, 0);
            let (shard, slot) = place_of(id);
            let mut shard = self.shards[shard].write();
            let shard: &mut Shard = &mut shard;
            // Several requests of one millisecond: the first one's count stays until the next.
            let appended = shard.append(slot, 0, time, total as f64, 0);
            if appended == super::series::Appended::InOrder {
                self.samples.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }
}
