// SPDX-License-Identifier: Apache-2.0
//! How much a series changed in a window: `rate`, `increase`, `delta`, `irate`, `idelta`,
//! `changes`, `resets`.
//!
//! The first three extrapolate from the samples inside to the window's edges, at most half a
//! sample interval beyond a gap, and for counters never below zero. Source: Prometheus
//! documentation of these functions and its test suite.

use basics::labels::Labels;

use super::column::Value;
use super::range::{Kernel, Window};
use super::{Evaluated, edges};
use crate::ast::{Edges, Span};
use crate::histogram::{Combined, FloatHistogram, ResetHint};
use crate::notes::{BOUNDS_RECONCILED, MIXED_FLOATS_HISTOGRAMS, MIXED_SCHEMAS, Notes, for_metric};
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
pub(super) fn note_non_counter(notes: &mut Notes, span: Span, labels: &Labels) {
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
    notes.info(span, text);
}

/// What `rate`, `increase` and `delta` differ in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    pub counter: bool,
    pub per_second: bool,
}

/// The kind of change a function tells, if it is one of these.
pub(super) fn change_of(function: &str) -> Option<Change> {
    let (counter, per_second) = match function {
        "rate" => (true, true),
        "increase" => (true, false),
        "delta" => (false, false),
        _ => return None,
    };
    Some(Change { counter, per_second })
}

fn extrapolated(k: &mut Kernel<'_>, counter: bool, per_second: bool) -> Option<Value> {
    let w = k.window;
    if w.edges != Edges::Plain {
        return edges::change(k, counter, per_second);
    }
    let (values, histograms) = (w.values(), w.histograms());
    if !values.is_empty() && !histograms.is_empty() {
        k.notes.warn(k.span, for_metric(MIXED_FLOATS_HISTOGRAMS, w.name()));
        return None;
    }
    if let [first, .., last] | [first @ last] = values {
        if counter && !w.series.drop_name {
            note_non_counter(k.notes, k.span, w.series.labels);
        }
        let mut change = last - first;
        if counter {
            change += float_resets(k);
        }
        let began = if counter { w.start_of(0) } else { 0 };
        let sampled =
            Sampled::new(w, w.times()[0], w.times()[values.len() - 1], values.len(), began)?;
        if sampled.from_zero {
            change += first;
        }
        let zero = (counter && change > 0.0 && *first >= 0.0).then(|| first / change);
        return Some((change * sampled.factor(w, zero, per_second)).into());
    }
    if let [first, .., last] | [first @ last] = histograms {
        let began = if counter { first.start_time_ms } else { 0 };
        let (from, to) = (first.timestamp_ms, last.timestamp_ms);
        let sampled = Sampled::new(w, from, to, histograms.len(), began)?;
        let mut change = match histograms.len() {
            1 => first.histogram.as_ref().clone(),
            _ => histogram_change(k, histograms, counter)?,
        };
        if sampled.from_zero && histograms.len() > 1 {
            let (sum, combined) = change.add(&first.histogram).ok()?;
            note_reconciled(k, combined, "addition");
            change = sum;
        }
        let count = first.histogram.count;
        let zero = (counter && change.count > 0.0 && count >= 0.0).then(|| count / change.count);
        let mut out = change.scaled(sampled.factor(w, zero, per_second)).compacted();
        out.hint = ResetHint::Gauge;
        return Some(out.into());
    }
    None
}

/// Which stretch of time the samples of a window cover, in seconds.
struct Sampled {
    seconds: f64,
    to_start: f64,
    to_end: f64,
    /// Mean distance of samples; 0 for a single one.
    interval: f64,
    /// The series began at zero inside the window: nothing to extrapolate on the left.
    from_zero: bool,
}

impl Sampled {
    /// `began` is when the first sample started counting, 0 when unknown. None when there is
    /// nothing to tell a change from.
    fn new(w: &Window<'_>, first: i64, last: i64, samples: usize, began: i64) -> Option<Self> {
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let from_zero = began != 0 && began > w.start && began < first;
        if samples < 2 && !from_zero {
            return None;
        }
        let between = seconds(last - first);
        let interval = if samples > 1 { between / (samples - 1) as f64 } else { 0.0 };
        Some(Sampled {
            seconds: if from_zero { seconds(last - began) } else { between },
            to_start: if from_zero { 0.0 } else { seconds(first - w.start) },
            to_end: seconds(w.end - last),
            interval,
            from_zero,
        })
    }

    /// What to multiply the change with. `zero` is the first value over the change: how many times
    /// the sampled time the counter's zero lies before it.
    fn factor(&self, w: &Window<'_>, zero: Option<f64>, per_second: bool) -> f64 {
        // A gap of more than a missed sample: the series most likely began or ended in the window.
        let threshold = self.interval * 1.1;
        let mut to_start = self.to_start;
        if !self.from_zero {
            if to_start >= threshold {
                to_start = self.interval / 2.0;
            }
            if let Some(zero) = zero {
                to_start = to_start.min(self.seconds * zero);
            }
        }
        let to_end = if self.to_end >= threshold { self.interval / 2.0 } else { self.to_end };
        let factor = match self.seconds == 0.0 {
            true => 1.0,
            false => (self.seconds + to_start + to_end) / self.seconds,
        };
        if per_second { factor / w.range_seconds() } else { factor }
    }
}

/// When a sample was taken and when it started counting, 0 = unknown.
type Times = (i64, i64);

/// True when the start time says that the counter began anew after the sample before.
fn restarted((before, before_start): Times, (now, now_start): Times) -> bool {
    if now_start == 0 || now_start >= now || now_start < before {
        return false;
    }
    // A start exactly at the sample before: a delta, unless that one's own start is unknown.
    now_start > before || (before_start != 0 && before_start < before)
}

