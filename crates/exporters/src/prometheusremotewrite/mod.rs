// SPDX-License-Identifier: Apache-2.0
//! Exporter `prometheusremotewrite`: metrics to anything that takes Prometheus remote write 1.0 or 2.0.
//!
//! Names and labels are those of the store (`otlp-series`). Batches go one after the other; a large
//! one is spread over lanes by series ([`body`]), sent at the same time, each lane in order. What
//! fails is tried again in place: 5xx, 429 and network errors, and only what was not delivered yet,
//! so the samples of a series arrive in order and once. A request that the peer refuses is halved
//! until the series that it refuses is alone ([`sender`]). Points that have no place in Prometheus
//! (deltas, no value) are counted and left out.

mod block;
mod body;
mod config;
mod encode;
mod labels;
mod metadata;
mod sender;
#[cfg(test)]
mod tests;
mod v1;
mod v2;
mod wire;
mod written;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use basics::files::RealFiles;
use basics::{Error, Kind, Result};
use bytes::Bytes;
use otlp_series::Report;
use otlp_wire::Signal;
use parking_lot::Mutex;
use pipeline::component::{Alias, ExporterFactory};
use pipeline::storage::{Storage, StorageSettings};
use pipeline::telemetry::Counter;
use pipeline::{Batch, Context};
use segment_log::Durability;

pub use body::{Holds, Lane, Request};
pub use config::{Config, Wal};
pub use encode::Encoder;

use crate::delivery::{Delivery, DeliverySettings, Push, Pushed, QueueSettings};
use sender::{Outcome, Sender};
use written::Forwarding;

/// How the component table makes it.
pub fn factory() -> ExporterFactory {
    ExporterFactory {
        kind: "prometheusremotewrite",
        aliases: &[Alias { kind: "prometheus_remote_write", warning: None }],
        signals: &[Signal::Metrics],
        summary: "Prometheus remote write 1.0 and 2.0",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config.downcast::<Config>().map_err(|_| {
                Error::invalid("exporter prometheusremotewrite got another component's settings")
            })?;
            let delivery = build(&config, &context)?;
            Ok(match config.forward_written {
                true => Arc::new(Forwarding::new(delivery, context.host.clone())),
                false => Arc::new(delivery),
            })
        },
    }
}

/// The exporter as configured.
///
/// # Errors
/// `Invalid` when the endpoint or a header is none.
pub fn build(config: &Config, context: &Context) -> Result<Delivery> {
    let queue = config.remote_write_queue;
    let storage = config.wal().map(|wal| storage(wal, context)).transpose()?;
    let settings = DeliverySettings {
        // Each request has its own time, see `Sender`.
        timeout: Duration::ZERO,
        retry: crate::settings::retry(&config.retry_on_failure),
        queue: queue.enabled.then(|| QueueSettings {
            size: usize::try_from(queue.queue_size).unwrap_or(1),
            // One batch at a time: the next one must not overtake it.
            consumers: 1,
            storage,
            ..QueueSettings::default()
        }),
    };
    let telemetry = context.host.telemetry();
    let endpoint = crate::settings::without_user(&config.http().endpoint);
    let labels = [("exporter", &*context.id), ("endpoint", &endpoint)];
    let counter = |name: &'static str, help: &'static str| telemetry.counter(name, help, &labels);
    telemetry
        .gauge(
            "otelcol_exporter_prometheusremotewrite_consumers",
            "Requests that may be under way at once.",
            &labels,
        )
        .set(config.lanes() as f64);
    let exporter = RemoteWrite {
        sender: Sender::new(config, context)?,
        encoder: Mutex::new(Encoder::of(config)),
        under_way: Mutex::default(),
        failed_translations: counter(
            "otelcol_exporter_prometheusremotewrite_failed_translations",
            "Points that could not be translated to Prometheus.",
        ),
        translated: counter(
            "otelcol_exporter_prometheusremotewrite_translated_time_series",
            "Time series in requests, made of points.",
        ),
    };
    Ok(Delivery::new(context, settings, exporter))
}

