// SPDX-License-Identifier: Apache-2.0
//! A back end that misbehaves on request: OTLP over gRPC and HTTP, remote write, anything posted.
//!
//! It keeps what it was sent (inflated) in order of arrival and answers success, unless faults are
//! queued: each request takes the next one. One listener speaks HTTP/1.1 and HTTP/2; a request with
//! a gRPC content type is answered as a gRPC call.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// How long [`Backend::wait_for`] waits before the test fails.
const DEADLINE: Duration = Duration::from_secs(20);

/// How one request is mistreated.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The connection is cut without an answer.
    Reset,
    /// The answer is success, but after this long.
    Slow(Duration),
    /// This gRPC status, with `RetryInfo` if a wait is given.
    Grpc {
        /// `google.rpc.Code`.
        code: i32,
        /// Whole seconds.
        retry_after: Option<u64>,
    },
    /// This HTTP status, with `Retry-After` if given.
    Http {
        /// Status.
        status: u16,
        /// Header value.
        retry_after: Option<&'static str>,
    },
    /// Success, but for some items.
    Partial {
        /// Items refused.
        rejected: u8,
        /// What is said about them.
        message: &'static str,
    },
    /// Success with this body.
    Body(&'static [u8]),
}

/// One request that arrived, whatever was answered.
#[derive(Clone, Debug)]
pub struct Received {
    /// Path of the URL.
    pub path: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body as sent, without gRPC framing.
    pub sent: Bytes,
    /// Body inflated.
    pub body: Bytes,
    /// True if the answer was (partial) success.
    pub accepted: bool,
}

#[derive(Default)]
struct State {
    received: Mutex<Vec<Received>>,
    faults: Mutex<VecDeque<Fault>>,
    connections: Mutex<usize>,
    arrived: Notify,
}

/// The back end; stops when dropped.
pub struct Backend {
    address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Backend {
    /// Listens on a free port of the loopback interface.
    pub async fn start() -> Backend {
        Backend::start_on("127.0.0.1:0".parse().expect("an address")).await
    }

    /// Listens on `address`, as after a restart.
    pub async fn start_on(address: SocketAddr) -> Backend {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option");
        socket.bind(address).expect("a free port");
        let listener = socket.listen(64).expect("a listener");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State::default());
        let task = tokio::spawn(serve(listener, state.clone()));
        Backend { address, state, task }
    }

    /// Stops at once, cutting connections; the address is free when this returns.
    pub async fn stop(mut self) {
        self.task.abort();
        // Cancelled, as wished.
        let _ = (&mut self.task).await;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://address`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next requests fail so, one each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.faults.lock().extend(faults);
    }

    /// Everything that arrived so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().clone()
    }

    /// What arrived and was answered with success.
    pub fn accepted(&self) -> Vec<Received> {
        self.received().into_iter().filter(|received| received.accepted).collect()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        *self.state.connections.lock()
    }

    /// Waits until `count` requests have been accepted.
    ///
    /// # Panics
    /// When they have not after 20 s.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let enough = async {
            loop {
                let arrived = self.state.arrived.notified();
                let accepted = self.accepted();
                if accepted.len() >= count {
                    return accepted;
                }
                arrived.await;
            }
        };
        match tokio::time::timeout(DEADLINE, enough).await {
            Ok(accepted) => accepted,
            Err(_) => panic!("waited for {count} requests, got {:?}", self.received()),
        }
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        *state.connections.lock() += 1;
        let state = state.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(state.clone(), request));
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            // A cut connection is what some tests want.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Body = BoxBody<Bytes, Infallible>;

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, String> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|e| e.to_string())?.to_bytes();
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
    let grpc = header("content-type").starts_with("application/grpc");
    let (sent, encoding) = match (grpc, body.first()) {
        (true, Some(flag)) => {
            let encoding = if *flag == 1 { header("grpc-encoding") } else { "" };
            (body.slice(5..), encoding)
        }
        _ => (body, header("content-encoding")),
    };
    let plain = inflate(encoding, &sent);
    let fault = state.faults.lock().pop_front();
    if let Some(Fault::Slow(wait)) = &fault {
        tokio::time::sleep(*wait).await;
    }
    let accepted =
        matches!(fault, None | Some(Fault::Slow(_) | Fault::Partial { .. } | Fault::Body(_)));
    let path = parts.uri.path().to_owned();
    let json = header("content-type").starts_with("application/json");
    let received = Received { path, headers: parts.headers.clone(), sent, body: plain, accepted };
    state.received.lock().push(received);
    state.arrived.notify_waiters();
    match fault {
        Some(Fault::Reset) => Err("reset".to_owned()),
        Some(fault) => Ok(failed(&fault, grpc, json)),
        None => Ok(success(grpc, json, &[])),
    }
}

