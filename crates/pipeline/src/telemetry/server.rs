// SPDX-License-Identifier: Apache-2.0
//! `GET /metrics` on its own port, as the Go collector has it (`service.telemetry.metrics`).
//!
//! HTTP/1.1 by hyper, one task a connection, at most [`CONNECTIONS_MAX`] at once. A taken port is
//! an error at the start.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use basics::{Error, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use super::{Telemetry, render};

/// Connections served at once: a few Prometheus servers and a person; the next one waits.
const CONNECTIONS_MAX: usize = 64;

/// A running metrics page; ends when dropped.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl MetricsServer {
    /// Where it listens; tells the port when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Shows `telemetry` on `address` (`host:port`).
///
/// # Errors
/// [`basics::Kind::Invalid`] when the address cannot be listened on.
pub async fn serve_metrics(telemetry: Telemetry, address: &str) -> Result<MetricsServer> {
    let refused = |e: std::io::Error| {
        Error::invalid(format!("cannot listen on {address} for own metrics")).caused_by(e)
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let task = tokio::spawn(accept(listener, telemetry));
    Ok(MetricsServer { address, task })
}

async fn accept(listener: TcpListener, telemetry: Telemetry) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    while let Ok(permit) = room.clone().acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "own metrics: accept failed");
                // Out of file descriptors, as a rule: give the others time to close theirs.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let telemetry = telemetry.clone();
        connections.spawn(async move {
            let service = service_fn(|request| {
                let answer = answer(&telemetry, &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            // A broken connection is the client's affair.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(permit);
        });
    }
}

fn answer(telemetry: &Telemetry, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, kind, body) = match request.uri().path() {
        "/metrics" => (StatusCode::OK, render::CONTENT_TYPE, telemetry.render()),
        _ => (StatusCode::NOT_FOUND, "text/plain", "only /metrics is here\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
