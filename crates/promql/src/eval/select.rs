// SPDX-License-Identifier: Apache-2.0
//! Reading series: the sample an instant selector sees at each step, and the samples windows need.

use std::fmt::Write;
use std::sync::Arc;

use super::column::{Column, Value, prune};
use super::range::{RangeInput, RangeSeries, same_times};
use super::{Evaluated, Evaluation};
use crate::ast::*;
use crate::engine::Grid;
use crate::histogram::{FloatHistogram, ResetHint};
use crate::number::{is_stale, stale};
use crate::source::{Hints, HistogramSample, Select, Series};

/// Where a selector looks at a step: at the step, or at its `@`, shifted by its offset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shift {
    fixed: Option<i64>,
    offset: i64,
}

impl Shift {
    pub(super) fn apply(self, step_ms: i64) -> i64 {
        self.fixed.unwrap_or(step_ms) - self.offset
    }
}

/// Tells two reads apart: what is asked for, in which range.
fn read_key(selector: &VectorSelector, start_ms: i64, end_ms: i64, track_resets: bool) -> String {
    let mut key = format!("{start_ms} {end_ms} {track_resets}");
    for matcher in &selector.matchers {
        let _ = write!(key, " {matcher}");
    }
    key
}

impl Evaluation<'_> {
    pub(super) fn shift(&self, at: Option<At>, offset: &DurationExpr) -> Evaluated<Shift> {
        Ok(Shift { fixed: at.map(|at| self.at_ms(at)), offset: self.duration_ms(offset)? })
    }

    /// Series of a selector over a time range, sorted by labels, so that ties resolve alike.
    pub(super) fn fetch(
        &mut self,
        selector: &VectorSelector,
        (start_ms, end_ms): (i64, i64),
        hints: Hints<'_>,
    ) -> Evaluated<Vec<Series>> {
        let hints = Hints { series_max: self.limits.series_max, ..hints };
        let key = read_key(selector, start_ms, end_ms, self.track_resets);
        if let Some(series) = self.fetched.get(&key) {
            return Ok(series.clone());
        }
        let select = Select { matchers: &selector.matchers, start_ms, end_ms, hints };
        let mut series = self.source.select(&select)?;
        if series.len() > self.limits.series_max {
            let message = format!(
                "query selects {} series, more than the limit of {}",
                series.len(),
                self.limits.series_max
            );
            return Err(crate::QueryError::TooMuch(message));
        }
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        if self.track_resets {
            series.iter_mut().for_each(set_hints);
        }
        self.charge(series.iter().map(|s| s.values.len() + s.histograms.len()).sum())?;
        self.fetched.insert(key, series.clone());
        Ok(series)
    }

    /// The newest sample within the lookback at each step.
    pub(super) fn instants(
        &mut self,
        selector: &VectorSelector,
        grid: Grid,
    ) -> Evaluated<Vec<Column>> {
        let shift = self.shift(selector.at, &selector.offset)?;
        let series = self.instant_series(selector, grid, shift, "", 0)?;
        let lookback = self.limits.lookback_ms;
        let mut columns = Vec::with_capacity(series.len());
        let mut plan = InstantPlan::default();
        for one in &series {
            if one.histograms.is_empty() {
                plan.fit(&one.timestamps_ms, grid, shift, lookback);
                let value = |at: &Option<u32>| at.map_or(stale(), |at| one.values[at as usize]);
                let values = plan.newest.iter().map(value).collect();
                columns.push(Column::of_floats(one.labels.clone(), false, values));
                continue;
            }
            let mut column = Column::empty(one.labels.clone(), false, grid.count);
            let mut newest = Newest::new(one, lookback);
            for (step, time) in grid.times().enumerate() {
                match newest.at(shift.apply(time)) {
                    Some(Found::Float(i)) => column.set(step, Value::Float(one.values[i])),
                    Some(Found::Hist(i)) => {
                        let histogram = Arc::clone(&one.histograms[i].histogram);
                        column.set(step, Value::Hist(histogram));
                    }
                    None => {}
                }
            }
            columns.push(column);
        }
        prune(&mut columns);
        Ok(columns)
    }

    /// `timestamp(selector)` and (`started`) `start_timestamp(selector)`: when the newest sample
    /// was taken or started counting, in seconds.
    pub(super) fn sample_times(
        &mut self,
        selector: &VectorSelector,
        grid: Grid,
        started: bool,
    ) -> Evaluated<Vec<Column>> {
        let shift = self.shift(selector.at, &selector.offset)?;
        let series = self.instant_series(selector, grid, shift, "timestamp", 0)?;
        let lookback = self.limits.lookback_ms;
        let mut columns = Vec::with_capacity(series.len());
        for one in &series {
            let mut column = Column::empty(one.labels.clone(), true, grid.count);
            let mut newest = Newest::new(one, lookback);
            for (step, time) in grid.times().enumerate() {
                let taken = newest.at(shift.apply(time)).map(|found| match (found, started) {
                    (Found::Float(i), false) => one.timestamps_ms[i],
                    (Found::Float(i), true) => one.start_times_ms.get(i).copied().unwrap_or(0),
                    (Found::Hist(i), false) => one.histograms[i].timestamp_ms,
                    (Found::Hist(i), true) => one.histograms[i].start_time_ms,
                });
                if let Some(taken) = taken {
                    column.set(step, Value::Float(taken as f64 / 1000.0));
                }
            }
            columns.push(column);
        }
        prune(&mut columns);
        Ok(columns)
    }

    pub(super) fn instant_series(
        &mut self,
        selector: &VectorSelector,
        grid: Grid,
        shift: Shift,
        function: &str,
        ahead_ms: i64,
    ) -> Evaluated<Vec<Series>> {
        let (first, last) = (shift.apply(grid.start), shift.apply(grid.end()));
        let range = (first - self.limits.lookback_ms + 1, last + ahead_ms);
        let step_ms = if grid.count > 1 { grid.step } else { 0 };
        let hints = Hints { function, step_ms, ..Hints::default() };
        self.fetch(selector, range, hints)
    }

    /// Samples for the windows of `selector[range]`, staleness markers taken out.
    pub(super) fn selector_windows(
        &mut self,
        selector: &VectorSelector,
        range: &DurationExpr,
        grid: Grid,
        function: &str,
    ) -> Evaluated<RangeInput> {
        let range_ms = self.positive_ms(range)?;
        let shift = self.shift(selector.at, &selector.offset)?;
        let (first, last) = (shift.apply(grid.start), shift.apply(grid.end()));
        let lookback = self.limits.lookback_ms;
        // Samples outside the window that the edges may need.
        let (before, after) = match selector.edges {
            Edges::Plain => (0, 0),
            Edges::Anchored => (lookback, 0),
            Edges::Smoothed => (lookback, lookback),
        };
        let step_ms = if grid.count > 1 { grid.step } else { 0 };
        let hints = Hints { function, step_ms, range_ms, ..Hints::default() };
        let wanted = (first - range_ms - before + 1, last + after);
        let series = self.fetch(selector, wanted, hints)?;
        let series = series.into_iter().map(without_markers).collect();
        Ok(RangeInput { series, range_ms, shift, edges: selector.edges, lookback_ms: lookback })
    }

    /// Samples for the windows of a subquery: its expression at every inner step.
    pub(super) fn subquery_windows(
        &mut self,
        subquery: &Subquery,
        grid: Grid,
    ) -> Evaluated<RangeInput> {
        let range_ms = self.positive_ms(&subquery.range)?;
        let step = match &subquery.step {
            Some(step) => self.positive_ms(step)?,
            None => self.limits.subquery_step_ms.max(1),
        };
        let shift = self.shift(subquery.at, &subquery.offset)?;
        let (first, last) = (shift.apply(grid.start), shift.apply(grid.end()));
        // Inner steps are multiples of the step, whatever the query's start; windows are left-open.
        let start = ((first - range_ms).div_euclid(step) + 1) * step;
        let count = if last < start { 0 } else { ((last - start) / step) as usize + 1 };
        let inner = Grid { start, step, count };
        let mut series = vec![];
        if count > 0 {
            self.charge(count)?;
            for column in self.tracking_resets(false, |this| this.vector(&subquery.expr, inner))? {
                series.push(RangeSeries::from_column(&column, inner));
            }
        }
        let (edges, lookback_ms) = (Edges::Plain, self.limits.lookback_ms);
        Ok(RangeInput { series, range_ms, shift, edges, lookback_ms })
    }
}

