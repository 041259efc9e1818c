// SPDX-License-Identifier: Apache-2.0
//! Making the graph of a plan: every component built, nothing started.

use std::sync::{Arc, OnceLock};

use basics::{Error, Result};
use indexmap::IndexMap;
use otlp_wire::Signal;

use super::chain::{Books, Chain, Link, LinkKind};
use super::door::Door;
use super::fanout::{Edge, FanOut};
use super::gate::GateNode;
use super::inlet::{Switch, Turned};
use super::passes::{Fused, Member};
use super::reload::Kept;
use super::stage::StageNode;
use super::watch::WatchNode;
use crate::ack::Lane;
use crate::component::{
    Consumer, Context, Exporter, Extension, Inlets, Processor, ProcessorFactory, Receiver,
};
use crate::config::{Instance, MetricsPage, PipelinePlan, Plan};
use crate::host::{Host, Overview};
use crate::ledger::Book;
use crate::telemetry::{Counter, ProcessorMeter, SECONDS};

/// A built pipeline graph, ready to be started. See [`crate::runtime`].
#[derive(Clone)]
pub struct Graph {
    pub(crate) host: Host,
    /// What it was built from.
    pub(crate) plan: Plan,
    /// The pages with own metrics.
    pub(crate) metrics_pages: Vec<MetricsPage>,
    pub(crate) extensions: Vec<(Arc<str>, Arc<dyn Extension>)>,
    pub(crate) exporters: Exporters,
    pub(crate) doors: Vec<Arc<Door>>,
    pub(crate) receivers: Vec<(Arc<str>, Arc<dyn Receiver>)>,
    pub(crate) inlets: Vec<Inlet>,
}

/// The inlet of one receiver for one signal.
#[derive(Clone)]
pub(crate) struct Inlet {
    pub receiver: Arc<str>,
    pub signal: Signal,
    pub switch: Arc<Switch>,
    /// Where it is to lead.
    pub doors: Vec<Arc<Door>>,
}

impl Inlet {
    /// Makes it lead to its doors; `None` if it did.
    pub fn turn(&self) -> Option<Turned> {
        self.switch.turn(&self.doors)
    }
}

/// Exporters by id and signal.
pub(crate) type Exporters = IndexMap<(Arc<str>, Signal), Arc<dyn Exporter>>;

impl Graph {
    /// Builds every component of `plan`.
    ///
    /// # Errors
    /// All components that refuse their settings, each with its id.
    pub fn build(plan: &Plan, host: &Host) -> Result<Graph, Vec<Error>> {
        Graph::build_over(plan, host, None)
    }

    /// Builds what `plan` has and `old` has not; the rest is taken from there.
    pub(crate) fn build_over(
        plan: &Plan,
        host: &Host,
        old: Option<&Graph>,
    ) -> Result<Graph, Vec<Error>> {
        let kept = old.map(|old| Kept::of(old, plan)).unwrap_or_default();
        let mut builder = Builder { host, kept, errors: Vec::new(), inlets: Vec::new() };
        let extensions: Vec<(Arc<str>, Arc<dyn Extension>)> = plan
            .extensions
            .iter()
            .filter_map(|it| {
                let kept = builder.kept.extension(&it.id);
                if let Some(kept) = kept {
                    return Some((it.id.clone(), kept));
                }
                builder
                    .make(it.id.clone(), "extensions", |context| {
                        (it.factory.build)(it.config.clone(), context)
                    })
                    .map(|made| (it.id.clone(), made))
            })
            .collect();
        announce(host, &extensions);
        let exporters = builder.exporters(plan);
        let doors: Vec<_> =
            plan.pipelines.iter().filter_map(|it| builder.door(plan, it, &exporters)).collect();
        let receivers = builder.receivers(plan, &doors);
        if !builder.errors.is_empty() {
            return Err(builder.errors);
        }
        let shown = plan.telemetry.metrics.level != crate::config::Level::None;
        let pages = &plan.telemetry.metrics.pages;
        Ok(Graph {
            host: host.clone(),
            plan: plan.clone(),
            metrics_pages: if shown { pages.clone() } else { Vec::new() },
            extensions,
            exporters,
            doors,
            receivers,
            inlets: builder.inlets,
        })
    }

    /// What there is to show.
    pub(crate) fn overview(&self) -> Overview {
        Overview {
            pipelines: self.plan.pipelines.clone(),
            extensions: self.extensions.iter().map(|(id, _)| id.clone()).collect(),
        }
    }

    /// Says which authenticators there are.
    pub(crate) fn announce(&self) {
        announce(&self.host, &self.extensions);
    }

