// SPDX-License-Identifier: Apache-2.0
//! The models that ship inside the binary, found by name.
//!
//! | names | in | out | parameters |
//! |---|---|---|---|
//! | `simple-scale`, `simple-scaler`, `scale` | 1 | `scaled` | `scale_factor` (2.0) |
//! | `simple-sum`, `sum` | 1 or more | `sum` | none |
//! | `holt_winters` | 1 | `predicted`, `lower`, `upper` | see [`HoltWinters`] |

mod arithmetic;
mod holt_winters;

pub use arithmetic::{Scale, Sum};
pub use holt_winters::HoltWinters;

use crate::{Model, Params};
use basics::{Error, Result};

/// Every name [`create`] knows.
pub const NAMES: [&str; 6] =
    ["simple-scale", "simple-scaler", "scale", "simple-sum", "sum", "holt_winters"];

/// A fresh model called `name` for a rule with `inputs` inputs.
///
/// # Errors
/// `Invalid` for an unknown name, a wrong number of inputs, or a bad parameter.
pub fn create(name: &str, inputs: usize, params: &Params) -> Result<Box<dyn Model>> {
    let inputs_max = if matches!(name, "simple-sum" | "sum") { usize::MAX } else { 1 };
    let model: Box<dyn Model> = match name {
        "simple-scale" | "simple-scaler" | "scale" => Box::new(Scale::new(params)?),
        "simple-sum" | "sum" => Box::new(Sum::new(params)?),
        "holt_winters" => Box::new(HoltWinters::new(params)?),
        _ => {
            return Err(Error::invalid(format!(
                "no embedded model {name:?}; embedded are {}; a remote model needs grpc.endpoint",
                NAMES.join(", ")
            )));
        }
    };
    if inputs == 0 || inputs > inputs_max {
        return Err(Error::invalid(format!("model {name:?} takes one input, got {inputs}")));
    }
    Ok(model)
}

#[cfg(test)]
mod tests;
