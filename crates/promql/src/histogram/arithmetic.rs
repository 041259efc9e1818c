// SPDX-License-Identifier: Apache-2.0
//! Adding, subtracting, scaling and comparing histograms of different shape.

use std::sync::Arc;

use super::{Buckets, FloatHistogram, ResetHint};
use crate::number::Sum;

/// What a combination had to put up with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Combined {
    /// One side says "reset", the other "not reset".
    pub hints_conflict: bool,
    /// Custom bounds differed; the result has those that both have.
    pub bounds_reconciled: bool,
}

impl Combined {
    pub(crate) fn and(self, other: Combined) -> Combined {
        Combined {
            hints_conflict: self.hints_conflict || other.hints_conflict,
            bounds_reconciled: self.bounds_reconciled || other.bounds_reconciled,
        }
    }
}

/// Exponential and custom buckets have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incompatible;

impl FloatHistogram {
    /// `self + other`.
    pub(crate) fn add(&self, other: &Self) -> Result<(Self, Combined), Incompatible> {
        let (mut a, b, reconciled) = aligned(self, other)?;
        let hints_conflict = mix_hints(&mut a.hint, other.hint);
        a.zero_count += b.zero_count;
        a.count += b.count;
        a.sum += b.sum;
        a.positive = merge(&a.positive, &b.positive, |x, y| x + y);
        a.negative = merge(&a.negative, &b.negative, |x, y| x + y);
        Ok((a, Combined { hints_conflict, bounds_reconciled: reconciled }))
    }

    /// `self - other`, always a gauge.
    pub(crate) fn sub(&self, other: &Self) -> Result<(Self, Combined), Incompatible> {
        let (mut a, b, reconciled) = aligned(self, other)?;
        let hints_conflict = mix_hints(&mut a.hint, other.hint);
        a.hint = ResetHint::Gauge;
        a.zero_count -= b.zero_count;
        a.count -= b.count;
        a.sum -= b.sum;
        a.positive = merge(&a.positive, &b.positive, |x, y| x - y);
        a.negative = merge(&a.negative, &b.negative, |x, y| x - y);
        Ok((a, Combined { hints_conflict, bounds_reconciled: reconciled }))
    }

    /// All counts and the sum times `factor`; a negative factor makes a gauge.
    pub(crate) fn scaled(&self, factor: f64) -> Self {
        let mut out = self.clone();
        out.map(|value| value * factor);
        if factor < 0.0 {
            out.hint = ResetHint::Gauge;
        }
        out
    }

    /// All counts and the sum over `divisor`. Dividing by zero leaves no buckets.
    pub(crate) fn divided(&self, divisor: f64) -> Self {
        let mut out = self.clone();
        out.map(|value| value / divisor);
        if divisor == 0.0 {
            out.positive.clear();
            out.negative.clear();
        }
        if divisor < 0.0 {
            out.hint = ResetHint::Gauge;
        }
        out
    }

    fn map(&mut self, change: impl Fn(f64) -> f64) {
        self.zero_count = change(self.zero_count);
        self.count = change(self.count);
        self.sum = change(self.sum);
        for (_, count) in self.positive.iter_mut().chain(&mut self.negative) {
            *count = change(*count);
        }
    }

    /// The same observations at a lower resolution.
    pub(crate) fn reduced_to(&self, schema: i32) -> Self {
        if self.is_custom() || schema >= self.schema {
            return self.clone();
        }
        let shift = self.schema - schema;
        let reduce = |buckets: &Buckets| fold(buckets, |index| ((index - 1) >> shift) + 1);
        let (positive, negative) = (reduce(&self.positive), reduce(&self.negative));
        FloatHistogram { schema, positive, negative, ..self.clone() }
    }

