// SPDX-License-Identifier: Apache-2.0
//! Range functions of series that are numbers alone: from values and a plan to a whole column.
//!
//! What the functions mean is in `rate` and `over_time`, which take any samples, window by window;
//! here the common ones do all windows of a series in one pass. Both must agree: `tests/it/kernels.rs`.

use super::plan::{Bounds, Plan, Stretch};
use super::pyramid::Pyramid;
use super::rate::Change;
use super::scan::RangeSeries;
use crate::number::{Mean, Sum, stale};

/// A function with a form for plain series.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plain {
    Change(Change),
    /// `irate` (true) or `idelta`.
    LastChange(bool),
    Count,
    Present,
    First,
    Last,
    Sum,
    Avg,
    Min,
    Max,
    Changes,
    Resets,
}

/// The plain form of a function, if it has one.
pub(super) fn plain(function: &str) -> Option<Plain> {
    Some(match function {
        "irate" => Plain::LastChange(true),
        "idelta" => Plain::LastChange(false),
        "count_over_time" => Plain::Count,
        "present_over_time" => Plain::Present,
        "first_over_time" => Plain::First,
        "last_over_time" => Plain::Last,
        "sum_over_time" => Plain::Sum,
        "avg_over_time" => Plain::Avg,
        "min_over_time" => Plain::Min,
        "max_over_time" => Plain::Max,
        "changes" => Plain::Changes,
        "resets" => Plain::Resets,
        _ => return super::rate::change_of(function).map(Plain::Change),
    })
}

impl Plain {
    /// True when it makes sense for counters only.
    pub(super) fn wants_counter(self) -> bool {
        matches!(self, Plain::Change(Change { counter: true, .. }))
    }

    /// Appends the function's value at each step, the staleness bits where there is none.
    pub(super) fn run(self, series: &RangeSeries<'_>, plan: &Plan, out: &mut Vec<f64>) {
        let (values, times, known) = (series.values, series.times, series.known);
        let no_nan = || known.no_nan || !has_nan(values);
        let each = |compute: &dyn Fn(&[f64]) -> f64, out: &mut Vec<f64>| {
            out.extend(plan.bounds.iter().map(|bounds| match inside(values, *bounds) {
                [] => stale(),
                window => compute(window),
            }));
        };
        match self {
            Plain::Change(change) if !change.counter || known.no_falls || !has_fall(values) => {
                steady(values, plan, change.counter, out);
            }
            Plain::Change(_) => with_falls(values, &falls(values), plan, out),
            Plain::LastChange(counter) => last_changes(values, times, plan, counter, out),
            Plain::Count => each(&|w| w.len() as f64, out),
            Plain::Present => each(&|_| 1.0, out),
            Plain::First => each(&|w| w[0], out),
            Plain::Last => each(&|w| w[w.len() - 1], out),
            Plain::Sum => sums(values, plan, out, |_, _, sum| sum.value()),
            Plain::Avg => sums(values, plan, out, |_, window, sum| match sum.total.is_finite() {
                true => sum.value() / window.len() as f64,
                false => {
                    let mut mean = Mean::of(window[0]);
                    window[1..].iter().for_each(|v| mean.add(*v));
                    mean.value()
                }
            }),
            Plain::Min if overlap(values, plan) && no_nan() => {
                extremes(values, plan, out, |a, b| if b < a { b } else { a });
            }
            Plain::Max if overlap(values, plan) && no_nan() => {
                extremes(values, plan, out, |a, b| if b > a { b } else { a });
            }
            Plain::Min if no_nan() => each(&|w| least(w, |a, b| a < b), out),
            Plain::Max if no_nan() => each(&|w| least(w, |a, b| a > b), out),
            Plain::Min => each(&|w| super::over_time::extreme(w, |a, b| a < b).0, out),
            Plain::Max => each(&|w| super::over_time::extreme(w, |a, b| a > b).0, out),
            Plain::Changes => {
                counts(values.windows(2).map(|pair| u32::from(differ(pair))), plan, out);
            }
            Plain::Resets => {
                counts(values.windows(2).map(|pair| u32::from(falls_in(pair))), plan, out);
            }
        }
    }
}

