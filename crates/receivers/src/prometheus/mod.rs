// SPDX-License-Identifier: Apache-2.0
//! Receiver `prometheus`: scrapes pages in Prometheus' text format.
//!
//! One task a target; each scrape gives one metrics payload, a failed one gives `up 0` and stale
//! markers. Names stay as on the page. `static_configs` only so far; service discovery and
//! relabelling are refused by name.
//! Bounds: page size (64 MiB unless `body_size_limit` says otherwise, out of the process's budget),
//! one scrape of a target at a time, a scrape ends with its timeout.

pub mod config;
mod families;
mod scrape;
mod target;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use basics::{Error, Result};
use otlp_wire::Signal;
use parking_lot::Mutex;
use pipeline::component::ReceiverFactory;
use pipeline::telemetry::ReceiverMeter;
use pipeline::{Batch, Consumer, Context, Inlets, Meta, Receiver};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use config::Config;

use scrape::{Scraper, scrapers};
use target::{Facts, Target};

/// The first scrape waits until the listeners of this process are there.
const FIRST_SCRAPE: Duration = Duration::from_millis(500);

/// The receiver.
pub struct Prometheus {
    config: Arc<Config>,
    context: Context,
    inlets: Inlets,
    running: Mutex<Option<(watch::Sender<bool>, JoinSet<()>)>>,
}

/// How the component table makes it.
pub fn factory() -> ReceiverFactory {
    ReceiverFactory {
        kind: "prometheus",
        aliases: &[],
        signals: &[Signal::Metrics],
        summary: "scrapes pages in Prometheus' text format",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config.downcast::<Config>().map_err(|_| {
                Error::invalid("receiver prometheus got another component's settings")
            })?;
            Ok(Box::new(move |inlets| Arc::new(Prometheus::new(config, context, inlets)) as _))
        },
    }
}

impl Prometheus {
    /// A receiver that hands what it scrapes to `inlets`.
    pub fn new(config: Arc<Config>, context: Context, inlets: Inlets) -> Self {
        Prometheus { config, context, inlets, running: Mutex::new(None) }
    }
}

/// One target being scraped.
struct Loop {
    scraper: Scraper,
    target: Target,
    context: Context,
    inlet: Arc<dyn Consumer>,
    meter: ReceiverMeter,
}

impl Loop {
    async fn run(mut self, first: Duration, mut stopped: watch::Receiver<bool>) {
        let begin = tokio::time::Instant::now() + first;
        let mut ticks = tokio::time::interval_at(begin, self.scraper.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return,
                _ = ticks.tick() => {}
            }
            // A scrape under way ends with its timeout; stopping does not wait for it.
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return,
                () = self.once() => {}
            }
        }
    }

    async fn once(&mut self) {
        let clock = &self.context.clock;
        let (time, begun) = (clock.now(), clock.monotonic());
        let page = self.scraper.scrape(self.context.host.budget()).await;
        let seconds = clock.monotonic().saturating_sub(begun) as f64 / 1e9;
        if let Err(error) = &page {
            tracing::warn!(target = self.scraper.url(), "scrape failed: {error}");
        }
        let payload = self.target.observe(page.ok(), Facts { time, seconds });
        let items = u64::from(payload.items());
        let meta = Meta { received: time, ..Meta::default() };
        let outcome = self.inlet.consume(Batch::new(payload, Arc::new(meta))).await;
        self.meter.outcome(Signal::Metrics, items, &outcome);
        if let Err(error) = outcome {
            tracing::warn!(target = self.scraper.url(), "scraped metrics refused: {error}");
        }
    }
}

#[async_trait]
impl Receiver for Prometheus {
    async fn start(&self) -> Result<()> {
        let Some(inlet) = self.inlets.metrics.clone() else { return Ok(()) };
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let targets = scrapers(&self.config.config)?;
        let count = targets.len().max(1) as u32;
        for (index, (scraper, identity)) in targets.into_iter().enumerate() {
            // Spread over the interval, so that pages do not all come at once.
            let first =
                FIRST_SCRAPE.min(scraper.interval) + scraper.interval / count * index as u32;
            let telemetry = self.context.host.telemetry();
            let work = Loop {
                scraper,
                target: Target::new(identity),
                context: self.context.clone(),
                inlet: inlet.clone(),
                meter: ReceiverMeter::new(telemetry, &self.context.id, "http"),
            };
            tasks.spawn(work.run(first, stopped.clone()));
        }
        *self.running.lock() = Some((stop, tasks));
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        let running = self.running.lock().take();
        if let Some((stop, mut tasks)) = running {
            // No receiver left means every task has ended.
            let _ = stop.send(true);
            while tasks.join_next().await.is_some() {}
        }
        Ok(())
    }
}
