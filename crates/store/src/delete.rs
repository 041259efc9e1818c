// SPDX-License-Identifier: Apache-2.0
//! Deleting series, and copies of all blocks: what an administrator asks of a store that runs.
//!
//! What is deleted has to be in blocks first: memory is written to them until they cover all of the
//! log that was there at the beginning, so nothing of it comes again after a restart. The deletion is
//! listed with the blocks then, and left out of every answer from there on; merges take it away.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use basics::files::Files;
use basics::labels::Matcher;
use basics::{Clock, Error, Result};
use otlp_wire::Signal;
use segment_log::Position;

use crate::care::{self, Checked};
use crate::{Storage, StorageOptions, Store};

/// So long requests that are on their way are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks whether they have arrived.
const PAUSE: Duration = Duration::from_millis(20);

impl Store {
    /// Deletes the samples in `start_ms..=end_ms` of all metric series that satisfy any of the sets of
    /// matchers, in memory and in blocks. What is written meanwhile may be deleted as well, what
    /// comes later is not.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`] when blocks cannot be written now or a request does not come to its
    /// end, `Overloaded` when too many deletions wait, `Invalid` where nothing is written.
    pub fn delete_series(&self, sets: &[Vec<Matcher>], start_ms: i64, end_ms: i64) -> Result<()> {
        self.flush_all()?;
        for matchers in sets {
            let matchers = &*self.head().today(matchers);
            self.storage().catalog(Signal::Metrics).delete(matchers, (start_ms, end_ms))?;
            self.head().forget_exemplars(matchers, start_ms, end_ms);
        }
        Ok(())
    }

    /// Copies all blocks into `folder`, memory too if `with_memory`; a store can be restored from it.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`] when blocks cannot be read or written now, `Invalid` when there are
    /// blocks in `folder` already.
    pub fn snapshot(
        &self,
        folder: &Path,
        with_memory: bool,
        files: Arc<dyn Files>,
        clock: Clock,
    ) -> Result<Checked> {
        if with_memory {
            self.flush_all()?;
        }
        let options = StorageOptions { interval: None, ..StorageOptions::default() };
        let to = Storage::open(folder, options, "snapshot", files, clock)?;
        let mut all = Checked::default();
        for signal in Signal::ALL {
            let copied = care::copy(self.storage().catalog(signal), to.catalog(signal))?;
            all.blocks += copied.blocks;
            all.bytes += copied.bytes;
            all.damaged.extend(copied.damaged);
        }
        Ok(all)
    }

    /// Writes memory to blocks until they cover the log as it is now.
    fn flush_all(&self) -> Result<()> {
        if self.storage().is_query_only() {
            return Err(Error::invalid("this store is query-only"));
        }
        let (end, begun) = (self.log().end(), Instant::now());
        loop {
            self.flush()?;
            if Position(self.storage().catalog(Signal::Metrics).log_offset()) >= end {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(Error::retry("requests are on their way for seconds, try again"));
            }
            std::thread::sleep(PAUSE);
        }
    }
}
