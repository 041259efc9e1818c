// SPDX-License-Identifier: Apache-2.0
//! What every network exporter ends in: bounded queue -> consumers -> retry -> one attempt.
//!
//! An exporter writes only [`Push`], one attempt at one batch. [`Delivery`] adds the collector's
//! `sending_queue`, `retry_on_failure` and `timeout` around it:
//!
//! ```text
//! export -> queue (memory or log) -> [batch] -> num_consumers x ( retry ( timeout ( push ) ) )
//! ```
//! - A full queue refuses with `Overloaded` (or waits, `block_on_overflow`); nothing is dropped
//!   silently. Without a queue the caller waits and gets the outcome.
//! - A durable queue ([`durable`]) answers when the request is on the disk.
//! - A failed attempt is tried again while its kind is retryable and `max_elapsed_time` allows,
//!   not before the wait the peer asked for; only the part that remains, if the attempt can say
//!   which. Everything else is given up, counted and logged.
//! - The acks of a batch are settled when its fate is known, so exactly once.
//! - Stop: no new batches, one last attempt for each waiting one without back-off, at most
//!   [`DRAIN_TIME_MAX`]; the rest is settled as `Closed`. What lies in a log stays there.
//!
//! [`Verdict`] is where a dead-letter queue will take what was given up, and [`Worker::attempt`]
//! where a circuit breaker will stand. Source: the collector's exporterhelper.

mod batching;
mod durable;
mod queue;
mod retry;
mod room;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use basics::{Error, Random, Result};
use otlp_wire::Payload;
use parking_lot::Mutex;
use pipeline::telemetry::{ExporterMeter, Labels, QueueMeter};
use pipeline::{Batch, Context, Delivered, Exporter, Token};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

pub use batching::BatchSettings;
pub use queue::{QueueSettings, Sizer};
pub use retry::RetrySettings;

use queue::{Queue, Queued};
use retry::End;

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

/// An attempt that did not deliver everything.
#[derive(Clone, Debug)]
pub struct Unsent {
    /// Why, and whether another attempt may succeed.
    pub error: Error,
    /// The part the next attempt is about; `None` = all of the batch.
    pub remains: Option<Box<Payload>>,
    /// What became of the other part.
    pub rest: Pushed,
}

impl From<Error> for Unsent {
    fn from(error: Error) -> Self {
        Unsent { error, remains: None, rest: Pushed::default() }
    }
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

    /// As [`Push::push`], for peers that say which part of a batch they did not take: written
    /// instead of it where there is such a peer, since this one is what delivery calls.
    ///
    /// # Errors
    /// As [`Push::push`], with the part that remains to be sent.
    async fn push_part(&self, batch: &Batch) -> Result<Pushed, Unsent> {
        self.push(batch).await.map_err(Unsent::from)
    }

    /// Where it sends, as labels of what is counted; see [`crate::settings::peer`].
    fn peer(&self) -> Labels {
        Labels::new()
    }
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
    context: Context,
    worker: Arc<Worker>,
    queue: Option<Arc<Queue>>,
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

/// What became of a batch in the end.
enum Verdict {
    /// The peer has it, or all but what it rejected.
    Delivered(Delivered),
    /// It will not be tried again. Dropped and counted; a dead-letter queue would take it here.
    GivenUp(Error),
    /// The exporter stopped while it could have been tried again: a durable queue keeps it.
    Unfinished(Error),
}

impl Delivery {
    /// An exporter called as `context` says, delivering by `push`.
    pub fn new(context: &Context, settings: DeliverySettings, push: impl Push) -> Self {
        let capacity = settings.queue.as_ref().map_or(0, |queue| queue.size);
        let telemetry = context.host.telemetry();
        let (id, peer) = (&context.id, push.peer());
        let queue_meter = QueueMeter::new(telemetry, id, context.signal, capacity as u64, &peer);
        let (stop, stopping) = watch::channel(false);
        let queue =
            settings.queue.clone().map(|queue| Arc::new(Queue::new(queue, queue_meter.clone())));
        let worker = Worker {
            id: context.id.clone(),
            push: Box::new(push),
            settings,
            random: Mutex::new(Random::from_os()),
            meter: ExporterMeter::to(telemetry, id, &peer),
            queue_meter,
            stopping,
        };
        let tasks = Mutex::new(JoinSet::new());
        Delivery { context: context.clone(), worker: Arc::new(worker), queue, tasks, stop }
    }

