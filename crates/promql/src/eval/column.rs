// SPDX-License-Identifier: Apache-2.0
//! One series over all steps of an evaluation.
//!
//! Numbers are a flat column in which the staleness bits mean "no sample here": arithmetic can not
//! produce that pattern, and real markers never get this far. Histograms are a side column that
//! exists only when there is one.

use std::sync::Arc;

use basics::labels::Labels;
use hashbrown::HashMap;

use super::labels;
use crate::engine::{Grid, QueryError};
use crate::histogram::FloatHistogram;
use crate::number::{STALE_BITS, stale};
use crate::value::Points;

type Histogram = Arc<FloatHistogram>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    pub labels: Labels,
    /// The metric name goes away when the query is done.
    pub drop_name: bool,
    floats: Vec<f64>,
    histograms: Option<Vec<Option<Histogram>>>,
}

/// A sample of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell<'a> {
    Float(f64),
    Hist(&'a Histogram),
}

/// A sample to put into a column.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Float(f64),
    Hist(Histogram),
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}

impl From<FloatHistogram> for Value {
    fn from(value: FloatHistogram) -> Self {
        Value::Hist(Arc::new(value))
    }
}

impl Cell<'_> {
    pub(crate) fn to_value(self) -> Value {
        match self {
            Cell::Float(value) => Value::Float(value),
            Cell::Hist(value) => Value::Hist(Arc::clone(value)),
        }
    }
}

impl Column {
    pub(crate) fn empty(labels: Labels, drop_name: bool, steps: usize) -> Self {
        Column { labels, drop_name, floats: vec![stale(); steps], histograms: None }
    }

    pub(crate) fn of_floats(labels: Labels, drop_name: bool, floats: Vec<f64>) -> Self {
        Column { labels, drop_name, floats, histograms: None }
    }

    /// Starts anew with these labels; the caller fills in one number per step.
    pub(crate) fn begin(&mut self, labels: Labels, drop_name: bool) -> &mut Vec<f64> {
        (self.labels, self.drop_name, self.histograms) = (labels, drop_name, None);
        self.floats.clear();
        &mut self.floats
    }

    /// Starts anew with these labels and no sample.
    pub(crate) fn clear_all(&mut self, labels: Labels, drop_name: bool, steps: usize) {
        self.begin(labels, drop_name).resize(steps, stale());
    }

    /// The numbers, the staleness bits where there is none.
    pub(crate) fn floats(&self) -> &[f64] {
        &self.floats
    }

    /// The numbers, which are gone from the column after that.
    pub(crate) fn take_floats(&mut self) -> Vec<f64> {
        std::mem::take(&mut self.floats)
    }

    /// The numbers, to be changed in place; nothing when there are histograms.
    pub(crate) fn plain_mut(&mut self) -> Option<&mut [f64]> {
        self.histograms.is_none().then_some(&mut self.floats)
    }

    /// The samples as points at the steps of `grid`.
    pub(crate) fn into_points(self, grid: Grid) -> (Labels, Points) {
        (self.labels, Points::of_column(grid, self.floats, self.histograms))
    }

    pub(crate) fn len(&self) -> usize {
        self.floats.len()
    }

