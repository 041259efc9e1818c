// SPDX-License-Identifier: Apache-2.0
//! The HTTP client under every exporter: pooled connections, plain text or TLS, HTTP/1.1 or HTTP/2.
//!
//! Pooling, reconnecting and multiplexing are hyper-util's. A pooled connection that the peer
//! closed while idle is not a failure: the request goes again over a new one if nothing of it was
//! sent. Whether TLS is spoken is decided by the scheme of a request's URL, and who we are is added
//! to every request by the authenticator that the settings name. Connections idle for
//! [`IDLE_TIME_MAX`] are closed.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::net::connect::Connector;
use ::net::tls::ClientTls;
use basics::{Error, Result};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pipeline::Context as Component;
use pipeline::auth::ClientAuth;
use pipeline::config::shared::{Auth, GrpcClient, HttpClient};
use pipeline::telemetry::{CallMeter, Ended};

/// The collector's `idle_conn_timeout`.
const IDLE_TIME_MAX: Duration = Duration::from_secs(90);
/// Idle connections kept to one peer: one for each default consumer.
const IDLE_CONNECTIONS_MAX: usize = 10;
/// Most of an answer that is read; the collector's cap. Answers are statuses of a few bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// As the receiver's: windows and frames that let one request go out without waiting.
const STREAM_WINDOW: u32 = 4 << 20;
const FRAME_SIZE_MAX: u32 = 1 << 20;

/// gRPC's status of a call without an answer.
const UNAVAILABLE: i32 = 14;

/// What we call ourselves in `user-agent`.
pub const USER_AGENT: &str = concat!("foreglow/", env!("CARGO_PKG_VERSION"));

/// A client; clone = refcount.
#[derive(Clone)]
pub struct Client {
    pool: hyper_util::client::legacy::Client<Connector, Parts>,
    auth: Option<Arc<dyn ClientAuth>>,
    http2: bool,
    calls: Option<CallMeter>,
}

/// What a client is made of besides its URLs.
#[derive(Clone, Default)]
pub struct Settings {
    /// HTTP/2 from the first byte, else what the TLS handshake agrees on, or HTTP/1.1.
    pub http2: bool,
    /// For `https` URLs.
    pub tls: Option<ClientTls>,
    /// Who we are.
    pub auth: Option<Arc<dyn ClientAuth>>,
    /// Pings on HTTP/2 connections.
    pub pings: Option<Pings>,
    /// How long an idle connection is kept; `None` = [`IDLE_TIME_MAX`].
    pub idle_time_max: Option<Duration>,
    /// Idle connections to one peer; `None` = [`IDLE_CONNECTIONS_MAX`].
    pub idle_connections_max: Option<usize>,
    /// Counts requests, where all details are counted.
    pub calls: Option<CallMeter>,
    /// A unix domain socket that everything goes to, whatever the URLs say.
    pub unix: Option<PathBuf>,
}

/// Pings on HTTP/2 connections.
#[derive(Clone, Copy, Debug)]
pub struct Pings {
    /// After this long without traffic.
    pub interval: Duration,
    /// How long the answer may take.
    pub timeout: Duration,
    /// With no request under way, too.
    pub while_idle: bool,
}

/// gRPC's shortest time between pings; servers close connections that ping more often.
const PING_INTERVAL_MIN: Duration = Duration::from_secs(10);

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// HTTP version.
    pub version: Version,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, cut at 64 KiB unless the caller wanted more.
    pub body: Bytes,
    /// Trailers; empty for HTTP/1.1 peers.
    pub trailers: HeaderMap,
}

impl Client {
    /// The client of a gRPC component.
    ///
    /// # Errors
    /// `Invalid` when a certificate cannot be read or there is no such authenticator.
    pub fn grpc(config: &GrpcClient, context: &Component) -> Result<Self> {
        let pings = config.keepalive.map(|keepalive| Pings {
            interval: keepalive.time.get().max(PING_INTERVAL_MIN),
            timeout: keepalive.timeout.get(),
            while_idle: keepalive.permit_without_stream,
        });
        Ok(Client::with(Settings {
            http2: true,
            tls: config.client_tls()?,
            auth: authenticator(config.auth.as_ref(), context)?,
            pings,
            calls: CallMeter::client(context.host.telemetry()),
            unix: config.unix().map(PathBuf::from),
            ..Settings::default()
        }))
    }

