// SPDX-License-Identifier: Apache-2.0
//! A router on a listener until told to stop, in plain text or over TLS, for all or for those whom
//! an authenticator knows.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use basics::{Error, Result};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use net::listen::{self, Rules, Serving};
use net::socket::Listener;
use pipeline::auth::ServerAuth;
use pipeline::config::shared::Auth;
use pipeline::host::Host;

/// What a page agrees on in a TLS handshake.
pub(crate) const ALPN: &[&str] = &["http/1.1"];

/// Calls at a time on one gRPC connection, as for OTLP.
const STREAMS_MAX: u32 = 256;

/// Serves `router` on `listener` by `rules`.
pub(crate) fn serve(
    listener: Arc<Listener>,
    rules: Rules,
    router: axum::Router,
) -> Result<Serving> {
    let serving = listen::serve(listener, rules, move |stream, _: SocketAddr, activity| {
        let service = router.clone().layer(from_fn_with_state(activity, busy));
        let service = TowerToHyperService::new(service);
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service)
    });
    serving.map_err(|e| Error::invalid("cannot listen").caused_by(e))
}

/// As [`serve`], for gRPC: HTTP/2 from the first byte.
pub(crate) fn serve_grpc(
    listener: Arc<Listener>,
    rules: Rules,
    router: axum::Router,
) -> Result<Serving> {
    let serving = listen::serve(listener, rules, move |stream, _: SocketAddr, activity| {
        let service = router.clone().layer(from_fn_with_state(activity, busy));
        let service = TowerToHyperService::new(service);
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .serve_connection(TokioIo::new(stream), service)
    });
    serving.map_err(|e| Error::invalid("cannot listen").caused_by(e))
}

async fn busy(
    State(activity): State<net::activity::Activity>,
    request: Request,
    next: Next,
) -> Response {
    let _busy = activity.begin();
    next.run(request).await
}

/// `router` behind the authenticator that `auth` names.
pub(crate) fn behind(
    auth: Option<&Auth>,
    host: &Host,
    router: axum::Router,
) -> Result<axum::Router> {
    let Some(auth) = auth else { return Ok(router) };
    let auth = host.authenticators().server(&auth.authenticator)?;
    Ok(router.layer(from_fn_with_state(auth, authenticate)))
}

async fn authenticate(
    State(auth): State<Arc<dyn ServerAuth>>,
    request: Request,
    next: Next,
) -> Response {
    match auth.authenticate(request.headers()).await {
        Ok(_) => next.run(request).await,
        Err(denied) => {
            let headers = [(header::WWW_AUTHENTICATE, denied.challenge)];
            (StatusCode::UNAUTHORIZED, headers, denied.message).into_response()
        }
    }
}
