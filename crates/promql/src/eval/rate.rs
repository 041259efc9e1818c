// SPDX-License-Identifier: Apache-2.0
//! How much a series changed in a window: `rate`, `increase`, `delta`, `irate`, `idelta`,
//! `changes`, `resets`.
//!
//! The first three extrapolate from the samples inside to the window's edges, at most half a
//! sample interval beyond a gap, and for counters never below zero. Source: Prometheus
//! documentation of these functions and its test suite.

use super::Evaluated;
use super::column::Value;
use super::range::{Kernel, Window};
use crate::histogram::{FloatHistogram, ResetHint};
use crate::notes::{BOUNDS_RECONCILED, MIXED_FLOATS_HISTOGRAMS, MIXED_SCHEMAS, for_metric};
use crate::source::HistogramSample;

type Kernelled = Evaluated<Option<Value>>;

pub(super) fn rate(k: &mut Kernel<'_>) -> Kernelled {
    Ok(extrapolated(k, true, true))
}

pub(super) fn increase(k: &mut Kernel<'_>) -> Kernelled {
    Ok(extrapolated(k, true, false))
}

pub(super) fn delta(k: &mut Kernel<'_>) -> Kernelled {
    Ok(extrapolated(k, false, false))
}

/// An info when a counter function meets something that is not called a counter.
fn note_non_counter(k: &mut Kernel<'_>) {
    let labels = &k.window.series.labels;
    let (name, kind) = (labels.name(), labels.get("__type__"));
    if name.is_empty() {
        return;
    }
    let counter = match kind {
        "" => ["_total", "_sum", "_count", "_bucket"].iter().any(|s| name.ends_with(s)),
        kind => matches!(kind, "counter" | "histogram"),
    };
    if counter {
        return;
    }
    let text = match kind {
        "" => format!(
            "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \
             {name:?}"
        ),
        kind => format!(
            "metric might not be a counter, __type__ label is not set to \"counter\" or \
             \"histogram\", got {kind:?}: {name:?}"
        ),
    };
    k.notes.info(k.span, text);
}

fn extrapolated(k: &mut Kernel<'_>, counter: bool, per_second: bool) -> Option<Value> {
    let w = k.window;
    let (values, histograms) = (w.values(), w.histograms());
    if !values.is_empty() && !histograms.is_empty() {
        k.notes.warn(k.span, for_metric(MIXED_FLOATS_HISTOGRAMS, w.name()));
        return None;
    }
    if counter && !values.is_empty() {
        note_non_counter(k);
    }
    if values.len() > 1 {
        let times = w.times();
        let mut change = values[values.len() - 1] - values[0];
        if counter {
            let drops = values.windows(2).filter(|pair| pair[1] < pair[0]);
            change += drops.map(|pair| pair[0]).sum::<f64>();
        }
        let zero = (counter && change > 0.0 && values[0] >= 0.0).then(|| values[0] / change);
        let span = (times[0], times[times.len() - 1]);
        let factor = extrapolation(w, span, values.len(), zero, per_second);
        return Some((change * factor).into());
    }
    if histograms.len() > 1 {
        let change = histogram_change(k, histograms, counter)?;
        let first = histograms[0].histogram.count;
        let zero = (counter && change.count > 0.0 && first >= 0.0).then(|| first / change.count);
        let span = (histograms[0].timestamp_ms, histograms[histograms.len() - 1].timestamp_ms);
        let factor = extrapolation(w, span, histograms.len(), zero, per_second);
        return Some(change.scaled(factor).compacted().into());
    }
    None
}

