// SPDX-License-Identifier: Apache-2.0
//! From memory into blocks, and what of the log nobody needs any more.
//!
//! ```text
//! log.settled() -> P     everything before P has reached memory
//! memory -> block        all that is there, records behind P among it
//! catalog.commit(P)      block and position take effect at once
//! memory lets go; the log's consumer passes P
//! ```
//! After a crash the log is read again from P. What of it a block holds already is not taken twice:
//! samples are told by series and time, spans and log records by their content ([`Again`]).
//! A flush that fails leaves everything as it was and is begun anew the next time; meanwhile the log
//! keeps what is not in blocks, and refuses at its cap.
//! Bounds: [`FlushOptions`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use basics::{Clock, Result, UnixNano};
use hashbrown::HashMap;
use otlp_wire::Signal;
use parking_lot::{Condvar, Mutex};
use segment_log::{Consumer, Log, Position, Start};

use crate::blocks::{BlockInfo, Catalog};
use crate::{Head, Logs, Storage, Traces, logs, metrics, traces};

/// The log's consumer that stands for what is in blocks.
const CONSUMER: &str = "blocks";

/// How far apart the clocks of a receiver and of the log may be: a request is logged within seconds
/// of being received.
const RECEIVED_SLACK_MS: i64 = 60_000;

const DAY_MS: i64 = 24 * 3_600_000;

/// Days that one flush writes to blocks of their own. 32: a month at once; were it a sample a day for
/// years, the rest would be one block.
const DAYS_MAX: usize = 32;

/// When memory becomes blocks.
#[derive(Clone, Copy, Debug)]
pub struct FlushOptions {
    /// So often. 15 min: a block of them is worth its footer, and a restart replays little.
    pub interval: Duration,
    /// Or when so much was logged since. 256 MiB: replayed within seconds.
    pub log_bytes: u64,
    /// Or when spans or log records take so much memory. 16 MiB; whoever brings more while twice as
    /// much is there had better wait ([`crate::Store::is_crowded`]).
    pub rows_bytes: u64,
    /// Or when so many samples are in memory. 32 M: half of what the head may hold.
    pub samples: u64,
    /// How often to look whether it is time; none = never, its owner calls [`crate::Store::flush`].
    pub look: Option<Duration>,
}

impl Default for FlushOptions {
    fn default() -> Self {
        FlushOptions {
            interval: Duration::from_secs(15 * 60),
            log_bytes: 256 << 20,
            rows_bytes: 16 << 20,
            samples: 32 << 20,
            look: Some(Duration::from_secs(1)),
        }
    }
}

/// What a store's memory and its blocks share with the thread that carries between them.
pub(crate) struct Flusher {
    pub log: Arc<Log>,
    pub head: Arc<Head>,
    pub traces: Arc<Traces>,
    pub logs: Arc<Logs>,
    pub storage: Arc<Storage>,
    pub again: Again,
    clock: Clock,
    options: FlushOptions,
    consumer: Consumer,
    last: Mutex<Last>,
    /// What lies before it in the log was there at the start.
    replay_end: Position,
    failures: AtomicU64,
    /// Something has come since the start. Before that the log is still to be read again, and no hold
    /// says so yet: nothing may be taken for settled.
    begun: AtomicBool,
    stopping: Mutex<bool>,
    stopped: Condvar,
}

/// The last flush.
struct Last {
    at: UnixNano,
    log_end: u64,
}

impl Flusher {
    pub fn new(
        log: Arc<Log>,
        head: Arc<Head>,
        (traces, logs): (Arc<Traces>, Arc<Logs>),
        storage: Arc<Storage>,
        options: FlushOptions,
        clock: Clock,
    ) -> Result<Flusher> {
        let consumer = log.consumer(CONSUMER, Start::Oldest)?;
        let again = Again::of(&log, &storage);
        let replay_end = log.end();
        let last = Mutex::new(Last { at: clock.now(), log_end: consumer.position().0 });
        let failures = AtomicU64::new(0);
        let (stopping, stopped) = (Mutex::new(false), Condvar::new());
        Ok(Flusher {
            log,
            head,
            traces,
            logs,
            storage,
            again,
            clock,
            options,
            consumer,
            last,
            replay_end,
            failures,
            begun: AtomicBool::new(false),
            stopping,
            stopped,
        })
    }

