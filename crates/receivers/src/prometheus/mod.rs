// SPDX-License-Identifier: Apache-2.0
//! Receiver `prometheus`: scrapes pages in Prometheus' formats.
//!
//! ```text
//! discovery -> endpoint (relabel) -> pool: a task a target
//!                                      fetch -> page -> target: place, round -> otlp -> pipeline
//! ```
//! Each scrape gives one metrics payload, a failed one gives `up 0` and stale markers. Names stay
//! as on the page. Targets are configured or read from files; other service discovery is refused
//! by name.
//! Bounds: page size (64 MiB unless `body_size_limit` says otherwise, out of the process's budget),
//! one scrape of a target at a time, a scrape ends with its timeout.

pub mod config;
mod discovery;
mod endpoint;
mod otlp;
mod page;
mod place;
mod pool;
mod round;
mod scrape;
mod target;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use basics::{Error, Result};
use otlp_wire::Signal;
use parking_lot::Mutex;
use pipeline::component::ReceiverFactory;
use pipeline::relabel::Relabel;
use pipeline::telemetry::ReceiverMeter;
use pipeline::{Consumer, Context, Inlets, Receiver};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use config::Config;

use config::{Global, Job};
use pool::{Pool, Shared};
use scrape::Fetcher;
use target::Rules;

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
        summary: "scrapes pages in Prometheus' formats",
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

    fn pool(&self, job: &Job, inlet: &Arc<dyn Consumer>) -> Result<Pool> {
        let global = &self.config.config.global;
        let meter = ReceiverMeter::new(self.context.host.telemetry(), &self.context.id, "http");
        Ok(Pool::new(Shared {
            job: job.clone(),
            global: global.clone(),
            relabel: Relabel::new(&job.relabel_configs)?,
            rules: Arc::new(rules(&self.config, job, global)?),
            fetcher: Fetcher::new(job, global)?,
            context: self.context.clone(),
            inlet: inlet.clone(),
            meter,
            refused: std::sync::atomic::AtomicBool::new(false),
            offset: FIRST_SCRAPE + self.config.initial_scrape_offset.get(),
        }))
    }
}

/// What becomes of the samples of a job.
fn rules(config: &Config, job: &Job, global: &Global) -> Result<Rules> {
    let or = |own: usize, all: usize| if own > 0 { own } else { all };
    let extra = global.extra_scrape_metrics || config.report_extra_scrape_metrics;
    let classic = global.always_scrape_classic_histograms;
    let classic_too = job.always_scrape_classic_histograms.unwrap_or(classic);
    let nhcb = global.convert_classic_histograms_to_nhcb;
    let custom_buckets = job.convert_classic_histograms_to_nhcb.unwrap_or(nhcb);
    Ok(Rules {
        honor_labels: job.honor_labels,
        honor_timestamps: job.honor_timestamps,
        track_timestamps: job.track_timestamps_staleness,
        relabel: Relabel::new(&job.metric_relabel_configs)?,
        external_labels: global.external_labels.clone().into_iter().collect(),
        sample_limit: or(job.sample_limit, global.sample_limit),
        label_limit: or(job.label_limit, global.label_limit),
        name_length_limit: or(job.label_name_length_limit, global.label_name_length_limit),
        value_length_limit: or(job.label_value_length_limit, global.label_value_length_limit),
        native: job.scrape_native_histograms.unwrap_or(global.scrape_native_histograms),
        classic_too,
        // Both at once have no form here, and whoever wants both has use for the classic ones.
        custom_buckets: custom_buckets && !classic_too,
        bucket_limit: job.native_histogram_bucket_limit,
        scale_max: page::native::scale_of_factor(job.native_histogram_min_bucket_factor),
        trim_suffixes: config.trim_metric_suffixes,
        extra_metrics: job.extra_scrape_metrics.unwrap_or(extra),
    })
}

#[async_trait]
impl Receiver for Prometheus {
    async fn start(&self) -> Result<()> {
        let Some(inlet) = self.inlets.metrics.clone() else { return Ok(()) };
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for job in self.config.config.jobs()? {
            tasks.spawn(self.pool(&job, &inlet)?.run(stopped.clone()));
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
