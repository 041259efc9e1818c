// SPDX-License-Identifier: Apache-2.0
//! Numbers as Prometheus prints them, and compensated sums as it adds them.

/// The bit pattern that marks a series as ended at this time; not a value.
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The staleness marker as a number.
pub fn stale() -> f64 {
    f64::from_bits(STALE_BITS)
}

/// True for the staleness marker, false for every other NaN.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// Shortest text that reads back as `value`: `1`, `0.25`, `1e+21`, `+Inf`, `-Inf`, `NaN`.
pub fn format(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let size = value.abs();
    if value != 0.0 && !(1e-4..1e21).contains(&size) {
        return exponent_form(value);
    }
    format!("{value}")
}

/// As [`format`], but always without an exponent (label values of `count_values`).
pub fn format_plain(value: f64) -> String {
    if value.is_finite() { format!("{value}") } else { format(value) }
}

/// As [`format`], with an exponent only beyond 1e21 in size, like Go's `%g` of shortest precision.
fn exponent_form(value: f64) -> String {
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text,
    }
}

/// A sum that carries what rounding lost (Neumaier's form of Kahan summation).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sum {
    pub total: f64,
    pub lost: f64,
}

impl Sum {
    pub(crate) fn of(value: f64) -> Self {
        Sum { total: value, lost: 0.0 }
    }

    /// What rounding lost is found without a branch (Knuth's form), to the same bit.
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        let next = self.total + value;
        let taken = next - self.total;
        let lost = (self.total - (next - taken)) + (value - taken);
        self.lost = if next.is_infinite() { 0.0 } else { self.lost + lost };
        self.total = next;
    }

    /// The sum of all that both are the sums of.
    pub(crate) fn joined(mut self, other: Sum) -> Self {
        self.add(other.total);
        self.lost += other.lost;
        self
    }

    /// Both parts times `factor`.
    pub(crate) fn scaled(self, factor: f64) -> Self {
        Sum { total: self.total * factor, lost: self.lost * factor }
    }

    pub(crate) fn value(self) -> f64 {
        if self.total.is_infinite() { self.total } else { self.total + self.lost }
    }
}

/// A mean that starts as sum over count and turns incremental when the sum would overflow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mean {
    sum: Sum,
    count: f64,
    incremental: bool,
}

impl Mean {
    pub(crate) fn of(value: f64) -> Self {
        Mean { sum: Sum::of(value), count: 1.0, incremental: false }
    }

    /// The mean of `count` values whose sum did not overflow.
    pub(crate) fn of_parts(sum: Sum, count: f64) -> Self {
        Mean { sum, count, incremental: false }
    }

    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let mut next = self.sum;
            next.add(value);
            if !next.total.is_infinite() {
                self.sum = next;
                return;
            }
            self.incremental = true;
            let before = self.count - 1.0;
            self.sum = Sum { total: self.sum.total / before, lost: self.sum.lost / before };
        }
        let kept = (self.count - 1.0) / self.count;
        self.sum = self.sum.scaled(kept);
        self.sum.add(value / self.count);
    }

    pub(crate) fn value(self) -> f64 {
        let Sum { total, lost } = self.sum;
        if self.incremental { total + lost } else { (total + lost) / self.count }
    }
}

/// The `q`-quantile of unsorted `values`, interpolated; NaN counts as smallest. Reorders them.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let rank = q * (values.len() - 1) as f64;
    let low = rank.floor().max(0.0);
    let index = low as usize;
    let weight = rank - low;
    let any_nan = values.iter().fold(false, |any, v| any | v.is_nan());
    let order = if any_nan { nan_first } else { f64::total_cmp };
    let (_, at, above) = values.select_nth_unstable_by(index, order);
    let at = *at;
    let next = above.iter().copied().min_by(order).unwrap_or(at);
    at * (1.0 - weight) + next * weight
}

/// Order of numbers with NaN before all others.
pub(crate) fn nan_first(a: &f64, b: &f64) -> std::cmp::Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal),
        (a, b) => b.cmp(&a),
    }
}
