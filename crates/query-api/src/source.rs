// SPDX-License-Identifier: Apache-2.0
//! Where `store` and `promql` meet: selections of the one as series of the other, and the label
//! questions of the API.

use std::collections::BTreeSet;
use std::sync::Arc;

use basics::labels::{Labels, Matcher};
use otlp_series::NativeHistogram;
use promql::{FloatHistogram, HistogramSample, Select, Series, SeriesSource};
use store::Store;

/// The store's metrics as PromQL reads them.
pub struct Source(pub Arc<Store>);

impl SeriesSource for Source {
    fn select(&self, select: &Select<'_>) -> basics::Result<Vec<Series>> {
        let found = self.0.head().select(
            select.matchers,
            select.start_ms,
            select.end_ms,
            select.hints.series_max,
        )?;
        Ok(found
            .into_iter()
            .map(|series| Series {
                labels: series.labels,
                timestamps_ms: series.timestamps_ms.into(),
                values: series.values.into(),
                histograms: series.histograms.iter().map(histogram).collect(),
                ..Default::default()
            })
            .collect())
    }
}

fn histogram((time, native): &(i64, Arc<NativeHistogram>)) -> HistogramSample {
    let histogram = FloatHistogram {
        schema: native.schema,
        zero_threshold: native.zero_threshold,
        zero_count: native.zero_count,
        count: native.count,
        sum: native.sum,
        positive: native.positive.clone(),
        negative: native.negative.clone(),
        ..Default::default()
    };
    HistogramSample { timestamp_ms: *time, start_time_ms: 0, histogram: Arc::new(histogram) }
}

/// What `/api/v1/metadata` tells of one metric.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// Metric family.
    pub metric: String,
    /// `counter`, `gauge`, ...
    pub kind: &'static str,
    /// Description.
    pub help: String,
    /// Unit as the source gave it.
    pub unit: String,
}

/// The store's labels. A list of selectors means "any of them"; an empty list means all series.
/// `range` is in Unix milliseconds, both ends inclusive.
pub struct Index(pub Arc<Store>);

impl Index {
    /// Label names, ascending.
    pub fn label_names(&self, sets: &[Vec<Matcher>], range: (i64, i64)) -> Vec<String> {
        let head = self.0.head();
        if self.whole(range) {
            return union(sets, |matchers| head.label_names(matchers));
        }
        let mut names = BTreeSet::new();
        for labels in self.series(sets, range) {
            names.extend(labels.iter().map(|(name, _)| name.to_owned()));
        }
        names.into_iter().collect()
    }

    /// Values of the label `name`, ascending.
    pub fn label_values(
        &self,
        name: &str,
        sets: &[Vec<Matcher>],
        range: (i64, i64),
    ) -> Vec<String> {
        let head = self.0.head();
        if self.whole(range) {
            return union(sets, |matchers| head.label_values(name, matchers));
        }
        let values: BTreeSet<String> = self
            .series(sets, range)
            .iter()
            .map(|labels| labels.get(name).to_owned())
            .filter(|value| !value.is_empty())
            .collect();
        values.into_iter().collect()
    }

    /// Label sets of the series that have a sample in `range`, ascending.
    pub fn series(&self, sets: &[Vec<Matcher>], (start, end): (i64, i64)) -> Vec<Labels> {
        let head = self.0.head();
        let found: BTreeSet<Labels> = match sets {
            [] => head.series(&[], start, end).into_iter().collect(),
            _ => sets.iter().flat_map(|matchers| head.series(matchers, start, end)).collect(),
        };
        found.into_iter().collect()
    }

    /// Type, help and unit of every metric.
    pub fn metadata(&self) -> Vec<Metadata> {
        let all = self.0.head().metadata(None).into_iter();
        all.map(|(metric, info)| Metadata {
            metric,
            kind: info.kind.name(),
            help: info.help,
            unit: info.unit,
        })
        .collect()
    }

    /// Series held.
    pub fn series_count(&self) -> u64 {
        self.0.head().stats().series
    }

    /// True when `range` holds everything stored, so that the index alone can answer.
    fn whole(&self, (start, end): (i64, i64)) -> bool {
        self.0.head().time_range().is_none_or(|(first, last)| start <= first && end >= last)
    }
}

/// The answers to all selectors together, ascending, each once.
fn union(sets: &[Vec<Matcher>], ask: impl Fn(&[Matcher]) -> Vec<Arc<str>>) -> Vec<String> {
    let found: BTreeSet<Arc<str>> = match sets {
        [] => ask(&[]).into_iter().collect(),
        _ => sets.iter().flat_map(|matchers| ask(matchers)).collect(),
    };
    found.iter().map(|text| text.to_string()).collect()
}
