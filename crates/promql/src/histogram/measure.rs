// SPDX-License-Identifier: Apache-2.0
//! Quantiles, fractions and spread estimated from buckets.

use super::{Bucket, FloatHistogram};
use crate::number::Sum;

/// A measure and whether NaN observations got in its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Observed {
    pub value: f64,
    /// The histogram holds NaN observations, which are in its count but in no bucket.
    pub has_nan: bool,
}

impl FloatHistogram {
    /// True for a zero bucket that has only one populated side.
    pub(super) fn one_sided(&self, mut bucket: Bucket) -> Bucket {
        if !self.is_custom() && bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            if self.negative.is_empty() && !self.positive.is_empty() {
                bucket.lower = 0.0;
            } else if self.positive.is_empty() && !self.negative.is_empty() {
                bucket.upper = 0.0;
            }
        }
        bucket
    }

    /// The `q`-quantile: linear inside custom and zero buckets, else exponential.
    pub(crate) fn quantile(&self, q: f64) -> Observed {
        let plain = |value| Observed { value, has_nan: false };
        if q < 0.0 {
            return plain(f64::NEG_INFINITY);
        }
        if q > 1.0 {
            return plain(f64::INFINITY);
        }
        if self.count == 0.0 || q.is_nan() {
            return plain(f64::NAN);
        }
        // NaN observations are in no bucket, so ranks count from the low end only.
        let has_nan = self.sum.is_nan();
        let forward = has_nan || q < 0.5;
        let rank = if forward { q * self.count } else { (1.0 - q) * self.count };
        let (found, count) = match forward {
            true => bucket_at_rank(self.buckets(), rank),
            false => bucket_at_rank(self.buckets().rev(), rank),
        };
        let Some(bucket) = found else { return Observed { value: f64::NAN, has_nan } };
        let mut bucket = self.one_sided(bucket);
        if self.is_custom() {
            if bucket.lower == f64::NEG_INFINITY {
                if bucket.upper <= 0.0 {
                    return Observed { value: bucket.upper, has_nan };
                }
                bucket.lower = 0.0;
            } else if bucket.upper == f64::INFINITY {
                return Observed { value: bucket.lower, has_nan };
            }
        }
        let count = count.min(self.count);
        if count < rank {
            return Observed { value: if has_nan { f64::NAN } else { bucket.upper }, has_nan };
        }
        let into = if forward { rank - (count - bucket.count) } else { count - rank };
        Observed { value: self.interpolate(bucket, into / bucket.count), has_nan }
    }

    /// True for custom and zero buckets: observations are taken to be spread evenly.
    pub(super) fn is_linear(&self, b: Bucket) -> bool {
        self.is_custom() || (b.lower <= 0.0 && b.upper >= 0.0)
    }

    fn interpolate(&self, b: Bucket, fraction: f64) -> f64 {
        if self.is_linear(b) {
            return b.lower + (b.upper - b.lower) * fraction;
        }
        let (low, high) = (b.lower.abs().log2(), b.upper.abs().log2());
        if b.lower > 0.0 {
            (low + (high - low) * fraction).exp2()
        } else {
            -(high + (low - high) * (1.0 - fraction)).exp2()
        }
    }

    /// How many of a bucket's observations are below `value`, which lies inside it.
    pub(super) fn part_below(&self, b: Bucket, value: f64) -> f64 {
        if self.is_linear(b) {
            if b.lower == f64::NEG_INFINITY {
                return b.count;
            }
            if b.upper == f64::INFINITY {
                return 0.0;
            }
            return b.count * (value - b.lower) / (b.upper - b.lower);
        }
        let (low, high, at) = (b.lower.abs().log2(), b.upper.abs().log2(), value.abs().log2());
        let fraction =
            if value > 0.0 { (at - low) / (high - low) } else { 1.0 - (at - high) / (low - high) };
        b.count * fraction
    }

    /// The bounds to interpolate within: a lowest custom bucket above zero starts at zero.
    fn interpolation_bounds(&self, bucket: Bucket) -> Bucket {
        let mut bucket = self.one_sided(bucket);
        if self.is_custom() && bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 {
            bucket.lower = 0.0;
        }
        bucket
    }

    /// Share of observations between two values.
    pub(crate) fn fraction(&self, lower: f64, upper: f64) -> Observed {
        let has_nan = self.sum.is_nan();
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return Observed { value: f64::NAN, has_nan: false };
        }
        if lower >= upper {
            return Observed { value: 0.0, has_nan };
        }
        let (mut rank, mut low, mut high) = (0.0, None, None);
        for bucket in self.buckets() {
            let b = self.interpolation_bounds(bucket);
            for (slot, value) in [(&mut low, lower), (&mut high, upper)] {
                if slot.is_some() {
                } else if b.lower >= value {
                    *slot = Some(rank);
                } else if b.upper > value {
                    *slot = Some(rank + self.part_below(b, value));
                }
            }
            rank += b.count;
        }
        // Without NaN observations the buckets hold all; a total beyond it is rounding.
        let all = if has_nan { rank } else { self.count };
        let low = low.unwrap_or(all).min(all);
        let high = high.unwrap_or(all).min(all);
        Observed { value: (high - low) / self.count, has_nan }
    }

    /// Estimated variance of the observations.
    pub(crate) fn variance(&self) -> f64 {
        let mean = self.sum / self.count;
        let mut sum = Sum::default();
        for b in self.buckets() {
            if b.count == 0.0 {
                continue;
            }
            let middle = if self.is_custom() {
                if b.lower == f64::NEG_INFINITY && b.upper > 0.0 {
                    b.upper / 2.0
                } else if b.lower == f64::NEG_INFINITY {
                    b.upper
                } else if b.upper == f64::INFINITY {
                    b.lower
                } else {
                    (b.lower + b.upper) / 2.0
                }
            } else if b.lower <= 0.0 && b.upper >= 0.0 {
                0.0
            } else {
                let size = (b.upper * b.lower).sqrt();
                if b.upper < 0.0 { -size } else { size }
            };
            let away = middle - mean;
            sum.add(b.count * away * away);
        }
        (sum.total + sum.lost) / self.count
    }
}

/// The first populated bucket at which `rank` observations are reached, and how many that is.
fn bucket_at_rank(buckets: impl Iterator<Item = Bucket>, rank: f64) -> (Option<Bucket>, f64) {
    let (mut last, mut count) = (None, 0.0);
    for bucket in buckets {
        last = Some(bucket);
        if bucket.count == 0.0 {
            continue;
        }
        count += bucket.count;
        if count >= rank {
            break;
        }
    }
    (last, count)
}
