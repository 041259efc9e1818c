// SPDX-License-Identifier: Apache-2.0
//! Runs queries: limits, cancellation, and the final shape of the answer.
//!
//! A query is evaluated step-vectorised: each node of its tree yields a column over all steps for
//! each series. Aggregations take the columns of selectors and of functions above them one at a
//! time, so that they hold groups times steps, not series times steps. Memory is bounded by
//! [`Limits`]; time by the deadline in [`Context`]. On error nothing is returned but the error.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::ast::ValueType;
use crate::eval::{Evaluation, Profile, order};
use crate::parse::{ParseError, parse};
use crate::source::SeriesSource;
use crate::value::{Explain, MatrixEntry, Point, QueryResult, QueryValue, VectorEntry};

/// Bounds of one query.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most samples held at once, read and computed together. Default 50 million, Prometheus'.
    pub samples_max: usize,
    /// Most series of one selector. Default 500 thousand: a mistyped selector over a large store.
    pub series_max: usize,
    /// Most steps of a range query. Default 11,000, Prometheus': a week at one minute.
    pub steps_max: usize,
    /// Longest run of one query. Default 2 minutes, Prometheus'.
    pub timeout: Duration,
    /// How far back an instant selector looks. Default 5 minutes, Prometheus'.
    pub lookback_ms: i64,
    /// Step of a subquery that names none. Default 1 minute, Prometheus' evaluation interval.
    pub subquery_step_ms: i64,
    /// Most threads of one query; more than one only over a million samples or more. Default: as
    /// many as the machine runs at once, at most 8.
    pub threads_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            samples_max: 50_000_000,
            series_max: 500_000,
            steps_max: 11_000,
            timeout: Duration::from_secs(120),
            lookback_ms: 300_000,
            subquery_step_ms: 60_000,
            threads_max: std::thread::available_parallelism().map_or(1, |n| n.get().min(8)),
        }
    }
}

/// What may end a query early.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Set to end the query.
    pub cancel: Arc<AtomicBool>,
    /// When to end it at the latest; the engine's timeout holds as well.
    pub deadline: Option<Instant>,
}

/// Largest time in either direction: 285,000 years, far enough from overflow for every sum of
/// times, offsets and windows.
pub(crate) const TIME_MAX_MS: i64 = 1 << 53;

fn check_time(time_ms: i64) -> Result<(), QueryError> {
    if time_ms.checked_abs().is_none_or(|size| size > TIME_MAX_MS) {
        return Err(QueryError::Execution(format!("time out of range: {time_ms} ms")));
    }
    Ok(())
}

/// Why a query failed.
#[derive(Clone, Debug)]
pub enum QueryError {
    /// The text is not PromQL.
    Parse(ParseError),
    /// The data does not allow the operation; the message is Prometheus'.
    Execution(String),
    /// It took longer than allowed.
    Timeout,
    /// It was cancelled.
    Cancelled,
    /// A limit of [`Limits`] is reached.
    TooMuch(String),
    /// The source failed.
    Source(basics::Error),
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueryError::Parse(e) => write!(f, "{e}"),
            QueryError::Execution(message) | QueryError::TooMuch(message) => f.write_str(message),
            QueryError::Timeout => f.write_str("query timed out in expression evaluation"),
            QueryError::Cancelled => f.write_str("query was canceled in expression evaluation"),
            QueryError::Source(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for QueryError {}

impl From<ParseError> for QueryError {
    fn from(e: ParseError) -> Self {
        QueryError::Parse(e)
    }
}

impl From<basics::Error> for QueryError {
    fn from(e: basics::Error) -> Self {
        QueryError::Source(e)
    }
}

/// Steps at which an expression is evaluated: `start`, `start + step`, ... (`count` of them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub start: i64,
    pub step: i64,
    pub count: usize,
}

impl Grid {
    pub(crate) fn at(&self, index: usize) -> i64 {
        self.start + self.step * index as i64
    }

    pub(crate) fn end(&self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }

    pub(crate) fn times(&self) -> impl Iterator<Item = i64> + use<> {
        let grid = *self;
        (0..grid.count).map(move |i| grid.at(i))
    }
}

/// The bounds of the whole query, which `start()`, `end()`, `step()` and `range()` tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub start: i64,
    pub end: i64,
    /// 0 for an instant query.
    pub step: i64,
}

/// Evaluates queries within limits; has no state of its own.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    limits: Limits,
}

impl Engine {
    /// An engine with these limits; times among them are brought into their range.
    pub fn new(limits: Limits) -> Self {
        let in_range = |ms: i64| ms.clamp(1, TIME_MAX_MS);
        let (lookback_ms, subquery_step_ms) =
            (in_range(limits.lookback_ms), in_range(limits.subquery_step_ms));
        Engine { limits: Limits { lookback_ms, subquery_step_ms, ..limits } }
    }

