// SPDX-License-Identifier: Apache-2.0
//! Jaeger's v1 API: `/api/services`, `/api/operations`, `/api/traces`, `/api/dependencies`.
//!
//! Every answer is `{"data":..,"total":..,"limit":0,"offset":0,"errors":..}`.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use store::traces::{Operations, kind_name};

use super::{dependencies, find, json, query};
use crate::answer::{Failure, json as answer, string};
use crate::params::{Params, decode};
use crate::{Api, blocking};

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/api/services", get(services))
        .route("/api/services/{service}/operations", get(operations_of))
        .route("/api/operations", get(operations))
        .route("/api/traces", get(traces))
        .route("/api/traces/{id}", get(trace))
        .route("/api/dependencies", get(edges))
}

type Answer = Response<Body>;

/// A wrong request, or what kept a right one from an answer, in Jaeger's form.
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
        let mut errors = format!("[{{\"code\":{},\"msg\":", self.0.as_u16());
        string(&mut errors, &self.1);
        errors.push_str("}]");
        envelope(self.0, "null", 0, &errors)
    }
}

fn envelope(status: StatusCode, data: &str, total: usize, errors: &str) -> Answer {
    let body = format!(
        "{{\"data\":{data},\"total\":{total},\"limit\":0,\"offset\":0,\"errors\":{errors}}}"
    );
    answer(status, body)
}

fn success(data: &str, total: usize) -> Answer {
    envelope(StatusCode::OK, data, total, "null")
}

async fn all_operations(api: &Api) -> Result<Operations, Failure> {
    let store = api.store()?;
    blocking(move || Ok(store.traces().operations()?)).await
}

async fn services(State(api): State<Api>) -> Result<Answer, Refused> {
    let all = all_operations(&api).await?;
    let mut data = String::new();
    crate::answer::strings(&mut data, all.keys().map(String::as_str));
    Ok(success(&data, all.len()))
}

async fn operations_of(
    State(api): State<Api>,
    Path(service): Path<String>,
) -> Result<Answer, Refused> {
    let all = all_operations(&api).await?;
    let mut names: Vec<&str> =
        all.get(&service).into_iter().flatten().map(|o| o.name.as_str()).collect();
    names.dedup();
    let mut data = String::new();
    crate::answer::strings(&mut data, names.iter().copied());
    Ok(success(&data, names.len()))
}

async fn operations(State(api): State<Api>, request: Request<Body>) -> Result<Answer, Refused> {
    let params = Params::read(request).await?;
    let service = params.get("service");
    if service.is_empty() {
        return Err("parameter 'service' is required".to_owned().into());
    }
    let wanted = params.get("spanKind");
    let all = all_operations(&api).await?;
    let (mut data, mut total) = (String::from("["), 0);
    for operation in all.get(service).into_iter().flatten() {
        let kind = kind_name(operation.kind).unwrap_or("");
        if !wanted.is_empty() && wanted != kind {
            continue;
        }
        data.push_str(if total > 0 { ",{\"name\":" } else { "{\"name\":" });
        string(&mut data, &operation.name);
        data.push_str(",\"spanKind\":");
        string(&mut data, kind);
        data.push('}');
        total += 1;
    }
    data.push(']');
    Ok(success(&data, total))
}

async fn traces(State(api): State<Api>, request: Request<Body>) -> Result<Answer, Refused> {
    let params = Params::read(request).await?;
    let asked = query::v1(&params, api.clock.now())?;
    let store = api.store()?;
    let data = blocking(move || {
        let traces = match asked.ids.is_empty() {
            true => find(&store, &asked.query)?,
            false => super::get(&store, &asked.ids)?,
        };
        Ok(list(&traces))
    })
    .await?;
    Ok(success(&data, 0))
}

async fn trace(State(api): State<Api>, Path(id): Path<String>) -> Result<Answer, Refused> {
    let Some(id) = query::trace_id(&decode(&id)) else {
        return Err(format!("cannot parse trace id {id:?}: not up to 32 hexadecimal digits").into());
    };
    let store = api.store()?;
    let found = blocking(move || super::get(&store, &[id])).await?;
    if found.is_empty() {
        return Err(Refused(StatusCode::NOT_FOUND, "trace not found".to_owned()));
    }
    Ok(success(&list(&found), 0))
}

fn list(traces: &[otlp_wire::Payload]) -> String {
    let mut data = String::from("[");
    for (at, trace) in traces.iter().enumerate() {
        if at > 0 {
            data.push(',');
        }
        json::trace(&mut data, trace);
    }
    data.push(']');
    data
}

/// How far back dependencies are looked for when a request does not say, as in Jaeger.
const LOOKBACK_MS: i64 = 24 * 3600 * 1000;

async fn edges(State(api): State<Api>, request: Request<Body>) -> Result<Answer, Refused> {
    let params = Params::read(request).await?;
    let ms = |name: &str, default: i64| match params.get(name) {
        "" => Ok(default),
        text => text.parse::<i64>().ok().filter(|ms| (0..=1 << 50).contains(ms)).ok_or_else(|| {
            format!("unable to parse param '{name}': {text:?} is not a number of milliseconds")
        }),
    };
    let end = ms("endTs", (api.clock.now() / 1_000_000) as i64)?;
    let lookback = ms("lookback", LOOKBACK_MS)?;
    let found = blocking(move || dependencies(&api, end - lookback, end)).await?;
    let mut data = String::from("[");
    for (at, edge) in found.iter().enumerate() {
        data.push_str(if at > 0 { ",{\"parent\":" } else { "{\"parent\":" });
        string(&mut data, &edge.parent);
        data.push_str(",\"child\":");
        string(&mut data, &edge.child);
        data.push_str(&format!(",\"callCount\":{}}}", edge.calls));
    }
    data.push(']');
    Ok(success(&data, found.len()))
}
