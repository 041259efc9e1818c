// SPDX-License-Identifier: Apache-2.0
//! Stored logs on our own API: search page by page, and what comes while one looks.
//!
//! - `/api/fg/v1/logs`: records by label, attribute, text, severity, trace and time
//! - `/api/fg/v1/logs/tail`: the same, as server-sent events, from now on
//! - `/api/fg/v1/recent/logs`: the newest, for the page's list
//!
//! Parameters: `service`, `label=key:value` (resource), `attribute=key:value`, `text`,
//! `ignore_case=true`, `severity` (`WARN` or a number), `trace_id`, `start`, `end` (seconds or
//! RFC 3339), `direction` (`backward`, `forward`), `limit`, `cursor`.
//! Bounds: [`LIMIT_MAX`] records a page; a tail holds nothing but its place, and what memory has let
//! go before it was read is passed over.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures::Stream;
use serde::Serialize;
use store::logs::{Cursor, LogQuery, LogRecord};

use crate::answer::Failure;
use crate::jaeger::trace_id;
use crate::own::{hex, limit_of, render};
use crate::params::Params;
use crate::{Api, blocking};

/// Most records a page.
const LIMIT_MAX: usize = 5000;
/// Records a page when the request names no limit.
const LIMIT_DEFAULT: usize = 100;
/// How often a tail looks for more: what a person takes for at once.
const LOOK: Duration = Duration::from_millis(250);

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/api/fg/v1/logs", get(search))
        .route("/api/fg/v1/logs/tail", get(tail))
        .route("/api/fg/v1/recent/logs", get(recent))
}

#[derive(Serialize)]
struct Logs {
    logs: Vec<Log>,
    /// Where the next page begins; absent when all has been given.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

#[derive(Serialize)]
struct Log {
    time_ms: f64,
    /// Nanoseconds, as text: more digits than a script's number has.
    time: String,
    severity: String,
    severity_number: i32,
    service: String,
    body: String,
    trace_id: String,
    span_id: String,
    scope: String,
    attributes: serde_json::Map<String, serde_json::Value>,
    resource: serde_json::Map<String, serde_json::Value>,
}

impl From<LogRecord> for Log {
    fn from(log: LogRecord) -> Self {
        let severity = match log.severity_text.is_empty() {
            true => severity_name(log.severity_number).to_owned(),
            false => log.severity_text,
        };
        Log {
            time_ms: log.time as f64 / 1e6,
            time: log.time.to_string(),
            severity,
            severity_number: log.severity_number,
            service: log.service,
            body: log.body,
            trace_id: log.trace_id.map_or(String::new(), |id| hex(&id)),
            span_id: log.span_id.map_or(String::new(), |id| hex(&id)),
            scope: log.scope,
            attributes: log.attributes.into_iter().map(|(k, v)| (k, v.into())).collect(),
            resource: log.resource.into_iter().map(|(k, v)| (k, v.into())).collect(),
        }
    }
}

/// The short name of an OTLP severity number's range.
fn severity_name(number: i32) -> &'static str {
    match number {
        1..=4 => "TRACE",
        5..=8 => "DEBUG",
        9..=12 => "INFO",
        13..=16 => "WARN",
        17..=20 => "ERROR",
        21..=24 => "FATAL",
        _ => "",
    }
}

async fn recent(State(api): State<Api>, request: Request<Body>) -> Result<Response<Body>, Failure> {
    let limit = limit_of(request).await?;
    page(&api, LogQuery { limit, ..LogQuery::default() }).await
}

async fn search(State(api): State<Api>, request: Request<Body>) -> Result<Response<Body>, Failure> {
    let query = query(&Params::read(request).await?)?;
    page(&api, query).await
}

async fn page(api: &Api, query: LogQuery) -> Result<Response<Body>, Failure> {
    let store = api.store()?;
    let page = blocking(move || Ok(store.logs().search(&query)?)).await?;
    let cursor = page.next.map(|next| format!("{:016x}{:016x}", next.time, next.hash));
    render(&Logs { logs: page.records.into_iter().map(Log::from).collect(), cursor })
}

async fn tail(
    State(api): State<Api>,
    request: Request<Body>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let query = query(&Params::read(request).await?)?;
    let store = api.store()?;
    let begun = (store.logs().newest(), VecDeque::new());
    let events = futures::stream::unfold(begun, move |(mut number, mut waiting)| {
        let (store, query) = (store.clone(), query.clone());
        async move {
            loop {
                if let Some(record) = waiting.pop_front() {
                    let text = serde_json::to_string(&Log::from(record)).unwrap_or_default();
                    return Some((Ok(Event::default().data(text)), (number, waiting)));
                }
                let (found, next) = store.logs().follow(&query, number);
                number = next;
                waiting = found.into();
                if waiting.is_empty() {
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn query(params: &Params) -> Result<LogQuery, Failure> {
    let pairs = |name: &str| {
        let pair = |text: &str| {
            text.split_once(':')
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .ok_or_else(|| Failure::parameter(name, format!("{text:?} is not key:value")))
        };
        params.all(name).map(pair).collect::<Result<Vec<_>, _>>()
    };
    let mut labels = pairs("label")?;
    if !params.get("service").is_empty() {
        labels.push(("service".to_owned(), params.get("service").to_owned()));
    }
    let trace_id = match params.get("trace_id") {
        "" => None,
        text => Some(trace_id(text).ok_or_else(|| {
            Failure::parameter("trace_id", format!("{text:?} is not a trace id"))
        })?),
    };
    let nanos = |ms: i64| u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000);
    let end = match params.get("end") {
        "" => u64::MAX,
        // A bound in milliseconds takes all of its millisecond.
        _ => nanos(params.time("end", 0)?).saturating_add(999_999),
    };
    let forward = match params.get("direction") {
        "" | "backward" => false,
        "forward" => true,
        other => {
            let message = format!("{other:?} is neither backward nor forward");
            return Err(Failure::parameter("direction", message));
        }
    };
    Ok(LogQuery {
        labels,
        attributes: pairs("attribute")?,
        contains: params.get("text").to_owned(),
        ignore_case: matches!(params.get("ignore_case"), "true" | "1"),
        severity_min: severity(params.get("severity"))?,
        trace_id,
        start: nanos(params.time("start", 0)?),
        end,
        forward,
        after: cursor(params.get("cursor"))?,
        limit: params.limit()?.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX),
    })
}

fn severity(text: &str) -> Result<i32, Failure> {
    let lowest = match text.to_ascii_uppercase().as_str() {
        "" => 0,
        "TRACE" => 1,
        "DEBUG" => 5,
        "INFO" => 9,
        "WARN" | "WARNING" => 13,
        "ERROR" => 17,
        "FATAL" => 21,
        number => number.parse().map_err(|_| {
            Failure::parameter("severity", format!("{text:?} is neither a level nor a number"))
        })?,
    };
    Ok(lowest)
}

fn cursor(text: &str) -> Result<Option<Cursor>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let part = |at: std::ops::Range<usize>| u64::from_str_radix(text.get(at)?, 16).ok();
    match (part(0..16), part(16..32), text.len()) {
        (Some(time), Some(hash), 32) => Ok(Some(Cursor { time, hash })),
        _ => Err(Failure::parameter("cursor", "not one that this API has given")),
    }
}
