// SPDX-License-Identifier: Apache-2.0
//! A fake KServe v2 server that speaks like MLServer, Triton or a strict reading of the protocol,
//! and misbehaves on demand.
//!
//! It answers with real numbers (a function per model), records every request, and can be stopped
//! and started again on the same port. Ports are ephemeral.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use models::kserve::proto::{
    InferTensor, ModelInferRequest, ModelInferResponse, ModelMetadataResponse, ModelRequest,
    ParameterChoice, ReadyResponse, SERVICE, ServerReadyRequest, TensorContents, TensorMetadata,
};
use models::kserve::unary;
use tokio::sync::oneshot;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// Whose habits the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Typed answers with an extra axis; parameters of type double arrive as nothing.
    MlServer,
    /// Raw answers only; tensor names and types must be the model's.
    Triton,
    /// Typed answers; names, types and shapes must be right.
    Strict,
}

/// How the server misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Not at all.
    #[default]
    None,
    /// Says that the model is not ready.
    NotReady,
    /// Never answers an inference.
    Hang,
    /// Answers with an odd number of raw bytes.
    Garbage,
    /// Answers one element too few.
    WrongShape,
    /// Answers NaN for everything.
    NotANumber,
    /// Refuses the next so many inferences as unavailable.
    Unavailable(u32),
    /// Fails in the model, as a Python exception does.
    Exception,
}

/// Input columns and the parameters as text, to output columns.
pub type Answer = fn(&[Vec<f64>], &HashMap<String, String>) -> Vec<Vec<f64>>;

/// A model: columns in, columns out.
#[derive(Clone)]
pub struct FakeModel {
    /// Tensors it describes; empty = it describes none.
    pub inputs: Vec<TensorMetadata>,
    /// Names of its outputs; all are FP64.
    pub outputs: Vec<String>,
    /// What it computes.
    pub answer: Answer,
}

impl FakeModel {
    /// Multiplies its one input by the parameter `scale_factor`.
    pub fn scale() -> Self {
        FakeModel {
            inputs: vec![tensor("input_tensor", "FP64", &[-1])],
            outputs: vec!["scaled_result".into()],
            answer: |columns, parameters| {
                let factor = parameters.get("scale_factor").and_then(|v| v.parse().ok());
                let factor: f64 = factor.unwrap_or(1.0);
                vec![columns[0].iter().map(|value| value * factor).collect()]
            },
        }
    }

    /// Adds its two inputs.
    pub fn sum() -> Self {
        FakeModel {
            inputs: vec![tensor("a", "FP64", &[-1]), tensor("b", "FP64", &[-1])],
            outputs: vec!["sum_result".into()],
            answer: |columns, _| {
                vec![(0..columns[0].len()).map(|i| columns.iter().map(|c| c[i]).sum()).collect()]
            },
        }
    }

    /// The same model, describing its inputs with `datatype`.
    pub fn typed(mut self, datatype: &str) -> Self {
        self.inputs.iter_mut().for_each(|tensor| tensor.datatype = datatype.into());
        self
    }

    /// The same model, describing nothing.
    pub fn silent(mut self) -> Self {
        self.inputs.clear();
        self
    }
}

/// A tensor description.
pub fn tensor(name: &str, datatype: &str, shape: &[i64]) -> TensorMetadata {
    TensorMetadata { name: name.into(), datatype: datatype.into(), shape: shape.to_vec() }
}

/// A running fake; stops when dropped.
pub struct FakeKserve {
    address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
}

struct State {
    dialect: Dialect,
    models: HashMap<String, FakeModel>,
    fault: Mutex<Fault>,
    requests: Mutex<Vec<ModelInferRequest>>,
    headers: Mutex<http::HeaderMap>,
}

impl FakeKserve {
    /// Starts a server on a free port.
    pub async fn start(dialect: Dialect, models: &[(&str, FakeModel)]) -> Self {
        let models = models.iter().map(|(name, model)| ((*name).to_owned(), model.clone()));
        let state = Arc::new(State {
            dialect,
            models: models.collect(),
            fault: Mutex::new(Fault::None),
            requests: Mutex::new(vec![]),
            headers: Mutex::default(),
        });
        let mut fake = FakeKserve { address: ([127, 0, 0, 1], 0).into(), state, stop: None };
        fake.restart().await;
        fake
    }

    /// `host:port`.
    pub fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// Misbehaves from now on.
    pub fn fail(&self, fault: Fault) {
        *lock(&self.state.fault) = fault;
    }

    /// Every inference asked for so far.
    pub fn requests(&self) -> Vec<ModelInferRequest> {
        lock(&self.state.requests).clone()
    }

    /// Headers of the last call of any kind.
    pub fn headers(&self) -> http::HeaderMap {
        lock(&self.state.headers).clone()
    }

