// SPDX-License-Identifier: Apache-2.0
//! OTLP/HTTP with protobuf, one keep-alive connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use otlp_wire::{Payload, Signal};

/// Longest wait for an answer: a live source does not wait for yesterday's data.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Sends payloads to one server.
pub struct Sender {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
    failing: AtomicBool,
}

impl Sender {
    /// A sender to `endpoint`, an `http://host:port` address.
    pub fn new(endpoint: &str) -> Result<Self> {
        ensure!(
            endpoint.starts_with("http://"),
            "endpoint {endpoint:?} is not an http:// address, e.g. http://127.0.0.1:4318"
        );
        let base = endpoint.trim_end_matches('/').to_owned();
        base.parse::<http::Uri>().with_context(|| format!("endpoint {endpoint:?}"))?;
        Ok(Sender {
            base,
            client: Client::builder(TokioExecutor::new()).build_http(),
            failing: AtomicBool::new(false),
        })
    }

    /// Returns when the server takes a request (an empty one).
    pub async fn wait_until_there(&self) {
        while self.post(Signal::Metrics, Bytes::new()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Sends `payload`; a failure is logged once until the next success.
    pub async fn send(&self, payload: &Payload) {
        if payload.is_empty() {
            return;
        }
        match self.post(payload.signal(), payload.bytes().clone()).await {
            Ok(()) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(endpoint = self.base, "demo telemetry flows again");
                }
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(endpoint = self.base, %error, "demo telemetry not accepted");
                }
            }
        }
    }

    async fn post(&self, signal: Signal, body: Bytes) -> Result<()> {
        let request = Request::post(format!("{}/v1/{}", self.base, signal.name()))
            .header(http::header::CONTENT_TYPE, "application/x-protobuf")
            .body(Full::new(body))?;
        let answer = tokio::time::timeout(TIMEOUT, self.client.request(request))
            .await
            .context("no answer in time")??;
        let status = answer.status();
        // The connection is used again only when its answer has been read.
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
        Ok(())
    }
}
