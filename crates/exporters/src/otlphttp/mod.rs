// SPDX-License-Identifier: Apache-2.0
//! Exporter `otlphttp`: OTLP over HTTP, protobuf or JSON.
//!
//! URL = `endpoint` + `/v1/<signal>`, or `<signal>_endpoint` as it is. What the peer's answer
//! means is in `net::answer`; queue, retry and shutdown in [`crate::delivery`].

mod push;

use std::sync::Arc;

use basics::{Error, Result};
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use otlp_wire::Signal;
use pipeline::Context;
use pipeline::component::{Alias, ExporterFactory};
use pipeline::config::shared::{HttpClient, Retry, SendingQueue};
use pipeline::config::{Checker, ComponentConfig, Duration, NoEffect};
use serde::Deserialize;

use crate::delivery::Delivery;
use crate::net::client::{self, Client};
use crate::net::compress;
use crate::settings;

/// Settings of the exporter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to send.
    #[serde(rename = "..client")]
    pub client: HttpClient,
    /// URL for traces; empty = by `endpoint`.
    pub traces_endpoint: String,
    /// URL for metrics; empty = by `endpoint`.
    pub metrics_endpoint: String,
    /// URL for logs; empty = by `endpoint`.
    pub logs_endpoint: String,
    profiles_endpoint: NoEffect,
    /// Encoding of bodies.
    pub encoding: Encoding,
    /// Trying again.
    pub retry_on_failure: Retry,
    /// Batches waiting to be sent.
    pub sending_queue: SendingQueue,
}

/// Encoding of bodies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Protobuf.
    #[default]
    Proto,
    /// JSON.
    Json,
}

/// The collector's default for one attempt.
const TIMEOUT: Duration = Duration::from_secs(30);

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        self.client.validate(at);
        let all = [
            &self.client.endpoint,
            &self.traces_endpoint,
            &self.metrics_endpoint,
            &self.logs_endpoint,
        ];
        if all.iter().all(|endpoint| endpoint.is_empty()) {
            at.error("endpoint", "at least one endpoint must be specified");
        }
        for (key, signal) in [
            ("traces_endpoint", Signal::Traces),
            ("metrics_endpoint", Signal::Metrics),
            ("logs_endpoint", Signal::Logs),
        ] {
            let own = self.own_endpoint(signal);
            if !own.is_empty() {
                at.check(key, settings::url(own));
            }
        }
        at.check("headers", client::headers(self.client.headers.iter()));
        self.retry_on_failure.validate(&mut at.key("retry_on_failure"));
        settings::validate_queue(&self.sending_queue, &mut at.key("sending_queue"));
    }
}

impl Config {
    fn own_endpoint(&self, signal: Signal) -> &str {
        match signal {
            Signal::Traces => &self.traces_endpoint,
            Signal::Metrics => &self.metrics_endpoint,
            Signal::Logs => &self.logs_endpoint,
        }
    }

    /// The URL for `signal`.
    fn url(&self, signal: Signal) -> String {
        match self.own_endpoint(signal) {
            "" => format!("{}/v1/{signal}", self.client.endpoint.trim_end_matches('/')),
            own => own.to_owned(),
        }
    }
}

/// How the component table makes it.
pub fn factory() -> ExporterFactory {
    ExporterFactory {
        kind: "otlphttp",
        aliases: &[Alias { kind: "otlp_http", warning: None }],
        signals: &[Signal::Traces, Signal::Metrics, Signal::Logs],
        summary: "OTLP over HTTP, protobuf or JSON",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config.downcast::<Config>().map_err(|_| {
                Error::invalid("exporter otlphttp got another component's settings")
            })?;
            Ok(Arc::new(build(&config, &context)?))
        },
    }
}

/// The exporter as configured, for the signal of `context`.
///
/// # Errors
/// `Invalid` when there is no URL for the signal, or a header is none.
pub fn build(config: &Config, context: &Context) -> Result<Delivery> {
    let url = config.url(context.signal);
    let uri = settings::url(&url)?;
    let compression = settings::codec(&config.client);
    let json = config.encoding == Encoding::Json;
    let mut headers = client::headers(config.client.headers.iter())?;
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(client::USER_AGENT));
    let kind = if json { "application/json" } else { "application/x-protobuf" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(codec) = compression {
        let name = HeaderValue::from_static(compress::name(codec.encoding));
        headers.insert(CONTENT_ENCODING, name);
    }
    let client = Client::http(&config.client, [&uri], context)?;
    let sender = push::Sender { client, uri, headers, compression, json };
    let timeout = config.client.timeout.unwrap_or(TIMEOUT);
    let settings = settings::delivery(timeout, &config.retry_on_failure, &config.sending_queue);
    Ok(Delivery::new(context, settings, sender))
}
