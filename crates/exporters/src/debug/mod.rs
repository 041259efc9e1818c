// SPDX-License-Identifier: Apache-2.0
//! Exporter `debug` (alias `logging`): what flows, as text for a person.
//!
//! `basic` prints one line a batch, `normal` one line an item too, `detailed` everything. Lines go
//! to the log, or to standard output with `use_internal_logger: false`. With sampling, of the
//! batches of one second the first `sampling_initial` are printed, then every
//! `sampling_thereafter`th. Never fails and keeps nothing.

mod config;
mod detailed;
mod normal;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use basics::{Clock, Error, Result};
use otlp_wire::Signal;
use parking_lot::Mutex;
use pipeline::component::{Alias, ExporterFactory};
use pipeline::telemetry::ExporterMeter;
use pipeline::{Batch, Context, Exporter};

pub use config::{Config, Verbosity};

/// The exporter.
pub struct Debug {
    config: Arc<Config>,
    verbosity: Verbosity,
    sampling_thereafter: u64,
    clock: Clock,
    meter: ExporterMeter,
    sampler: Mutex<Sampler>,
}

/// How the component table makes it.
pub fn factory() -> ExporterFactory {
    ExporterFactory {
        kind: "debug",
        aliases: &[Alias {
            kind: "logging",
            warning: Some("the logging exporter is now called debug; loglevel is verbosity"),
        }],
        signals: &[Signal::Traces, Signal::Metrics, Signal::Logs],
        summary: "prints telemetry as text",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config
                .downcast::<Config>()
                .map_err(|_| Error::invalid("exporter debug got another component's settings"))?;
            Ok(Arc::new(Debug::new(config, &context)))
        },
    }
}

impl Debug {
    /// An exporter that prints as `config` says.
    pub fn new(config: Arc<Config>, context: &Context) -> Self {
        let meter = ExporterMeter::new(context.host.telemetry(), &context.id);
        let sampler = Mutex::new(Sampler::default());
        // Only the id tells which name it was written under.
        let old_name = context.id.split('/').next() == Some("logging");
        let verbosity = config.verbosity(old_name);
        let thereafter = if old_name { 500 } else { 1 };
        let sampling_thereafter = config.sampling_thereafter.unwrap_or(thereafter);
        Debug {
            config,
            verbosity,
            sampling_thereafter,
            clock: context.clock.clone(),
            meter,
            sampler,
        }
    }

    fn print(&self, text: &str) {
        if self.config.use_internal_logger {
            tracing::info!(target: "debug", "{text}");
        } else {
            // Nobody to tell when they are closed.
            let paths = self.config.output_paths.as_deref().unwrap_or_default();
            if paths.is_empty() || paths.iter().any(|path| path == "stdout") {
                let _ = writeln!(std::io::stdout().lock(), "{text}");
            }
            if paths.iter().any(|path| path == "stderr") {
                let _ = writeln!(std::io::stderr().lock(), "{text}");
            }
        }
    }
}

#[async_trait]
impl Exporter for Debug {
    async fn export(&self, batch: Batch) -> Result<()> {
        let second = self.clock.now() / 1_000_000_000;
        let (initial, thereafter) = (self.config.sampling_initial, self.sampling_thereafter);
        if self.sampler.lock().prints(second, initial, thereafter) {
            self.print(&normal::summary(&batch.payload));
            match self.verbosity {
                Verbosity::Basic => {}
                Verbosity::Normal => self.print(&normal::write(&batch.payload)),
                Verbosity::Detailed => self.print(&detailed::write(&batch.payload)),
            }
        }
        self.meter.sent(batch.signal(), batch.items());
        batch.acks.settle(Ok(()));
        Ok(())
    }
}

/// Counts the batches of the current second.
#[derive(Default)]
struct Sampler {
    second: u64,
    seen: u64,
}

impl Sampler {
    fn prints(&mut self, second: u64, initial: u64, thereafter: u64) -> bool {
        if second != self.second {
            *self = Sampler { second, seen: 0 };
        }
        self.seen += 1;
        self.seen <= initial || (thereafter > 0 && (self.seen - initial).is_multiple_of(thereafter))
    }
}
