// SPDX-License-Identifier: Apache-2.0
//! The log's one thread: group commits, and dropping what is beyond the bounds.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use basics::{Error, Result};

use crate::Position;
use crate::commit::Work;
use crate::log::{Dropped, Shared};
use crate::options::{Durability, Full};
use crate::reader::count_records;
use crate::segments::{self, Segment, Unsynced};
use crate::stats::add;

/// How often bounds are looked at when nothing is written: age moves on by itself.
const IDLE: Duration = Duration::from_secs(1);

pub(crate) fn spawn(shared: Arc<Shared>) -> Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("log-syncer".to_owned())
        .spawn(move || run(&shared))
        .map_err(|e| Error::overloaded("cannot start the log's thread").caused_by(e))
}

fn run(shared: &Shared) {
    let options = &shared.options;
    let (interval, bytes) = match options.durability {
        Durability::Sync => (options.group_interval, options.group_bytes),
        Durability::Interval(interval) => (interval, u64::MAX),
        Durability::None => (Duration::from_secs(u32::MAX.into()), u64::MAX),
    };
    let mut not_before = Instant::now();
    if options.durability != Durability::Sync {
        not_before += interval;
    }
    loop {
        let work = shared.commit.await_work(not_before, bytes, IDLE);
        if work != Work::Idle {
            not_before = Instant::now() + interval;
            sync(shared);
        }
        if work == Work::Close {
            return;
        }
        trim(shared);
    }
}

/// One group commit.
fn sync(shared: &Shared) {
    let unsynced = shared.segments.lock().take_unsynced();
    if unsynced.files.is_empty() && !unsynced.new_names || shared.commit.failure().is_some() {
        return;
    }
    let started = shared.clock.monotonic();
    match write_out(shared, &unsynced) {
        Ok(()) => {
            shared.counters.fsync_took(shared.clock.monotonic() - started);
            shared.commit.synced(unsynced.end);
        }
        Err(error) => {
            let error = Error::closed(format!(
                "log {} is poisoned by a failed fsync and takes no more data until restarted",
                shared.dir.display()
            ))
            .caused_by(error);
            tracing::error!(%error, "log poisoned");
            shared.commit.fail(error);
        }
    }
}

fn write_out(shared: &Shared, unsynced: &Unsynced) -> std::io::Result<()> {
    for file in &unsynced.files {
        file.sync()?;
    }
    if unsynced.new_names { shared.files.sync_dir(&shared.dir) } else { Ok(()) }
}

/// Drops segments that are beyond a ring's bounds, or that every consumer of a queue has passed.
fn trim(shared: &Shared) {
    while let Some(victim) = victim(shared) {
        let records =
            victim.records.unwrap_or_else(|| count_records(shared, victim.base, victim.len));
        let path = segments::path(&shared.dir, victim.base);
        if let Err(error) = shared.files.remove(&path) {
            tracing::error!(%error, path = %path.display(), "cannot remove a log segment");
            return;
        }
        let (oldest, oldest_received) = {
            let mut segments = shared.segments.lock();
            segments.pop_oldest();
            if shared.options.full == Full::Ring {
                add(&shared.counters.records_dropped, records);
                add(&shared.counters.bytes_dropped, victim.len);
            }
            (Position(segments.oldest().base), segments.oldest().oldest.unwrap_or(0))
        };
        if let Err(error) = shared.files.sync_dir(&shared.dir) {
            tracing::warn!(%error, "removed log segment may come back after a crash");
        }
        if shared.options.full == Full::Ring {
            shared.tell_dropped(&Dropped { records, bytes: victim.len, oldest, oldest_received });
        }
    }
}

/// The oldest segment, if it is to go. The open one never is.
fn victim(shared: &Shared) -> Option<Segment> {
    let consumed = {
        let consumers = shared.consumers.lock();
        consumers.values().min().copied().unwrap_or(0)
    };
    let segments = shared.segments.lock();
    let next = segments.second()?;
    let horizon = shared.clock.now().saturating_sub(shared.options.age_max.as_nanos() as u64);
    let is_old = next.oldest.is_some_and(|oldest| oldest < horizon);
    let goes = match shared.options.full {
        Full::Refuse => {
            let enough_without = segments.bytes() - segments.oldest().len;
            let is_spare = enough_without >= shared.options.passed_bytes;
            segments.oldest().end() <= consumed && (is_spare || is_old)
        }
        Full::Ring => segments.bytes() > shared.options.bytes_max || is_old,
    };
    goes.then(|| *segments.oldest())
}
