// SPDX-License-Identifier: Apache-2.0
//! `/api/v1/read`: remote read, answered with samples.
//!
//! ```text
//! ReadRequest  { queries = 1: {start = 1, end = 2, matchers = 3: {type = 1, name = 2, value = 3}} }
//! ReadResponse { results = 1: {timeseries = 1: {labels = 1: {name = 1, value = 2},
//!                samples = 2: {value = 1 f64, timestamp = 2}}} }
//! ```
//! Both snappy-compressed. Clients that prefer streamed chunks take samples as well. Native
//! histograms are left out. Source: prompb/remote.proto. Bounds: [`BODY_BYTES_MAX`],
//! [`QUERIES_MAX`], the engine's limits of samples and series.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, header};
use basics::labels::{MatchOp, Matcher};
use promql::{Hints, Limits, Select, SeriesSource};
use prost::Message;

use super::{Answer, Handler, blocking};
use crate::answer::Failure;

/// Largest request: a few selectors.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Most selectors of a request.
const QUERIES_MAX: usize = 100;

#[derive(Clone, PartialEq, Message)]
struct ReadRequest {
    #[prost(message, repeated, tag = "1")]
    queries: Vec<Query>,
}

#[derive(Clone, PartialEq, Message)]
struct Query {
    #[prost(int64, tag = "1")]
    start_ms: i64,
    #[prost(int64, tag = "2")]
    end_ms: i64,
    #[prost(message, repeated, tag = "3")]
    matchers: Vec<LabelMatcher>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelMatcher {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct ReadResponse {
    #[prost(message, repeated, tag = "1")]
    results: Vec<QueryResult>,
}

#[derive(Clone, PartialEq, Message)]
struct QueryResult {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    time_ms: i64,
}

/// Answers the selections of the body.
pub async fn read((State(api), request): Handler) -> Answer {
    let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX)
        .await
        .map_err(|e| Failure::bad_data(format!("cannot read the body: {e}")))?;
    let source = api.source()?;
    let limits = api.limits.clone();
    let packed = blocking(move || {
        let request = decode(&body)?;
        let mut left = limits.samples_max;
        let mut response = ReadResponse::default();
        for query in &request.queries {
            response.results.push(select(&source, query, &limits, &mut left)?);
        }
        snap::raw::Encoder::new()
            .compress_vec(&response.encode_to_vec())
            .map_err(|e| Failure::internal(e.to_string()))
    })
    .await?;
    let mut response = Response::new(Body::from(packed));
    for (name, value) in
        [(header::CONTENT_TYPE, "application/x-protobuf"), (header::CONTENT_ENCODING, "snappy")]
    {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

fn decode(body: &[u8]) -> Result<ReadRequest, Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::bad_data(format!("remote read: {e}"));
    let length = snap::raw::decompress_len(body).map_err(|e| wrong(&e))?;
    if length > BODY_BYTES_MAX {
        return Err(wrong(&"the request is too large"));
    }
    let plain = snap::raw::Decoder::new().decompress_vec(body).map_err(|e| wrong(&e))?;
    let request = ReadRequest::decode(&plain[..]).map_err(|e| wrong(&e))?;
    if request.queries.len() > QUERIES_MAX {
        return Err(wrong(&format!("at most {QUERIES_MAX} queries a request")));
    }
    Ok(request)
}

fn select(
    source: &impl SeriesSource,
    query: &Query,
    limits: &Limits,
    samples_left: &mut usize,
) -> Result<QueryResult, Failure> {
    let matchers: Vec<Matcher> = query
        .matchers
        .iter()
        .map(|m| {
            let op = match m.kind {
                0 => MatchOp::Equal,
                1 => MatchOp::NotEqual,
                2 => MatchOp::Regex,
                3 => MatchOp::NotRegex,
                _ => return Err(Failure::bad_data("invalid matcher type")),
            };
            Ok(Matcher::new(op, &m.name, &m.value)?)
        })
        .collect::<Result<_, _>>()?;
    let hints = Hints { series_max: limits.series_max, ..Hints::default() };
    let select =
        Select { matchers: &matchers, start_ms: query.start_ms, end_ms: query.end_ms, hints };
    let mut found = source.select(&select)?;
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    let mut timeseries = Vec::with_capacity(found.len());
    for series in found {
        *samples_left = samples_left.checked_sub(series.values.len()).ok_or_else(|| {
            Failure::execution(format!("more than {} samples match", limits.samples_max))
        })?;
        if series.values.is_empty() {
            continue;
        }
        let labels = series.labels.iter();
        let times = series.timestamps_ms.iter().zip(series.values.iter());
        timeseries.push(TimeSeries {
            labels: labels
                .map(|(n, v)| Label { name: n.to_owned(), value: v.to_owned() })
                .collect(),
            samples: times.map(|(time, value)| Sample { value: *value, time_ms: *time }).collect(),
        });
    }
    Ok(QueryResult { timeseries })
}
