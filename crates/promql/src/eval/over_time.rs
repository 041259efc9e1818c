// SPDX-License-Identifier: Apache-2.0
//! Statistics of one window: `*_over_time`, `deriv`, `predict_linear`, smoothing.

use super::column::Value;
use super::range::{Kernel, Window};
use super::{Evaluated, failed};
use crate::histogram::{Combined, HistogramMean, HistogramSum};
use crate::notes::{
    BOUNDS_RECONCILED, HINTS_CONFLICT, MIXED_FLOATS_HISTOGRAMS, MIXED_SCHEMAS, for_metric,
};
use crate::number::{Mean, Sum};

type Kernelled = Evaluated<Option<Value>>;

/// The values of a window without histograms; says so when it leaves some out.
fn floats<'a>(k: &mut Kernel<'a>) -> Option<&'a [f64]> {
    let values = k.window.values();
    if values.is_empty() {
        return None;
    }
    note_ignored(k);
    Some(values)
}

fn note_ignored(k: &mut Kernel<'_>) {
    if !k.window.histograms().is_empty() {
        let text = "ignored histograms in a range containing both floats and histograms";
        k.notes.info(k.span, for_metric(text, k.window.name()));
    }
}

fn of_floats(k: &mut Kernel<'_>, compute: impl Fn(&[f64]) -> f64) -> Kernelled {
    Ok(floats(k).map(|values| compute(values).into()))
}

/// True, with a warning, when floats and histograms are mixed.
fn mixed(k: &mut Kernel<'_>) -> bool {
    let mixed = !k.window.values().is_empty() && !k.window.histograms().is_empty();
    if mixed {
        k.notes.warn(k.span, for_metric(MIXED_FLOATS_HISTOGRAMS, k.window.name()));
    }
    mixed
}

fn note_combined(k: &mut Kernel<'_>, combined: Combined) {
    if combined.hints_conflict {
        k.notes.warn(k.span, format!("{HINTS_CONFLICT} aggregation"));
    }
    if combined.bounds_reconciled {
        k.notes.info(k.span, format!("{BOUNDS_RECONCILED} aggregation"));
    }
}

pub(super) fn sum(k: &mut Kernel<'_>) -> Kernelled {
    if mixed(k) {
        return Ok(None);
    }
    if let [first, rest @ ..] = k.window.histograms() {
        let mut total = HistogramSum::of(&first.histogram);
        let mut combined = Combined::default();
        for sample in rest {
            match total.add(&sample.histogram) {
                Ok(more) => combined = combined.and(more),
                Err(_) => {
                    k.notes.warn(k.span, for_metric(MIXED_SCHEMAS, k.window.name()));
                    return Ok(None);
                }
            }
        }
        note_combined(k, combined);
        return Ok(Some(total.value().into()));
    }
    of_floats(k, |values| {
        let mut total = Sum::default();
        values.iter().for_each(|v| total.add(*v));
        total.value()
    })
}

pub(super) fn avg(k: &mut Kernel<'_>) -> Kernelled {
    if mixed(k) {
        return Ok(None);
    }
    if let [first, rest @ ..] = k.window.histograms() {
        let mut mean = HistogramMean::of(&first.histogram);
        let mut combined = Combined::default();
        for sample in rest {
            match mean.add(&sample.histogram) {
                Ok(more) => combined = combined.and(more),
                Err(_) => {
                    k.notes.warn(k.span, for_metric(MIXED_SCHEMAS, k.window.name()));
                    return Ok(None);
                }
            }
        }
        note_combined(k, combined);
        return Ok(Some(mean.value().into()));
    }
    of_floats(k, |values| {
        let mut mean = Mean::of(values[0]);
        values[1..].iter().for_each(|v| mean.add(*v));
        mean.value()
    })
}

fn samples(w: &Window<'_>) -> usize {
    w.values().len() + w.histograms().len()
}

pub(super) fn count(k: &mut Kernel<'_>) -> Kernelled {
    let count = samples(k.window);
    Ok((count > 0).then(|| (count as f64).into()))
}

pub(super) fn present(k: &mut Kernel<'_>) -> Kernelled {
    Ok((samples(k.window) > 0).then(|| 1.0.into()))
}

/// The extreme value and the index of its last (min, max) occurrence; NaN loses to any number.
pub(super) fn extreme(values: &[f64], better: impl Fn(f64, f64) -> bool) -> (f64, usize) {
    let (mut best, mut at) = (values[0], 0);
    for (i, value) in values.iter().enumerate() {
        if better(*value, best) || best.is_nan() {
            (best, at) = (*value, i);
        }
    }
    (best, at)
}

pub(super) fn min(k: &mut Kernel<'_>) -> Kernelled {
    of_floats(k, |values| extreme(values, |a, b| a < b).0)
}

pub(super) fn max(k: &mut Kernel<'_>) -> Kernelled {
    of_floats(k, |values| extreme(values, |a, b| a > b).0)
}

pub(super) fn ts_of_min(k: &mut Kernel<'_>) -> Kernelled {
    Ok(floats(k).map(|values| seconds(k.window.times()[extreme(values, |a, b| a <= b).1])))
}

pub(super) fn ts_of_max(k: &mut Kernel<'_>) -> Kernelled {
    Ok(floats(k).map(|values| seconds(k.window.times()[extreme(values, |a, b| a >= b).1])))
}

fn seconds(ms: i64) -> Value {
    Value::Float(ms as f64 / 1000.0)
}

