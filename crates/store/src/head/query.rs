// SPDX-License-Identifier: Apache-2.0
//! What is asked of the head: series as columns, labels, metadata.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use basics::labels::{Labels, Matcher};
use basics::{Error, Result};
use otlp_series::NativeHistogram;
use roaring::RoaringBitmap;

use super::registry::Registry;
use super::series::Columns;
use super::{FamilyInfo, Head, SHARDS};
use crate::columns::SeriesColumns;

/// One series' samples in a time range.
#[derive(Clone, Debug, Default)]
pub struct SeriesData {
    /// Labels, the metric name among them.
    pub labels: Labels,
    /// Sample times, Unix milliseconds, ascending, each once.
    pub timestamps_ms: Vec<i64>,
    /// Sample values, aligned with `timestamps_ms`; staleness markers keep their bits.
    pub values: Vec<f64>,
    /// Native histograms with their times, ascending.
    pub histograms: Vec<(i64, Arc<NativeHistogram>)>,
}

impl From<SeriesData> for SeriesColumns {
    fn from(series: SeriesData) -> Self {
        let SeriesData { labels, timestamps_ms, values, histograms } = series;
        let (times, values) = (timestamps_ms.into(), values.into());
        SeriesColumns { labels, times, values, histograms, ..SeriesColumns::default() }
    }
}

impl Head {
    /// Series that satisfy all matchers and have a sample in `start_ms..=end_ms`, in no order.
    ///
    /// # Errors
    /// [`basics::Kind::Invalid`] when more than `series_max` series match (0 = no bound).
    pub fn select(
        &self,
        matchers: &[Matcher],
        start_ms: i64,
        end_ms: i64,
        series_max: usize,
    ) -> Result<Vec<SeriesData>> {
        loop {
            let epoch = self.epoch.load(Ordering::Acquire);
            let found = self.matching(matchers, series_max)?;
            let all = self.read(found, start_ms, end_ms);
            // Ids may have changed hands in between; so seldom that asking again is the answer.
            if self.epoch.load(Ordering::Acquire) == epoch {
                return Ok(all);
            }
        }
    }

    fn read(&self, found: Vec<(u32, Labels)>, start_ms: i64, end_ms: i64) -> Vec<SeriesData> {
        let mut all = Vec::new();
        for (number, wanted) in by_shard(found) {
            let shard = self.shards[number].read();
            for (id, labels) in wanted {
                let Some(series) = shard.series.get(id as usize / SHARDS) else { continue };
                let mut columns = Columns::default();
                series.read(start_ms, end_ms, &mut columns);
                if !columns.times.is_empty() || !columns.histograms.is_empty() {
                    all.push(SeriesData {
                        labels,
                        timestamps_ms: columns.times,
                        values: columns.values,
                        histograms: columns.histograms,
                    });
                }
            }
        }
        all
    }

    /// Labels of the series that satisfy all matchers and have a sample in `start_ms..=end_ms`,
    /// in no order.
    pub fn series(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64) -> Vec<Labels> {
        let found = self.matching(matchers, 0).unwrap_or_default();
        let mut all = Vec::new();
        for (number, wanted) in by_shard(found) {
            let shard = self.shards[number].read();
            let touching = wanted.into_iter().filter(|(id, _)| {
                let series = shard.series.get(*id as usize / SHARDS);
                series.is_some_and(|series| series.touches(start_ms, end_ms))
            });
            all.extend(touching.map(|(_, labels)| labels));
        }
        all
    }

    /// Names of the labels of the series that satisfy all matchers, ascending. Time plays no part:
    /// the head holds hours.
    pub fn label_names(&self, matchers: &[Matcher]) -> Vec<Arc<str>> {
        let registry = self.registry.read();
        let among = (!matchers.is_empty()).then(|| self.find(&registry, matchers));
        registry.label_names(among.as_ref())
    }

    /// Values of a label among the series that satisfy all matchers, ascending.
    pub fn label_values(&self, name: &str, matchers: &[Matcher]) -> Vec<Arc<str>> {
        let registry = self.registry.read();
        let among = (!matchers.is_empty()).then(|| self.find(&registry, matchers));
        registry.label_values(name, among.as_ref())
    }

    /// Type, unit and description by family name; all families, or the one named.
    pub fn metadata(&self, family: Option<&str>) -> Vec<(String, FamilyInfo)> {
        let families = self.families.read();
        match family {
            Some(name) => families
                .get_key_value(name)
                .map(|(n, i)| (n.clone(), i.clone()))
                .into_iter()
                .collect(),
            None => families.iter().map(|(name, info)| (name.clone(), info.clone())).collect(),
        }
    }

    /// Most series by metric name, and most values by label name; at most `limit` of each.
    #[expect(clippy::type_complexity, reason = "two lists of (what, how many)")]
    pub fn cardinality(&self, limit: usize) -> (Vec<(Arc<str>, u64)>, Vec<(Arc<str>, u64)>) {
        self.registry.read().cardinality(limit)
    }

    /// The series that satisfy all matchers, an old metric name among them taken for today's.
    fn find(&self, registry: &Registry, matchers: &[Matcher]) -> RoaringBitmap {
        let replaced = self.aliases.read().replace(matchers, |name| registry.has_name(name));
        registry.select(replaced.as_deref().unwrap_or(matchers))
    }

    /// Ids and labels of the series that satisfy all matchers.
    fn matching(&self, matchers: &[Matcher], series_max: usize) -> Result<Vec<(u32, Labels)>> {
        let registry = self.registry.read();
        let ids = self.find(&registry, matchers);
        if series_max > 0 && ids.len() > series_max as u64 {
            return Err(Error::invalid(format!(
                "selector matches {} series, at most {series_max} are allowed",
                ids.len()
            )));
        }
        Ok(ids.iter().filter_map(|id| Some((id, registry.labels(id)?.clone()))).collect())
    }
}

/// Groups series by the shard that holds their samples.
fn by_shard(found: Vec<(u32, Labels)>) -> impl Iterator<Item = (usize, Vec<(u32, Labels)>)> {
    let mut shards: [Vec<(u32, Labels)>; SHARDS] = Default::default();
    for (id, labels) in found {
        shards[id as usize % SHARDS].push((id, labels));
    }
    shards.into_iter().enumerate().filter(|(_, wanted)| !wanted.is_empty())
}
