// SPDX-License-Identifier: Apache-2.0
//! Reading series: the sample an instant selector sees at each step, and the samples windows need.

use std::fmt::Write;
use std::sync::Arc;

use super::column::{Column, Value};
use super::plan::{Geometry, View};
use super::scan::{Fetched, RangeSeries, Tools, Treatment};
use super::{Evaluated, Evaluation, Sink};
use crate::ast::*;
use crate::engine::Grid;
use crate::number::{is_stale, stale};
use crate::source::{Digests, Hints, HistogramSample, Select};

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

/// Tells two reads apart: what is asked for, in which range, and what may be left out.
fn read_key(selector: &VectorSelector, start_ms: i64, end_ms: i64, hints: &Hints<'_>) -> String {
    let mut key = format!("{start_ms} {end_ms}");
    if hints.digests != Digests::Never {
        let Hints { range_ms, step_ms, digests, .. } = hints;
        let _ = write!(key, " {range_ms} {step_ms} {digests:?}");
    }
    for matcher in &selector.matchers {
        let _ = write!(key, " {matcher}");
    }
    key
}

impl<'a> Evaluation<'a> {
    pub(super) fn shift(&self, at: Option<At>, offset: &DurationExpr) -> Evaluated<Shift> {
        Ok(Shift { fixed: at.map(|at| self.at_ms(at)), offset: self.duration_ms(offset)? })
    }

    /// Series of a selector over a time range, sorted by labels, so that ties resolve alike.
    pub(super) fn fetch(
        &mut self,
        selector: &VectorSelector,
        (start_ms, end_ms): (i64, i64),
        hints: Hints<'_>,
    ) -> Evaluated<Arc<Fetched<'a>>> {
        let hints = Hints { series_max: self.limits.series_max, ..hints };
        let key = read_key(selector, start_ms, end_ms, &hints);
        if let Some(known) = self.fetched.get(&key) {
            return Ok(Arc::clone(known));
        }
        let select = Select { matchers: &selector.matchers, start_ms, end_ms, hints };
        let selection = self.source.open(&select)?;
        if selection.len() > self.limits.series_max {
            let message = format!(
                "query selects {} series, more than the limit of {}",
                selection.len(),
                self.limits.series_max
            );
            return Err(crate::QueryError::TooMuch(message));
        }
        let fetched = Arc::new(Fetched::new(selection));
        self.pin(fetched.held())?;
        self.fetched.insert(key, Arc::clone(&fetched));
        Ok(fetched)
    }

    /// The newest sample within the lookback at each step.
    pub(super) fn instants(
        &mut self,
        selector: &VectorSelector,
        grid: Grid,
        sink: &mut Sink<'_, 'a>,
    ) -> Evaluated<()> {
        let shift = self.shift(selector.at, &selector.offset)?;
        let fetched = self.instant_series(selector, grid, shift, "", 0)?;
        let lookback = self.limits.lookback_ms;
        let geometry = Geometry { grid, shift, view: View::Newest(lookback), change: None };
        let job = |series: &RangeSeries<'_>, tools: &mut Tools, out: &mut Column| {
            if series.histograms.is_empty() {
                let floats = out.begin(series.labels.clone(), false);
                let plan = tools.plans.of(&geometry, series.times);
                // A staleness marker in the column means "no sample", which is what it stands for.
                floats.extend(plan.bounds.iter().map(|(from, to)| match from == to {
                    true => stale(),
                    false => series.values[*from as usize],
                }));
                return Ok(());
            }
            out.clear_all(series.labels.clone(), false, grid.count);
            let mut newest = Newest::new(series, lookback);
            for (step, time) in grid.times().enumerate() {
                match newest.at(shift.apply(time)) {
                    Some(Found::Float(i)) => out.set(step, Value::Float(series.values[i])),
                    Some(Found::Hist(i)) => {
                        let histogram = Arc::clone(&series.histograms[i].histogram);
                        out.set(step, Value::Hist(histogram));
                    }
                    None => {}
                }
            }
            Ok(())
        };
        self.scan(&fetched, grid, self.as_stored(), &job, sink)
    }

    /// Markers stay in.
    pub(super) fn as_stored(&self) -> Treatment {
        Treatment { strip: false, set_hints: self.track_resets }
    }

    /// Markers are taken out.
    pub(super) fn stripped(&self) -> Treatment {
        Treatment { strip: true, set_hints: self.track_resets }
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
        let fetched = self.instant_series(selector, grid, shift, "timestamp", 0)?;
        let lookback = self.limits.lookback_ms;
        let job = |series: &RangeSeries<'_>, _: &mut Tools, out: &mut Column| {
            out.clear_all(series.labels.clone(), true, grid.count);
            let mut newest = Newest::new(series, lookback);
            for (step, time) in grid.times().enumerate() {
                let taken = newest.at(shift.apply(time)).map(|found| match (found, started) {
                    (Found::Float(i), false) => series.times[i],
                    (Found::Float(i), true) => series.starts.get(i).copied().unwrap_or(0),
                    (Found::Hist(i), false) => series.histograms[i].timestamp_ms,
                    (Found::Hist(i), true) => series.histograms[i].start_time_ms,
                });
                if let Some(taken) = taken {
                    out.set(step, Value::Float(taken as f64 / 1000.0));
                }
            }
            Ok(())
        };
        let mut columns = vec![];
        self.scan(&fetched, grid, self.as_stored(), &job, &mut |_, column| {
            columns.push(std::mem::take(column));
            Ok(())
        })?;
        Ok(columns)
    }

    pub(super) fn instant_series(
        &mut self,
        selector: &VectorSelector,
        grid: Grid,
        shift: Shift,
        function: &str,
        ahead_ms: i64,
    ) -> Evaluated<Arc<Fetched<'a>>> {
        let (first, last) = (shift.apply(grid.start), shift.apply(grid.end()));
        let range = (first - self.limits.lookback_ms + 1, last + ahead_ms);
        let step_ms = if grid.count > 1 { grid.step } else { 0 };
        let hints = Hints { function, step_ms, ..Hints::default() };
        self.fetch(selector, range, hints)
    }
}

/// Which list the newest sample is in, and where.
pub(super) enum Found {
    Float(usize),
    Hist(usize),
}

/// Walks one series forward, giving the newest sample at each time.
pub(super) struct Newest<'a> {
    times: &'a [i64],
    values: &'a [f64],
    samples: &'a [HistogramSample],
    lookback: i64,
    floats: usize,
    histograms: usize,
}

impl<'a> Newest<'a> {
    pub(super) fn new(series: &RangeSeries<'a>, lookback: i64) -> Self {
        let (times, values, samples) = (series.times, series.values, series.histograms);
        Newest { times, values, samples, lookback, floats: 0, histograms: 0 }
    }

    /// The newest sample in `(time - lookback, time]`; none when the series ended. Times ascend.
    pub(super) fn at(&mut self, time: i64) -> Option<Found> {
        let (times, histograms) = (self.times, self.samples);
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
                (in_reach(taken) && !is_stale(self.values[i])).then_some(Found::Float(i))
            }
            (_, Some((taken, i))) => {
                let sample: &HistogramSample = &histograms[i];
                (in_reach(taken) && !sample.histogram.is_stale()).then_some(Found::Hist(i))
            }
            _ => None,
        }
    }
}