fn inside(values: &[f64], (from, to): Bounds) -> &[f64] {
    &values[from as usize..to as usize]
}

/// True when a value is NaN, staleness markers included.
pub(super) fn has_nan(values: &[f64]) -> bool {
    // No early end inside a block: that lets the compiler test several at once.
    values.chunks(256).any(|block| block.iter().fold(false, |any, v| any | v.is_nan()))
}

fn has_fall(values: &[f64]) -> bool {
    let (before, now) = (values, values.get(1..).unwrap_or_default());
    before.chunks(256).zip(now.chunks(256)).any(|(before, now)| {
        before.iter().zip(now).fold(false, |any, (before, now)| any | (now < before))
    })
}

/// Changes of a series that never falls, or whose falls are changes like others.
pub(super) fn steady(values: &[f64], plan: &Plan, counter: bool, out: &mut Vec<f64>) {
    out.extend(plan.stretches.iter().zip(&plan.spans).map(|(s, span)| {
        if s.first == s.last {
            return stale();
        }
        let first = values[s.first as usize];
        let difference = values[s.last as usize] - first;
        stretched(first, difference, s, *span, counter, plan.divisor)
    }));
}

/// Changes of a counter that was reset.
pub(super) fn with_falls(values: &[f64], falls: &[(u32, f64)], plan: &Plan, out: &mut Vec<f64>) {
    let mut next = 0;
    out.extend(plan.stretches.iter().zip(&plan.spans).map(|(s, span)| {
        if s.first == s.last {
            return stale();
        }
        while falls.get(next).is_some_and(|(at, _)| *at <= s.first) {
            next += 1;
        }
        let inside = falls[next..].iter().take_while(|(at, _)| *at <= s.last);
        let lost = inside.map(|(_, lost)| lost).sum::<f64>();
        let first = values[s.first as usize];
        let difference = values[s.last as usize] - first + lost;
        stretched(first, difference, s, *span, true, plan.divisor)
    }));
}

#[inline]
fn stretched(
    first: f64,
    difference: f64,
    s: &Stretch,
    (sampled, to_end): (f64, f64),
    counter: bool,
    divisor: f64,
) -> f64 {
    // A counter's zero inside the stretch before the first sample ends the extrapolation.
    let began = counter && first < s.zero * difference && first >= 0.0;
    if !began {
        return difference * s.factor;
    }
    let to_zero = sampled * (first / difference);
    difference * ((sampled + to_zero + to_end) / sampled / divisor)
}

/// Where a counter fell, and from which value.
fn falls(values: &[f64]) -> Vec<(u32, f64)> {
    let pairs = values.windows(2).enumerate();
    pairs.filter(|(_, pair)| falls_in(pair)).map(|(i, pair)| (i as u32 + 1, pair[0])).collect()
}

fn last_changes(values: &[f64], times: &[i64], plan: &Plan, counter: bool, out: &mut Vec<f64>) {
    out.extend(plan.bounds.iter().map(|(from, to)| {
        if to - from < 2 {
            return stale();
        }
        let last = *to as usize - 1;
        let (before, now) = (values[last - 1], values[last]);
        let change = if counter && now < before { now } else { now - before };
        match counter {
            true => change / ((times[last] - times[last - 1]) as f64 / 1000.0),
            false => change,
        }
    }));
}

/// True when the windows overlap so much that joining parts pays.
fn overlap(values: &[f64], plan: &Plan) -> bool {
    plan.seen > 8 * values.len() as u64
}

fn extremes(values: &[f64], plan: &Plan, out: &mut Vec<f64>, join: impl Fn(f64, f64) -> f64) {
    let pyramid = Pyramid::new(values, |v| v, &join);
    out.extend(plan.bounds.iter().map(|(from, to)| match (*from as usize, *to as usize) {
        (from, to) if from == to => stale(),
        (from, to) => pyramid.fold(values, (from + 1, to), values[from], |v| v, &join),
    }));
}

