// SPDX-License-Identifier: Apache-2.0
//! Exporter `jaeger_thrift`: spans to a Jaeger collector's HTTP port (14268), in Thrift.
//!
//! As [`crate::jaeger`], in the other encoding: a POST for each resource of a batch, in order. 5xx
//! (Jaeger answers 500 when its queue is full), 429 and network errors are tried again, other
//! refusals are final.

use std::sync::Arc;

use async_trait::async_trait;
use basics::{Error, Kind, Result};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Uri};
use otlp_wire::Signal;
use pipeline::component::{Alias, ExporterFactory};
use pipeline::config::shared::{HttpClient, Retry, SendingQueue};
use pipeline::config::{Checker, ComponentConfig, Duration};
use pipeline::{Batch, Context, Encoding};
use serde::Deserialize;

use crate::delivery::{Delivery, Push, Pushed, Unsent};
use crate::jaeger::{push, thrift};
use crate::net::client::{self, Client, Parts};
use crate::net::{answer, compress};
use crate::settings;

/// Settings of the exporter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to send.
    #[serde(rename = "..client")]
    pub client: HttpClient,
    /// Trying again.
    pub retry_on_failure: Retry,
    /// Batches waiting to be sent.
    pub sending_queue: SendingQueue,
    /// The name of `endpoint` before the collector's 0.30.
    pub url: String,
}

/// The collector's default for one attempt.
const TIMEOUT: Duration = Duration::from_secs(5);

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        self.client.validate(at);
        if !self.url.is_empty() {
            at.warn("url", "url is deprecated; use endpoint");
        }
        match self.target() {
            "" => at.error("endpoint", "requires a non-empty \"endpoint\""),
            url if !self.url.is_empty() => {
                at.check("url", settings::url(url));
            }
            _ => {}
        }
        at.check("headers", client::headers(self.client.headers.iter()));
        self.retry_on_failure.validate(&mut at.key("retry_on_failure"));
        settings::validate_queue(&self.sending_queue, &mut at.key("sending_queue"));
    }
}

impl Config {
    fn target(&self) -> &str {
        if self.client.endpoint.is_empty() { &self.url } else { &self.client.endpoint }
    }
}

/// How the component table makes it.
pub fn factory() -> ExporterFactory {
    ExporterFactory {
        kind: "jaeger_thrift",
        aliases: &[Alias { kind: "jaeger_thrift_http", warning: None }],
        signals: &[Signal::Traces],
        summary: "spans to Jaeger's HTTP port, in Thrift",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config.downcast::<Config>().map_err(|_| {
                Error::invalid("exporter jaeger_thrift got another component's settings")
            })?;
            Ok(Arc::new(build(&config, &context)?))
        },
    }
}

/// The exporter as configured.
///
/// # Errors
/// `Invalid` when the endpoint or a header is none.
pub fn build(config: &Config, context: &Context) -> Result<Delivery> {
    let uri = settings::url(config.target())?;
    let compression = config.client.compression.and_then(|c| settings::compression(Some(c)));
    let mut headers = client::headers(config.client.headers.iter())?;
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(client::USER_AGENT));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-thrift"));
    if let Some(encoding) = compression {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(compress::name(encoding)));
    }
    let client = Client::http(&config.client, [&uri], context)?;
    let sender = Sender { client, uri, headers, compression };
    let timeout = config.client.timeout.unwrap_or(TIMEOUT);
    let settings = settings::delivery(timeout, &config.retry_on_failure, &config.sending_queue);
    Ok(Delivery::new(context, settings, sender))
}

struct Sender {
    client: Client,
    uri: Uri,
    headers: HeaderMap,
    compression: Option<Encoding>,
}

impl Sender {
    async fn send(&self, body: Bytes) -> Result<()> {
        let body = match self.compression {
            Some(encoding) => compress::compress(&body, encoding),
            None => body,
        };
        let mut request = Request::new(Parts::new([body]));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let answer = self.client.send(request).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        let error = answer::from_http_status(&answer, &answer::said(&answer));
        match answer.status.is_server_error() && !error.kind().is_retryable() {
            true => Err(Error::new(Kind::Retry { after: None }, error.message())),
            false => Err(error),
        }
    }
}

#[async_trait]
impl Push for Sender {
    async fn push(&self, batch: &Batch) -> Result<Pushed> {
        self.push_part(batch).await.map_err(|unsent| unsent.error)
    }

    async fn push_part(&self, batch: &Batch) -> Result<Pushed, Unsent> {
        for (at, resource) in batch.payload.traces().enumerate() {
            let mut body = Vec::with_capacity(resource.group_raw().len() * 3 / 2);
            if thrift::batch(&resource, &mut body) {
                let sent = self.send(body.into()).await;
                sent.map_err(|error| push::unsent(error, &batch.payload, at))?;
            }
        }
        Ok(Pushed::default())
    }
}
