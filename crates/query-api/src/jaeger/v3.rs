// SPDX-License-Identifier: Apache-2.0
//! Jaeger's v3 API over HTTP: OTLP JSON in `{"result":..}`, errors as its gRPC gateway writes them.
//!
//! Parameters in camelCase, as in today's Jaeger, or in the snake_case that Grafana sends.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use otlp_wire::Payload;
use store::traces::{TraceSummary, kind_name};

use super::{dependencies, find, hex, query, summaries};
use crate::answer::{Failure, json, string};
use crate::params::{Params, decode};
use crate::{Api, blocking};

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v3/services", get(services))
        .route("/api/v3/operations", get(operations))
        .route("/api/v3/traces", get(traces))
        .route("/api/v3/traces/{id}", get(trace))
        .route("/api/v3/trace-summaries", get(trace_summaries))
        .route("/api/v3/dependencies", get(edges))
}

type Answer = Response<Body>;

pub struct Refused(StatusCode, String);

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Refused(failure.status(), failure.message().to_owned())
    }
}

impl From<String> for Refused {
    fn from(message: String) -> Self {
        Refused(StatusCode::BAD_REQUEST, message)
    }
}

impl axum::response::IntoResponse for Refused {
    fn into_response(self) -> Answer {
        let mut body = format!("{{\"error\":{{\"httpCode\":{},\"message\":", self.0.as_u16());
        string(&mut body, &self.1);
        body.push_str("}}");
        json(self.0, body)
    }
}

async fn services(State(api): State<Api>) -> Result<Answer, Refused> {
    let store = api.store()?;
    let all = blocking(move || Ok(store.traces().operations()?)).await?;
    let mut body = String::from("{\"services\":");
    crate::answer::strings(&mut body, all.keys().map(String::as_str));
    body.push('}');
    Ok(json(StatusCode::OK, body))
}

async fn operations(State(api): State<Api>, request: Request<Body>) -> Result<Answer, Refused> {
    let params = Params::read(request).await?;
    let (service, wanted) = (params.get("service"), first(&params, "spanKind", "span_kind"));
    let store = api.store()?;
    let all = blocking(move || Ok(store.traces().operations()?)).await?;
    let mut body = String::from("{\"operations\":[");
    let mut begun = false;
    for operation in all.get(service).into_iter().flatten() {
        let kind = kind_name(operation.kind).unwrap_or("internal");
        if !wanted.is_empty()
            && query::kind(wanted).is_none_or(|k| kind_name(k as i32) != Some(kind))
        {
            continue;
        }
        body.push_str(if begun { ",{\"name\":" } else { "{\"name\":" });
        begun = true;
        string(&mut body, &operation.name);
        body.push_str(",\"spanKind\":");
        string(&mut body, kind);
        body.push('}');
    }
    body.push_str("]}");
    Ok(json(StatusCode::OK, body))
}

fn first<'p>(params: &'p Params, camel: &str, snake: &str) -> &'p str {
    match params.get(camel) {
        "" => params.get(snake),
        text => text,
    }
}

async fn traces(State(api): State<Api>, request: Request<Body>) -> Result<Answer, Refused> {
    let query = query::v3(&Params::read(request).await?)?;
    let store = api.store()?;
    result(blocking(move || find(&store, &query)).await?)
}

async fn trace(State(api): State<Api>, Path(id): Path<String>) -> Result<Answer, Refused> {
    let Some(id) = query::trace_id(&decode(&id)) else {
        let message = format!("malformed parameter trace_id: {id:?} is not a trace id");
        return Err(message.into());
    };
    let store = api.store()?;
    result(blocking(move || super::get(&store, &[id])).await?)
}

fn result(traces: Vec<Payload>) -> Result<Answer, Refused> {
    if traces.is_empty() {
        return Err(Refused(StatusCode::NOT_FOUND, "No traces found".to_owned()));
    }
    let mut body = b"{\"result\":".to_vec();
    Payload::concat(&traces).to_json(&mut body);
    body.push(b'}');
    Ok(json(StatusCode::OK, String::from_utf8(body).map_err(|e| e.to_string())?))
}

async fn trace_summaries(
    State(api): State<Api>,
    request: Request<Body>,
) -> Result<Answer, Refused> {
    let query = query::v3(&Params::read(request).await?)?;
    let store = api.store()?;
    let found = blocking(move || summaries(&store, &query)).await?;
    let mut body = String::from("{\"result\":{\"summaries\":[");
    for (at, trace) in found.iter().enumerate() {
        if at > 0 {
            body.push(',');
        }
        summary(&mut body, trace);
    }
    body.push_str("]}}");
    Ok(json(StatusCode::OK, body))
}

fn summary(out: &mut String, trace: &TraceSummary) {
    let times = (trace.start.to_string(), trace.end.to_string());
    for (before, name, value) in [
        ('{', "traceId", hex(&trace.trace_id).as_str()),
        (',', "rootServiceName", &trace.service),
        (',', "rootOperationName", &trace.name),
        (',', "minStartTimeUnixNano", &times.0),
        (',', "maxEndTimeUnixNano", &times.1),
    ] {
        out.push(before);
        string(out, name);
        out.push(':');
        string(out, value);
    }
    out.push_str(&format!(
        ",\"spanCount\":{},\"errorSpanCount\":{},\"orphanSpanCount\":{},\"services\":[",
        trace.spans, trace.errors, trace.orphans
    ));
    for (at, service) in trace.services.iter().enumerate() {
        out.push_str(if at > 0 { ",{\"name\":" } else { "{\"name\":" });
        string(out, &service.name);
        out.push_str(&format!(
            ",\"spanCount\":{},\"errorSpanCount\":{}}}",
            service.spans, service.errors
        ));
    }
    out.push_str("]}");
}

async fn edges(State(api): State<Api>, request: Request<Body>) -> Result<Answer, Refused> {
    let params = Params::read(request).await?;
    let ms = |camel: &str, snake: &str| match first(&params, camel, snake) {
        "" => Err(format!("malformed parameter {camel}: required")),
        text => query::rfc3339(camel, text).map(|time| (time / 1_000_000) as i64),
    };
    let (start, end) = (ms("startTime", "start_time")?, ms("endTime", "end_time")?);
    let found = blocking(move || dependencies(&api, start, end)).await?;
    let mut body = String::from("{\"dependencies\":[");
    for (at, edge) in found.iter().enumerate() {
        body.push_str(if at > 0 { ",{\"parent\":" } else { "{\"parent\":" });
        string(&mut body, &edge.parent);
        body.push_str(",\"child\":");
        string(&mut body, &edge.child);
        body.push_str(&format!(",\"callCount\":\"{}\"}}", edge.calls));
    }
    body.push_str("]}");
    Ok(json(StatusCode::OK, body))
}
