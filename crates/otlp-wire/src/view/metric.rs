// SPDX-License-Identifier: Apache-2.0
//! Views of metrics: the five data types, their points and exemplars.

use super::{FromRaw, Views, span_id, trace_id};
use crate::value::{AnyValue, Attrs};
use crate::wire::{
    Val, fields, find, find_f64, find_len, find_str, find_u64, read_fixed64, read_varint, zigzag32,
};
use crate::{SpanId, TraceId};

/// How successive points of a series relate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Temporality {
    /// Not told.
    #[default]
    Unspecified,
    /// Each point covers the time since the one before.
    Delta,
    /// Each point covers the time since the start.
    Cumulative,
}

impl Temporality {
    /// From the number on the wire.
    pub fn from_number(number: i32) -> Temporality {
        match number {
            1 => Temporality::Delta,
            2 => Temporality::Cumulative,
            _ => Temporality::Unspecified,
        }
    }

    /// The number on the wire.
    pub fn number(self) -> i32 {
        self as i32
    }
}

/// One metric: a name, a unit and points of one type.
#[derive(Clone, Copy, Debug)]
pub struct MetricView<'a> {
    raw: &'a [u8],
}

impl<'a> FromRaw<'a> for MetricView<'a> {
    #[inline]
    fn from_raw(raw: &'a [u8]) -> Self {
        MetricView { raw }
    }
}

/// The points of a metric, by type.
#[derive(Clone, Debug)]
pub enum Data<'a> {
    /// No data set, or a type this version does not know.
    Empty,
    /// Values as they are now.
    Gauge {
        /// The points.
        points: Views<'a, NumberPoint<'a>>,
    },
    /// Sums over time.
    Sum {
        /// The points.
        points: Views<'a, NumberPoint<'a>>,
        /// How points relate.
        temporality: Temporality,
        /// Never falls but by a restart.
        monotonic: bool,
    },
    /// Distributions with explicit bounds.
    Histogram {
        /// The points.
        points: Views<'a, HistogramPoint<'a>>,
        /// How points relate.
        temporality: Temporality,
    },
    /// Distributions with exponential bounds.
    ExponentialHistogram {
        /// The points.
        points: Views<'a, ExponentialHistogramPoint<'a>>,
        /// How points relate.
        temporality: Temporality,
    },
    /// Quantiles computed by the source.
    Summary {
        /// The points.
        points: Views<'a, SummaryPoint<'a>>,
    },
}

impl<'a> MetricView<'a> {
    /// The encoded `Metric` message, points included.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Name.
    #[inline]
    pub fn name(&self) -> &'a str {
        find_str(self.raw, 1)
    }

    /// What it means.
    pub fn description(&self) -> &'a str {
        find_str(self.raw, 2)
    }

    /// UCUM unit.
    pub fn unit(&self) -> &'a str {
        find_str(self.raw, 3)
    }

    /// Attributes about the metric itself.
    pub fn metadata(&self) -> Attrs<'a> {
        Attrs::new(self.raw, 12)
    }

    /// The field number of the data (5, 7, 9, 10, 11) and its encoded message.
    #[inline]
    pub(crate) fn data_raw(&self) -> Option<(u32, &'a [u8])> {
        fields(self.raw).find_map(|f| match (f.number, f.value) {
            (n @ (5 | 7 | 9 | 10 | 11), Val::Len(raw)) => Some((n, raw)),
            _ => None,
        })
    }

    /// The points.
    pub fn data(&self) -> Data<'a> {
        let Some((number, raw)) = self.data_raw() else { return Data::Empty };
        let temporality = || Temporality::from_number(find_u64(raw, 2) as i32);
        match number {
            5 => Data::Gauge { points: Views::new(raw, 1) },
            7 => Data::Sum {
                points: Views::new(raw, 1),
                temporality: temporality(),
                monotonic: find_u64(raw, 3) != 0,
            },
            9 => Data::Histogram { points: Views::new(raw, 1), temporality: temporality() },
            10 => Data::ExponentialHistogram {
                points: Views::new(raw, 1),
                temporality: temporality(),
            },
            _ => Data::Summary { points: Views::new(raw, 1) },
        }
    }

    /// Number of data points, of whatever type.
    pub fn points_count(&self) -> usize {
        let raw = self.data_raw().map_or(&[][..], |(_, raw)| raw);
        fields(raw).filter(|f| f.number == 1).count()
    }
}

