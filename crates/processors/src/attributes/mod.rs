// SPDX-License-Identifier: Apache-2.0
//! `attributes`: edits the attributes of spans, log records and data points.
//!
//! In and out: any signal; nothing is dropped. `include` and `exclude` choose the elements; then
//! the actions run in order. Elements that no action changes keep their bytes.
//! All mistakes of the configuration are told when it is read, those that depend on the signal of
//! the pipeline when the pipeline is built.

pub(crate) mod action;
mod matching;
mod origin;
pub(crate) mod value;

#[cfg(test)]
pub(crate) mod tests;

use std::any::Any;
use std::sync::Arc;

use basics::{Error, Result};
use otlp_wire::{Asked, Origin, Pass, Record, Signal, Verdict, Visits};
use pipeline::component::ProcessorFactory;
use pipeline::config::{self, Checker, ComponentConfig};
use pipeline::{Context, Processor};
use serde::Deserialize;

use action::{ActionConfig, Actions, prepare_all};
use matching::{MatchConfig, Matcher};

/// Settings of `attributes`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Only for elements for which this holds.
    pub include: Option<MatchConfig>,
    /// Not for elements for which this holds.
    pub exclude: Option<MatchConfig>,
    /// What to do, in order.
    pub actions: Vec<ActionConfig>,
    #[serde(skip)]
    prepared: std::sync::OnceLock<Prepared>,
}

/// The settings, ready to be applied.
#[derive(Clone, Debug)]
struct Prepared {
    include: Option<Matcher>,
    exclude: Option<Matcher>,
    actions: Actions,
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        if self.actions.is_empty() {
            at.error("actions", "missing required field \"actions\"");
        }
        let include = self.include.as_ref().map(|it| it.prepare(&mut at.key("include")));
        let exclude = self.exclude.as_ref().map(|it| it.prepare(&mut at.key("exclude")));
        let actions = prepare_all(&self.actions, at.key("actions"));
        // Set once: a body is validated once.
        let _ = self.prepared.set(Prepared {
            include: include.flatten(),
            exclude: exclude.flatten(),
            actions,
        });
    }
}

/// The type `attributes`.
pub fn factory() -> ProcessorFactory {
    ProcessorFactory {
        kind: "attributes",
        aliases: &[],
        signals: &Signal::ALL,
        summary: "edits attributes of spans, log records and data points",
        decode: config::decode::<Config>,
        build,
    }
}

fn build(config: Arc<dyn Any + Send + Sync>, context: Context) -> Result<Processor> {
    let config = config.downcast::<Config>().map_err(|_| Error::invalid("foreign settings"))?;
    for (side, conditions) in [("include", &config.include), ("exclude", &config.exclude)] {
        if let Some(field) = conditions.as_ref().and_then(|it| it.foreign_to(context.signal)) {
            let signal = context.signal;
            return Err(Error::invalid(format!("{side}: {field} has no meaning for {signal}")));
        }
    }
    let prepared = config.prepared.get().ok_or_else(|| Error::invalid("settings not validated"))?;
    let pass = Attributes { prepared: prepared.clone(), signal: context.signal };
    Ok(Processor::Pass(Box::new(move || Box::new(pass.clone()))))
}

#[derive(Clone)]
struct Attributes {
    prepared: Prepared,
    signal: Signal,
}

impl Attributes {
    fn edit(&self, record: &mut Record<'_>, chosen: impl Fn(&Matcher, &mut Record<'_>) -> bool) {
        let Prepared { include, exclude, actions } = &self.prepared;
        let skipped = include.as_ref().is_some_and(|it| !chosen(it, record))
            || exclude.as_ref().is_some_and(|it| chosen(it, record));
        if !skipped {
            actions.apply(&mut record.attrs());
        }
    }
}

impl Pass for Attributes {
    fn visits(&self) -> Visits {
        if self.signal == Signal::Metrics { Visits::POINTS } else { Visits::ITEMS }
    }

    fn reads_context(&self) -> bool {
        let Prepared { include, exclude, .. } = &self.prepared;
        [include, exclude].into_iter().flatten().any(Matcher::reads_context)
    }

    fn begin(&mut self, origin: &Origin<'_>) {
        self.prepared.actions.begin(origin);
    }

    fn asks(&self) -> Vec<Asked> {
        self.prepared.actions.asks()
    }

    fn span(&mut self, span: &mut Record<'_>, at: &otlp_wire::Context<'_>) -> Verdict {
        self.edit(span, |matcher, span| matcher.span(span, at));
        Verdict::Keep
    }

    fn log(&mut self, log: &mut Record<'_>, at: &otlp_wire::Context<'_>) -> Verdict {
        self.edit(log, |matcher, log| matcher.log(log, at));
        Verdict::Keep
    }

    fn point(&mut self, point: &mut Record<'_>, at: &otlp_wire::Context<'_>) -> Verdict {
        self.edit(point, |matcher, _| matcher.point(at));
        Verdict::Keep
    }
}
