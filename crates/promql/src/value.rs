// SPDX-License-Identifier: Apache-2.0
//! What a query answers.

use std::sync::Arc;

use basics::labels::Labels;

use crate::histogram::FloatHistogram;

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
    pub points: Vec<Point>,
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
}
