// SPDX-License-Identifier: Apache-2.0
//! `anchored` and `smoothed`: windows whose edges take samples outside into account.
//!
//! Anchored: the last sample at or before each edge stands at the edge. Smoothed: the value at an
//! edge is interpolated between its neighbours. Neighbours are looked for within the lookback.
//! Source: Prometheus proposal PROM-52 "Extended range selectors".

use super::column::{Column, Value};
use super::range::{Kernel, Window};
use super::rate::{note_reconciled, warn_kind};
use super::scan::{RangeSeries, Tools};
use super::{Evaluated, Evaluation, Sink};
use crate::ast::*;
use crate::engine::Grid;
use crate::histogram::{Combined, FloatHistogram, ResetHint};
use crate::notes::{MIXED_FLOATS_HISTOGRAMS, MIXED_SCHEMAS, Notes, for_metric};
use crate::source::HistogramSample;

/// Samples of a window and its neighbourhood, and which of them matter.
struct Reach {
    /// The sample at or before the left edge, or the first inside.
    first: usize,
    /// The last inside, or (smoothed) the first at or after the right edge.
    last: usize,
}

/// Which of `len` samples around a window matter; none when the window sees no change at all.
fn reach(w: &Window<'_>, len: usize, time: impl Fn(usize) -> i64) -> Option<Reach> {
    let smoothed = w.edges == Edges::Smoothed;
    let after = if smoothed { w.lookback_ms } else { 0 };
    let from = first_where(0, len, |i| time(i) > w.start - w.lookback_ms);
    let to = first_where(from, len, |i| time(i) > w.end + after);
    if from == to {
        return None;
    }
    let first = first_where(from, to - 1, |i| time(i) > w.start).saturating_sub(1).max(from);
    let last = match smoothed {
        true => first_where(from, to - 1, |i| time(i) >= w.end),
        false => to - 1,
    };
    let outside = time(last) <= w.start || (smoothed && time(first) > w.end);
    (!outside).then_some(Reach { first, last })
}

