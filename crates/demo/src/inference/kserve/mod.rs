// SPDX-License-Identifier: Apache-2.0
//! The KServe v2 protocol (Open Inference Protocol), by REST and by gRPC, on the service's own port:
//! a collector's `metricsinference` can ask it, and the whole first document runs without Python.
//!
//! Models: `simple-scaler` (also `simple-scale`) and `simple-sum` are those that the collector has in
//! itself; the service's own adds up each row. Bound: [`VALUES_MAX`] values of a request.

mod grpc;
mod rest;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use models::{Outputs, Params, Rows, builtin};

use super::{MODEL, Service};

/// Most values of all inputs: 8 MiB of doubles.
const VALUES_MAX: usize = 1 << 20;

/// Numbers with their axes.
#[derive(Clone, Debug, PartialEq)]
struct Tensor {
    name: String,
    shape: Vec<i64>,
    values: Vec<f64>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refused {
    /// No such model.
    Unknown(String),
    /// The request makes no sense to the model.
    Invalid(String),
}

/// A model as it describes itself.
struct Description {
    name: &'static str,
    /// Names and shapes.
    inputs: &'static [(&'static str, &'static [i64])],
    output: &'static str,
    /// Parameters it reads; any other is passed over.
    parameters: &'static [&'static str],
}

const SCALER: Description = Description {
    name: "simple-scaler",
    inputs: &[("input_tensor", &[-1])],
    output: "scaled_result",
    parameters: &["scale_factor"],
};

const MODELS: [Description; 4] = [
    SCALER,
    Description { name: "simple-scale", ..SCALER },
    Description {
        name: "simple-sum",
        inputs: &[("a", &[-1]), ("b", &[-1])],
        output: "sum_result",
        parameters: &[],
    },
    Description {
        name: MODEL.0,
        inputs: &[("features", &[-1, -1])],
        output: "prediction",
        parameters: &[],
    },
];

/// The model of that name.
fn model(name: &str) -> Result<&'static Description, Refused> {
    MODELS.iter().find(|model| model.name == name).ok_or_else(|| {
        let names = MODELS.map(|model| model.name);
        Refused::Unknown(format!("there is no such model; there are {names:?}"))
    })
}

/// What a model makes of inputs.
fn infer(name: &str, inputs: Vec<Tensor>, parameters: Params) -> Result<Tensor, Refused> {
    let model = model(name)?;
    let invalid = |what: String| Err(Refused::Invalid(what));
    if inputs.is_empty() {
        return invalid("no inputs".to_owned());
    }
    if inputs.iter().map(|input| input.values.len()).sum::<usize>() > VALUES_MAX {
        return invalid(format!("more than {VALUES_MAX} values"));
    }
    for input in &inputs {
        let product = input.shape.iter().try_fold(1i64, |all, axis| all.checked_mul(*axis));
        if product != Some(input.values.len() as i64) {
            let (name, shape, count) = (&input.name, &input.shape, input.values.len());
            return invalid(format!(
                "input {name:?}: {count} values do not fill the shape {shape:?}"
            ));
        }
    }
    let values = match model.name == MODEL.0 {
        true => rows(&inputs[0]),
        false => embedded(model, inputs, parameters)?,
    };
    Ok(Tensor { name: model.output.to_owned(), shape: vec![values.len() as i64], values })
}

/// The sum of each row.
fn rows(input: &Tensor) -> Vec<f64> {
    let width = *input.shape.last().unwrap_or(&1) as usize;
    // A row of no columns has no sum.
    input.values.chunks(width.max(1)).map(|row| row.iter().sum()).collect()
}

/// The answer of a model that the collector has in itself, an input a column.
fn embedded(
    model: &Description,
    inputs: Vec<Tensor>,
    mut parameters: Params,
) -> Result<Vec<f64>, Refused> {
    let rows = inputs[0].values.len();
    if let Some(other) = inputs.iter().find(|input| input.values.len() != rows) {
        let (a, b) = (&inputs[0].name, &other.name);
        return Err(Refused::Invalid(format!("inputs {a:?} and {b:?} have different lengths")));
    }
    parameters.0.retain(|name, _| model.parameters.contains(&name.as_str()));
    let made = builtin::create(model.name, inputs.len(), &parameters);
    let mut made = made.map_err(|error| Refused::Invalid(error.to_string()))?;
    let asked = Rows {
        inputs: inputs.into_iter().map(|input| input.values).collect(),
        times: vec![0; rows],
        slots: (0..rows as u32).collect(),
    };
    let mut answer = Outputs::default();
    made.infer(&asked, &mut answer);
    Ok(answer.columns.into_iter().next().map(|column| column.values).unwrap_or_default())
}

/// The protocol's paths.
pub(super) fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/v2", get(rest::server))
        .route("/v2/health/live", get(rest::healthy))
        .route("/v2/health/ready", get(rest::healthy))
        .route("/v2/models/{model}", get(rest::metadata))
        .route("/v2/models/{model}/ready", get(rest::ready))
        .route("/v2/models/{model}/infer", post(rest::infer))
        .route("/v2/models/{model}/versions/{version}", get(rest::metadata_of))
        .route("/v2/models/{model}/versions/{version}/ready", get(rest::ready_of))
        .route("/v2/models/{model}/versions/{version}/infer", post(rest::infer_of))
        .route("/inference.GRPCInferenceService/{method}", post(grpc::call))
}