/// Where the batches wait that `wal` keeps: the durable queue every exporter can have, in the
/// directory given here. What it holds is named by the exporter, so several can share one.
fn storage(wal: &Wal, context: &Context) -> Result<Arc<str>> {
    let id = format!("{}::wal", context.id);
    let settings = StorageSettings {
        directory: PathBuf::from(&wal.directory).join("prom_remotewrite"),
        durability: Durability::Sync,
        bytes_max: 0,
    };
    let clock = context.clock.clone();
    let make = || Ok(Storage::new(settings.clone(), RealFiles::shared(), clock));
    context.host.shared::<Storage>(&id, make)?.configure(settings);
    Ok(id.into())
}

struct RemoteWrite {
    sender: Sender,
    encoder: Mutex<Encoder>,
    under_way: Mutex<Vec<Work>>,
    failed_translations: Counter,
    translated: Counter,
}

/// Batches whose rest is remembered between attempts. With a queue there is one; without one as
/// many as callers wait, and a batch that is forgotten is sent whole again.
const UNDER_WAY_MAX: usize = 16;

/// What is left to send of a batch.
struct Work {
    /// The batch's bytes: they say which batch it is, and holding them keeps that true.
    payload: Bytes,
    lanes: Vec<Lane>,
    report: Report,
    /// Samples refused for good, and what the peer said.
    rejected: u64,
    said: String,
}

impl RemoteWrite {
    /// What is left of `batch`, or all of it when it comes for the first time.
    fn take_up(&self, batch: &Batch) -> Work {
        let payload = batch.payload.bytes();
        let mut under_way = self.under_way.lock();
        let is_same = |work: &Work| {
            work.payload.as_ptr() == payload.as_ptr() && work.payload.len() == payload.len()
        };
        if let Some(at) = under_way.iter().position(is_same) {
            return under_way.swap_remove(at);
        }
        drop(under_way);
        let (lanes, report) = self.encoder.lock().encode(&batch.payload);
        let series = lanes.iter().flatten().map(|request| request.holds.series).sum();
        self.translated.add(series);
        self.failed_translations.add(report.refused.total());
        Work { payload: payload.clone(), lanes, report, rejected: 0, said: String::new() }
    }

    fn put_off(&self, work: Work) {
        let mut under_way = self.under_way.lock();
        if under_way.len() >= UNDER_WAY_MAX {
            under_way.remove(0);
        }
        under_way.push(work);
    }
}

#[async_trait]
impl Push for RemoteWrite {
    async fn push(&self, batch: &Batch) -> Result<Pushed> {
        let mut work = self.take_up(batch);
        let lanes = work.lanes.iter_mut().map(|lane| self.sender.deliver(lane));
        let outcomes: Vec<Outcome> = futures::future::join_all(lanes).await;
        let mut failure: Option<Error> = None;
        for outcome in outcomes {
            work.rejected += outcome.rejected;
            if work.said.is_empty() {
                work.said = outcome.said;
            }
            failure = match (failure, outcome.failed) {
                (Some(known), Some(other)) => Some(worse(known, other)),
                (known, other) => known.or(other),
            };
        }
        if let Some(error) = failure {
            work.lanes.retain(|lane| !lane.is_empty());
            if error.kind().is_retryable() {
                self.put_off(work);
            }
            return Err(error);
        }
        Ok(pushed(&work))
    }
}

/// Which of two failures decides: one that is final, else the longer wait.
fn worse(one: Error, other: Error) -> Error {
    let rank = |error: &Error| match error.kind() {
        Kind::Retry { after } => (0, after.unwrap_or_default()),
        kind if kind.is_retryable() => (0, Duration::ZERO),
        _ => (1, Duration::ZERO),
    };
    if rank(&other) > rank(&one) { other } else { one }
}

fn pushed(work: &Work) -> Pushed {
    let refused = work.report.refused.total();
    let mut message = Vec::new();
    if refused > 0 {
        let reasons = work.report.refused.iter();
        let reasons: Vec<String> =
            reasons.map(|(reason, count)| format!("{} {count}", reason.name())).collect();
        message.push(format!("not translated: {}", reasons.join(", ")));
    }
    if work.rejected > 0 {
        message.push(format!("{} samples refused: {}", work.rejected, work.said));
    }
    Pushed { rejected: refused + work.rejected, message: message.join("; ") }
}
