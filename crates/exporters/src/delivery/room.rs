// SPDX-License-Identifier: Apache-2.0
//! How much a queue holds, and what gives its room back.
//!
//! A batch takes its size from the queue until its fate is known, so the bound covers what is being
//! sent too. What it took is a [`Claim`]; batches that are merged or split share claims.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pipeline::telemetry::QueueMeter;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::durable::Offsets;

/// Bytes in memory above which senders are slowed down to the pace of the consumers. 4 MiB: forty
/// usual requests, far more than is under way at a time.
const EASE_BYTES: u64 = 4 << 20;

/// Longest time a sender is held back for one request, and how long consumers may deliver nothing
/// before nobody waits for them any more: then the queue is there to be filled.
const EASE_MAX: Duration = Duration::from_millis(100);

/// Room of one queue, in units of its sizer.
pub(super) struct Room {
    pub capacity: u64,
    used: Mutex<Used>,
    freed: Notify,
    pressed: Notify,
    closed: AtomicBool,
    pub meter: QueueMeter,
}

/// What is taken of a room.
struct Used {
    units: u64,
    requests: u64,
    /// Of what lies in memory.
    bytes: u64,
    /// When room was given back last.
    given: Instant,
}

impl Room {
    pub fn new(capacity: u64, meter: QueueMeter) -> Arc<Self> {
        let used = Used { units: 0, requests: 0, bytes: 0, given: Instant::now() };
        Arc::new(Room {
            capacity,
            used: Mutex::new(used),
            freed: Notify::new(),
            pressed: Notify::new(),
            closed: AtomicBool::new(false),
            meter,
        })
    }

    /// Takes `size` if there is so much, for a request that keeps `bytes` in memory.
    pub fn try_take(self: &Arc<Self>, size: u64, bytes: u64) -> Option<Arc<Claim>> {
        let mut used = self.used.lock();
        if self.is_closed() || used.units + size > self.capacity {
            self.pressed.notify_one();
            return None;
        }
        used.units += size;
        used.requests += 1;
        used.bytes += bytes;
        self.meter.size(used.units);
        Some(self.claim(size, bytes))
    }

    /// Takes `size` as soon as there is so much; none when the queue closes before.
    pub async fn take(self: &Arc<Self>, size: u64, bytes: u64) -> Option<Arc<Claim>> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // From here on no wake is missed.
            freed.as_mut().enable();
            if self.is_closed() {
                return None;
            }
            if let Some(claim) = self.try_take(size, bytes) {
                return Some(claim);
            }
            freed.await;
        }
    }

    /// Resolves when someone did not find room.
    pub async fn pressed(&self) {
        self.pressed.notified().await;
    }

    /// Holds a sender back while more lies in memory than `consumers` will take at once and they
    /// get on: whoever is faster than the peer waits here for it instead of filling the memory.
    pub async fn ease(&self, consumers: u64) {
        let end = Instant::now() + EASE_MAX;
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let until = {
                let used = self.used.lock();
                if used.bytes <= EASE_BYTES || used.requests <= consumers || self.is_closed() {
                    return;
                }
                end.min(used.given + EASE_MAX)
            };
            if tokio::time::timeout_at(until, freed).await.is_err() {
                return;
            }
        }
    }

    /// Takes `size` whether there is so much or not: it lies on the disk already.
    pub fn found(&self, size: u64) {
        let mut used = self.used.lock();
        used.units += size;
        used.requests += 1;
        self.meter.size(used.units);
    }

    /// A claim on `size` that was taken before.
    fn claim(self: &Arc<Self>, size: u64, bytes: u64) -> Arc<Claim> {
        Arc::new(Claim {
            room: self.clone(),
            size,
            bytes,
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

    pub fn give(&self, size: u64, bytes: u64) {
        let mut used = self.used.lock();
        used.units = used.units.saturating_sub(size);
        used.requests = used.requests.saturating_sub(1);
        used.bytes = used.bytes.saturating_sub(bytes);
        used.given = Instant::now();
        self.meter.size(used.units);
        drop(used);
        self.freed.notify_waiters();
    }
}

/// What one request takes of a queue, given back when the last batch with a part of it is gone.
pub(super) struct Claim {
    room: Arc<Room>,
    size: u64,
    /// Of the request, while it lies in memory.
    bytes: u64,
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
            bytes: 0,
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
                self.room.give(self.size, self.bytes);
            }
            None if *self.left.get_mut() => {}
            None => self.room.give(self.size, self.bytes),
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
