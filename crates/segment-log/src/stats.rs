// SPDX-License-Identifier: Apache-2.0
//! What a log counts, for metrics. Counters start at zero with each opening.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the fsync latency buckets in microseconds; one more bucket holds the rest.
/// From a fast NVMe (0.1 ms) to a disk that is in trouble (1 s).
pub const FSYNC_BOUNDS_US: [u64; 9] = [100, 250, 500, 1000, 2500, 5000, 25_000, 100_000, 1_000_000];

/// A snapshot of a log's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes in all segments now.
    pub bytes: u64,
    /// Segments now.
    pub segments: u64,
    /// Receive time of the oldest record held; 0 without one.
    pub oldest_received: u64,
    /// Records appended.
    pub records_appended: u64,
    /// Bytes appended, headers included.
    pub bytes_appended: u64,
    /// Bytes written and not yet durable.
    pub bytes_unsynced: u64,
    /// Records dropped with their segment at a ring's bounds.
    pub records_dropped: u64,
    /// Bytes dropped with their segment at a ring's bounds.
    pub bytes_dropped: u64,
    /// Appends refused at the cap, for a full disk or because the log is poisoned or closed.
    pub appends_refused: u64,
    /// Damaged ranges met.
    pub quarantined_ranges: u64,
    /// Bytes in them.
    pub quarantined_bytes: u64,
    /// Group commits: how many, how long.
    pub fsync: Latency,
}

/// A latency histogram with the bounds of [`FSYNC_BOUNDS_US`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Observations.
    pub count: u64,
    /// Sum of all in nanoseconds.
    pub sum_ns: u64,
    /// Observations per bucket, not cumulative; the last is above all bounds.
    pub buckets: [u64; FSYNC_BOUNDS_US.len() + 1],
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub records_appended: AtomicU64,
    pub bytes_appended: AtomicU64,
    pub records_dropped: AtomicU64,
    pub bytes_dropped: AtomicU64,
    pub appends_refused: AtomicU64,
    pub quarantined_ranges: AtomicU64,
    pub quarantined_bytes: AtomicU64,
    fsync_count: AtomicU64,
    fsync_sum_ns: AtomicU64,
    fsync_buckets: [AtomicU64; FSYNC_BOUNDS_US.len() + 1],
}

pub(crate) fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn fsync_took(&self, ns: u64) {
        add(&self.fsync_count, 1);
        add(&self.fsync_sum_ns, ns);
        let bucket = FSYNC_BOUNDS_US.partition_point(|bound| bound * 1000 < ns);
        add(&self.fsync_buckets[bucket], 1);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            records_appended: read(&self.records_appended),
            bytes_appended: read(&self.bytes_appended),
            records_dropped: read(&self.records_dropped),
            bytes_dropped: read(&self.bytes_dropped),
            appends_refused: read(&self.appends_refused),
            quarantined_ranges: read(&self.quarantined_ranges),
            quarantined_bytes: read(&self.quarantined_bytes),
            fsync: Latency {
                count: read(&self.fsync_count),
                sum_ns: read(&self.fsync_sum_ns),
                buckets: std::array::from_fn(|i| read(&self.fsync_buckets[i])),
            },
            ..Stats::default()
        }
    }
}