/// True when a start time contradicts the sample before.
fn overlaps((before, before_start): Times, (_, now_start): Times) -> bool {
    now_start != 0 && now_start < before && now_start != before_start
}

fn note_overlap(k: &mut Kernel<'_>) {
    let text = "sample has start time that overlaps with previous sample timestamp";
    let name = k.window.name();
    k.notes.warn(
        k.span,
        if name.is_empty() { text.into() } else { format!("{text} for metric {name:?}") },
    );
}

/// What resets took away from a counter inside the window.
fn float_resets(k: &mut Kernel<'_>) -> f64 {
    let w = k.window;
    let (times, values) = (w.times(), w.values());
    if w.series.starts.is_empty() {
        let drops = values.windows(2).filter(|pair| pair[1] < pair[0]);
        return drops.map(|pair| pair[0]).sum();
    }
    let mut lost = 0.0;
    for i in 1..values.len() {
        let (before, now) = ((times[i - 1], w.start_of(i - 1)), (times[i], w.start_of(i)));
        if overlaps(before, now) {
            note_overlap(k);
        }
        if values[i] < values[i - 1] || restarted(before, now) {
            lost += values[i - 1];
        }
    }
    lost
}

fn sample_times(sample: &HistogramSample) -> Times {
    (sample.timestamp_ms, sample.start_time_ms)
}

pub(super) fn note_reconciled(k: &mut Kernel<'_>, combined: Combined, word: &str) {
    if combined.bounds_reconciled {
        k.notes.info(k.span, format!("{BOUNDS_RECONCILED} {word}"));
    }
}

pub(super) fn warn_kind(k: &mut Kernel<'_>, kind: &str) {
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
    let first_is_gone = counter
        && (restarted(sample_times(first), sample_times(&samples[1]))
            || samples[1].histogram.is_reset_after(&first.histogram));
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
    note_reconciled(k, combined, "subtraction");
    if counter {
        let mut previous = &start;
        for pair in samples.windows(2) {
            let (before, now) = (sample_times(&pair[0]), sample_times(&pair[1]));
            if overlaps(before, now) {
                note_overlap(k);
            }
            if restarted(before, now) || pair[1].histogram.is_reset_after(previous) {
                let (sum, combined) = change.add(previous).ok()?;
                change = sum;
                note_reconciled(k, combined, "addition");
            }
            previous = &pair[1].histogram;
        }
    }
    change.hint = ResetHint::Gauge;
    Some(change)
}

/// A sample of either kind.
enum Either<'a> {
    Float(f64),
    Hist(&'a FloatHistogram),
}

/// The samples of a window in time order, both kinds, from these indexes on.
fn in_order<'a>(
    w: &Window<'a>,
    (mut i, mut j): (usize, usize),
) -> impl Iterator<Item = (Times, Either<'a>)> {
    let series = w.series;
    let (floats_end, hists_end) = (w.floats.1, w.hists.1);
    std::iter::from_fn(move || {
        let float = (i < floats_end).then(|| series.times[i]);
        let hist = (j < hists_end).then(|| series.histograms[j].timestamp_ms);
        match (float, hist) {
            (Some(time), other) if other.is_none_or(|h| time < h) => {
                i += 1;
                let start = series.starts.get(i - 1).copied().unwrap_or(0);
                Some(((time, start), Either::Float(series.values[i - 1])))
            }
            (_, Some(_)) => {
                j += 1;
                let sample = &series.histograms[j - 1];
                Some((sample_times(sample), Either::Hist(&sample.histogram)))
            }
            _ => None,
        }
    })
}

pub(super) fn irate(k: &mut Kernel<'_>) -> Kernelled {
    Ok(instant_change(k, true))
}

pub(super) fn idelta(k: &mut Kernel<'_>) -> Kernelled {
    Ok(instant_change(k, false))
}

/// The change between the last two samples.
fn instant_change(k: &mut Kernel<'_>, counter: bool) -> Option<Value> {
    let w = k.window;
    let (mut before, mut last) = (None, None);
    for sample in in_order(w, (w.floats.0, w.hists.0)) {
        before = last.replace(sample);
    }
    let ((t0, before), (t1, last)) = (before?, last?);
    let seconds = (t1.0 - t0.0) as f64 / 1000.0;
    if counter && overlaps(t0, t1) {
        note_overlap(k);
    }
    let restarted = counter && restarted(t0, t1);
    match (before, last) {
        (Either::Float(before), Either::Float(last)) => {
            let reset = counter && (restarted || last < before);
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
            if !counter || !(restarted || last.is_reset_after(before)) {
                let Ok((difference, combined)) = last.sub(before) else {
                    k.notes.warn(k.span, for_metric(MIXED_SCHEMAS, w.name()));
                    return None;
                };
                note_reconciled(k, combined, "subtraction");
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
    restarts: bool,
) -> Option<Value> {
    let w = k.window;
    let from = match w.edges {
        Edges::Anchored => edges::anchored_start(w)?,
        _ => (w.floats.0, w.hists.0),
    };
    let mut samples = in_order(w, from);
    let mut before = samples.next()?;
    let mut count = 0;
    for now in samples {
        let counts = (restarts && restarted(before.0, now.0))
            || match (&before.1, &now.1) {
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
    Ok(count_pairs(k, differ, |a, b| !a.same_as(b), false))
}

pub(super) fn resets(k: &mut Kernel<'_>) -> Kernelled {
    Ok(count_pairs(k, |a, b| b < a, |a, b| b.is_reset_after(a), true))
}
