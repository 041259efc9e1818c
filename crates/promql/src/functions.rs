// SPDX-License-Identifier: Apache-2.0
//! The table of PromQL functions: names, parameter types, result types.
//!
//! How they compute is in `eval`; this is what the parser and the API need to know.

use Arity::{Any, Optional};
use ValueType::{Matrix as M, Scalar as S, String as T, Vector as V};

use crate::ast::ValueType;

/// One function's signature.
#[derive(Debug, PartialEq)]
pub struct Function {
    /// Name, lower case.
    pub name: &'static str,
    /// Types of the parameters; a variadic function repeats the last.
    pub params: &'static [ValueType],
    /// How many arguments may be left out or repeated.
    pub arity: Arity,
    /// Result type.
    pub returns: ValueType,
}

/// How many arguments a function takes, against its parameter list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// All parameters.
    Exact,
    /// The last parameter may be left out or given up to this many times.
    Optional(usize),
    /// The last parameter may be left out or given any number of times.
    Any,
}

impl Function {
    /// The function of that name.
    pub fn find(name: &str) -> Option<&'static Function> {
        FUNCTIONS.iter().find(|f| f.name == name)
    }

    /// Fewest arguments.
    pub fn args_min(&self) -> usize {
        match self.arity {
            Arity::Exact => self.params.len(),
            _ => self.params.len() - 1,
        }
    }

    /// Most arguments, none when unbounded.
    pub fn args_max(&self) -> Option<usize> {
        match self.arity {
            Arity::Exact => Some(self.params.len()),
            Arity::Optional(more) => Some(self.params.len() - 1 + more),
            Arity::Any => None,
        }
    }

    /// Type of argument `index`.
    pub fn param(&self, index: usize) -> ValueType {
        self.params.get(index).or(self.params.last()).copied().unwrap_or(ValueType::None)
    }
}

const fn exact(name: &'static str, params: &'static [ValueType], returns: ValueType) -> Function {
    Function { name, params, arity: Arity::Exact, returns }
}

const fn with(
    name: &'static str,
    params: &'static [ValueType],
    arity: Arity,
    returns: ValueType,
) -> Function {
    Function { name, params, arity, returns }
}

/// All functions, by name.
pub static FUNCTIONS: &[Function] = &[
    exact("abs", &[V], V),
    exact("absent", &[V], V),
    exact("absent_over_time", &[M], V),
    exact("acos", &[V], V),
    exact("acosh", &[V], V),
    exact("asin", &[V], V),
    exact("asinh", &[V], V),
    exact("atan", &[V], V),
    exact("atanh", &[V], V),
    exact("avg_over_time", &[M], V),
    exact("ceil", &[V], V),
    exact("changes", &[M], V),
    exact("clamp", &[V, S, S], V),
    exact("clamp_max", &[V, S], V),
    exact("clamp_min", &[V, S], V),
    exact("cos", &[V], V),
    exact("cosh", &[V], V),
    exact("count_over_time", &[M], V),
    with("day_of_month", &[V], Optional(1), V),
    with("day_of_week", &[V], Optional(1), V),
    with("day_of_year", &[V], Optional(1), V),
    with("days_in_month", &[V], Optional(1), V),
    exact("deg", &[V], V),
    exact("delta", &[M], V),
    exact("deriv", &[M], V),
    exact("double_exponential_smoothing", &[M, S, S], V),
    exact("end", &[], S),
    exact("exp", &[V], V),
    exact("first_over_time", &[M], V),
    exact("floor", &[V], V),
    exact("histogram_avg", &[V], V),
    exact("histogram_count", &[V], V),
    exact("histogram_fraction", &[S, S, V], V),
    exact("histogram_quantile", &[S, V], V),
    with("histogram_quantiles", &[V, T, S, S], Optional(9), V),
    exact("histogram_stddev", &[V], V),
    exact("histogram_stdvar", &[V], V),
    exact("histogram_sum", &[V], V),
    with("hour", &[V], Optional(1), V),
    exact("idelta", &[M], V),
    exact("increase", &[M], V),
    with("info", &[V, V], Optional(1), V),
    exact("irate", &[M], V),
    with("label_join", &[V, T, T, T], Any, V),
    exact("label_replace", &[V, T, T, T, T], V),
    exact("last_over_time", &[M], V),
    exact("ln", &[V], V),
    exact("log10", &[V], V),
    exact("log2", &[V], V),
    exact("mad_over_time", &[M], V),
    exact("max_of", &[S, S], S),
    exact("max_over_time", &[M], V),
    exact("min_of", &[S, S], S),
    exact("min_over_time", &[M], V),
    with("minute", &[V], Optional(1), V),
    with("month", &[V], Optional(1), V),
    exact("pi", &[], S),
    exact("predict_linear", &[M, S], V),
    exact("present_over_time", &[M], V),
    exact("quantile_over_time", &[S, M], V),
    exact("rad", &[V], V),
    exact("range", &[], S),
    exact("rate", &[M], V),
    exact("resets", &[M], V),
    with("round", &[V, S], Optional(1), V),
    exact("scalar", &[V], S),
    exact("sgn", &[V], V),
    exact("sin", &[V], V),
    exact("sinh", &[V], V),
    exact("sort", &[V], V),
    with("sort_by_label", &[V, T], Any, V),
    with("sort_by_label_desc", &[V, T], Any, V),
    exact("sort_desc", &[V], V),
    exact("sqrt", &[V], V),
    exact("start", &[], S),
    exact("start_timestamp", &[V], V),
    exact("stddev_over_time", &[M], V),
    exact("stdvar_over_time", &[M], V),
    exact("step", &[], S),
    exact("sum_over_time", &[M], V),
    exact("tan", &[V], V),
    exact("tanh", &[V], V),
    exact("time", &[], S),
    exact("timestamp", &[V], V),
    exact("ts_of_first_over_time", &[M], V),
    exact("ts_of_last_over_time", &[M], V),
    exact("ts_of_max_over_time", &[M], V),
    exact("ts_of_min_over_time", &[M], V),
    exact("vector", &[S], V),
    with("year", &[V], Optional(1), V),
];
