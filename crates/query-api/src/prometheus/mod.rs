// SPDX-License-Identifier: Apache-2.0
//! The Prometheus HTTP API, as Grafana, promtool and client libraries call it.
//!
//! Every query runs on a blocking thread and is cancelled when its client goes away. Answers and
//! errors are byte for byte what Prometheus gives, as far as clients can tell (source: the HTTP
//! API page of its documentation and `web/api/v1/api.go`).

mod labels;
mod query;
mod receive;
mod status;
mod write;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response};
use axum::routing::{get, post};

use crate::answer::Failure;
use crate::params::Params;
use crate::{Api, blocking};

/// All routes below `/api/v1` and Prometheus' own `/-/` pages.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/query_exemplars", get(query::exemplars).post(query::exemplars))
        .route("/api/v1/format_query", get(query::format).post(query::format))
        .route("/api/v1/labels", get(labels::names).post(labels::names))
        .route("/api/v1/label/{name}/values", get(labels::values))
        .route("/api/v1/series", get(labels::series).post(labels::series))
        .route("/api/v1/metadata", get(labels::metadata))
        .route("/api/v1/status/buildinfo", get(status::build_info))
        .route("/api/v1/status/runtimeinfo", get(status::runtime_info))
        .route("/api/v1/rules", get(status::no_rules))
        .route("/api/v1/alerts", get(status::no_alerts))
        .route("/api/v1/write", post(receive::write))
        .route("/api/v1/otlp/v1/metrics", post(receive::otlp))
        .route("/-/healthy", get(status::healthy))
        .route("/-/ready", get(status::ready))
}

type Answer = Result<Response<Body>, Failure>;

/// Parses every `match[]` into its matchers.
fn selectors(params: &Params) -> Result<Vec<Vec<basics::labels::Matcher>>, Failure> {
    params
        .all("match[]")
        .map(|text| {
            let expr = promql::parse(text).map_err(|e| Failure::parameter("match[]", e))?;
            match expr.kind {
                promql::ast::ExprKind::Vector(selector) => Ok(selector.matchers),
                _ => Err(Failure::parameter("match[]", "1:1: parse error: not a series selector")),
            }
        })
        .collect()
}

/// `start` and `end` of the label endpoints; absent means all of time.
fn time_range(params: &Params) -> Result<(i64, i64), Failure> {
    let start = params.time("start", crate::params::TIME_MS_MIN)?;
    let end = params.time("end", crate::params::TIME_MS_MAX)?;
    if end < start {
        return Err(Failure::bad_data("end timestamp must not be before start timestamp"));
    }
    Ok((start, end))
}

type Handler = (State<Api>, Request<Body>);
type NamedHandler = (State<Api>, Path<String>, Request<Body>);
