// SPDX-License-Identifier: Apache-2.0
//! The protocol over gRPC: `inference.GRPCInferenceService`.

use std::collections::HashMap;
use std::future::ready;

use axum::body::Body;
use axum::extract::{Path, Request};
use axum::response::Response;
use models::kserve::proto::{
    InferParameter, InferTensor, ModelInferRequest, ModelInferResponse, ModelMetadataResponse,
    ModelRequest, ParameterChoice, ReadyResponse, ServerReadyRequest, TensorContents,
    TensorMetadata,
};
use models::kserve::{elements, unary};
use models::{Param, Params};
use tonic::Status;

use super::{Refused, Tensor};
use crate::inference::MODEL;

impl From<Refused> for Status {
    fn from(refused: Refused) -> Status {
        match refused {
            Refused::Unknown(what) => Status::not_found(what),
            Refused::Invalid(what) => Status::invalid_argument(what),
        }
    }
}

/// One call.
pub(super) async fn call(Path(method): Path<String>, request: Request) -> Response {
    let request = request.map(tonic::body::Body::new);
    let answered = match method.as_str() {
        "ServerLive" | "ServerReady" => {
            let answer = |_: ServerReadyRequest| ready(Ok(ReadyResponse { ready: true }));
            unary(request, answer).await
        }
        "ModelReady" => unary(request, |asked| ready(is_ready(asked))).await,
        "ModelMetadata" => unary(request, |asked| ready(metadata(asked))).await,
        "ModelInfer" => unary(request, |asked| ready(infer(asked))).await,
        _ => Status::unimplemented(method).into_http(),
    };
    answered.map(Body::new)
}

fn is_ready(asked: ModelRequest) -> Result<ReadyResponse, Status> {
    super::model(&asked.name)?;
    Ok(ReadyResponse { ready: true })
}

fn metadata(asked: ModelRequest) -> Result<ModelMetadataResponse, Status> {
    let model = super::model(&asked.name)?;
    let tensor = |name: &str, shape: &[i64]| TensorMetadata {
        name: name.to_owned(),
        datatype: "FP64".to_owned(),
        shape: shape.to_vec(),
    };
    Ok(ModelMetadataResponse {
        name: asked.name,
        versions: vec![MODEL.1.to_owned()],
        platform: "foreglow".to_owned(),
        inputs: model.inputs.iter().map(|(name, shape)| tensor(name, shape)).collect(),
        outputs: vec![tensor(model.output, &[-1])],
    })
}

fn infer(asked: ModelInferRequest) -> Result<ModelInferResponse, Status> {
    let mut parameters = params(asked.parameters);
    let raw = &asked.raw_input_contents;
    if !raw.is_empty() && raw.len() != asked.inputs.len() {
        let (raw, inputs) = (raw.len(), asked.inputs.len());
        return Err(Status::invalid_argument(format!("{raw} raw contents for {inputs} inputs")));
    }
    let mut inputs = Vec::with_capacity(asked.inputs.len());
    for (index, input) in asked.inputs.into_iter().enumerate() {
        let values = elements(&input, raw.get(index).map(Vec::as_slice));
        let Some(values) = values else {
            let (name, kind) = (input.name, input.datatype);
            let what = format!("input {name:?}: {kind} is no number, or bytes are missing");
            return Err(Status::invalid_argument(what));
        };
        parameters.0.extend(params(input.parameters).0);
        inputs.push(Tensor { name: input.name, shape: input.shape, values });
    }
    let Tensor { name, shape, values } = super::infer(&asked.model_name, inputs, parameters)?;
    let contents = TensorContents { fp64s: values, ..TensorContents::default() };
    Ok(ModelInferResponse {
        model_name: asked.model_name,
        model_version: MODEL.1.to_owned(),
        id: asked.id,
        outputs: vec![InferTensor {
            name,
            datatype: "FP64".to_owned(),
            shape,
            contents: Some(contents),
            ..InferTensor::default()
        }],
        ..ModelInferResponse::default()
    })
}

fn params(given: HashMap<String, InferParameter>) -> Params {
    let param = |(name, parameter): (String, InferParameter)| {
        let param = match parameter.choice? {
            ParameterChoice::Double(value) => Param::Double(value),
            ParameterChoice::Int64(value) => Param::Int(value),
            ParameterChoice::Uint64(value) => Param::Double(value as f64),
            ParameterChoice::String(text) => Param::Text(text),
            ParameterChoice::Bool(is) => Param::Bool(is),
        };
        Some((name, param))
    };
    Params(given.into_iter().filter_map(param).collect())
}
