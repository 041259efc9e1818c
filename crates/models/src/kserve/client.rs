// SPDX-License-Identifier: Apache-2.0
//! The calls: readiness, metadata, inference.

use super::proto::{
    InferParameter, ModelInferRequest, ModelInferResponse, ModelMetadataResponse, ModelRequest,
    ParameterChoice, ReadyResponse, SERVICE, ServerReadyRequest,
};
use super::tensor::{ModelMetadata, pack, unpack};
use crate::{Outputs, Param, Params, Rows};
use basics::{Error, Result};
use http::uri::PathAndQuery;
use prost::Message;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

/// How long a connection attempt may take; a dead host must not use up the whole deadline.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a server is and how to talk to it.
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    /// `host:port`, or a URL with scheme `http`.
    pub endpoint: String,
    /// Sent as metadata with every call.
    pub headers: BTreeMap<String, String>,
    /// Largest answer taken, in bytes; `None` is gRPC's 4 MiB.
    pub max_receive_message_size: Option<usize>,
    /// HTTP/2 pings.
    pub keepalive: Option<Keepalive>,
    /// How parameters with a fraction travel.
    pub doubles: DoubleEncoding,
}

impl ClientConfig {
    /// Checks endpoint and headers without connecting to anything.
    ///
    /// # Errors
    /// `Invalid`, with what was expected.
    pub fn check(&self) -> Result<()> {
        endpoint_uri(&self.endpoint)?;
        metadata_map(&self.headers).map(|_| ())
    }
}

/// HTTP/2 pings on an idle connection.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    /// Time between pings.
    pub time: Duration,
    /// Time an answer may take.
    pub timeout: Duration,
    /// Ping also when no call is open.
    pub permit_without_stream: bool,
}

/// How a parameter with a fraction travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DoubleEncoding {
    /// As text with six decimals ("2.000000"): what every dialect delivers.
    #[default]
    Text,
    /// As a double; MLServer delivers nothing then.
    Native,
}

/// What one rule asks of one model.
#[derive(Clone, Debug, Default)]
pub struct ModelCall {
    /// Model name.
    pub model: String,
    /// Version; empty leaves the choice to the server.
    pub version: String,
    /// Sent as request parameters.
    pub params: Params,
    /// The rule's inputs, used as tensor names when the model gives none.
    pub inputs: Vec<String>,
    /// What the model says about itself.
    pub metadata: ModelMetadata,
    /// Time for each call.
    pub timeout: Duration,
}

/// A connection to one server; clone = refcount. Connects when first used.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    headers: MetadataMap,
    receive_bytes_max: usize,
    doubles: DoubleEncoding,
}

