// SPDX-License-Identifier: Apache-2.0
//! What Prometheus' own endpoints take in: remote write 1.0 and 2.0, and OTLP metrics.
//!
//! Answered when the log has the data (204, or what OTLP says). Samples the store does not take
//! make the answer a 400, which senders do not repeat; the others are kept. 503 with `Retry-After`
//! while the log is replayed and when memory is short. Bodies and errors are plain text, as
//! Prometheus' are. Bounds: [`BODY_BYTES_MAX`], the process's memory budget.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use basics::{Error, Kind, Result};
use otlp_series::Refusal;
use otlp_wire::{Payload, Signal};
use pipeline::budget::Permit;
use store::IngestReport;
use store::remote_write::{BODY_BYTES_MAX, Version, Written};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Handler;
use crate::Api;

/// How long a sender waits for memory before it hears that there is none; as the other receivers.
const PATIENCE: Duration = Duration::from_secs(5);

/// `/api/v1/write`.
pub async fn write((State(api), request): Handler) -> Response<Body> {
    let version = match version(request.headers()) {
        Ok(version) => version,
        Err(message) => return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, message),
    };
    match take(&api, version, request).await {
        Ok(written) => answer(version, &written),
        Err(error) => refused(&error),
    }
}

/// `/api/v1/otlp/v1/metrics`: straight to the store, past all pipelines.
pub async fn otlp((State(api), request): Handler) -> Response<Body> {
    let is_json = content_type(request.headers()).starts_with("application/json");
    match take_otlp(&api, request, is_json).await {
        Ok(report) => {
            let mut answer = Response::new(Body::from(match (is_json, report.rejected_points) {
                (true, 0) => b"{}".to_vec(),
                (true, rejected) => format!(
                    r#"{{"partialSuccess":{{"rejectedDataPoints":"{rejected}","errorMessage":{:?}}}}}"#,
                    reasons(&report)
                )
                .into_bytes(),
                (false, _) => partial_success(&report),
            }));
            let kind = if is_json { "application/json" } else { "application/x-protobuf" };
            answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            answer
        }
        Err(error) => refused(&error),
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("")
}

/// Which message the headers announce. No content type, no encoding: 1.0, as its first clients.
fn version(headers: &HeaderMap) -> std::result::Result<Version, String> {
    let encoding = headers.get(header::CONTENT_ENCODING).and_then(|v| v.to_str().ok());
    if let Some(encoding) = encoding.filter(|e| !e.is_empty() && !e.eq_ignore_ascii_case("snappy"))
    {
        return Err(format!(
            "{encoding} encoding (compression) is not accepted by this server; only snappy is acceptable"
        ));
    }
    let kind = content_type(headers);
    let mut parts = kind.split(';').map(str::trim);
    match parts.next() {
        None | Some("") => return Ok(Version::V1),
        Some("application/x-protobuf") => {}
        Some(_) => {
            return Err(format!(
                "expected application/x-protobuf as the first (media) part, got {kind} content-type"
            ));
        }
    }
    let message = parts.find_map(|part| part.strip_prefix("proto="));
    match message.map(|name| name.trim_matches('"')) {
        None | Some("prometheus.WriteRequest") => Ok(Version::V1),
        Some("io.prometheus.write.v2.Request") => Ok(Version::V2),
        Some(other) => {
            Err(format!("got {other} content type; unknown remote write protobuf message"))
        }
    }
}

async fn take(api: &Api, version: Version, request: Request<Body>) -> Result<Written> {
    let (body, permit) = read(api, request).await?;
    let received = api.clock.now();
    let store = api.opened()?;
    let bytes = body.len();
    let write = move || store.write(version, &body, received);
    let (written, ticket) = work(api, bytes, permit, write).await?;
    ticket.await?;
    Ok(written)
}

/// Bodies up to this size are worked on by the task that read them, as pipelines do with theirs: a hop to
/// another thread and back costs as much as a few hundred samples. Snappy makes at most 21 times as
/// much of them, a millisecond of work.
const AT_ONCE_BYTES_MAX: usize = 32 << 10;

/// Runs what takes a body of so many bytes in.
async fn work<T: Send + 'static>(
    api: &Api,
    bytes: usize,
    memory: Permit,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if bytes <= AT_ONCE_BYTES_MAX {
        let done = work();
        drop(memory);
        return done;
    }
    let turn = turn(api).await?;
    let working = tokio::task::spawn_blocking(move || {
        let _memory = (memory, turn);
        work()
    });
    working.await.map_err(|_| Error::closed("the process is stopping"))?
}

