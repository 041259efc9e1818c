// SPDX-License-Identifier: Apache-2.0
//! The embedded store: a log on disk; metrics, traces and logs.
//!
//! In: payloads. Whoever owns the pipeline appends each admitted body to [`Store::log`] before it
//! acknowledges, runs its processors and gives the result to [`Store::ingest`]; at start it reads
//! the log and does the same again. So memory holds what is in the log and not in blocks yet; [`flush`]
//! carries from the one to the other.
//! Out: [`Head`] for metrics, [`Traces`], [`Logs`], [`Store::services`].
//!
//! - [`blocks`]: objects, manifests and the list of live blocks
//! - [`care`]: checking, copying and exporting blocks
//! - [`head`]: series, samples, selection
//! - [`columns`]: the form in which series are handed on
//! - [`metrics`]: blocks of metrics, written, read and merged
//! - [`storage`]: the blocks of all signals and what looks after them
//! - [`red`]: metrics of spans, and who calls whom
//! - [`remote_write`]: Prometheus remote write, past all pipelines
//! - [`traces`], [`logs`]: spans and log records, and their search; [`rows`] is what they share
//!
//! Bounds: those of [`segment_log::Options`], [`head::Limits`], [`rows::Limits`]. A start
//! never fails on damaged data. The store knows nothing of PromQL or HTTP.

pub mod blocks;
pub mod care;
pub mod columns;
mod delete;
pub mod flush;
pub mod head;
pub mod logs;
pub mod metrics;
mod query;
pub mod red;
pub mod remote_write;
pub mod rows;
mod services;
pub mod storage;
pub mod traces;

use std::path::Path;
use std::sync::Arc;

use basics::files::Files;
use basics::{Clock, Result, UnixNano};
use flush::Flusher;
use otlp_wire::{Payload, Signal};
use parking_lot::Mutex;
use segment_log::{Full, Log, Position, Record};

pub use columns::{Exemplar, SeriesColumns};
pub use flush::FlushOptions;
pub use head::{FamilyInfo, Head, HeadOptions, HeadStats, IngestReport};
pub use logs::Logs;
pub use segment_log::Ticket;
pub use services::{SERVICES_MAX, Service};
pub use storage::{Storage, StorageOptions};
pub use traces::Traces;

/// Settings of a store.
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    /// The log: durability, ring size.
    pub log: segment_log::Options,
    /// The metrics head.
    pub head: HeadOptions,
    /// Spans in memory, and log records in memory.
    pub rows: rows::Limits,
    /// Blocks.
    pub storage: StorageOptions,
    /// When memory becomes blocks.
    pub flush: FlushOptions,
}

/// One directory and what is in memory of it.
pub struct Store {
    log: Arc<Log>,
    head: Arc<Head>,
    traces: Arc<Traces>,
    logs: Arc<Logs>,
    services: services::Services,
    storage: Arc<Storage>,
    /// None where nothing is written.
    flusher: Option<Arc<Flusher>>,
    flushing: Mutex<Option<std::thread::JoinHandle<()>>>,
    red: red::Red,
    listeners: Mutex<Vec<Listener>>,
}

/// Hears what is written past all pipelines; false = no more.
type Listener = Box<dyn Fn(&Payload) -> bool + Send + Sync>;

impl Store {
    /// Opens the store in `dir`, made when missing. Memory is empty until the log is replayed.
    ///
    /// # Errors
    /// As [`Log::open`]: the directory cannot be used, is locked, or was written by a newer version.
    pub fn open(
        dir: &Path,
        options: StoreOptions,
        files: Arc<dyn Files>,
        clock: Clock,
    ) -> Result<Store> {
        let StoreOptions { log, head, rows, storage, flush } = options;
        // What is not in blocks is in the log alone: it is never dropped for its size or age. Of the
        // rest as much stays as a restart may read, for the models that see it again. Where no blocks
        // are written the log is all there is, a ring.
        let full = if storage.query_only { Full::Ring } else { Full::Refuse };
        let log = segment_log::Options { full, passed_bytes: flush.log_bytes, ..log };
        let log = Arc::new(Log::open(&dir.join("log"), log, files.clone(), clock.clone())?);
        let storage = Arc::new(Storage::open(dir, storage, log.writer_id(), files, clock.clone())?);
        if !storage.is_query_only() {
            // What is given a position that blocks cover would not be read again.
            let covered = Signal::ALL.map(|signal| storage.catalog(signal).log_offset());
            log.skip_to(Position(covered.into_iter().max().unwrap_or_default()))?;
        }
        let head = Arc::new(Head::new(head));
        let pruned = Arc::downgrade(&head);
        log.on_drop(move |dropped| {
            if let Some(head) = pruned.upgrade().filter(|_| dropped.oldest_received > 0) {
                prune(head, (dropped.oldest_received / 1_000_000) as i64);
            }
        });
        let (traces, logs) = (Arc::new(Traces::new(rows)), Arc::new(Logs::new(rows)));
        traces.attach(storage.catalog(Signal::Traces).clone());
        logs.attach(storage.catalog(Signal::Logs).clone());
        let flusher = (!storage.is_query_only()).then(|| {
            let (head, rows) = (head.clone(), (traces.clone(), logs.clone()));
            Flusher::new(log.clone(), head, rows, storage.clone(), flush, clock).map(Arc::new)
        });
        let flusher = flusher.transpose()?;
        let flushing = Mutex::new(flusher.as_ref().and_then(flush::start));
        let red = red::Red::default();
        let services = services::Services::default();
        Ok(Store {
            log,
            head,
            traces,
            logs,
            services,
            storage,
            flusher,
            flushing,
            red,
            listeners: Mutex::default(),
        })
    }

