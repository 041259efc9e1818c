// SPDX-License-Identifier: Apache-2.0
//! HTTP for the services: a server span, the metrics of the semantic conventions and a log line of
//! each request, around handlers that know nothing of them.
//!
//! A request's `traceparent` is honoured; the span is in the request's extensions ([`Call`]).
//! What no route takes is told as `_OTHER`, so that a scanner makes no series. Stops by finishing
//! what is being served, within [`DRAIN`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use opentelemetry::logs::Severity;
use opentelemetry::metrics::{BoundHistogram, BoundUpDownCounter, Histogram, UpDownCounter};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use serde_json::json;
use tokio::net::TcpListener;

use crate::few::Few;
use crate::telemetry::Telemetry;

/// How long requests may go on after a stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Largest body a service takes: 1 MiB is far beyond any order or feature list.
pub(crate) const BODY_MAX: usize = 1 << 20;

/// Attributes a server span has in the end; most of them.
const ATTRIBUTES: usize = 10;

/// Bounds of durations in seconds, as the semantic conventions advise.
const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Bounds of bodies in bytes.
const BYTES: [f64; 8] = [64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0];

/// The context with the server span of the request a handler works on.
#[derive(Clone)]
pub(crate) struct Call(pub Context);

/// What a handler answers when it cannot do what was asked.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    body: serde_json::Value,
    retry_after: Option<u64>,
    /// `error.type` of span and metrics.
    kind: &'static str,
}

