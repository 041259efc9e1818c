// SPDX-License-Identifier: Apache-2.0
//! Exporter `prometheusremotewrite`: metrics to anything that takes Prometheus remote write 1.0.
//!
//! Names and labels are those of the store (`store::translate`). One batch is sent at a time and
//! its requests one after the other, so that the samples of a series arrive in order. 5xx, 429 and
//! network errors are tried again (in place: later samples wait), other refusals are final.
//! Points that have no place in Prometheus (deltas, no value) are counted and left out.

mod config;
mod encode;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use basics::{Error, Kind, Result};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Uri};
use otlp_wire::Signal;
use parking_lot::Mutex;
use pipeline::component::{Alias, ExporterFactory};
use pipeline::telemetry::Counter;
use pipeline::{Batch, Context};

pub use config::Config;

use crate::delivery::{Delivery, DeliverySettings, Push, Pushed, QueueSettings};
use crate::net::answer;
use crate::net::client::{self, Client, Parts};
use encode::Encoder;

/// The collector's default for one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How the component table makes it.
pub fn factory() -> ExporterFactory {
    ExporterFactory {
        kind: "prometheusremotewrite",
        aliases: &[Alias { kind: "prometheus_remote_write", warning: None }],
        signals: &[Signal::Metrics],
        summary: "Prometheus remote write 1.0",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config.downcast::<Config>().map_err(|_| {
                Error::invalid("exporter prometheusremotewrite got another component's settings")
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
    let uri = crate::settings::plain_url(&config.client.endpoint)?;
    let mut headers = client::headers(config.client.headers.iter())?;
    let agent = HeaderValue::from_static(client::USER_AGENT);
    headers.entry(USER_AGENT).or_insert(agent);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
    headers.insert("x-prometheus-remote-write-version", HeaderValue::from_static("0.1.0"));
    let encoder =
        Encoder::new(config.translation(), config.max_batch_size_bytes, config.send_metadata);
    let sender = Sender {
        client: Client::new(false),
        uri,
        headers,
        encoder: Mutex::new(encoder),
        failed_translations: context.host.telemetry().counter(
            "otelcol_exporter_prometheusremotewrite_failed_translations",
            "Points that could not be translated to Prometheus.",
            &[("exporter", &context.id)],
        ),
    };
    let queue = config.remote_write_queue;
    let settings = DeliverySettings {
        // Each request has its own time, see `Sender::send`.
        timeout: Duration::ZERO,
        retry: crate::settings::retry(&config.retry_on_failure),
        queue: queue.enabled.then(|| QueueSettings {
            size: queue.queue_size,
            consumers: 1,
            ..QueueSettings::default()
        }),
    };
    let timeout = config.client.timeout.map_or(TIMEOUT, |timeout| timeout.get());
    Ok(Delivery::new(context, settings, Timed { sender, timeout }))
}

struct Sender {
    client: Client,
    uri: Uri,
    headers: HeaderMap,
    encoder: Mutex<Encoder>,
    failed_translations: Counter,
}

/// A sender with a limit for each request.
struct Timed {
    sender: Sender,
    timeout: Duration,
}

impl Sender {
    async fn send(&self, body: Bytes) -> Result<()> {
        let mut request = Request::new(Parts::new([body]));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let answer = self.client.send(request).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        let error = answer::from_http_status(&answer, &answer::said(&answer));
        // Unlike OTLP, every server error may pass.
        match answer.status.is_server_error() && !error.kind().is_retryable() {
            true => Err(Error::new(Kind::Retry { after: None }, error.message())),
            false => Err(error),
        }
    }
}

#[async_trait]
impl Push for Timed {
    async fn push(&self, batch: &Batch) -> Result<Pushed> {
        let (requests, report) = self.sender.encoder.lock().encode(&batch.payload);
        for request in requests {
            let sent = self.sender.send(request);
            match self.timeout.is_zero() {
                true => sent.await?,
                false => tokio::time::timeout(self.timeout, sent)
                    .await
                    .map_err(|_| Error::retry(format!("no answer within {:?}", self.timeout)))??,
            }
        }
        let refused = report.refused.total();
        if refused == 0 {
            return Ok(Pushed::default());
        }
        self.sender.failed_translations.add(refused);
        let reasons: Vec<String> = report
            .refused
            .iter()
            .map(|(reason, count)| format!("{} {count}", reason.name()))
            .collect();
        Ok(Pushed { rejected: refused, message: format!("not translated: {}", reasons.join(", ")) })
    }
}
