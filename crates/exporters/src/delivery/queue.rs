// SPDX-License-Identifier: Apache-2.0
//! The collector's `sending_queue` in memory: bounded in requests, items or bytes.
//!
//! A batch takes its size from the queue until its fate is known, so the bound covers what is
//! being sent too. First in, first out; with one consumer the order of batches is kept.

use std::sync::Arc;

use basics::Error;
use pipeline::Batch;
use pipeline::telemetry::QueueMeter;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};

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

/// Settings of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSettings {
    /// What is counted.
    pub sizer: Sizer,
    /// Room, in units of `sizer`.
    pub size: usize,
    /// Batches being sent at a time.
    pub consumers: usize,
    /// Wait for room instead of refusing.
    pub block_on_overflow: bool,
}

/// The collector's defaults.
impl Default for QueueSettings {
    fn default() -> Self {
        QueueSettings {
            sizer: Sizer::Requests,
            size: 1000,
            consumers: 10,
            block_on_overflow: false,
        }
    }
}

/// A batch in the queue or being sent, with the room it takes.
pub(super) struct Queued {
    pub batch: Batch,
    _room: Room,
}

/// Room taken from the queue; given back on drop.
struct Room {
    queue: Arc<Counted>,
    permit: Option<OwnedSemaphorePermit>,
}

struct Counted {
    room: Arc<Semaphore>,
    capacity: usize,
    meter: QueueMeter,
}

impl Drop for Room {
    fn drop(&mut self) {
        drop(self.permit.take());
        self.queue.report();
    }
}

impl Counted {
    fn report(&self) {
        self.meter.size(self.capacity.saturating_sub(self.room.available_permits()) as u64);
    }
}

/// The queue.
pub(super) struct Queue {
    settings: QueueSettings,
    counted: Arc<Counted>,
    sender: parking_lot::Mutex<Option<mpsc::UnboundedSender<Queued>>>,
    receiver: Mutex<mpsc::UnboundedReceiver<Queued>>,
}

impl Queue {
    pub fn new(settings: &QueueSettings, meter: QueueMeter) -> Self {
        let capacity = settings.size.clamp(1, Semaphore::MAX_PERMITS);
        let room = Arc::new(Semaphore::new(capacity));
        // Unbounded in itself: every element holds room in `counted`.
        let (sender, receiver) = mpsc::unbounded_channel();
        Queue {
            settings: *settings,
            counted: Arc::new(Counted { room, capacity, meter }),
            sender: parking_lot::Mutex::new(Some(sender)),
            receiver: Mutex::new(receiver),
        }
    }

    /// Takes `batch` if there is room, or gives it back with the reason.
    pub async fn offer(&self, batch: Batch) -> Result<(), (Batch, Error)> {
        let size = match self.settings.sizer {
            Sizer::Requests => 1,
            Sizer::Items => batch.items() as usize,
            Sizer::Bytes => batch.payload.bytes().len(),
        };
        if size > self.counted.capacity {
            let message = format!(
                "batch of size {size} is larger than the sending queue ({}); raise sending_queue.queue_size",
                self.counted.capacity
            );
            return Err((batch, Error::rejected(message)));
        }
        let room = self.counted.room.clone();
        let permit = if self.settings.block_on_overflow {
            room.acquire_many_owned(size as u32).await.ok()
        } else {
            room.try_acquire_many_owned(size as u32).ok()
        };
        let sender = self.sender.lock().clone();
        let (Some(permit), Some(sender)) = (permit, sender.as_ref()) else {
            let error = match sender {
                Some(_) => Error::overloaded("sending queue is full"),
                None => Error::closed("the exporter is stopping"),
            };
            return Err((batch, error));
        };
        let room = Room { queue: self.counted.clone(), permit: Some(permit) };
        self.counted.report();
        let sent = sender.send(Queued { batch, _room: room });
        sent.map_err(|refused| (refused.0.batch, Error::closed("the exporter has stopped")))
    }

    /// The next batch to send; `None` when closed and empty.
    pub async fn next(&self) -> Option<Queued> {
        self.receiver.lock().await.recv().await
    }

    /// Takes no more; what is in stays to be sent.
    pub fn close(&self) {
        self.sender.lock().take();
        self.counted.room.close();
    }

    /// What is left after the consumers are gone.
    pub fn drain(&self) -> Vec<Queued> {
        let Ok(mut receiver) = self.receiver.try_lock() else { return Vec::new() };
        std::iter::from_fn(|| receiver.try_recv().ok()).collect()
    }
}