    /// Something comes: of the log, which is held from now on until all of it was read again, or anew.
    pub fn begin(&self) {
        if !self.begun.load(Ordering::Relaxed) {
            self.begun.store(true, Ordering::Release);
        }
    }

    /// Writes all that is in memory to blocks and lets go of it; nothing before anything has come.
    ///
    /// # Errors
    /// The first reason why a signal could not be written; the others are written all the same.
    pub fn flush(&self) -> Result<()> {
        if !self.begun.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut last = self.last.lock();
        let (at, log_end) = (self.clock.now(), self.log.end().0);
        let settled = self.log.settled();
        let written = [self.metrics(settled), self.spans(settled), self.records(settled)];
        let failed = written.into_iter().find_map(Result::err);
        let kept_from = Signal::ALL.map(|signal| self.storage.catalog(signal).log_kept_from());
        let passed = kept_from.into_iter().min().unwrap_or_default();
        let failed = failed.or(self.consumer.commit(Position(passed)).err());
        if let Some(error) = failed {
            self.failures.fetch_add(1, Ordering::Relaxed);
            return Err(error);
        }
        *last = Last { at, log_end };
        if settled >= self.replay_end {
            self.again.forget();
        }
        Ok(())
    }

    /// Flushes that failed since the start.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn metrics(&self, settled: Position) -> Result<()> {
        let catalog = self.storage.catalog(Signal::Metrics);
        // A day at most in a block: what was imported is merged, read and let go day by day. What of
        // it the log gives again after a crash is told by series and time.
        for _ in 0..DAYS_MAX {
            let Some((oldest, newest)) = self.head.time_range() else { break };
            let day_end = (oldest.div_euclid(DAY_MS) + 1) * DAY_MS;
            if newest < day_end {
                break;
            }
            let block = metrics::write_block(catalog, self.head.window(day_end))?;
            catalog.commit(block.into_iter().collect(), &[], None)?;
            self.head.release(self.clock.now_ms());
        }
        let block = metrics::write_block(catalog, self.head.window(i64::MAX))?;
        commit(catalog, block, settled)?;
        self.head.release(self.clock.now_ms());
        Ok(())
    }

    fn spans(&self, settled: Position) -> Result<()> {
        let catalog = self.storage.catalog(Signal::Traces);
        let rows = self.traces.take(UnixNano::MAX);
        commit(catalog, traces::write_block(catalog, &rows)?, settled)?;
        self.traces.release(&rows);
        Ok(())
    }

    fn records(&self, settled: Position) -> Result<()> {
        let catalog = self.storage.catalog(Signal::Logs);
        let rows = self.logs.take(UnixNano::MAX);
        commit(catalog, logs::write_block(catalog, &rows)?, settled)?;
        self.logs.release(&rows);
        Ok(())
    }

    fn is_due(&self) -> bool {
        let (at, log_end) = {
            let last = self.last.lock();
            (last.at, last.log_end)
        };
        let end = self.log.end().0;
        if end == log_end {
            return false;
        }
        let options = &self.options;
        let age = self.clock.now().saturating_sub(at);
        age >= options.interval.as_nanos() as u64
            || end - log_end >= options.log_bytes
            || self.head.sample_count() >= options.samples
            || self.traces.stats().bytes >= options.rows_bytes
            || self.logs.stats().bytes >= options.rows_bytes
    }

    /// True when memory fills faster than blocks are written; they are written at once then.
    pub fn is_crowded(&self) -> bool {
        let (samples, rows) = (2 * self.options.samples, 2 * self.options.rows_bytes);
        let is = self.head.sample_count() >= samples
            || self.traces.stats().bytes >= rows
            || self.logs.stats().bytes >= rows;
        if is {
            self.stopped.notify_all();
        }
        is
    }

    /// Ends the thread.
    pub fn stop(&self) {
        *self.stopping.lock() = true;
        self.stopped.notify_all();
    }

    /// Waits for `time`, for memory to be crowded, or for the end; true at the end.
    fn is_stopped_within(&self, time: Duration) -> bool {
        let mut stopping = self.stopping.lock();
        if !*stopping {
            self.stopped.wait_for(&mut stopping, time);
        }
        *stopping
    }

    /// Waits for `time` or the end, however crowded memory is; true at the end.
    fn is_stopped_after(&self, time: Duration) -> bool {
        let mut stopping = self.stopping.lock();
        self.stopped.wait_while_for(&mut stopping, |stopping| !*stopping, time);
        *stopping
    }
}