    /// Evaluates `query` at one point in time.
    ///
    /// # Errors
    /// [`QueryError`]; see its kinds.
    pub fn instant(
        &self,
        source: &dyn SeriesSource,
        query: &str,
        time_ms: i64,
        context: &Context,
    ) -> Result<QueryResult, QueryError> {
        self.run(source, query, (time_ms, time_ms), 0, context, false).map(|(result, _)| result)
    }

    /// Evaluates `query` at every step of `start_ms..=end_ms`.
    ///
    /// # Errors
    /// [`QueryError`]; also when the step is not positive, the range has too many steps, or the
    /// query is a string or a range vector.
    pub fn range(
        &self,
        source: &dyn SeriesSource,
        query: &str,
        (start_ms, end_ms): (i64, i64),
        step_ms: i64,
        context: &Context,
    ) -> Result<QueryResult, QueryError> {
        if step_ms <= 0 || end_ms < start_ms {
            // The text comes first: whoever wrote neither right is told about it.
            parse(query)?;
            let message = "zero or negative query resolution step widths are not accepted, and \
                           the end must not be before the start";
            return Err(QueryError::Execution(message.into()));
        }
        self.run(source, query, (start_ms, end_ms), step_ms, context, false)
            .map(|(result, _)| result)
    }

    /// Evaluates `query` as [`Self::range`] does (`step_ms` of 0: at `start_ms`, as
    /// [`Self::instant`]) and tells what each of its nodes took.
    ///
    /// # Errors
    /// As theirs.
    pub fn explain(
        &self,
        source: &dyn SeriesSource,
        query: &str,
        (start_ms, end_ms): (i64, i64),
        step_ms: i64,
        context: &Context,
    ) -> Result<(QueryResult, Explain), QueryError> {
        let end_ms = if step_ms > 0 { end_ms.max(start_ms) } else { start_ms };
        let step_ms = step_ms.max(0);
        let (result, tree) = self.run(source, query, (start_ms, end_ms), step_ms, context, true)?;
        Ok((result, tree.unwrap_or_default()))
    }

    /// `step` of 0: an instant query.
    fn run(
        &self,
        source: &dyn SeriesSource,
        query: &str,
        (start, end): (i64, i64),
        step: i64,
        context: &Context,
        explain: bool,
    ) -> Result<(QueryResult, Option<Explain>), QueryError> {
        let expr = parse(query)?;
        let kind = expr.value_type();
        if step > 0 && !matches!(kind, ValueType::Scalar | ValueType::Vector) {
            return Err(QueryError::Execution(format!(
                "invalid expression type \"{kind}\" for range query, must be Scalar or instant \
                 Vector",
            )));
        }
        check_time(start)?;
        check_time(end)?;
        let grid = self.grid((start, end), step)?;
        let bounds = Bounds { start, end, step };
        let mut run = Evaluation::new(source, self, bounds, self.watch(context));
        run.profile = explain.then(Profile::default);
        let value = match kind {
            _ if step > 0 => {
                let mut matrix = run.result(&expr, grid)?;
                matrix.sort_by(|a, b| order(&a.labels, &b.labels));
                QueryValue::Matrix(matrix)
            }
            ValueType::Matrix => QueryValue::Matrix(run.matrix_at(&expr, grid)?),
            ValueType::String => QueryValue::String(run.string(&expr)?),
            ValueType::Scalar => QueryValue::Scalar(run.scalar(&expr, grid)?[0]),
            ValueType::Vector | ValueType::None => {
                QueryValue::Vector(as_vector(run.result(&expr, grid)?))
            }
        };
        let tree = run.profile.and_then(Profile::into_tree);
        let (warnings, infos) = run.notes.render(query);
        Ok((QueryResult { value, warnings, infos, stats: run.stats }, tree))
    }

    fn grid(&self, (start, end): (i64, i64), step: i64) -> Result<Grid, QueryError> {
        if step == 0 {
            return Ok(Grid { start, step: 1, count: 1 });
        }
        let count = usize::try_from((end - start) / step).unwrap_or(usize::MAX - 1) + 1;
        if count > self.limits.steps_max {
            return Err(QueryError::TooMuch(format!(
                "exceeded maximum resolution of {} points per timeseries. Try decreasing the \
                 query resolution (?step=XX)",
                self.limits.steps_max
            )));
        }
        Ok(Grid { start, step, count })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn watch(&self, context: &Context) -> Watch {
        let own = Instant::now().checked_add(self.limits.timeout);
        let deadline = match (own, context.deadline) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Watch { cancel: Arc::clone(&context.cancel), deadline }
    }
}

fn as_vector(matrix: Vec<MatrixEntry>) -> Vec<VectorEntry> {
    matrix
        .into_iter()
        .filter_map(|MatrixEntry { labels, points }| {
            let Point { sample, .. } = points.first()?;
            Some(VectorEntry { labels, sample })
        })
        .collect()
}

/// Looks whether a running query has to stop.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    cancel: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl Watch {
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(QueryError::Cancelled);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(QueryError::Timeout);
        }
        Ok(())
    }
}
