// SPDX-License-Identifier: Apache-2.0
//! Series as columns: the one form in which head, blocks and queries hand series to each other.
//!
//! Series of one resource and scope, or of one scraped target, are sampled at the same times and
//! share one `Arc` of them: equal pointers are the same timestamp group. So a block writes a group's
//! times once, and a query plans its windows once a group. Nothing may depend on it for being
//! right: two groups may hold equal times.

use std::sync::Arc;

use basics::labels::Labels;
use chunk_codec::HistogramRef;
use otlp_series::NativeHistogram;

use crate::head::FamilyInfo;

/// One series' samples in a time range.
#[derive(Clone, Debug, Default)]
pub struct SeriesColumns {
    /// Labels, the metric name among them.
    pub labels: Labels,
    /// Type, unit and description of its family; none when nobody told.
    pub info: Option<Arc<FamilyInfo>>,
    /// Sample times, Unix milliseconds, ascending, each once; shared within a timestamp group.
    pub times: Arc<[i64]>,
    /// Sample values, aligned with `times`; staleness markers keep their bits.
    pub values: Arc<[f64]>,
    /// When each value started counting, Unix milliseconds, aligned with `times`, 0 = unknown;
    /// empty when none is known.
    pub start_times: Arc<[i64]>,
    /// Native histograms with their times, ascending, at other times than the values.
    pub histograms: Vec<(i64, Arc<NativeHistogram>)>,
    /// Exemplars, ascending by time.
    pub exemplars: Vec<Exemplar>,
}

/// One measurement that stands for the many of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// What the measurement was made with; `trace_id` and `span_id` in hexadecimal among it.
    pub labels: Labels,
    /// What was measured.
    pub value: f64,
    /// When, Unix milliseconds.
    pub time_ms: i64,
}

impl SeriesColumns {
    /// True when there is no sample of any kind.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty() && self.histograms.is_empty()
    }
}

/// A histogram as the codec packs it.
pub(crate) fn packable(histogram: &NativeHistogram) -> HistogramRef<'_> {
    HistogramRef {
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        zero_count: histogram.zero_count,
        count: histogram.count,
        sum: histogram.sum,
        bounds: &histogram.bounds,
        positive: &histogram.positive,
        negative: &histogram.negative,
    }
}

/// A histogram as the codec gives it back.
pub(crate) fn unpacked(histogram: chunk_codec::Histogram) -> NativeHistogram {
    NativeHistogram {
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        zero_count: histogram.zero_count,
        count: histogram.count,
        sum: histogram.sum,
        positive: histogram.positive,
        negative: histogram.negative,
        bounds: histogram.bounds.into(),
    }
}
