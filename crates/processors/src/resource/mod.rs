// SPDX-License-Identifier: Apache-2.0
//! `resource`: edits the attributes of resources, with the actions of `attributes`.
//!
//! In and out: any signal; nothing is dropped. A resource that no action changes keeps its bytes,
//! and so does everything below it.

#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use basics::{Error, Result};
use otlp_wire::{Asked, Origin, Pass, Record, Signal, Visits};
use pipeline::component::ProcessorFactory;
use pipeline::config::{self, Checker, ComponentConfig};
use pipeline::{Context, Processor};
use serde::Deserialize;

use crate::attributes::action::{ActionConfig, Actions, prepare_all};

/// Settings of `resource`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// What to do, in order.
    pub attributes: Vec<ActionConfig>,
    #[serde(skip)]
    prepared: std::sync::OnceLock<Actions>,
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        if self.attributes.is_empty() {
            at.error("attributes", "missing required field \"attributes\"");
        }
        // Set once: a body is validated once.
        let _ = self.prepared.set(prepare_all(&self.attributes, at.key("attributes")));
    }
}

/// The type `resource`.
pub fn factory() -> ProcessorFactory {
    ProcessorFactory {
        kind: "resource",
        aliases: &[],
        signals: &Signal::ALL,
        summary: "edits attributes of resources",
        decode: config::decode::<Config>,
        build,
    }
}

fn build(config: Arc<dyn Any + Send + Sync>, _: Context) -> Result<Processor> {
    let config = config.downcast::<Config>().map_err(|_| Error::invalid("foreign settings"))?;
    let actions = config.prepared.get().ok_or_else(|| Error::invalid("settings not validated"))?;
    let pass = Resources { actions: actions.clone() };
    Ok(Processor::Pass(Box::new(move || Box::new(pass.clone()))))
}

#[derive(Clone)]
struct Resources {
    actions: Actions,
}

impl Pass for Resources {
    fn visits(&self) -> Visits {
        Visits::RESOURCES
    }

    fn begin(&mut self, origin: &Origin<'_>) {
        self.actions.begin(origin);
    }

    fn asks(&self) -> Vec<Asked> {
        self.actions.asks()
    }

    fn resource(&mut self, resource: &mut Record<'_>) {
        self.actions.apply(&mut resource.attrs());
    }
}
