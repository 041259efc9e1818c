// SPDX-License-Identifier: Apache-2.0
//! A plan from ready components, without YAML.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use basics::{Error, Result};
use otlp_wire::Signal;
use parking_lot::Mutex;

use crate::batch::Batch;
use crate::component::{
    Consumer, Context, Exporter, Extension, Factory, Inlets, Processor, Receiver,
};
use crate::config::{Decoded, Instance, Level, PipelinePlan, Plan};

/// A component that is made by a closure: the "configuration" of a test factory.
pub struct Made<B>(Box<dyn Fn(Context) -> Result<B> + Send + Sync>);

/// Collects components and pipelines; [`Blueprint::plan`] gives what the runtime builds.
#[derive(Default)]
pub struct Blueprint(Plan);

impl Blueprint {
    /// Nothing yet; own metrics are not shown.
    pub fn new() -> Self {
        let mut plan = Plan::default();
        plan.telemetry.metrics.level = Level::None;
        plan.telemetry.metrics.pages.clear();
        Blueprint(plan)
    }

    /// An exporter.
    pub fn exporter(mut self, id: &str, exporter: Arc<dyn Exporter>) -> Self {
        self.0.exporters.push(instance(id, move |_| Ok(exporter.clone())));
        self
    }

    /// A processor, made by `make` for each pipeline and after each panic of a stage or watch.
    pub fn processor(
        mut self,
        id: &str,
        make: impl Fn(Context) -> Result<Processor> + Send + Sync + 'static,
    ) -> Self {
        self.0.processors.push(instance(id, make));
        self
    }

    /// An extension.
    pub fn extension(mut self, id: &str, extension: Arc<dyn Extension>) -> Self {
        self.0.extensions.push(instance(id, move |_| Ok(extension.clone())));
        self
    }

    /// A receiver; the test sends through it.
    pub fn receiver(mut self, id: &str, receiver: &Arc<TestReceiver>) -> Self {
        let receiver = receiver.clone();
        self.0.receivers.push(instance(id, move |_| {
            let receiver = receiver.clone();
            let build: Box<dyn FnOnce(Inlets) -> Arc<dyn Receiver>> = Box::new(move |inlets| {
                receiver.state.lock().inlets = inlets;
                receiver
            });
            Ok(build)
        }));
        self
    }

    /// A pipeline; `id` is `signal` or `signal/name`.
    ///
    /// # Panics
    /// When `id` names no signal.
    pub fn pipeline(
        mut self,
        id: &str,
        receivers: &[&str],
        processors: &[&str],
        exporters: &[&str],
    ) -> Self {
        let signal = id.split('/').next().and_then(Signal::from_name);
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).into()).collect();
        self.0.pipelines.push(PipelinePlan {
            id: id.into(),
            signal: signal.expect("a pipeline's id begins with its signal"),
            receivers: ids(receivers),
            processors: ids(processors),
            exporters: ids(exporters),
        });
        self
    }

    /// The plan.
    pub fn plan(self) -> Plan {
        self.0
    }
}

fn instance<B: 'static>(
    id: &str,
    make: impl Fn(Context) -> Result<B> + Send + Sync + 'static,
) -> Instance<Factory<B>> {
    let factory = Factory {
        kind: "test",
        aliases: &[],
        signals: &Signal::ALL,
        summary: "",
        decode: |_, _| None,
        build: build::<B>,
    };
    let config: Decoded = Arc::new(Made(Box::new(make)));
    Instance { id: id.into(), factory, config, body: None }
}

fn build<B: 'static>(config: Arc<dyn Any + Send + Sync>, context: Context) -> Result<B> {
    let made = config.downcast_ref::<Made<B>>();
    made.ok_or_else(|| Error::invalid("not a component of a blueprint"))
        .and_then(|it| (it.0)(context))
}

/// A receiver through which a test sends.
#[derive(Default)]
pub struct TestReceiver {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    inlets: Inlets,
    events: Vec<&'static str>,
    start_failure: Option<Error>,
}

impl TestReceiver {
    /// One that is connected to nothing yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Sends `batch` to all pipelines of its signal.
    ///
    /// # Errors
    /// What they answered.
    ///
    /// # Panics
    /// When there is no such pipeline.
    pub async fn send(&self, batch: Batch) -> Result<()> {
        let inlet = self.state.lock().inlets.of(batch.signal()).cloned();
        let inlet: Arc<dyn Consumer> = inlet.expect("a pipeline of this signal");
        inlet.consume(batch).await
    }

    /// Its start will fail.
    pub fn fail_start(&self, failure: Error) {
        self.state.lock().start_failure = Some(failure);
    }

    /// `start` and `stop`, in order.
    pub fn events(&self) -> Vec<&'static str> {
        self.state.lock().events.clone()
    }
}

#[async_trait]
impl Receiver for TestReceiver {
    async fn start(&self) -> Result<()> {
        let mut state = self.state.lock();
        state.events.push("start");
        state.start_failure.clone().map_or(Ok(()), Err)
    }

    async fn stop(&self) -> Result<()> {
        self.state.lock().events.push("stop");
        Ok(())
    }
}