    /// The parts that `other` has not.
    pub(crate) fn without(&self, other: &Graph) -> Graph {
        let mut rest = self.clone();
        let is = |id: &Arc<str>, it: &Arc<dyn Extension>| {
            other.extensions.iter().any(|(of, old)| of == id && Arc::ptr_eq(old, it))
        };
        rest.extensions.retain(|(id, it)| !is(id, it));
        rest.exporters
            .retain(|key, it| !other.exporters.get(key).is_some_and(|old| Arc::ptr_eq(old, it)));
        rest.doors.retain(|it| !other.doors.iter().any(|old| Arc::ptr_eq(old, it)));
        rest.receivers.retain(|(id, it)| {
            !other.receivers.iter().any(|(of, old)| of == id && Arc::ptr_eq(old, it))
        });
        rest.metrics_pages.retain(|page| !other.metrics_pages.contains(page));
        rest
    }
}

fn announce(host: &Host, extensions: &[(Arc<str>, Arc<dyn Extension>)]) {
    for (id, extension) in extensions {
        if let Some(authenticator) = extension.authenticator() {
            host.authenticators().set(id, authenticator);
        }
    }
}

struct Builder<'a> {
    host: &'a Host,
    /// What need not be built.
    kept: Kept<'a>,
    errors: Vec<Error>,
    inlets: Vec<Inlet>,
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
                if let Some(kept) = self.kept.exporter(id, pipeline.signal) {
                    made.insert(key, kept);
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

    fn door(
        &mut self,
        plan: &Plan,
        pipeline: &PipelinePlan,
        exporters: &Exporters,
    ) -> Option<Arc<Door>> {
        if let Some(kept) = self.kept.door(&pipeline.id) {
            return Some(kept);
        }
        let chain = self.chain(plan, pipeline, exporters)?;
        Some(Arc::new(Door::new(Arc::new(chain))))
    }

    fn chain(
        &mut self,
        plan: &Plan,
        pipeline: &PipelinePlan,
        exporters: &Exporters,
    ) -> Option<Chain> {
        let telemetry = self.host.telemetry();
        let books = Books {
            live: self.host.ledger().reserve(&pipeline.id, &pipeline.exporters),
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
        let fanout = FanOut {
            edges,
            books: books.clone(),
            clock: self.host.clock().clone(),
            latency,
            pipeline: pipeline.id.clone(),
            spans: self.host.spans().clone(),
        };
        let links = self.links(plan, pipeline, &books)?;
        let passes = links.iter().filter_map(|link| match &link.kind {
            LinkKind::Passes(passes) => Some(passes),
            _ => None,
        });
        let asked = passes.flat_map(Fused::asks).collect();
        Some(Chain {
            asked,
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
                Processor::Gate(gate) => {
                    LinkKind::Gate(GateNode { id: id.clone(), gate, meter, panics })
                }
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
            let kept = self.kept.receiver(&it.id);
            let mut feeds = |signal| {
                let fed = plan.pipelines.iter().filter(|pipeline| {
                    pipeline.signal == signal && pipeline.receivers.contains(&it.id)
                });
                let fed: Vec<_> = fed
                    .filter_map(|p| doors.iter().find(|door| door.chain.pipeline == p.id))
                    .cloned()
                    .collect();
                self.inlet(&it.id, signal, fed, kept.as_ref().map(|(_, old)| *old))
            };
            let inlets = Inlets {
                traces: feeds(Signal::Traces),
                metrics: feeds(Signal::Metrics),
                logs: feeds(Signal::Logs),
            };
            if let Some((receiver, _)) = kept {
                made.push((it.id.clone(), receiver));
                continue;
            }
            let build = |context| (it.factory.build)(it.config.clone(), context);
            if let Some(receiver) = self.make(it.id.clone(), "receivers", build) {
                made.push((it.id.clone(), receiver(inlets)));
            }
        }
        made
    }

    /// The inlet of `receiver` to `doors`, that of `old` if the receiver is; none without doors.
    fn inlet(
        &mut self,
        receiver: &Arc<str>,
        signal: Signal,
        doors: Vec<Arc<Door>>,
        old: Option<&Graph>,
    ) -> Option<Arc<dyn Consumer>> {
        if doors.is_empty() {
            return None;
        }
        let kept = old.and_then(|old| {
            old.inlets.iter().find(|it| it.receiver == *receiver && it.signal == signal)
        });
        let switch = match kept {
            Some(kept) => kept.switch.clone(),
            None => Arc::new(Switch::new(doors.clone())),
        };
        let receiver = receiver.clone();
        self.inlets.push(Inlet { receiver, signal, switch: switch.clone(), doors });
        Some(switch)
    }

    fn panics(&self, kind: &str, id: &str) -> Counter {
        self.host.telemetry().counter(
            "foreglow_component_panics",
            "Panics caught at the edge of a component.",
            &[("kind", kind), ("id", id)],
        )
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
