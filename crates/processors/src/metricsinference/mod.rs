// SPDX-License-Identifier: Apache-2.0
//! `metricsinference`: models look at metrics as they pass and add what they say.
//!
//! In: metrics batches. Out: the same batches, untouched and at once; then, as batches of their
//! own, the results of the rules. With `grpc.endpoint` all models run on that KServe server,
//! without it all are embedded; one never stands in for the other.
//!
//! A dead, slow or wrong model costs the originals nothing: it is counted
//! (`foreglow_inference_*`) and its results are missing. During a replay of the log embedded models
//! rebuild their state and write nothing, for the log holds their results; remote ones are not
//! asked.
//! Bounds: `state.max_series` per rule, [`remote::QUEUE`] batches of rows per remote rule,
//! [`join::PENDING_MAX`] waiting points per series of a joined rule.

mod answer;
mod config;
mod join;
mod meters;
mod naming;
mod remote;
mod rule;
mod selector;
mod series;

pub use config::Config;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use basics::{Clock, Error, Result};
use hashbrown::HashMap;
use models::builtin;
use models::kserve::{Client, ModelCall};
use otlp_wire::write::Metrics;
use otlp_wire::{Data, NumberPoint, Payload, Signal, Views};
use pipeline::component::{Context, Factory, Outlet, Processor, ProcessorFactory, Stage};
use pipeline::telemetry::Telemetry;
use pipeline::{Batch, Meta};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use config::RuleConfig;
use meters::{Meters, Outcome, Skip};
use remote::{Emit, Job, Worker};
use rule::{Embedded, Rule};
use series::{Moment, Origins};

/// Results are sent on in payloads of at most so many points, to fit the 4 MiB a gRPC peer takes.
const POINTS_A_PAYLOAD: u32 = 10_000;
/// How long remote models may still answer when the pipeline stops.
const FINISH: Duration = Duration::from_secs(2);

/// Describes the processor to the binary's table.
pub fn factory() -> ProcessorFactory {
    Factory {
        kind: "metricsinference",
        aliases: &[],
        signals: &[Signal::Metrics],
        summary: "runs models over metrics, embedded or on a KServe v2 server",
        decode: pipeline::config::decode::<Config>,
        build,
    }
}

fn build(config: Arc<dyn Any + Send + Sync>, context: Context) -> Result<Processor> {
    let config = config
        .downcast::<Config>()
        .map_err(|_| Error::invalid("not the configuration of metricsinference"))?;
    let stage = Inference::new(&config, context.host.telemetry(), context.clock.clone())?;
    Ok(Processor::Stage(Box::new(stage)))
}

/// Where a rule's model runs.
enum Engine {
    Embedded(Box<Embedded>),
    Remote(Remote),
}

/// A remote rule before its task runs, and after.
struct Remote {
    call: ModelCall,
    queue: Option<mpsc::Sender<Job>>,
}

/// The processor of one pipeline.
struct Inference {
    rules: Vec<(Rule, Engine)>,
    /// Which (rule, input) want a metric.
    wanted: HashMap<String, Vec<(usize, usize)>>,
    origins: Origins,
    clock: Clock,
    batches: u64,
    writer: Metrics,
    /// How to reach the server; `None` when the models are embedded.
    server: Option<models::kserve::ClientConfig>,
    workers: Vec<JoinHandle<()>>,
}

impl Inference {
    fn new(config: &Config, telemetry: &Telemetry, clock: Clock) -> Result<Self> {
        let server = config.grpc.as_ref().map(|grpc| grpc.client());
        if let Some(server) = &server {
            server.check()?;
        }
        let mut rules = Vec::new();
        let mut wanted: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        for (index, rule) in config.rules.iter().enumerate() {
            let name = match rule.name.as_str() {
                "" => format!("{}#{index}", rule.model_name),
                name => name.to_owned(),
            };
            let meters = Meters::new(telemetry, &name, &rule.model_name);
            let built =
                Rule::new(rule, config, meters).map_err(|e| e.within(format!("rule {name}")))?;
            for (input, selector) in built.selectors.iter().enumerate() {
                wanted.entry(selector.metric.clone()).or_default().push((index, input));
            }
            let engine = match &server {
                None => Engine::Embedded(Box::new(embedded(rule)?)),
                Some(_) => Engine::Remote(Remote { call: call(rule, config), queue: None }),
            };
            rules.push((built, engine));
        }
        Ok(Inference {
            rules,
            wanted,
            origins: Origins::default(),
            clock,
            batches: 0,
            writer: Metrics::new(),
            server,
            workers: Vec::new(),
        })
    }

