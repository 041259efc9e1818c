// SPDX-License-Identifier: Apache-2.0
//! A watch in its place: called in the task of whoever brings a batch, with a task beside for
//! what it derives. A panic costs the watch its state, never the data: it is made anew.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use basics::Result;
use futures::FutureExt;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::batch::Batch;
use crate::component::{Outlet, Watch};
use crate::telemetry::{Counter, ProcessorMeter};

/// Wait before a watch that panicked begins again: enough to keep a loop of panics cheap.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

type Rebuild = Box<dyn Fn() -> Result<Arc<dyn Watch>> + Send + Sync>;

/// One watch of one pipeline.
pub(crate) struct WatchNode {
    pub id: Arc<str>,
    watch: RwLock<Arc<dyn Watch>>,
    rebuild: Rebuild,
    broken: Notify,
    pub meter: ProcessorMeter,
    panics: Counter,
    closing: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl WatchNode {
    pub fn new(
        id: Arc<str>,
        watch: Arc<dyn Watch>,
        rebuild: Rebuild,
        meter: ProcessorMeter,
        panics: Counter,
    ) -> Self {
        WatchNode {
            id,
            watch: RwLock::new(watch),
            rebuild,
            broken: Notify::new(),
            meter,
            panics,
            closing: watch::Sender::new(false),
            task: Mutex::new(None),
        }
    }

    /// Shows it `batch`.
    pub fn see(&self, batch: &Batch) {
        self.meter.incoming(batch.items());
        self.meter.outgoing(batch.items());
        let watch = self.watch.read().clone();
        if catch_unwind(AssertUnwindSafe(|| self.meter.timed(|| watch.see(batch)))).is_err() {
            self.panics.inc();
            self.broken.notify_one();
        }
    }

    /// Starts the task; `outlet` makes the way out for it.
    pub fn start(self: &Arc<Self>, outlet: impl FnOnce(watch::Receiver<bool>) -> Outlet) {
        let outlet = outlet(self.closing.subscribe());
        *self.task.lock() = Some(tokio::spawn(self.clone().work(outlet)));
    }

    /// Lets the task send what it has, and end; cuts it off at the deadline.
    pub async fn stop(&self, deadline: tokio::time::Instant) {
        self.closing.send_replace(true);
        let task = self.task.lock().take();
        if let Some(mut task) = task
            && tokio::time::timeout_at(deadline, &mut task).await.is_err()
        {
            tracing::warn!(processor = &*self.id, "did not finish in time");
            task.abort();
        }
    }

    async fn work(self: Arc<Self>, outlet: Outlet) {
        let mut closing = outlet.clone();
        loop {
            let watch = self.watch.read().clone();
            let life = AssertUnwindSafe(watch.run(outlet.clone())).catch_unwind();
            tokio::select! {
                outcome = life => match outcome {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(processor = &*self.id, %error, "ended with an error");
                    }
                    Err(_) => {
                        self.panics.inc();
                        self.broken.notify_one();
                    }
                },
                () = self.broken.notified() => self.broken.notify_one(),
            }
            tokio::select! {
                () = self.broken.notified() => {}
                () = closing.closed() => return,
            }
            tracing::error!(processor = &*self.id, "panicked; made anew without its state");
            tokio::time::sleep(RESTART_PAUSE).await;
            match (self.rebuild)() {
                Ok(watch) => *self.watch.write() = watch,
                Err(error) => {
                    tracing::error!(processor = &*self.id, %error, "cannot be made anew");
                    return;
                }
            }
        }
    }
}