/// Requests written at the same time.
struct Turns(Arc<Semaphore>);

/// Waits until a core can be had: a hundred senders at once are no hundred threads, each with memory
/// of its own. Waiting for the disk is not part of the turn.
async fn turn(api: &Api) -> Result<OwnedSemaphorePermit> {
    let turns = api.host.shared("remote_write", || {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Turns(Arc::new(Semaphore::new(cores))))
    })?;
    let turn = turns.0.clone().acquire_owned().await;
    turn.map_err(|_| Error::closed("the process is stopping"))
}

async fn take_otlp(api: &Api, request: Request<Body>, is_json: bool) -> Result<IngestReport> {
    let gzip = request.headers().get(header::CONTENT_ENCODING).is_some_and(|v| v == "gzip");
    let (body, permit) = read(api, request).await?;
    let received = api.clock.now();
    let store = api.opened()?;
    // What gzip makes of a body has no such bound.
    let bytes = if gzip { usize::MAX } else { body.len() };
    let put = move || {
        let body = if gzip { crate::encoding::gunzip(&body, BODY_BYTES_MAX)?.into() } else { body };
        let payload = match is_json {
            true => Payload::from_json(Signal::Metrics, &body),
            false => Payload::admit(Signal::Metrics, body),
        };
        store.put(&payload?, received)
    };
    let (report, ticket) = work(api, bytes, permit, put).await?;
    ticket.await?;
    Ok(report)
}

/// Reads a body once there is memory for it.
async fn read(api: &Api, request: Request<Body>) -> Result<(Bytes, Permit)> {
    if !api.is_ready() {
        return Err(Error::retry("the log is being replayed, try again in a moment"));
    }
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or(1 << 20);
    // Plain, a body is about four times as large.
    let wanted = u64::min(declared, BODY_BYTES_MAX as u64).saturating_mul(4);
    let wanted = wanted.min(api.host.budget().limit());
    let permit = api.host.budget().take_within(wanted, PATIENCE).await?;
    let body = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await;
    let body = body.map_err(|e| Error::invalid(format!("cannot read the body: {e}")))?;
    Ok((body, permit))
}

fn answer(version: Version, written: &Written) -> Response<Body> {
    let report = &written.report;
    let mut answer = match report.rejected.total() {
        0 => {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer
        }
        _ => text(StatusCode::BAD_REQUEST, reasons(report)),
    };
    if version == Version::V2 {
        for (name, count) in [
            ("x-prometheus-remote-write-samples-written", written.samples),
            ("x-prometheus-remote-write-histograms-written", written.histograms),
            ("x-prometheus-remote-write-exemplars-written", written.exemplars),
        ] {
            answer.headers_mut().insert(name, HeaderValue::from(count));
        }
    }
    answer
}

/// Why samples were not taken, in Prometheus' words where it has some.
fn reasons(report: &IngestReport) -> String {
    let words = |reason: Refusal| match reason {
        Refusal::Conflict => "duplicate sample for timestamp",
        Refusal::TooOld => "out of order or too old sample",
        Refusal::TooNew => "out of bounds: too far in the future",
        Refusal::MetricName => "invalid metric: no __name__",
        Refusal::LabelName => "invalid labels: a name is empty or there twice",
        other => other.meaning(),
    };
    let all: Vec<String> = report
        .rejected
        .iter()
        .map(|(reason, count)| format!("{} ({count})", words(reason)))
        .collect();
    all.join(", ")
}

/// `ExportMetricsServiceResponse { partial_success = 1: {rejected_data_points = 1, error_message = 2} }`
fn partial_success(report: &IngestReport) -> Vec<u8> {
    if report.rejected_points == 0 {
        return Vec::new();
    }
    // 100 bytes at most, so that every length is a single byte.
    let message: String = reasons(report).chars().filter(char::is_ascii).take(100).collect();
    let mut inner = vec![0x08];
    let mut rest = report.rejected_points;
    while rest >= 0x80 {
        inner.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    inner.extend_from_slice(&[rest as u8, 0x12, message.len() as u8]);
    inner.extend_from_slice(message.as_bytes());
    let mut out = vec![0x0a, inner.len() as u8];
    out.extend(inner);
    out
}

fn refused(error: &Error) -> Response<Body> {
    let status = match error.kind() {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Rejected => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut answer = text(status, error.to_string());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

fn text(status: StatusCode, message: String) -> Response<Body> {
    let mut answer = Response::new(Body::from(message + "\n"));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