    /// Starts the tasks of remote rules; later calls do nothing.
    fn start(&mut self, out: impl FnOnce() -> Arc<dyn Emit>) -> Result<()> {
        let Some(server) = self.server.take() else { return Ok(()) };
        let client = Client::new(&server)?;
        let out = out();
        for (rule, engine) in &mut self.rules {
            let Engine::Remote(remote) = engine else { continue };
            let (queue, jobs) = mpsc::channel(remote::QUEUE);
            remote.queue = Some(queue);
            let worker = Worker {
                client: client.clone(),
                call: remote.call.clone(),
                results: rule.results.clone(),
                meters: rule.meters.clone(),
                clock: self.clock.clone(),
                out: out.clone(),
            };
            self.workers.push(tokio::spawn(worker.run(jobs)));
        }
        Ok(())
    }

    /// Looks at a batch: asks embedded models, queues rows for remote ones. Gives the results of
    /// the embedded ones and how many points of which rule they hold.
    fn observe(&mut self, payload: &Payload, meta: &Arc<Meta>) -> Option<Payload> {
        self.batches += 1;
        let moment = Moment { now: self.clock.now(), batch: self.batches };
        self.gather(payload, moment, meta.replay);
        for (rule, engine) in &mut self.rules {
            match engine {
                Engine::Embedded(model) => {
                    model.answer(rule, moment, &self.clock, meta.replay, &mut self.writer);
                }
                Engine::Remote(remote) => remote.ask(rule, moment, meta),
            }
        }
        (!self.writer.is_empty()).then(|| self.writer.finish())
    }

    fn gather(&mut self, payload: &Payload, moment: Moment, replay: bool) {
        for resource in payload.metrics() {
            for scope in resource.scopes() {
                let mut origin = None;
                for metric in scope.metrics() {
                    let Some(wanted) = self.wanted.get(metric.name()) else { continue };
                    let origin =
                        origin.get_or_insert_with(|| self.origins.intern(&resource, &scope));
                    for &(rule, input) in wanted {
                        let (rule, engine) = &mut self.rules[rule];
                        if replay && matches!(engine, Engine::Remote(_)) {
                            continue;
                        }
                        let Some(points) = numbers(metric.data()) else {
                            rule.meters.skip(Skip::UnsupportedType, metric.points_count() as u64);
                            continue;
                        };
                        rule.see_unit(input, metric.unit());
                        for point in points {
                            rule.see(input, origin, &point, resource.attrs(), moment);
                        }
                    }
                }
            }
        }
    }

    /// Closes the queues and gives remote models a last chance to answer.
    async fn finish_remote(&mut self) {
        for (_, engine) in &mut self.rules {
            if let Engine::Remote(remote) = engine {
                remote.queue = None;
            }
        }
        let deadline = tokio::time::Instant::now() + FINISH;
        for mut worker in self.workers.drain(..) {
            if tokio::time::timeout_at(deadline, &mut worker).await.is_err() {
                worker.abort();
            }
        }
    }
}

impl Drop for Inference {
    fn drop(&mut self) {
        self.workers.iter().for_each(JoinHandle::abort);
    }
}

impl Remote {
    fn ask(&self, rule: &mut Rule, moment: Moment, meta: &Arc<Meta>) {
        let rows = rule.rows(moment, |_| ()).clone();
        if rows.is_empty() {
            return;
        }
        let targets = rule.targets();
        rule.clear();
        let job = Job { rows, targets, unit: rule.unit().to_owned(), meta: meta.clone() };
        let sent = self.queue.as_ref().is_some_and(|queue| queue.try_send(job).is_ok());
        if !sent {
            rule.meters.request(Outcome::Overflow);
        }
    }
}

fn embedded(rule: &RuleConfig) -> Result<Embedded> {
    let (name, inputs, params) = (rule.model_name.clone(), rule.inputs.len(), rule.params());
    Embedded::new(Box::new(move || builtin::create(&name, inputs, &params)))
}

fn call(rule: &RuleConfig, config: &Config) -> ModelCall {
    ModelCall {
        model: rule.model_name.clone(),
        version: rule.model_version.clone(),
        params: rule.params(),
        inputs: rule.inputs.clone(),
        metadata: Default::default(),
        timeout: config.timeout(),
    }
}

fn numbers(data: Data<'_>) -> Option<Views<'_, NumberPoint<'_>>> {
    match data {
        Data::Gauge { points } | Data::Sum { points, .. } => Some(points),
        _ => None,
    }
}

#[async_trait]
impl Stage for Inference {
    async fn take(&mut self, batch: Batch, out: &Outlet) -> Result<()> {
        let (payload, meta) = (batch.payload.clone(), batch.meta.clone());
        // Refused downstream means that the sender will send it again: it must not count twice.
        out.forward(batch).await?;
        self.start(|| Arc::new(out.clone()))?;
        let Some(results) = self.observe(&payload, &meta) else { return Ok(()) };
        for part in results.split(POINTS_A_PAYLOAD) {
            if let Err(error) = out.generate(part, meta.clone()).await {
                tracing::warn!(%error, "results of embedded models not taken");
            }
        }
        Ok(())
    }

    fn passes_at_once(&self) -> bool {
        true
    }

    async fn finish(&mut self, _out: &Outlet) -> Result<()> {
        self.finish_remote().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
