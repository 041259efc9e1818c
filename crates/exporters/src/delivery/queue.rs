// SPDX-License-Identifier: Apache-2.0
//! The collector's `sending_queue`: bounded in requests, items or bytes; in memory or in a log.
//!
//! First in, first out; with one consumer the order of batches is kept. See [`super::room`] for
//! what counts against the bound, [`super::durable`] for what lies on the disk.

use std::sync::Arc;
use std::time::Duration;

use basics::{Error, Kind, Result};
use otlp_wire::Payload;
use pipeline::telemetry::QueueMeter;
use pipeline::{Batch, Context};
use tokio::sync::{Mutex, SetOnce, mpsc};

use super::batching::BatchSettings;
use super::durable::Durable;
use super::room::{Claims, Room};

/// How long a request waits while the log is still held by the exporter's earlier configuration:
/// as long as that may take to end its attempts under way (`timeout`, 5 s).
const TAKE_OVER_PATIENCE: Duration = Duration::from_secs(5);

/// How often a log that is held is tried again.
const TAKE_OVER_PAUSE: Duration = Duration::from_millis(50);

/// What a queue counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sizer {
    /// Batches.
    #[default]
    Requests,
    /// Spans, points, log records.
    Items,
    /// Encoded bytes.
    Bytes,
}

impl Sizer {
    /// The size of `payload`.
    pub(super) fn of(self, payload: &Payload) -> u64 {
        match self {
            Sizer::Requests => 1,
            Sizer::Items => u64::from(payload.items()),
            Sizer::Bytes => payload.len() as u64,
        }
    }
}

/// Settings of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// What is counted.
    pub sizer: Sizer,
    /// Room, in units of `sizer`.
    pub size: usize,
    /// Batches being sent at a time.
    pub consumers: usize,
    /// Wait for room instead of refusing.
    pub block_on_overflow: bool,
    /// The caller waits for delivery.
    pub wait_for_result: bool,
    /// Id of the storage it lies in; `None` = in memory.
    pub storage: Option<Arc<str>>,
    /// Requests are merged before they are sent.
    pub batch: Option<BatchSettings>,
}

/// The collector's defaults.
impl Default for QueueSettings {
    fn default() -> Self {
        QueueSettings {
            sizer: Sizer::Requests,
            size: 1000,
            consumers: 10,
            block_on_overflow: false,
            wait_for_result: false,
            storage: None,
            batch: None,
        }
    }
}

/// A batch in the queue or being sent, with what it takes of the queue.
pub(super) struct Queued {
    pub batch: Batch,
    pub claims: Claims,
}

/// Where requests lie.
enum Source {
    Memory {
        sender: parking_lot::Mutex<Option<mpsc::UnboundedSender<Queued>>>,
        receiver: Mutex<mpsc::UnboundedReceiver<Queued>>,
    },
    /// Opened at the start, or once the exporter's earlier configuration has let it go.
    Log(SetOnce<Durable>),
}

/// The queue.
pub(super) struct Queue {
    settings: QueueSettings,
    room: Arc<Room>,
    source: Source,
}

impl Queue {
    pub fn new(settings: QueueSettings, meter: QueueMeter) -> Self {
        let room = Room::new(settings.size.max(1) as u64, meter);
        let source = if settings.storage.is_some() {
            Source::Log(SetOnce::new())
        } else {
            // Unbounded in itself: every element holds room.
            let (sender, receiver) = mpsc::unbounded_channel();
            let sender = parking_lot::Mutex::new(Some(sender));
            Source::Memory { sender, receiver: Mutex::new(receiver) }
        };
        Queue { settings, room, source }
    }

    /// Opens the log of a durable queue; false when the exporter's earlier configuration, which is
    /// still draining, holds it.
    ///
    /// # Errors
    /// When the storage is not there or cannot be used. Damaged data is no error.
    pub async fn open(self: &Arc<Self>, context: &Context) -> Result<bool> {
        let Some(id) = self.settings.storage.clone() else { return Ok(true) };
        let (queue, context) = (self.clone(), context.clone());
        let opened = tokio::task::spawn_blocking(move || {
            let storage =
                context.host.find::<pipeline::storage::Storage>(&id).ok_or_else(|| {
                    let text = format!("storage \"{id}\" is not among service::extensions");
                    Error::invalid(text)
                })?;
            let name = format!("{}-{}", context.id, context.signal.name());
            let log = match storage.log(&name) {
                Err(error) if error.kind() == Kind::Overloaded => return Ok(false),
                log => log?,
            };
            let durable = Durable::open(&context, queue.settings.sizer, log, &queue.room)?;
            if let Source::Log(log) = &queue.source {
                // Set once: an exporter is started once.
                let _ = log.set(durable);
            }
            Ok(true)
        });
        let opened = opened.await;
        opened.unwrap_or_else(|_| Err(Error::invalid("opening the durable queue panicked")))
    }

