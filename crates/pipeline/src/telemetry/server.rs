// SPDX-License-Identifier: Apache-2.0
//! `GET /metrics` on its own port, as the Go collector has it (`service.telemetry.metrics`).
//!
//! HTTP/1.1 by hyper, in plain text or over TLS, at most [`CONNECTIONS_MAX`] connections at once.
//! A taken port is an error at the start.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use basics::{Error, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use net::activity::Life;
use net::listen::{self, Rules, Serving};
use net::pool::Pool;

use super::{Telemetry, render};
use crate::auth::{Authenticators, ServerAuth};
use crate::config::{MetricsPage, PageStyle};

/// Connections served at once: a few Prometheus servers and a person; the next one waits.
const CONNECTIONS_MAX: usize = 64;

/// A client that stalls must not keep one of them.
const LIFE: Life = Life {
    head: Some(Duration::from_secs(60)),
    idle: Some(Duration::from_secs(300)),
    answer: None,
    age: None,
    grace: None,
};

/// A running metrics page; ends when dropped.
#[derive(Debug)]
pub struct MetricsServer(Serving);

impl MetricsServer {
    /// Where it listens; tells the port when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }
}

/// Shows `telemetry` on `page`.
///
/// # Errors
/// [`basics::Kind::Invalid`] when the address cannot be listened on, a certificate not be read, or
/// an authenticator not be found.
pub async fn serve_metrics(
    telemetry: Telemetry,
    page: &MetricsPage,
    authenticators: &Authenticators,
    listeners: &Pool,
) -> Result<MetricsServer> {
    let what = format!("cannot listen on {} for own metrics", page.address);
    let tls = page.tls.as_ref().map(|tls| tls.tls(&["http/1.1"])).transpose();
    let auth = page.auth.as_ref().map(|auth| authenticators.server(&auth.authenticator));
    let rules = Rules {
        tls: tls.map_err(|e| e.within(&what))?,
        life: LIFE,
        connections_max: CONNECTIONS_MAX,
        drain: Duration::from_millis(500),
        ..Rules::new("own metrics")
    };
    let shown = Arc::new(Shown {
        telemetry,
        style: page.style.clone(),
        auth: auth.transpose().map_err(|e| e.within(&what))?,
    });
    let listener = listeners.bind(&page.address).await.map_err(|e| e.within(&what))?;
    let serving = listen::serve(listener, rules, move |stream, _, activity| {
        let shown = shown.clone();
        let service = service_fn(move |request| {
            let (shown, busy) = (shown.clone(), activity.begin());
            async move {
                let _busy = busy;
                Ok::<_, Infallible>(shown.answer(&request).await)
            }
        });
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service)
    });
    serving.map(MetricsServer).map_err(|e| Error::invalid(what).caused_by(e))
}

struct Shown {
    telemetry: Telemetry,
    style: PageStyle,
    auth: Option<Arc<dyn ServerAuth>>,
}

impl Shown {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if let Some(auth) = &self.auth
            && let Err(denied) = auth.authenticate(request.headers()).await
        {
            let mut response = answer(StatusCode::UNAUTHORIZED, "text/plain", denied.message);
            response.headers_mut().insert(WWW_AUTHENTICATE, denied.challenge);
            return response;
        }
        match request.uri().path() {
            "/metrics" => {
                answer(StatusCode::OK, render::CONTENT_TYPE, self.telemetry.render_as(&self.style))
            }
            _ => answer(StatusCode::NOT_FOUND, "text/plain", "only /metrics is here\n".to_owned()),
        }
    }
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