/// The sum of each window, made a value of by its step, its numbers and their sum. Neighbouring windows are mostly of one length: four at a time, for one
/// alone would wait for each of its additions.
pub(super) fn sums(
    values: &[f64],
    plan: &Plan,
    out: &mut Vec<f64>,
    finish: impl Fn(usize, &[f64], Sum) -> f64,
) {
    let before = out.len();
    let mut emit = |window: &[f64], sum: Sum| {
        let step = out.len() - before;
        out.push(if window.is_empty() { stale() } else { finish(step, window, sum) });
    };
    if overlap(values, plan) {
        let join = |a: Sum, b: Sum| a.joined(b);
        let pyramid = Pyramid::new(values, Sum::of, join);
        for bounds in &plan.bounds {
            let window = (bounds.0 as usize, bounds.1 as usize);
            let sum = pyramid.fold(values, window, Sum::default(), Sum::of, join);
            emit(inside(values, *bounds), sum);
        }
        return;
    }
    for four in plan.bounds.chunks(4) {
        if let [a, b, c, d] = four {
            let windows = [a, b, c, d].map(|bounds| inside(values, *bounds));
            if windows.iter().all(|w| w.len() == windows[0].len()) {
                let sums = four_sums(windows);
                windows.iter().zip(sums).for_each(|(window, sum)| emit(window, sum));
                continue;
            }
        }
        for bounds in four {
            let window = inside(values, *bounds);
            let mut sum = Sum::default();
            window.iter().for_each(|v| sum.add(*v));
            emit(window, sum);
        }
    }
}

/// The sums of four windows of one length, as [`Sum::add`] makes them.
fn four_sums([a, b, c, d]: [&[f64]; 4]) -> [Sum; 4] {
    let (mut totals, mut losses) = ([0.0f64; 4], [0.0f64; 4]);
    for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
        let lanes = totals.iter_mut().zip(&mut losses).zip([a, b, c, d]);
        for ((total, lost), value) in lanes {
            let next = *total + value;
            let taken = next - *total;
            *lost += (*total - (next - taken)) + (value - taken);
            *total = next;
        }
    }
    let sum = |at: usize| match totals[at].is_infinite() {
        true => Sum::of(totals[at]),
        false => Sum { total: totals[at], lost: losses[at] },
    };
    [sum(0), sum(1), sum(2), sum(3)]
}

/// The extreme of a window without NaN.
fn least(window: &[f64], better: impl Fn(f64, f64) -> bool) -> f64 {
    let mut best = [window[0]; 4];
    let mut blocks = window.chunks_exact(4);
    for block in &mut blocks {
        for (best, value) in best.iter_mut().zip(block) {
            *best = if better(*value, *best) { *value } else { *best };
        }
    }
    let rest = blocks.remainder().iter().chain(&best[1..]);
    rest.fold(best[0], |best, value| if better(*value, best) { *value } else { best })
}

/// True when a value is another than the one before it.
pub(super) fn differ(pair: &[f64]) -> bool {
    pair[0] != pair[1] && !(pair[0].is_nan() && pair[1].is_nan())
}

/// True when a value is below the one before it.
pub(super) fn falls_in(pair: &[f64]) -> bool {
    pair[1] < pair[0]
}

/// How often something happened in each window, by how often it did between neighbours.
pub(super) fn counts(between: impl Iterator<Item = u32>, plan: &Plan, out: &mut Vec<f64>) {
    // How often it did up to each place.
    let mut total = 0u32;
    let mut until = vec![0];
    until.extend(between.map(|more| {
        total += more;
        total
    }));
    out.extend(plan.bounds.iter().map(|(from, to)| match from == to {
        true => stale(),
        false => f64::from(until[*to as usize - 1] - until[*from as usize]),
    }));
}