    pub(crate) fn get(&self, step: usize) -> Option<Cell<'_>> {
        let value = self.floats[step];
        if value.to_bits() != STALE_BITS {
            return Some(Cell::Float(value));
        }
        self.histograms.as_ref()?[step].as_ref().map(Cell::Hist)
    }

    pub(crate) fn float(&self, step: usize) -> Option<f64> {
        let value = self.floats[step];
        (value.to_bits() != STALE_BITS).then_some(value)
    }

    /// All numbers, the staleness bits where there is none; nothing when there are histograms.
    pub(crate) fn plain(&self) -> Option<&[f64]> {
        self.histograms.is_none().then_some(&self.floats)
    }

    pub(crate) fn has(&self, step: usize) -> bool {
        self.get(step).is_some()
    }

    pub(crate) fn set(&mut self, step: usize, value: Value) {
        match value {
            Value::Float(value) => {
                self.floats[step] = value;
                if let Some(histograms) = &mut self.histograms {
                    histograms[step] = None;
                }
            }
            Value::Hist(value) => {
                self.floats[step] = stale();
                let steps = self.floats.len();
                self.histograms.get_or_insert_with(|| vec![None; steps])[step] = Some(value);
            }
        }
    }

    pub(crate) fn clear(&mut self, step: usize) {
        self.floats[step] = stale();
        if let Some(histograms) = &mut self.histograms {
            histograms[step] = None;
        }
    }

    /// Replaces every sample; `None` removes it.
    pub(crate) fn map(&mut self, mut change: impl FnMut(usize, Cell<'_>) -> Option<Value>) {
        for step in 0..self.len() {
            let Some(cell) = self.get(step) else { continue };
            match change(step, cell) {
                Some(value) => self.set(step, value),
                None => self.clear(step),
            }
        }
    }

    /// Replaces every number and removes histograms.
    pub(crate) fn map_floats(&mut self, change: impl Fn(usize, f64) -> f64) {
        self.histograms = None;
        for (step, value) in self.floats.iter_mut().enumerate() {
            if value.to_bits() != STALE_BITS {
                *value = change(step, *value);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        (0..self.len()).all(|step| !self.has(step))
    }
}

/// Removes columns without any sample.
pub(crate) fn prune(columns: &mut Vec<Column>) {
    columns.retain(|column| !column.is_empty());
}

/// Collects samples by label set; finished columns are in the order of their labels.
pub(crate) struct Columns {
    index: HashMap<(Labels, bool), usize>,
    list: Vec<Column>,
    steps: usize,
}

impl Columns {
    pub(crate) fn new(steps: usize) -> Self {
        Columns { index: HashMap::new(), list: vec![], steps }
    }

    pub(crate) fn column(&mut self, labels: Labels, drop_name: bool) -> usize {
        *self.index.entry((labels, drop_name)).or_insert_with_key(|(labels, drop_name)| {
            self.list.push(Column::empty(labels.clone(), *drop_name, self.steps));
            self.list.len() - 1
        })
    }

    /// Puts a whole column; false when a step has a sample already.
    pub(crate) fn put_all(&mut self, samples: Column) -> bool {
        let known = self.index.len();
        let key = (samples.labels.clone(), samples.drop_name);
        let column = *self.index.entry(key).or_insert(self.list.len());
        if self.index.len() > known {
            self.list.push(samples);
            return true;
        }
        (0..samples.len()).all(|step| match samples.get(step) {
            Some(cell) => self.put(column, step, cell.to_value()),
            None => true,
        })
    }

    /// Puts a sample; false when there is one already.
    pub(crate) fn put(&mut self, column: usize, step: usize, value: Value) -> bool {
        let column = &mut self.list[column];
        if column.has(step) {
            return false;
        }
        column.set(step, value);
        true
    }

    pub(crate) fn finish(mut self) -> Vec<Column> {
        prune(&mut self.list);
        // Sums depend on the order of what is added: it must not depend on the steps asked for.
        self.list.sort_by(|a, b| labels::order(&a.labels, &b.labels));
        self.list
    }
}

/// What Prometheus says when two series end up with the same labels.
pub(crate) fn same_labelset() -> QueryError {
    QueryError::Execution("vector cannot contain metrics with the same labelset".into())
}

/// Joins columns of equal labels that have no step in common.
///
/// # Errors
/// When two of them have a sample at the same step.
pub(crate) fn merge_equal(columns: Vec<Column>) -> Result<Vec<Column>, QueryError> {
    let mut index: HashMap<Labels, usize> = HashMap::with_capacity(columns.len());
    let mut out: Vec<Column> = Vec::with_capacity(columns.len());
    for column in columns {
        let Some(at) = index.get(&column.labels) else {
            index.insert(column.labels.clone(), out.len());
            out.push(column);
            continue;
        };
        let first = &mut out[*at];
        first.drop_name |= column.drop_name;
        for step in 0..column.len() {
            let Some(cell) = column.get(step) else { continue };
            if first.has(step) {
                return Err(same_labelset());
            }
            first.set(step, cell.to_value());
        }
    }
    Ok(out)
}
