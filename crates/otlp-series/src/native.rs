// SPDX-License-Identifier: Apache-2.0
//! Native histograms: OTLP's histograms as Prometheus holds them, exponential or with bounds of their
//! own.
//!
//! Bucket `i` of schema `s` holds `(b^(i-1), b^i]`, `b = 2^(2^-s)`; OTLP's bucket `i` holds
//! `(b^i, b^(i+1)]`, hence one more. Prometheus knows schemas -4 to 8: finer ones are merged down,
//! coarser ones refused.

use std::sync::Arc;

use otlp_wire::{Buckets, ExponentialHistogramPoint};

use crate::{Refusal, STALE};

const SCHEMA_MAX: i32 = 8;
const SCHEMA_MIN: i32 = -4;

/// Half width of the zero bucket where OTLP gives none; what the collector writes.
const ZERO_THRESHOLD: f64 = 1e-128;

/// Most buckets on a side; OTLP SDKs send at most 160. More is refused.
const BUCKETS_MAX: usize = 10_000;

/// The schema of histograms with bounds of their own.
pub const CUSTOM_SCHEMA: i32 = -53;

/// A histogram with exponential buckets, or with bounds of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeHistogram {
    /// Resolution, -4 to 8, or [`CUSTOM_SCHEMA`].
    pub schema: i32,
    /// Half width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of observations; the staleness marker makes the histogram one.
    pub sum: f64,
    /// `(index, count)`, ascending by index, no zero counts.
    pub positive: Vec<(i32, f64)>,
    /// Mirror of `positive` below zero.
    pub negative: Vec<(i32, f64)>,
    /// Upper bounds of [`CUSTOM_SCHEMA`], ascending, without +Inf: bucket `i` of `positive` holds
    /// `(bounds[i-1], bounds[i]]`.
    pub bounds: Arc<[f64]>,
}

impl NativeHistogram {
    /// Says that the series has ended here.
    pub fn stale() -> Self {
        NativeHistogram { sum: STALE, ..NativeHistogram::default() }
    }

    /// The same without observations.
    pub fn emptied(&self) -> Self {
        let (schema, zero_threshold) = (self.schema, self.zero_threshold);
        NativeHistogram { schema, zero_threshold, bounds: self.bounds.clone(), ..<_>::default() }
    }

    /// Whether it says that the series has ended here.
    pub fn is_stale(&self) -> bool {
        self.sum.to_bits() == STALE.to_bits()
    }

    /// From an OTLP point.
    ///
    /// # Errors
    /// [`Refusal::Scale`] when coarser than Prometheus can hold, [`Refusal::Buckets`] when there
    /// are too many buckets or their indexes do not fit.
    pub(crate) fn from_point(point: ExponentialHistogramPoint<'_>) -> Result<Self, Refusal> {
        let scale = point.scale();
        if scale < SCHEMA_MIN {
            return Err(Refusal::Scale);
        }
        let schema = scale.min(SCHEMA_MAX);
        // Beyond 31 every index has become 0 or -1 anyway.
        let shift = (scale - schema).min(31);
        let threshold = point.zero_threshold();
        Ok(NativeHistogram {
            schema,
            zero_threshold: if threshold == 0.0 { ZERO_THRESHOLD } else { threshold },
            zero_count: point.zero_count() as f64,
            count: point.count() as f64,
            sum: point.sum().unwrap_or(0.0),
            positive: buckets(point.positive(), shift)?,
            negative: buckets(point.negative(), shift)?,
            bounds: Arc::default(),
        })
    }

    /// From the bounds and counts of an OTLP point, one count more than bounds.
    pub(crate) fn with_bounds(
        bounds: impl Iterator<Item = f64>,
        counts: impl Iterator<Item = u64>,
        (count, sum): (u64, Option<f64>),
    ) -> Self {
        let counts = (0..).zip(counts).filter(|(_, count)| *count > 0);
        NativeHistogram {
            schema: CUSTOM_SCHEMA,
            count: count as f64,
            sum: sum.unwrap_or(0.0),
            positive: counts.map(|(at, count)| (at, count as f64)).collect(),
            bounds: bounds.collect(),
            ..NativeHistogram::default()
        }
    }

    /// The sum of two, at the coarser of their resolutions; the other one where bounds differ, which
    /// counts anew.
    pub fn plus(&self, other: &Self) -> Self {
        let custom = self.schema == CUSTOM_SCHEMA || other.schema == CUSTOM_SCHEMA;
        if custom && (self.schema != other.schema || self.bounds != other.bounds) {
            return other.clone();
        }
        let schema = self.schema.min(other.schema);
        let merge = |a: &[(i32, f64)], b: &[(i32, f64)]| {
            let mut all = coarser(a, self.schema - schema);
            all.extend(coarser(b, other.schema - schema));
            all.sort_by_key(|(index, _)| *index);
            merge_equal(all)
        };
        NativeHistogram {
            schema,
            zero_threshold: self.zero_threshold.max(other.zero_threshold),
            zero_count: self.zero_count + other.zero_count,
            count: self.count + other.count,
            sum: self.sum + other.sum,
            positive: merge(&self.positive, &other.positive),
            negative: merge(&self.negative, &other.negative),
            bounds: self.bounds.clone(),
        }
    }

    /// Bytes it takes, itself included.
    pub fn bytes(&self) -> usize {
        let buckets = self.positive.capacity() + self.negative.capacity();
        size_of::<Self>() + buckets * 16 + self.bounds.len() * 8
    }
}

fn buckets(buckets: Buckets<'_>, shift: i32) -> Result<Vec<(i32, f64)>, Refusal> {
    let mut out = Vec::new();
    for (at, count) in buckets.counts().enumerate() {
        if at >= BUCKETS_MAX {
            return Err(Refusal::Buckets);
        }
        let index = buckets.offset().checked_add(at as i32).ok_or(Refusal::Buckets)?;
        if count > 0 {
            out.push(((index >> shift).checked_add(1).ok_or(Refusal::Buckets)?, count as f64));
        }
    }
    Ok(merge_equal(out))
}

/// Buckets of a schema lower by `by`.
fn coarser(buckets: &[(i32, f64)], by: i32) -> Vec<(i32, f64)> {
    let down = |index: i32| ((index - 1) >> by) + 1;
    buckets.iter().map(|(index, count)| (down(*index), *count)).collect()
}

fn merge_equal(sorted: Vec<(i32, f64)>) -> Vec<(i32, f64)> {
    let mut out: Vec<(i32, f64)> = Vec::with_capacity(sorted.len());
    for (index, count) in sorted {
        match out.last_mut() {
            Some(last) if last.0 == index => last.1 += count,
            _ => out.push((index, count)),
        }
    }
    out
}
