// SPDX-License-Identifier: Apache-2.0
//! How much a queue holds, and what gives its room back.
//!
//! A batch takes its size from the queue until its fate is known, so the bound covers what is being
//! sent too. What it took is a [`Claim`]; batches that are merged or split share claims.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use pipeline::telemetry::QueueMeter;
use tokio::sync::Notify;

use super::durable::Offsets;

/// Room of one queue, in units of its sizer.
pub(super) struct Room {
    pub capacity: u64,
    used: Mutex<u64>,
    freed: Notify,
    pressed: Notify,
    closed: AtomicBool,
    pub meter: QueueMeter,
}

impl Room {
    pub fn new(capacity: u64, meter: QueueMeter) -> Arc<Self> {
        let (used, freed, pressed) = (Mutex::new(0), Notify::new(), Notify::new());
        Arc::new(Room { capacity, used, freed, pressed, closed: AtomicBool::new(false), meter })
    }

    /// Takes `size` if there is so much.
    pub fn try_take(self: &Arc<Self>, size: u64) -> Option<Arc<Claim>> {
        let mut used = self.used.lock();
        if self.is_closed() || *used + size > self.capacity {
            self.pressed.notify_one();
            return None;
        }
        *used += size;
        self.meter.size(*used);
        Some(self.claim(size))
    }

    /// Takes `size` as soon as there is so much; none when the queue closes before.
    pub async fn take(self: &Arc<Self>, size: u64) -> Option<Arc<Claim>> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // From here on no wake is missed.
            freed.as_mut().enable();
            if self.is_closed() {
                return None;
            }
            if let Some(claim) = self.try_take(size) {
                return Some(claim);
            }
            freed.await;
        }
    }

    /// Resolves when someone did not find room.
    pub async fn pressed(&self) {
        self.pressed.notified().await;
    }

    /// Takes `size` whether there is so much or not: it lies on the disk already.
    pub fn found(&self, size: u64) {
        let mut used = self.used.lock();
        *used += size;
        self.meter.size(*used);
    }

    /// A claim on `size` that was taken before.
    pub fn claim(self: &Arc<Self>, size: u64) -> Arc<Claim> {
        Arc::new(Claim {
            room: self.clone(),
            size,
            place: None,
            kept: AtomicBool::new(false),
            left: AtomicBool::new(false),
        })
    }

    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.freed.notify_waiters();
    }

    /// Resolves when the queue is closed.
    pub async fn closed(&self) {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.is_closed() {
                return;
            }
            freed.await;
        }
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub fn give(&self, size: u64) {
        let mut used = self.used.lock();
        *used = used.saturating_sub(size);
        self.meter.size(*used);
        self.freed.notify_waiters();
    }
}

/// What one request takes of a queue, given back when the last batch with a part of it is gone.
pub(super) struct Claim {
    room: Arc<Room>,
    size: u64,
    /// Where it lies in the log of a durable queue.
    place: Option<(Arc<Offsets>, u64)>,
    /// A part of it has not met its fate: it stays in the log.
    kept: AtomicBool,
    /// Someone else gives the room back.
    left: AtomicBool,
}

impl Claim {
    /// A claim for a request that lies in a log at `position`.
    pub fn in_log(room: &Arc<Room>, size: u64, offsets: &Arc<Offsets>, position: u64) -> Arc<Self> {
        let place = Some((offsets.clone(), position));
        Arc::new(Claim {
            room: room.clone(),
            size,
            place,
            kept: AtomicBool::new(false),
            left: AtomicBool::new(false),
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        match &self.place {
            Some(_) if *self.kept.get_mut() => {}
            Some((offsets, position)) => {
                offsets.done(*position);
                self.room.give(self.size);
            }
            None if *self.left.get_mut() => {}
            None => self.room.give(self.size),
        }
    }
}

/// The claims of one batch. Dropped without [`Claims::finish`] (the process is stopping, a task is
/// gone), what lies in a log stays there.
#[derive(Default)]
pub(super) struct Claims(Vec<Arc<Claim>>);

impl Claims {
    pub fn one(claim: Arc<Claim>) -> Self {
        Claims(vec![claim])
    }

    /// The same for another batch with a part of the request.
    pub fn share(&self) -> Self {
        Claims(self.0.clone())
    }

    /// Takes over those of `other`, as when two batches become one.
    pub fn join(&mut self, mut other: Claims) {
        self.0.append(&mut other.0);
    }

    /// The request lies in a log now: the room it takes is given back by whoever reads it there.
    pub fn leave_to_log(mut self) {
        for claim in self.0.drain(..) {
            claim.left.store(true, Ordering::Release);
        }
    }

    /// The batch has met its fate.
    pub fn finish(mut self) {
        self.0.clear();
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        for claim in &self.0 {
            claim.kept.store(true, Ordering::Release);
        }
    }
}
