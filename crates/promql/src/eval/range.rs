// SPDX-License-Identifier: Apache-2.0
//! Windows: for each series and step the samples in `(end - range, end]`, given to a kernel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::column::{Cell, Column, Value};
use super::digest;
use super::plain::{Plain, plain};
use super::plan::{Bounds, Geometry, Slide, View};
use super::rate::change_of;
use super::scan::{Fetched, RangeSeries, Tools};
use super::{Evaluated, Evaluation, Sink, failed, over_time, rate};
use crate::ast::*;
use crate::engine::Grid;
use crate::functions::Function;
use crate::histogram::{FloatHistogram, ResetHint};
use crate::notes::Notes;
use crate::source::{Digests, Hints, HistogramSample, Known};
use crate::value::{MatrixEntry, Point, Sample};

/// A subquery skips samples, so what a hint says about the one before no longer holds.
fn subquery_sample(timestamp_ms: i64, histogram: &Arc<FloatHistogram>) -> HistogramSample {
    let mut histogram = Arc::clone(histogram);
    if matches!(histogram.hint, ResetHint::Reset | ResetHint::NotReset) {
        Arc::make_mut(&mut histogram).hint = ResetHint::Unknown;
    }
    HistogramSample { timestamp_ms, start_time_ms: 0, histogram }
}

/// The samples of a subquery's column; its times are shared with the column before if alike.
#[derive(Default)]
struct Inner {
    times: Arc<[i64]>,
    steps: Vec<i64>,
    values: Vec<f64>,
    histograms: Vec<HistogramSample>,
}

impl Inner {
    fn fill(&mut self, column: &Column, grid: Grid) {
        self.steps.clear();
        self.values.clear();
        self.histograms.clear();
        for (step, time) in grid.times().enumerate() {
            match column.get(step) {
                Some(Cell::Float(value)) => {
                    self.steps.push(time);
                    self.values.push(value);
                }
                Some(Cell::Hist(histogram)) => {
                    self.histograms.push(subquery_sample(time, histogram));
                }
                None => {}
            }
        }
        if *self.times != *self.steps {
            self.times = self.steps.as_slice().into();
        }
    }

    fn series<'s>(&'s self, column: &'s Column) -> RangeSeries<'s> {
        RangeSeries {
            labels: &column.labels,
            drop_name: column.drop_name,
            times: &self.times,
            values: &self.values,
            starts: &[],
            histograms: &self.histograms,
            known: Known::default(),
            digests: &[],
        }
    }
}

/// Where the windows of a range vector lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    pub geometry: Geometry,
    pub edges: Edges,
    pub lookback_ms: i64,
}

/// One series' samples in one window. Index ranges point into the series, so that a kernel may
/// look at the neighbours outside.
pub(super) struct Window<'a> {
    pub series: &'a RangeSeries<'a>,
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

impl Windows {
    /// The window of a step.
    fn window<'w>(
        &self,
        series: &'w RangeSeries<'w>,
        step: usize,
        (from, to): Bounds,
        slide: &mut Slide,
    ) -> Window<'w> {
        let (start, end) = self.geometry.edges(step);
        let hists = match series.histograms.is_empty() {
            true => (0, 0),
            false => {
                slide.to(series.histograms.len(), start, end, |i| series.histograms[i].timestamp_ms)
            }
        };
        let (step_time, floats) = (self.geometry.grid.at(step), (from as usize, to as usize));
        let (edges, lookback_ms) = (self.edges, self.lookback_ms);
        Window { series, floats, hists, start, end, step_time, edges, lookback_ms }
    }
}

/// A function of a range vector with its scalar arguments.
struct RangeCall<'c> {
    kernel: KernelFn,
    plain: Option<Plain>,
    params: &'c [Vec<f64>],
    span: Span,
    keeps_name: bool,
}