/// What a point of every type has.
pub trait PointView<'a> {
    /// Its attributes.
    fn attrs(&self) -> Attrs<'a>;
    /// Start of what it covers, Unix nanoseconds; 0 when unknown.
    fn start(&self) -> u64;
    /// When it was taken, Unix nanoseconds.
    fn time(&self) -> u64;
    /// Bit 0: no recorded value.
    fn flags(&self) -> u32;
    /// The encoded message.
    fn raw(&self) -> &'a [u8];
    /// True when the source said that the series has no value now (a stale marker).
    fn no_recorded_value(&self) -> bool {
        self.flags() & 1 != 0
    }
}

macro_rules! point {
    ($(#[$doc:meta])* $name:ident, attrs $attrs:literal, flags $flags:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a> {
            raw: &'a [u8],
        }

        impl<'a> FromRaw<'a> for $name<'a> {
            #[inline]
            fn from_raw(raw: &'a [u8]) -> Self {
                $name { raw }
            }
        }

        impl<'a> PointView<'a> for $name<'a> {
            #[inline]
            fn attrs(&self) -> Attrs<'a> {
                Attrs::new(self.raw, $attrs)
            }
            #[inline]
            fn start(&self) -> u64 {
                find_u64(self.raw, 2)
            }
            #[inline]
            fn time(&self) -> u64 {
                find_u64(self.raw, 3)
            }
            #[inline]
            fn flags(&self) -> u32 {
                find_u64(self.raw, $flags) as u32
            }
            #[inline]
            fn raw(&self) -> &'a [u8] {
                self.raw
            }
        }
    };
}

point!(
    /// A point of a gauge or a sum.
    NumberPoint, attrs 7, flags 8
);
point!(
    /// A point of a histogram with explicit bounds.
    HistogramPoint, attrs 9, flags 10
);
point!(
    /// A point of an exponential histogram.
    ExponentialHistogramPoint, attrs 1, flags 10
);
point!(
    /// A point of a summary.
    SummaryPoint, attrs 7, flags 8
);

/// The value of a number point or an exemplar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
}

impl Number {
    /// As a double; integers beyond 2^53 lose digits.
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(v) => v as f64,
            Number::Double(v) => v,
        }
    }
}

/// All of a number point, read in one pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct NumberParts<'a> {
    /// As [`PointView::start`].
    pub start: u64,
    /// As [`PointView::time`].
    pub time: u64,
    /// As [`NumberPoint::value`].
    pub value: Option<Number>,
    /// As [`PointView::flags`].
    pub flags: u32,
    /// As [`Attrs::raw`] of its attributes.
    pub attrs_raw: &'a [u8],
    /// Whether it has exemplars.
    pub has_exemplars: bool,
}

impl<'a> NumberPoint<'a> {
    /// All of it, in one pass instead of one for each part.
    #[inline]
    pub fn parts(&self) -> NumberParts<'a> {
        let mut parts = NumberParts::default();
        let (mut first, mut last) = (self.raw.len(), self.raw.len());
        for f in fields(self.raw) {
            match (f.number, f.value) {
                (2, Val::Fixed64(v)) => parts.start = v,
                (3, Val::Fixed64(v)) => parts.time = v,
                (4, Val::Fixed64(v)) => parts.value = Some(Number::Double(f64::from_bits(v))),
                (6, Val::Fixed64(v)) => parts.value = Some(Number::Int(v as i64)),
                (5, Val::Len(_)) => parts.has_exemplars = true,
                (7, Val::Len(_)) => {
                    // Checked messages have their attributes side by side.
                    first = first.min(f.start);
                    last = f.end;
                }
                (8, Val::Varint(v)) => parts.flags = v as u32,
                _ => {}
            }
        }
        parts.attrs_raw = self.raw.get(first..last).unwrap_or_default();
        parts
    }

    /// The value; `None` when none was set.
    #[inline]
    pub fn value(&self) -> Option<Number> {
        fields(self.raw).find_map(|f| match (f.number, f.value) {
            (4, Val::Fixed64(v)) => Some(Number::Double(f64::from_bits(v))),
            (6, Val::Fixed64(v)) => Some(Number::Int(v as i64)),
            _ => None,
        })
    }

    /// Sample values with trace context.
    pub fn exemplars(&self) -> Views<'a, ExemplarView<'a>> {
        Views::new(self.raw, 5)
    }
}

