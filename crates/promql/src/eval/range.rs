// SPDX-License-Identifier: Apache-2.0
//! Windows: for each series and step the samples in `(end - range, end]`, given to a kernel.

use std::sync::Arc;

use basics::labels::Labels;

use super::column::{Cell, Column, Value};
use super::select::Shift;
use super::{Evaluated, Evaluation, failed, over_time, rate};
use crate::ast::*;
use crate::engine::Grid;
use crate::functions::Function;
use crate::histogram::{FloatHistogram, ResetHint};
use crate::notes::Notes;
use crate::source::HistogramSample;
use crate::value::{MatrixEntry, Point, Sample};

/// One series without staleness markers.
pub(super) struct RangeSeries {
    pub labels: Labels,
    pub drop_name: bool,
    pub times: Arc<[i64]>,
    pub values: Arc<[f64]>,
    /// Start times aligned with `times`, or empty.
    pub starts: Arc<[i64]>,
    pub histograms: Arc<[HistogramSample]>,
}

impl RangeSeries {
    /// True for numbers alone, with unknown start times.
    fn is_plain(&self) -> bool {
        self.histograms.is_empty() && self.starts.is_empty()
    }

    pub(super) fn from_column(column: &Column, grid: Grid) -> Self {
        let (mut times, mut values, mut histograms) = (vec![], vec![], vec![]);
        for (step, time) in grid.times().enumerate() {
            match column.get(step) {
                Some(Cell::Float(value)) => {
                    times.push(time);
                    values.push(value);
                }
                Some(Cell::Hist(histogram)) => {
                    histograms.push(subquery_sample(time, histogram));
                }
                None => {}
            }
        }
        RangeSeries {
            labels: column.labels.clone(),
            drop_name: column.drop_name,
            times: times.into(),
            values: values.into(),
            starts: Arc::new([]),
            histograms: histograms.into(),
        }
    }
}

/// A subquery skips samples, so what a hint says about the one before no longer holds.
fn subquery_sample(timestamp_ms: i64, histogram: &Arc<FloatHistogram>) -> HistogramSample {
    let mut histogram = Arc::clone(histogram);
    if matches!(histogram.hint, ResetHint::Reset | ResetHint::NotReset) {
        Arc::make_mut(&mut histogram).hint = ResetHint::Unknown;
    }
    HistogramSample { timestamp_ms, start_time_ms: 0, histogram }
}

/// All series of a range vector and where their windows lie.
pub(super) struct RangeInput {
    pub series: Vec<RangeSeries>,
    pub range_ms: i64,
    pub shift: Shift,
    pub edges: Edges,
    pub lookback_ms: i64,
}

/// One series' samples in one window. Index ranges point into the series, so that a kernel may
/// look at the neighbours outside.
pub(super) struct Window<'a> {
    pub series: &'a RangeSeries,
    /// Samples inside: `series.times[floats.0..floats.1]`.
    pub floats: (usize, usize),
    /// Histograms inside.
    pub hists: (usize, usize),
    /// Exclusive left edge.
    pub start: i64,
    /// Inclusive right edge.
    pub end: i64,
    /// The step's time, before `@` and offset.
    pub step_time: i64,
    pub edges: Edges,
    pub lookback_ms: i64,
}

impl<'a> Window<'a> {
    pub(super) fn times(&self) -> &'a [i64] {
        &self.series.times[self.floats.0..self.floats.1]
    }

    pub(super) fn values(&self) -> &'a [f64] {
        &self.series.values[self.floats.0..self.floats.1]
    }

    /// When each number inside started counting; 0 = unknown.
    pub(super) fn start_of(&self, index: usize) -> i64 {
        self.series.starts.get(self.floats.0 + index).copied().unwrap_or(0)
    }

    pub(super) fn histograms(&self) -> &'a [HistogramSample] {
        &self.series.histograms[self.hists.0..self.hists.1]
    }

    pub(super) fn range_seconds(&self) -> f64 {
        (self.end - self.start) as f64 / 1000.0
    }

    pub(super) fn name(&self) -> &'a str {
        self.series.labels.name()
    }
}

