// SPDX-License-Identifier: Apache-2.0
//! PromQL: parse, check and evaluate queries over a [`SeriesSource`], with Prometheus 3 semantics.
//!
//! [`parse`] gives a type-checked tree that prints back as PromQL; [`Engine`] evaluates a query at
//! one time or over a range, within [`Limits`] and until a [`Context`] ends it. The source is asked
//! once per selector and knows nothing of PromQL; this crate knows neither HTTP nor storage.
//!
//! Metric names are dropped at the very end (Prometheus' delayed name removal), so
//! `label_replace` can still see them. Any query text is safe: sizes are bounded everywhere.

pub mod ast;
mod engine;
mod eval;
pub mod functions;
pub mod histogram;
mod notes;
pub mod number;
mod parse;
mod print;
mod source;
#[cfg(feature = "testing")]
pub mod testing;
mod value;

pub use ast::{Expr, ValueType};
pub use engine::{Context, Engine, Limits, QueryError};
pub use histogram::FloatHistogram;
pub use parse::{ParseError, parse};
pub use source::{
    Buffer, Digest, Digests, Hints, HistogramSample, Known, Samples, Select, Selection, Series,
    SeriesSource,
};
pub use value::{
    Explain, MatrixEntry, Point, Points, QueryResult, QueryValue, Sample, Stats, VectorEntry,
};
