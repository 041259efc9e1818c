// SPDX-License-Identifier: Apache-2.0
//! Answers of models to OTLP: which outputs become which metrics, and writing them.
//!
//! Every result is a gauge in the resource and scope of the input it is about (of the first input
//! if there are several), at the input's time, with the input's attributes as they lay on the wire
//! and `otel.inference.model.name` and `.version`. `NaN` writes nothing.

use std::sync::Arc;

use basics::{Result, UnixNano};
use hashbrown::HashMap;
use models::{Column, DataType};
use otlp_wire::write::{AttrWriter, Metrics};
use otlp_wire::{FromRaw, Number, Resource, Scope};

use super::config::{NamingConfig, NamingMode, OutputConfig, RuleConfig};
use super::naming::{Pattern, intelligent};
use super::selector::Selector;
use super::series::Target;

const MODEL_NAME: &str = "otel.inference.model.name";
const MODEL_VERSION: &str = "otel.inference.model.version";
/// What the two have in common.
const MODEL_PREFIX: &[u8] = b"otel.inference.model.";

/// What a rule calls its results.
#[derive(Clone, Debug)]
pub struct Results {
    model: String,
    version: String,
    inputs: Vec<String>,
    outputs: Vec<OutputConfig>,
    naming: NamingConfig,
    pattern: Option<Pattern>,
}

/// One column of an answer as a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Metric name.
    pub name: String,
    /// Unit.
    pub unit: String,
    /// Description.
    pub description: String,
    /// How numbers are written.
    pub data_type: DataType,
    /// Index of the column.
    pub column: usize,
}

impl Results {
    /// Reads what the rule says about names.
    ///
    /// # Errors
    /// `Invalid` for a malformed pattern.
    pub fn new(rule: &RuleConfig, naming: &NamingConfig, inputs: &[Selector]) -> Result<Self> {
        let pattern = match rule.output_pattern.as_str() {
            "" => None,
            text => Some(Pattern::parse(text, inputs.len())?),
        };
        for output in &rule.outputs {
            Pattern::parse(&output.name, inputs.len())?;
        }
        Ok(Results {
            model: rule.model_name.clone(),
            version: rule.model_version.clone(),
            inputs: inputs.iter().map(|input| input.metric.clone()).collect(),
            outputs: rule.outputs.clone(),
            naming: naming.clone(),
            pattern,
        })
    }

    /// Which of `columns` become which metrics; `unit` is the input's. Outputs the model does not
    /// have are left out.
    pub fn written(&self, columns: &[Column], unit: &str) -> Vec<Written> {
        if self.outputs.is_empty() {
            return columns
                .iter()
                .enumerate()
                .map(|(at, c)| self.discovered(at, c, unit))
                .collect();
        }
        let configured = |(at, output): (usize, &OutputConfig)| {
            let named = || columns.iter().position(|column| *column.name == *output.name);
            let column = output.output_index.or_else(named).unwrap_or(at);
            let data_type = columns.get(column)?.data_type;
            Some(self.configured(output, column, data_type))
        };
        self.outputs.iter().enumerate().filter_map(configured).collect()
    }

    fn configured(&self, output: &OutputConfig, column: usize, data_type: DataType) -> Written {
        let inputs = self.inputs();
        let fill = |pattern: &Pattern, output: &str| {
            pattern.fill(output, &self.model, &self.version, &inputs)
        };
        let name = match (&self.pattern, self.naming.mode) {
            (Some(pattern), _) => fill(pattern, &output.name),
            (None, Some(NamingMode::Intelligent)) => {
                intelligent(&self.naming, &self.model, &inputs, &output.name)
            }
            // Checked when the rule was read; a name without braces is a pattern of one text.
            (None, _) => Pattern::parse(&output.name, inputs.len())
                .map_or_else(|_| output.name.clone(), |pattern| fill(&pattern, "")),
        };
        Written {
            name,
            unit: output.unit.clone(),
            description: match output.description.as_str() {
                "" => self.description(),
                text => text.to_owned(),
            },
            data_type: output.data_type.map_or(data_type, |data_type| data_type.data_type()),
            column,
        }
    }

