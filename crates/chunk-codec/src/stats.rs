// SPDX-License-Identifier: Apache-2.0
//! What is told of a chunk without decoding it: enough for wide steps of `*_over_time`, `count`,
//! `rate` and `increase` over whole chunks.

/// Prometheus' staleness marker; not a sample.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// Statistics of the values of a chunk, staleness markers left out. All NaN but `count` and the
/// counters when there is no value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Values.
    pub count: u32,
    /// Staleness markers.
    pub stale: u32,
    /// First value.
    pub first: f64,
    /// Last value.
    pub last: f64,
    /// Least value, of equal ones (0 and -0) the first; NaN only when all are.
    pub min: f64,
    /// Greatest value, likewise.
    pub max: f64,
    /// Sum, compensated (Neumaier) as Prometheus does.
    pub sum: f64,
    /// How often a value was below the one before it: resets, if it is a counter.
    pub resets: u32,
    /// What was lost at resets, the values before each summed up: a counter's increase over the
    /// chunk is `last - first + drops`.
    pub drops: f64,
    /// How often a value was another than the one before it.
    pub changes: u32,
}

impl Default for Stats {
    fn default() -> Self {
        let none = f64::NAN;
        let (first, last, min, max, sum) = (none, none, none, none, none);
        let (count, stale, resets, changes) = (0, 0, 0, 0);
        Stats { count, stale, first, last, min, max, sum, resets, drops: 0.0, changes }
    }
}

/// The statistics of `values`, ascending by time.
pub fn stats(values: &[f64]) -> Stats {
    let mut stats = Stats::default();
    let (mut sum, mut rest) = (0.0, 0.0);
    for value in values {
        if value.to_bits() == STALE {
            stats.stale += 1;
            continue;
        }
        add(&mut sum, &mut rest, *value);
        if stats.count == 0 {
            stats.first = *value;
        } else {
            let is_reset = *value < stats.last;
            stats.resets += u32::from(is_reset);
            stats.drops += if is_reset { stats.last } else { 0.0 };
            let is_same = *value == stats.last || (value.is_nan() && stats.last.is_nan());
            stats.changes += u32::from(!is_same);
        }
        if *value < stats.min || stats.min.is_nan() {
            stats.min = *value;
        }
        if *value > stats.max || stats.max.is_nan() {
            stats.max = *value;
        }
        stats.last = *value;
        stats.count += 1;
    }
    if stats.count > 0 {
        // An infinity makes the compensation NaN.
        stats.sum = if sum.is_infinite() { sum } else { sum + rest };
    }
    stats
}

fn add(sum: &mut f64, rest: &mut f64, value: f64) {
    let total = *sum + value;
    if total.is_infinite() {
        *rest = 0.0;
    } else if sum.abs() >= value.abs() {
        *rest += (*sum - total) + value;
    } else {
        *rest += (value - total) + *sum;
    }
    *sum = total;
}
