// SPDX-License-Identifier: Apache-2.0
//! Our own API, `/api/fg/v1`: what the dashboard shows besides PromQL.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response};
use axum::routing::get;
use otlp_wire::{Payload, SpanView, StatusCode, TraceId};
use serde::Serialize;
use store::traces::{SpanQuery, TraceSummary};

use crate::answer::{Failure, json};
use crate::params::Params;
use crate::{Api, blocking};

/// Longest recent list given at once; the page shows at most this many rows.
const RECENT_MAX: usize = 500;
/// Rows of a recent list when the request names no limit.
const RECENT_DEFAULT: usize = 50;

/// All routes below `/api/fg/v1`.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/api/fg/v1/overview", get(overview))
        .route("/api/fg/v1/recent/traces", get(recent_traces))
}

#[derive(Serialize)]
struct Overview {
    version: &'static str,
    uptime_seconds: f64,
    ready: bool,
    stored: bool,
    series: u64,
    pipelines: Vec<Pipeline>,
    services: Vec<Service>,
}

#[derive(Serialize)]
struct Pipeline {
    name: String,
    signal: String,
    received: u64,
    generated: u64,
    delivered: u64,
    dropped: u64,
    in_flight: i64,
}

#[derive(Serialize)]
struct Service {
    name: String,
    last_seen_ms: i64,
    spans: u64,
    points: u64,
    logs: u64,
}

async fn overview(State(api): State<Api>) -> Result<Response<Body>, Failure> {
    let store = (api.store)();
    let pipelines = api.host.ledger().books().into_iter().map(|book| Pipeline {
        signal: book.pipeline().split('/').next().unwrap_or("").to_owned(),
        name: book.pipeline().to_owned(),
        received: book.total_received(),
        generated: book.total_generated(),
        delivered: book.total_delivered(),
        dropped: book.total_dropped(),
        in_flight: book.in_flight(),
    });
    let services = store.iter().flat_map(|s| s.services()).map(|s| Service {
        name: s.name,
        last_seen_ms: (s.last_seen / 1_000_000) as i64,
        spans: s.spans,
        points: s.points,
        logs: s.logs,
    });
    let body = Overview {
        version: api.version,
        uptime_seconds: api.clock.now().saturating_sub(api.started) as f64 / 1e9,
        ready: api.is_ready(),
        stored: store.is_some(),
        series: store.as_ref().map_or(0, |s| s.head().series_count() as u64),
        pipelines: pipelines.collect(),
        services: services.collect(),
    };
    render(&body)
}

pub(crate) fn render(body: &impl Serialize) -> Result<Response<Body>, Failure> {
    let text = serde_json::to_string(body).map_err(|e| Failure::internal(e.to_string()))?;
    Ok(json(axum::http::StatusCode::OK, text))
}

pub(crate) async fn limit_of(request: Request<Body>) -> Result<usize, Failure> {
    let params = Params::read(request).await?;
    Ok(params.limit()?.unwrap_or(RECENT_DEFAULT).min(RECENT_MAX))
}

#[derive(Serialize)]
struct Traces {
    traces: Vec<Trace>,
}

#[derive(Serialize)]
struct Trace {
    trace_id: String,
    root_name: String,
    service: String,
    start_ms: f64,
    duration_ms: f64,
    span_count: usize,
    error: bool,
    spans: Vec<Span>,
}

#[derive(Serialize)]
struct Span {
    span_id: String,
    parent_span_id: String,
    name: String,
    service: String,
    start_ms: f64,
    duration_ms: f64,
    status: &'static str,
}

async fn recent_traces(
    State(api): State<Api>,
    request: Request<Body>,
) -> Result<Response<Body>, Failure> {
    let limit = limit_of(request).await?;
    let store = api.store()?;
    let traces = blocking(move || {
        let ids = store.traces().search(&SpanQuery { limit, ..SpanQuery::default() })?;
        let found = store.traces().get(&ids)?;
        let found = ids.into_iter().zip(&found).filter(|(_, trace)| trace.items() > 0);
        Ok(found.map(|(id, found)| trace(id, found)).collect())
    })
    .await?;
    render(&Traces { traces })
}

fn trace(id: TraceId, found: &Payload) -> Trace {
    let summary = TraceSummary::of(id, found);
    let mut spans: Vec<(u64, Span)> = Vec::with_capacity(summary.spans);
    for resource in found.traces() {
        let service = resource.attr("service.name").map(|name| name.text().into_owned());
        let service = service.unwrap_or_default();
        for view in resource.scopes().flat_map(|scope| scope.spans()) {
            spans.push((view.start(), span(&view, service.clone())));
        }
    }
    spans.sort_by_key(|(start, _)| *start);
    Trace {
        trace_id: hex(&id),
        root_name: summary.name.clone(),
        service: summary.service.clone(),
        start_ms: summary.start as f64 / 1e6,
        duration_ms: summary.duration() as f64 / 1e6,
        span_count: summary.spans,
        error: summary.errors > 0,
        spans: spans.into_iter().map(|(_, span)| span).collect(),
    }
}

fn span(span: &SpanView<'_>, service: String) -> Span {
    Span {
        span_id: hex(&span.span_id().unwrap_or_default()),
        parent_span_id: span.parent_span_id().map_or(String::new(), |id| hex(&id)),
        name: span.name().to_owned(),
        service,
        start_ms: span.start() as f64 / 1e6,
        duration_ms: span.duration_nanos() as f64 / 1e6,
        status: match span.status() {
            StatusCode::Unset => "unset",
            StatusCode::Ok => "ok",
            StatusCode::Error => "error",
        },
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
