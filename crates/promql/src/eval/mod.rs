// SPDX-License-Identifier: Apache-2.0
//! The evaluator: a tree and a grid of steps to columns.
//!
//! Selectors and what is done series by series above them [`Evaluation::stream`] their columns to
//! whoever takes them; [`Evaluation::eval`] gathers columns where all are needed at once. `scan`
//! goes through series, `select` and `range` say what becomes of each, by `plain` kernels over a
//! `plan` (`digest`: where a source knows runs of samples without reading them) or (`rate`, `over_time`) window by window; `binary`, `aggregate`, `vector`, `labels`,
//! `dates`, `buckets` and `info` work on columns. `profile` tells what each node took.

mod aggregate;
mod binary;
mod buckets;
mod column;
mod dates;
mod digest;
mod edges;
mod info;
mod labels;
mod over_time;
mod plain;
mod plan;
mod profile;
mod pyramid;
mod range;
mod rate;
mod reduce;
mod scan;
mod select;
mod top;
mod vector;

use std::sync::Arc;

use basics::labels::{Labels, METRIC_NAME};
use hashbrown::HashMap;

use crate::ast::*;
use crate::engine::{Bounds, Engine, Grid, Limits, QueryError, TIME_MAX_MS, Watch};
use crate::functions::Function;
use crate::notes::Notes;
use crate::source::SeriesSource;
use crate::value::{MatrixEntry, Stats};
use column::{Cell, Column, Value, merge_equal, prune};
pub(crate) use labels::order;
pub(crate) use profile::Profile;
use scan::Fetched;

/// What a node yields over all steps.
enum Outcome {
    Scalar(Vec<f64>),
    Vector(Vec<Column>),
}

pub(crate) type Evaluated<T> = Result<T, QueryError>;

/// Takes columns one at a time; may take the samples out of each.
type Sink<'s, 'a> = dyn FnMut(&mut Evaluation<'a>, &mut Column) -> Evaluated<()> + 's;

pub(crate) struct Evaluation<'a> {
    source: &'a dyn SeriesSource,
    limits: &'a Limits,
    bounds: Bounds,
    watch: Watch,
    /// Samples of columns that are held.
    held: usize,
    /// Samples that selections hold until the end.
    pinned: usize,
    /// What was opened already, so that a selector written twice is opened once.
    fetched: HashMap<String, Arc<Fetched<'a>>>,
    /// Set where only counts and sums of histograms matter: there, as upstream, conflicting
    /// resets are found by comparing neighbours.
    track_resets: bool,
    pub(crate) notes: Notes,
    pub(crate) stats: Stats,
    /// Set when the query is to be explained.
    pub(crate) profile: Option<Profile>,
}

/// Labels that describe a metric as such; they go when its meaning changes.
pub(crate) fn is_metric_label(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | "__unit__")
}

fn drop_metric(labels: &Labels) -> Labels {
    labels.without(is_metric_label)
}

