// SPDX-License-Identifier: Apache-2.0
//! The KServe v2 protocol (Open Inference Protocol), by REST and by gRPC, on the service's own port:
//! a collector's `metricsinference` can ask it, and the whole first document runs without Python.
//!
//! Models: `simple-scaler` (also `simple-scale`) multiplies by the parameter `scale_factor`,
//! `simple-sum` adds its inputs up element by element, and the service's own adds up each row.
//! Bound: [`VALUES_MAX`] values of a request.

mod grpc;
mod rest;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::{MODEL, Service};

/// Most values of all inputs: 8 MiB of doubles.
const VALUES_MAX: usize = 1 << 20;

/// Names of the models.
const MODELS: [&str; 4] = ["simple-scaler", "simple-scale", "simple-sum", MODEL.0];

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

/// Parameters that are numbers.
type Parameters = BTreeMap<String, f64>;

/// A model's inputs and output: names and shapes.
struct Description {
    name: &'static str,
    inputs: &'static [(&'static str, &'static [i64])],
    output: &'static str,
}

/// The model of that name.
fn model(name: &str) -> Result<Description, Refused> {
    let name = MODELS.into_iter().find(|known| *known == name);
    let Some(name) = name else {
        return Err(Refused::Unknown(format!("there is no such model; there are {MODELS:?}")));
    };
    Ok(match name {
        "simple-sum" => {
            Description { name, inputs: &[("a", &[-1]), ("b", &[-1])], output: "sum_result" }
        }
        "simple-scaler" | "simple-scale" => {
            Description { name, inputs: &[("input_tensor", &[-1])], output: "scaled_result" }
        }
        _ => Description { name, inputs: &[("features", &[-1, -1])], output: "prediction" },
    })
}

/// What a model makes of inputs.
fn infer(name: &str, inputs: &[Tensor], parameters: &Parameters) -> Result<Tensor, Refused> {
    let model = model(name)?;
    let invalid = |what: String| Err(Refused::Invalid(what));
    let Some(first) = inputs.first() else { return invalid("no inputs".to_owned()) };
    if inputs.iter().map(|input| input.values.len()).sum::<usize>() > VALUES_MAX {
        return invalid(format!("more than {VALUES_MAX} values"));
    }
    for input in inputs {
        let product = input.shape.iter().try_fold(1i64, |all, axis| all.checked_mul(*axis));
        if product != Some(input.values.len() as i64) {
            let (name, shape, count) = (&input.name, &input.shape, input.values.len());
            return invalid(format!(
                "input {name:?}: {count} values do not fill the shape {shape:?}"
            ));
        }
    }
    let values = match model.name {
        "simple-sum" => {
            if let Some(other) = inputs.iter().find(|i| i.values.len() != first.values.len()) {
                let (a, b) = (&first.name, &other.name);
                return invalid(format!("inputs {a:?} and {b:?} have different lengths"));
            }
            let at = |index| inputs.iter().map(|input| input.values[index]).sum();
            (0..first.values.len()).map(at).collect()
        }
        "simple-scaler" | "simple-scale" => {
            let factor = parameters.get("scale_factor").copied().unwrap_or(1.0);
            first.values.iter().map(|value| value * factor).collect()
        }
        _ => {
            let width = *first.shape.last().unwrap_or(&1) as usize;
            // A row of no columns has no sum.
            first.values.chunks(width.max(1)).map(|row| row.iter().sum()).collect::<Vec<f64>>()
        }
    };
    Ok(Tensor { name: model.output.to_owned(), shape: vec![values.len() as i64], values })
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