    /// Starts whoever takes batches from `queue` and sends them.
    fn start_consumers(&self, queue: &Arc<Queue>, settings: &QueueSettings) {
        let mut tasks = self.tasks.lock();
        let merged = settings.batch.clone().map(|batching| {
            // One batch waits in it while all consumers are busy; the others wait in the queue.
            let (out, merged) = mpsc::channel(1);
            let queue = queue.clone();
            tasks.spawn(async move { batching::merge(&queue, &batching, out).await });
            Arc::new(tokio::sync::Mutex::new(merged))
        });
        for _ in 0..settings.consumers {
            let (worker, queue, merged) = (self.worker.clone(), queue.clone(), merged.clone());
            tasks.spawn(async move {
                loop {
                    let queued = match &merged {
                        Some(merged) => merged.lock().await.recv().await,
                        None => queue.next().await,
                    };
                    let Some(queued) = queued else { return };
                    worker.settle(queued).await;
                }
            });
        }
        if settings.storage.is_some() {
            tasks.spawn(note_offsets(queue.clone(), self.worker.stopping.clone()));
        }
    }

    /// Queues `batch`; counts what there is no room for.
    async fn offer(&self, queue: &Queue, batch: Batch) -> Result<()> {
        let (signal, items, bytes) = (batch.signal(), batch.items(), batch.payload.len());
        match queue.offer(batch).await {
            Ok(()) => {
                self.worker.queue_meter.put_in(items, bytes);
                Ok(())
            }
            Err((batch, error)) => {
                self.worker.meter.enqueue_failed(signal, items);
                let error = error.within(&self.worker.id);
                batch.acks.settle(Err(error.clone()));
                Err(error)
            }
        }
    }
}

/// Notes every so often how far a durable queue has been delivered.
async fn note_offsets(queue: Arc<Queue>, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(durable::COMMIT_EVERY) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        if let Some(durable) = queue.durable() {
            durable.commit().await;
        }
    }
}

#[async_trait]
impl Exporter for Delivery {
    async fn start(&self) -> Result<()> {
        let (Some(queue), Some(settings)) = (&self.queue, &self.worker.settings.queue) else {
            return Ok(());
        };
        if !queue.open(&self.context).await? {
            self.tasks.lock().spawn(queue.clone().take_over(self.context.clone()));
        }
        self.start_consumers(queue, settings);
        Ok(())
    }

    async fn export(&self, mut batch: Batch) -> Result<()> {
        let Some(queue) = &self.queue else {
            let outcome = self.worker.deliver(&batch).await;
            return match outcome {
                Verdict::Delivered(delivered) => {
                    batch.acks.settle_as(Ok(delivered));
                    Ok(())
                }
                Verdict::GivenUp(error) | Verdict::Unfinished(error) => {
                    batch.acks.settle(Err(error.clone()));
                    Err(error)
                }
            };
        };
        if !self.worker.waits_for_result() {
            return self.offer(queue, batch).await;
        }
        let (token, outcome) = Token::pair();
        batch.acks.add(token);
        self.offer(queue, batch).await?;
        // The token answers whatever happens; its loss would be a failure like any other.
        let lost = || Err(Error::retry("the batch was lost without a verdict"));
        outcome.await.unwrap_or_else(|_| lost()).map(drop)
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
        if let Some(durable) = queue.durable() {
            durable.close().await;
        }
        let left = queue.drain();
        if !left.is_empty() {
            let items: u64 = left.iter().map(|queued| queued.batch.items()).sum();
            tracing::error!(exporter = %self.worker.id, dropped_items = items, "stopped with a full queue. Dropping data.");
        }
        for queued in left {
            let error = Error::closed(format!("{}: stopped before it was sent", self.worker.id));
            self.worker.meter.failed(queued.batch.signal(), queued.batch.items(), &error);
            queued.batch.acks.settle(Err(error));
        }
        Ok(())
    }
}

