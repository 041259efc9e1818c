// SPDX-License-Identifier: Apache-2.0
//! The load generator: ready-made request bodies over HTTP/2 (gRPC) or HTTP/1.1.
//!
//! Bodies are framed and compressed before the clock starts, so what it costs to send one does not
//! depend on who receives it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
    Http,
}

/// Where requests go and what they look like.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub port: u16,
    pub transport: Transport,
    pub signal: Signal,
    pub gzip: bool,
}

/// As Go's and most SDKs' compressors have it by default.
const GZIP_LEVEL: i32 = 6;
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// As an SDK waits a little before it sends a refused request again.
const REFUSED_WAIT: Duration = Duration::from_millis(2);

impl Target {
    /// `plain` requests as bodies of this target.
    pub fn bodies(&self, plain: Vec<Bytes>) -> Arc<Vec<Bytes>> {
        Arc::new(plain.into_iter().map(|body| self.body(body)).collect())
    }

    fn body(&self, plain: Bytes) -> Bytes {
        let message = if self.gzip { gzip(&plain) } else { plain };
        match self.transport {
            Transport::Http => message,
            Transport::Grpc => {
                let mut framed = BytesMut::with_capacity(message.len() + 5);
                framed.put_u8(u8::from(self.gzip));
                framed.put_u32(message.len() as u32);
                framed.put(message);
                framed.freeze()
            }
        }
    }

    fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>> {
        let builder = Request::post(match self.transport {
            Transport::Grpc => format!("http://127.0.0.1:{}{}", self.port, self.signal.method()),
            Transport::Http => self.signal.path().to_owned(),
        });
        let builder = match self.transport {
            Transport::Grpc => builder
                .header(header::CONTENT_TYPE, "application/grpc")
                .header(header::TE, "trailers"),
            Transport::Http => builder
                .header(header::CONTENT_TYPE, "application/x-protobuf")
                .header(header::HOST, "127.0.0.1"),
        };
        let encoding = match self.transport {
            Transport::Grpc => "grpc-encoding",
            Transport::Http => "content-encoding",
        };
        let builder = if self.gzip { builder.header(encoding, "gzip") } else { builder };
        Ok(builder.body(Full::new(body))?)
    }
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
            Transport::Http => {
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

/// Sends `total` requests round robin over `connections` x `in_flight`; each is sent until taken.
pub async fn load(
    target: Target,
    bodies: Arc<Vec<Bytes>>,
    total: u64,
    connections: usize,
    in_flight: usize,
) -> Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..connections {
        for mut connection in Connection::open(&target, in_flight).await.context("connecting")? {
            let (bodies, next) = (bodies.clone(), next.clone());
            workers.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= total {
                        return anyhow::Ok(());
                    }
                    let body = &bodies[n as usize % bodies.len()];
                    while let Answer::Refused =
                        connection.send(target.request(body.clone())?).await?
                    {
                        tokio::time::sleep(REFUSED_WAIT).await;
                    }
                }
            });
        }
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    Ok(())
}