/// `error.type` of an answer, for the metrics.
#[derive(Clone, Copy)]
struct ErrorType(&'static str);

impl Refusal {
    /// A refusal with a message for people.
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Refusal {
        let body = json!({ "error": kind, "message": message.into() });
        Refusal { status, body, retry_after: None, kind }
    }

    /// A refusal with a body of its own.
    pub fn with_body(status: StatusCode, kind: &'static str, body: serde_json::Value) -> Refusal {
        Refusal { status, body, retry_after: None, kind }
    }

    /// The client may come again after so long.
    pub fn retry_after(mut self, wait: Duration) -> Refusal {
        self.retry_after = Some(wait.as_secs_f64().ceil().max(1.0) as u64);
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(ErrorType(self.kind));
        response
    }
}

/// Instruments of an HTTP server, by the semantic conventions.
struct Instruments {
    duration: Histogram<f64>,
    active: UpDownCounter<i64>,
    request_size: Histogram<u64>,
    response_size: Histogram<u64>,
}

struct Watched {
    /// What the names of server spans begin with.
    prefix: &'static str,
    telemetry: Arc<Telemetry>,
    instruments: Instruments,
    /// By method and path of the route; no path = none took it.
    routes: Few<(&'static str, Option<Box<str>>), Route>,
}

/// A route with a method, and what its requests have in common.
struct Route {
    /// Name of its server spans.
    name: String,
    path: Option<Arc<str>>,
    /// What its metrics and spans begin with: method, scheme, and the path if there is one.
    attributes: Vec<KeyValue>,
    active: BoundUpDownCounter<i64>,
    outcomes: Few<Outcome, Answered>,
}

/// Status of an answer, and its `error.type` if it is the server's fault.
type Outcome = (u16, Option<&'static str>);

/// Instruments of a route and an outcome.
struct Answered {
    duration: BoundHistogram<f64>,
    request_size: BoundHistogram<u64>,
    response_size: BoundHistogram<u64>,
}

impl Watched {
    fn route(&self, method: &'static str, path: Option<&MatchedPath>) -> Arc<Route> {
        let path = path.map(MatchedPath::as_str);
        let is_it =
            |key: &(&'static str, Option<Box<str>>)| key.0 == method && key.1.as_deref() == path;
        self.routes.find(is_it, || ((method, path.map(Into::into)), self.new_route(method, path)))
    }

    fn new_route(&self, method: &'static str, path: Option<&str>) -> Route {
        let prefix = self.prefix;
        let name = match path {
            Some(path) => format!("{prefix}{method} {path}"),
            None => format!("{prefix}{method}"),
        };
        let path: Option<Arc<str>> = path.map(Into::into);
        let mut attributes =
            vec![KeyValue::new("http.request.method", method), KeyValue::new("url.scheme", "http")];
        let active = self.instruments.active.bind(&attributes);
        attributes.extend(path.clone().map(|path| KeyValue::new("http.route", path)));
        Route { name, path, attributes, active, outcomes: Few::default() }
    }

    fn answered(&self, route: &Route, outcome: Outcome) -> Arc<Answered> {
        route
            .outcomes
            .find(|known| *known == outcome, || (outcome, self.new_answered(route, outcome)))
    }

    fn new_answered(&self, route: &Route, (status, error): Outcome) -> Answered {
        let mut attributes = route.attributes.clone();
        attributes.push(KeyValue::new("http.response.status_code", i64::from(status)));
        attributes.extend(error.map(|kind| KeyValue::new("error.type", kind)));
        Answered {
            duration: self.instruments.duration.bind(&attributes),
            request_size: self.instruments.request_size.bind(&attributes),
            response_size: self.instruments.response_size.bind(&attributes),
        }
    }
}

/// Listens on `address`.
pub(crate) async fn listen(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| anyhow!("cannot listen on {address}: {error}"))
}

/// Serves `routes` on `listener` until `stop` resolves and what is being served has ended. Names of
/// server spans begin with `prefix`.
///
/// # Errors
/// When the listener fails.
pub(crate) async fn serve(
    routes: Router,
    listener: TcpListener,
    prefix: &'static str,
    telemetry: Arc<Telemetry>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let meter = &telemetry.meter;
    let bytes = |name: &'static str, about: &'static str| {
        let builder = meter.u64_histogram(name).with_unit("By").with_description(about);
        builder.with_boundaries(BYTES.to_vec()).build()
    };
    let instruments = Instruments {
        duration: meter
            .f64_histogram("http.server.request.duration")
            .with_unit("s")
            .with_description("Duration of HTTP server requests.")
            .with_boundaries(SECONDS.to_vec())
            .build(),
        active: meter
            .i64_up_down_counter("http.server.active_requests")
            .with_unit("{request}")
            .with_description("Number of active HTTP server requests.")
            .build(),
        request_size: bytes("http.server.request.body.size", "Size of HTTP server request bodies."),
        response_size: bytes(
            "http.server.response.body.size",
            "Size of HTTP server response bodies.",
        ),
    };
    let watched = Arc::new(Watched { prefix, telemetry, instruments, routes: Few::default() });
    let app = routes
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "not_found", "no such path") })
        .method_not_allowed_fallback(|| async {
            let message = "this path takes another method";
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(watched, watch));
    let (told, draining) = tokio::sync::oneshot::channel::<()>();
    let ended = axum::serve(listener, app).with_graceful_shutdown(async move {
        stop.await;
        let _ = told.send(());
    });
    let too_long = async {
        match draining.await {
            Ok(()) => tokio::time::sleep(DRAIN).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = async { ended.await } => ended.context("the HTTP server failed"),
        () = too_long => {
            tracing::warn!("requests were still being served {DRAIN:?} after the stop");
            Ok(())
        }
    }
}

async fn watch(State(watched): State<Arc<Watched>>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = known(request.method());
    let route = watched.route(method, request.extensions().get::<MatchedPath>());
    let telemetry = &watched.telemetry;
    let context = span_of(telemetry, &request, &route);
    route.active.add(1);
    // Also when the client goes away and this is dropped.
    let leave = Leave(&route.active);
    let sent = request.body().size_hint().lower();
    request.extensions_mut().insert(Call(context.clone()));
    let response = next.run(request).await;
    drop(leave);
    let status = response.status();
    let error = match response.extensions().get::<ErrorType>() {
        Some(ErrorType(kind)) => Some(*kind),
        None if status.is_server_error() => Some("server_error"),
        None => None,
    };
    let outcome = (status.as_u16(), error.filter(|_| status.is_server_error()));
    let instruments = watched.answered(&route, outcome);
    instruments.duration.record(begun.elapsed().as_secs_f64());
    instruments.request_size.record(sent);
    instruments.response_size.record(response.body().size_hint().lower());
    let span = context.span();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if let (_, Some(kind)) = outcome {
        span.set_attribute(KeyValue::new("error.type", kind));
        span.set_status(Status::error(kind));
    }
    if status.is_client_error() || status.is_server_error() {
        let severity = if status.is_server_error() { Severity::Error } else { Severity::Warn };
        let path = route.path.as_deref().unwrap_or("_OTHER").to_owned();
        let attributes = [
            ("http.route", path.into()),
            ("http.response.status_code", i64::from(status.as_u16()).into()),
            ("error.type", error.unwrap_or("refused").into()),
        ];
        telemetry.log(&context, severity, "request failed", attributes);
    }
    span.end();
    response
}

/// Takes a request out of the active ones.
struct Leave<'a>(&'a BoundUpDownCounter<i64>);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

fn span_of(telemetry: &Telemetry, request: &Request, route: &Route) -> Context {
    let parent = TraceContextPropagator::new().extract(&Headers(request.headers()));
    if !telemetry.signals.traces {
        return parent;
    }
    let mut attributes = Vec::with_capacity(ATTRIBUTES);
    attributes.extend_from_slice(&route.attributes);
    let path = request.uri().path();
    attributes.push(match route.path.as_ref().filter(|known| &***known == path) {
        Some(known) => KeyValue::new("url.path", known.clone()),
        None => KeyValue::new("url.path", path.to_owned()),
    });
    let agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    if let Some(agent) = agent {
        attributes.push(KeyValue::new("user_agent.original", agent.to_owned()));
    }
    let builder = telemetry.tracer.span_builder(route.name.clone()).with_kind(SpanKind::Server);
    let span = builder.with_attributes(attributes).start_with_context(&telemetry.tracer, &parent);
    parent.with_span(span)
}

/// A method by its name, and any other as `_OTHER`: the semantic conventions' bound on it.
fn known(method: &http::Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|name| *name == method.as_str()).unwrap_or("_OTHER")
}

/// Headers as the SDK's propagator reads them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
