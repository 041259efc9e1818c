// SPDX-License-Identifier: Apache-2.0
//! Making the graph of a plan: every component built, nothing started.

use std::sync::{Arc, OnceLock};

use basics::{Error, Result};
use indexmap::IndexMap;
use otlp_wire::Signal;

use super::chain::{Books, Chain, Link, LinkKind};
use super::door::{Door, Doors};
use super::fanout::{Edge, FanOut};
use super::passes::{Fused, Member};
use super::stage::StageNode;
use super::watch::WatchNode;
use crate::ack::Lane;
use crate::component::{
    Consumer, Context, Exporter, Extension, Inlets, Processor, ProcessorFactory, Receiver,
};
use crate::config::{Instance, MetricsPage, PipelinePlan, Plan};
use crate::host::Host;
use crate::ledger::Book;
use crate::telemetry::{Counter, ProcessorMeter, SECONDS};

/// A built pipeline graph, ready to be started. See [`crate::runtime`].
pub struct Graph {
    pub(crate) host: Host,
    /// The pages with own metrics.
    pub(crate) metrics_pages: Vec<MetricsPage>,
    pub(crate) extensions: Vec<(Arc<str>, Arc<dyn Extension>)>,
    pub(crate) exporters: Exporters,
    pub(crate) doors: Vec<Arc<Door>>,
    pub(crate) receivers: Vec<(Arc<str>, Arc<dyn Receiver>)>,
}

/// Exporters by id and signal.
pub(crate) type Exporters = IndexMap<(Arc<str>, Signal), Arc<dyn Exporter>>;

impl Graph {
    /// Builds every component of `plan`.
    ///
    /// # Errors
    /// All components that refuse their settings, each with its id.
    pub fn build(plan: &Plan, host: &Host) -> Result<Graph, Vec<Error>> {
        let mut builder = Builder { host, errors: Vec::new() };
        let extensions: Vec<(Arc<str>, Arc<dyn Extension>)> = plan
            .extensions
            .iter()
            .filter_map(|it| {
                builder
                    .make(it.id.clone(), "extensions", |context| {
                        (it.factory.build)(it.config.clone(), context)
                    })
                    .map(|made| (it.id.clone(), made))
            })
            .collect();
        for (id, extension) in &extensions {
            if let Some(authenticator) = extension.authenticator() {
                host.authenticators().set(id, authenticator);
            }
        }
        let exporters = builder.exporters(plan);
        let chains: Vec<_> =
            plan.pipelines.iter().filter_map(|it| builder.chain(plan, it, &exporters)).collect();
        let doors: Vec<_> =
            chains.into_iter().map(|chain| Arc::new(Door::new(Arc::new(chain)))).collect();
        let receivers = builder.receivers(plan, &doors);
        if !builder.errors.is_empty() {
            return Err(builder.errors);
        }
        let shown = plan.telemetry.metrics.level != crate::config::Level::None;
        let pages = &plan.telemetry.metrics.pages;
        Ok(Graph {
            host: host.clone(),
            metrics_pages: if shown { pages.clone() } else { Vec::new() },
            extensions,
            exporters,
            doors,
            receivers,
        })
    }
}

struct Builder<'a> {
    host: &'a Host,
    errors: Vec<Error>,
}

