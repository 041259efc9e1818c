// SPDX-License-Identifier: Apache-2.0
//! Exporter `nop`: takes everything and keeps nothing.
//!
//! For measuring what lies before it, and for pipelines that must end somewhere. Counts what it
//! took like any other exporter.

use std::sync::Arc;

use async_trait::async_trait;
use basics::Result;
use otlp_wire::Signal;
use pipeline::component::ExporterFactory;
use pipeline::config::ComponentConfig;
use pipeline::telemetry::ExporterMeter;
use pipeline::{Batch, Exporter};
use serde::Deserialize;

/// It has no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {}

impl ComponentConfig for Config {}

struct Nop {
    meter: ExporterMeter,
}

/// How the component table makes it.
pub fn factory() -> ExporterFactory {
    ExporterFactory {
        kind: "nop",
        aliases: &[],
        signals: &Signal::ALL,
        summary: "takes everything and keeps nothing",
        decode: pipeline::config::decode::<Config>,
        build: |_, context| {
            Ok(Arc::new(Nop { meter: ExporterMeter::new(context.host.telemetry(), &context.id) }))
        },
    }
}

#[async_trait]
impl Exporter for Nop {
    async fn export(&self, batch: Batch) -> Result<()> {
        self.meter.sent(batch.signal(), batch.items());
        batch.acks.settle(Ok(()));
        Ok(())
    }
}
