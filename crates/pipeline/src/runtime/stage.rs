// SPDX-License-Identifier: Apache-2.0
//! A stage in its place: a bounded queue and the task that owns the stage.
//!
//! What the stage holds is counted in items, apart for live and replayed data, so that nothing
//! vanishes when it panics (the items are dropped with that reason, the stage is made anew, the
//! queue goes on) or when it does not finish within the deadline.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use basics::{Error, Result};
use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::chain::{Books, InHand};
use crate::batch::{Batch, Meta};
use crate::component::{Outlet, Stage};
use crate::ledger::{Fate, Reason};
use crate::telemetry::{Counter, ProcessorMeter};

/// Batches that wait for one stage. A stage copies a batch in microseconds, so this is room for
/// one burst; the bytes in it are bounded by the process's budget, not by this number.
pub const STAGE_QUEUE_BATCHES: usize = 256;

/// How long a sender waits for room in a stage's queue before it is told to slow down: well under
/// the 5-10 s after which OTLP clients give up, long enough for a pause of the exporter.
pub const STAGE_PATIENCE: Duration = Duration::from_secs(2);

/// Wait before a stage that cannot be made anew is tried again.
const REBUILD_PAUSE: Duration = Duration::from_secs(1);

/// A batch in the queue; accounts for itself until the stage takes it.
type Queued = (Batch, InHand);

/// What the task needs to start.
type Idle = (mpsc::Receiver<Queued>, Box<dyn Stage>);

type Rebuild = Box<dyn Fn() -> Result<Box<dyn Stage>> + Send + Sync>;

/// One stage of one pipeline.
pub(crate) struct StageNode {
    pub id: Arc<str>,
    /// As its stage says of itself.
    pub passes_at_once: bool,
    queue: mpsc::Sender<Queued>,
    idle: Mutex<Option<Idle>>,
    rebuild: Rebuild,
    books: Books,
    pub meter: ProcessorMeter,
    panics: Counter,
    /// Items in the stage: live, replayed.
    held: [AtomicI64; 2],
    /// Those of them that the stage has taken over: no batch counts them as in flight any more.
    kept: [AtomicI64; 2],
    closing: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl StageNode {
    pub fn new(
        id: Arc<str>,
        stage: Box<dyn Stage>,
        rebuild: Rebuild,
        books: Books,
        meter: ProcessorMeter,
        panics: Counter,
    ) -> Self {
        let (queue, inbox) = mpsc::channel(STAGE_QUEUE_BATCHES);
        StageNode {
            id,
            passes_at_once: stage.passes_at_once(),
            queue,
            idle: Mutex::new(Some((inbox, stage))),
            rebuild,
            books,
            meter,
            panics,
            held: Default::default(),
            kept: Default::default(),
            closing: watch::Sender::new(false),
            task: Mutex::new(None),
        }
    }

    /// Queues `batch`. Waits for room; in a durable pipeline, where the batch is acknowledged
    /// already, as long as it takes.
    pub async fn put(&self, batch: Batch, hand: InHand, durable: bool) -> Result<()> {
        let room = match self.queue.try_reserve() {
            Ok(room) => Ok(room),
            Err(mpsc::error::TrySendError::Closed(())) => Err(self.closed()),
            Err(mpsc::error::TrySendError::Full(())) => self.wait_for_room(durable).await,
        };
        match room {
            Ok(room) => {
                self.meter.incoming(batch.items());
                room.send((batch, hand));
                Ok(())
            }
            Err(error) => {
                hand.ends(Fate::Dropped(error.kind().into()));
                batch.settle(Err(error.clone()));
                Err(error)
            }
        }
    }

    async fn wait_for_room(&self, durable: bool) -> Result<mpsc::Permit<'_, Queued>> {
        let room = self.queue.reserve();
        if durable {
            return room.await.map_err(|_| self.closed());
        }
        match timeout(STAGE_PATIENCE, room).await {
            Ok(room) => room.map_err(|_| self.closed()),
            Err(_) => Err(Error::overloaded(format!(
                "queue of processor {} is full ({STAGE_QUEUE_BATCHES} batches)",
                self.id
            ))),
        }
    }

    fn closed(&self) -> Error {
        Error::closed(format!("processor {} has stopped", self.id))
    }

    fn holds(&self, meta: &Meta, items: i64) {
        self.held[usize::from(meta.replay)].fetch_add(items, Ordering::AcqRel);
    }