/// All of a histogram point but its extremes, read in one pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct HistogramParts<'a> {
    /// As [`PointView::start`].
    pub start: u64,
    /// As [`PointView::time`].
    pub time: u64,
    /// As [`HistogramPoint::count`].
    pub count: u64,
    /// As [`HistogramPoint::sum`].
    pub sum: Option<f64>,
    /// As [`HistogramPoint::bucket_counts`].
    pub bucket_counts: PackedU64<'a>,
    /// As [`HistogramPoint::explicit_bounds`].
    pub explicit_bounds: PackedF64<'a>,
    /// As [`PointView::flags`].
    pub flags: u32,
    /// As [`Attrs::raw`] of its attributes.
    pub attrs_raw: &'a [u8],
    /// Whether it has exemplars.
    pub has_exemplars: bool,
}

impl<'a> HistogramPoint<'a> {
    /// All of it but its extremes, in one pass instead of one for each part.
    #[inline]
    pub fn parts(&self) -> HistogramParts<'a> {
        let mut parts = HistogramParts::default();
        let (mut first, mut last) = (self.raw.len(), self.raw.len());
        for f in fields(self.raw) {
            match (f.number, f.value) {
                (2, Val::Fixed64(v)) => parts.start = v,
                (3, Val::Fixed64(v)) => parts.time = v,
                (4, Val::Fixed64(v)) => parts.count = v,
                (5, Val::Fixed64(v)) => parts.sum = Some(f64::from_bits(v)),
                (6, Val::Len(raw)) => parts.bucket_counts = PackedU64 { raw },
                (7, Val::Len(raw)) => {
                    parts.explicit_bounds = PackedF64 { inner: PackedU64 { raw } }
                }
                (8, Val::Len(_)) => parts.has_exemplars = true,
                (9, Val::Len(_)) => {
                    // Checked messages have their attributes side by side.
                    first = first.min(f.start);
                    last = f.end;
                }
                (10, Val::Varint(v)) => parts.flags = v as u32,
                _ => {}
            }
        }
        parts.attrs_raw = self.raw.get(first..last).unwrap_or_default();
        parts
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        find_u64(self.raw, 4)
    }

    /// Sum of values, when it is meaningful.
    pub fn sum(&self) -> Option<f64> {
        find_f64(self.raw, 5)
    }

    /// Counts per bucket: one more than bounds, or none at all.
    pub fn bucket_counts(&self) -> PackedU64<'a> {
        PackedU64 { raw: find_len(self.raw, 6).unwrap_or_default() }
    }

    /// Upper bounds, ascending; the last bucket is open.
    pub fn explicit_bounds(&self) -> PackedF64<'a> {
        PackedF64 { inner: PackedU64 { raw: find_len(self.raw, 7).unwrap_or_default() } }
    }

    /// Sample values with trace context.
    pub fn exemplars(&self) -> Views<'a, ExemplarView<'a>> {
        Views::new(self.raw, 8)
    }

    /// Smallest value.
    pub fn min(&self) -> Option<f64> {
        find_f64(self.raw, 11)
    }

    /// Largest value.
    pub fn max(&self) -> Option<f64> {
        find_f64(self.raw, 12)
    }
}

impl<'a> ExponentialHistogramPoint<'a> {
    /// Number of values.
    pub fn count(&self) -> u64 {
        find_u64(self.raw, 4)
    }

    /// Sum of values, when it is meaningful.
    pub fn sum(&self) -> Option<f64> {
        find_f64(self.raw, 5)
    }

    /// Resolution: bounds are powers of `2^(2^-scale)`.
    pub fn scale(&self) -> i32 {
        zigzag32(find_u64(self.raw, 6))
    }

    /// Values within `zero_threshold` of zero.
    pub fn zero_count(&self) -> u64 {
        find_u64(self.raw, 7)
    }

    /// Buckets of positive values.
    pub fn positive(&self) -> Buckets<'a> {
        Buckets { raw: find_len(self.raw, 8).unwrap_or_default() }
    }

    /// Buckets of negative values.
    pub fn negative(&self) -> Buckets<'a> {
        Buckets { raw: find_len(self.raw, 9).unwrap_or_default() }
    }

    /// Sample values with trace context.
    pub fn exemplars(&self) -> Views<'a, ExemplarView<'a>> {
        Views::new(self.raw, 11)
    }

    /// Smallest value.
    pub fn min(&self) -> Option<f64> {
        find_f64(self.raw, 12)
    }

    /// Largest value.
    pub fn max(&self) -> Option<f64> {
        find_f64(self.raw, 13)
    }

    /// Width of the zero bucket.
    pub fn zero_threshold(&self) -> f64 {
        find_f64(self.raw, 14).unwrap_or_default()
    }
}