impl RangeInput {
    /// The window of a step; `floats` are its numbers, from a [`Plan`].
    fn window(
        &self,
        at: usize,
        step_time: i64,
        floats: (usize, usize),
        slide: &mut Slide,
    ) -> Window<'_> {
        let series = &self.series[at];
        let end = self.shift.apply(step_time);
        let start = end - self.range_ms;
        let hists = match series.histograms.is_empty() {
            true => (0, 0),
            false => {
                slide.to(series.histograms.len(), start, end, |i| series.histograms[i].timestamp_ms)
            }
        };
        let (edges, lookback_ms) = (self.edges, self.lookback_ms);
        Window { series, floats, hists, start, end, step_time, edges, lookback_ms }
    }

    /// The samples of the one window at `time`.
    pub(super) fn points_at(&self, time: i64) -> Vec<MatrixEntry> {
        let mut plan = Plan::new(self, Grid { start: time, step: 1, count: 1 });
        let entry = |at: usize| {
            plan.fit(&self.series[at].times);
            let window = self.window(at, time, plan.bounds[0], &mut Slide::default());
            let floats = window.times().iter().zip(window.values());
            let mut points: Vec<Point> = floats
                .map(|(t, v)| Point { timestamp_ms: *t, sample: Sample::Float(*v) })
                .chain(window.histograms().iter().map(|h| Point {
                    timestamp_ms: h.timestamp_ms,
                    sample: Sample::Histogram(Arc::clone(&h.histogram)),
                }))
                .collect();
            points.sort_by_key(|p| p.timestamp_ms);
            MatrixEntry { labels: window.series.labels.clone(), points }
        };
        (0..self.series.len()).map(entry).filter(|e| !e.points.is_empty()).collect()
    }
}

/// Where the windows lie in a list of times. Series that share their list share the plan.
pub(super) struct Plan {
    grid: Grid,
    shift: Shift,
    range_ms: i64,
    times: Option<Arc<[i64]>>,
    /// For each step the samples inside: first index, one past the last.
    pub bounds: Vec<(usize, usize)>,
}

impl Plan {
    pub(super) fn new(input: &RangeInput, grid: Grid) -> Self {
        let (shift, range_ms) = (input.shift, input.range_ms);
        Plan { grid, shift, range_ms, times: None, bounds: vec![] }
    }

    /// Plans for these times; true when that changed anything.
    pub(super) fn fit(&mut self, times: &Arc<[i64]>) -> bool {
        if self.times.as_ref().is_some_and(|known| same_times(known, times)) {
            return false;
        }
        self.times = Some(Arc::clone(times));
        let mut slide = Slide::default();
        let (shift, range_ms) = (self.shift, self.range_ms);
        self.bounds.clear();
        self.bounds.extend(self.grid.times().map(|step_time| {
            let end = shift.apply(step_time);
            slide.to(times.len(), end - range_ms, end, |i| times[i])
        }));
        true
    }

    /// The window's exclusive left and inclusive right edge at a step.
    pub(super) fn edges(&self, step: usize) -> (i64, i64) {
        let end = self.shift.apply(self.grid.at(step));
        (end - self.range_ms, end)
    }

    pub(super) fn range_seconds(&self) -> f64 {
        self.range_ms as f64 / 1000.0
    }
}

