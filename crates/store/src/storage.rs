// SPDX-License-Identifier: Apache-2.0
//! What lies in blocks, of all signals: where, who writes, how long it is kept, and the thread that
//! looks after it.
//!
//! In: commits of the flush, through [`Storage::catalog`]. Every [`StorageOptions::interval`] the
//! thread merges blocks ([`crate::blocks::plan`]), lets go of what is too old or too much, deletes
//! what was replaced an hour ago, and looks at what other writers have. Time is the store's clock;
//! only the waiting is real. What fails is told and tried again the next time.

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use basics::files::Files;
use basics::{Clock, Random, Result};
use otlp_wire::Signal;
use parking_lot::{Condvar, Mutex};

use crate::blocks::plan::{Merge, next_merge};
use crate::blocks::{BlockInfo, Catalog, CatalogOptions, Keep, Local, Objects};
use crate::metrics::{self, Blocks, CACHE_BYTES};
use crate::{logs, traces};

/// The signals, in the order of their catalogs.
const SIGNALS: [(Signal, &str); 3] =
    [(Signal::Metrics, "metrics"), (Signal::Traces, "traces"), (Signal::Logs, "logs")];

/// Where blocks lie and how long they stay.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// Somewhere else than in the store's directory: a bucket.
    pub objects: Option<Arc<dyn Objects>>,
    /// First part of all paths.
    pub tenant: String,
    /// Id of this writer among those that share `objects`; empty = one of its own, as in the log.
    pub writer: String,
    /// Reads what others write and writes nothing.
    pub query_only: bool,
    /// How much metrics are kept.
    pub metrics: Keep,
    /// How much traces are kept.
    pub traces: Keep,
    /// How much logs are kept.
    pub logs: Keep,
    /// Footers, labels and times in memory at most.
    pub cache_bytes: u64,
    /// How often the thread looks after the blocks; none = never, its owner calls
    /// [`Storage::maintain`].
    pub interval: Option<Duration>,
}

impl Default for StorageOptions {
    fn default() -> Self {
        const DAY: u64 = 24 * 3600;
        let days = |days| Keep { age: Some(Duration::from_secs(days * DAY)), bytes_max: None };
        StorageOptions {
            objects: None,
            tenant: "default".to_owned(),
            writer: String::new(),
            query_only: false,
            metrics: days(15),
            traces: days(7),
            logs: days(7),
            cache_bytes: CACHE_BYTES,
            // What is merged or let go is minutes to days old: half a minute later is in time.
            interval: Some(Duration::from_secs(30)),
        }
    }
}

impl StorageOptions {
    fn keep(&self, signal: Signal) -> &Keep {
        match signal {
            Signal::Metrics => &self.metrics,
            Signal::Traces => &self.traces,
            Signal::Logs => &self.logs,
        }
    }
}

/// How a signal's blocks are merged: the result is committed, none when an input was set aside.
pub type MergeBlocks = fn(&Catalog, &Merge) -> Result<Option<BlockInfo>>;

/// The blocks of all signals.
pub struct Storage {
    shared: Arc<Shared>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

struct Shared {
    options: StorageOptions,
    clock: Clock,
    catalogs: [Arc<Catalog>; 3],
    metrics: Blocks,
    /// Held from the choice of blocks to the commit of what they became.
    merging: Mutex<()>,
    stopping: Mutex<bool>,
    stopped: Condvar,
}

impl Storage {
    /// Opens the blocks in `dir`, or where the options say. `writer`: an id of this directory.
    ///
    /// # Errors
    /// As [`Catalog::open`].
    pub fn open(
        dir: &Path,
        options: StorageOptions,
        writer: &str,
        files: Arc<dyn Files>,
        clock: Clock,
    ) -> Result<Storage> {
        let objects = options.objects.clone().unwrap_or_else(|| {
            let local = Local::new(files, dir);
            if !options.query_only {
                local.sweep();
            }
            Arc::new(local)
        });
        let writer = if options.writer.is_empty() { writer } else { &options.writer };
        let open = |signal: &'static str| {
            let writer = (!options.query_only).then(|| writer.to_owned());
            let options = CatalogOptions { tenant: options.tenant.clone(), signal, writer };
            Catalog::open(objects.clone(), options, clock.clone(), Random::from_os()).map(Arc::new)
        };
        let [metrics, traces, logs] = SIGNALS.map(|(_, name)| open(name));
        let catalogs = [metrics?, traces?, logs?];
        let metrics = Blocks::new(catalogs[0].clone(), options.cache_bytes);
        let interval = options.interval;
        let (stopping, stopped) = (Mutex::new(false), Condvar::new());
        let merging = Mutex::new(());
        let shared =
            Arc::new(Shared { options, clock, catalogs, metrics, merging, stopping, stopped });
        let thread = interval.and_then(|interval| start(&shared, interval));
        Ok(Storage { shared, thread: Mutex::new(thread) })
    }

