// SPDX-License-Identifier: Apache-2.0
//! The HTTP client under every exporter: pooled connections, plaintext, HTTP/1.1 or HTTP/2.
//!
//! Pooling, reconnecting and multiplexing are hyper-util's. A pooled connection that the peer
//! closed while idle is not a failure: the request goes again over a new one if nothing of it was
//! sent. Connections idle for [`IDLE_TIME_MAX`] are closed.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use basics::{Error, Result};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// The collector's `idle_conn_timeout`.
const IDLE_TIME_MAX: Duration = Duration::from_secs(90);
/// A peer that does not even accept a connection in this time is down.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Idle connections kept to one peer: one for each default consumer.
const IDLE_CONNECTIONS_MAX: usize = 10;
/// Most of an answer that is read; the collector's cap. Answers are statuses of a few bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// As the receiver's: windows and frames that let one request go out without waiting.
const STREAM_WINDOW: u32 = 4 << 20;
const FRAME_SIZE_MAX: u32 = 1 << 20;

/// What we call ourselves in `user-agent`.
pub const USER_AGENT: &str = concat!("foreglow/", env!("CARGO_PKG_VERSION"));

/// A client; clone = refcount.
#[derive(Clone)]
pub struct Client(hyper_util::client::legacy::Client<HttpConnector, Parts>);

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, cut at 64 KiB unless the caller wanted more.
    pub body: Bytes,
    /// Trailers; empty for HTTP/1.1 peers.
    pub trailers: HeaderMap,
}

impl Client {
    /// A client that speaks HTTP/2 from the first byte if `http2`, else HTTP/1.1.
    pub fn new(http2: bool) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIME_MAX));
        connector.enforce_http(true);
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http2_only(http2)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_max_frame_size(FRAME_SIZE_MAX)
            .build(connector);
        Client(client)
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
        let uri = request.uri().clone();
        let failed = |what: &str, cause: &dyn std::error::Error| {
            Error::retry(format!("{what} {uri}: {}", root_cause(cause)))
        };
        let response = self.0.request(request).await.map_err(|e| failed("cannot send to", &e))?;
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
        Ok(Answer { status: parts.status, headers: parts.headers, body: read.freeze(), trailers })
    }
}

/// The innermost error says what happened ("connection refused"), the outer ones only where.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
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