    /// Stops listening and closes all connections.
    pub async fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        // The port is free when it can be bound.
        while std::net::TcpListener::bind(self.address).is_err() {
            tokio::task::yield_now().await;
        }
    }

    /// Listens again, on the same port.
    pub async fn restart(&mut self) {
        let listener = tokio::net::TcpListener::bind(self.address).await.expect("the port is free");
        self.address = listener.local_addr().expect("a bound socket has an address");
        let service = KserveService(self.state.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        self.stop = Some(stop);
        tokio::spawn(async move {
            let serve = Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpIncoming::from(listener));
            // Dropping the server closes its connections, as a crash does.
            tokio::select! { _ = serve => {}, _ = stopped => {} }
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl State {
    fn model(&self, name: &str) -> Result<&FakeModel, Status> {
        self.models.get(name).ok_or_else(|| Status::not_found(format!("Model {name} not found")))
    }

    fn metadata(&self, request: &ModelRequest) -> Result<ModelMetadataResponse, Status> {
        let model = self.model(&request.name)?;
        let outputs = model.outputs.iter().map(|name| tensor(name, "FP64", &[-1]));
        Ok(ModelMetadataResponse {
            name: request.name.clone(),
            versions: vec!["1".into()],
            platform: "fake".into(),
            inputs: model.inputs.clone(),
            outputs: outputs.collect(),
        })
    }

    async fn infer(&self, request: ModelInferRequest) -> Result<ModelInferResponse, Status> {
        lock(&self.requests).push(request.clone());
        let fault = *lock(&self.fault);
        match fault {
            Fault::Hang => std::future::pending::<()>().await,
            Fault::Exception => return Err(Status::unknown("ValueError: boom")),
            Fault::Unavailable(left) if left > 0 => {
                *lock(&self.fault) = Fault::Unavailable(left - 1);
                return Err(Status::unavailable("try again"));
            }
            _ => {}
        }
        let model = self.model(&request.model_name)?;
        if self.dialect != Dialect::MlServer {
            check(model, &request)?;
        }
        let columns: Vec<Vec<f64>> = request.inputs.iter().map(numbers).collect();
        let mut answers = (model.answer)(&columns, &self.parameters(&request));
        match fault {
            Fault::NotANumber => answers.iter_mut().for_each(|column| column.fill(f64::NAN)),
            Fault::WrongShape => {
                answers.iter_mut().for_each(|column| column.truncate(column.len() - 1))
            }
            _ => {}
        }
        Ok(self.response(&request, model, answers, fault))
    }

    fn parameters(&self, request: &ModelInferRequest) -> HashMap<String, String> {
        let text = |choice: &ParameterChoice| match choice {
            ParameterChoice::Bool(value) => Some(value.to_string()),
            ParameterChoice::Int64(value) => Some(value.to_string()),
            ParameterChoice::String(value) => Some(value.clone()),
            // MLServer's messages have no such fields.
            _ if self.dialect == Dialect::MlServer => None,
            ParameterChoice::Double(value) => Some(value.to_string()),
            ParameterChoice::Uint64(value) => Some(value.to_string()),
        };
        let own = |(name, parameter): (&String, &models::kserve::proto::InferParameter)| {
            Some((name.clone(), text(parameter.choice.as_ref()?)?))
        };
        request.parameters.iter().filter_map(own).collect()
    }

    fn response(
        &self,
        request: &ModelInferRequest,
        model: &FakeModel,
        answers: Vec<Vec<f64>>,
        fault: Fault,
    ) -> ModelInferResponse {
        let mut response = ModelInferResponse {
            model_name: request.model_name.clone(),
            model_version: "1".into(),
            id: request.id.clone(),
            ..Default::default()
        };
        for (name, values) in model.outputs.iter().zip(answers) {
            let count = values.len() as i64;
            let mut output = InferTensor {
                name: name.clone(),
                datatype: "FP64".into(),
                shape: if self.dialect == Dialect::MlServer { vec![count, 1] } else { vec![count] },
                ..Default::default()
            };
            if self.dialect == Dialect::Triton || fault == Fault::Garbage {
                let mut raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                if fault == Fault::Garbage {
                    raw.push(0xff);
                }
                response.raw_output_contents.push(raw);
            } else {
                output.contents = Some(TensorContents { fp64s: values, ..Default::default() });
            }
            response.outputs.push(output);
        }
        response
    }
}

/// What Triton and strict servers insist on.
fn check(model: &FakeModel, request: &ModelInferRequest) -> Result<(), Status> {
    for (tensor, expected) in request.inputs.iter().zip(&model.inputs) {
        if tensor.name != expected.name || tensor.datatype != expected.datatype {
            return Err(Status::invalid_argument(format!(
                "unexpected inference input {:?} of type {}",
                tensor.name, tensor.datatype
            )));
        }
        let elements: i64 = tensor.shape.iter().product();
        if numbers(tensor).len() as i64 != elements {
            return Err(Status::invalid_argument("contents do not fill the shape"));
        }
    }
    if request.inputs.len() != model.inputs.len() && !model.inputs.is_empty() {
        return Err(Status::invalid_argument("wrong number of inputs"));
    }
    Ok(())
}

fn numbers(tensor: &InferTensor) -> Vec<f64> {
    let Some(contents) = &tensor.contents else { return vec![] };
    match tensor.datatype.as_str() {
        "FP32" => contents.fp32s.iter().map(|v| f64::from(*v)).collect(),
        "INT64" => contents.int64s.iter().map(|v| *v as f64).collect(),
        "INT32" => contents.ints.iter().map(|v| f64::from(*v)).collect(),
        _ => contents.fp64s.clone(),
    }
}

#[derive(Clone)]
struct KserveService(Arc<State>);

impl NamedService for KserveService {
    const NAME: &'static str = SERVICE;
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Service<http::Request<Body>> for KserveService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let state = self.0.clone();
        *lock(&state.headers) = request.headers().clone();
        Box::pin(async move {
            let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            Ok(match method.as_str() {
                "ServerLive" | "ServerReady" => {
                    unary(request, |_: ServerReadyRequest| async {
                        Ok(ReadyResponse { ready: true })
                    })
                    .await
                }
                "ModelReady" => {
                    unary(request, move |asked: ModelRequest| async move {
                        state.model(&asked.name)?;
                        Ok(ReadyResponse { ready: *lock(&state.fault) != Fault::NotReady })
                    })
                    .await
                }
                "ModelMetadata" => {
                    unary(request, move |asked: ModelRequest| async move { state.metadata(&asked) })
                        .await
                }
                "ModelInfer" => {
                    unary(request, move |asked| async move { state.infer(asked).await }).await
                }
                _ => Status::unimplemented(method).into_http(),
            })
        })
    }
}