fn failed<T>(message: impl Into<String>) -> Evaluated<T> {
    Err(QueryError::Execution(message.into()))
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(
        source: &'a dyn SeriesSource,
        engine: &'a Engine,
        bounds: Bounds,
        watch: Watch,
    ) -> Self {
        Evaluation {
            source,
            limits: engine.limits(),
            bounds,
            watch,
            held: 0,
            pinned: 0,
            fetched: HashMap::new(),
            track_resets: false,
            notes: Notes::default(),
            stats: Stats::default(),
            profile: None,
        }
    }

    /// Runs a part of the evaluation with reset tracking on or off.
    fn tracking_resets<T>(&mut self, on: bool, run: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.track_resets, on);
        let result = run(self);
        self.track_resets = before;
        result
    }

    /// The finished answer: names dropped, label sets unique, only real points.
    pub(crate) fn result(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Vec<MatrixEntry>> {
        let columns = match self.eval(expr, grid)? {
            Outcome::Scalar(values) => vec![Column::of_floats(Labels::default(), false, values)],
            Outcome::Vector(columns) => finish_names(columns)?,
        };
        let entry = |column: Column| {
            let (labels, points) = column.into_points(grid);
            MatrixEntry { labels, points }
        };
        Ok(columns.into_iter().filter(|c| !c.is_empty()).map(entry).collect())
    }

    /// A range vector as the answer of an instant query.
    pub(crate) fn matrix_at(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Vec<MatrixEntry>> {
        let mut out = self.window_points(expr, grid)?;
        out.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(out)
    }

    pub(crate) fn string(&mut self, expr: &Expr) -> Evaluated<String> {
        match &expr.unwrap_parens().kind {
            ExprKind::String(text) => Ok(text.value.clone()),
            _ => failed("expected a string literal"),
        }
    }

    /// A scalar expression's number at each step.
    pub(crate) fn scalar(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Vec<f64>> {
        match self.eval(expr, grid)? {
            Outcome::Scalar(values) => Ok(values),
            Outcome::Vector(_) => failed("expected a scalar"),
        }
    }

    fn vector(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Vec<Column>> {
        match self.eval(expr, grid)? {
            Outcome::Vector(columns) => Ok(columns),
            Outcome::Scalar(_) => failed("expected an instant vector"),
        }
    }

    /// Counts samples that are held until the node they are made for is done, and looks whether to
    /// stop.
    fn charge(&mut self, samples: usize) -> Evaluated<()> {
        self.held = self.held.saturating_add(samples);
        self.check_held(0)?;
        self.watch.check()
    }

    /// Counts samples that are held until the query is done.
    fn pin(&mut self, samples: usize) -> Evaluated<()> {
        self.pinned = self.pinned.saturating_add(samples);
        self.check_held(0)?;
        self.watch.check()
    }

    /// Whether so many more samples may be held for a while.
    fn check_held(&mut self, more: usize) -> Evaluated<()> {
        let held = self.held.saturating_add(self.pinned).saturating_add(more);
        self.stats.samples_peak = self.stats.samples_peak.max(held);
        if held > self.limits.samples_max {
            return Err(QueryError::TooMuch(format!(
                "query processing would load too many samples into memory in query execution: \
                 more than {}",
                self.limits.samples_max
            )));
        }
        Ok(())
    }

    fn eval(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Outcome> {
        self.watch.check()?;
        let before = self.held;
        let entered = self.enter(expr);
        let outcome = match grid.count > 1 && is_fixed(expr) {
            true => self.eval_once(expr, grid),
            false => self.node(expr, grid),
        }?;
        let columns = match &outcome {
            Outcome::Scalar(_) => 1,
            Outcome::Vector(columns) => columns.len(),
        };
        self.leave(entered, columns);
        // What the node was made from is gone.
        self.held = before;
        self.charge(columns * grid.count)?;
        Ok(outcome)
    }

    /// Gives the columns of an instant vector one at a time; those of selectors and of functions of
    /// them without holding them all.
    fn stream(&mut self, expr: &Expr, grid: Grid, sink: &mut Sink<'_, 'a>) -> Evaluated<()> {
        if !streams(expr) || (grid.count > 1 && is_fixed(expr)) {
            let columns = self.vector(expr, grid)?;
            return columns.into_iter().try_for_each(|mut column| sink(self, &mut column));
        }
        let Some(entered) = self.enter(expr) else { return self.streamed(expr, grid, sink) };
        let (mut columns, mut elsewhere) = (0, std::time::Duration::ZERO);
        self.streamed(expr, grid, &mut |this, column| {
            columns += 1;
            let begin = std::time::Instant::now();
            let taken = sink(this, column);
            elsewhere += begin.elapsed();
            taken
        })?;
        self.leave(Some(entered.without(elsewhere)), columns);
        Ok(())
    }

    /// [`Self::stream`] for what [`streams`].
    fn streamed(&mut self, expr: &Expr, grid: Grid, sink: &mut Sink<'_, 'a>) -> Evaluated<()> {
        match &expr.kind {
            ExprKind::Paren(inner) => self.stream(inner, grid, sink),
            ExprKind::Vector(selector) if selector.edges == Edges::Smoothed => {
                self.smoothed_instants(selector, expr.span, grid, sink)
            }
            ExprKind::Vector(selector) => self.instants(selector, grid, sink),
            ExprKind::Unary { negative, expr } => self.stream(expr, grid, &mut |this, column| {
                if *negative {
                    negate(column);
                }
                sink(this, column)
            }),
            ExprKind::Binary(binary) => self.stream_with_scalar(expr, binary, grid, sink),
            ExprKind::Call { function, args } if takes_matrix(function) => {
                self.range_call(function, args, grid, sink)
            }
            ExprKind::Call { function, args } => self.stream_math(function, args, grid, sink),
            _ => failed("unexpected expression"),
        }
    }

    fn node(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Outcome> {
        if streams(expr) {
            let mut columns = vec![];
            self.streamed(expr, grid, &mut |this, column| {
                columns.push(std::mem::take(column));
                this.charge(grid.count)
            })?;
            return Ok(Outcome::Vector(columns));
        }
        let columns = match &expr.kind {
            ExprKind::Number { value, .. } => {
                return Ok(Outcome::Scalar(vec![*value; grid.count]));
            }
            ExprKind::Paren(inner) => return self.eval(inner, grid),
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate, grid)?,
            ExprKind::Binary(binary) => return self.binary(expr, binary, grid),
            ExprKind::Unary { negative, expr } => return self.unary(*negative, expr, grid),
            ExprKind::Call { function, args } => return self.call(expr, function, args, grid),
            ExprKind::Vector(_)
            | ExprKind::String(_)
            | ExprKind::Matrix { .. }
            | ExprKind::Subquery(_) => {
                return failed("unexpected string or range vector");
            }
        };
        Ok(Outcome::Vector(columns))
    }

    /// Evaluates what is the same at every step at one step only.
    fn eval_once(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Outcome> {
        let once = Grid { count: 1, ..grid };
        Ok(match self.eval(expr, once)? {
            Outcome::Scalar(values) => Outcome::Scalar(vec![values[0]; grid.count]),
            Outcome::Vector(columns) => {
                let spread = |column: Column| {
                    let mut out =
                        Column::empty(column.labels.clone(), column.drop_name, grid.count);
                    if let Some(cell) = column.get(0) {
                        (0..grid.count).for_each(|step| out.set(step, cell.to_value()));
                    }
                    out
                };
                Outcome::Vector(columns.into_iter().map(spread).collect())
            }
        })
    }

    fn unary(&mut self, negative: bool, expr: &Expr, grid: Grid) -> Evaluated<Outcome> {
        let outcome = self.eval(expr, grid)?;
        if !negative {
            return Ok(outcome);
        }
        Ok(match outcome {
            Outcome::Scalar(values) => Outcome::Scalar(values.iter().map(|v| -v).collect()),
            Outcome::Vector(mut columns) => {
                columns.iter_mut().for_each(negate);
                Outcome::Vector(columns)
            }
        })
    }

    fn call(
        &mut self,
        expr: &Expr,
        function: &Function,
        args: &[Expr],
        grid: Grid,
    ) -> Evaluated<Outcome> {
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let constant = |value: f64| Ok(Outcome::Scalar(vec![value; grid.count]));
        let Bounds { start, end, step } = self.bounds;
        match function.name {
            "time" => return Ok(Outcome::Scalar(grid.times().map(seconds).collect())),
            "pi" => return constant(std::f64::consts::PI),
            "start" => return constant(seconds(start)),
            "end" => return constant(seconds(end)),
            "step" => return constant(seconds(step)),
            "range" => return constant(seconds(end - start)),
            "scalar" => return self.scalar_of(&args[0], grid),
            "min_of" | "max_of" => {
                let (a, b) = (self.scalar(&args[0], grid)?, self.scalar(&args[1], grid)?);
                let max = function.name == "max_of";
                let pick = |(a, b): (f64, f64)| match a.is_nan() || b.is_nan() {
                    true => f64::NAN,
                    false if max => a.max(b),
                    false => a.min(b),
                };
                return Ok(Outcome::Scalar(a.into_iter().zip(b).map(pick).collect()));
            }
            _ => {}
        }
        let mut columns = self.vector_call(expr, function, args, grid)?;
        prune(&mut columns);
        Ok(Outcome::Vector(columns))
    }

    /// `scalar(v)`: the only number of each step, else NaN.
    fn scalar_of(&mut self, arg: &Expr, grid: Grid) -> Evaluated<Outcome> {
        let columns = self.vector(arg, grid)?;
        let at = |step: usize| {
            let mut found = columns.iter().filter_map(|c| c.float(step));
            match (found.next(), found.next()) {
                (Some(value), None) => value,
                _ => f64::NAN,
            }
        };
        Ok(Outcome::Scalar((0..grid.count).map(at).collect()))
    }

    fn duration_ms(&self, duration: &DurationExpr) -> Evaluated<i64> {
        let Bounds { start, end, step } = self.bounds;
        let seconds = duration.seconds(step as f64 / 1000.0, (end - start) as f64 / 1000.0);
        let ms = (seconds * 1000.0).round();
        // Go's durations end at 292 years; beyond it nothing sensible can be meant.
        if ms.is_nan() || ms.abs() > 1e13 {
            return failed(format!("duration out of range: {duration}"));
        }
        Ok(ms as i64)
    }

    fn positive_ms(&self, duration: &DurationExpr) -> Evaluated<i64> {
        let ms = self.duration_ms(duration)?;
        if ms <= 0 {
            return failed(format!("duration must be greater than 0, got {duration}"));
        }
        Ok(ms)
    }

    fn at_ms(&self, at: At) -> i64 {
        match at {
            At::Time(ms) => ms.clamp(-TIME_MAX_MS, TIME_MAX_MS),
            At::Start => self.bounds.start,
            At::End => self.bounds.end,
        }
    }
}

/// True for what makes its columns series by series: selectors, and functions of one series above
/// them.
fn streams(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Vector(_) => true,
        ExprKind::Paren(inner) | ExprKind::Unary { expr: inner, .. } => streams(inner),
        ExprKind::Call { function, .. } if takes_matrix(function) => true,
        ExprKind::Call { function, args } => {
            vector::math(function.name).is_some() && streams(&args[0])
        }
        // A chain of operators is walked in a loop instead.
        ExprKind::Binary(b) => match (&b.left.kind, &b.right.kind) {
            (ExprKind::Binary(_), _) | (_, ExprKind::Binary(_)) => false,
            _ => match (b.left.value_type(), b.right.value_type()) {
                (ValueType::Scalar, ValueType::Vector) => streams(&b.right),
                (ValueType::Vector, ValueType::Scalar) => streams(&b.left),
                _ => false,
            },
        },
        _ => false,
    }
}

fn takes_matrix(function: &Function) -> bool {
    function.params.contains(&ValueType::Matrix)
}

fn negate(column: &mut Column) {
    column.drop_name = true;
    column.map(|_, cell| {
        Some(match cell {
            Cell::Float(value) => Value::Float(-value),
            Cell::Hist(histogram) => histogram.scaled(-1.0).into(),
        })
    });
}

/// Drops the names that were marked and joins what became equal.
fn finish_names(mut columns: Vec<Column>) -> Evaluated<Vec<Column>> {
    for column in &mut columns {
        if std::mem::take(&mut column.drop_name) {
            column.labels = drop_metric(&column.labels);
        }
    }
    merge_equal(columns)
}

/// True when the value is the same at every step: every selector has an `@`, nothing tells the time.
fn is_fixed(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number { .. } | ExprKind::String(_) => false,
        _ => !depends_on_time(expr),
    }
}

fn depends_on_time(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number { .. } | ExprKind::String(_) => false,
        ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. } => selector.at.is_none(),
        ExprKind::Subquery(s) => s.at.is_none(),
        ExprKind::Call { function, args } => {
            let tells_time = match function.name {
                "time" | "timestamp" | "start_timestamp" | "predict_linear" => true,
                "day_of_month" | "day_of_week" | "day_of_year" | "days_in_month" | "hour"
                | "minute" | "month" | "year" => args.is_empty(),
                // Info series are read when the series are.
                "info" => return args.first().is_some_and(depends_on_time),
                _ => false,
            };
            tells_time || args.iter().any(depends_on_time)
        }
        ExprKind::Aggregate(a) => {
            depends_on_time(&a.expr) || a.param.as_ref().is_some_and(depends_on_time)
        }
        ExprKind::Binary(b) => depends_on_time(&b.left) || depends_on_time(&b.right),
        ExprKind::Unary { expr, .. } | ExprKind::Paren(expr) => depends_on_time(expr),
    }
}
