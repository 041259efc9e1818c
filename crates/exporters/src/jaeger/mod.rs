// SPDX-License-Identifier: Apache-2.0
//! Exporter `jaeger`: spans to a Jaeger collector's gRPC port (14250).
//!
//! The collector project has removed this exporter in favour of OTLP; configurations still name it.
//! What a span becomes is in [`translate`]; [`proto`] writes it straight from the payload's bytes.
//! The exporter for Jaeger's HTTP port is [`crate::jaeger_thrift`]. Queue, retry and shutdown are
//! [`crate::delivery`]'s. A batch of several resources is as many calls; what was sent before one
//! of them failed is not sent again.

pub(crate) mod proto;
pub(crate) mod push;
#[cfg(test)]
mod tests;
pub(crate) mod thrift;
pub(crate) mod translate;

use std::sync::Arc;

use basics::{Error, Result};
use otlp_wire::Signal;
use pipeline::Context;
use pipeline::component::ExporterFactory;
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
        if self.client.endpoint.contains("/api/traces") {
            at.error(
                "endpoint",
                "this is Jaeger's Thrift over HTTP; the exporter for it is jaeger_thrift, here goes host:14250",
            );
        } else {
            self.client.validate(at);
        }
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
        kind: "jaeger",
        aliases: &[],
        signals: &[Signal::Traces],
        summary: "spans to Jaeger's gRPC port",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config
                .downcast::<Config>()
                .map_err(|_| Error::invalid("exporter jaeger got another component's settings"))?;
            Ok(Arc::new(build(&config, &context)?))
        },
    }
}

/// The exporter as configured.
///
/// # Errors
/// `Invalid` when the endpoint or a header is none.
pub fn build(config: &Config, context: &Context) -> Result<Delivery> {
    let address = config.client.address();
    let uri = http::Uri::builder()
        .scheme(config.client.scheme())
        .authority(address)
        .path_and_query(push::PATH)
        .build()
        .map_err(|e| Error::invalid(format!("{address:?} is not host:port")).caused_by(e))?;
    // Unlike OTLP's exporters, this one never compressed unless told to.
    let compression = config.client.compression.and_then(|c| settings::grpc_compression(Some(c)));
    let mut headers = client::headers(config.client.headers.iter())?;
    if !config.client.user_agent.is_empty() {
        headers.extend(client::headers([("user-agent", config.client.user_agent.as_str())])?);
    }
    let sender = push::Sender {
        client: Client::grpc(&config.client, context)?,
        uri,
        headers: crate::otlp::call_headers(headers, compression),
        compression,
    };
    let settings =
        settings::delivery(config.timeout, &config.retry_on_failure, &config.sending_queue);
    Ok(Delivery::new(context, settings, sender))
}
