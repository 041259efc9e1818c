// SPDX-License-Identifier: Apache-2.0
//! The load generator: ready-made request bodies over HTTP/2 (gRPC) or HTTP/1.1.
//!
//! Bodies are framed and compressed before the clock starts, so what it costs to send one does not
//! depend on who receives it. A request is sent until it is taken; how long that took is kept.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use libdeflater::{CompressionLvl, Compressor};
use tokio::net::TcpStream;

use crate::payload::Signal;

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Grpc,
    /// Protobuf over HTTP/1.1.
    Http,
    /// JSON over HTTP/1.1.
    Json,
}

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    None,
    Gzip,
    Zstd,
}

impl Codec {
    /// As in headers, and as the collector's `compression`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Zstd => "zstd",
        }
    }

    /// `plain` in this format, at the levels that SDKs have by default.
    fn pack(self, plain: Bytes) -> Result<Bytes> {
        Ok(match self {
            Codec::None => plain,
            Codec::Gzip => gzip(&plain),
            Codec::Zstd => zstd::bulk::compress(&plain, 0)?.into(),
        })
    }
}

/// Where requests go and what they look like.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub port: u16,
    pub transport: Transport,
    pub signal: Signal,
    pub codec: Codec,
}

/// How hard to press.
#[derive(Clone, Copy, Debug)]
pub struct Press {
    pub connections: usize,
    /// Requests under way on each.
    pub in_flight: usize,
    /// How long a sender whose request was refused waits before it sends it again.
    pub patience: Duration,
}

/// How long to press.
#[derive(Clone, Debug)]
pub enum Until {
    /// So many requests are taken.
    Taken(u64),
    /// Somebody says so.
    Stopped(Arc<AtomicBool>),
}

/// What has become of the requests so far.
#[derive(Debug, Default)]
pub struct Tally {
    pub taken: AtomicU64,
    /// Answers that said "not now".
    pub refused: AtomicU64,
    /// Microseconds from the first attempt until a request was taken; complete at the end.
    micros: Mutex<Vec<u32>>,
}

impl Tally {
    fn keep(&self, micros: Vec<u32>) -> Result<()> {
        self.micros.lock().unwrap_or_else(PoisonError::into_inner).extend(micros);
        Ok(())
    }

    /// The time in milliseconds within which 99 of 100 requests were taken.
    pub fn p99_ms(&self) -> f64 {
        let mut micros = self.micros.lock().unwrap_or_else(PoisonError::into_inner);
        micros.sort_unstable();
        let at = (micros.len() * 99).div_ceil(100).saturating_sub(1);
        micros.get(at).map_or(0.0, |micros| f64::from(*micros) / 1e3)
    }
}

/// As Go's and most SDKs' compressors have it by default.
const GZIP_LEVEL: i32 = 6;
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
impl Target {
    /// `plain` requests as bodies of this target.
    pub fn bodies(&self, plain: Vec<Bytes>) -> Result<Arc<Vec<Bytes>>> {
        plain.into_iter().map(|body| self.body(body)).collect::<Result<Vec<_>>>().map(Arc::new)
    }

    fn body(&self, plain: Bytes) -> Result<Bytes> {
        let plain = match self.transport {
            Transport::Json => json(self.signal, plain)?,
            _ => plain,
        };
        let message = self.codec.pack(plain)?;
        if self.transport != Transport::Grpc {
            return Ok(message);
        }
        let mut framed = BytesMut::with_capacity(message.len() + 5);
        framed.put_u8(u8::from(self.codec != Codec::None));
        framed.put_u32(message.len() as u32);
        framed.put(message);
        Ok(framed.freeze())
    }

    fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>> {
        let builder = match self.transport {
            Transport::Grpc => {
                Request::post(format!("http://127.0.0.1:{}{}", self.port, self.signal.method()))
                    .header(header::CONTENT_TYPE, "application/grpc")
                    .header(header::TE, "trailers")
            }
            Transport::Http | Transport::Json => {
                let kind = match self.transport {
                    Transport::Json => "application/json",
                    _ => "application/x-protobuf",
                };
                Request::post(self.signal.path())
                    .header(header::CONTENT_TYPE, kind)
                    .header(header::HOST, "127.0.0.1")
            }
        };
        let encoding = match self.transport {
            Transport::Grpc => "grpc-encoding",
            Transport::Http | Transport::Json => "content-encoding",
        };
        let builder = match self.codec {
            Codec::None => builder,
            codec => builder.header(encoding, codec.name()),
        };
        Ok(builder.body(Full::new(body))?)
    }
}

