// SPDX-License-Identifier: Apache-2.0
//! The protocol as JSON over HTTP.

use axum::Json;
use axum::body::Bytes;
use axum::extract::Path;
use http::StatusCode;
use models::{Param, Params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Refused, Tensor, VALUES_MAX};
use crate::inference::MODEL;
use crate::serving::Refusal;

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        let (status, what) = match refused {
            Refused::Unknown(what) => (StatusCode::NOT_FOUND, what),
            Refused::Invalid(what) => (StatusCode::BAD_REQUEST, what),
        };
        // The protocol's own form: one key.
        Refusal::with_body(status, "inference", json!({ "error": what }))
    }
}

/// `POST /v2/models/{model}/infer`
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    id: Option<String>,
    #[serde(default)]
    parameters: serde_json::Map<String, Value>,
    inputs: Vec<Input>,
}

#[derive(Debug, Deserialize)]
struct Input {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    #[serde(default)]
    parameters: serde_json::Map<String, Value>,
    data: Value,
}

#[derive(Debug, Serialize)]
pub(super) struct Answered {
    model_name: String,
    model_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    outputs: Vec<Output>,
}

#[derive(Debug, Serialize)]
struct Output {
    name: String,
    shape: Vec<i64>,
    datatype: &'static str,
    data: Vec<f64>,
}

pub(super) async fn server() -> Json<Value> {
    let version = env!("CARGO_PKG_VERSION");
    Json(json!({ "name": "foreglow-demo", "version": version, "extensions": [] }))
}

pub(super) async fn healthy() -> StatusCode {
    StatusCode::OK
}

pub(super) async fn metadata(Path(name): Path<String>) -> Result<Json<Value>, Refusal> {
    let model = super::model(&name)?;
    let tensor =
        |name: &str, shape: &[i64]| json!({ "name": name, "datatype": "FP64", "shape": shape });
    let inputs: Vec<_> = model.inputs.iter().map(|(name, shape)| tensor(name, shape)).collect();
    Ok(Json(json!({
        "name": model.name,
        "versions": [MODEL.1],
        "platform": "foreglow",
        "inputs": inputs,
        "outputs": [tensor(model.output, &[-1])],
    })))
}

pub(super) async fn ready(Path(name): Path<String>) -> Result<Json<Value>, Refusal> {
    let model = super::model(&name)?;
    Ok(Json(json!({ "name": model.name, "ready": true })))
}

pub(super) async fn infer(
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Answered>, Refusal> {
    let asked: Asked = serde_json::from_slice(&body)
        .map_err(|error| Refused::Invalid(format!("not an inference request: {error}")))?;
    let mut parameters = params(asked.parameters);
    let mut inputs = Vec::with_capacity(asked.inputs.len());
    for input in asked.inputs {
        parameters.0.extend(params(input.parameters).0);
        let mut values = Vec::new();
        if !flatten(&input.data, &mut values) {
            let (name, kind) = (input.name, input.datatype);
            let what = format!(
                "input {name:?} of type {kind}: data must be numbers, at most {VALUES_MAX}"
            );
            return Err(Refused::Invalid(what).into());
        }
        inputs.push(Tensor { name: input.name, shape: input.shape, values });
    }
    let Tensor { name: output, shape, values } = super::infer(&name, inputs, parameters)?;
    Ok(Json(Answered {
        model_name: name,
        model_version: MODEL.1,
        id: asked.id,
        outputs: vec![Output { name: output, shape, datatype: "FP64", data: values }],
    }))
}

pub(super) async fn metadata_of(path: Path<(String, String)>) -> Result<Json<Value>, Refusal> {
    metadata(of_version(path)?).await
}

pub(super) async fn ready_of(path: Path<(String, String)>) -> Result<Json<Value>, Refusal> {
    ready(of_version(path)?).await
}

pub(super) async fn infer_of(
    path: Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Answered>, Refusal> {
    infer(of_version(path)?, body).await
}

/// There is one version of each model.
fn of_version(Path((name, version)): Path<(String, String)>) -> Result<Path<String>, Refused> {
    match version == MODEL.1 {
        true => Ok(Path(name)),
        false => Err(Refused::Unknown(format!("model {name:?} has the version {} only", MODEL.1))),
    }
}

/// Numbers, texts and truths; nothing else is a parameter.
fn params(given: serde_json::Map<String, Value>) -> Params {
    let param = |(name, value): (String, Value)| {
        let param = match value {
            Value::Bool(is) => Param::Bool(is),
            Value::String(text) => Param::Text(text),
            value => {
                value.as_i64().map(Param::Int).or_else(|| value.as_f64().map(Param::Double))?
            }
        };
        Some((name, param))
    };
    Params(given.into_iter().filter_map(param).collect())
}

/// The numbers of nested lists in order; false when there is something else.
fn flatten(data: &Value, into: &mut Vec<f64>) -> bool {
    match data {
        Value::Array(all) => all.iter().all(|one| flatten(one, into)),
        Value::Bool(is) => {
            into.push(f64::from(u8::from(*is)));
            true
        }
        value => {
            into.extend(value.as_f64());
            value.is_number() && into.len() <= VALUES_MAX
        }
    }
}
