// SPDX-License-Identifier: Apache-2.0
//! The Prometheus HTTP API, as Grafana, promtool and client libraries call it.
//!
//! Every query runs on a blocking thread and is cancelled when its client goes away. Answers and
//! errors are byte for byte what Prometheus gives, as far as clients can tell (source: the HTTP
//! API page of its documentation and `web/api/v1/api.go`).

mod admin;
mod exemplars;
mod explain;
mod federate;
mod labels;
mod query;
mod read;
mod receive;
mod status;
mod targets;
mod write;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response};
use axum::routing::{any, get, post};
use basics::labels::Matcher;

use crate::answer::Failure;
use crate::params::Params;
use crate::{Api, blocking, rules};

/// All routes below `/api/v1`, `/federate`, and Prometheus' own `/-/` pages.
pub fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/query_exemplars", get(exemplars::list).post(exemplars::list))
        .route("/api/v1/format_query", get(explain::format).post(explain::format))
        .route("/api/v1/parse_query", get(explain::tree).post(explain::tree))
        .route("/api/v1/labels", get(labels::names).post(labels::names))
        .route("/api/v1/label/{name}/values", get(labels::values))
        .route("/api/v1/series", get(labels::series).post(labels::series))
        .route("/api/v1/metadata", get(labels::metadata))
        .route("/api/v1/scrape_pools", get(targets::pools))
        .route("/api/v1/targets", get(targets::targets))
        .route("/api/v1/targets/metadata", get(targets::metadata))
        .route("/api/v1/alertmanagers", get(status::alertmanagers))
        .route("/api/v1/status/buildinfo", get(status::build_info))
        .route("/api/v1/status/config", get(status::config))
        .route("/api/v1/status/flags", get(status::flags))
        .route("/api/v1/status/runtimeinfo", get(status::runtime_info))
        .route("/api/v1/status/tsdb", get(status::tsdb))
        .route("/api/v1/status/tsdb/blocks", get(status::blocks))
        .route("/api/v1/status/walreplay", get(status::replay))
        .route("/api/v1/features", get(status::features))
        .route("/api/v1/notifications", get(status::notifications))
        .route("/api/v1/rules", get(rules::answers::rules))
        .route("/api/v1/alerts", get(rules::answers::alerts))
        .route("/api/v1/read", post(read::read))
        .route("/api/v1/write", post(receive::write))
        .route("/api/v1/otlp/v1/metrics", post(receive::otlp))
        .route("/api/v1/admin/tsdb/{what}", post(admin::call).put(admin::call))
        .route("/api/v1/{*rest}", any(status::not_found))
        .route("/federate", get(federate::page))
        .route("/-/healthy", get(status::healthy))
        .route("/-/ready", get(status::ready))
}

type Answer = Result<Response<Body>, Failure>;

/// Parses every `match[]` into its matchers.
pub(crate) fn selectors(params: &Params) -> Result<Vec<Vec<Matcher>>, Failure> {
    params.all("match[]").map(|text| selector("match[]", text)).collect()
}

/// Parses one selector, the value of the parameter `name`; it must not match everything.
fn selector(name: &str, text: &str) -> Result<Vec<Matcher>, Failure> {
    let expr = promql::parse(text).map_err(|e| Failure::parameter(name, e))?;
    match expr.kind {
        promql::ast::ExprKind::Vector(selector) => Ok(selector.matchers),
        _ => Err(Failure::parameter(name, "1:1: parse error: not a series selector")),
    }
}

/// `start` and `end` of the label endpoints; absent means all of time. An end before the start is no
/// mistake: nothing lies there.
fn time_range(params: &Params) -> Result<(i64, i64), Failure> {
    let start = params.time("start", crate::params::TIME_MS_MIN)?;
    let end = params.time("end", crate::params::TIME_MS_MAX)?;
    Ok((start, end))
}

type Handler = (State<Api>, Request<Body>);
type NamedHandler = (State<Api>, Path<String>, Request<Body>);
