// SPDX-License-Identifier: Apache-2.0
//! Receiver `jaeger`: spans by Jaeger's gRPC, `jaeger.api_v2.CollectorService/PostSpans`.
//!
//! In: what Jaeger's agents and the exporter `jaeger` send to port 14250. Out: OTLP traces, as
//! [`model`] translates them. Listening, bounds, compression, answers and counters are those of
//! OTLP over gRPC ([`crate::otlp`]); only the message is another one. It is decoded into objects and
//! written anew: OTLP is the way for what is fast.

pub(crate) mod model;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use ::net::listen::Serving;
use async_trait::async_trait;
use basics::{Error, Result};
use otlp_wire::Signal;
use parking_lot::Mutex;
use pipeline::component::ReceiverFactory;
use pipeline::config::shared::GrpcServer;
use pipeline::config::{Checker, ComponentConfig};
use pipeline::{Context, Inlets, Receiver};
use serde::Deserialize;

use crate::otlp::door::Door;
use crate::otlp::grpc::{self, Protocol};

/// Settings of the receiver.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Which protocols to listen for; there is one.
    pub protocols: Protocols,
}

/// A protocol that is named is on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Protocols {
    /// Jaeger's gRPC, by default on `localhost:14250`.
    pub grpc: Option<GrpcServer>,
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        let mut at = at.key("protocols");
        match &self.protocols.grpc {
            Some(grpc) => grpc.validate(&mut at.key("grpc")),
            None => {
                at.error("", "must specify at least one protocol when using the Jaeger receiver")
            }
        }
    }
}

/// How the component table makes it.
pub fn factory() -> ReceiverFactory {
    ReceiverFactory {
        kind: "jaeger",
        aliases: &[],
        signals: &[Signal::Traces],
        summary: "spans by Jaeger's gRPC",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config
                .downcast::<Config>()
                .map_err(|_| Error::invalid("receiver jaeger got another component's settings"))?;
            Ok(Box::new(move |inlets| Arc::new(Jaeger::new(config, context, inlets)) as _))
        },
    }
}

/// The receiver.
pub struct Jaeger {
    config: Arc<Config>,
    context: Context,
    door: Arc<Door>,
    serving: Mutex<Option<Serving>>,
}

impl Jaeger {
    /// A receiver that hands what it takes to `inlets`.
    pub fn new(config: Arc<Config>, context: Context, inlets: Inlets) -> Self {
        let door = Arc::new(Door::new(inlets, &context));
        Jaeger { config, context, door, serving: Mutex::new(None) }
    }

    /// Where it listens; none until started.
    pub fn address(&self) -> Option<SocketAddr> {
        self.serving.lock().as_ref().map(Serving::address)
    }
}

#[async_trait]
impl Receiver for Jaeger {
    async fn start(&self) -> Result<()> {
        let Some(config) = &self.config.protocols.grpc else { return Ok(()) };
        let endpoint = config.address("localhost:14250");
        let serving =
            grpc::serve(Protocol::Jaeger, config, &endpoint, &self.context, &self.door).await?;
        tracing::info!(endpoint, "Starting GRPC server");
        *self.serving.lock() = Some(serving);
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        let serving = self.serving.lock().take();
        if let Some(serving) = serving {
            serving.stop().await;
        }
        Ok(())
    }
}