/// The first index in `from..to` that satisfies a condition which stays true; `to` if none.
fn first_where(from: usize, to: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (from, to);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

/// Where the samples that an anchored window counts begin, in both lists; none when it is empty.
pub(super) fn anchored_start(w: &Window<'_>) -> Option<(usize, usize)> {
    if w.floats.0 == w.floats.1 && w.hists.0 == w.hists.1 {
        return None;
    }
    let series = w.series;
    let in_reach = |t: &i64| *t > w.start - w.lookback_ms;
    let float = w.floats.0.checked_sub(1).map(|i| series.times[i]).filter(in_reach);
    let hist = w.hists.0.checked_sub(1).map(|i| series.histograms[i].timestamp_ms).filter(in_reach);
    // Only the newer of the two stands at the edge.
    Some(match (float, hist) {
        (Some(f), Some(h)) if f > h => (w.floats.0 - 1, w.hists.0),
        (_, Some(_)) => (w.floats.0, w.hists.0 - 1),
        (Some(_), None) => (w.floats.0 - 1, w.hists.0),
        (None, None) => (w.floats.0, w.hists.0),
    })
}

/// `rate`, `increase` and `delta` of an anchored or smoothed window.
pub(super) fn change(k: &mut Kernel<'_>, counter: bool, per_second: bool) -> Option<Value> {
    let w = k.window;
    let after = if w.edges == Edges::Smoothed { w.lookback_ms } else { 0 };
    let any = |len: usize, time: &dyn Fn(usize) -> i64| {
        let from = first_where(0, len, |i| time(i) > w.start - w.lookback_ms);
        from < len && time(from) <= w.end + after
    };
    let any_float = any(w.series.times.len(), &|i| w.series.times[i]);
    let any_hist = any(w.series.histograms.len(), &|i| w.series.histograms[i].timestamp_ms);
    match (any_float, any_hist) {
        (true, true) => {
            k.notes.warn(k.span, for_metric(MIXED_FLOATS_HISTOGRAMS, w.name()));
            None
        }
        (true, false) => {
            let change = float_change(w, counter)?;
            Some(if per_second { change / w.range_seconds() } else { change }.into())
        }
        (false, true) => {
            let mut change = histogram_change(k, counter)?;
            if per_second {
                change = change.divided(w.range_seconds());
            }
            change.hint = ResetHint::Gauge;
            Some(change.compacted().into())
        }
        (false, false) => None,
    }
}

/// The value at `time` on the line between two samples; a counter that fell starts from zero.
fn between((t0, v0): (i64, f64), (t1, v1): (i64, f64), time: i64, counter: bool) -> f64 {
    let v0 = if counter && v1 < v0 { 0.0 } else { v0 };
    v0 + (v1 - v0) * (time - t0) as f64 / (t1 - t0) as f64
}

fn float_change(w: &Window<'_>, counter: bool) -> Option<f64> {
    let (times, values) = (&w.series.times, &w.series.values);
    let Reach { mut first, last } = reach(w, times.len(), |i| times[i])?;
    let smoothed = w.edges == Edges::Smoothed;
    let point = |i: usize| (times[i], values[i]);
    let left = match smoothed && times[first] < w.start {
        true => between(point(first), point(first + 1), w.start, counter),
        false => values[first],
    };
    let right = match smoothed && last > first && times[last] > w.end {
        true => between(point(last - 1), point(last), w.end, counter),
        false => values[last],
    };
    let mut change = right - left;
    if counter {
        // The edges are `left` and `right`; what lies strictly between may hold resets.
        if times[first] <= w.start {
            first += 1;
        }
        let end = if times[last] >= w.end { last } else { last + 1 };
        let inner = if first < end { &values[first..end] } else { &[] };
        let mut before = left;
        for value in inner.iter().chain([&right]) {
            if *value < before {
                change += before;
            }
            before = *value;
        }
    }
    Some(change)
}

/// The histogram at `time` on the line between two; none when their buckets do not go together.
fn histogram_between(
    a: &HistogramSample,
    b: &HistogramSample,
    time: i64,
    counter: bool,
) -> Option<(FloatHistogram, Combined)> {
    let exact = |h: &HistogramSample| (h.histogram.as_ref().clone(), Combined::default());
    if time == a.timestamp_ms {
        return Some(exact(a));
    }
    if time == b.timestamp_ms {
        return Some(exact(b));
    }
    let share = (time - a.timestamp_ms) as f64 / (b.timestamp_ms - a.timestamp_ms) as f64;
    if counter && b.histogram.is_reset_after(&a.histogram) {
        return Some((b.histogram.scaled(share), Combined::default()));
    }
    let (difference, sub) = b.histogram.sub(&a.histogram).ok()?;
    let (sum, add) = difference.scaled(share).add(&a.histogram).ok()?;
    let hint = b.histogram.hint;
    Some((FloatHistogram { hint, ..sum }, sub.and(add)))
}

fn histogram_change(k: &mut Kernel<'_>, counter: bool) -> Option<FloatHistogram> {
    let w = k.window;
    let samples = &w.series.histograms;
    let Reach { first, last } = reach(w, samples.len(), |i| samples[i].timestamp_ms)?;
    let smoothed = w.edges == Edges::Smoothed;
    let gauge = |h: &FloatHistogram| h.hint == ResetHint::Gauge;
    let relevant = &samples[first..=last];
    if relevant.iter().any(|s| s.histogram.is_custom() != relevant[0].histogram.is_custom()) {
        k.notes.warn(k.span, for_metric(MIXED_SCHEMAS, w.name()));
        return None;
    }
    if counter && relevant.iter().any(|s| gauge(&s.histogram)) {
        warn_kind(k, "counter");
    }
    let left_inside = smoothed && samples[first].timestamp_ms < w.start;
    let left = match left_inside {
        true => {
            let found = histogram_between(&samples[first], &samples[first + 1], w.start, counter)?;
            note_reconciled(k, found.1, "subtraction");
            found.0
        }
        false => samples[first].histogram.as_ref().clone(),
    };
    let right = match smoothed && last > first && samples[last].timestamp_ms > w.end {
        true => {
            let found = histogram_between(&samples[last - 1], &samples[last], w.end, counter)?;
            note_reconciled(k, found.1, "subtraction");
            found.0
        }
        false => samples[last].histogram.as_ref().clone(),
    };
    let gauges = gauge(&left) && gauge(&right);
    if !counter && !gauges {
        warn_kind(k, "gauge");
    }
    let (mut change, combined) = right.sub(&left).ok()?;
    note_reconciled(k, combined, "subtraction");
    if counter {
        let crossed =
            left_inside && samples[first + 1].histogram.is_reset_after(&samples[first].histogram);
        for lost in resets(samples, first, last, &left, &right, crossed) {
            let (sum, combined) = change.add(lost).ok()?;
            note_reconciled(k, combined, "addition");
            change = sum;
        }
    }
    Some(change)
}

/// The histograms whose counts a reset took away between the edges. When the left edge was
/// interpolated across a reset (`crossed`), that one is accounted for already.
fn resets<'a>(
    samples: &'a [HistogramSample],
    first: usize,
    last: usize,
    left: &'a FloatHistogram,
    right: &'a FloatHistogram,
    crossed: bool,
) -> Vec<&'a FloatHistogram> {
    let (mut before, inner) = match crossed {
        true => (samples[first + 1].histogram.as_ref(), first + 2),
        false => (left, first + 1),
    };
    // The last sample is represented by `right`; it must not be compared with itself.
    if inner > last {
        return vec![];
    }
    let mut lost = vec![];
    for sample in &samples[inner..last] {
        if sample.histogram.is_reset_after(before) {
            lost.push(before);
        }
        before = &sample.histogram;
    }
    if right.is_reset_after(before) {
        lost.push(before);
    }
    lost
}