impl Worker {
    fn waits_for_result(&self) -> bool {
        self.settings.queue.as_ref().is_some_and(|queue| queue.wait_for_result)
    }

    fn is_durable(&self) -> bool {
        self.settings.queue.as_ref().is_some_and(|queue| queue.storage.is_some())
    }

    async fn settle(&self, queued: Queued) {
        let Queued { batch, claims } = queued;
        self.queue_meter.sends(batch.items(), batch.payload.len());
        match self.deliver(&batch).await {
            Verdict::Delivered(delivered) => batch.acks.settle_as(Ok(delivered)),
            Verdict::GivenUp(error) => batch.acks.settle(Err(error)),
            // The books close with the process; the data is safe, as whoever sent it was told.
            Verdict::Unfinished(_) if self.is_durable() => {
                batch.acks.settle(Ok(()));
                return;
            }
            Verdict::Unfinished(error) => batch.acks.settle(Err(error)),
        }
        claims.finish();
    }

    /// Tries until delivered or given up; counts and logs which.
    async fn deliver(&self, batch: &Batch) -> Verdict {
        let (signal, items) = (batch.signal(), batch.items());
        match self.retry(batch).await {
            End::Delivered(pushed) => {
                if pushed.rejected > 0 || !pushed.message.is_empty() {
                    tracing::warn!(exporter = %self.id, message = pushed.message, dropped_items = pushed.rejected, "Partial success response");
                }
                self.meter.sent(signal, items);
                Verdict::Delivered(self.told(pushed))
            }
            End::GivenUp { error, items: lost, pushed } => {
                self.meter.sent(signal, items - lost);
                self.meter.failed(signal, lost, &error);
                tracing::error!(exporter = %self.id, dropped_items = lost, "Exporting failed. Dropping data. {error}");
                // A sender who waits sends all of it again if that may help.
                let waits = self.settings.queue.is_none() || self.waits_for_result();
                if lost == items || (waits && error.kind().is_retryable()) {
                    return Verdict::GivenUp(error.within(&self.id));
                }
                let rejected = (pushed.rejected + lost).min(items);
                Verdict::Delivered(self.told(Pushed { rejected, message: error.to_string() }))
            }
            End::Unfinished { error, items: _ } if self.is_durable() => {
                tracing::info!(exporter = %self.id, "stopping; kept in the durable queue. {error}");
                Verdict::Unfinished(error.within(&self.id))
            }
            End::Unfinished { error, items: lost } => {
                self.meter.sent(signal, items - lost);
                self.meter.failed(signal, lost, &error);
                tracing::error!(exporter = %self.id, dropped_items = lost, "Exporting failed. Dropping data. {error}");
                Verdict::Unfinished(error.within(&self.id))
            }
        }
    }

    /// What whoever waits hears of the peer's partial success.
    fn told(&self, Pushed { rejected, message }: Pushed) -> Delivered {
        if message.is_empty() {
            return Delivered { rejected, message };
        }
        Delivered { rejected, message: format!("{}: {message}", self.id) }
    }

    async fn attempt(&self, batch: &Batch) -> Result<Pushed, Unsent> {
        let _under_way = InFlight::new(&self.queue_meter);
        let timeout = self.settings.timeout;
        if timeout.is_zero() {
            return self.push.push_part(batch).await;
        }
        match tokio::time::timeout(timeout, self.push.push_part(batch)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::retry(format!("no answer within {timeout:?}")).into()),
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
