// SPDX-License-Identifier: Apache-2.0
//! The embedded store: a log on disk; metrics, traces and logs.
//!
//! In: payloads. Whoever owns the pipeline appends each admitted body to [`Store::log`] before it
//! acknowledges, runs its processors and gives the result to [`Store::ingest`]; at start it reads
//! the log and does the same again, so memory holds what the log holds. Log and memory know of each
//! other in one point only: what the log's ring drops, the head prunes.
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
use otlp_wire::{Payload, Signal};
use segment_log::{Log, Record};

pub use columns::{Exemplar, SeriesColumns};
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
}

/// A snapshot of everything counted.
#[derive(Clone, Debug, Default)]
pub struct StoreStats {
    /// The log.
    pub log: segment_log::Stats,
    /// The metrics head.
    pub head: HeadStats,
    /// Spans in memory.
    pub traces: rows::Stats,
    /// Log records in memory.
    pub logs: rows::Stats,
}

/// One directory and what is in memory of it.
pub struct Store {
    log: Arc<Log>,
    head: Arc<Head>,
    traces: Traces,
    logs: Logs,
    services: services::Services,
    storage: Storage,
    red: red::Red,
}

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
        let (log_files, log_clock) = (files.clone(), clock.clone());
        let log = Arc::new(Log::open(&dir.join("log"), options.log, log_files, log_clock)?);
        let storage = Storage::open(dir, options.storage, log.writer_id(), files, clock)?;
        let head = Arc::new(Head::new(options.head));
        let pruned = Arc::downgrade(&head);
        log.on_drop(move |dropped| {
            if let Some(head) = pruned.upgrade().filter(|_| dropped.oldest_received > 0) {
                prune(head, (dropped.oldest_received / 1_000_000) as i64);
            }
        });
        let (traces, logs) = (Traces::new(options.rows), Logs::new(options.rows));
        traces.attach(storage.catalog(Signal::Traces).clone());
        logs.attach(storage.catalog(Signal::Logs).clone());
        Ok(Store {
            log,
            head,
            traces,
            logs,
            services: services::Services::default(),
            storage,
            red: red::Red::default(),
        })
    }

    /// Takes a payload that was received at `received` into memory. The log is the caller's.
    pub fn ingest(&self, payload: &Payload, received: UnixNano) -> IngestReport {
        self.services.saw(payload, received);
        let points = u64::from(payload.items());
        match payload.signal() {
            Signal::Metrics => return self.head.ingest(payload, received),
            Signal::Traces => {
                self.count_spans(self.red.saw(payload, received));
                self.traces.push(payload, received);
            }
            Signal::Logs => self.logs.push(payload, received),
        }
        IngestReport { points, accepted: points, ..IngestReport::default() }
    }

    /// Takes a payload that comes past all pipelines: durable when the ticket resolves.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn put(&self, payload: &Payload, received: UnixNano) -> Result<(IngestReport, Ticket)> {
        let signal = match payload.signal() {
            Signal::Traces => 1,
            Signal::Metrics => remote_write::METRICS,
            Signal::Logs => 3,
        };
        let record = Record {
            signal,
            entry: remote_write::BEHIND_ALL,
            encoding: 0,
            tenant: "",
            pipeline: remote_write::PIPELINE,
            received,
            body: payload.bytes(),
        };
        let ticket = self.log.append(&record)?;
        Ok((self.ingest(payload, received), ticket))
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

    /// Counters and sizes for metrics.
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            log: self.log.stats(),
            head: self.head.stats(),
            traces: self.traces.stats(),
            logs: self.logs.stats(),
        }
    }

    /// Syncs and closes the log, ends what looks after the blocks; memory and blocks stay readable.
    ///
    /// # Errors
    /// As [`Log::close`].
    pub fn close(&self) -> Result<()> {
        self.storage.stop();
        self.log.close()
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