    /// Opens the log as soon as it is let go; ends when the queue closes before.
    pub async fn take_over(self: Arc<Self>, context: Context) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(TAKE_OVER_PAUSE) => {}
                () = self.room.closed() => return,
            }
            match self.open(&context).await {
                Ok(false) => {}
                Ok(true) => return,
                Err(error) => {
                    tracing::error!(exporter = %context.id, %error, "cannot open the durable queue");
                    return;
                }
            }
        }
    }

    /// The open log, once it is open; none when the queue closes before.
    async fn opened<'l>(&self, log: &'l SetOnce<Durable>) -> Option<&'l Durable> {
        tokio::select! {
            biased;
            durable = log.wait() => Some(durable),
            () = self.room.closed() => None,
        }
    }

    /// The log of a durable queue that is open.
    pub fn durable(&self) -> Option<&Durable> {
        match &self.source {
            Source::Log(log) => log.get(),
            Source::Memory { .. } => None,
        }
    }

    /// Takes `batch` if there is room, or gives it back with the reason.
    pub async fn offer(&self, batch: Batch) -> Result<(), (Batch, Error)> {
        let size = self.settings.sizer.of(&batch.payload);
        if size > self.room.capacity {
            let message = format!(
                "batch of size {size} is larger than the sending queue ({}); raise sending_queue.queue_size",
                self.room.capacity
            );
            return Err((batch, Error::rejected(message)));
        }
        let bytes = match &self.source {
            Source::Memory { .. } => batch.payload.len() as u64,
            Source::Log(_) => 0,
        };
        let claim = match self.settings.block_on_overflow {
            true => self.room.take(size, bytes).await,
            false => self.room.try_take(size, bytes),
        };
        let Some(claim) = claim else {
            let error = match self.room.is_closed() {
                false => Error::overloaded("sending queue is full"),
                true => Error::closed("the exporter is stopping"),
            };
            return Err((batch, error));
        };
        let claims = Claims::one(claim);
        match &self.source {
            Source::Memory { sender, .. } => {
                let stopped = || Error::closed("the exporter is stopping");
                let Some(sender) = sender.lock().clone() else { return Err((batch, stopped())) };
                let sent = sender.send(Queued { batch, claims });
                sent.map_err(|refused| (refused.0.batch, stopped()))?;
                // It is taken; only the answer waits.
                self.room.ease(self.settings.consumers as u64).await;
                Ok(())
            }
            Source::Log(log) => {
                let opened = tokio::time::timeout(TAKE_OVER_PATIENCE, self.opened(log)).await;
                let Ok(Some(durable)) = opened else {
                    return Err((batch, Error::overloaded("the durable queue is not open yet")));
                };
                durable.offer(batch, claims).await
            }
        }
    }

    /// Resolves when someone did not find room.
    pub async fn pressed(&self) {
        self.room.pressed().await;
    }

    /// The next batch to send; `None` when closed and, in memory, empty.
    pub async fn next(&self) -> Option<Queued> {
        match &self.source {
            Source::Memory { receiver, .. } => receiver.lock().await.recv().await,
            Source::Log(log) => self.opened(log).await?.next(&self.room).await,
        }
    }

    /// Takes no more; what is in memory stays to be sent, what is in a log stays there.
    pub fn close(&self) {
        self.room.close();
        match &self.source {
            Source::Memory { sender, .. } => drop(sender.lock().take()),
            Source::Log(log) => log.get().into_iter().for_each(Durable::wake),
        }
    }

    /// What is left in memory after the consumers are gone.
    pub fn drain(&self) -> Vec<Queued> {
        let Source::Memory { receiver, .. } = &self.source else { return Vec::new() };
        let Ok(mut receiver) = receiver.try_lock() else { return Vec::new() };
        std::iter::from_fn(|| receiver.try_recv().ok()).collect()
    }
}
