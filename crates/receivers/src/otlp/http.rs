// SPDX-License-Identifier: Apache-2.0
//! OTLP over HTTP, protobuf and JSON: routes, content types, statuses and bodies as the collector
//! answers them.
//!
//! A refused request gets a `google.rpc.Status` in the encoding it was sent in; what is not an
//! OTLP request at all gets plain text. Source: opentelemetry-proto, docs/specification.md.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use otlp_wire::Signal;
use pipeline::auth::{AuthData, Denied, ServerAuth};
use pipeline::telemetry::{CallMeter, Ended, ReceiverMeter};

use super::cors::Cors;
use super::door::{self, Door, Form, Refusal};
use super::status::{self, Status};
use crate::net::body::{self, BodyError};
use crate::net::inflate;

const PROTO: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Settings of the service.
pub(crate) struct Service {
    /// Path of each signal.
    pub routes: Vec<(String, Signal)>,
    /// Largest body, compressed and plain, in bytes.
    pub limit: usize,
    /// Keep request headers as metadata.
    pub include_metadata: bool,
    /// Cross-origin rules, if browsers may send.
    pub cors: Option<Cors>,
    /// Headers added to every answer.
    pub response_headers: HeaderMap,
    /// Content encodings taken; `None` = all there are, `""` stands for none.
    pub encodings: Option<Vec<String>>,
    /// For reading a body; `None` = a minute.
    pub read_time_max: Option<Duration>,
    /// Who may send.
    pub auth: Option<Arc<dyn ServerAuth>>,
    /// Counts items taken and refused.
    pub meter: ReceiverMeter,
    /// Counts requests, where all details are counted.
    pub calls: Option<Calls>,
}

/// What is told of requests to this server.
pub(crate) struct Calls {
    pub meter: CallMeter,
    /// Where it listens.
    pub endpoint: String,
    pub scheme: &'static str,
}

/// Answers one request.
pub(crate) async fn call(
    door: Arc<Door>,
    service: Arc<Service>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let Some(calls) = &service.calls else { return respond(&door, &service, peer, request).await };
    let (method, version) = (request.method().clone(), request.version());
    let route = service.routes.iter().find(|(route, _)| route == request.uri().path());
    let request_bytes = request.body().size_hint().lower();
    let begun = Instant::now();
    let response = respond(&door, &service, peer, request).await;
    calls.meter.http(&Ended {
        server: &calls.endpoint,
        scheme: calls.scheme,
        method: &method,
        route: route.map(|(route, _)| route.as_str()),
        version,
        status: Some(response.status()),
        seconds: begun.elapsed().as_secs_f64(),
        request_bytes,
        answer_bytes: response.body().size_hint().lower(),
    });
    response
}

async fn respond(
    door: &Door,
    service: &Service,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let origin = request.headers().get(http::header::ORIGIN).cloned();
    let preflight = service.cors.as_ref().and_then(|cors| cors.preflight(&request));
    let mut response = match preflight {
        Some(response) => response,
        None => answer(door, service, peer, request).await,
    };
    if let (Some(cors), Some(origin)) = (&service.cors, origin) {
        cors.allow(&origin, response.headers_mut());
    }
    for (name, value) in &service.response_headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

async fn answer(
    door: &Door,
    service: &Service,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let route = service.routes.iter().find(|(route, _)| route == path);
    let Some(signal) = route.map(|(_, s)| *s).filter(|s| door.inlets.of(*s).is_some()) else {
        return text(StatusCode::NOT_FOUND, "404 page not found");
    };
    if request.method() != Method::POST {
        let message = "405 method not allowed, supported: [POST]";
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, message);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let Some(json) = is_json(request.headers()) else {
        let message =
            "415 unsupported media type, supported: [application/json, application/x-protobuf]";
        return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    };
    let auth = match &service.auth {
        None => AuthData::new(),
        Some(auth) => match auth.authenticate(request.headers()).await {
            Ok(known) => known,
            Err(denied) => return unauthenticated(denied, json),
        },
    };
    match export(door, service, peer, signal, json, request, auth).await {
        Ok(body) => otlp(StatusCode::OK, json, body),
        Err(status) => refused(&status, json),
    }
}

async fn export(
    door: &Door,
    service: &Service,
    peer: SocketAddr,
    signal: Signal,
    json: bool,
    request: Request<Incoming>,
    auth: AuthData,
) -> Result<Bytes, Status> {
    let (parts, stream) = request.into_parts();
    let named = parts.headers.get(CONTENT_ENCODING).map_or("", |v| v.to_str().unwrap_or("?"));
    let unsupported = |name: &str| Status::invalid(format!("unsupported Content-Encoding: {name}"));
    let encoding = inflate::from_name(named).map_err(unsupported)?;
    if !service.takes(named) {
        return Err(unsupported(named));
    }
    let (bytes, permit) = body::read(stream, service.limit, service.read_time_max, &door.budget)
        .await
        .map_err(|e| body_status(&e))?;
    let request = door::Request {
        signal,
        form: if json { Form::Json } else { Form::Protobuf },
        encoding,
        bytes,
        limit: service.limit,
        peer,
        headers: service.include_metadata.then_some(&parts.headers),
        auth,
    };
    let taken = door.take(request, permit, &service.meter).await;
    let delivered = taken.map_err(|refusal| Status::from(&refusal))?;
    Ok(status::success(signal, &delivered, json))
}

/// True for JSON, false for protobuf; parameters do not matter.
fn is_json(headers: &HeaderMap) -> Option<bool> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let value = value.split(';').next()?.trim();
    if value.eq_ignore_ascii_case(JSON) {
        Some(true)
    } else if value.eq_ignore_ascii_case(PROTO) {
        Some(false)
    } else {
        None
    }
}

fn body_status(error: &BodyError) -> Status {
    match error {
        BodyError::TooLarge { limit } => Status::from(&Refusal::TooLarge(format!(
            "request body is larger than the limit of {limit} bytes (max_request_body_size)"
        ))),
        BodyError::Broken(why) => Status::invalid(format!("cannot read the request: {why}")),
        BodyError::Refused(error) => Status::from(error),
    }
}

/// 401 with a `google.rpc.Status`, as the collector answers.
fn unauthenticated(denied: Denied, json: bool) -> Response<Full<Bytes>> {
    let mut response = refused(&Status::unauthenticated(denied.message), json);
    response.headers_mut().insert(WWW_AUTHENTICATE, denied.challenge);
    response
}

impl Service {
    /// True if `compression_algorithms` has the encoding.
    fn takes(&self, named: &str) -> bool {
        let named = named.trim();
        let named = if named == "identity" { "" } else { named };
        let all = self.encodings.as_ref();
        all.is_none_or(|all| all.iter().any(|taken| taken.eq_ignore_ascii_case(named)))
    }
}

fn refused(status: &Status, json: bool) -> Response<Full<Bytes>> {
    let body = if json { status.to_json() } else { status.to_proto() };
    let http = StatusCode::from_u16(status.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = otlp(http, json, body);
    if let Some(seconds) = status.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn otlp(status: StatusCode, json: bool, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    with_type(status, if json { JSON } else { PROTO }, body.into())
}

fn text(status: StatusCode, message: &'static str) -> Response<Full<Bytes>> {
    with_type(status, "text/plain", Bytes::from_static(message.as_bytes()))
}

fn with_type(status: StatusCode, media: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}
