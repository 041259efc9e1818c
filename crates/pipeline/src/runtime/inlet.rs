// SPDX-License-Identifier: Apache-2.0
//! Where a receiver's data goes: doors that a reload can exchange under a receiver that stays.
//!
//! A batch is counted in before the exchange or goes the new way; [`Turned::idle`] resolves when
//! nobody is on the old way any more. One read lock a batch, never held while waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use basics::Result;
use parking_lot::RwLock;
use tokio::sync::Notify;

use super::door::{Door, Doors};
use crate::batch::Batch;
use crate::component::Consumer;

/// The inlet of one receiver for one signal.
pub(crate) struct Switch(RwLock<Arc<Way>>);

/// The doors it leads to now, and how many batches are on their way through them.
struct Way {
    doors: Vec<Arc<Door>>,
    to: Arc<dyn Consumer>,
    inside: AtomicUsize,
    empty: Notify,
}

/// A way that nobody new takes.
pub(crate) struct Turned(Arc<Way>);

impl Switch {
    /// Leads to `doors`, at least one.
    pub fn new(doors: Vec<Arc<Door>>) -> Self {
        Switch(RwLock::new(Arc::new(Way::new(doors))))
    }

    /// Leads to `doors` from now on; `None` if it did already.
    pub fn turn(&self, doors: &[Arc<Door>]) -> Option<Turned> {
        let mut way = self.0.write();
        let same = way.doors.len() == doors.len()
            && way.doors.iter().zip(doors).all(|(old, new)| Arc::ptr_eq(old, new));
        if same {
            return None;
        }
        Some(Turned(std::mem::replace(&mut *way, Arc::new(Way::new(doors.to_vec())))))
    }

    fn enter(&self) -> Inside {
        let way = self.0.read();
        way.inside.fetch_add(1, Ordering::AcqRel);
        Inside(way.clone())
    }
}

impl Way {
    fn new(doors: Vec<Arc<Door>>) -> Self {
        let to: Arc<dyn Consumer> = match doors.as_slice() {
            [door] => door.clone(),
            _ => Arc::new(Doors(doors.clone())),
        };
        Way { doors, to, inside: AtomicUsize::new(0), empty: Notify::new() }
    }
}

impl Turned {
    /// Resolves when the last batch is through.
    pub async fn idle(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.0.empty.notified());
            emptied.as_mut().enable();
            if self.0.inside.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// One batch on its way.
struct Inside(Arc<Way>);

impl Drop for Inside {
    fn drop(&mut self) {
        if self.0.inside.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}

#[async_trait]
impl Consumer for Switch {
    async fn consume(&self, batch: Batch) -> Result<()> {
        let inside = self.enter();
        inside.0.to.consume(batch).await
    }
}