impl Builder<'_> {
    fn context(&self, id: Arc<str>, signal: Signal, pipeline: Arc<str>) -> Context {
        let clock = self.host.clock().clone();
        Context { id, signal, pipeline, clock, host: self.host.clone() }
    }

    /// Builds one component that has no signal of its own.
    fn make<T>(
        &mut self,
        id: Arc<str>,
        section: &str,
        build: impl FnOnce(Context) -> Result<T>,
    ) -> Option<T> {
        let context = self.context(id.clone(), Signal::Traces, "".into());
        self.keep(build(context), section, &id)
    }

    fn keep<T>(&mut self, made: Result<T>, section: &str, id: &str) -> Option<T> {
        made.map_err(|error| self.errors.push(error.within(format!("{section}::{id}")))).ok()
    }

    fn missing(&mut self, pipeline: &str, kind: &str, id: &str) {
        let text = format!(
            "service::pipelines::{pipeline}: references {kind} \"{id}\" which is not configured"
        );
        self.errors.push(Error::invalid(text));
    }

    fn exporters(&mut self, plan: &Plan) -> Exporters {
        let mut made = Exporters::new();
        for pipeline in &plan.pipelines {
            for id in &pipeline.exporters {
                let key = (id.clone(), pipeline.signal);
                if made.contains_key(&key) {
                    continue;
                }
                let Some(it) = plan.exporter(id) else {
                    self.missing(&pipeline.id, "exporter", id);
                    continue;
                };
                let context = self.context(id.clone(), pipeline.signal, "".into());
                let exporter = (it.factory.build)(it.config.clone(), context);
                if let Some(exporter) = self.keep(exporter, "exporters", id) {
                    made.insert(key, exporter);
                }
            }
        }
        made
    }

    fn chain(
        &mut self,
        plan: &Plan,
        pipeline: &PipelinePlan,
        exporters: &Exporters,
    ) -> Option<Chain> {
        let telemetry = self.host.telemetry();
        let books = Books {
            live: self.host.ledger().open(&pipeline.id, &pipeline.exporters),
            replay: Book::new(&pipeline.id, &pipeline.exporters),
        };
        let edges = pipeline.exporters.iter().map(|id| {
            let exporter = exporters.get(&(id.clone(), pipeline.signal))?.clone();
            let panics = self.panics("exporter", id);
            Some(Edge {
                id: id.clone(),
                exporter,
                lane: Lane::new(),
                durable: OnceLock::new(),
                panics,
            })
        });
        // Without one of its exporters there is an error already; the pipeline is not needed then.
        let edges = edges.collect::<Option<Vec<_>>>()?;
        let latency = telemetry.histogram(
            "foreglow_pipeline_latency_seconds",
            "Time from a request being complete at the receiver to its delivery by an exporter.",
            &[("pipeline", &pipeline.id)],
            SECONDS,
        );
        let fanout =
            FanOut { edges, books: books.clone(), clock: self.host.clock().clone(), latency };
        let links = self.links(plan, pipeline, &books)?;
        Some(Chain {
            pipeline: pipeline.id.clone(),
            signal: pipeline.signal,
            lane: Lane::new(),
            links,
            fanout,
            books,
            log: OnceLock::new(),
        })
    }

    fn links(&mut self, plan: &Plan, pipeline: &PipelinePlan, books: &Books) -> Option<Vec<Link>> {
        let mut links: Vec<Link> = Vec::new();
        for (at, id) in pipeline.processors.iter().enumerate() {
            let Some(it) = plan.processor(id) else {
                self.missing(&pipeline.id, "processor", id);
                return None;
            };
            let context = self.context(id.clone(), pipeline.signal, pipeline.id.clone());
            let made = (it.factory.build)(it.config.clone(), context.clone());
            let made = self.keep(made, "processors", id)?;
            let meter = ProcessorMeter::new(self.host.telemetry(), id, pipeline.signal);
            let panics = self.panics("processor", id);
            let kind = match made {
                Processor::Pass(make) => {
                    let (id, signal) = (id.clone(), pipeline.signal);
                    let member = Member { id, make, meter, panics, signal };
                    match links.last_mut().map(|link| &mut link.kind) {
                        Some(LinkKind::Passes(fused)) if fused.may_follow(&member) => {
                            fused.push(member);
                            continue;
                        }
                        _ => LinkKind::Passes(Fused::new(member)),
                    }
                }
                Processor::Watch(watch) => {
                    let again = again(it, context, |made| match made {
                        Processor::Watch(watch) => Some(watch),
                        _ => None,
                    });
                    let node = WatchNode::new(id.clone(), watch, Box::new(again), meter, panics);
                    LinkKind::Watch(Arc::new(node))
                }
                Processor::Stage(stage) => {
                    let again = again(it, context, |made| match made {
                        Processor::Stage(stage) => Some(stage),
                        _ => None,
                    });
                    let books = books.clone();
                    let node =
                        StageNode::new(id.clone(), stage, Box::new(again), books, meter, panics);
                    LinkKind::Stage(Arc::new(node))
                }
            };
            links.push(Link { first: at, kind });
        }
        Some(links)
    }

    fn receivers(
        &mut self,
        plan: &Plan,
        doors: &[Arc<Door>],
    ) -> Vec<(Arc<str>, Arc<dyn Receiver>)> {
        let mut made = Vec::new();
        for it in &plan.receivers {
            let feeds = |signal| {
                let fed = plan.pipelines.iter().filter(|pipeline| {
                    pipeline.signal == signal && pipeline.receivers.contains(&it.id)
                });
                let fed: Vec<_> = fed
                    .filter_map(|p| doors.iter().find(|door| door.chain.pipeline == p.id))
                    .cloned()
                    .collect();
                inlet(fed)
            };
            let inlets = Inlets {
                traces: feeds(Signal::Traces),
                metrics: feeds(Signal::Metrics),
                logs: feeds(Signal::Logs),
            };
            let build = |context| (it.factory.build)(it.config.clone(), context);
            if let Some(receiver) = self.make(it.id.clone(), "receivers", build) {
                made.push((it.id.clone(), receiver(inlets)));
            }
        }
        made
    }

    fn panics(&self, kind: &str, id: &str) -> Counter {
        self.host.telemetry().counter(
            "foreglow_component_panics",
            "Panics caught at the edge of a component.",
            &[("kind", kind), ("id", id)],
        )
    }
}

/// One consumer for all pipelines of a signal; none when there is none.
fn inlet(doors: Vec<Arc<Door>>) -> Option<Arc<dyn Consumer>> {
    match <[Arc<Door>; 1]>::try_from(doors) {
        Ok([door]) => Some(door),
        Err(doors) if doors.is_empty() => None,
        Err(doors) => Some(Arc::new(Doors(doors))),
    }
}

/// How to make a processor once more after a panic.
fn again<T>(
    instance: &Instance<ProcessorFactory>,
    context: Context,
    pick: fn(Processor) -> Option<T>,
) -> impl Fn() -> Result<T> + Send + Sync + use<T> {
    let (build, config) = (instance.factory.build, instance.config.clone());
    move || {
        pick(build(config.clone(), context.clone())?)
            .ok_or_else(|| Error::invalid("the factory made another kind of processor this time"))
    }
}