/// Makes a block and the position it covers take effect. While the log is read again, what is on its
/// way lies before what blocks cover already.
fn commit(catalog: &Catalog, block: Option<BlockInfo>, settled: Position) -> Result<()> {
    let covered = settled.0.max(catalog.log_offset());
    catalog.commit(block.into_iter().collect(), &[], Some(covered))
}

/// Starts the thread that flushes when it is time.
pub(crate) fn start(flusher: &Arc<Flusher>) -> Option<std::thread::JoinHandle<()>> {
    let look = flusher.options.look?;
    let flusher = flusher.clone();
    let work = move || {
        while !flusher.is_stopped_within(look) {
            if flusher.is_due()
                && let Err(error) = flusher.flush()
            {
                tracing::warn!(%error, "memory stays in the log: blocks cannot be written now");
                // Not at once again: the disk is full or the bucket is away.
                if flusher.is_stopped_after(look * 10) {
                    break;
                }
            }
        }
    };
    let started = std::thread::Builder::new().name("store-flush".to_owned()).spawn(work);
    started.inspect_err(|error| tracing::error!(%error, "no thread to write blocks")).ok()
}

/// How often each content may come again from the log although a block holds it.
type Contents = HashMap<u64, u32, foldhash::fast::RandomState>;

/// What the log gives again after a restart, against what blocks hold of it.
#[derive(Debug, Default)]
pub(crate) struct Again {
    traces: Mutex<Option<Contents>>,
    logs: Mutex<Option<Contents>>,
}

impl Again {
    /// Contents of the blocks that may hold something of what is still to be replayed.
    pub fn of(log: &Log, storage: &Storage) -> Again {
        let of = |signal: Signal| {
            let catalog = storage.catalog(signal);
            let hashes = match signal {
                Signal::Traces => traces::block_hashes,
                _ => logs::block_hashes,
            };
            let from = Position(catalog.log_offset());
            // Blocks made before the first record to be replayed was received hold nothing of it.
            let first = log.reader(from).next()?;
            let since = (first.received / 1_000_000) as i64 - RECEIVED_SLACK_MS;
            let mut contents = Contents::default();
            let own = catalog.manifest().live;
            for block in own.iter().filter(|block| block.id.timestamp_ms() as i64 >= since) {
                match hashes(catalog, block) {
                    Ok(all) => all.into_iter().for_each(|h| *contents.entry(h).or_default() += 1),
                    // Whoever reads it next sets it aside.
                    Err(error) => tracing::warn!(path = block.path, %error, "cannot read a block"),
                }
            }
            (!contents.is_empty()).then_some(contents)
        };
        Again { traces: Mutex::new(of(Signal::Traces)), logs: Mutex::new(of(Signal::Logs)) }
    }

    /// True when a block holds this content as often as it has come again by now.
    pub fn is_held(&self, signal: Signal, content: u64) -> bool {
        let mut contents = match signal {
            Signal::Traces => self.traces.lock(),
            _ => self.logs.lock(),
        };
        let times = contents.as_mut().and_then(|contents| contents.get_mut(&content));
        times.filter(|times| **times > 0).map(|times| *times -= 1).is_some()
    }

    /// The replay is long over.
    pub fn forget(&self) {
        *self.traces.lock() = None;
        *self.logs.lock() = None;
    }
}
