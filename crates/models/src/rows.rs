// SPDX-License-Identifier: Apache-2.0
//! The shape of a request and of an answer: columns of `f64`, one element per series.

use basics::UnixNano;
use std::sync::Arc;

/// One request. Row `i` is one joined series: element `i` of every column.
///
/// All vectors have the same length. Integers above 2^53 lose their low bits.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// One column per input of the rule, in the rule's order.
    pub inputs: Vec<Vec<f64>>,
    /// When each row was observed.
    pub times: Vec<UnixNano>,
    /// Which state each row belongs to; unique within a request.
    pub slots: Vec<u32>,
}

impl Rows {
    /// An empty request for `inputs` columns.
    pub fn new(inputs: usize) -> Self {
        Rows { inputs: vec![Vec::new(); inputs], ..Rows::default() }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// True when there is no row.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Removes all rows, keeping the allocations.
    pub fn clear(&mut self) {
        self.inputs.iter_mut().for_each(Vec::clear);
        self.times.clear();
        self.slots.clear();
    }

    /// Appends one row; `values` has one element per input.
    pub fn push(&mut self, values: &[f64], time: UnixNano, slot: u32) {
        for (column, value) in self.inputs.iter_mut().zip(values) {
            column.push(*value);
        }
        self.times.push(time);
        self.slots.push(slot);
    }
}

/// How a number was typed by the model that gave it; decides how it is written out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataType {
    /// Written as a double.
    #[default]
    Float,
    /// Written as an integer.
    Int,
    /// 0 or 1.
    Bool,
}

/// One output of a model over all rows of the request.
#[derive(Clone, Debug, Default)]
pub struct Column {
    /// Name the model gives to this output; empty when it has none.
    pub name: Arc<str>,
    /// Type the model declared.
    pub data_type: DataType,
    /// One element per row; `NaN` where there is no answer.
    pub values: Vec<f64>,
}

/// An answer: columns aligned with the rows of the request, and why rows have none.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// Output columns in the model's order.
    pub columns: Vec<Column>,
    /// Rows without an answer because the model has seen too few points of the series.
    pub cold: u32,
    /// Rows not newer than what the model has already seen of the series; state is unchanged.
    pub late: u32,
}

impl Outputs {
    /// Makes room for `rows` answers under each of `names`, all `NaN`, reusing allocations.
    pub fn reset(&mut self, names: &[&'static str], rows: usize) {
        self.columns.resize_with(names.len(), Column::default);
        for (column, name) in self.columns.iter_mut().zip(names) {
            if column.name.as_ref() != *name {
                column.name = (*name).into();
            }
            column.data_type = DataType::Float;
            column.values.clear();
            column.values.resize(rows, f64::NAN);
        }
        self.cold = 0;
        self.late = 0;
    }
}
