// SPDX-License-Identifier: Apache-2.0
//! Stateless models: a multiple of the input, and the sum of the inputs.

use crate::{Model, Outputs, Params, Rows};
use basics::Result;

/// `input * scale_factor`.
pub struct Scale {
    factor: f64,
}

impl Scale {
    /// Reads `scale_factor`; 2.0 when absent, as the published demo model has it.
    ///
    /// # Errors
    /// `Invalid` when it is no number or another parameter is given.
    pub fn new(params: &Params) -> Result<Self> {
        params.only(&["scale_factor"])?;
        Ok(Scale { factor: params.number("scale_factor", 2.0)? })
    }
}

impl Model for Scale {
    fn outputs(&self) -> &[&'static str] {
        &["scaled"]
    }

    fn infer(&mut self, rows: &Rows, out: &mut Outputs) {
        out.reset(self.outputs(), rows.len());
        for (answer, value) in out.columns[0].values.iter_mut().zip(rows.inputs.iter().flatten()) {
            *answer = value * self.factor;
        }
    }
}

/// Sum of all inputs of a row, added in the rule's order.
pub struct Sum(());

impl Sum {
    /// Takes no parameters.
    ///
    /// # Errors
    /// `Invalid` when one is given.
    pub fn new(params: &Params) -> Result<Self> {
        params.only(&[])?;
        Ok(Sum(()))
    }
}

impl Model for Sum {
    fn outputs(&self) -> &[&'static str] {
        &["sum"]
    }

    fn infer(&mut self, rows: &Rows, out: &mut Outputs) {
        out.reset(self.outputs(), rows.len());
        let sums = &mut out.columns[0].values;
        sums.fill(0.0);
        for column in &rows.inputs {
            for (sum, value) in sums.iter_mut().zip(column) {
                *sum += value;
            }
        }
    }
}
