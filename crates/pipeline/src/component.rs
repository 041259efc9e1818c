// SPDX-License-Identifier: Apache-2.0
//! What a component is. One trait per role, one [`Factory`] per component type.
//!
//! ```text
//! Receiver -> Inlet -> [ Pass Pass Watch ] -> Stage -> [ Pass ] -> fan-out -> Exporter
//!                      one task, no await     own queue            clone = refcount
//! ```
//! Lifecycle: extensions, exporters, processors, receivers start in this order and stop in the
//! mirror order. A component is built from its decoded configuration and a [`Context`]; building
//! does no I/O, so `foreglow validate` builds everything and starts nothing.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use basics::{Clock, Error, Result};
use otlp_wire::{Pass, Payload, Signal};

use crate::ack::Token;
use crate::auth::Authenticator;
use crate::batch::{Batch, Meta};
use crate::config::{Decoded, Diagnostics, Node};
use crate::host::Host;
use crate::ledger::Fate;

/// Takes batches at one place of the graph: the door of a pipeline, a stage's queue, a fan-out.
#[async_trait]
pub trait Consumer: Send + Sync {
    /// Hands over `batch`. `Ok` = accepted: delivered, in the log, or in a bounded queue.
    ///
    /// # Errors
    /// Says what the sender should do (`basics::Kind`); the batch's acks have been settled with it.
    async fn consume(&self, batch: Batch) -> Result<()>;
}

/// The doors of the pipelines that name a receiver, one per signal; none if no pipeline wants it.
#[derive(Clone, Default)]
pub struct Inlets {
    /// Door for traces.
    pub traces: Option<Arc<dyn Consumer>>,
    /// Door for metrics.
    pub metrics: Option<Arc<dyn Consumer>>,
    /// Door for logs.
    pub logs: Option<Arc<dyn Consumer>>,
}

impl Inlets {
    /// The door for `signal`.
    pub fn of(&self, signal: Signal) -> Option<&Arc<dyn Consumer>> {
        match signal {
            Signal::Traces => self.traces.as_ref(),
            Signal::Metrics => self.metrics.as_ref(),
            Signal::Logs => self.logs.as_ref(),
        }
    }
}

/// Brings telemetry in. One instance per id, whatever number of signals and pipelines use it.
#[async_trait]
pub trait Receiver: Send + Sync {
    /// Binds and begins; returns when ready to receive.
    async fn start(&self) -> Result<()>;
    /// Takes no new data; returns when what was taken has been handed over.
    async fn stop(&self) -> Result<()>;
}

/// Takes telemetry out. One instance per (id, signal).
#[async_trait]
pub trait Exporter: Send + Sync {
    /// Gets ready; must not fail because the peer is not there yet.
    async fn start(&self) -> Result<()> {
        Ok(())
    }
    /// Delivers `batch` or accepts it into the exporter's own bounded queue, and settles its acks
    /// when its fate is known.
    async fn export(&self, batch: Batch) -> Result<()>;
    /// Drains the queue within the deadline of the process, then closes.
    async fn stop(&self) -> Result<()> {
        Ok(())
    }
    /// The log that makes this exporter durable; asked for once [`Exporter::start`] is through.
    /// Its pipeline then appends every admitted body to it before acknowledging, and replays it
    /// into this exporter at start. Since the data is acknowledged by then, such an exporter waits
    /// where another one would refuse for want of room.
    fn log(&self) -> Option<Arc<segment_log::Log>> {
        None
    }

    /// Records of that log before this position need not be given again after a restart: what
    /// became of them is kept elsewhere, and no processor wants to see them.
    fn replay_from(&self) -> segment_log::Position {
        segment_log::Position::default()
    }

    /// Takes back a record that the exporter's own back end put into that log past all pipelines,
    /// in an encoding of its own; the number of items, or none if it is not one of those.
    fn replay(&self, record: &segment_log::Stored) -> Option<u64> {
        let _ = record;
        None
    }
}

/// Only looks at what passes, in the same task; must neither block nor wait. What it derives
/// (predictions, span metrics) it sends on later through the outlet given to [`Watch::run`].
#[async_trait]
pub trait Watch: Send + Sync {
    /// Sees one batch on its way; a batch it wants to keep it clones (a refcount).
    fn see(&self, batch: &Batch);
    /// Runs beside the pipeline until `out` is closed; returns early if it has nothing to do.
    async fn run(self: Arc<Self>, out: Outlet) -> Result<()> {
        let _ = out;
        Ok(())
    }
}

