// SPDX-License-Identifier: Apache-2.0
//! What a query answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use basics::labels::Labels;

use crate::engine::{Bounds, Grid};
use crate::histogram::FloatHistogram;
use crate::number::is_stale;

/// A sample: a number or a native histogram.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

/// A sample at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Unix milliseconds.
    pub timestamp_ms: i64,
    /// The sample.
    pub sample: Sample,
}

/// One series of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorEntry {
    /// Labels.
    pub labels: Labels,
    /// Its sample at the query's time.
    pub sample: Sample,
}

/// One series of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixEntry {
    /// Labels.
    pub labels: Labels,
    /// Its points, ascending in time.
    pub points: Points,
}

/// The points of one series, ascending in time: a column over the steps of a range query as the
/// evaluator made it, or a list.
#[derive(Clone, Debug)]
pub struct Points(Form);

#[derive(Clone, Debug)]
enum Form {
    List(Vec<Point>),
    Column {
        grid: Grid,
        /// The staleness bits where there is no number.
        floats: Vec<f64>,
        histograms: Option<Vec<Option<Arc<FloatHistogram>>>>,
    },
}

impl Points {
    pub(crate) fn of_column(
        grid: Grid,
        floats: Vec<f64>,
        histograms: Option<Vec<Option<Arc<FloatHistogram>>>>,
    ) -> Self {
        Points(Form::Column { grid, floats, histograms })
    }

    /// The points in order.
    pub fn iter(&self) -> impl Iterator<Item = Point> + '_ {
        let places = match &self.0 {
            Form::List(list) => list.len(),
            Form::Column { floats, .. } => floats.len(),
        };
        (0..places).filter_map(|place| self.at(place))
    }

    fn at(&self, place: usize) -> Option<Point> {
        let (grid, floats, histograms) = match &self.0 {
            Form::List(list) => return list.get(place).cloned(),
            Form::Column { grid, floats, histograms } => (grid, floats, histograms),
        };
        let sample = match floats[place] {
            value if !is_stale(value) => Sample::Float(value),
            _ => Sample::Histogram(Arc::clone(histograms.as_ref()?[place].as_ref()?)),
        };
        Some(Point { timestamp_ms: grid.at(place), sample })
    }

    /// Numbers alone, without a detour through [`Point`]s: time of the first place, distance of
    /// places, and the number at each, [`crate::number::is_stale`] where there is none.
    pub fn numbers(&self) -> Option<(i64, i64, &[f64])> {
        match &self.0 {
            Form::Column { grid, floats, histograms: None } => {
                Some((grid.start, grid.step, floats))
            }
            _ => None,
        }
    }

    /// The first point.
    pub fn first(&self) -> Option<Point> {
        self.iter().next()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// Number of points.
    pub fn len(&self) -> usize {
        self.iter().count()
    }
}

impl From<Vec<Point>> for Points {
    fn from(list: Vec<Point>) -> Self {
        Points(Form::List(list))
    }
}

impl PartialEq for Points {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// The value of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryValue {
    /// A number at the query's time.
    Scalar(f64),
    /// A string.
    String(String),
    /// An instant vector; ordered as `sort` and the like left it, else by label set.
    Vector(Vec<VectorEntry>),
    /// A matrix, ordered by label set.
    Matrix(Vec<MatrixEntry>),
}

/// A value with the notes that go with it.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryResult {
    /// The value.
    pub value: QueryValue,
    /// Warnings as the API shows them, each with its position in the query.
    pub warnings: Vec<String>,
    /// Infos as the API shows them.
    pub infos: Vec<String>,
    /// What it took.
    pub stats: Stats,
}

/// What one node of a query took, its operands included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explain {
    /// The operator, function or selector.
    pub node: String,
    /// Series it yielded.
    pub series: usize,
    /// Samples read from the source for it.
    pub samples: u64,
    /// How long it ran.
    pub time: Duration,
    /// Its operands, in the order of their evaluation.
    pub children: Vec<Explain>,
}

impl fmt::Display for Explain {
    /// One line per node, operands below and indented.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.line(f, 0)
    }
}

impl Explain {
    fn line(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let ms = self.time.as_secs_f64() * 1000.0;
        let Explain { node, series, samples, children, .. } = self;
        let indent = depth * 2;
        writeln!(f, "{:indent$}{node}: {series} series, {samples} samples, {ms:.3} ms", "")?;
        children.iter().try_for_each(|child| child.line(f, depth + 1))
    }
}

/// How much a query read and held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Samples looked at for each step of the query, Prometheus' `totalQueryableSamplesPerStep`: a
    /// sample in the windows of ten steps counts ten times. Samples of a subquery count for the
    /// first step at or after theirs.
    pub samples_per_step: Vec<u64>,
    /// Most samples held at once.
    pub samples_peak: usize,
    /// Samples read from the source.
    pub samples_read: u64,
    /// Series read from the source.
    pub series_read: u64,
}

impl Stats {
    /// Counts samples that were looked at, by steps of `grid`, which need not be the query's.
    pub(crate) fn see(&mut self, query: Bounds, grid: Grid, seen: &[u64]) {
        let Bounds { start, end, step } = query;
        let count = if step > 0 { ((end - start) / step) as usize + 1 } else { 1 };
        self.samples_per_step.resize(count, 0);
        for (time, seen) in grid.times().zip(seen) {
            let after = if step > 0 { (time - start + step - 1).div_euclid(step) } else { 0 };
            let at = usize::try_from(after).unwrap_or(0).min(count - 1);
            self.samples_per_step[at] += seen;
        }
    }

    /// Samples looked at for all steps together, Prometheus' `totalQueryableSamples`.
    pub fn samples_total(&self) -> u64 {
        self.samples_per_step.iter().sum()
    }
}
