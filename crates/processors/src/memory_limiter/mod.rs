// SPDX-License-Identifier: Apache-2.0
//! `memory_limiter`: refuses data while the process holds too much memory.
//!
//! In and out: any signal, untouched. Above the soft limit (limit less spike) a batch is refused
//! with an error that clients retry; as the first processor of a pipeline before anything is done
//! with it, be it a log or a queue. Measured is the resident memory of the process, at most once an
//! interval and only when data comes. All uses of one id share one measurement.
//! Source: the Go collector's memory limiter, reference section 5.2.

mod config;
mod limiter;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use basics::{Error, Result};
use otlp_wire::Signal;
use pipeline::component::ProcessorFactory;
use pipeline::telemetry::GateMeter;
use pipeline::{Batch, Context, Gate, Processor};

pub use config::Config;
use limiter::{Limiter, Limits};

/// The type `memory_limiter`.
pub fn factory() -> ProcessorFactory {
    ProcessorFactory {
        kind: "memory_limiter",
        aliases: &[],
        signals: &Signal::ALL,
        summary: "refuses data while the process holds too much memory",
        decode: pipeline::config::decode::<Config>,
        build,
    }
}

fn build(config: Arc<dyn Any + Send + Sync>, context: Context) -> Result<Processor> {
    let config = config.downcast::<Config>().map_err(|_| Error::invalid("foreign settings"))?;
    let limits = config.limits(pipeline::budget::memory_bytes());
    // The limits are part of the name: after a reload with others the old measurement has gone.
    let Limits { soft, hard, interval } = limits;
    let name = format!("{} {soft} {hard} {}", context.id, interval.as_nanos());
    let clock = context.clock.clone();
    let measure = || pipeline::budget::resident_bytes();
    let limiter =
        context.host.shared(&name, || Ok(Limiter::new(limits, clock, Box::new(measure))))?;
    let meter = GateMeter::new(context.host.telemetry(), &context.id);
    Ok(Processor::Gate(Arc::new(MemoryGate { limiter, meter })))
}

/// The gate of one pipeline.
struct MemoryGate {
    limiter: Arc<Limiter>,
    meter: GateMeter,
}

impl Gate for MemoryGate {
    fn admit(&self, batch: &Batch) -> Result<()> {
        if self.limiter.is_over() {
            self.meter.refused(batch.signal(), batch.items());
            return Err(Error::overloaded("data refused due to high memory usage"));
        }
        self.meter.accepted(batch.signal(), batch.items());
        Ok(())
    }
}
