// SPDX-License-Identifier: Apache-2.0
//! Exporter `otlp`: OTLP over gRPC.
//!
//! The body goes out as it is, or as it came in if it was compressed the same way and nobody has
//! edited it. What the peer's status means is in `net::answer`; queue, retry and shutdown in
//! [`crate::delivery`]. TLS unless `tls.insecure` says otherwise.

mod push;

pub(crate) use push::call_headers;

use std::sync::Arc;

use basics::{Error, Result};
use http::Uri;
use otlp_wire::Signal;
use pipeline::Context;
use pipeline::component::{Alias, ExporterFactory};
use pipeline::config::shared::{GrpcClient, Retry, SendingQueue};
use pipeline::config::{Checker, ComponentConfig, Duration};
use serde::Deserialize;

use crate::delivery::Delivery;
use crate::net::client::{self, Client};
use crate::settings;

/// Settings of the exporter.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to send.
    #[serde(rename = "..client")]
    pub client: GrpcClient,
    /// For one attempt.
    pub timeout: Duration,
    /// Trying again.
    pub retry_on_failure: Retry,
    /// Batches waiting to be sent.
    pub sending_queue: SendingQueue,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            client: GrpcClient::default(),
            timeout: Duration::from_secs(5),
            retry_on_failure: Retry::default(),
            sending_queue: SendingQueue::default(),
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        self.client.validate(at);
        if self.client.endpoint.is_empty() {
            at.error("endpoint", "requires a non-empty \"endpoint\"");
        }
        at.check("headers", client::headers(self.client.headers.iter()));
        self.retry_on_failure.validate(&mut at.key("retry_on_failure"));
        settings::validate_queue(&self.sending_queue, &mut at.key("sending_queue"));
    }
}

/// How the component table makes it.
pub fn factory() -> ExporterFactory {
    ExporterFactory {
        kind: "otlp",
        aliases: &[Alias { kind: "otlp_grpc", warning: None }],
        signals: &[Signal::Traces, Signal::Metrics, Signal::Logs],
        summary: "OTLP over gRPC",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config
                .downcast::<Config>()
                .map_err(|_| Error::invalid("exporter otlp got another component's settings"))?;
            Ok(Arc::new(build(&config, &context)?))
        },
    }
}

/// The exporter as configured, for the signal of `context`.
///
/// # Errors
/// `Invalid` when the endpoint or a header is none.
pub fn build(config: &Config, context: &Context) -> Result<Delivery> {
    let address = config.client.address();
    let uri = Uri::builder()
        .scheme(config.client.scheme())
        .authority(address)
        .path_and_query(push::path(context.signal))
        .build()
        .map_err(|e| Error::invalid(format!("{address:?} is not host:port")).caused_by(e))?;
    let compression = settings::grpc_compression(config.client.compression);
    let mut headers = client::headers(config.client.headers.iter())?;
    if !config.client.user_agent.is_empty() {
        headers.extend(client::headers([("user-agent", config.client.user_agent.as_str())])?);
    }
    let sender = push::Sender {
        client: Client::grpc(&config.client, context)?,
        uri,
        headers: call_headers(headers, compression),
        compression,
    };
    let settings =
        settings::delivery(config.timeout, &config.retry_on_failure, &config.sending_queue);
    Ok(Delivery::new(context, settings, sender))
}