impl<'a> Evaluation<'a> {
    /// `selector smoothed`: at each step the value between the samples around it.
    pub(super) fn smoothed_instants(
        &mut self,
        selector: &VectorSelector,
        span: Span,
        grid: Grid,
        sink: &mut Sink<'_, 'a>,
    ) -> Evaluated<()> {
        let shift = self.shift(selector.at, &selector.offset)?;
        let lookback = self.limits.lookback_ms;
        let fetched = self.instant_series(selector, grid, shift, "", lookback)?;
        let job = |series: &RangeSeries<'_>, tools: &mut Tools, out: &mut Column| {
            out.clear_all(series.labels.clone(), false, grid.count);
            for (step, time) in grid.times().enumerate() {
                let notes = &mut tools.notes;
                if let Some(value) = smooth(series, shift.apply(time), lookback, span, notes) {
                    out.set(step, value);
                }
            }
            Ok(())
        };
        self.scan(&fetched, grid, self.stripped(), &job, sink)
    }
}

fn smooth(
    s: &RangeSeries<'_>,
    time: i64,
    lookback: i64,
    span: Span,
    notes: &mut Notes,
) -> Option<Value> {
    let near = |len: usize, at: &dyn Fn(usize) -> i64| {
        let from = first_where(0, len, |i| at(i) > time - lookback);
        let next = first_where(from, len, |i| at(i) > time);
        let to = first_where(next, len, |i| at(i) > time + lookback);
        (from, next, to)
    };
    let floats = near(s.times.len(), &|i| s.times[i]);
    let hists = near(s.histograms.len(), &|i| s.histograms[i].timestamp_ms);
    let name = s.labels.name();
    if floats.0 < floats.2 && hists.0 < hists.2 {
        notes.warn(span, for_metric(MIXED_FLOATS_HISTOGRAMS, name));
        return None;
    }
    if floats.0 < floats.1 {
        let before = floats.1 - 1;
        if floats.1 == floats.2 || s.times[before] == time {
            return Some(s.values[before].into());
        }
        let point = |i: usize| (s.times[i], s.values[i]);
        return Some(between(point(before), point(floats.1), time, false).into());
    }
    if hists.0 < hists.1 {
        let before = &s.histograms[hists.1 - 1];
        if hists.1 == hists.2 || before.timestamp_ms == time {
            return Some(Value::Hist(before.histogram.clone()));
        }
        let next = &s.histograms[hists.1];
        let counter = before.histogram.hint != ResetHint::Gauge;
        let alike = before.histogram.is_custom() == next.histogram.is_custom();
        let between = || histogram_between(before, next, time, counter);
        let found = if alike { between() } else { None };
        if found.is_none() {
            notes.warn(span, for_metric(MIXED_SCHEMAS, name));
        }
        return found.map(|(histogram, _)| histogram.into());
    }
    None
}