/// What to multiply the change between the first and last sample with. `zero` is the first value
/// over the change: how many times the sampled interval the counter's zero lies before it.
fn extrapolation(
    w: &Window<'_>,
    (first, last): (i64, i64),
    samples: usize,
    zero: Option<f64>,
    per_second: bool,
) -> f64 {
    let seconds = |ms: i64| ms as f64 / 1000.0;
    let (mut to_start, mut to_end) = (seconds(first - w.start), seconds(w.end - last));
    let sampled = seconds(last - first);
    let interval = sampled / (samples - 1) as f64;
    // A gap of more than a missed sample: the series most likely began or ended in the window.
    let threshold = interval * 1.1;
    if to_start >= threshold {
        to_start = interval / 2.0;
    }
    if let Some(zero) = zero {
        to_start = to_start.min(sampled * zero);
    }
    if to_end >= threshold {
        to_end = interval / 2.0;
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if per_second {
        factor /= w.range_seconds();
    }
    factor
}

fn warn_kind(k: &mut Kernel<'_>, kind: &str) {
    let name = k.window.name();
    k.notes.warn(k.span, format!("this native histogram metric is not a {kind}: {name:?}"));
}

/// Last minus first histogram, with what counter resets in between took away.
fn histogram_change(
    k: &mut Kernel<'_>,
    samples: &[HistogramSample],
    counter: bool,
) -> Option<FloatHistogram> {
    let name = k.window.name();
    let gauge = |s: &HistogramSample| s.histogram.hint == ResetHint::Gauge;
    let (first, last) = (&samples[0], &samples[samples.len() - 1]);
    if counter && samples.iter().any(gauge) {
        warn_kind(k, "counter");
    }
    let gauges = gauge(first) && gauge(last);
    if !counter && !gauges {
        warn_kind(k, "gauge");
    }
    // A reset right after the first sample makes its shape irrelevant: start from nothing.
    let first_is_gone = counter && samples[1].histogram.is_reset_after(&first.histogram);
    let start = match first_is_gone {
        true => {
            let second = &samples[1].histogram;
            FloatHistogram { zero_threshold: 0.0, ..second.emptied() }
        }
        false => first.histogram.as_ref().clone(),
    };
    let relevant = &samples[1..];
    let between = if counter { relevant } else { &relevant[relevant.len() - 1..] };
    if between.iter().any(|s| s.histogram.is_custom() != start.is_custom()) {
        k.notes.warn(k.span, for_metric(MIXED_SCHEMAS, name));
        return None;
    }
    let exponential = !start.is_custom();
    let schema = between.iter().map(|s| s.histogram.schema).fold(start.schema, i32::min);
    let reduced = match exponential {
        true => last.histogram.reduced_to(schema),
        false => last.histogram.as_ref().clone(),
    };
    let (mut change, combined) = reduced.sub(&start).ok()?;
    if combined.bounds_reconciled {
        k.notes.info(k.span, format!("{BOUNDS_RECONCILED} subtraction"));
    }
    if counter {
        let mut previous = &start;
        for sample in relevant {
            let now = sample.histogram.as_ref();
            if now.is_reset_after(previous) {
                let (sum, combined) = change.add(previous).ok()?;
                change = sum;
                if combined.bounds_reconciled {
                    k.notes.info(k.span, format!("{BOUNDS_RECONCILED} addition"));
                }
            }
            previous = now;
        }
    }
    change.hint = ResetHint::Gauge;
    Some(change)
}

/// A sample of either kind at a time.
enum Either<'a> {
    Float(f64),
    Hist(&'a FloatHistogram),
}

/// The samples of a window in time order, both kinds.
fn in_order<'a>(w: &Window<'a>) -> impl Iterator<Item = (i64, Either<'a>)> {
    let (times, values, histograms) = (w.times(), w.values(), w.histograms());
    let (mut i, mut j) = (0, 0);
    std::iter::from_fn(move || {
        let float = times.get(i).copied().unwrap_or(i64::MAX);
        let hist = histograms.get(j).map_or(i64::MAX, |h| h.timestamp_ms);
        if float == i64::MAX && hist == i64::MAX {
            None
        } else if float < hist {
            i += 1;
            Some((float, Either::Float(values[i - 1])))
        } else {
            j += 1;
            Some((hist, Either::Hist(&histograms[j - 1].histogram)))
        }
    })
}

pub(super) fn irate(k: &mut Kernel<'_>) -> Kernelled {
    if !k.window.values().is_empty() {
        note_non_counter(k);
    }
    Ok(instant_change(k, true))
}

pub(super) fn idelta(k: &mut Kernel<'_>) -> Kernelled {
    Ok(instant_change(k, false))
}

/// The change between the last two samples.
fn instant_change(k: &mut Kernel<'_>, counter: bool) -> Option<Value> {
    let w = k.window;
    let (mut before, mut last) = (None, None);
    for sample in in_order(w) {
        before = last.replace(sample);
    }
    let ((t0, before), (t1, last)) = (before?, last?);
    let seconds = (t1 - t0) as f64 / 1000.0;
    match (before, last) {
        (Either::Float(before), Either::Float(last)) => {
            let reset = counter && last < before;
            let change = if reset { last } else { last - before };
            Some((if counter { change / seconds } else { change }).into())
        }
        (Either::Hist(before), Either::Hist(last)) => {
            let gauges = [before.hint, last.hint].map(|h| h == ResetHint::Gauge);
            if counter && gauges.contains(&true) {
                warn_kind(k, "counter");
            }
            if !counter && gauges.contains(&false) {
                warn_kind(k, "gauge");
            }
            let mut change = last.clone();
            if !counter || !last.is_reset_after(before) {
                let Ok((difference, combined)) = last.sub(before) else {
                    k.notes.warn(k.span, for_metric(MIXED_SCHEMAS, w.name()));
                    return None;
                };
                if combined.bounds_reconciled {
                    k.notes.info(k.span, format!("{BOUNDS_RECONCILED} subtraction"));
                }
                change = difference;
            }
            change.hint = ResetHint::Gauge;
            if counter {
                change = change.divided(seconds);
            }
            Some(change.compacted().into())
        }
        _ => {
            k.notes.warn(k.span, for_metric(MIXED_FLOATS_HISTOGRAMS, w.name()));
            None
        }
    }
}

/// Counts neighbours that `differ`; none without samples. A change of kind always counts.
fn count_pairs(
    k: &Kernel<'_>,
    floats: impl Fn(f64, f64) -> bool,
    histograms: impl Fn(&FloatHistogram, &FloatHistogram) -> bool,
) -> Option<Value> {
    let mut samples = in_order(k.window).map(|(_, sample)| sample);
    let mut before = samples.next()?;
    let mut count = 0;
    for now in samples {
        let counts = match (&before, &now) {
            (Either::Float(a), Either::Float(b)) => floats(*a, *b),
            (Either::Hist(a), Either::Hist(b)) => histograms(a, b),
            _ => true,
        };
        count += u32::from(counts);
        before = now;
    }
    Some(f64::from(count).into())
}

pub(super) fn changes(k: &mut Kernel<'_>) -> Kernelled {
    let differ = |a: f64, b: f64| a != b && !(a.is_nan() && b.is_nan());
    Ok(count_pairs(k, differ, |a, b| !a.same_as(b)))
}

pub(super) fn resets(k: &mut Kernel<'_>) -> Kernelled {
    Ok(count_pairs(k, |a, b| b < a, |a, b| b.is_reset_after(a)))
}
