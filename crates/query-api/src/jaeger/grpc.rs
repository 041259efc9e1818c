// SPDX-License-Identifier: Apache-2.0
//! `jaeger.api_v3.QueryService` over gRPC, as a router for an HTTP/2 listener.
//!
//! A trace goes out as the bytes it is: `TracesData` and an OTLP export request are the same on the
//! wire. Unary and server-streaming calls alike are one message in, messages out, then trailers; a
//! large trace goes in parts, since clients take at most 4 MiB a message unless told otherwise.
//! Requests are at most [`REQUEST_BYTES_MAX`]; compressed ones are refused, as gRPC allows.
//! Source: jaeger-idl `api_v3/query_service.proto`, grpc/doc/PROTOCOL-HTTP2.md.

use std::collections::HashMap;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Request, Response, header};
use axum::routing::post;
use basics::error::grpc_message;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use otlp_wire::Payload;
use prost::Message;
use store::traces::{SpanQuery, TraceSummary, kind_name};

use super::{dependencies, find, hex, query, summaries};
use crate::answer::Failure;
use crate::{Api, blocking};

/// Largest request: a query with attributes is some hundred bytes.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Messages stay below this, and so below the 4 MiB that clients take.
const MESSAGE_BYTES_MAX: usize = 3 << 20;

