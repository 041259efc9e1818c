// SPDX-License-Identifier: Apache-2.0
//! `redaction`: removes attributes that are not allowed and masks values that are not to be seen.
//!
//! In and out: any signal; nothing is dropped. Looked at are the attributes of resources, scopes,
//! spans and their events, log records and data points, and the bodies of log records. Elements
//! without anything to hide keep their bytes. The rules are in [`rules`].
//! Bounds: a pattern compiles to at most 4 MiB.
//! Source: the Go collector's redaction processor, 0.161.

mod body;
mod config;
mod mask;
mod rules;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use basics::{Error, Result};
use otlp_wire::{Pass, Record, Signal, Verdict, Visits};
use pipeline::component::ProcessorFactory;
use pipeline::{Context, Processor};

pub use config::Config;
use rules::{Done, Rules};

/// The type `redaction`.
pub fn factory() -> ProcessorFactory {
    ProcessorFactory {
        kind: "redaction",
        aliases: &[],
        signals: &Signal::ALL,
        summary: "removes attributes that are not allowed, masks values",
        decode: pipeline::config::decode::<Config>,
        build,
    }
}

fn build(config: Arc<dyn Any + Send + Sync>, context: Context) -> Result<Processor> {
    let config = config.downcast::<Config>().map_err(|_| Error::invalid("foreign settings"))?;
    let rules = config.prepared().ok_or_else(|| Error::invalid("settings not validated"))?.clone();
    let elements = if context.signal == Signal::Metrics { Visits::POINTS } else { Visits::ITEMS };
    Ok(Processor::Pass(Box::new(move || {
        Box::new(Redaction { rules: rules.clone(), elements, done: Done::default() })
    })))
}

struct Redaction {
    rules: Arc<Rules>,
    elements: Visits,
    done: Done,
}

impl Redaction {
    fn attributes(&mut self, record: &mut Record<'_>) {
        self.rules.apply(&mut record.attrs(), &mut self.done);
    }
}

impl Pass for Redaction {
    fn visits(&self) -> Visits {
        Visits::RESOURCES.and(Visits::SCOPES).and(self.elements)
    }

    fn resource(&mut self, resource: &mut Record<'_>) {
        self.attributes(resource);
    }

    fn scope(&mut self, scope: &mut Record<'_>) {
        self.attributes(scope);
    }

    fn span(&mut self, span: &mut Record<'_>, _: &otlp_wire::Context<'_>) -> Verdict {
        self.attributes(span);
        span.events(|event| self.attributes(event));
        Verdict::Keep
    }

    fn log(&mut self, log: &mut Record<'_>, _: &otlp_wire::Context<'_>) -> Verdict {
        self.attributes(log);
        body::apply(&self.rules, log, &mut self.done);
        Verdict::Keep
    }

    fn point(&mut self, point: &mut Record<'_>, _: &otlp_wire::Context<'_>) -> Verdict {
        self.attributes(point);
        Verdict::Keep
    }
}
