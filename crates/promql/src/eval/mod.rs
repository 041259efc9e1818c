// SPDX-License-Identifier: Apache-2.0
//! The evaluator: a tree and a grid of steps to columns.
//!
//! [`Evaluation::eval`] dispatches on the node; the work is in the submodules: `select` reads
//! series, `range` walks windows, `rate` and `over_time` compute in one window, `binary`,
//! `aggregate`, `vector`, `labels`, `dates`, `buckets` and `info` work on columns.

mod aggregate;
mod binary;
mod buckets;
mod column;
mod dates;
mod edges;
mod info;
mod labels;
mod over_time;
mod range;
mod rate;
mod select;
mod vector;

use basics::labels::{Labels, METRIC_NAME};
use hashbrown::HashMap;

use crate::ast::*;
use crate::engine::{Bounds, Engine, Grid, Limits, QueryError, TIME_MAX_MS, Watch};
use crate::functions::Function;
use crate::notes::Notes;
use crate::source::{Series, SeriesSource};
use crate::value::{MatrixEntry, Point, Sample};
use column::{Cell, Column, merge_equal, prune};

/// What a node yields over all steps.
enum Outcome {
    Scalar(Vec<f64>),
    Vector(Vec<Column>),
}

pub(crate) type Evaluated<T> = Result<T, QueryError>;

pub(crate) struct Evaluation<'a> {
    source: &'a dyn SeriesSource,
    limits: &'a Limits,
    bounds: Bounds,
    watch: Watch,
    samples: usize,
    /// What was read already, so that a selector written twice is read once. Clones share samples.
    fetched: HashMap<String, Vec<Series>>,
    /// Set where only counts and sums of histograms matter: there, as upstream, conflicting
    /// resets are found by comparing neighbours.
    track_resets: bool,
    pub(crate) notes: Notes,
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
        let limits = engine.limits();
        let notes = Notes::default();
        let (samples, fetched) = (0, HashMap::new());
        let track_resets = false;
        Evaluation { source, limits, bounds, watch, samples, fetched, track_resets, notes }
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
            let points = (0..column.len()).filter_map(|step| {
                let sample = match column.get(step)? {
                    Cell::Float(value) => Sample::Float(value),
                    Cell::Hist(value) => Sample::Histogram(value.clone()),
                };
                Some(Point { timestamp_ms: grid.at(step), sample })
            });
            MatrixEntry { points: points.collect(), labels: column.labels }
        };
        Ok(columns.into_iter().map(entry).filter(|e| !e.points.is_empty()).collect())
    }

    /// A range vector as the answer of an instant query.
    pub(crate) fn matrix_at(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Vec<MatrixEntry>> {
        let input = self.windows(expr, grid, "")?;
        let mut out = input.points_at(grid.start);
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

    /// Counts samples that are held, and looks whether to stop.
    fn charge(&mut self, samples: usize) -> Evaluated<()> {
        self.samples = self.samples.saturating_add(samples);
        if self.samples > self.limits.samples_max {
            return Err(QueryError::TooMuch(
                "query processing would load too many samples into memory in query execution"
                    .into(),
            ));
        }
        self.watch.check()
    }

    fn eval(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Outcome> {
        self.watch.check()?;
        if grid.count > 1 && is_fixed(expr) {
            return self.eval_once(expr, grid);
        }
        let columns = match &expr.kind {
            ExprKind::Number { value, .. } => {
                self.charge(grid.count)?;
                return Ok(Outcome::Scalar(vec![*value; grid.count]));
            }
            ExprKind::Paren(inner) => return self.eval(inner, grid),
            ExprKind::Vector(selector) if selector.edges == Edges::Smoothed => {
                self.smoothed_instants(selector, expr.span, grid)?
            }
            ExprKind::Vector(selector) => self.instants(selector, grid)?,
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate, grid)?,
            ExprKind::Binary(binary) => return self.binary(expr, binary, grid),
            ExprKind::Unary { negative, expr } => return self.unary(*negative, expr, grid),
            ExprKind::Call { function, args } => return self.call(expr, function, args, grid),
            ExprKind::String(_) | ExprKind::Matrix { .. } | ExprKind::Subquery(_) => {
                return failed("unexpected string or range vector");
            }
        };
        self.charge(columns.len() * grid.count)?;
        Ok(Outcome::Vector(columns))
    }

    /// Evaluates what is the same at every step at one step only.
    fn eval_once(&mut self, expr: &Expr, grid: Grid) -> Evaluated<Outcome> {
        let once = Grid { count: 1, ..grid };
        Ok(match self.eval(expr, once)? {
            Outcome::Scalar(values) => Outcome::Scalar(vec![values[0]; grid.count]),
            Outcome::Vector(columns) => {
                self.charge(columns.len() * grid.count)?;
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
                for column in &mut columns {
                    column.drop_name = true;
                    column.map(|_, cell| {
                        Some(match cell {
                            Cell::Float(value) => (-value).into(),
                            Cell::Hist(histogram) => histogram.scaled(-1.0).into(),
                        })
                    });
                }
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
        let mut columns = if function.params.contains(&ValueType::Matrix) {
            self.range_call(function, args, grid)?
        } else {
            self.vector_call(expr, function, args, grid)?
        };
        prune(&mut columns);
        self.charge(columns.len() * grid.count)?;
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
