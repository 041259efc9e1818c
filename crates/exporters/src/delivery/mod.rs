// SPDX-License-Identifier: Apache-2.0
//! What every network exporter ends in: bounded queue -> consumers -> retry -> one attempt.
//!
//! An exporter writes only [`Push`], one attempt at one batch. [`Delivery`] adds the collector's
//! `sending_queue`, `retry_on_failure` and `timeout` around it:
//!
//! ```text
//! export -> [queue: sizer, queue_size] -> num_consumers x ( retry ( timeout ( push ) ) ) -> acks
//! ```
//! - A full queue refuses with `Overloaded` (or waits, `block_on_overflow`); nothing is dropped
//!   silently. Without a queue the caller waits and gets the outcome.
//! - A failed attempt is tried again while its kind is retryable and `max_elapsed_time` allows,
//!   not before the wait the peer asked for. Everything else is given up, counted and logged.
//! - The acks of a batch are settled when its fate is known, so exactly once.
//! - Stop: no new batches, one last attempt for each waiting one without back-off, at most
//!   [`DRAIN_TIME_MAX`]; the rest is settled as `Closed`.
//!
//! Source: the collector's exporterhelper.

mod queue;
mod retry;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use basics::{Error, Random, Result};
use parking_lot::Mutex;
use pipeline::telemetry::{ExporterMeter, QueueMeter};
use pipeline::{Batch, Context, Exporter};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use queue::{QueueSettings, Sizer};
pub use retry::RetrySettings;

use queue::{Queue, Queued};

/// How long stopping may wait for the queue to empty; the service as a whole has half a minute.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// What one successful attempt delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Items the peer took the request but not these; they are not sent again.
    pub rejected: u64,
    /// What the peer said about them, or a warning about a request it took whole.
    pub message: String,
}

/// One attempt to deliver one batch.
#[async_trait]
pub trait Push: Send + Sync + 'static {
    /// Sends `batch` once.
    ///
    /// # Errors
    /// `Retry` (with the wait the peer asked for) when another attempt may succeed, `Rejected` or
    /// `Invalid` when none will.
    async fn push(&self, batch: &Batch) -> Result<Pushed>;
}

/// How a batch gets from the pipeline to its peer.
#[derive(Clone, Debug)]
pub struct DeliverySettings {
    /// Longest time of one attempt; zero = no limit.
    pub timeout: Duration,
    /// When and how long to try again; `None` = the first failure is final.
    pub retry: Option<RetrySettings>,
    /// The queue; `None` = the caller waits for the outcome.
    pub queue: Option<QueueSettings>,
}

/// An [`Exporter`] made of a [`Push`].
pub struct Delivery {
    worker: Arc<Worker>,
    queue: Option<Arc<Queue>>,
    consumers: usize,
    tasks: Mutex<JoinSet<()>>,
    stop: watch::Sender<bool>,
}

/// What a consumer needs to deliver batches.
struct Worker {
    id: Arc<str>,
    push: Box<dyn Push>,
    settings: DeliverySettings,
    random: Mutex<Random>,
    meter: ExporterMeter,
    queue_meter: QueueMeter,
    stopping: watch::Receiver<bool>,
}

impl Delivery {
    /// An exporter called as `context` says, delivering by `push`.
    pub fn new(context: &Context, settings: DeliverySettings, push: impl Push) -> Self {
        let capacity = settings.queue.as_ref().map_or(0, |queue| queue.size);
        let telemetry = context.host.telemetry();
        let queue_meter = QueueMeter::new(telemetry, &context.id, context.signal, capacity as u64);
        let (stop, stopping) = watch::channel(false);
        let queue = settings.queue.as_ref().map(|q| Arc::new(Queue::new(q, queue_meter.clone())));
        let consumers = settings.queue.as_ref().map_or(0, |queue| queue.consumers);
        let worker = Worker {
            id: context.id.clone(),
            push: Box::new(push),
            settings,
            random: Mutex::new(Random::from_os()),
            meter: ExporterMeter::new(telemetry, &context.id),
            queue_meter,
            stopping,
        };
        let tasks = Mutex::new(JoinSet::new());
        Delivery { worker: Arc::new(worker), queue, consumers, tasks, stop }
    }
}

