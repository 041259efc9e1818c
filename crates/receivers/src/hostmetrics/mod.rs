// SPDX-License-Identifier: Apache-2.0
//! Receiver `hostmetrics`: processor, memory, disk, file system, network, load of this machine.
//!
//! Out: one metrics payload per `collection_interval`, one scope per scraper, metric names, units
//! and attributes as the collector's receiver has them. Counters start at the machine's boot. A
//! file that cannot be read costs that scraper's metrics of that reading, is counted and logged.
//! Linux only: elsewhere building it fails with a clear error.
//! Bounds: one reading at a time, on a blocking thread; what the pipeline refuses is not kept.

pub mod config;
mod emit;
mod metrics;
mod reader;
mod scrapers;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use basics::{Error, Result};
use otlp_wire::Signal;
use parking_lot::Mutex;
use pipeline::component::ReceiverFactory;
use pipeline::telemetry::{ReceiverMeter, ScraperMeter};
use pipeline::{Batch, Context, Inlets, Meta, Receiver};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use config::Config;
pub use reader::Reader;

/// The receiver.
pub struct HostMetrics {
    config: Arc<Config>,
    context: Context,
    inlets: Inlets,
    running: Mutex<Option<(watch::Sender<bool>, JoinHandle<()>)>>,
}

/// How the component table makes it.
pub fn factory() -> ReceiverFactory {
    ReceiverFactory {
        kind: "hostmetrics",
        aliases: &[pipeline::component::Alias { kind: "host_metrics", warning: None }],
        signals: &[Signal::Metrics],
        summary: "processor, memory, disk, file system, network and load of this machine (Linux)",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config.downcast::<Config>().map_err(|_| {
                Error::invalid("receiver hostmetrics got another component's settings")
            })?;
            if !cfg!(target_os = "linux") {
                return Err(Error::invalid("receiver hostmetrics works on Linux only"));
            }
            Ok(Box::new(move |inlets| {
                let running = Mutex::new(None);
                Arc::new(HostMetrics { config, context, inlets, running }) as _
            }))
        },
    }
}

#[async_trait]
impl Receiver for HostMetrics {
    async fn start(&self) -> Result<()> {
        let Some(inlet) = self.inlets.metrics.clone() else { return Ok(()) };
        let mut reader = Reader::new(&self.config)?;
        let clock = self.context.clock.clone();
        let telemetry = self.context.host.telemetry();
        let meter = ReceiverMeter::new(telemetry, &self.context.id, "");
        let names = self.config.scrapers.names();
        let meters: Vec<(&str, ScraperMeter)> = names
            .into_iter()
            .map(|name| (name, ScraperMeter::new(telemetry, &self.context.id, name)))
            .collect();
        let (stop, mut stopped) = watch::channel(false);
        let delay = self.config.initial_delay.get();
        let interval = self.config.collection_interval.get();
        let task = tokio::spawn(async move {
            let begin = tokio::time::Instant::now() + delay;
            let mut ticks = tokio::time::interval_at(begin, interval);
            // After a pause (a suspended machine) one reading, not all that were missed.
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    _ = stopped.wait_for(|stop| *stop) => return,
                    _ = ticks.tick() => {}
                }
                let now = clock.now();
                // File systems may hang: not on a thread that others need.
                let read = tokio::task::spawn_blocking(move || {
                    let reading = reader.read(now);
                    (reader, reading)
                });
                let Ok((back, reading)) = read.await else { return };
                reader = back;
                for (name, outcome) in &reading.scrapers {
                    let Some((_, meter)) = meters.iter().find(|(known, _)| known == name) else {
                        continue;
                    };
                    match outcome {
                        Ok(points) => meter.scraped(u64::from(*points)),
                        Err(error) => {
                            meter.errored(1);
                            tracing::warn!(scraper = name, "cannot read: {error}");
                        }
                    }
                }
                let items = u64::from(reading.payload.items());
                if items == 0 {
                    continue;
                }
                let meta = Meta { received: now, ..Meta::default() };
                let outcome = inlet.consume(Batch::new(reading.payload, Arc::new(meta))).await;
                meter.outcome(Signal::Metrics, items, &outcome);
                if let Err(error) = outcome {
                    tracing::warn!("host metrics refused: {error}");
                }
            }
        });
        *self.running.lock() = Some((stop, task));
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        let running = self.running.lock().take();
        if let Some((stop, task)) = running {
            // No receiver left means the task has ended already.
            let _ = stop.send(true);
            let _ = task.await;
        }
        Ok(())
    }
}