    fn discovered(&self, at: usize, column: &Column, unit: &str) -> Written {
        let inputs = self.inputs();
        let output = match &*column.name {
            "" => format!("output_{at}"),
            name => name.to_owned(),
        };
        let name = match (&self.pattern, self.naming.mode, inputs.as_slice()) {
            (Some(pattern), ..) => pattern.fill(&output, &self.model, &self.version, &inputs),
            (None, None, [input]) | (None, Some(NamingMode::Exact), [input, ..]) => {
                format!("{input}.{output}")
            }
            _ => intelligent(&self.naming, &self.model, &inputs, &output),
        };
        Written {
            name,
            unit: unit.to_owned(),
            description: self.description(),
            data_type: column.data_type,
            column: at,
        }
    }

    fn inputs(&self) -> Vec<&str> {
        self.inputs.iter().map(String::as_str).collect()
    }

    fn description(&self) -> String {
        format!("Inference result from model {}", self.model)
    }

    fn write_attrs(&self, target: &Target, to: &mut AttrWriter<'_>) {
        let attrs = target.view();
        let is_ours = |key: &[u8]| key.starts_with(MODEL_PREFIX);
        if attrs.each().any(|attr| is_ours(attr.key_bytes())) {
            // An input that is itself a result: its model gives way to this one.
            for attr in attrs.each().filter(|attr| !is_ours(attr.key_bytes())) {
                to.value(attr.key(), attr.value());
            }
        } else {
            to.copy(attrs);
        }
        to.str(MODEL_NAME, &self.model);
        if !self.version.is_empty() {
            to.str(MODEL_VERSION, &self.version);
        }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Points.
    pub points: u64,
    /// Rows for which a column had no answer; a row counts once.
    pub empty_rows: u64,
}

/// Writes an answer. Row `i` is about `target(i)` at `times[i]`; rows without a target are left out.
pub fn write<'t>(
    to: &mut Metrics,
    results: &Results,
    written: &[Written],
    columns: &[Column],
    times: &[UnixNano],
    target: impl Fn(usize) -> Option<&'t Target>,
) -> Tally {
    let rows: Vec<(usize, &Target)> =
        (0..times.len()).filter_map(|row| Some((row, target(row)?))).collect();
    let rows = by_origin(rows);
    let mut tally = Tally::default();
    let same_origin =
        |a: &(usize, &Target), b: &(usize, &Target)| Arc::ptr_eq(&a.1.origin, &b.1.origin);
    for run in rows.chunk_by(same_origin) {
        let origin = &run[0].1.origin;
        to.resource_from(Resource::from_raw(&origin.resource), &origin.resource_schema);
        to.scope_from(Scope::from_raw(&origin.scope), &origin.scope_schema);
        for metric in written {
            let values = &columns[metric.column].values;
            to.gauge(&metric.name, &metric.unit, &metric.description, |points| {
                for (row, target) in run {
                    let value = values.get(*row).copied().unwrap_or(f64::NAN);
                    if let Some(number) = number(value, metric.data_type) {
                        let attrs = |to: &mut AttrWriter<'_>| results.write_attrs(target, to);
                        points.number(times[*row], Some(number), attrs);
                        tally.points += 1;
                    }
                }
            });
        }
    }
    let is_empty = |row: usize| {
        written.iter().all(|m| columns[m.column].values.get(row).is_none_or(|v| v.is_nan()))
    };
    tally.empty_rows = (0..times.len()).filter(|row| is_empty(*row)).count() as u64;
    tally
}

fn number(value: f64, data_type: DataType) -> Option<Number> {
    if value.is_nan() {
        return None;
    }
    Some(match data_type {
        DataType::Float => Number::Double(value),
        DataType::Int => Number::Int(value.round() as i64),
        DataType::Bool => Number::Double(f64::from(u8::from(value != 0.0))),
    })
}

/// Brings rows of one origin together, origins in the order of their first row.
fn by_origin(mut rows: Vec<(usize, &Target)>) -> Vec<(usize, &Target)> {
    let mut ranks: HashMap<usize, usize> = HashMap::new();
    let mut rank = |target: &Target| {
        let next = ranks.len();
        *ranks.entry(Arc::as_ptr(&target.origin) as usize).or_insert(next)
    };
    let mut last = 0;
    let in_order = rows.iter().all(|(_, target)| {
        let rank = rank(target);
        let in_order = rank >= last;
        last = rank;
        in_order
    });
    if !in_order {
        rows.sort_by_key(|(_, target)| rank(target));
    }
    rows
}