    /// The list of a signal's blocks.
    pub fn catalog(&self, signal: Signal) -> &Arc<Catalog> {
        let at = SIGNALS.iter().position(|(known, _)| *known == signal);
        &self.shared.catalogs[at.unwrap_or_default()]
    }

    /// The blocks of metrics.
    pub fn metrics(&self) -> &Blocks {
        &self.shared.metrics
    }

    /// True when nothing is written here.
    pub fn is_query_only(&self) -> bool {
        self.shared.options.query_only
    }

    /// Does now what the thread does every so often. Whatever fails is told in the log.
    pub fn maintain(&self) {
        self.shared.maintain();
    }

    /// Writes every block of metrics anew of which something was deleted; returns how many.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`] when a block cannot be read or written now.
    pub fn clean_deleted(&self) -> Result<usize> {
        let catalog = self.catalog(Signal::Metrics);
        let own = |id| catalog.manifest().live.iter().any(|block| block.id == id);
        let mut cleaned = 0;
        for listed in catalog.listed() {
            let _alone = self.shared.merging.lock();
            // A merge may have taken it meanwhile, and left out what was deleted.
            if !listed.deleted.is_empty() && own(listed.info.id) {
                let merge = Merge { level: listed.info.level, inputs: vec![listed.info] };
                metrics::compact(catalog, &merge)?;
                cleaned += 1;
            }
        }
        Ok(cleaned)
    }

    /// Ends the thread; waits for the merge that is under way. Blocks stay readable.
    pub fn stop(&self) {
        *self.shared.stopping.lock() = true;
        self.shared.stopped.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that looks after blocks had panicked");
        }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

fn start(shared: &Arc<Shared>, interval: Duration) -> Option<std::thread::JoinHandle<()>> {
    let shared = shared.clone();
    let work = move || {
        loop {
            {
                let mut stopping = shared.stopping.lock();
                if !*stopping {
                    shared.stopped.wait_for(&mut stopping, interval);
                }
                if *stopping {
                    return;
                }
            }
            shared.maintain();
        }
    };
    let started = std::thread::Builder::new().name("store-blocks".to_owned()).spawn(work);
    started.inspect_err(|error| tracing::error!(%error, "no thread to look after blocks")).ok()
}

impl Shared {
    fn maintain(&self) {
        for ((signal, name), catalog) in SIGNALS.iter().zip(&self.catalogs) {
            let told = |what: &str, result: Result<()>| {
                if let Err(error) = result {
                    tracing::warn!(signal = name, %error, "cannot {what} blocks now");
                }
            };
            told("look for", catalog.refresh());
            if self.options.query_only {
                continue;
            }
            let merge: MergeBlocks = match signal {
                Signal::Metrics => metrics::compact,
                Signal::Traces => traces::compact,
                Signal::Logs => logs::compact,
            };
            told("merge", self.merge(catalog, merge));
            told("let go of", catalog.retain(self.options.keep(*signal)).map(|_| ()));
            told("delete", catalog.clean().and_then(|_| catalog.sweep()).map(|_| ()));
        }
    }

    /// Merges all there is to merge.
    fn merge(&self, catalog: &Catalog, merge: MergeBlocks) -> Result<()> {
        while !*self.stopping.lock() {
            let _alone = self.merging.lock();
            let now_ms = self.clock.now_ms();
            let Some(next) = next_merge(&catalog.manifest().live, now_ms) else { return Ok(()) };
            let (level, inputs) = (next.level, next.inputs.len());
            if let Some(block) = merge(catalog, &next)? {
                let (bytes, items) = (block.bytes, block.items);
                tracing::debug!(level, inputs, bytes, items, path = block.path, "merged blocks");
            }
        }
        Ok(())
    }
}
