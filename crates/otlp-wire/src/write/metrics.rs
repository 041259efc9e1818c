// SPDX-License-Identifier: Apache-2.0
//! The writer of metrics, all five types.

use super::{AttrWriter, Groups, group_methods, put_nonzero, put_nonzero64, put_str};
use crate::view::{MetricView, Number, Temporality};
use crate::wire::{
    Frame, LEN, put_fixed64, put_len, put_tag, put_u64, put_varint, to_zigzag32, varint_len,
};
use crate::{Signal, SpanId, TraceId};

/// Field number of `Metric.gauge`.
const GAUGE: u32 = 5;
/// Field number of `Metric.sum`.
const SUM: u32 = 7;
/// Field number of `Metric.histogram`.
const HISTOGRAM: u32 = 9;
/// Field number of `Metric.exponential_histogram`.
const EXPONENTIAL: u32 = 10;
/// Field number of `Metric.summary`.
const SUMMARY: u32 = 11;

/// Field number of `Metric.metadata`.
const METADATA: u32 = 12;

/// A distribution with explicit bounds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Histogram<'a> {
    /// Number of values.
    pub count: u64,
    /// Sum of values.
    pub sum: Option<f64>,
    /// Smallest value.
    pub min: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
    /// Upper bounds, ascending.
    pub explicit_bounds: &'a [f64],
    /// One more than bounds, or none.
    pub bucket_counts: &'a [u64],
}

/// A distribution with exponential bounds.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExponentialHistogram<'a> {
    /// Number of values.
    pub count: u64,
    /// Sum of values.
    pub sum: Option<f64>,
    /// Smallest value.
    pub min: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
    /// Resolution: bounds are powers of `2^(2^-scale)`.
    pub scale: i32,
    /// Values near zero.
    pub zero_count: u64,
    /// How near.
    pub zero_threshold: f64,
    /// Buckets of positive values.
    pub positive: ExponentialBuckets<'a>,
    /// Buckets of negative values.
    pub negative: ExponentialBuckets<'a>,
}

/// Counts of consecutive exponential buckets.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExponentialBuckets<'a> {
    /// Index of the first.
    pub offset: i32,
    /// Counts.
    pub counts: &'a [u64],
}

/// Quantiles computed by the source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary<'a> {
    /// Number of values.
    pub count: u64,
    /// Sum of values.
    pub sum: f64,
    /// Quantile (0 to 1) and value.
    pub quantiles: &'a [(f64, f64)],
}

/// Writes a metrics payload; see [`crate::write`].
#[derive(Debug, Default)]
pub struct Metrics {
    groups: Groups,
    /// Encoded metadata of the next metric.
    metadata: Vec<u8>,
}

impl Metrics {
    group_methods!(Signal::Metrics);

