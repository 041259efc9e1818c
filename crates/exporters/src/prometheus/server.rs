// SPDX-License-Identifier: Apache-2.0
//! `GET /metrics` over HTTP/1.1; 404 elsewhere.
//!
//! In plain text or over TLS, at most [`CONNECTIONS_MAX`] connections at once, further ones wait. A
//! taken port is an error at the start. On stop no new connections; those that are open end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ::net::listen::{self, Rules, Serving};
use ::net::pool::Pool;
use basics::{Error, Result};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, VARY, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pipeline::auth::{Denied, ServerAuth};
use pipeline::config::shared::{HttpServer, TimeOuts};

use super::accept::Wanted;
use super::page::Pages;

/// Connections served at once: a few Prometheus servers and a person.
const CONNECTIONS_MAX: usize = 64;

/// What open requests get to end when the process stops.
const DRAIN: Duration = Duration::from_millis(500);

/// What the page may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub open_metrics: bool,
    pub utf8: bool,
}

/// Serves `pages` at `endpoint`, to all or to those whom `auth` knows; ends when dropped.
///
/// # Errors
/// `Invalid` when it cannot be listened on, or a certificate not be read.
pub(super) async fn serve(
    listeners: &Pool,
    config: &HttpServer,
    endpoint: &str,
    auth: Option<Arc<dyn ServerAuth>>,
    pages: Arc<Pages>,
    offer: Offer,
) -> Result<Serving> {
    let what = format!("cannot listen on {endpoint} for the metrics page");
    let rules = config.rules("metrics page", &["http/1.1"], TimeOuts::default());
    let rules = rules.map_err(|e| e.within(&what))?;
    let rules = Rules { connections_max: CONNECTIONS_MAX, drain: DRAIN, ..rules };
    let endpoint = &*config.address(endpoint);
    let spelled =
        if endpoint.starts_with(':') { format!("0.0.0.0{endpoint}") } else { endpoint.to_owned() };
    let listener = listeners.bind(&spelled).await.map_err(|e| e.within(&what))?;
    let serving = listen::serve(listener, rules, move |stream, _, activity| {
        let (pages, auth) = (pages.clone(), auth.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (pages, auth, busy) = (pages.clone(), auth.clone(), activity.begin());
            async move {
                let _busy = busy;
                if let Some(auth) = auth
                    && let Err(denied) = auth.authenticate(request.headers()).await
                {
                    return Ok::<_, Infallible>(unauthorized(denied));
                }
                Ok(answer(&pages, offer, &request).await)
            }
        });
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service)
    });
    serving.map_err(|e| Error::invalid(what).caused_by(e))
}

fn unauthorized(denied: Denied) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(denied.message)));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert(WWW_AUTHENTICATE, denied.challenge);
    response
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