pub(super) fn ts_of_first(k: &mut Kernel<'_>) -> Kernelled {
    let float = k.window.times().first().copied();
    let hist = k.window.histograms().first().map(|h| h.timestamp_ms);
    Ok(float.into_iter().chain(hist).min().map(seconds))
}

pub(super) fn ts_of_last(k: &mut Kernel<'_>) -> Kernelled {
    let float = k.window.times().last().copied();
    let hist = k.window.histograms().last().map(|h| h.timestamp_ms);
    Ok(float.into_iter().chain(hist).max().map(seconds))
}

pub(super) fn first(k: &mut Kernel<'_>) -> Kernelled {
    let w = k.window;
    Ok(match (w.times().first(), w.histograms().first()) {
        (Some(t), other) if other.is_none_or(|h| h.timestamp_ms > *t) => Some(w.values()[0].into()),
        (_, Some(h)) => Some(Value::Hist(h.histogram.clone())),
        _ => None,
    })
}

pub(super) fn last(k: &mut Kernel<'_>) -> Kernelled {
    let w = k.window;
    Ok(match (w.times().last(), w.histograms().last()) {
        (Some(t), other) if other.is_none_or(|h| h.timestamp_ms < *t) => {
            w.values().last().map(|v| (*v).into())
        }
        (_, Some(h)) => Some(Value::Hist(h.histogram.clone())),
        _ => None,
    })
}

fn variance(values: &[f64]) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, Sum::default(), Sum::default());
    for value in values {
        count += 1.0;
        let away = value - (mean.total + mean.lost);
        mean.add(away / count);
        squares.add(away * (value - (mean.total + mean.lost)));
    }
    (squares.total + squares.lost) / count
}

pub(super) fn stddev(k: &mut Kernel<'_>) -> Kernelled {
    of_floats(k, |values| variance(values).sqrt())
}

pub(super) fn stdvar(k: &mut Kernel<'_>) -> Kernelled {
    of_floats(k, variance)
}

pub(super) fn quantile(k: &mut Kernel<'_>) -> Kernelled {
    let q = k.param(0);
    let Some(values) = floats(k) else { return Ok(None) };
    k.scratch.clear();
    k.scratch.extend_from_slice(values);
    Ok(Some(crate::number::quantile(q, k.scratch).into()))
}

/// Median absolute deviation from the median.
pub(super) fn mad(k: &mut Kernel<'_>) -> Kernelled {
    let Some(values) = floats(k) else { return Ok(None) };
    if values.iter().any(|v| v.is_nan()) {
        return Ok(Some(f64::NAN.into()));
    }
    k.scratch.clear();
    k.scratch.extend_from_slice(values);
    let median = crate::number::quantile(0.5, k.scratch);
    k.scratch.iter_mut().for_each(|v| *v = (*v - median).abs());
    Ok(Some(crate::number::quantile(0.5, k.scratch).into()))
}

/// Least squares line: slope per second, and value at `origin`.
fn regression(times: &[i64], values: &[f64], origin: i64) -> (f64, f64) {
    let [mut x_sum, mut y_sum, mut xy_sum, mut xx_sum] = [Sum::default(); 4];
    for (time, y) in times.iter().zip(values) {
        let x = (time - origin) as f64 / 1000.0;
        x_sum.add(x);
        y_sum.add(*y);
        xy_sum.add(x * y);
        xx_sum.add(x * x);
    }
    if values.iter().all(|v| *v == values[0]) {
        if values[0].is_infinite() {
            return (f64::NAN, f64::NAN);
        }
        return (0.0, values[0]);
    }
    let n = values.len() as f64;
    let whole = |s: Sum| s.total + s.lost;
    let (x, y, xy, xx) = (whole(x_sum), whole(y_sum), whole(xy_sum), whole(xx_sum));
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

pub(super) fn deriv(k: &mut Kernel<'_>) -> Kernelled {
    let (times, values) = (k.window.times(), k.window.values());
    if values.len() < 2 {
        if !values.is_empty() {
            note_ignored(k);
        }
        return Ok(None);
    }
    note_ignored(k);
    // Times relative to the first sample keep the sums small.
    Ok(Some(regression(times, values, times[0]).0.into()))
}

pub(super) fn predict_linear(k: &mut Kernel<'_>) -> Kernelled {
    let (times, values) = (k.window.times(), k.window.values());
    if values.len() < 2 {
        if !values.is_empty() {
            note_ignored(k);
        }
        return Ok(None);
    }
    note_ignored(k);
    let (slope, now) = regression(times, values, k.window.step_time);
    Ok(Some((slope * k.param(0) + now).into()))
}

pub(super) fn double_exponential_smoothing(k: &mut Kernel<'_>) -> Kernelled {
    let (smoothing, trending) = (k.param(0), k.param(1));
    for (what, factor) in [("smoothing", smoothing), ("trend", trending)] {
        if !(factor > 0.0 && factor < 1.0) {
            return failed(format!(
                "invalid {what} factor. Expected: 0 < factor < 1, got: {factor}"
            ));
        }
    }
    let values = k.window.values();
    if values.len() < 2 {
        if !values.is_empty() {
            note_ignored(k);
        }
        return Ok(None);
    }
    note_ignored(k);
    let (mut before, mut level, mut trend) = (0.0, values[0], values[1] - values[0]);
    for (i, value) in values.iter().enumerate().skip(1) {
        if i > 1 {
            trend = trending * (level - before) + (1.0 - trending) * trend;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + trend);
        (before, level) = (level, next);
    }
    Ok(Some(level.into()))
}
