// SPDX-License-Identifier: Apache-2.0
//! OTLP over gRPC, and Jaeger's gRPC, on hyper's HTTP/2: unary calls whose message stays bytes.
//!
//! A unary call is one length-prefixed message in and one out, with the status in trailers, so
//! this is less code than a codec for a gRPC framework, and it keeps what a framework hides: the
//! length before the body is read (admission), the compressed message as received (it may go out
//! again as it is), and the bound while inflating.
//!
//! ```text
//! message = flag u8 (1 = compressed by grpc-encoding) | length u32 big endian | length bytes
//! ```
//! Source: grpc/doc/PROTOCOL-HTTP2.md; opentelemetry-proto, docs/specification.md.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::net::listen::{self, Serving};
use base64::Engine;
use basics::error::grpc_message;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use otlp_wire::Signal;
use pipeline::auth::{AuthData, ServerAuth};
use pipeline::config::shared::GrpcServer;
use pipeline::telemetry::{CallMeter, ReceiverMeter};

use super::door::{self, Door, Form, Refusal};
use super::status::{self, Status, code};
use super::{CONNECTION_WINDOW, FRAME_SIZE_MAX, REQUEST_BYTES_MAX, STREAM_WINDOW, STREAMS_MAX};
use crate::net::body::{self, BODY_TIME_MAX, BodyError};
use crate::net::inflate;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Bytes before each message.
const PREFIX: usize = 5;

/// gRPC's defaults for a server: a ping after two idle hours, 20 s for the answer.
const PING_INTERVAL: Duration = Duration::from_secs(2 * 3600);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Whose calls are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// The export services of OTLP.
    Otlp,
    /// `PostSpans` of Jaeger.
    Jaeger,
}

impl Protocol {
    /// Largest message unless a key says otherwise: Jaeger's own limit for its protocol, of which
    /// objects are made.
    fn bytes_max(self) -> usize {
        match self {
            Protocol::Otlp => REQUEST_BYTES_MAX,
            Protocol::Jaeger => 4 << 20,
        }
    }

    /// What comes by calls of this path.
    fn signal(self, path: &str) -> Option<Signal> {
        match (self, path) {
            (Protocol::Otlp, "/opentelemetry.proto.collector.trace.v1.TraceService/Export")
            | (Protocol::Jaeger, "/jaeger.api_v2.CollectorService/PostSpans") => {
                Some(Signal::Traces)
            }
            (Protocol::Otlp, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export") => {
                Some(Signal::Metrics)
            }
            (Protocol::Otlp, "/opentelemetry.proto.collector.logs.v1.LogsService/Export") => {
                Some(Signal::Logs)
            }
            _ => None,
        }
    }
}

/// Settings of the service.
#[derive(Clone)]
pub(crate) struct Service {
    /// Whose calls it answers.
    pub protocol: Protocol,
    /// Largest message, compressed and plain, in bytes.
    pub limit: usize,
    /// Keep request headers as metadata.
    pub include_metadata: bool,
    /// Who may send.
    pub auth: Option<Arc<dyn ServerAuth>>,
    /// Counts items taken and refused.
    pub meter: ReceiverMeter,
    /// Counts calls, where all details are counted.
    pub calls: Option<CallMeter>,
}

/// Listens at `endpoint` and hands what comes to `door`.
pub(crate) async fn serve(
    protocol: Protocol,
    config: &GrpcServer,
    endpoint: &str,
    context: &pipeline::Context,
    door: &Arc<Door>,
) -> basics::Result<Serving> {
    let rules = config.rules("grpc")?;
    let service = Arc::new(Service {
        protocol,
        limit: config.message_bytes_max(protocol.bytes_max()),
        include_metadata: config.include_metadata,
        auth: super::server_auth(context, config.auth.as_ref())?,
        meter: ReceiverMeter::new(context.host.telemetry(), &context.id, "grpc"),
        calls: CallMeter::server(context.host.telemetry()),
    });
    let streams = match config.max_concurrent_streams {
        0 => STREAMS_MAX,
        streams => streams,
    };
    let keepalive = config.keepalive.server_parameters;
    let ping = keepalive.time.nonzero().unwrap_or(PING_INTERVAL);
    let pong = keepalive.timeout.nonzero().unwrap_or(PING_TIMEOUT);
    let door = door.clone();
    let listener = context.host.listeners().bind(endpoint).await?;
    let serving = listen::serve(listener, rules, move |stream, peer, activity| {
        let (door, service) = (door.clone(), service.clone());
        let service = service_fn(move |request| {
            let call = call(door.clone(), service.clone(), peer, request);
            let busy = activity.begin();
            async move {
                let _busy = busy;
                Ok::<_, Infallible>(call.await)
            }
        });
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_SIZE_MAX)
            .max_concurrent_streams(streams)
            .keep_alive_interval(Some(ping))
            .keep_alive_timeout(pong);
        builder.serve_connection(TokioIo::new(stream), service)
    });
    serving.map_err(|e| basics::Error::invalid("cannot listen").caused_by(e))
}

