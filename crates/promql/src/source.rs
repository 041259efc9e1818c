// SPDX-License-Identifier: Apache-2.0
//! Where series come from: the one thing the evaluator asks of a store.

use std::sync::Arc;

use basics::labels::{Labels, Matcher};

use crate::histogram::FloatHistogram;

/// One selection: all series that satisfy every matcher, with their samples in a time range.
#[derive(Clone, Copy, Debug)]
pub struct Select<'a> {
    /// All must hold.
    pub matchers: &'a [Matcher],
    /// First millisecond wanted, inclusive.
    pub start_ms: i64,
    /// Last millisecond wanted, inclusive.
    pub end_ms: i64,
    /// What the samples are for; a source may ignore it.
    pub hints: Hints<'a>,
}

/// What a source may use to read less.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints<'a> {
    /// The function around the selector, `""` when none.
    pub function: &'a str,
    /// Step of the evaluation in milliseconds, 0 for a single point in time.
    pub step_ms: i64,
    /// Window length in milliseconds, 0 for an instant selector.
    pub range_ms: i64,
    /// Most series the query may hold; a source stops with an error beyond it.
    pub series_max: usize,
}

/// One series' samples in a time range.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Labels, the metric name among them.
    pub labels: Labels,
    /// Sample times, ascending, each once.
    pub timestamps_ms: Arc<[i64]>,
    /// Sample values, aligned with `timestamps_ms`; staleness markers keep their bits.
    pub values: Arc<[f64]>,
    /// When each value started counting, aligned with `timestamps_ms`; 0 = unknown; may be empty.
    pub start_times_ms: Arc<[i64]>,
    /// Native histograms, ascending by time, at other times than the values.
    pub histograms: Arc<[HistogramSample]>,
}

/// One native histogram sample.
#[derive(Clone, Debug)]
pub struct HistogramSample {
    /// When it was taken.
    pub timestamp_ms: i64,
    /// When it started counting, 0 = unknown.
    pub start_time_ms: i64,
    /// The histogram; its sum is the staleness marker when the series ended here.
    pub histogram: Arc<FloatHistogram>,
}

/// A store that answers selections. It knows nothing of PromQL.
pub trait SeriesSource: Send + Sync {
    /// Series that satisfy all matchers and have a sample in the range, in any order, each label
    /// set once. The evaluator asks once per selector of a query.
    ///
    /// # Errors
    /// Whatever keeps the source from answering; the query fails with it.
    fn select(&self, select: &Select<'_>) -> basics::Result<Vec<Series>>;
}
