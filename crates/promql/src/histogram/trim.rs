// SPDX-License-Identifier: Apache-2.0
//! Cutting a histogram at a value: the `</` and `>/` operators.
//!
//! A bucket across the cut keeps its interpolated share. What stays counts as lying at the middle
//! of its bucket (geometric for exponential ones), which gives the new sum; a cut that takes
//! nothing away leaves the histogram as it is. Buckets that end at infinity can not be shared out:
//! they go or stay whole.

use super::{Bucket, Buckets, FloatHistogram};

/// How much of a bucket stays, and the value it counts as.
struct Kept {
    count: f64,
    at: f64,
}

impl FloatHistogram {
    /// The observations below (`below`) or above `cut`.
    pub(crate) fn trimmed(&self, cut: f64, below: bool) -> Self {
        let mut out = self.emptied();
        let mut changed = false;
        let mut keep = |this: &Self, bucket: Bucket| {
            let Kept { count, at } = this.kept(bucket, cut, below);
            changed |= count != bucket.count;
            out.count += count;
            if count != 0.0 {
                out.sum += count * at;
            }
            count
        };
        let mut list = |buckets: &Buckets, bounds: fn(&Self, (i32, f64)) -> Bucket| {
            let cut = buckets.iter().map(|b| (b.0, keep(self, bounds(self, *b))));
            cut.filter(|(_, count)| *count != 0.0).collect::<Buckets>()
        };
        let negative = list(&self.negative, Self::negative_bucket);
        let positive = list(&self.positive, Self::positive_bucket);
        let zero = self.zero_bucket().map_or(0.0, |zero| keep(self, self.one_sided(zero)));
        if !changed {
            return self.clone();
        }
        (out.negative, out.positive, out.zero_count) = (negative, positive, zero);
        out
    }

    fn kept(&self, b: Bucket, cut: f64, below: bool) -> Kept {
        let (whole_stays, all_goes) = match below {
            true => (b.upper <= cut, b.lower >= cut),
            false => (b.lower >= cut, b.upper <= cut),
        };
        if whole_stays {
            return Kept { count: b.count, at: self.middle(b) };
        }
        if all_goes || cut.is_nan() {
            return Kept { count: 0.0, at: 0.0 };
        }
        if b.lower.is_infinite() || b.upper.is_infinite() {
            return kept_of_endless(b, cut, below);
        }
        self.share(b, cut, below)
    }

    /// The part of a finite bucket on the wanted side of the cut.
    fn share(&self, b: Bucket, cut: f64, below: bool) -> Kept {
        let under = self.part_below(b, cut);
        let (count, part) = match below {
            true => (under, Bucket { upper: cut, ..b }),
            false => (b.count - under, Bucket { lower: cut, ..b }),
        };
        // A part of the zero bucket is as linear as the whole.
        let at = match self.is_linear(b) {
            true => (part.lower + part.upper) / 2.0,
            false => self.middle(part),
        };
        Kept { count, at }
    }

    /// The value a bucket's observations count as.
    fn middle(&self, b: Bucket) -> f64 {
        match (b.lower.is_infinite(), b.upper.is_infinite()) {
            (true, true) => 0.0,
            (true, false) if b.upper > 0.0 => b.upper / 2.0,
            (true, false) => b.upper,
            (false, true) => b.lower,
            (false, false) if self.is_linear(b) => (b.lower + b.upper) / 2.0,
            (false, false) => (b.lower * b.upper).sqrt().copysign(b.lower),
        }
    }
}

/// The custom buckets below the first and above the last bound, with the cut inside.
fn kept_of_endless(b: Bucket, cut: f64, below: bool) -> Kept {
    let gone = Kept { count: 0.0, at: 0.0 };
    let whole = Kept { count: b.count, at: cut };
    match (b.lower.is_infinite(), b.upper.is_infinite()) {
        (true, true) => gone,
        // Above the last bound nothing is known: all of it counts as at the cut, or is cut off.
        (false, _) => match below {
            true => gone,
            false => whole,
        },
        (true, false) if b.upper <= 0.0 => match below {
            true => whole,
            false => gone,
        },
        // The lowest bucket of positive bounds starts at zero.
        (true, false) => {
            let share = cut / b.upper;
            match below {
                true if cut <= 0.0 => gone,
                true => Kept { count: b.count * share, at: cut / 2.0 },
                false if cut < 0.0 => gone,
                false => Kept { count: b.count * (1.0 - share), at: (cut + b.upper) / 2.0 },
            }
        }
    }
}