    /// The same observations in the custom buckets that `bounds` (a subset of ours) leave.
    pub(crate) fn with_bounds(&self, bounds: &Arc<[f64]>) -> Self {
        if self.bounds == *bounds {
            return self.clone();
        }
        let target = |index: i32| {
            let upper = usize::try_from(index).ok().and_then(|i| self.bounds.get(i));
            match upper {
                Some(upper) => bounds.partition_point(|b| b < upper) as i32,
                None => bounds.len() as i32,
            }
        };
        let positive = fold(&self.positive, target);
        FloatHistogram { positive, bounds: Arc::clone(bounds), ..self.clone() }
    }

    /// Observations in a zero bucket of at least `threshold`, and how wide it became: a populated
    /// bucket across the threshold is swallowed whole.
    fn zero_for(&self, mut threshold: f64) -> (f64, f64) {
        'widen: loop {
            let mut count = self.zero_count;
            for bucket in self.positive.iter().map(|b| self.positive_bucket(*b)) {
                if bucket.lower >= threshold {
                    break;
                }
                count += bucket.count;
                if bucket.upper > threshold {
                    if bucket.count != 0.0 {
                        threshold = bucket.upper;
                    }
                    break;
                }
            }
            for bucket in self.negative.iter().map(|b| self.negative_bucket(*b)) {
                if bucket.upper <= -threshold {
                    break;
                }
                count += bucket.count;
                if bucket.lower < -threshold {
                    if bucket.count != 0.0 {
                        threshold = -bucket.lower;
                        continue 'widen;
                    }
                    break;
                }
            }
            return (count, threshold);
        }
    }

    fn widen_zero(&mut self, threshold: f64) {
        let (count, threshold) = self.zero_for(threshold);
        (self.zero_count, self.zero_threshold) = (count, threshold);
        let mut positive = std::mem::take(&mut self.positive);
        positive.retain(|b| self.positive_bucket(*b).lower >= threshold);
        let mut negative = std::mem::take(&mut self.negative);
        negative.retain(|b| self.negative_bucket(*b).upper <= -threshold);
        (self.positive, self.negative) = (positive, negative);
    }

    /// True when the counter restarted between `previous` and `self`.
    pub(crate) fn is_reset_after(&self, previous: &Self) -> bool {
        match self.hint {
            ResetHint::Reset => return true,
            ResetHint::NotReset => return false,
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        self.drops_below(previous)
    }

    /// [`Self::is_reset_after`] by content alone.
    pub(crate) fn drops_below(&self, previous: &Self) -> bool {
        if self.count < previous.count || self.is_custom() != previous.is_custom() {
            return true;
        }
        if self.is_custom() {
            let bounds = shared_bounds(&self.bounds, &previous.bounds);
            let (now, before) = (self.with_bounds(&bounds), previous.with_bounds(&bounds));
            return any_drop(&now.positive, &before.positive);
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let (zero_before, threshold) = previous.zero_for(self.zero_threshold);
        if threshold != self.zero_threshold || self.zero_count < zero_before {
            return true;
        }
        let mut before = previous.clone();
        if before.zero_threshold < threshold {
            before.widen_zero(threshold);
        }
        let before = before.reduced_to(self.schema);
        any_drop(&self.positive, &before.positive) || any_drop(&self.negative, &before.negative)
    }
}

/// Mixes two reset hints into the first; true when they contradict each other.
pub(super) fn mix_hints(hint: &mut ResetHint, other: ResetHint) -> bool {
    use ResetHint::*;
    let conflict = matches!((*hint, other), (Reset, NotReset) | (NotReset, Reset));
    *hint = match (*hint, other) {
        (a, b) if a == b => a,
        (Gauge, _) | (_, Gauge) => Gauge,
        _ => Unknown,
    };
    conflict
}

/// Both histograms with one schema, zero bucket and bounds; true when bounds had to give way.
pub(super) fn aligned(
    a: &FloatHistogram,
    b: &FloatHistogram,
) -> Result<(FloatHistogram, FloatHistogram, bool), Incompatible> {
    if a.is_custom() != b.is_custom() {
        return Err(Incompatible);
    }
    if a.is_custom() {
        if a.bounds == b.bounds {
            return Ok((a.clone(), b.clone(), false));
        }
        let bounds = shared_bounds(&a.bounds, &b.bounds);
        return Ok((a.with_bounds(&bounds), b.with_bounds(&bounds), true));
    }
    let schema = a.schema.min(b.schema);
    let (mut a, mut b) = (a.clone(), b.clone());
    while a.zero_threshold != b.zero_threshold {
        if a.zero_threshold > b.zero_threshold {
            b.widen_zero(a.zero_threshold);
        } else {
            a.widen_zero(b.zero_threshold);
        }
    }
    Ok((a.reduced_to(schema), b.reduced_to(schema), false))
}

fn shared_bounds(a: &Arc<[f64]>, b: &Arc<[f64]>) -> Arc<[f64]> {
    if a == b {
        return Arc::clone(a);
    }
    a.iter().copied().filter(|bound| b.contains(bound)).collect()
}

/// Sums the counts of buckets that `target` puts together; `target` keeps the order.
fn fold(buckets: &Buckets, target: impl Fn(i32) -> i32) -> Buckets {
    let mut out: Buckets = Vec::with_capacity(buckets.len());
    for (index, count) in buckets {
        let index = target(*index);
        match out.last_mut() {
            Some(last) if last.0 == index => last.1 += count,
            _ => out.push((index, *count)),
        }
    }
    out
}

/// Joins two bucket lists; a missing bucket counts 0.
pub(super) fn merge<A: Copy + Default, B: Copy + Default, C>(
    a: &[(i32, A)],
    b: &[(i32, B)],
    join: impl Fn(A, B) -> C,
) -> Vec<(i32, C)> {
    let mut out = Vec::with_capacity(a.len().max(b.len()));
    let (mut i, mut j) = (0, 0);
    loop {
        let (left, right) = (a.get(i), b.get(j));
        let index = match (left, right) {
            (None, None) => return out,
            (Some(l), None) => l.0,
            (None, Some(r)) => r.0,
            (Some(l), Some(r)) => l.0.min(r.0),
        };
        let x = left.filter(|l| l.0 == index).map(|l| l.1);
        let y = right.filter(|r| r.0 == index).map(|r| r.1);
        i += usize::from(x.is_some());
        j += usize::from(y.is_some());
        out.push((index, join(x.unwrap_or_default(), y.unwrap_or_default())));
    }
}

fn any_drop(now: &Buckets, before: &Buckets) -> bool {
    merge(now, before, |n, b| n < b).iter().any(|(_, dropped)| *dropped)
}

/// A running sum of histograms; each count is a compensated sum.
#[derive(Clone, Debug)]
pub(crate) struct HistogramSum {
    /// Shape and hint; its counts are not used.
    shape: FloatHistogram,
    count: Sum,
    sum: Sum,
    zero: Sum,
    positive: Vec<(i32, Sum)>,
    negative: Vec<(i32, Sum)>,
    /// Whether a "reset" and a "not reset" hint went in.
    seen: (bool, bool),
}

fn seen(hint: ResetHint) -> (bool, bool) {
    (hint == ResetHint::Reset, hint == ResetHint::NotReset)
}

impl HistogramSum {
    pub(crate) fn of(first: &FloatHistogram) -> Self {
        let sums = |list: &Buckets| list.iter().map(|(i, c)| (*i, Sum::of(*c))).collect();
        HistogramSum {
            count: Sum::of(first.count),
            sum: Sum::of(first.sum),
            zero: Sum::of(first.zero_count),
            positive: sums(&first.positive),
            negative: sums(&first.negative),
            seen: seen(first.hint),
            shape: first.clone(),
        }
    }

    /// The sum so far without the parts that rounding lost, and only those parts.
    fn split(&self) -> (FloatHistogram, FloatHistogram) {
        let part = |take: fn(&Sum) -> f64| {
            let list = |l: &[(i32, Sum)]| l.iter().map(|(i, s)| (*i, take(s))).collect();
            FloatHistogram {
                count: take(&self.count),
                sum: take(&self.sum),
                zero_count: take(&self.zero),
                positive: list(&self.positive),
                negative: list(&self.negative),
                ..self.shape.clone()
            }
        };
        (part(|s| s.total), part(|s| s.lost))
    }

    pub(crate) fn add(&mut self, other: &FloatHistogram) -> Result<Combined, Incompatible> {
        self.add_share(other, 1.0, 1.0)
    }

    /// `self * kept + other / of`, each count compensated.
    fn add_share(
        &mut self,
        other: &FloatHistogram,
        kept: f64,
        of: f64,
    ) -> Result<Combined, Incompatible> {
        let (totals, lost) = self.split();
        let (totals, other, reconciled) = aligned(&totals, other)?;
        let (lost, _, _) = aligned(&lost, &other)?;
        let mut hint = totals.hint;
        mix_hints(&mut hint, other.hint);
        let (reset, not_reset) = seen(other.hint);
        self.seen = (self.seen.0 || reset, self.seen.1 || not_reset);
        let hints_conflict = self.seen == (true, true);
        let step = |total: f64, lost: f64, value: f64| {
            let mut sum = Sum { total, lost }.scaled(kept);
            sum.add(value / of);
            sum
        };
        self.count = step(totals.count, lost.count, other.count);
        self.sum = step(totals.sum, lost.sum, other.sum);
        self.zero = step(totals.zero_count, lost.zero_count, other.zero_count);
        let buckets = |totals: &Buckets, lost: &Buckets, other: &Buckets| {
            let sums = merge(totals, lost, |total, lost| (total, lost));
            merge(&sums, other, |(total, lost), value| step(total, lost, value))
        };
        self.positive = buckets(&totals.positive, &lost.positive, &other.positive);
        self.negative = buckets(&totals.negative, &lost.negative, &other.negative);
        self.shape = FloatHistogram { hint, positive: vec![], negative: vec![], ..totals };
        Ok(Combined { hints_conflict, bounds_reconciled: reconciled })
    }

    pub(crate) fn value(&self) -> FloatHistogram {
        let list = |l: &[(i32, Sum)]| l.iter().map(|(i, s)| (*i, s.value())).collect();
        FloatHistogram {
            count: self.count.value(),
            sum: self.sum.value(),
            zero_count: self.zero.value(),
            positive: list(&self.positive),
            negative: list(&self.negative),
            ..self.shape.clone()
        }
    }

    fn divide(&mut self, by: f64) {
        let buckets = self.positive.iter_mut().chain(&mut self.negative).map(|(_, sum)| sum);
        for sum in buckets.chain([&mut self.count, &mut self.sum, &mut self.zero]) {
            *sum = Sum { total: sum.total / by, lost: sum.lost / by };
        }
    }

    fn overflows(&self) -> bool {
        let (t, _) = self.split();
        let numbers = [t.count, t.sum, t.zero_count];
        let buckets = t.positive.iter().chain(&t.negative).map(|(_, c)| *c);
        numbers.into_iter().chain(buckets).any(f64::is_infinite)
    }
}

/// A running mean of histograms; turns incremental when a sum would overflow.
#[derive(Clone, Debug)]
pub(crate) struct HistogramMean {
    sum: HistogramSum,
    count: f64,
    incremental: bool,
}

impl HistogramMean {
    pub(crate) fn of(first: &FloatHistogram) -> Self {
        HistogramMean { sum: HistogramSum::of(first), count: 1.0, incremental: false }
    }

    pub(crate) fn add(&mut self, other: &FloatHistogram) -> Result<Combined, Incompatible> {
        self.count += 1.0;
        if !self.incremental {
            let mut next = self.sum.clone();
            let combined = next.add(other)?;
            if !next.overflows() {
                self.sum = next;
                return Ok(combined);
            }
            self.incremental = true;
            self.sum.divide(self.count - 1.0);
        }
        let kept = (self.count - 1.0) / self.count;
        self.sum.add_share(other, kept, self.count)
    }

    pub(crate) fn value(&self) -> FloatHistogram {
        let total = self.sum.value();
        if self.incremental { total } else { total.divided(self.count) }
    }
}