impl RangeCall<'_> {
    fn column(
        &self,
        windows: &Windows,
        series: &RangeSeries<'_>,
        tools: &mut Tools,
        out: &mut Column,
    ) -> Evaluated<()> {
        let geometry = &windows.geometry;
        let drop_name = series.drop_name || !self.keeps_name;
        let plan = tools.plans.of(geometry, series.times);
        let whole = series.is_plain() && windows.edges == Edges::Plain;
        if let Some(plain) = self.plain.filter(|_| whole) {
            if plain.wants_counter() && !series.values.is_empty() && !series.drop_name {
                rate::note_non_counter(&mut tools.notes, self.span, series.labels);
            }
            let floats = out.begin(series.labels.clone(), drop_name);
            floats.reserve(geometry.grid.count);
            match series.digests {
                [] => plain.run(series, plan, floats),
                _ => digest::run(plain, series, plan, floats),
            }
            return Ok(());
        }
        if !series.digests.is_empty() {
            return failed("samples are missing that the function needs");
        }
        out.clear_all(series.labels.clone(), drop_name, geometry.grid.count);
        let mut slide = Slide::default();
        for (step, bounds) in plan.bounds.iter().copied().enumerate() {
            if step % STEPS_BETWEEN_CHECKS == 0 {
                tools.watch.check()?;
            }
            let window = windows.window(series, step, bounds, &mut slide);
            let mut call = Kernel {
                window: &window,
                params: self.params,
                step,
                span: self.span,
                notes: &mut tools.notes,
                scratch: &mut tools.scratch,
            };
            if let Some(value) = (self.kernel)(&mut call)? {
                out.set(step, value);
            }
        }
        Ok(())
    }
}