/// True for one list, or two alike: comparing costs far less than planning.
pub(super) fn same_times(a: &Arc<[i64]>, b: &Arc<[i64]>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

/// Two indexes that move forward over sorted times.
#[derive(Default)]
struct Slide(usize, usize);

impl Slide {
    fn to(
        &mut self,
        len: usize,
        start: i64,
        end: i64,
        time: impl Fn(usize) -> i64,
    ) -> (usize, usize) {
        while self.0 < len && time(self.0) <= start {
            self.0 += 1;
        }
        self.1 = self.1.max(self.0);
        while self.1 < len && time(self.1) <= end {
            self.1 += 1;
        }
        (self.0, self.1)
    }
}

impl Evaluation<'_> {
    /// The windows of a range vector expression.
    pub(super) fn windows(
        &mut self,
        expr: &Expr,
        grid: Grid,
        function: &str,
    ) -> Evaluated<RangeInput> {
        match &expr.unwrap_parens().kind {
            ExprKind::Matrix { selector, range } => {
                self.selector_windows(selector, range, grid, function)
            }
            ExprKind::Subquery(subquery) => self.subquery_windows(subquery, grid),
            _ => failed("expected a range vector"),
        }
    }

    /// A function of a range vector.
    pub(super) fn range_call(
        &mut self,
        function: &Function,
        args: &[Expr],
        grid: Grid,
    ) -> Evaluated<Vec<Column>> {
        let matrix = args.iter().position(|a| a.value_type() == ValueType::Matrix).unwrap_or(0);
        let mut params = vec![];
        for (index, arg) in args.iter().enumerate() {
            if index != matrix {
                params.push(self.scalar(arg, grid)?);
            }
        }
        let span = args[matrix].span;
        if function.name == "quantile_over_time" {
            self.warn_quantiles(&params[0], args[0].span);
        }
        let input = self.windows(&args[matrix], grid, function.name)?;
        if function.name == "absent_over_time" {
            return Ok(self.absent_over_time(&args[matrix], &input, grid));
        }
        let keeps_name = matches!(function.name, "first_over_time" | "last_over_time");
        let (kernel, change) = (kernel(function.name)?, rate::change_of(function.name));
        let mut columns = Vec::with_capacity(input.series.len());
        let mut plan = Plan::new(&input, grid);
        let mut stretches = vec![];
        let mut scratch = vec![];
        for (at, series) in input.series.iter().enumerate() {
            self.watch.check()?;
            let drop_name = series.drop_name || !keeps_name;
            let planned_anew = plan.fit(&series.times);
            if let Some(change) =
                change.filter(|_| input.edges == Edges::Plain && series.is_plain())
            {
                if planned_anew || stretches.is_empty() {
                    rate::plan_stretches(&plan, &series.times, change, &mut stretches);
                }
                let values = rate::plain_changes(series, &stretches, change);
                if change.counter && !series.values.is_empty() {
                    rate::note_non_counter(&mut self.notes, span, &series.labels);
                }
                columns.push(Column::of_floats(series.labels.clone(), drop_name, values));
                continue;
            }
            let mut column = Column::empty(series.labels.clone(), drop_name, grid.count);
            let mut slide = Slide::default();
            for (step, time) in grid.times().enumerate() {
                if step % STEPS_BETWEEN_CHECKS == 0 {
                    self.watch.check()?;
                }
                let window = input.window(at, time, plan.bounds[step], &mut slide);
                let mut call = Kernel {
                    window: &window,
                    params: &params,
                    step,
                    span,
                    notes: &mut self.notes,
                    scratch: &mut scratch,
                };
                if let Some(value) = kernel(&mut call)? {
                    column.set(step, value);
                }
            }
            columns.push(column);
        }
        Ok(columns)
    }

    fn absent_over_time(&self, arg: &Expr, input: &RangeInput, grid: Grid) -> Vec<Column> {
        let mut present = vec![false; grid.count];
        let mut plan = Plan::new(input, grid);
        for at in 0..input.series.len() {
            plan.fit(&input.series[at].times);
            let mut slide = Slide::default();
            for (step, time) in grid.times().enumerate() {
                let window = input.window(at, time, plan.bounds[step], &mut slide);
                present[step] |=
                    window.floats.0 < window.floats.1 || window.hists.0 < window.hists.1;
            }
        }
        vec![super::labels::absence(arg, &present)]
    }
}

/// One call of a kernel.
pub(super) struct Kernel<'a> {
    pub window: &'a Window<'a>,
    /// Scalar arguments, one per step.
    pub params: &'a [Vec<f64>],
    pub step: usize,
    pub span: Span,
    pub notes: &'a mut Notes,
    /// Reused buffer for sorting.
    pub scratch: &'a mut Vec<f64>,
}

impl Kernel<'_> {
    pub(super) fn param(&self, index: usize) -> f64 {
        self.params[index][self.step]
    }
}

/// Windows computed before the next look whether to stop: long windows take a while each.
const STEPS_BETWEEN_CHECKS: usize = 256;

type KernelFn = fn(&mut Kernel<'_>) -> Evaluated<Option<Value>>;

fn kernel(name: &str) -> Evaluated<KernelFn> {
    Ok(match name {
        "rate" => rate::rate,
        "increase" => rate::increase,
        "delta" => rate::delta,
        "irate" => rate::irate,
        "idelta" => rate::idelta,
        "changes" => rate::changes,
        "resets" => rate::resets,
        "deriv" => over_time::deriv,
        "predict_linear" => over_time::predict_linear,
        "double_exponential_smoothing" => over_time::double_exponential_smoothing,
        "avg_over_time" => over_time::avg,
        "sum_over_time" => over_time::sum,
        "count_over_time" => over_time::count,
        "present_over_time" => over_time::present,
        "min_over_time" => over_time::min,
        "max_over_time" => over_time::max,
        "first_over_time" => over_time::first,
        "last_over_time" => over_time::last,
        "stddev_over_time" => over_time::stddev,
        "stdvar_over_time" => over_time::stdvar,
        "mad_over_time" => over_time::mad,
        "quantile_over_time" => over_time::quantile,
        "ts_of_first_over_time" => over_time::ts_of_first,
        "ts_of_last_over_time" => over_time::ts_of_last,
        "ts_of_max_over_time" => over_time::ts_of_max,
        "ts_of_min_over_time" => over_time::ts_of_min,
        _ => return failed(format!("function {name:?} is not available")),
    })
}