fn json(signal: Signal, plain: Bytes) -> Result<Bytes> {
    let mut text = Vec::new();
    signal.admit(plain)?.to_json(&mut text);
    Ok(text.into())
}

fn gzip(plain: &[u8]) -> Bytes {
    let mut compressor =
        Compressor::new(CompressionLvl::new(GZIP_LEVEL).expect("a level there is"));
    let mut out = vec![0; compressor.gzip_compress_bound(plain.len())];
    let length = compressor.gzip_compress(plain, &mut out).expect("the bound holds");
    out.truncate(length);
    out.into()
}

/// What the peer said to one request.
enum Answer {
    Taken,
    /// Not now; to be sent again.
    Refused,
}

/// One connection that can have a request under way.
enum Connection {
    Two(http2::SendRequest<Full<Bytes>>),
    One(http1::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Connections for `in_flight` requests at a time: clones of one for HTTP/2.
    async fn open(target: &Target, in_flight: usize) -> Result<Vec<Connection>> {
        let tcp = async || -> Result<_> {
            let stream = TcpStream::connect(("127.0.0.1", target.port)).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        };
        let mut connections = Vec::new();
        match target.transport {
            Transport::Grpc => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(STREAM_WINDOW)
                    .initial_connection_window_size(CONNECTION_WINDOW)
                    .handshake(tcp().await?)
                    .await?;
                tokio::spawn(connection);
                connections.extend((0..in_flight).map(|_| Connection::Two(sender.clone())));
            }
            Transport::Http | Transport::Json => {
                for _ in 0..in_flight {
                    let (sender, connection) = http1::handshake(tcp().await?).await?;
                    tokio::spawn(connection);
                    connections.push(Connection::One(sender));
                }
            }
        }
        Ok(connections)
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let response = match self {
            Connection::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Connection::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (head, body) = response.into_parts();
        let collected = body.collect().await?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        match grpc_status(&trailers).or_else(|| grpc_status(&head.headers)) {
            Some("0") => Ok(Answer::Taken),
            Some("14") => Ok(Answer::Refused),
            Some(code) => bail!("grpc-status {code}: {:?}", trailers.get("grpc-message")),
            None => match head.status.as_u16() {
                200 => Ok(Answer::Taken),
                429 | 503 => Ok(Answer::Refused),
                status => bail!("status {status}: {:?}", collected.to_bytes()),
            },
        }
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<&str> {
    headers.get("grpc-status")?.to_str().ok()
}

/// Sends `bodies` round robin, each until taken; counts in `tally`.
///
/// # Errors
/// A connection breaks, or an answer is neither "taken" nor "not now".
pub async fn load(
    target: Target,
    bodies: Arc<Vec<Bytes>>,
    press: Press,
    until: Until,
    tally: Arc<Tally>,
) -> Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..press.connections {
        for connection in Connection::open(&target, press.in_flight).await.context("connecting")? {
            let (bodies, next, until) = (bodies.clone(), next.clone(), until.clone());
            workers.spawn(work(target, connection, bodies, next, press, until, tally.clone()));
        }
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    Ok(())
}

/// One sender.
async fn work(
    target: Target,
    mut connection: Connection,
    bodies: Arc<Vec<Bytes>>,
    next: Arc<AtomicU64>,
    press: Press,
    until: Until,
    tally: Arc<Tally>,
) -> Result<()> {
    let stopped = || match &until {
        Until::Taken(_) => false,
        Until::Stopped(stopped) => stopped.load(Ordering::Relaxed),
    };
    let mut micros = Vec::new();
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if stopped() || matches!(until, Until::Taken(total) if n >= total) {
            break;
        }
        let (body, begin) = (&bodies[n as usize % bodies.len()], Instant::now());
        while let Answer::Refused = connection.send(target.request(body.clone())?).await? {
            tally.refused.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(press.patience).await;
            if stopped() {
                return tally.keep(micros);
            }
        }
        tally.taken.fetch_add(1, Ordering::Relaxed);
        micros.push(u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    tally.keep(micros)
}