/// Makes the column of one series of a range vector.
type RangeJob<'j> =
    dyn Fn(&Windows, &RangeSeries<'_>, &mut Tools, &mut Column) -> Evaluated<()> + Sync + 'j;

impl<'a> Evaluation<'a> {
    /// Runs `job` over the series of a range vector expression, whose staleness markers are taken
    /// out; gives `sink` the columns that have a sample.
    fn over_windows(
        &mut self,
        (expr, function): (&Expr, &str),
        grid: Grid,
        job: &RangeJob<'_>,
        sink: &mut Sink<'_, 'a>,
    ) -> Evaluated<()> {
        match &expr.unwrap_parens().kind {
            ExprKind::Matrix { selector, range } => {
                let (windows, fetched) = self.selector_windows(selector, range, grid, function)?;
                let job = |series: &RangeSeries<'_>, tools: &mut Tools, out: &mut Column| {
                    job(&windows, series, tools, out)
                };
                self.scan(&fetched, grid, self.stripped(), &job, sink)
            }
            ExprKind::Subquery(subquery) => {
                let (windows, inner) = self.subquery_windows(subquery, grid, function)?;
                if inner.count == 0 {
                    return Ok(());
                }
                let mut tools = Tools::new(self.watch.clone());
                let (mut samples, mut out) = (Inner::default(), Column::default());
                let each = &mut |this: &mut Evaluation<'a>, column: &mut Column| {
                    samples.fill(column, inner);
                    std::mem::swap(&mut this.notes, &mut tools.notes);
                    let made = job(&windows, &samples.series(column), &mut tools, &mut out);
                    std::mem::swap(&mut this.notes, &mut tools.notes);
                    made?;
                    if out.is_empty() { Ok(()) } else { sink(this, &mut out) }
                };
                self.check_held(inner.count)?;
                self.tracking_resets(false, |this| this.stream(&subquery.expr, inner, each))
            }
            _ => failed("expected a range vector"),
        }
    }

    /// What the windows of `selector[range]` need.
    fn selector_windows(
        &mut self,
        selector: &VectorSelector,
        range: &DurationExpr,
        grid: Grid,
        function: &str,
    ) -> Evaluated<(Windows, Arc<Fetched<'a>>)> {
        let range_ms = self.positive_ms(range)?;
        let shift = self.shift(selector.at, &selector.offset)?;
        let (first, last) = (shift.apply(grid.start), shift.apply(grid.end()));
        let lookback_ms = self.limits.lookback_ms;
        // Samples outside the window that the edges may need.
        let (before, after) = match selector.edges {
            Edges::Plain => (0, 0),
            Edges::Anchored => (lookback_ms, 0),
            Edges::Smoothed => (lookback_ms, lookback_ms),
        };
        let step_ms = if grid.count > 1 { grid.step } else { 0 };
        let digests = match selector.edges {
            Edges::Plain => digest::allowed(function),
            _ => Digests::Never,
        };
        let hints = Hints { function, step_ms, range_ms, digests, ..Hints::default() };
        let wanted = (first - range_ms - before + 1, last + after);
        let fetched = self.fetch(selector, wanted, hints)?;
        let change = change_of(function).filter(|_| selector.edges == Edges::Plain);
        let geometry = Geometry { grid, shift, view: View::Window(range_ms), change };
        Ok((Windows { geometry, edges: selector.edges, lookback_ms }, fetched))
    }

    /// The windows of a subquery, and the steps at which its expression is evaluated.
    fn subquery_windows(
        &mut self,
        subquery: &Subquery,
        grid: Grid,
        function: &str,
    ) -> Evaluated<(Windows, Grid)> {
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
        let (view, change) = (View::Window(range_ms), change_of(function));
        let geometry = Geometry { grid, shift, view, change };
        let lookback_ms = self.limits.lookback_ms;
        let windows = Windows { geometry, edges: Edges::Plain, lookback_ms };
        Ok((windows, Grid { start, step, count }))
    }

    /// A function of a range vector.
    pub(super) fn range_call(
        &mut self,
        function: &Function,
        args: &[Expr],
        grid: Grid,
        sink: &mut Sink<'_, 'a>,
    ) -> Evaluated<()> {
        let matrix = args.iter().position(|a| a.value_type() == ValueType::Matrix).unwrap_or(0);
        let mut params = vec![];
        for (index, arg) in args.iter().enumerate() {
            if index != matrix {
                params.push(self.scalar(arg, grid)?);
            }
        }
        let input = (&args[matrix], function.name);
        if function.name == "absent_over_time" {
            let mut column = self.absent_over_time(input.0, grid)?;
            return if column.is_empty() { Ok(()) } else { sink(self, &mut column) };
        }
        let call = RangeCall {
            kernel: kernel(function.name)?,
            plain: plain(function.name),
            params: &params,
            span: args[matrix].span,
            keeps_name: matches!(function.name, "first_over_time" | "last_over_time"),
        };
        // A quantile is looked at where there is something it is taken of.
        let any = AtomicBool::new(false);
        let job = |windows: &Windows, series: &RangeSeries<'_>, tools: &mut Tools, out: &mut _| {
            any.fetch_or(!series.values.is_empty(), Ordering::Relaxed);
            call.column(windows, series, tools, out)
        };
        self.over_windows(input, grid, &job, sink)?;
        if function.name == "quantile_over_time" && any.into_inner() {
            self.warn_quantiles(&params[0], args[0].span);
        }
        Ok(())
    }

    fn absent_over_time(&mut self, arg: &Expr, grid: Grid) -> Evaluated<Column> {
        let mut present = vec![false; grid.count];
        let call = RangeCall {
            kernel: over_time::present,
            plain: plain("present_over_time"),
            params: &[],
            span: arg.span,
            keeps_name: false,
        };
        let job = |windows: &Windows, series: &RangeSeries<'_>, tools: &mut Tools, out: &mut _| {
            call.column(windows, series, tools, out)
        };
        self.over_windows((arg, "absent_over_time"), grid, &job, &mut |_, column| {
            (0..grid.count).for_each(|step| present[step] |= column.has(step));
            Ok(())
        })?;
        Ok(super::labels::absence(arg, &present))
    }

    /// The samples of a range vector's one window at each step of a grid with one step.
    pub(super) fn window_points(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Vec<MatrixEntry>> {
        // Points do not fit into a column: they go past it.
        let entries = Mutex::new(vec![]);
        let job =
            |windows: &Windows, series: &RangeSeries<'_>, tools: &mut Tools, _: &mut Column| {
                let plan = tools.plans.of(&windows.geometry, series.times);
                let window = windows.window(series, 0, plan.bounds[0], &mut Slide::default());
                let floats = window.times().iter().zip(window.values());
                let mut points: Vec<Point> = floats
                    .map(|(t, v)| Point { timestamp_ms: *t, sample: Sample::Float(*v) })
                    .chain(window.histograms().iter().map(|h| Point {
                        timestamp_ms: h.timestamp_ms,
                        sample: Sample::Histogram(Arc::clone(&h.histogram)),
                    }))
                    .collect();
                points.sort_by_key(|p| p.timestamp_ms);
                if !points.is_empty() {
                    let entry =
                        MatrixEntry { labels: series.labels.clone(), points: points.into() };
                    entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
                }
                Ok(())
            };
        self.over_windows((expr, ""), grid, &job, &mut |_, _| Ok(()))?;
        Ok(entries.into_inner().unwrap_or_else(PoisonError::into_inner))
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