    /// Writes all that is in memory to blocks now, as is done every so often.
    ///
    /// # Errors
    /// The first reason why a signal could not be written; the others are written all the same.
    pub fn flush(&self) -> Result<()> {
        self.flusher.as_ref().map_or(Ok(()), |flusher| flusher.flush())
    }

    /// True while memory fills faster than blocks are written: who has time waits before bringing
    /// more. What is brought nevertheless is taken up to the bounds of memory.
    pub fn is_crowded(&self) -> bool {
        self.flusher.as_ref().is_some_and(|flusher| flusher.is_crowded())
    }

    /// The log's records of `signal` before this position are in blocks.
    pub fn flushed(&self, signal: Signal) -> Position {
        Position(self.storage.catalog(signal).log_offset())
    }

    /// Takes a payload that was received at `received` into memory. The log is the caller's.
    pub fn ingest(&self, payload: &Payload, received: UnixNano) -> IngestReport {
        self.take(payload, received, false)
    }

    /// As [`Store::ingest`], for what the log gives again after a restart: `last` is the last record
    /// that it comes from. What blocks hold already is left out.
    pub fn ingest_again(
        &self,
        payload: &Payload,
        received: UnixNano,
        last: Position,
    ) -> IngestReport {
        if last < self.flushed(payload.signal()) {
            return IngestReport::default();
        }
        self.take(payload, received, true)
    }

    /// Before anything reaches memory: from now on there is something to flush.
    pub(crate) fn begin(&self) {
        if let Some(flusher) = &self.flusher {
            flusher.begin();
        }
    }

    fn take(&self, payload: &Payload, received: UnixNano, again: bool) -> IngestReport {
        self.begin();
        self.services.saw(payload, received);
        let signal = payload.signal();
        let points = u64::from(payload.items());
        let again = self.flusher.as_ref().filter(|_| again).map(|flusher| &flusher.again);
        let is_held = |content: u64| again.is_some_and(|again| again.is_held(signal, content));
        let is_held: Option<&dyn Fn(u64) -> bool> = again.map(|_| &is_held as _);
        match signal {
            Signal::Metrics => return self.head.ingest(payload, received),
            Signal::Traces => {
                self.count_spans(self.red.saw(payload, received));
                self.traces.push_unless(payload, received, is_held);
            }
            Signal::Logs => self.logs.push_unless(payload, received, is_held),
        }
        IngestReport { points, accepted: points, ..IngestReport::default() }
    }

    /// Takes a payload that comes past all pipelines: durable when the ticket resolves.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn put(&self, payload: &Payload, received: UnixNano) -> Result<(IngestReport, Ticket)> {
        let record = Record {
            signal: payload.signal().number(),
            entry: remote_write::BEHIND_ALL,
            encoding: 0,
            tenant: "",
            pipeline: remote_write::PIPELINE,
            received,
            body: payload.bytes(),
        };
        let (ticket, _on_its_way) = self.log.append_held(&record)?;
        let report = self.ingest(payload, received);
        self.tell_written(|| Some(payload.clone()));
        Ok((report, ticket))
    }

    /// Calls `listener` with everything that is written past all pipelines from now on (not what the
    /// log gives again), until it says false. It must not wait.
    pub fn on_written(&self, listener: impl Fn(&Payload) -> bool + Send + Sync + 'static) {
        self.listeners.lock().push(Box::new(listener));
    }

    fn tell_written(&self, make: impl FnOnce() -> Option<Payload>) {
        let mut listeners = self.listeners.lock();
        if !listeners.is_empty()
            && let Some(payload) = make()
        {
            listeners.retain(|listener| listener(&payload));
        }
    }

    /// To be called every few seconds: metrics of spans go on where no spans come.
    pub fn tick(&self, now: UnixNano) {
        self.count_spans(self.red.tick(now));
    }

    fn count_spans(&self, points: Vec<(Payload, UnixNano)>) {
        for (points, time) in points {
            self.head.ingest(&points, time);
        }
    }

    /// The log.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Metrics.
    pub fn head(&self) -> &Arc<Head> {
        &self.head
    }

    /// Blocks of all signals.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Traces.
    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Log records.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Services heard of, ascending by name.
    pub fn services(&self) -> Vec<Service> {
        self.services.list()
    }

    /// Times memory could not be written to blocks.
    pub fn flush_failures(&self) -> u64 {
        self.flusher.as_ref().map_or(0, |flusher| flusher.failures())
    }

    /// Syncs and closes the log, ends what looks after the blocks; memory and blocks stay readable.
    ///
    /// # Errors
    /// As [`Log::close`].
    pub fn close(&self) -> Result<()> {
        self.stop_flushing();
        self.storage.stop();
        self.log.close()
    }

    fn stop_flushing(&self) {
        if let Some(flusher) = &self.flusher {
            flusher.stop();
        }
        if let Some(thread) = self.flushing.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes blocks had panicked");
        }
    }
}

/// Prunes on a thread of its own: the log calls from the one that commits, and pruning walks all
/// series. Once a segment, so a thread costs nothing. Without one the next segment does it.
fn prune(head: Arc<Head>, before_ms: i64) {
    let pruning = move || {
        head.prune_before(before_ms);
    };
    if let Err(error) = std::thread::Builder::new().name("store-prune".to_owned()).spawn(pruning) {
        tracing::warn!(%error, "no thread to prune the store, left to the next time");
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The thread holds what it flushes, the log among it.
        self.stop_flushing();
    }
}