/// The service.
pub fn routes(api: Api) -> Router {
    Router::new().route("/jaeger.api_v3.QueryService/{method}", post(call)).with_state(api)
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl Timestamp {
    /// Nanoseconds; a duration has the same form.
    fn nanos(&self) -> u64 {
        let seconds = u64::try_from(self.seconds).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(self.nanos.max(0) as u64)
    }
}

#[derive(Clone, PartialEq, Message)]
struct GetTraceRequest {
    #[prost(string, tag = "1")]
    trace_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct FindTracesRequest {
    #[prost(message, optional, tag = "1")]
    query: Option<TraceQueryParameters>,
}

#[derive(Clone, PartialEq, Message)]
struct TraceQueryParameters {
    #[prost(string, tag = "1")]
    service_name: String,
    #[prost(string, tag = "2")]
    operation_name: String,
    #[prost(map = "string, string", tag = "3")]
    attributes: HashMap<String, String>,
    #[prost(message, optional, tag = "4")]
    start_time_min: Option<Timestamp>,
    #[prost(message, optional, tag = "5")]
    start_time_max: Option<Timestamp>,
    #[prost(message, optional, tag = "6")]
    duration_min: Option<Timestamp>,
    #[prost(message, optional, tag = "7")]
    duration_max: Option<Timestamp>,
    #[prost(int32, tag = "8")]
    search_depth: i32,
    /// Never passed over: an answer without it would hold more than was asked for.
    #[prost(bytes = "bytes", optional, tag = "10")]
    filter: Option<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct GetServicesResponse {
    #[prost(string, repeated, tag = "1")]
    services: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct GetOperationsRequest {
    #[prost(string, tag = "1")]
    service: String,
    #[prost(string, tag = "2")]
    span_kind: String,
}

#[derive(Clone, PartialEq, Message)]
struct GetOperationsResponse {
    #[prost(message, repeated, tag = "1")]
    operations: Vec<Operation>,
}

#[derive(Clone, PartialEq, Message)]
struct Operation {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    span_kind: String,
}

#[derive(Clone, PartialEq, Message)]
struct GetDependenciesRequest {
    #[prost(message, optional, tag = "1")]
    start_time: Option<Timestamp>,
    #[prost(message, optional, tag = "2")]
    end_time: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
struct DependenciesResponse {
    #[prost(message, repeated, tag = "1")]
    dependencies: Vec<Dependency>,
}

#[derive(Clone, PartialEq, Message)]
struct Dependency {
    #[prost(string, tag = "1")]
    parent: String,
    #[prost(string, tag = "2")]
    child: String,
    #[prost(uint64, tag = "3")]
    call_count: u64,
}

#[derive(Clone, PartialEq, Message)]
struct FindTraceSummariesResponse {
    #[prost(message, repeated, tag = "1")]
    summaries: Vec<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(string, tag = "1")]
    trace_id: String,
    #[prost(string, tag = "2")]
    root_service_name: String,
    #[prost(string, tag = "3")]
    root_operation_name: String,
    #[prost(fixed64, tag = "4")]
    min_start_time_unix_nano: u64,
    #[prost(fixed64, tag = "5")]
    max_end_time_unix_nano: u64,
    #[prost(int32, tag = "6")]
    span_count: i32,
    #[prost(int32, tag = "7")]
    error_span_count: i32,
    #[prost(int32, tag = "8")]
    orphan_span_count: i32,
    #[prost(message, repeated, tag = "9")]
    services: Vec<ServiceSummary>,
}

#[derive(Clone, PartialEq, Message)]
struct ServiceSummary {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int32, tag = "2")]
    span_count: i32,
    #[prost(int32, tag = "3")]
    error_span_count: i32,
}

/// A gRPC status that is not OK.
struct Status {
    code: u16,
    message: String,
}

const INVALID_ARGUMENT: u16 = 3;
const NOT_FOUND: u16 = 5;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;

impl Status {
    fn new(code: u16, message: impl Into<String>) -> Status {
        Status { code, message: message.into() }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let code = match failure.status().as_u16() {
            400 => INVALID_ARGUMENT,
            404 => NOT_FOUND,
            _ => INTERNAL,
        };
        Status::new(code, failure.message())
    }
}

impl From<String> for Status {
    fn from(message: String) -> Self {
        Status::new(INVALID_ARGUMENT, message)
    }
}

async fn call(
    State(api): State<Api>,
    Path(method): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    match answer(api, &method, request).await {
        Ok(messages) => success(&messages),
        Err(status) => failure(&status),
    }
}

async fn answer(api: Api, method: &str, request: Request<Body>) -> Result<Vec<Bytes>, Status> {
    let body = axum::body::to_bytes(request.into_body(), REQUEST_BYTES_MAX)
        .await
        .map_err(|e| Status::new(INVALID_ARGUMENT, format!("cannot read the request: {e}")))?;
    let message = unframed(&body)?;
    match method {
        "GetServices" => {
            let store = api.store()?;
            let all = blocking(move || Ok(store.traces().operations()?)).await?;
            one(&GetServicesResponse { services: all.into_keys().collect() })
        }
        "GetOperations" => operations(api, decoded(message)?).await,
        "GetTrace" => trace(api, decoded(message)?).await,
        "FindTraces" => {
            let (query, store) = (span_query(decoded(message)?)?, api.store()?);
            let traces = blocking(move || find(&store, &query)).await?;
            Ok(traces.into_iter().flat_map(parts).collect())
        }
        "FindTraceSummaries" => {
            let (query, store) = (span_query(decoded(message)?)?, api.store()?);
            let all = blocking(move || summaries(&store, &query)).await?;
            one(&FindTraceSummariesResponse { summaries: all.into_iter().map(summary).collect() })
        }
        "GetDependencies" => edges(api, decoded(message)?).await,
        _ => Err(Status::new(UNIMPLEMENTED, format!("unknown method {method}"))),
    }
}

async fn operations(api: Api, request: GetOperationsRequest) -> Result<Vec<Bytes>, Status> {
    let store = api.store()?;
    let mut all = blocking(move || Ok(store.traces().operations()?)).await?;
    let wanted = query::kind(&request.span_kind).map(|kind| kind as i32);
    let found = all.remove(&request.service).unwrap_or_default().into_iter();
    let found = found.filter(|o| request.span_kind.is_empty() || wanted == Some(o.kind));
    let operations = found.map(|o| Operation {
        name: o.name,
        span_kind: kind_name(o.kind).unwrap_or("internal").to_owned(),
    });
    one(&GetOperationsResponse { operations: operations.collect() })
}

async fn trace(api: Api, request: GetTraceRequest) -> Result<Vec<Bytes>, Status> {
    let id = query::trace_id(&request.trace_id)
        .ok_or_else(|| format!("malformed trace id {:?}", request.trace_id))?;
    let store = api.store()?;
    let found = blocking(move || super::get(&store, &[id])).await?;
    if found.is_empty() {
        return Err(Status::new(NOT_FOUND, "trace not found"));
    }
    Ok(found.into_iter().flat_map(parts).collect())
}

async fn edges(api: Api, request: GetDependenciesRequest) -> Result<Vec<Bytes>, Status> {
    let ms = |time: Option<Timestamp>, name: &str| {
        let time = time.ok_or_else(|| format!("{name} is required"))?;
        Ok::<_, String>((time.nanos() / 1_000_000) as i64)
    };
    let (start, end) = (ms(request.start_time, "start_time")?, ms(request.end_time, "end_time")?);
    let found = blocking(move || dependencies(&api, start, end)).await?;
    let dependencies = found.into_iter().map(|edge| Dependency {
        parent: edge.parent,
        child: edge.child,
        call_count: edge.calls,
    });
    one(&DependenciesResponse { dependencies: dependencies.collect() })
}

fn span_query(request: FindTracesRequest) -> Result<SpanQuery, Status> {
    let asked = request.query.ok_or_else(|| "missing query".to_owned())?;
    if asked.filter.is_some() {
        return Err("query.filter is not supported: use the other fields".to_owned().into());
    }
    let (Some(start), Some(end)) = (asked.start_time_min, asked.start_time_max) else {
        return Err("start_time_min and start_time_max are required".to_owned().into());
    };
    let named = |text: String| (!text.is_empty()).then_some(text);
    let limit = match usize::try_from(asked.search_depth) {
        Ok(0) | Err(_) => query::LIMIT_DEFAULT,
        Ok(limit) => limit.min(query::LIMIT_MAX),
    };
    Ok(SpanQuery {
        service: named(asked.service_name),
        operation: named(asked.operation_name),
        tags: asked.attributes.into_iter().collect(),
        start: start.nanos(),
        end: end.nanos(),
        duration_min: asked.duration_min.map_or(0, |d| d.nanos()),
        duration_max: asked.duration_max.map(|d| d.nanos()).filter(|d| *d > 0).unwrap_or(u64::MAX),
        limit,
        ..SpanQuery::default()
    })
}

fn summary(trace: TraceSummary) -> Summary {
    let services = trace.services.into_iter().map(|service| ServiceSummary {
        name: service.name,
        span_count: service.spans as i32,
        error_span_count: service.errors as i32,
    });
    Summary {
        trace_id: hex(&trace.trace_id),
        root_service_name: trace.service,
        root_operation_name: trace.name,
        min_start_time_unix_nano: trace.start,
        max_end_time_unix_nano: trace.end,
        span_count: trace.spans as i32,
        error_span_count: trace.errors as i32,
        orphan_span_count: trace.orphans as i32,
        services: services.collect(),
    }
}

/// A trace as messages that clients take.
fn parts(trace: Payload) -> Vec<Bytes> {
    if trace.len() <= MESSAGE_BYTES_MAX {
        return vec![trace.bytes().clone()];
    }
    let each =
        (u64::from(trace.items()) * MESSAGE_BYTES_MAX as u64 / trace.len() as u64 / 2).max(1);
    trace.split(each as u32).iter().map(|part| part.bytes().clone()).collect()
}

fn one(message: &impl Message) -> Result<Vec<Bytes>, Status> {
    Ok(vec![message.encode_to_vec().into()])
}

fn decoded<M: Message + Default>(message: Bytes) -> Result<M, Status> {
    M::decode(message).map_err(|e| Status::new(INVALID_ARGUMENT, e.to_string()))
}

fn unframed(body: &Bytes) -> Result<Bytes, Status> {
    let Some((&[flag, a, b, c, d], _)) = body.split_first_chunk::<5>() else {
        return Err(Status::new(INTERNAL, "request has no complete gRPC message"));
    };
    if flag != 0 {
        return Err(Status::new(UNIMPLEMENTED, "compressed requests are not supported"));
    }
    if u32::from_be_bytes([a, b, c, d]) as usize != body.len() - 5 {
        return Err(Status::new(INTERNAL, "gRPC message is not as long as its prefix says"));
    }
    Ok(body.slice(5..))
}

fn success(messages: &[Bytes]) -> Response<Body> {
    let mut bytes = Vec::with_capacity(messages.iter().map(|m| m.len() + 5).sum());
    for message in messages {
        bytes.push(0);
        bytes.extend_from_slice(&(message.len() as u32).to_be_bytes());
        bytes.extend_from_slice(message);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from(bytes)).with_trailers(async move { Some(Ok(trailers)) });
    grpc(Body::new(body))
}

/// Status in the headers and no body: what gRPC calls trailers-only.
fn failure(status: &Status) -> Response<Body> {
    let mut response = grpc(Body::empty());
    let headers = response.headers_mut();
    headers.insert("grpc-status", HeaderValue::from(status.code));
    let message = HeaderValue::from_str(&grpc_message(&status.message));
    headers.insert("grpc-message", message.unwrap_or(HeaderValue::from_static("error")));
    response
}

fn grpc(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let value = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}
