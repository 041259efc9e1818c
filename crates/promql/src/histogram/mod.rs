// SPDX-License-Identifier: Apache-2.0
//! Native histograms with float counts: exponential buckets (schemas -4 to 8) and custom bounds.
//!
//! Buckets are sparse `(index, count)` lists in ascending index, so two histograms combine by
//! merging lists. Exponential bucket `i` of schema `s` holds `(b^(i-1), b^i]` with
//! `b = 2^(2^-s)`; negative buckets mirror them. Custom bucket `i` holds `(bounds[i-1], bounds[i]]`.
//! Combining lowers the resolution to what both sides share, as Prometheus does.
//!
//! Source: Prometheus specification "Native Histograms".

mod arithmetic;
mod measure;
mod trim;

use std::fmt;
use std::sync::Arc;

pub(crate) use arithmetic::{Combined, HistogramMean, HistogramSum};

use crate::number;

/// The schema of histograms with custom bounds.
pub const CUSTOM_SCHEMA: i32 = -53;

/// What is known about a counter reset between the previous sample and this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ResetHint {
    /// Nothing: the samples have to be compared.
    #[default]
    Unknown,
    /// A reset happened.
    Reset,
    /// No reset happened.
    NotReset,
    /// Not a counter.
    Gauge,
}

/// `(index, count)` in ascending index.
pub type Buckets = Vec<(i32, f64)>;

/// A native histogram with float counts.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatHistogram {
    /// Resolution, or [`CUSTOM_SCHEMA`].
    pub schema: i32,
    /// Reset hint.
    pub hint: ResetHint,
    /// Half width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of observations; the staleness marker here makes the histogram one.
    pub sum: f64,
    /// Positive buckets, or all buckets of a custom schema.
    pub positive: Buckets,
    /// Negative buckets.
    pub negative: Buckets,
    /// Upper bounds of a custom schema, ascending, without +Inf.
    pub bounds: Arc<[f64]>,
}

impl Default for FloatHistogram {
    fn default() -> Self {
        FloatHistogram {
            schema: 0,
            hint: ResetHint::Unknown,
            zero_threshold: 0.0,
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
            positive: vec![],
            negative: vec![],
            bounds: Arc::new([]),
        }
    }
}

/// One bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Observations in it.
    pub count: f64,
}

impl FloatHistogram {
    /// True for custom bounds.
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM_SCHEMA
    }

    /// True for the staleness marker.
    pub fn is_stale(&self) -> bool {
        number::is_stale(self.sum)
    }

    /// A histogram of the same kind without observations.
    pub(crate) fn emptied(&self) -> Self {
        FloatHistogram {
            schema: self.schema,
            hint: self.hint,
            zero_threshold: self.zero_threshold,
            bounds: Arc::clone(&self.bounds),
            ..FloatHistogram::default()
        }
    }

    /// Without empty buckets.
    pub fn compacted(mut self) -> Self {
        self.positive.retain(|(_, count)| *count != 0.0);
        self.negative.retain(|(_, count)| *count != 0.0);
        self
    }

    /// Equal but for empty buckets and the reset hint.
    pub fn same_as(&self, other: &Self) -> bool {
        let bits = |a: f64, b: f64| a.to_bits() == b.to_bits() || a == b;
        self.schema == other.schema
            && bits(self.zero_threshold, other.zero_threshold)
            && bits(self.zero_count, other.zero_count)
            && bits(self.count, other.count)
            && bits(self.sum, other.sum)
            && self.bounds == other.bounds
            && same_buckets(&self.positive, &other.positive)
            && same_buckets(&self.negative, &other.negative)
    }

    pub(crate) fn positive_bucket(&self, (index, count): (i32, f64)) -> Bucket {
        if self.is_custom() {
            let bound = |i: i32| match usize::try_from(i) {
                Ok(i) => self.bounds.get(i).copied().unwrap_or(f64::INFINITY),
                Err(_) => f64::NEG_INFINITY,
            };
            return Bucket { lower: bound(index - 1), upper: bound(index), count };
        }
        let lower = exponential_bound(index.saturating_sub(1), self.schema);
        Bucket { lower, upper: exponential_bound(index, self.schema), count }
    }

    pub(crate) fn negative_bucket(&self, bucket: (i32, f64)) -> Bucket {
        let mirrored = self.positive_bucket(bucket);
        Bucket { lower: -mirrored.upper, upper: -mirrored.lower, count: mirrored.count }
    }

    pub(crate) fn zero_bucket(&self) -> Option<Bucket> {
        let populated = !self.is_custom() && self.zero_count != 0.0;
        let (lower, upper) = (-self.zero_threshold, self.zero_threshold);
        populated.then_some(Bucket { lower, upper, count: self.zero_count })
    }

    /// All buckets from the lowest value to the highest.
    pub fn buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> {
        let negative = self.negative.iter().rev().map(|b| self.negative_bucket(*b));
        let positive = self.positive.iter().map(|b| self.positive_bucket(*b));
        negative.chain(self.zero_bucket()).chain(positive)
    }
}

fn same_buckets(a: &Buckets, b: &Buckets) -> bool {
    let filled = |list: &Buckets| {
        list.iter().filter(|(_, c)| *c != 0.0).map(|(i, c)| (*i, c.to_bits())).collect::<Vec<_>>()
    };
    filled(a) == filled(b)
}

/// Upper bound of exponential bucket `index`.
pub(crate) fn exponential_bound(index: i32, schema: i32) -> f64 {
    if schema < 0 {
        let exponent = i64::from(index) << -schema;
        return match exponent {
            // The bucket that would end at infinity ends at the largest number.
            1024 => f64::MAX,
            _ => power_of_two(exponent),
        };
    }
    let per_octave = 1i32 << schema;
    let octave = i64::from(index.div_euclid(per_octave));
    let part = f64::from(index.rem_euclid(per_octave)) / f64::from(per_octave);
    match (octave, part == 0.0) {
        (1024, true) => f64::MAX,
        (_, true) => power_of_two(octave),
        _ => part.exp2() * power_of_two(octave),
    }
}

fn power_of_two(exponent: i64) -> f64 {
    2f64.powi(exponent.clamp(-1080, 1080) as i32)
}

/// As Prometheus prints it: `{count:20, sum:10, [-2,-1):2, [-0.001,0.001]:2, (0.5,1]:1}`.
impl fmt::Display for FloatHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", number::format(self.count), number::format(self.sum))?;
        let mut write = |b: Bucket, open: char, close: char| {
            if b.count == 0.0 {
                return Ok(());
            }
            let (lower, upper) = (number::format(b.lower), number::format(b.upper));
            write!(f, ", {open}{lower},{upper}{close}:{}", number::format(b.count))
        };
        for bucket in self.negative.iter().rev() {
            write(self.negative_bucket(*bucket), '[', ')')?;
        }
        if let Some(zero) = self.zero_bucket() {
            write(zero, '[', ']')?;
        }
        for bucket in &self.positive {
            write(self.positive_bucket(*bucket), '(', ']')?;
        }
        f.write_str("}")
    }
}