    /// `items` of a batch with `meta` have left the stage.
    pub fn released(&self, meta: &Meta, items: u64) {
        self.holds(meta, -(items as i64));
    }

    /// The stage has taken over `items` of batches with `meta` (or, negative, keeps them no more).
    pub fn keeps(&self, meta: &Meta, items: i64) {
        self.kept[usize::from(meta.replay)].fetch_add(items, Ordering::AcqRel);
        self.books.of(meta).moving(items);
    }

    /// Counts everything that is held as dropped for `reason`.
    fn loses_all(&self, reason: Reason) {
        let books = [&self.books.live, &self.books.replay];
        for ((held, kept), book) in self.held.iter().zip(&self.kept).zip(books) {
            let items = held.swap(0, Ordering::AcqRel);
            book.before(Fate::Dropped(reason), u64::try_from(items).unwrap_or(0));
            book.moving(-kept.swap(0, Ordering::AcqRel));
        }
    }

    /// Starts the task; `outlet` makes the way out for it.
    pub fn start(self: &Arc<Self>, outlet: impl FnOnce(watch::Receiver<bool>) -> Outlet) {
        let Some((inbox, stage)) = self.idle.lock().take() else { return };
        let outlet = outlet(self.closing.subscribe());
        *self.task.lock() = Some(tokio::spawn(self.clone().work(inbox, stage, outlet)));
    }

    /// Lets the task empty the queue, send on what the stage holds, and end; cuts it off at the
    /// deadline.
    pub async fn stop(&self, deadline: tokio::time::Instant) {
        self.closing.send_replace(true);
        let task = self.task.lock().take();
        if let Some(mut task) = task
            && tokio::time::timeout_at(deadline, &mut task).await.is_err()
        {
            task.abort();
            // Aborted or, at the last moment, done: either way it no longer runs.
            let _ = task.await;
            tracing::error!(processor = &*self.id, "did not finish in time, data is lost");
        }
        self.loses_all(Reason::Closed);
    }

    async fn work(
        self: Arc<Self>,
        mut inbox: mpsc::Receiver<Queued>,
        mut stage: Box<dyn Stage>,
        outlet: Outlet,
    ) {
        loop {
            let life = self.live(stage.as_mut(), &mut inbox, outlet.clone());
            if AssertUnwindSafe(life).catch_unwind().await.is_ok() {
                return;
            }
            self.panics.inc();
            tracing::error!(processor = &*self.id, "panicked; made anew, what it held is lost");
            self.loses_all(Reason::Panic);
            stage = self.make_anew().await;
        }
    }

    /// Feeds the stage until the pipeline stops.
    async fn live(&self, stage: &mut dyn Stage, inbox: &mut mpsc::Receiver<Queued>, out: Outlet) {
        let mut closing = out.clone();
        let mut open = true;
        loop {
            let outcome = match next(stage.deadline(), inbox, &mut closing, open).await {
                Step::Close => {
                    inbox.close();
                    open = false;
                    Ok(())
                }
                Step::Take(Some((batch, hand))) => {
                    self.holds(&batch.meta, batch.items() as i64);
                    hand.taken();
                    stage.take(batch, &out).await
                }
                Step::Tick => stage.tick(&out).await,
                Step::Take(None) => {
                    if let Err(error) = stage.finish(&out).await {
                        tracing::warn!(processor = &*self.id, %error, "while finishing");
                    }
                    return;
                }
            };
            if let Err(error) = outcome {
                tracing::debug!(processor = &*self.id, %error, "data not taken further on");
            }
        }
    }

    async fn make_anew(&self) -> Box<dyn Stage> {
        loop {
            match (self.rebuild)() {
                Ok(stage) => return stage,
                Err(error) => {
                    tracing::error!(processor = &*self.id, %error, "cannot be made anew");
                    tokio::time::sleep(REBUILD_PAUSE).await;
                }
            }
        }
    }
}

enum Step {
    Take(Option<Queued>),
    Tick,
    Close,
}

/// What the stage has to do next. Time goes before data, so that a full queue delays no tick.
async fn next(
    deadline: Option<Duration>,
    inbox: &mut mpsc::Receiver<Queued>,
    closing: &mut Outlet,
    open: bool,
) -> Step {
    let time_is_up = async {
        match deadline {
            Some(wait) => tokio::time::sleep(wait).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = closing.closed(), if open => Step::Close,
        () = time_is_up => Step::Tick,
        queued = inbox.recv() => Step::Take(queued),
    }
}