impl<'a> SummaryPoint<'a> {
    /// Number of values.
    pub fn count(&self) -> u64 {
        find_u64(self.raw, 4)
    }

    /// Sum of values.
    pub fn sum(&self) -> f64 {
        find_f64(self.raw, 5).unwrap_or_default()
    }

    /// Quantile (0 to 1) and value there.
    pub fn quantiles(&self) -> impl Iterator<Item = (f64, f64)> + Clone + use<'a> {
        fields(self.raw).filter_map(|f| match (f.number, f.value) {
            (6, Val::Len(raw)) => {
                Some((find_f64(raw, 1).unwrap_or_default(), find_f64(raw, 2).unwrap_or_default()))
            }
            _ => None,
        })
    }
}

/// Buckets of an exponential histogram.
#[derive(Clone, Copy, Debug)]
pub struct Buckets<'a> {
    raw: &'a [u8],
}

impl<'a> Buckets<'a> {
    /// Index of the first bucket.
    pub fn offset(&self) -> i32 {
        zigzag32(find_u64(self.raw, 1))
    }

    /// Counts of consecutive buckets.
    pub fn counts(&self) -> PackedVarint<'a> {
        PackedVarint { raw: find_len(self.raw, 2).unwrap_or_default(), pos: 0 }
    }
}

/// A sample value with its trace context.
#[derive(Clone, Copy, Debug)]
pub struct ExemplarView<'a> {
    raw: &'a [u8],
}

impl<'a> FromRaw<'a> for ExemplarView<'a> {
    fn from_raw(raw: &'a [u8]) -> Self {
        ExemplarView { raw }
    }
}

impl<'a> ExemplarView<'a> {
    /// The encoded `Exemplar` message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// When, Unix nanoseconds.
    pub fn time(&self) -> u64 {
        find_u64(self.raw, 2)
    }

    /// The value; `None` when none was set.
    pub fn value(&self) -> Option<Number> {
        match (find(self.raw, 3), find(self.raw, 6)) {
            (Some(Val::Fixed64(v)), _) => Some(Number::Double(f64::from_bits(v))),
            (_, Some(Val::Fixed64(v))) => Some(Number::Int(v as i64)),
            _ => None,
        }
    }

    /// Span it was recorded in.
    pub fn span_id(&self) -> Option<SpanId> {
        span_id(self.raw, 4)
    }

    /// Trace it was recorded in.
    pub fn trace_id(&self) -> Option<TraceId> {
        trace_id(self.raw, 5)
    }

    /// Attributes the aggregation left out of the series.
    pub fn filtered_attrs(&self) -> Attrs<'a> {
        Attrs::new(self.raw, 7)
    }

    /// The first of those under `key`.
    pub fn attr(&self, key: &str) -> Option<AnyValue<'a>> {
        self.filtered_attrs().get(key)
    }
}

/// A packed array of fixed64.
#[derive(Clone, Copy, Debug, Default)]
pub struct PackedU64<'a> {
    raw: &'a [u8],
}

impl<'a> PackedU64<'a> {
    /// The encoded values, 8 bytes each, little endian.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

impl Iterator for PackedU64<'_> {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        let value = read_fixed64(self.raw, &mut 0)?;
        self.raw = &self.raw[8..];
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.raw.len() / 8, Some(self.raw.len() / 8))
    }
}

impl ExactSizeIterator for PackedU64<'_> {}

/// A packed array of doubles.
#[derive(Clone, Copy, Debug, Default)]
pub struct PackedF64<'a> {
    inner: PackedU64<'a>,
}

impl<'a> PackedF64<'a> {
    /// The encoded values, 8 bytes each, little endian.
    pub fn raw(&self) -> &'a [u8] {
        self.inner.raw
    }
}

impl Iterator for PackedF64<'_> {
    type Item = f64;

    #[inline]
    fn next(&mut self) -> Option<f64> {
        self.inner.next().map(f64::from_bits)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl ExactSizeIterator for PackedF64<'_> {}

/// A packed array of varints.
#[derive(Clone, Copy, Debug, Default)]
pub struct PackedVarint<'a> {
    raw: &'a [u8],
    pos: usize,
}

impl Iterator for PackedVarint<'_> {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        read_varint(self.raw, &mut self.pos)
    }
}