    /// The client of an HTTP component that sends to `urls`.
    ///
    /// # Errors
    /// `Invalid` when a certificate cannot be read or there is no such authenticator.
    pub fn http<'a>(
        config: &HttpClient,
        urls: impl IntoIterator<Item = &'a Uri>,
        context: &Component,
    ) -> Result<Self> {
        let is_tls = urls.into_iter().any(|url| url.scheme_str() == Some("https"));
        let idle = config.max_idle_conns_per_host.filter(|n| *n > 0).or(config.max_idle_conns);
        Ok(Client::with(Settings {
            http2: false,
            tls: is_tls.then(|| config.client_tls()).transpose()?,
            auth: authenticator(config.auth.as_ref(), context)?,
            pings: config.pings().map(|(interval, timeout)| Pings {
                interval,
                timeout,
                while_idle: true,
            }),
            idle_time_max: config.idle_conn_timeout.and_then(|time| time.nonzero()),
            idle_connections_max: match config.disable_keep_alives {
                true => Some(0),
                false => idle.filter(|n| *n > 0).map(|n| n as usize),
            },
            calls: CallMeter::client(context.host.telemetry()),
            unix: None,
        }))
    }

    /// A client of these settings.
    pub fn with(settings: Settings) -> Self {
        let mut builder = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(settings.idle_time_max.unwrap_or(IDLE_TIME_MAX))
            .pool_max_idle_per_host(settings.idle_connections_max.unwrap_or(IDLE_CONNECTIONS_MAX))
            .http2_only(settings.http2)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_max_frame_size(FRAME_SIZE_MAX);
        if let Some(pings) = settings.pings {
            builder
                .http2_keep_alive_interval(pings.interval)
                .http2_keep_alive_timeout(pings.timeout)
                .http2_keep_alive_while_idle(pings.while_idle);
        }
        Client {
            pool: builder.build(Connector::new(settings.tls).over(settings.unix.as_deref())),
            auth: settings.auth,
            http2: settings.http2,
            calls: settings.calls,
        }
    }

    /// Sends `request` and reads the whole answer.
    ///
    /// # Errors
    /// `Retry` when there was no complete answer; what an answer means is the caller's.
    pub async fn send(&self, request: Request<Parts>) -> Result<Answer> {
        self.send_up_to(request, ANSWER_BYTES_MAX).await
    }

    /// As [`Client::send`], reading at most `answer_bytes_max` of the answer's body.
    ///
    /// # Errors
    /// As there.
    pub async fn send_up_to(
        &self,
        request: Request<Parts>,
        answer_bytes_max: usize,
    ) -> Result<Answer> {
        let Some(calls) = &self.calls else {
            return self.exchange(request, answer_bytes_max).await;
        };
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let request_bytes = request.body().size_hint().lower();
        let begun = Instant::now();
        let outcome = self.exchange(request, answer_bytes_max).await;
        let (answer, seconds) = (outcome.as_ref().ok(), begun.elapsed().as_secs_f64());
        if self.http2 {
            let code = answer.map_or(UNAVAILABLE, crate::net::answer::grpc_status);
            calls.grpc(uri.path(), code, seconds);
        } else {
            calls.http(&Ended {
                server: uri.authority().map_or("", |authority| authority.as_str()),
                scheme: uri.scheme_str().unwrap_or("http"),
                method: &method,
                route: None,
                version: answer.map_or(Version::HTTP_11, |answer| answer.version),
                status: answer.map(|answer| answer.status),
                seconds,
                request_bytes,
                answer_bytes: 0,
            });
        }
        outcome
    }

    async fn exchange(
        &self,
        mut request: Request<Parts>,
        answer_bytes_max: usize,
    ) -> Result<Answer> {
        if let Some(auth) = &self.auth {
            auth.add_to(request.headers_mut())?;
        }
        let uri = request.uri().clone();
        let failed = |what: &str, cause: &dyn std::error::Error| {
            Error::retry(format!("{what} {uri}: {}", root_cause(cause)))
        };
        let response =
            self.pool.request(request).await.map_err(|e| failed("cannot send to", &e))?;
        let (parts, mut body) = response.into_parts();
        let mut read = BytesMut::new();
        let mut trailers = HeaderMap::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| failed("cannot read the answer of", &e))?;
            match frame.into_data() {
                Ok(data) => {
                    let room = answer_bytes_max - read.len();
                    read.extend_from_slice(&data[..data.len().min(room)]);
                }
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        let (status, version, headers) = (parts.status, parts.version, parts.headers);
        Ok(Answer { status, version, headers, body: read.freeze(), trailers })
    }
}

fn authenticator(
    config: Option<&Auth>,
    context: &Component,
) -> Result<Option<Arc<dyn ClientAuth>>> {
    let find = |auth: &Auth| context.host.authenticators().client(&auth.authenticator);
    config.map(find).transpose()
}

/// The innermost error says what happened ("connection refused"), the outer ones only where.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    let text = root.to_string();
    match text.contains("InvalidContentType") {
        // What rustls says when the first bytes that come back are of no TLS record.
        true => format!(
            "the peer does not speak TLS ({text}); plain text wants tls: {{insecure: true}}, or http:// in a URL"
        ),
        false => text,
    }
}

/// A body of a few ready pieces, sent without copying them together.
#[derive(Default)]
pub struct Parts(VecDeque<Bytes>);

impl Parts {
    /// A body of `pieces`.
    pub fn new(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Parts(pieces.into_iter().filter(|piece| !piece.is_empty()).collect())
    }
}

impl Body for Parts {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

/// Headers from configuration.
///
/// # Errors
/// `Invalid`, naming the header that is none.
pub fn headers<'a>(
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let wrong = |_| Error::invalid(format!("header {name:?} is not a valid HTTP header"));
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong(()))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong(()))?;
        value.set_sensitive(true);
        headers.insert(parsed, value);
    }
    Ok(headers)
}
