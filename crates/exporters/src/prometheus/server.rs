// SPDX-License-Identifier: Apache-2.0
//! `GET /metrics` over HTTP/1.1; 404 elsewhere.
//!
//! One task a connection, at most [`CONNECTIONS_MAX`] at once, further ones wait. A taken port is an
//! error at the start. On stop no new connections; those that are open end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use basics::{Error, Result};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use super::accept::Wanted;
use super::page::Pages;

/// Connections served at once: a few Prometheus servers and a person.
const CONNECTIONS_MAX: usize = 64;

/// A client that does not finish the head of its request in this time is cut off.
const HEAD_TIME_MAX: Duration = Duration::from_secs(60);

/// What the page may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub open_metrics: bool,
    pub utf8: bool,
}

/// A running page; ends when dropped.
pub(super) struct Server {
    task: JoinHandle<()>,
    #[cfg(test)]
    pub address: std::net::SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves `pages` at `endpoint`.
///
/// # Errors
/// `Invalid` when it cannot be listened on.
pub(super) async fn serve(endpoint: &str, pages: Arc<Pages>, offer: Offer) -> Result<Server> {
    let spelled =
        if endpoint.starts_with(':') { format!("0.0.0.0{endpoint}") } else { endpoint.to_owned() };
    let refused = |e: std::io::Error| {
        Error::invalid(format!("cannot listen on {endpoint} for the metrics page")).caused_by(e)
    };
    let listener = TcpListener::bind(&spelled).await.map_err(refused)?;
    #[cfg(test)]
    let address = listener.local_addr().map_err(refused)?;
    let task = tokio::spawn(accept(listener, pages, offer));
    Ok(Server {
        task,
        #[cfg(test)]
        address,
    })
}

async fn accept(listener: TcpListener, pages: Arc<Pages>, offer: Offer) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    while let Ok(permit) = room.clone().acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "metrics page: accept failed");
                // Out of file descriptors, as a rule: give the others time to close theirs.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let pages = pages.clone();
        connections.spawn(async move {
            let service = service_fn(|request| {
                let pages = pages.clone();
                async move { Ok::<_, Infallible>(answer(&pages, offer, &request).await) }
            });
            // A broken connection is the client's affair.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME_MAX)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(permit);
        });
    }
}

async fn answer(
    pages: &Arc<Pages>,
    offer: Offer,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return short(StatusCode::NOT_FOUND, "404 page not found\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = short(StatusCode::METHOD_NOT_ALLOWED, "only GET is taken\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let wanted = Wanted::of(request.headers(), offer.open_metrics, offer.utf8);
    let body = pages.page(wanted.form, wanted.gzip).await;
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(wanted.content_type()));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if wanted.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn short(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