/// Keeps or merges batches over time. Has its own bounded queue; one task owns it.
#[async_trait]
pub trait Stage: Send {
    /// One batch. What becomes of it (and of its acks) is now the stage's; see [`Outlet`].
    /// Batches that the log gives again (`meta.replay`) must not be merged with others.
    ///
    /// # Errors
    /// For the log line only: the batch has left by the outlet.
    async fn take(&mut self, batch: Batch, out: &Outlet) -> Result<()>;
    /// Called when [`Stage::deadline`] has passed.
    async fn tick(&mut self, out: &Outlet) -> Result<()> {
        let _ = out;
        Ok(())
    }
    /// How long from now until [`Stage::tick`] is wanted; `None` = not until the next batch.
    fn deadline(&self) -> Option<Duration> {
        None
    }
    /// True when every batch leaves within the [`Stage::take`] that brings it, unmerged: what the
    /// exporters say about its items can then still be told to the sender.
    fn passes_at_once(&self) -> bool {
        false
    }
    /// No more batches will come: send on what is held.
    async fn finish(&mut self, out: &Outlet) -> Result<()> {
        let _ = out;
        Ok(())
    }
}

/// Says whether a batch may go on, before anything is done with it; must neither block nor wait.
/// The gates that a pipeline begins with are asked at its door, before its log.
pub trait Gate: Send + Sync {
    /// Lets `batch` go on.
    ///
    /// # Errors
    /// What its sender hears; it has to be one that may be retried, for nothing was done.
    fn admit(&self, batch: &Batch) -> Result<()>;
}

/// What a processor type builds for one pipeline.
pub enum Processor {
    /// Lets batches on or not.
    Gate(Arc<dyn Gate>),
    /// Sees element by element; neighbours are fused into one scan. One instance per worker.
    Pass(Box<dyn Fn() -> Box<dyn Pass> + Send + Sync>),
    /// Looks only.
    Watch(Arc<dyn Watch>),
    /// Keeps or merges.
    Stage(Box<dyn Stage>),
}

/// Something beside the pipelines: health check, query server.
#[async_trait]
pub trait Extension: Send + Sync {
    /// Begins; the pipelines are not running yet.
    async fn start(&self, host: &Host) -> Result<()>;
    /// All pipelines run.
    fn pipelines_ready(&self) {}
    /// The pipelines are about to stop.
    fn pipelines_stopping(&self) {}
    /// What it is to servers and clients whose `auth` names it; asked for once it is built.
    fn authenticator(&self) -> Option<Authenticator> {
        None
    }
    /// Ends; the pipelines have stopped.
    async fn stop(&self) -> Result<()>;
}

/// Where a stage or watch sends its output: the rest of its pipeline. Clone = refcount.
///
/// Every batch that a [`Stage`] takes must leave by exactly one of [`Outlet::forward`] (whole,
/// split or merged), [`Outlet::discard`] or [`Outlet::refuse`]: the ledger checks it. A stage that
/// keeps items for long takes them over ([`Outlet::keep`]); then each of them leaves by
/// [`Outlet::release`] or [`Outlet::let_go`].
#[derive(Clone)]
pub struct Outlet {
    pub(crate) down: Arc<dyn Downstream>,
    pub(crate) closed: tokio::sync::watch::Receiver<bool>,
}

/// What an [`Outlet`] leads to.
#[async_trait]
pub(crate) trait Downstream: Send + Sync {
    async fn forward(&self, batch: Batch) -> Result<()>;
    async fn generate(&self, payload: Payload, meta: Arc<Meta>) -> Result<()>;
    fn left(&self, meta: &Meta, items: u64, fate: Fate);
    /// So many items more (or, negative, fewer) are kept by a stage that has taken them over.
    fn kept(&self, meta: &Meta, items: i64);
    /// Counts `batch` as in flight until this is dropped.
    fn in_flight(&self, batch: &Batch) -> Arc<Token>;
}

impl Outlet {
    /// Sends on a batch that came in. An error is for information: the batch's acks have been
    /// settled and its items counted.
    pub async fn forward(&self, batch: Batch) -> Result<()> {
        self.down.forward(batch).await
    }

    /// Sends on telemetry made here (predictions, aggregates). In a durable pipeline it is first
    /// appended to the log, tagged with this place, so that a restart finds it again. Does nothing
    /// when `meta.replay` says that the log holds it already.
    pub async fn generate(&self, payload: Payload, meta: Arc<Meta>) -> Result<()> {
        if meta.replay {
            return Ok(());
        }
        self.down.generate(payload, meta).await
    }