impl Client {
    /// Prepares a client without connecting. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// `Invalid` for a malformed endpoint or header.
    pub fn new(config: &ClientConfig) -> Result<Self> {
        let uri = endpoint_uri(&config.endpoint)?;
        let mut endpoint = Endpoint::from_shared(uri)
            .map_err(|e| invalid_endpoint(&config.endpoint, &e.to_string()))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true);
        if let Some(keepalive) = config.keepalive {
            endpoint = endpoint
                .http2_keep_alive_interval(keepalive.time)
                .keep_alive_timeout(keepalive.timeout)
                .keep_alive_while_idle(keepalive.permit_without_stream);
        }
        Ok(Client {
            channel: endpoint.connect_lazy(),
            headers: metadata_map(&config.headers)?,
            receive_bytes_max: config.max_receive_message_size.unwrap_or(4 << 20),
            doubles: config.doubles,
        })
    }

    /// True when the server says it is ready.
    ///
    /// # Errors
    /// As every call: see the module's head.
    pub async fn server_ready(&self, timeout: Duration) -> Result<bool> {
        let answer: ReadyResponse =
            self.unary("ServerReady", ServerReadyRequest {}, timeout).await?;
        Ok(answer.ready)
    }

    /// True when the server says this model is ready.
    ///
    /// # Errors
    /// As every call: see the module's head.
    pub async fn model_ready(&self, name: &str, version: &str, timeout: Duration) -> Result<bool> {
        let request = ModelRequest { name: name.into(), version: version.into() };
        let answer: ReadyResponse = self.unary("ModelReady", request, timeout).await?;
        Ok(answer.ready)
    }

    /// The model's tensors.
    ///
    /// # Errors
    /// As every call; `Rejected` also when an input takes no numbers.
    pub async fn model_metadata(
        &self,
        name: &str,
        version: &str,
        timeout: Duration,
    ) -> Result<ModelMetadata> {
        let request = ModelRequest { name: name.into(), version: version.into() };
        let answer: ModelMetadataResponse = self.unary("ModelMetadata", request, timeout).await?;
        ModelMetadata::from_response(answer)
    }

    /// Asks the model about all `rows`, in as many calls as their size needs.
    ///
    /// # Errors
    /// As every call; `Rejected` when the rule does not fit the model or the answer the rows.
    pub async fn infer(&self, call: &ModelCall, rows: &Rows) -> Result<Outputs> {
        let rows_max = call.metadata.rows_max(rows.inputs.len())?;
        let parameters = self.parameters(&call.params);
        let mut out = Outputs::default();
        let mut start = 0;
        while start < rows.len() {
            let end = rows.len().min(start.saturating_add(rows_max));
            let request = ModelInferRequest {
                model_name: call.model.clone(),
                model_version: call.version.clone(),
                id: start.to_string(),
                parameters: parameters.clone(),
                inputs: pack(&call.metadata, &call.inputs, rows, start..end),
                raw_input_contents: vec![],
            };
            let answer: ModelInferResponse =
                self.unary("ModelInfer", request, call.timeout).await?;
            unpack(&answer, end - start, &mut out.columns)?;
            start = end;
        }
        Ok(out)
    }

    fn parameters(&self, params: &Params) -> HashMap<String, InferParameter> {
        let choice = |param: &Param| match param {
            Param::Bool(value) => ParameterChoice::Bool(*value),
            Param::Int(value) => ParameterChoice::Int64(*value),
            Param::Text(value) => ParameterChoice::String(value.clone()),
            Param::Double(value) if self.doubles == DoubleEncoding::Native => {
                ParameterChoice::Double(*value)
            }
            Param::Double(value) => ParameterChoice::String(format!("{value:.6}")),
        };
        let one = |(name, param)| {
            let name: &String = name;
            (name.clone(), InferParameter { choice: Some(choice(param)) })
        };
        params.0.iter().map(one).collect()
    }

    async fn unary<Q, A>(&self, method: &'static str, message: Q, timeout: Duration) -> Result<A>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.headers.clone();
        request.set_timeout(timeout);
        let path = PathAndQuery::try_from(format!("/{SERVICE}/{method}"))
            .expect("service and method names are plain ASCII");
        let codec = tonic_prost::ProstCodec::<Q, A>::default();
        let mut grpc = tonic::client::Grpc::new(self.channel.clone())
            .max_decoding_message_size(self.receive_bytes_max);
        let call = async {
            grpc.ready().await.map_err(|e| Status::unavailable(chain(&e)))?;
            grpc.unary(request, path, codec).await
        };
        match tokio::time::timeout(timeout, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(from_status(method, &status)),
            Err(_) => Err(Error::overloaded(format!("{method} took longer than {timeout:?}"))),
        }
    }
}

/// `host:port` and `http://host:port` to a URI; anything else is refused with the reason.
fn endpoint_uri(endpoint: &str) -> Result<String> {
    let rest = match endpoint.split_once("://") {
        None => endpoint,
        Some(("http", rest)) => rest,
        Some((scheme, _)) => {
            return Err(invalid_endpoint(endpoint, &format!("scheme {scheme:?} is not supported")));
        }
    };
    let authority = rest.trim_end_matches('/');
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if authority.contains('/') || port.is_none() {
        return Err(invalid_endpoint(endpoint, "expected host:port"));
    }
    Ok(format!("http://{authority}"))
}

fn invalid_endpoint(endpoint: &str, why: &str) -> Error {
    Error::invalid(format!("invalid inference endpoint {endpoint:?}: {why}"))
}

fn metadata_map(headers: &BTreeMap<String, String>) -> Result<MetadataMap> {
    let mut map = MetadataMap::with_capacity(headers.len());
    for (name, value) in headers {
        let key = MetadataKey::<Ascii>::from_bytes(name.to_ascii_lowercase().as_bytes())
            .map_err(|_| Error::invalid(format!("invalid header name {name:?}")))?;
        let value = MetadataValue::try_from(value.as_str())
            .map_err(|_| Error::invalid(format!("invalid value of header {name:?}")))?;
        map.insert(key, value);
    }
    Ok(map)
}

fn from_status(method: &str, status: &Status) -> Error {
    let text = format!("{method}: {} {}", code_name(status.code()), message_of(status));
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted | Code::Aborted => Error::retry(text),
        // The deadline passed or the connection broke off: the server may be busy with the call.
        Code::DeadlineExceeded | Code::Cancelled => Error::overloaded(text),
        _ => Error::rejected(text),
    }
}

/// The status text and what caused it ("connection refused" is only in the cause).
fn message_of(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => format!("{}: {}", status.message(), chain(source)),
        None => status.message().to_owned(),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn code_name(code: Code) -> String {
    format!("{code:?}")
}
