// SPDX-License-Identifier: Apache-2.0
//! Jaeger's query API over the stored traces, as Jaeger's page, its clients and Grafana call it.
//!
//! - v1: `/api/traces` and beside it, Jaeger's own JSON
//! - v3: `/api/v3/...`, OTLP JSON
//! - gRPC: `jaeger.api_v3.QueryService`
//!
//! All three ask the same questions. Answers are bounded: 1500
//! traces. Sources: jaeger's `jaegerquery` extension, jaeger-idl `api_v3/query_service.proto`,
//! Grafana's `pkg/tsdb/jaeger`.

pub mod grpc;
mod json;
mod query;
pub(crate) use query::trace_id;
#[cfg(test)]
mod tests;
mod v1;
mod v3;

use axum::Router;
use basics::labels::{MatchOp, Matcher};
use otlp_wire::{Payload, TraceId};
use store::Store;
use store::traces::{SpanQuery, TraceSummary};

use crate::Api;
use crate::answer::Failure;
use crate::own::hex;

/// All routes of Jaeger's HTTP API.
pub fn routes() -> Router<Api> {
    v1::routes().merge(v3::routes())
}

/// The traces that match, the latest first; those without a span any more are left out.
fn find(store: &Store, query: &SpanQuery) -> Result<Vec<Payload>, Failure> {
    let ids = store.traces().search(query)?;
    get(store, &ids)
}

fn get(store: &Store, ids: &[TraceId]) -> Result<Vec<Payload>, Failure> {
    let mut traces = store.traces().get(ids)?;
    traces.retain(|trace| trace.items() > 0);
    Ok(traces)
}

fn summaries(store: &Store, query: &SpanQuery) -> Result<Vec<TraceSummary>, Failure> {
    Ok(store.traces().list(query)?)
}

/// One service calling another.
#[derive(Debug, PartialEq)]
struct Dependency {
    parent: String,
    child: String,
    calls: u64,
}

/// What was called in `start_ms..=end_ms`, from the service graph's counters: their growth, in which
/// a counter that begins counts in full and one that falls has begun anew.
fn dependencies(api: &Api, start_ms: i64, end_ms: i64) -> Result<Vec<Dependency>, Failure> {
    use promql::SeriesSource;
    let name = Matcher::new(MatchOp::Equal, "__name__", "traces_service_graph_request_total")?;
    let matchers = [name];
    // One lookback before the range, to tell a counter that begins from one that goes on.
    let hints = promql::Hints { series_max: api.limits.series_max, ..Default::default() };
    let select =
        promql::Select { matchers: &matchers, start_ms: start_ms - BEFORE_MS, end_ms, hints };
    let mut calls = std::collections::BTreeMap::<(String, String), f64>::new();
    for series in api.source()?.select(&select)? {
        let edge = (series.labels.get("client").to_owned(), series.labels.get("server").to_owned());
        let points = series.timestamps_ms.iter().zip(series.values.iter());
        *calls.entry(edge).or_default() += growth(points, start_ms);
    }
    let all = calls.into_iter().filter(|(_, calls)| *calls >= 1.0);
    Ok(all
        .map(|((parent, child), calls)| Dependency { parent, child, calls: calls.round() as u64 })
        .collect())
}

/// How long before a range a counter's last value still counts as its value at the start.
const BEFORE_MS: i64 = 300_000;

fn growth<'a>(points: impl Iterator<Item = (&'a i64, &'a f64)>, start_ms: i64) -> f64 {
    let (mut last, mut sum) = (0.0, 0.0);
    for (time, value) in points.filter(|(_, value)| !value.is_nan()) {
        if *time >= start_ms {
            sum += if *value >= last { value - last } else { *value };
        }
        last = *value;
    }
    sum
}
