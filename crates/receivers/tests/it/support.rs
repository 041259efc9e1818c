// SPDX-License-Identifier: Apache-2.0
//! A pipeline that keeps what it gets, a running OTLP receiver, and a plain HTTP client.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use basics::{Clock, Error, Result};
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use otlp_wire::Signal;
use parking_lot::Mutex;
use pipeline::{Batch, Budget, Consumer, Context, Delivered, Host, Inlets, Receiver};
use receivers::otlp::{Config, Otlp};

/// Keeps batches; answers with `refuse` if set.
#[derive(Default)]
pub struct Capture {
    pub batches: Mutex<Vec<Batch>>,
    pub refuse: Mutex<Option<Error>>,
    /// What it says of a batch it takes.
    pub verdict: Mutex<Delivered>,
}

#[async_trait]
impl Consumer for Capture {
    async fn consume(&self, mut batch: Batch) -> Result<()> {
        let outcome = self.refuse.lock().clone().map_or(Ok(()), Err);
        let acks = std::mem::replace(&mut batch.acks, pipeline::Acks::none());
        let verdict = self.verdict.lock().clone();
        acks.settle_as(outcome.clone().map(|()| verdict));
        if outcome.is_ok() {
            self.batches.lock().push(batch);
        }
        outcome
    }
}

/// A context with its own host and the real clock.
pub fn context() -> Context {
    let dir = std::env::temp_dir();
    let host = Host::with(dir, Clock::system(), Budget::new(256 << 20));
    Context {
        id: "otlp".into(),
        signal: Signal::Traces,
        pipeline: "".into(),
        clock: Clock::system(),
        host,
    }
}

/// A running receiver on free ports.
pub struct Running {
    pub receiver: Otlp,
    pub capture: Arc<Capture>,
    pub context: Context,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
}

/// Settings on free ports; `http` and `grpc` are further JSON members of each.
pub fn config(grpc: &str, http: &str) -> Config {
    let endpoint = r#""endpoint":"127.0.0.1:0""#;
    let json =
        format!(r#"{{"protocols":{{"grpc":{{{endpoint}{grpc}}},"http":{{{endpoint}{http}}}}}}}"#);
    let mut value: serde_json::Value = serde_json::from_str(&json).expect("valid");
    let http = value["protocols"]["http"].clone();
    // What the YAML decoder does for keys that stand among others.
    value["protocols"]["http"]["..server"] = http;
    serde_json::from_value(value).expect("valid")
}

/// Starts a receiver for all signals.
pub async fn start(config: Config) -> Running {
    let capture = Arc::new(Capture::default());
    let inlet: Arc<dyn Consumer> = capture.clone();
    let inlets =
        Inlets { traces: Some(inlet.clone()), metrics: Some(inlet.clone()), logs: Some(inlet) };
    let context = context();
    let receiver = Otlp::new(Arc::new(config), context.clone(), inlets);
    receiver.start().await.expect("free ports");
    let addresses = receiver.addresses();
    Running { receiver, capture, context, grpc: addresses[0], http: addresses[1] }
}

/// An answer with its body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// A header as text, empty if absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }
}

/// Sends one request over its own connection.
pub async fn send(
    method: &str,
    to: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut request = Request::builder().method(method).uri(format!("http://{to}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).expect("a request");
    let response = client.request(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// `plain` as gzip.
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(Default::default());
    let mut out = vec![0; compressor.gzip_compress_bound(plain.len())];
    let length = compressor.gzip_compress(plain, &mut out).expect("fits its bound");
    out.truncate(length);
    out
}
