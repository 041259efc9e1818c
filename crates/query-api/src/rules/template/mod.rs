// SPDX-License-Identifier: Apache-2.0
//! Templates in labels and annotations of alerts: the part of Go's text/template that rules use.
//!
//! In: text with `{{ ... }}`: fields, variables, pipes, calls, `if`, `else`, `range`, `with`,
//! assignments, trimming (`{{-`), comments. Out: text. What the language has beyond that
//! (`define`, `template`, `block`, methods) is refused when the rule is loaded.
//! Bounds: [`DEPTH_MAX`], [`OUTPUT_BYTES_MAX`], [`STEPS_MAX`]. Source: pkg.go.dev/text/template,
//! Prometheus' `template/template.go`.

mod functions;
mod numbers;
mod parse;
mod run;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub(super) use functions::{sample, table_link};
use parse::Node;

/// Deepest nesting of blocks and parentheses.
const DEPTH_MAX: usize = 50;
/// Longest result: a page of text, many times over.
const OUTPUT_BYTES_MAX: usize = 256 << 10;
/// Most nodes that one expansion may visit.
const STEPS_MAX: usize = 100_000;

/// What a template works on.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing: a missing variable's field.
    Nil,
    /// `true`, comparisons.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// Labels and the like.
    Map(BTreeMap<String, Value>),
    /// The answer to a query, one map with `Labels` and `Value` a sample.
    List(Vec<Value>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

/// What templates may ask of the process.
pub trait World {
    /// The samples a query answers now.
    ///
    /// # Errors
    /// Why it failed.
    fn query(&self, query: &str) -> Result<Vec<Value>, String>;
    /// Seconds since 1970 of the evaluation.
    fn now(&self) -> f64;
    /// Under which address others reach us.
    fn external_url(&self) -> &str;
}

/// A template, parsed.
#[derive(Clone, Debug)]
pub struct Template(Vec<Node>);

impl Template {
    /// Parses `text`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse::parse(text).map(Template)
    }

    /// The text for one alert. `variables` are known as `$name`, and as fields of `.` under the
    /// names Prometheus gives them.
    ///
    /// # Errors
    /// Why it cannot be expanded.
    pub fn expand(&self, variables: &[(&str, Value)], world: &dyn World) -> Result<String, String> {
        run::run(&self.0, variables, world)
    }
}