fn failed(fault: &Fault, grpc: bool, json: bool) -> Response<Body> {
    match fault {
        Fault::Grpc { code, retry_after } => {
            let mut response = Response::new(full(Bytes::new()));
            let headers = response.headers_mut();
            headers.insert("content-type", HeaderValue::from_static("application/grpc"));
            headers.insert("grpc-status", HeaderValue::from(*code));
            headers.insert("grpc-message", HeaderValue::from_static("as%20ordered"));
            if let Some(seconds) = retry_after {
                let details = retry_info(*code, *seconds);
                let value = HeaderValue::from_str(&details).expect("base64");
                headers.insert("grpc-status-details-bin", value);
            }
            response
        }
        Fault::Http { status, retry_after } => {
            let mut response = Response::new(full(Bytes::from_static(b"as ordered")));
            *response.status_mut() = http::StatusCode::from_u16(*status).expect("a status");
            if let Some(value) = retry_after {
                response.headers_mut().insert("retry-after", HeaderValue::from_static(value));
            }
            response
        }
        Fault::Partial { rejected, message } => {
            if json {
                let text = format!(
                    r#"{{"partialSuccess":{{"rejectedSpans":"{rejected}","errorMessage":"{message}"}}}}"#
                );
                return Response::new(full(Bytes::from(text)));
            }
            let mut partial = vec![0x08, *rejected, 0x12, message.len() as u8];
            partial.extend_from_slice(message.as_bytes());
            let mut body = vec![0x0a, partial.len() as u8];
            body.extend_from_slice(&partial);
            success(grpc, json, &body)
        }
        Fault::Body(body) => success(grpc, json, body),
        Fault::Slow(_) | Fault::Reset => success(grpc, json, &[]),
    }
}

fn success(grpc: bool, json: bool, body: &[u8]) -> Response<Body> {
    if !grpc {
        let empty: &[u8] = if json { b"{}" } else { b"" };
        let body = if body.is_empty() { empty } else { body };
        return Response::new(full(Bytes::copy_from_slice(body)));
    }
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(body.len() as u32);
    message.put_slice(body);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(message.freeze()).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(body.boxed());
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    response
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).boxed()
}

/// `google.rpc.Status { code, details: [RetryInfo { retry_delay }] }` in unpadded base64.
fn retry_info(code: i32, seconds: u64) -> String {
    let url = b"type.googleapis.com/google.rpc.RetryInfo";
    let info = [0x0a, 2, 0x08, seconds as u8];
    let mut any = vec![0x0a, url.len() as u8];
    any.extend_from_slice(url);
    any.extend_from_slice(&[0x12, info.len() as u8]);
    any.extend_from_slice(&info);
    let mut status = vec![0x08, code as u8, 0x1a, any.len() as u8];
    status.extend_from_slice(&any);
    base64(&status)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            out.push(DIGITS[(word >> (18 - 6 * at)) as usize & 63] as char);
        }
    }
    out
}

/// `body` without its `encoding`.
///
/// # Panics
/// When it is not of that encoding: what a test wants to know.
pub fn inflate(encoding: &str, body: &Bytes) -> Bytes {
    match encoding {
        "" | "identity" => body.clone(),
        "gzip" => {
            let [.., a, b, c, d] = body[..] else { panic!("gzip without a trailer") };
            let mut out = vec![0; u32::from_le_bytes([a, b, c, d]) as usize];
            let length = libdeflater::Decompressor::new().gzip_decompress(body, &mut out);
            out.truncate(length.expect("valid gzip"));
            out.into()
        }
        "zstd" => zstd::stream::decode_all(&body[..]).expect("valid zstd").into(),
        "snappy" if body.starts_with(b"\xff\x06\x00\x00sNaPpY") => {
            let mut out = Vec::new();
            let mut frames = snap::read::FrameDecoder::new(&body[..]);
            std::io::Read::read_to_end(&mut frames, &mut out).expect("valid framed snappy");
            out.into()
        }
        "snappy" => snap::raw::Decoder::new().decompress_vec(body).expect("valid snappy").into(),
        other => panic!("encoding {other}"),
    }
}
