// SPDX-License-Identifier: Apache-2.0
//! The null sink: takes OTLP (gRPC, HTTP), remote write and bulk requests, counts, forgets. On
//! request it is slow: it takes a number of items a second, one request after the other.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
use tokio::time::Instant;

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
    pace: Mutex<Option<Pace>>,
}

/// How slow the sink is.
struct Pace {
    items_per_second: f64,
    /// When it is done with what it has.
    free: Instant,
}

impl Counts {
    /// Waits until the sink is done with `items` more.
    async fn turn(&self, items: u64) {
        let until = {
            let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(pace) = &mut *pace else { return };
            let takes = Duration::from_secs_f64(items as f64 / pace.items_per_second);
            pace.free = pace.free.max(Instant::now()) + takes;
            pace.free
        };
        tokio::time::sleep_until(until).await;
    }
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

    /// The same in a thread of its own: what the senders do does not keep it waiting.
    pub async fn start_apart() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (started, starting) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            runtime.block_on(async {
                // Nobody there to hear it: nobody needs it.
                let _ = started.send(Sink::start().await);
                std::future::pending::<()>().await;
            });
        });
        starting.await.context("the sink's thread ended")?
    }

    /// From now on takes so many items a second; `None` = all that come.
    pub fn slow_down(&self, items_per_second: Option<f64>) {
        let pace = items_per_second
            .map(|items_per_second| Pace { items_per_second, free: Instant::now() });
        *self.counts.pace.lock().unwrap_or_else(PoisonError::into_inner) = pace;
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
            counts.turn(items).await;
            counts.items.fetch_add(items, Ordering::Relaxed);
            answer
        }
        Err(error) => {
            counts.refused.fetch_add(1, Ordering::Relaxed);
            eprintln!("sink: {}: {error:#}", head.uri.path());
            let mut answer = plain_answer(Bytes::from(format!("{error:#}")));
            *answer.status_mut() = http::StatusCode::BAD_REQUEST;
            answer
        }
    })
}

fn plain_answer(body: Bytes) -> Answer {
    Response::new(Full::new(body).boxed())
}

/// Counts one request; also what to answer.
fn take(path: &str, headers: &HeaderMap, body: Bytes) -> Result<(u64, Answer)> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(signal) = Signal::ALL.into_iter().find(|signal| path == signal.method()) {
        let (flag, message) = (*body.first().context("no frame")?, body.slice(5..));
        let answer = Full::new(Bytes::from_static(&[0; 5])).with_trailers(async {
            let status = [("grpc-status".parse().expect("a name"), HeaderValue::from_static("0"))];
            Some(Ok(HeaderMap::from_iter(status)))
        });
        let mut answer = Response::new(answer.boxed());
        answer.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        let encoding = header("grpc-encoding").filter(|_| flag == 1);
        let payload = signal.admit(inflated(message, encoding)?)?;
        return Ok((payload.items().into(), answer));
    }
    let encoding = header("content-encoding");
    if let Some(signal) = Signal::ALL.into_iter().find(|signal| path == signal.path()) {
        let kind = header("content-type").context("no content type")?;
        let plain = inflated(body, encoding)?;
        let (payload, answer) = match kind {
            "application/json" => (signal.read_json(&plain)?, "{}"),
            _ => (signal.admit(plain)?, ""),
        };
        let mut answer = plain_answer(answer.into());
        answer.headers_mut().insert("content-type", HeaderValue::from_str(kind)?);
        return Ok((payload.items().into(), answer));
    }
    match path {
        "/api/v1/write" => Ok((samples(&body)?, plain_answer(Bytes::new()))),
        "/_bulk" => {
            let documents = documents(&inflated(body, encoding)?);
            let item = r#"{"create":{"status":201}}"#;
            let items = vec![item; documents as usize].join(",");
            let mut answer =
                plain_answer(format!(r#"{{"errors":false,"items":[{items}]}}"#).into());
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

fn inflated(body: Bytes, encoding: Option<&str>) -> Result<Bytes> {
    match encoding {
        None | Some("identity") => return Ok(body),
        Some("zstd") => return Ok(zstd::bulk::decompress(&body, PLAIN_BYTES_MAX)?.into()),
        Some("gzip") => {}
        Some(other) => bail!("nobody sends {other}"),
    }
    let tail: [u8; 4] = *body.last_chunk().context("too short for gzip")?;
    let length = u32::from_le_bytes(tail) as usize;
    ensure!(length <= PLAIN_BYTES_MAX, "{length} bytes are more than any request has");
    let mut out = vec![0; length];
    let read = libdeflater::Decompressor::new().gzip_decompress(&body, &mut out)?;
    ensure!(read == length, "inflated to {read} of {length} bytes");
    Ok(out.into())
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
