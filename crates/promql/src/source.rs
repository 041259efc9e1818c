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
    /// Whether runs of samples may be told by a [`Digest`].
    pub digests: Digests,
}

/// Whether a source may tell runs of samples by what it knows of them, instead of one by one. Such a
/// run is one that every window, `range_ms` long and `step_ms` apart, has wholly inside or outside;
/// the first window ends `range_ms` after what is before `start_ms`, the last one at `end_ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digests {
    /// No: what samples are wanted for looks at each.
    #[default]
    Never,
    /// Of any series of numbers without start times.
    Any,
    /// Only where adding up what runs add up to rounds like adding up samples: all numbers of the
    /// series are 0 or above, or all are 0 or below, and the run's sum is far from overflow.
    OneSign,
}

/// What is known of a run of neighbouring samples without a staleness marker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Digest {
    /// Place of the first one among the series' times.
    pub at: u32,
    /// How many.
    pub count: u32,
    /// First value.
    pub first: f64,
    /// Last value.
    pub last: f64,
    /// Least value, of equal ones the first; NaN only when all are.
    pub min: f64,
    /// Greatest value, likewise.
    pub max: f64,
    /// Compensated sum.
    pub sum: f64,
    /// How often a value was below the one before.
    pub resets: u32,
    /// The values before these falls, added up.
    pub drops: f64,
    /// How often a value was another than the one before; NaN is like NaN.
    pub changes: u32,
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

/// Where a selection puts what it has to decode; reused from series to series.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    /// Sample values.
    pub values: Vec<f64>,
    /// When each value started counting.
    pub start_times_ms: Vec<i64>,
    /// Native histograms.
    pub histograms: Vec<HistogramSample>,
    /// Runs that were not decoded.
    pub digests: Vec<Digest>,
}

/// The samples of one series, lent by a selection or by the buffer that it filled. The fields mean
/// what those of [`Series`] mean.
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    /// Sample times. Series that share one list should share one `Arc`: what a query works out
    /// from times alone is worked out once for each.
    pub timestamps_ms: Arc<[i64]>,
    /// Sample values; those of a digest are left out.
    pub values: &'a [f64],
    /// When each value started counting; may be empty.
    pub start_times_ms: &'a [i64],
    /// Native histograms.
    pub histograms: &'a [HistogramSample],
    /// What is known of the values without looking.
    pub known: Known,
    /// Runs told without their values, ascending, if [`Hints::digests`] allows: with neither start
    /// times nor histograms beside them.
    pub digests: &'a [Digest],
}

/// What a source may know of values from statistics that it keeps; saves going through them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// None is NaN, so there is no staleness marker either.
    pub no_nan: bool,
    /// None is smaller than the one before.
    pub no_falls: bool,
}

/// What a selector found: series whose samples are read one at a time, when they are needed. So a
/// query over many series need not hold their samples together. A `Vec<Series>` is one.
///
/// Series are numbered from 0, each label set is there once, and their order is free (ascending
/// labels save a sort). Several threads may read different series at once; a series may be read
/// more than once.
pub trait Selection: Send + Sync {
    /// How many series there are.
    fn len(&self) -> usize;

    /// True when there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Labels of a series.
    fn labels(&self, at: usize) -> &Labels;

    /// About how many samples reading a series gives.
    fn samples(&self, at: usize) -> usize;

    /// Samples in memory as long as the selection lives, which count against the query's limit.
    fn held(&self) -> usize {
        0
    }

    /// The samples of a series in the range that was asked for. What it has to decode it puts into
    /// `buffer`, over what was there before.
    ///
    /// # Errors
    /// Whatever keeps the source from reading; the query fails with it.
    fn read<'a>(&'a self, at: usize, buffer: &'a mut Buffer) -> basics::Result<Samples<'a>>;
}

impl Selection for Vec<Series> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn labels(&self, at: usize) -> &Labels {
        &self[at].labels
    }

    fn samples(&self, at: usize) -> usize {
        self[at].values.len() + self[at].histograms.len()
    }

    fn held(&self) -> usize {
        (0..self.as_slice().len()).map(|at| self.samples(at)).sum()
    }

    fn read<'a>(&'a self, at: usize, _: &'a mut Buffer) -> basics::Result<Samples<'a>> {
        let series = &self[at];
        Ok(Samples {
            timestamps_ms: Arc::clone(&series.timestamps_ms),
            values: &series.values,
            start_times_ms: &series.start_times_ms,
            histograms: &series.histograms,
            known: Known::default(),
            digests: &[],
        })
    }
}

/// A store that answers selections. It knows nothing of PromQL.
///
/// [`Self::select`] is enough; a source that can read series one by one gives [`Self::open`], too.
/// The evaluator asks once per selector of a query.
pub trait SeriesSource: Send + Sync {
    /// Series that satisfy all matchers and have a sample in the range, in any order, each label
    /// set once.
    ///
    /// # Errors
    /// Whatever keeps the source from answering; the query fails with it.
    fn select(&self, select: &Select<'_>) -> basics::Result<Vec<Series>>;

    /// The same series, to be read when needed. A series may turn out to have no sample.
    ///
    /// # Errors
    /// As [`Self::select`].
    fn open<'a>(&'a self, select: &Select<'_>) -> basics::Result<Box<dyn Selection + 'a>> {
        Ok(Box::new(self.select(select)?))
    }
}
