// SPDX-License-Identifier: Apache-2.0
//! Switching a shop's faults on for a while: `PUT /admin/faults`, and back to what they were.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Longest answer that is read.
const ANSWER_MAX: usize = 64 << 10;

/// The faults of one shop.
pub struct Faults {
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
    before: Value,
}

impl Faults {
    /// Switches `faults` on at `http://host:port`; none when it has nothing of that kind.
    ///
    /// # Errors
    /// When it cannot be reached, or refuses these faults.
    pub async fn switch_on(url: &str, faults: &Value) -> Result<Option<Faults>> {
        let url = format!("{}/admin/faults", url.trim_end_matches('/'));
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut all = Faults { url, client, before: Value::Null };
        let (status, before) = all.ask(Method::GET, Bytes::new()).await?;
        all.before = serde_json::from_slice(&before).unwrap_or_default();
        if status != StatusCode::OK || all.before.get("error_rate").is_none() {
            return Ok(None);
        }
        all.set(faults).await?;
        Ok(Some(all))
    }

    /// Sets them to what they were.
    ///
    /// # Errors
    /// When that fails: the shop keeps its faults then.
    pub async fn restore(self) -> Result<()> {
        self.set(&self.before).await
    }

    async fn set(&self, faults: &Value) -> Result<()> {
        let (status, body) = self.ask(Method::PUT, serde_json::to_vec(faults)?.into()).await?;
        let said = String::from_utf8_lossy(&body);
        ensure!(status == StatusCode::OK, "{}: {status}: {said}", self.url);
        Ok(())
    }

    async fn ask(&self, method: Method, body: Bytes) -> Result<(StatusCode, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let answer = self.client.request(request).await;
        let answer = answer.with_context(|| format!("cannot reach {}", self.url))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("{}: {error}", self.url))?;
        Ok((status, body.to_bytes()))
    }
}
