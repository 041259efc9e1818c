// SPDX-License-Identifier: Apache-2.0
//! Parameters of a rule: what the user wrote under `parameters:`, kept typed until a model reads
//! them (embedded) or they are sent as request parameters (KServe).

use basics::{Error, Result};
use std::collections::BTreeMap;
use std::time::Duration;

/// One parameter value.
#[derive(Clone, Debug, PartialEq)]
pub enum Param {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Double(f64),
    /// Anything else, as text.
    Text(String),
}

/// Parameters by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params(pub BTreeMap<String, Param>);

impl Params {
    /// The number under `name`, or `default` when it is absent. Text that reads as a number counts.
    ///
    /// # Errors
    /// `Invalid` when the value is no finite number.
    pub fn number(&self, name: &str, default: f64) -> Result<f64> {
        let value = match self.0.get(name) {
            None => return Ok(default),
            Some(Param::Int(value)) => *value as f64,
            Some(Param::Double(value)) => *value,
            Some(Param::Text(text)) => text.trim().parse().unwrap_or(f64::NAN),
            Some(Param::Bool(_)) => f64::NAN,
        };
        if value.is_finite() { Ok(value) } else { Err(self.wrong(name, "a number")) }
    }

    /// The number under `name`, which must lie in `low..=high`.
    ///
    /// # Errors
    /// `Invalid` when it does not, or is no number.
    pub fn number_within(&self, name: &str, default: f64, low: f64, high: f64) -> Result<f64> {
        let value = self.number(name, default)?;
        if (low..=high).contains(&value) {
            return Ok(value);
        }
        Err(self.wrong(name, &format!("a number from {low} to {high}")))
    }

    /// The duration under `name` (`90s`, `1h30m`, or a number of seconds), or `default`.
    ///
    /// # Errors
    /// `Invalid` when the value is no duration.
    pub fn duration(&self, name: &str, default: Duration) -> Result<Duration> {
        let found = match self.0.get(name) {
            None => return Ok(default),
            Some(Param::Int(seconds)) => u64::try_from(*seconds).ok().map(Duration::from_secs),
            Some(Param::Double(seconds)) => Duration::try_from_secs_f64(*seconds).ok(),
            Some(Param::Text(text)) => text_duration(text),
            Some(Param::Bool(_)) => None,
        };
        found.ok_or_else(|| self.wrong(name, "a duration such as 90s or 1h"))
    }

    /// Refuses parameters that are not in `known`.
    ///
    /// # Errors
    /// `Invalid`, naming the first stranger and what is known.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) if known.is_empty() => {
                Err(Error::invalid(format!("unknown parameter {name:?}; this model takes none")))
            }
            Some(name) => Err(Error::invalid(format!(
                "unknown parameter {name:?}; this model knows {}",
                known.join(", ")
            ))),
        }
    }

    fn wrong(&self, name: &str, expected: &str) -> Error {
        let got = match self.0.get(name) {
            Some(Param::Bool(value)) => value.to_string(),
            Some(Param::Int(value)) => value.to_string(),
            Some(Param::Double(value)) => value.to_string(),
            Some(Param::Text(value)) => format!("{value:?}"),
            None => "nothing".into(),
        };
        Error::invalid(format!("parameter {name:?} must be {expected}, got {got}"))
    }
}

/// Go's grammar, or Prometheus' for its days.
fn text_duration(text: &str) -> Option<Duration> {
    basics::duration::parse(text).or_else(|_| basics::duration::parse_prometheus(text)).ok()
}
