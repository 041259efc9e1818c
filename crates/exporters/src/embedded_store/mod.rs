// SPDX-License-Identifier: Apache-2.0
//! Exporter `embedded_store`: into the store of this process.
//!
//! Its pipelines become durable: the runtime appends what they admit to the store's log before it
//! acknowledges and replays it at start; this exporter only takes what is given into memory. All
//! signals, pipelines and the query server share one store ([`STORE`] in the host).
//! What the store refuses (too old, over a limit) is counted by reason, told to the sender as a
//! partial success, and does not fail the batch: sending it again would change nothing.

mod config;
mod measure;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use basics::files::RealFiles;
use basics::{Error, Result};
use otlp_wire::Signal;
use parking_lot::Mutex;
use pipeline::component::ExporterFactory;
use pipeline::telemetry::{ExporterMeter, Telemetry};
use pipeline::{Batch, Context, Delivered, Exporter};
use store::{IngestReport, Store};

pub use config::Config;

/// The name under which the host shares the store.
pub const STORE: &str = "embedded_store";

/// How often the store hears of the time: a third of the step that it has points for.
const TICK: Duration = Duration::from_secs(5);

/// Longest wait for memory to be written to blocks. Ten times what that takes; if the disk does not
/// take it any more, the log fills and refuses at the door.
const CROWDED_MAX: Duration = Duration::from_secs(5);

/// Between two looks.
const CROWDED_PAUSE: Duration = Duration::from_millis(5);

/// The exporter of one signal.
pub struct EmbeddedStore {
    config: Arc<Config>,
    context: Context,
    meter: ExporterMeter,
    store: Mutex<Option<Arc<Store>>>,
}

/// Started exporters of the one store.
#[derive(Default)]
struct Users(AtomicUsize);

/// How the component table makes it.
pub fn factory() -> ExporterFactory {
    ExporterFactory {
        kind: "embedded_store",
        aliases: &[],
        signals: &[Signal::Traces, Signal::Metrics, Signal::Logs],
        summary: "the store of this process: durable, queried by the page and the Prometheus API",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config.downcast::<Config>().map_err(|_| {
                Error::invalid("exporter embedded_store got another component's settings")
            })?;
            Ok(Arc::new(EmbeddedStore::new(config, context)))
        },
    }
}

impl EmbeddedStore {
    /// An exporter into the store of `context`'s host, which is opened at start.
    pub fn new(config: Arc<Config>, context: Context) -> Self {
        let meter = ExporterMeter::new(context.host.telemetry(), &context.id);
        EmbeddedStore { config, context, meter, store: Mutex::new(None) }
    }

    fn open(&self) -> Result<Arc<Store>> {
        let host = &self.context.host;
        let directory = self.config.directory(host.data_dir());
        host.shared(STORE, || {
            let files = Arc::new(RealFiles);
            let mut options = self.config.options();
            options.storage.objects = self.config.objects()?;
            let store = Store::open(&directory, options, files, host.clock().clone())
                .map_err(|e| e.within(format!("embedded store in {}", directory.display())))?;
            Ok(store)
        })
        .inspect(|store| measure::register(host.telemetry(), store))
    }

    /// Until the store goes away it hears of the time, so that metrics of spans go on.
    fn keep_ticking(&self, store: &Arc<Store>) {
        let (store, clock) = (Arc::downgrade(store), self.context.host.clock().clone());
        tokio::spawn(async move {
            let mut every = tokio::time::interval(TICK);
            loop {
                every.tick().await;
                let Some(store) = store.upgrade() else { return };
                store.tick(clock.now());
            }
        });
    }

    fn users(&self) -> Result<Arc<Users>> {
        self.context.host.shared(STORE, || Ok(Users::default()))
    }

    /// Counts what became of a payload, and says it for the sender.
    fn count(&self, signal: Signal, report: &IngestReport) -> Delivered {
        self.meter.sent(signal, report.points);
        if report.rejected.total() == 0 {
            return Delivered::default();
        }
        let mut reasons = Vec::new();
        for (reason, count) in report.rejected.iter() {
            refused_by(self.context.host.telemetry(), reason.name()).add(count);
            reasons.push(format!("{} ({count})", reason.meaning()));
        }
        let message = format!("{}: refused: {}", self.context.id, reasons.join(", "));
        tracing::debug!(points = report.rejected_points, message, "the store refused samples");
        // A sample that belongs to no point (`target_info`) is none of the sender's.
        match report.rejected_points {
            0 => Delivered::default(),
            rejected => Delivered { rejected, message },
        }
    }
}

/// Registering again gives the same counter; refusals are rare enough to look it up.
fn refused_by(telemetry: &Telemetry, reason: &str) -> pipeline::telemetry::Counter {
    telemetry.counter(
        "foreglow_store_refused_samples_total",
        "Points and samples the store did not take.",
        &[("reason", reason)],
    )
}

#[async_trait]
impl Exporter for EmbeddedStore {
    async fn start(&self) -> Result<()> {
        let store = self.open()?;
        // The first of the signals that share it looks after it.
        if self.users()?.0.fetch_add(1, Ordering::AcqRel) == 0 {
            self.keep_ticking(&store);
        }
        *self.store.lock() = Some(store);
        Ok(())
    }

    async fn export(&self, batch: Batch) -> Result<()> {
        let store = self.store.lock().clone();
        let Some(store) = store else {
            let error = Error::closed("the embedded store is not open");
            batch.settle(Err(error.clone()));
            return Err(error);
        };
        let deadline = tokio::time::Instant::now() + CROWDED_MAX;
        while store.is_crowded() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(CROWDED_PAUSE).await;
        }
        let (payload, received) = (&batch.payload, batch.meta.received);
        let report = match batch.meta.replay.then(|| batch.acks.last_record()).flatten() {
            Some(last) => store.ingest_again(payload, received, last),
            None => store.ingest(payload, received),
        };
        let delivered = self.count(batch.signal(), &report);
        batch.acks.settle_as(Ok(delivered));
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        let Some(store) = self.store.lock().take() else { return Ok(()) };
        // All signals share the store: the last one out closes the log. Memory stays readable.
        match self.users()?.0.fetch_sub(1, Ordering::AcqRel) {
            1 => {
                // After a reload someone may want it again: opened anew.
                self.context.host.forget::<Store>(STORE);
                store.close()
            }
            _ => Ok(()),
        }
    }

    fn log(&self) -> Option<Arc<segment_log::Log>> {
        self.store.lock().as_ref().map(|store| store.log().clone())
    }

    fn replay_from(&self) -> segment_log::Position {
        match (self.context.signal, &*self.store.lock()) {
            // Models want to see what metrics there are again.
            (Signal::Metrics, _) | (_, None) => segment_log::Position::default(),
            (signal, Some(store)) => store.flushed(signal),
        }
    }

    fn replay(&self, record: &segment_log::Stored) -> Option<u64> {
        let store = self.store.lock().clone();
        store?.write_again(record)
    }
}