    /// Writes a gauge; its points with [`Points::int`], [`Points::double`], [`Points::none`].
    pub fn gauge(
        &mut self,
        name: &str,
        unit: &str,
        description: &str,
        points: impl FnOnce(&mut Points<'_>),
    ) {
        self.metric((name, unit, description), GAUGE, Temporality::Unspecified, false, points);
    }

    /// Writes a sum; points as for a gauge, with [`Points::start`].
    pub fn sum(
        &mut self,
        name: &str,
        unit: &str,
        description: &str,
        temporality: Temporality,
        monotonic: bool,
        points: impl FnOnce(&mut Points<'_>),
    ) {
        self.metric((name, unit, description), SUM, temporality, monotonic, points);
    }

    /// Writes a histogram; points with [`Points::histogram`].
    pub fn histogram(
        &mut self,
        name: &str,
        unit: &str,
        description: &str,
        temporality: Temporality,
        points: impl FnOnce(&mut Points<'_>),
    ) {
        self.metric((name, unit, description), HISTOGRAM, temporality, false, points);
    }

    /// Writes an exponential histogram; points with [`Points::exponential_histogram`].
    pub fn exponential_histogram(
        &mut self,
        name: &str,
        unit: &str,
        description: &str,
        temporality: Temporality,
        points: impl FnOnce(&mut Points<'_>),
    ) {
        self.metric((name, unit, description), EXPONENTIAL, temporality, false, points);
    }

    /// Writes a summary; points with [`Points::summary`].
    pub fn summary(
        &mut self,
        name: &str,
        unit: &str,
        description: &str,
        points: impl FnOnce(&mut Points<'_>),
    ) {
        self.metric((name, unit, description), SUMMARY, Temporality::Unspecified, false, points);
    }

    /// Copies a metric of another payload, points included.
    pub fn metric_from(&mut self, metric: MetricView<'_>) {
        self.groups.raw_element(metric.raw(), metric.points_count() as u32);
    }

    /// Sets the metadata (`Metric.metadata`) of the metric written next.
    pub fn metadata(&mut self, write: impl FnOnce(&mut AttrWriter<'_>)) {
        self.metadata.clear();
        write(&mut AttrWriter { out: &mut self.metadata, number: METADATA });
    }

    fn metric(
        &mut self,
        (name, unit, description): (&str, &str, &str),
        data: u32,
        temporality: Temporality,
        monotonic: bool,
        write: impl FnOnce(&mut Points<'_>),
    ) {
        let filled = [&self.groups.resource, &self.groups.scope]
            .map(|g| g.as_ref().is_some_and(|g| g.filled));
        self.groups.ready();
        let out = &mut self.groups.out;
        let metric = Frame::open(out, 2, 2);
        put_str(out, 1, name);
        put_str(out, 2, description);
        put_str(out, 3, unit);
        let body = Frame::open(out, data, 2);
        let mut points = Points { out, data, start: 0, count: 0, last: None };
        write(&mut points);
        points.close();
        let count = points.count;
        let out = &mut self.groups.out;
        put_nonzero(out, 2, temporality as u64);
        put_nonzero(out, 3, u64::from(monotonic));
        body.close(out);
        out.append(&mut self.metadata);
        metric.close(out);
        self.groups.items += count;
        if count == 0 {
            metric.cancel(&mut self.groups.out);
            self.unfill(filled);
        }
    }

    /// Takes back that the open groups hold something.
    fn unfill(&mut self, filled: [bool; 2]) {
        for (group, filled) in
            [&mut self.groups.resource, &mut self.groups.scope].into_iter().zip(filled)
        {
            if let Some(group) = group {
                group.filled = filled;
            }
        }
    }
}

/// Writes the points of one metric. A point of another type than the metric's is left out.
#[derive(Debug)]
pub struct Points<'w> {
    out: &'w mut Vec<u8>,
    /// Field number of the metric's data.
    data: u32,
    start: u64,
    count: u32,
    last: Option<Frame>,
}

impl Points<'_> {
    /// Start time (Unix nanoseconds) of the points that follow; 0 leaves it out.
    pub fn start(&mut self, start: u64) {
        self.start = start;
    }

    /// A point of a gauge or sum: `time` in Unix nanoseconds.
    #[inline]
    pub fn double(&mut self, time: u64, value: f64, attrs: impl FnOnce(&mut AttrWriter<'_>)) {
        self.number(time, Some(Number::Double(value)), attrs);
    }

    /// A point of a gauge or sum: `time` in Unix nanoseconds.
    #[inline]
    pub fn int(&mut self, time: u64, value: i64, attrs: impl FnOnce(&mut AttrWriter<'_>)) {
        self.number(time, Some(Number::Int(value)), attrs);
    }

    /// A point of a gauge or sum that says: no recorded value (stale).
    pub fn none(&mut self, time: u64, attrs: impl FnOnce(&mut AttrWriter<'_>)) {
        self.number(time, None, attrs);
    }

    /// A point of a gauge or sum; without a value it is marked as having none recorded.
    #[inline]
    pub fn number(
        &mut self,
        time: u64,
        value: Option<Number>,
        attrs: impl FnOnce(&mut AttrWriter<'_>),
    ) {
        if !matches!(self.data, GAUGE | SUM) {
            return;
        }
        self.open(time);
        match value {
            Some(Number::Double(v)) => put_fixed64(self.out, 4, v.to_bits()),
            Some(Number::Int(v)) => put_fixed64(self.out, 6, v as u64),
            None => {}
        }
        attrs(&mut AttrWriter { out: self.out, number: 7 });
        put_nonzero(self.out, 8, u64::from(value.is_none()));
    }

    /// A point of a metric of any type that says: no recorded value, the series has ended.
    pub fn stale(&mut self, time: u64, attrs: impl FnOnce(&mut AttrWriter<'_>)) {
        let (number, flags) = match self.data {
            HISTOGRAM => (9, 10),
            EXPONENTIAL => (1, 10),
            _ => (7, 8),
        };
        self.open(time);
        attrs(&mut AttrWriter { out: self.out, number });
        put_nonzero(self.out, flags, 1);
    }

    /// A point of a histogram.
    pub fn histogram(
        &mut self,
        time: u64,
        value: &Histogram<'_>,
        attrs: impl FnOnce(&mut AttrWriter<'_>),
    ) {
        if self.data != HISTOGRAM {
            return;
        }
        self.open(time);
        put_nonzero64(self.out, 4, value.count);
        put_optional(self.out, 5, value.sum);
        put_packed(self.out, 6, value.bucket_counts.iter().copied());
        put_packed(self.out, 7, value.explicit_bounds.iter().map(|v| v.to_bits()));
        attrs(&mut AttrWriter { out: self.out, number: 9 });
        put_optional(self.out, 11, value.min);
        put_optional(self.out, 12, value.max);
    }

    /// A point of an exponential histogram.
    pub fn exponential_histogram(
        &mut self,
        time: u64,
        value: &ExponentialHistogram<'_>,
        attrs: impl FnOnce(&mut AttrWriter<'_>),
    ) {
        if self.data != EXPONENTIAL {
            return;
        }
        self.open(time);
        attrs(&mut AttrWriter { out: self.out, number: 1 });
        put_nonzero64(self.out, 4, value.count);
        put_optional(self.out, 5, value.sum);
        put_nonzero(self.out, 6, to_zigzag32(value.scale));
        put_nonzero64(self.out, 7, value.zero_count);
        put_buckets(self.out, 8, value.positive);
        put_buckets(self.out, 9, value.negative);
        put_optional(self.out, 12, value.min);
        put_optional(self.out, 13, value.max);
        put_nonzero64(self.out, 14, value.zero_threshold.to_bits());
    }

    /// A point of a summary.
    pub fn summary(
        &mut self,
        time: u64,
        value: &Summary<'_>,
        attrs: impl FnOnce(&mut AttrWriter<'_>),
    ) {
        if self.data != SUMMARY {
            return;
        }
        self.open(time);
        put_nonzero64(self.out, 4, value.count);
        put_nonzero64(self.out, 5, value.sum.to_bits());
        for (quantile, value) in value.quantiles {
            let frame = Frame::open(self.out, 6, 1);
            put_nonzero64(self.out, 1, quantile.to_bits());
            put_nonzero64(self.out, 2, value.to_bits());
            frame.close(self.out);
        }
        attrs(&mut AttrWriter { out: self.out, number: 7 });
    }

    /// Marks the point written last: no recorded value. What it holds besides (bounds, quantiles)
    /// says which series have ended.
    pub fn no_recorded_value(&mut self) {
        if self.last.is_some() {
            put_nonzero(
                self.out,
                if matches!(self.data, HISTOGRAM | EXPONENTIAL) { 10 } else { 8 },
                1,
            );
        }
    }

    /// Adds an exemplar to the point written last; summaries take none.
    pub fn exemplar(
        &mut self,
        time: u64,
        value: Number,
        trace: Option<(TraceId, SpanId)>,
        filtered_attrs: impl FnOnce(&mut AttrWriter<'_>),
    ) {
        let number = match self.data {
            GAUGE | SUM => 5,
            HISTOGRAM => 8,
            EXPONENTIAL => 11,
            _ => return,
        };
        if self.last.is_none() {
            return;
        }
        let frame = Frame::open(self.out, number, 1);
        put_nonzero64(self.out, 2, time);
        if let Number::Double(v) = value {
            put_fixed64(self.out, 3, v.to_bits());
        }
        if let Some((trace_id, span_id)) = trace {
            put_len(self.out, 4, &span_id);
            put_len(self.out, 5, &trace_id);
        }
        if let Number::Int(v) = value {
            put_fixed64(self.out, 6, v as u64);
        }
        filtered_attrs(&mut AttrWriter { out: self.out, number: 7 });
        frame.close(self.out);
    }

    fn open(&mut self, time: u64) {
        self.close();
        self.last = Some(Frame::open(self.out, 1, 1));
        self.count += 1;
        put_nonzero64(self.out, 2, self.start);
        put_nonzero64(self.out, 3, time);
    }

    fn close(&mut self) {
        if let Some(frame) = self.last.take() {
            frame.close(self.out);
        }
    }
}

fn put_optional(out: &mut Vec<u8>, number: u32, value: Option<f64>) {
    if let Some(value) = value {
        put_fixed64(out, number, value.to_bits());
    }
}

fn put_packed(out: &mut Vec<u8>, number: u32, values: impl ExactSizeIterator<Item = u64>) {
    if values.len() == 0 {
        return;
    }
    put_tag(out, number, LEN);
    put_varint(out, values.len() as u64 * 8);
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn put_buckets(out: &mut Vec<u8>, number: u32, buckets: ExponentialBuckets<'_>) {
    if buckets.counts.is_empty() && buckets.offset == 0 {
        return;
    }
    let frame = Frame::open(out, number, 1);
    if buckets.offset != 0 {
        put_u64(out, 1, to_zigzag32(buckets.offset));
    }
    if !buckets.counts.is_empty() {
        put_tag(out, 2, LEN);
        put_varint(out, buckets.counts.iter().map(|c| varint_len(*c) as u64).sum());
        for count in buckets.counts {
            put_varint(out, *count);
        }
    }
    frame.close(out);
}