/// Answers one call.
async fn call(
    door: Arc<Door>,
    service: Arc<Service>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<Unary> {
    if !is_grpc(request.headers()) {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let timed = service.calls.as_ref().map(|calls| {
        let path = request.uri().path();
        let path = service.protocol.signal(path).map(|_| path.to_owned());
        (calls, path.unwrap_or_else(|| "_OTHER".to_owned()), Instant::now())
    });
    let outcome = export(&door, &service, peer, request).await;
    if let Some((calls, path, begun)) = timed {
        let code = outcome.as_ref().map_or_else(|status| status.code, |_| 0);
        calls.grpc(&path, code, begun.elapsed().as_secs_f64());
    }
    match outcome {
        Ok(message) => success(&message),
        Err(status) => failure(&status),
    }
}

async fn export(
    door: &Door,
    service: &Service,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Bytes, Status> {
    let signal = service.protocol.signal(request.uri().path());
    let Some(signal) = signal.filter(|signal| door.inlets.of(*signal).is_some()) else {
        let message = format!("unknown service or no pipeline for it: {}", request.uri().path());
        return Err(Status { code: code::UNIMPLEMENTED, ..Status::invalid(message) });
    };
    let auth = match &service.auth {
        None => AuthData::new(),
        Some(auth) => auth
            .authenticate(request.headers())
            .await
            .map_err(|denied| Status::unauthenticated(denied.message))?,
    };
    let (parts, mut stream) = request.into_parts();
    let named = parts.headers.get(ENCODING).map_or("", |v| v.to_str().unwrap_or("?"));
    let encoding = inflate::from_name(named).map_err(|unknown| Status {
        code: code::UNIMPLEMENTED,
        ..Status::invalid(format!("grpc-encoding {unknown:?} is not supported"))
    })?;
    let begun = begin(&mut stream).await.map_err(|e| body_status(&e, service.limit))?;
    let (bytes, permit) = match announced(&begun) {
        Some(length) if length > service.limit => Err(BodyError::TooLarge { limit: service.limit }),
        announced => {
            let declared = announced.map(|length| length + PREFIX);
            let limit = service.limit.saturating_add(PREFIX);
            body::read_on(begun, stream, declared, limit, None, &door.budget).await
        }
    }
    .map_err(|e| body_status(&e, service.limit))?;
    let (compressed, message) = unframe(&bytes)?;
    let encoding = match (compressed, encoding) {
        (false, _) => None,
        (true, Some(encoding)) => Some(encoding),
        (true, None) => {
            let message = "message is flagged as compressed but grpc-encoding is missing";
            return Err(Status { code: code::INTERNAL, ..Status::invalid(message) });
        }
    };
    let request = door::Request {
        signal,
        form: match service.protocol {
            Protocol::Otlp => Form::Protobuf,
            Protocol::Jaeger => Form::Jaeger,
        },
        encoding,
        bytes: message,
        limit: service.limit,
        peer,
        headers: service.include_metadata.then_some(&parts.headers),
        auth,
    };
    let taken = door.take(request, permit, &service.meter).await;
    let delivered = taken.map_err(|refusal| Status::from(&refusal))?;
    Ok(match service.protocol {
        Protocol::Otlp => status::success(signal, &delivered, false),
        // It has no word for what was rejected.
        Protocol::Jaeger => Bytes::new(),
    })
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let value = value.split(';').next().unwrap_or("").trim();
    value == "application/grpc" || value == "application/grpc+proto"
}

/// Reads until the message prefix is complete; what comes with it comes too. A client that only
/// opens its call is given up like one that stalls in the middle.
async fn begin<B>(stream: &mut B) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let read = async {
        let mut begun = Bytes::new();
        while begun.len() < PREFIX {
            let Some(frame) = stream.frame().await else { break };
            let frame = frame.map_err(|e| BodyError::Broken(e.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            begun = if begun.is_empty() { data } else { [&begun[..], &data[..]].concat().into() };
        }
        Ok(begun)
    };
    let late = |_| BodyError::Broken(format!("no message after {BODY_TIME_MAX:?}"));
    tokio::time::timeout(BODY_TIME_MAX, read).await.map_err(late)?
}

/// The length that the message prefix announces.
fn announced(begun: &[u8]) -> Option<usize> {
    let (&[_, a, b, c, d], _) = begun.split_first_chunk::<PREFIX>()?;
    Some(u32::from_be_bytes([a, b, c, d]) as usize)
}

fn unframe(bytes: &Bytes) -> Result<(bool, Bytes), Status> {
    let broken = |message: &str| Status { code: code::INTERNAL, ..Status::invalid(message) };
    let Some((&[flag, a, b, c, d], _)) = bytes.split_first_chunk::<PREFIX>() else {
        return Err(broken("request has no complete gRPC message"));
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if flag > 1 {
        return Err(broken("gRPC message has an unknown flag"));
    }
    if bytes.len() - PREFIX != length {
        return Err(broken("gRPC message is not as long as its prefix says"));
    }
    Ok((flag == 1, bytes.slice(PREFIX..)))
}

fn body_status(error: &BodyError, limit: usize) -> Status {
    match error {
        BodyError::TooLarge { .. } => Status::from(&Refusal::TooLarge(format!(
            "message is larger than the limit of {limit} bytes"
        ))),
        BodyError::Broken(why) => Status {
            code: code::INTERNAL,
            ..Status::invalid(format!("cannot read the request: {why}"))
        },
        BodyError::Refused(error) => Status::from(error),
    }
}

fn success(answer_bytes: &[u8]) -> Response<Unary> {
    let mut message = BytesMut::with_capacity(PREFIX + answer_bytes.len());
    message.put_u8(0);
    message.put_u32(answer_bytes.len() as u32);
    message.put_slice(answer_bytes);
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    answer(Unary { message: Some(message.freeze()), trailers: Some(trailers) })
}

/// Status in the headers and no body: what gRPC calls trailers-only.
fn failure(status: &Status) -> Response<Unary> {
    let mut response = answer(Unary::default());
    let headers = response.headers_mut();
    headers.insert(STATUS, HeaderValue::from(status.code));
    let message = HeaderValue::from_str(&grpc_message(&status.message));
    headers.insert(MESSAGE, message.unwrap_or(HeaderValue::from_static("error")));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip,zstd,snappy,deflate,identity"));
    if status.retry_after.is_some() {
        let details = base64::engine::general_purpose::STANDARD_NO_PAD.encode(status.to_proto());
        if let Ok(value) = HeaderValue::from_str(&details) {
            headers.insert(DETAILS, value);
        }
    }
    response
}

fn answer(body: Unary) -> Response<Unary> {
    let mut response = Response::new(body);
    let value = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(http::header::CONTENT_TYPE, value);
    response
}

fn plain(status: StatusCode) -> Response<Unary> {
    let mut response = Response::new(Unary::default());
    *response.status_mut() = status;
    response
}

/// The answer to a unary call: at most one message, then trailers.
#[derive(Default)]
pub(crate) struct Unary {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body for Unary {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(message) = self.message.take() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.message.as_ref().map_or(0, |m| m.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::StreamBody;

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_message_does_not_come_is_given_up() {
        let frame = futures::stream::once(async { Ok(Frame::data(Bytes::from_static(&[0, 0]))) });
        let mut silent = StreamBody::new(futures::stream::pending::<Result<_, String>>());
        assert!(matches!(begin(&mut silent).await, Err(BodyError::Broken(_))));
        let stalls =
            futures::StreamExt::chain(frame, futures::stream::pending::<Result<_, String>>());
        let mut stalls = StreamBody::new(Box::pin(stalls));
        assert!(matches!(begin(&mut stalls).await, Err(BodyError::Broken(_))));
    }
}