/// Settles unknown reset hints by comparing each histogram with the one before it.
fn set_hints(series: &mut Series) {
    if series.histograms.iter().all(|h| h.histogram.hint != ResetHint::Unknown) {
        return;
    }
    let mut before: Option<Arc<FloatHistogram>> = None;
    let mut samples = series.histograms.to_vec();
    for sample in &mut samples {
        let known = before.take().filter(|b| !b.is_stale());
        if let (ResetHint::Unknown, Some(before)) = (sample.histogram.hint, known) {
            let reset = sample.histogram.is_reset_after(&before);
            Arc::make_mut(&mut sample.histogram).hint =
                if reset { ResetHint::Reset } else { ResetHint::NotReset };
        }
        before = Some(Arc::clone(&sample.histogram));
    }
    series.histograms = samples.into();
}

pub(super) fn without_markers(series: Series) -> RangeSeries {
    let Series { labels, timestamps_ms, values, start_times_ms, histograms } = series;
    let floats_clean = !values.iter().any(|v| is_stale(*v));
    let histograms_clean = !histograms.iter().any(|h| h.histogram.is_stale());
    let (times, values, starts) = if floats_clean {
        (timestamps_ms, values, start_times_ms)
    } else {
        let keep: Vec<usize> = (0..values.len()).filter(|i| !is_stale(values[*i])).collect();
        let starts = match start_times_ms.is_empty() {
            true => start_times_ms,
            false => keep.iter().map(|i| start_times_ms[*i]).collect(),
        };
        let times = keep.iter().map(|i| timestamps_ms[*i]).collect();
        (times, keep.iter().map(|i| values[*i]).collect(), starts)
    };
    let histograms = if histograms_clean {
        histograms
    } else {
        histograms.iter().filter(|h| !h.histogram.is_stale()).cloned().collect()
    };
    RangeSeries { labels, drop_name: false, times, values, starts, histograms }
}

