// SPDX-License-Identifier: Apache-2.0
//! Where `store` and `promql` meet: selections of the one as series of the other, and the label
//! questions of the API.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use basics::labels::{Labels, Matcher};
use otlp_series::NativeHistogram;
use promql::{
    Buffer, Digest, Digests, FloatHistogram, Hints, HistogramSample, Known, Samples, Select,
    Selection, Series, SeriesSource,
};
use store::Store;
use store::metrics::{Opened, Stats, Windows};

/// The store's metrics as PromQL reads them.
pub struct Source(pub Arc<Store>);

impl SeriesSource for Source {
    fn select(&self, select: &Select<'_>) -> basics::Result<Vec<Series>> {
        let found = self.find(select)?;
        let mut buffer = Buffer::default();
        let mut all = Vec::with_capacity(found.len());
        for at in 0..found.len() {
            let samples = found.read(at, &mut buffer)?;
            // A block's range may reach over the one asked for while no sample lies in it.
            if samples.values.is_empty() && samples.histograms.is_empty() {
                continue;
            }
            all.push(Series {
                labels: found.labels(at).clone(),
                timestamps_ms: samples.timestamps_ms,
                values: samples.values.into(),
                start_times_ms: samples.start_times_ms.into(),
                histograms: samples.histograms.into(),
            });
        }
        Ok(all)
    }

    fn open<'a>(&'a self, select: &Select<'_>) -> basics::Result<Box<dyn Selection + 'a>> {
        Ok(Box::new(self.find(select)?))
    }
}

impl Source {
    fn find(&self, select: &Select<'_>) -> basics::Result<Found> {
        let Select { matchers, start_ms, end_ms, hints } = *select;
        self.0.select(matchers, start_ms, end_ms, hints.series_max, windows(&hints)).map(Found)
    }
}

/// The windows that samples are wanted for, if runs of them may be told by their statistics.
fn windows(hints: &Hints<'_>) -> Option<Windows> {
    let windows =
        |one_sign| Windows { length_ms: hints.range_ms, step_ms: hints.step_ms, one_sign };
    match hints.digests {
        Digests::Never => None,
        Digests::Any => Some(windows(false)),
        Digests::OneSign => Some(windows(true)),
    }
}

/// Series of the store, decoded when they are read.
struct Found(Opened);

impl Selection for Found {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, at: usize) -> &Labels {
        self.0.labels(at)
    }

    fn samples(&self, at: usize) -> usize {
        self.0.samples(at)
    }

    fn held(&self) -> usize {
        self.0.unpacked()
    }

    fn read<'a>(&'a self, at: usize, buffer: &'a mut Buffer) -> basics::Result<Samples<'a>> {
        let Buffer { values, start_times_ms, histograms, digests } = buffer;
        histograms.clear();
        histograms.extend(self.0.histograms(at).iter().map(histogram));
        let lent = self.0.read(at, values, start_times_ms)?;
        digests.clear();
        digests.extend(lent.summed.iter().map(digest));
        Ok(Samples {
            timestamps_ms: lent.times,
            values: lent.values,
            start_times_ms: lent.start_times,
            histograms,
            known: Known::default(),
            digests,
        })
    }
}

fn digest((at, stats): &(u32, Stats)) -> Digest {
    Digest {
        at: *at,
        count: stats.count,
        first: stats.first,
        last: stats.last,
        min: stats.min,
        max: stats.max,
        sum: stats.sum,
        resets: stats.resets,
        drops: stats.drops,
        changes: stats.changes,
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
        bounds: native.bounds.clone(),
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
    pub fn label_names(&self, sets: &[Vec<Matcher>], (start, end): (i64, i64)) -> Vec<String> {
        union(sets, (start, end), |matchers| self.0.label_names(matchers, start, end))
    }

    /// Values of the label `name`, ascending.
    pub fn label_values(
        &self,
        name: &str,
        sets: &[Vec<Matcher>],
        (start, end): (i64, i64),
    ) -> Vec<String> {
        union(sets, (start, end), |matchers| self.0.label_values(name, matchers, start, end))
    }

    /// Label sets of the series that have a sample in `range`, ascending.
    pub fn series(&self, sets: &[Vec<Matcher>], (start, end): (i64, i64)) -> Vec<Labels> {
        all(sets, (start, end), |matchers| self.0.series(matchers, start, end))
            .into_iter()
            .collect()
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
        self.0.head().series_count() as u64
    }
}

fn union(
    sets: &[Vec<Matcher>],
    range: (i64, i64),
    ask: impl Fn(&[Matcher]) -> basics::Result<BTreeSet<Arc<str>>>,
) -> Vec<String> {
    all(sets, range, ask).iter().map(|text| text.to_string()).collect()
}

/// The answers to all selectors together. What cannot be read now is left out and told in the log:
/// a list for people to choose from is better short than missing.
fn all<T: Ord>(
    sets: &[Vec<Matcher>],
    (start, end): (i64, i64),
    ask: impl Fn(&[Matcher]) -> basics::Result<BTreeSet<T>>,
) -> BTreeSet<T> {
    if end < start {
        return BTreeSet::new();
    }
    let everything = [Vec::new()];
    let sets = if sets.is_empty() { &everything } else { sets };
    let answer = |matchers: &Vec<Matcher>| {
        ask(matchers)
            .inspect_err(|error| tracing::warn!(%error, "labels of blocks cannot be read now"))
            .unwrap_or_default()
    };
    sets.iter().flat_map(answer).collect()
}
