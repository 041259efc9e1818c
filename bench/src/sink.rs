// SPDX-License-Identifier: Apache-2.0
//! The null sink: takes OTLP (gRPC, HTTP), remote write and bulk requests, counts, forgets.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use prost::Message;
use tokio::net::{TcpListener, TcpStream};

use crate::payload::Signal;

const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// No request of ours inflates to more.
const PLAIN_BYTES_MAX: usize = 64 << 20;

/// A server that takes every request, counts its items and forgets it.
pub struct Sink {
    /// Port it listens on.
    pub port: u16,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    items: AtomicU64,
    refused: AtomicU64,
}

impl Sink {
    /// Starts the sink on a free port; it lives as long as the process.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let counts = Arc::new(Counts::default());
        let shared = counts.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Ok(Sink { port, counts })
    }

    /// Spans, points, records, samples or documents counted so far.
    ///
    /// # Errors
    /// A request came that was not what it said to be.
    pub fn items(&self) -> Result<u64> {
        ensure!(self.counts.refused.load(Ordering::Relaxed) == 0, "the sink got a broken request");
        Ok(self.counts.items.load(Ordering::Relaxed))
    }
}

async fn serve(stream: TcpStream, counts: Arc<Counts>) {
    // Without it answers are late, not lost.
    let _ = stream.set_nodelay(true);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(1 << 20);
    let service = service_fn(move |request| answer(request, counts.clone()));
    // The peer closes as it likes; what it sent has been counted.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn answer(request: Request<Incoming>, counts: Arc<Counts>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let taken = match body.collect().await {
        Ok(body) => take(head.uri.path(), &head.headers, body.to_bytes()),
        Err(error) => Err(error.into()),
    };
    Ok(match taken {
        Ok((items, answer)) => {
            counts.items.fetch_add(items, Ordering::Relaxed);
            answer
        }
        Err(error) => {
            counts.refused.fetch_add(1, Ordering::Relaxed);
            eprintln!("sink: {}: {error:#}", head.uri.path());
            let mut answer = plain(Bytes::from(format!("{error:#}")));
            *answer.status_mut() = http::StatusCode::BAD_REQUEST;
            answer
        }
    })
}

fn plain(body: Bytes) -> Answer {
    Response::new(Full::new(body).boxed())
}

/// Counts one request; also what to answer.
fn take(path: &str, headers: &HeaderMap, body: Bytes) -> Result<(u64, Answer)> {
    let zipped = headers.get("content-encoding").is_some_and(|value| value == "gzip");
    if let Some(signal) = Signal::ALL.into_iter().find(|signal| path == signal.method()) {
        let (flag, message) = (*body.first().context("no frame")?, body.slice(5..));
        let answer = Full::new(Bytes::from_static(&[0; 5])).with_trailers(async {
            let status = [("grpc-status".parse().expect("a name"), HeaderValue::from_static("0"))];
            Some(Ok(HeaderMap::from_iter(status)))
        });
        let mut answer = Response::new(answer.boxed());
        answer.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        return Ok((items(signal, inflated(message, flag == 1)?)?, answer));
    }
    if let Some(signal) = Signal::ALL.into_iter().find(|signal| path == signal.path()) {
        let mut answer = plain(Bytes::new());
        let kind = HeaderValue::from_static("application/x-protobuf");
        answer.headers_mut().insert("content-type", kind);
        return Ok((items(signal, inflated(body, zipped)?)?, answer));
    }
    match path {
        "/api/v1/write" => Ok((samples(&body)?, plain(Bytes::new()))),
        "/_bulk" => {
            let documents = documents(&inflated(body, zipped)?);
            let item = r#"{"create":{"status":201}}"#;
            let items = vec![item; documents as usize].join(",");
            let mut answer = plain(format!(r#"{{"errors":false,"items":[{items}]}}"#).into());
            let kind = HeaderValue::from_static("application/json");
            answer.headers_mut().insert("content-type", kind);
            answer
                .headers_mut()
                .insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
            Ok((documents, answer))
        }
        _ => bail!("nobody asked for {path}"),
    }
}

fn inflated(body: Bytes, zipped: bool) -> Result<Bytes> {
    if !zipped {
        return Ok(body);
    }
    let tail: [u8; 4] = *body.last_chunk().context("too short for gzip")?;
    let length = u32::from_le_bytes(tail) as usize;
    ensure!(length <= PLAIN_BYTES_MAX, "{length} bytes are more than any request has");
    let mut out = vec![0; length];
    let read = libdeflater::Decompressor::new().gzip_decompress(&body, &mut out)?;
    ensure!(read == length, "inflated to {read} of {length} bytes");
    Ok(out.into())
}

fn items(signal: Signal, body: Bytes) -> Result<u64> {
    let signal = match signal {
        Signal::Traces => otlp_wire::Signal::Traces,
        Signal::Metrics => otlp_wire::Signal::Metrics,
        Signal::Logs => otlp_wire::Signal::Logs,
    };
    let payload = otlp_wire::Payload::admit(signal, body).map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(u64::from(payload.items()))
}

/// Of `prometheus.WriteRequest` what is needed to count samples.
#[derive(Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Empty>,
}

#[derive(Message)]
struct Empty {}

fn samples(body: &[u8]) -> Result<u64> {
    let plain = snap::raw::Decoder::new().decompress_vec(body)?;
    let request = WriteRequest::decode(plain.as_slice())?;
    Ok(request.timeseries.iter().map(|series| series.samples.len() as u64).sum())
}

/// Documents of a bulk body: one line of action, one of source each.
fn documents(body: &[u8]) -> u64 {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.count() as u64 / 2
}
