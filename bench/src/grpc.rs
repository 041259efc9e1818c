// SPDX-License-Identifier: Apache-2.0
//! gRPC with bodies as bytes: the load generator and the counting null sink.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use bytes::{Buf, BufMut, Bytes};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Response, Status};

use crate::payload::Signal;

/// Hands messages over as they are on the wire.
#[derive(Clone, Copy, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Raw
    }
    fn decoder(&mut self) -> Self {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = source.remaining();
        Ok(Some(source.copy_to_bytes(length)))
    }
}

const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Sends `total` requests round robin over `connections` x `in_flight`; returns those accepted.
pub async fn load(
    port: u16,
    signal: Signal,
    bodies: Arc<Vec<Bytes>>,
    total: u64,
    connections: usize,
    in_flight: usize,
) -> Result<u64> {
    let next = Arc::new(AtomicU64::new(0));
    let accepted = Arc::new(AtomicU64::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let channel = tonic::transport::Endpoint::new(format!("http://127.0.0.1:{port}"))?
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .tcp_nodelay(true)
            .connect()
            .await?;
        for _ in 0..in_flight {
            let (channel, bodies) = (channel.clone(), bodies.clone());
            let (next, accepted) = (next.clone(), accepted.clone());
            workers.spawn(async move {
                let mut client = tonic::client::Grpc::new(channel);
                let path = http::uri::PathAndQuery::from_static(signal.method());
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= total {
                        return Ok::<(), Status>(());
                    }
                    let body = bodies[n as usize % bodies.len()].clone();
                    client.ready().await.map_err(|e| Status::unavailable(e.to_string()))?;
                    match client.unary(Request::new(body), path.clone(), Raw).await {
                        Ok(_) => accepted.fetch_add(1, Ordering::Relaxed),
                        // Refused: back off a little and send it again, as an SDK does.
                        Err(status) if status.code() == tonic::Code::Unavailable => {
                            next.fetch_sub(1, Ordering::Relaxed);
                            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                            0
                        }
                        Err(status) => return Err(status),
                    };
                }
            });
        }
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    Ok(accepted.load(Ordering::Relaxed))
}

/// A server that takes every OTLP request, counts its items and forgets it.
pub struct Sink {
    /// Port it listens on.
    pub port: u16,
    items: Arc<AtomicU64>,
}

impl Sink {
    /// Starts the sink on a free port; it lives as long as the process.
    pub async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let items = Arc::new(AtomicU64::new(0));
        let service = Count { items: items.clone() };
        let router = tonic::service::Routes::builder().routes().into_axum_router();
        let incoming =
            tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        let fallback = tower::service_fn(move |request: http::Request<axum::body::Body>| {
            let service = service.clone();
            async move { Ok::<_, Infallible>(answer(service, request).await) }
        });
        let routes = tonic::service::Routes::from(router.fallback_service(fallback));
        tokio::spawn(
            tonic::transport::Server::builder()
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_frame_size(1 << 20)
                .add_routes(routes)
                .serve_with_incoming(incoming),
        );
        Ok(Sink { port, items })
    }

    /// Items counted so far.
    pub fn items(&self) -> u64 {
        self.items.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Count {
    items: Arc<AtomicU64>,
}

impl tonic::server::UnaryService<Bytes> for Count {
    type Response = Bytes;
    type Future = std::future::Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let signal = match request.metadata().get("x-signal").map(|v| v.as_bytes()) {
            Some(b"traces") => otlp_wire::Signal::Traces,
            Some(b"metrics") => otlp_wire::Signal::Metrics,
            _ => otlp_wire::Signal::Logs,
        };
        let counted = otlp_wire::Payload::admit(signal, request.into_inner());
        std::future::ready(match counted {
            Ok(payload) => {
                self.items.fetch_add(u64::from(payload.items()), Ordering::Relaxed);
                Ok(Response::new(Bytes::new()))
            }
            Err(error) => Err(Status::invalid_argument(error.to_string())),
        })
    }
}

async fn answer(
    service: Count,
    mut request: http::Request<axum::body::Body>,
) -> http::Response<tonic::body::Body> {
    let path = request.uri().path().to_owned();
    let name = match path.as_str() {
        p if p == Signal::Traces.method() => "traces",
        p if p == Signal::Metrics.method() => "metrics",
        _ => "logs",
    };
    request.headers_mut().insert("x-signal", http::HeaderValue::from_static(name));
    tonic::server::Grpc::new(Raw).max_decoding_message_size(64 << 20).unary(service, request).await
}
