// SPDX-License-Identifier: Apache-2.0
//! The protocol over gRPC: `inference.GRPCInferenceService`.

use std::collections::HashMap;
use std::pin::Pin;

use axum::body::Body;
use axum::extract::{Path, Request};
use axum::response::Response;
use models::kserve::proto::{
    InferParameter, InferTensor, ModelInferRequest, ModelInferResponse, ModelMetadataResponse,
    ModelRequest, ParameterChoice, ReadyResponse, ServerReadyRequest, TensorContents,
    TensorMetadata,
};
use prost::Message;
use tonic::Status;
use tonic::server::{Grpc, UnaryService};
use tonic_prost::ProstCodec;

use super::{Parameters, Refused, Tensor};
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
    match method.as_str() {
        "ServerLive" | "ServerReady" => {
            unary(request, |_: ServerReadyRequest| Ok(ReadyResponse { ready: true })).await
        }
        "ModelReady" => {
            let ready = |asked: ModelRequest| {
                super::model(&asked.name)?;
                Ok(ReadyResponse { ready: true })
            };
            unary(request, ready).await
        }
        "ModelMetadata" => unary(request, metadata).await,
        "ModelInfer" => unary(request, infer).await,
        _ => Status::unimplemented(method).into_http(),
    }
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
    let mut parameters = numbers(&asked.parameters);
    let raw = &asked.raw_input_contents;
    if !raw.is_empty() && raw.len() != asked.inputs.len() {
        let (raw, inputs) = (raw.len(), asked.inputs.len());
        return Err(Status::invalid_argument(format!("{raw} raw contents for {inputs} inputs")));
    }
    let mut inputs = Vec::with_capacity(asked.inputs.len());
    for (index, input) in asked.inputs.into_iter().enumerate() {
        parameters.extend(numbers(&input.parameters));
        let values = match raw.get(index) {
            Some(raw) => from_raw(&input.datatype, raw),
            None => Some(typed(&input)),
        };
        let Some(values) = values else {
            let (name, kind) = (input.name, input.datatype);
            return Err(Status::invalid_argument(format!(
                "input {name:?}: raw {kind} is not taken"
            )));
        };
        inputs.push(Tensor { name: input.name, shape: input.shape, values });
    }
    let Tensor { name, shape, values } = super::infer(&asked.model_name, &inputs, &parameters)?;
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

fn numbers(given: &HashMap<String, InferParameter>) -> Parameters {
    let number = |parameter: &InferParameter| match parameter.choice.as_ref()? {
        ParameterChoice::Double(value) => Some(*value),
        ParameterChoice::Int64(value) => Some(*value as f64),
        ParameterChoice::Uint64(value) => Some(*value as f64),
        ParameterChoice::String(text) => text.parse().ok(),
        ParameterChoice::Bool(_) => None,
    };
    given.iter().filter_map(|(name, value)| Some((name.clone(), number(value)?))).collect()
}

/// The numbers of a tensor with typed contents: one of its lists is filled.
fn typed(tensor: &InferTensor) -> Vec<f64> {
    let Some(contents) = &tensor.contents else { return Vec::new() };
    let mut values = contents.fp64s.clone();
    values.extend(contents.fp32s.iter().map(|value| f64::from(*value)));
    values.extend(contents.int64s.iter().map(|value| *value as f64));
    values.extend(contents.uint64s.iter().map(|value| *value as f64));
    values.extend(contents.ints.iter().map(|value| f64::from(*value)));
    values.extend(contents.uints.iter().map(|value| f64::from(*value)));
    values.extend(contents.bools.iter().map(|value| f64::from(u8::from(*value))));
    values
}

/// Little-endian elements, of the types that clients send raw.
fn from_raw(datatype: &str, raw: &[u8]) -> Option<Vec<f64>> {
    fn each<const N: usize>(raw: &[u8], read: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
        let (elements, rest) = raw.as_chunks::<N>();
        rest.is_empty().then(|| elements.iter().map(|element| read(*element)).collect())
    }
    match datatype {
        "FP64" => each(raw, f64::from_le_bytes),
        "FP32" => each(raw, |bytes| f64::from(f32::from_le_bytes(bytes))),
        "INT64" => each(raw, |bytes| i64::from_le_bytes(bytes) as f64),
        "INT32" => each(raw, |bytes| f64::from(i32::from_le_bytes(bytes))),
        _ => None,
    }
}

/// Serves one call with `answer`.
async fn unary<Q, A>(
    request: Request,
    answer: impl FnOnce(Q) -> Result<A, Status> + Send + Sync + 'static,
) -> Response
where
    Q: Message + Default + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
{
    struct Handler<H>(Option<H>);

    impl<Q, A, H> UnaryService<Q> for Handler<H>
    where
        A: Send + 'static,
        H: FnOnce(Q) -> Result<A, Status>,
    {
        type Response = A;
        type Future =
            Pin<Box<dyn Future<Output = Result<tonic::Response<A>, Status>> + Send + 'static>>;

        fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
            let answer = match self.0.take() {
                Some(handler) => handler(request.into_inner()).map(tonic::Response::new),
                None => Err(Status::internal("a unary method is called once")),
            };
            Box::pin(std::future::ready(answer))
        }
    }

    let request = request.map(tonic::body::Body::new);
    let codec = ProstCodec::<A, Q>::default();
    let answered = Grpc::new(codec).unary(Handler(Some(answer)), request).await;
    answered.map(Body::new)
}