/// The newest sample of each step in a list of times; series that share the list share the plan.
#[derive(Default)]
struct InstantPlan {
    times: Option<Arc<[i64]>>,
    newest: Vec<Option<u32>>,
}

impl InstantPlan {
    fn fit(&mut self, times: &Arc<[i64]>, grid: Grid, shift: Shift, lookback: i64) {
        if self.times.as_ref().is_some_and(|known| same_times(known, times)) {
            return;
        }
        self.times = Some(Arc::clone(times));
        let mut next = 0;
        self.newest.clear();
        self.newest.extend(grid.times().map(|time| {
            let time = shift.apply(time);
            while next < times.len() && times[next] <= time {
                next += 1;
            }
            let last: usize = next.checked_sub(1)?;
            // A staleness marker in the column means "no sample", which is what it stands for.
            (times[last] > time - lookback).then_some(u32::try_from(last).ok()).flatten()
        }));
    }
}

/// Which list the newest sample is in, and where.
pub(super) enum Found {
    Float(usize),
    Hist(usize),
}

/// Walks one series forward, giving the newest sample at each time.
pub(super) struct Newest<'a> {
    series: &'a Series,
    lookback: i64,
    floats: usize,
    histograms: usize,
}

impl<'a> Newest<'a> {
    pub(super) fn new(series: &'a Series, lookback: i64) -> Self {
        Newest { series, lookback, floats: 0, histograms: 0 }
    }

    /// The newest sample in `(time - lookback, time]`; none when the series ended. Times ascend.
    pub(super) fn at(&mut self, time: i64) -> Option<Found> {
        let (times, histograms) = (&self.series.timestamps_ms, &self.series.histograms);
        while self.floats < times.len() && times[self.floats] <= time {
            self.floats += 1;
        }
        while self.histograms < histograms.len() && histograms[self.histograms].timestamp_ms <= time
        {
            self.histograms += 1;
        }
        let float = self.floats.checked_sub(1).map(|i| (times[i], i));
        let histogram: Option<(i64, usize)> =
            self.histograms.checked_sub(1).map(|i| (histograms[i].timestamp_ms, i));
        let in_reach = |taken: i64| taken > time - self.lookback;
        match (float, histogram) {
            (Some((taken, i)), other) if other.is_none_or(|(t, _)| t < taken) => {
                (in_reach(taken) && !is_stale(self.series.values[i])).then_some(Found::Float(i))
            }
            (_, Some((taken, i))) => {
                let sample: &HistogramSample = &histograms[i];
                (in_reach(taken) && !sample.histogram.is_stale()).then_some(Found::Hist(i))
            }
            _ => None,
        }
    }
}