    /// Leaves out a batch that came in, as the configuration wants it; a success for who waits.
    pub fn discard(&self, batch: Batch, fate: Fate) {
        self.left(&batch.meta, batch.items(), fate);
        batch.settle(Ok(()));
    }

    /// Refuses a batch that came in: it is counted as dropped and who waits hears `error`.
    pub fn refuse(&self, batch: Batch, error: &Error) {
        self.left(&batch.meta, batch.items(), Fate::Dropped(error.kind().into()));
        batch.settle(Err(error.clone()));
    }

    /// `items` of a batch that came in with `meta` will not go on; the rest of it will.
    pub fn left(&self, meta: &Meta, items: u64, fate: Fate) {
        self.down.left(meta, items, fate);
    }

    /// Takes over the items of `batch`, of which the stage has made a copy that it accounts for:
    /// who waits hears that they are accepted, and the memory of the batch is free again.
    pub fn keep(&self, batch: Batch) {
        self.down.kept(&batch.meta, batch.items() as i64);
        batch.settle(Ok(()));
    }

    /// Sends on items that were taken over with a `meta` like this one. An error is for
    /// information.
    pub async fn release(&self, payload: Payload, meta: Arc<Meta>) -> Result<()> {
        let mut batch = Batch::new(payload, meta);
        batch.acks.add(self.down.in_flight(&batch));
        self.down.kept(&batch.meta, -(batch.items() as i64));
        self.down.forward(batch).await
    }

    /// `items` that were taken over with a `meta` like this one will not go on.
    pub fn let_go(&self, meta: &Meta, items: u64, fate: Fate) {
        self.left(meta, items, fate);
        self.down.kept(meta, -(items as i64));
    }

    /// Resolves when the pipeline is stopping.
    pub async fn closed(&mut self) {
        // An error means the sender is gone, which is as good as closed.
        let _ = self.closed.wait_for(|closed| *closed).await;
    }
}

/// What a component is built with.
#[derive(Clone)]
pub struct Context {
    /// Its id as written, `type` or `type/name`.
    pub id: Arc<str>,
    /// The signal it is built for; for receivers and extensions meaningless.
    pub signal: Signal,
    /// The pipeline it belongs to (processors only), e.g. `metrics/prod`; empty otherwise.
    pub pipeline: Arc<str>,
    /// Time.
    pub clock: Clock,
    /// Shared things of the process: telemetry, data directory, other components' shared state.
    pub host: Host,
}

/// How to make one component type: `B` is what it builds.
///
/// Listed in the one visible table in the binary (`foreglow::components`).
pub struct Factory<B: 'static> {
    /// Type as written in YAML, current spelling.
    pub kind: &'static str,
    /// Older or alternative spellings; each loads, with one warning if it is deprecated.
    pub aliases: &'static [Alias],
    /// Signals it works with.
    pub signals: &'static [Signal],
    /// One line for `foreglow components`.
    pub summary: &'static str,
    /// Decodes the YAML body (`null` = defaults) and checks it; all mistakes go to `Diagnostics`.
    pub decode: fn(&Node, &mut Diagnostics) -> Option<Decoded>,
    /// Makes the component.
    pub build: Build<B>,
}

impl<B> Clone for Factory<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Factory<B> {}

/// The function that makes a component from its decoded configuration.
pub type Build<B> = fn(Arc<dyn Any + Send + Sync>, Context) -> Result<B>;

/// Another spelling of a component type.
#[derive(Clone, Copy, Debug)]
pub struct Alias {
    /// The spelling.
    pub kind: &'static str,
    /// What to say when it is used; `None` = equally good.
    pub warning: Option<&'static str>,
}

/// A receiver is built before its inlets exist; it gets them with the factory's result.
pub type ReceiverFactory = Factory<Box<dyn FnOnce(Inlets) -> Arc<dyn Receiver>>>;
/// Factory of a processor.
pub type ProcessorFactory = Factory<Processor>;
/// Factory of an exporter.
pub type ExporterFactory = Factory<Arc<dyn Exporter>>;
/// Factory of an extension.
pub type ExtensionFactory = Factory<Arc<dyn Extension>>;

/// Every component type the binary has.
#[derive(Default)]
pub struct Components {
    /// Receivers.
    pub receivers: Vec<ReceiverFactory>,
    /// Processors.
    pub processors: Vec<ProcessorFactory>,
    /// Exporters.
    pub exporters: Vec<ExporterFactory>,
    /// Extensions.
    pub extensions: Vec<ExtensionFactory>,
}