#[async_trait]
impl Exporter for Delivery {
    async fn start(&self) -> Result<()> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let mut tasks = self.tasks.lock();
        for _ in 0..self.consumers {
            let (worker, queue) = (self.worker.clone(), queue.clone());
            tasks.spawn(async move {
                while let Some(queued) = queue.next().await {
                    worker.settle(queued).await;
                }
            });
        }
        Ok(())
    }

    async fn export(&self, batch: Batch) -> Result<()> {
        let Some(queue) = &self.queue else {
            let outcome = self.worker.deliver(&batch).await;
            batch.acks.settle(outcome.clone());
            return outcome;
        };
        let (signal, items) = (batch.signal(), batch.items());
        match queue.offer(batch).await {
            Ok(()) => Ok(()),
            Err((batch, error)) => {
                self.worker.meter.enqueue_failed(signal, items);
                let error = error.within(&self.worker.id);
                batch.acks.settle(Err(error.clone()));
                Err(error)
            }
        }
    }

    async fn stop(&self) -> Result<()> {
        // No receiver means nobody waits to hear it.
        let _ = self.stop.send(true);
        let Some(queue) = &self.queue else { return Ok(()) };
        queue.close();
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        let drained = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIME_MAX, drained).await.is_err() {
            tasks.shutdown().await;
        }
        let left = queue.drain();
        if !left.is_empty() {
            let items: u64 = left.iter().map(|queued| queued.batch.items()).sum();
            tracing::error!(exporter = %self.worker.id, dropped_items = items, "stopped with a full queue. Dropping data.");
        }
        for queued in left {
            self.worker.meter.failed(queued.batch.signal(), queued.batch.items());
            let error = Error::closed(format!("{}: stopped before it was sent", self.worker.id));
            queued.batch.acks.settle(Err(error));
        }
        Ok(())
    }
}

impl Worker {
    async fn settle(&self, queued: Queued) {
        let outcome = self.deliver(&queued.batch).await;
        queued.batch.acks.settle(outcome);
    }

    /// Tries until delivered or given up; counts and logs which.
    async fn deliver(&self, batch: &Batch) -> Result<()> {
        let (signal, items) = (batch.signal(), batch.items());
        let outcome = match self.settings.retry {
            None => self.attempt(batch).await,
            Some(settings) => self.retry(settings, batch).await,
        };
        match outcome {
            Ok(pushed) => {
                if pushed.rejected > 0 || !pushed.message.is_empty() {
                    tracing::warn!(exporter = %self.id, message = pushed.message, dropped_items = pushed.rejected, "Partial success response");
                }
                self.meter.sent(signal, items);
                Ok(())
            }
            Err(error) => {
                self.meter.failed(signal, items);
                tracing::error!(exporter = %self.id, dropped_items = items, "Exporting failed. Dropping data. {error}");
                Err(error.within(&self.id))
            }
        }
    }

    async fn attempt(&self, batch: &Batch) -> Result<Pushed> {
        let _under_way = InFlight::new(&self.queue_meter);
        let timeout = self.settings.timeout;
        if timeout.is_zero() {
            return self.push.push(batch).await;
        }
        match tokio::time::timeout(timeout, self.push.push(batch)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::retry(format!("no answer within {timeout:?}"))),
        }
    }
}

/// Counts an attempt as under way, also when its future is dropped.
struct InFlight<'a>(&'a QueueMeter);

impl<'a> InFlight<'a> {
    fn new(meter: &'a QueueMeter) -> Self {
        meter.in_flight(1);
        InFlight(meter)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight(-1);
    }
}
