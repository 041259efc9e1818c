// SPDX-License-Identifier: Apache-2.0
//! The instruments: counters, gauges and histograms that many threads write and one page reads.
//!
//! A handle is a refcount; writing is one atomic addition, without a lock and without looking up a
//! label. Counters are spread over cache lines, so that two cores never fight for one; gauges and
//! histograms are written once a batch, where that does not matter.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Cells of one counter: enough that eight busy cores do not meet, 512 bytes a counter.
const CELLS: usize = 8;

/// One cache line to itself.
#[repr(align(64))]
#[derive(Default)]
struct Cacheline(AtomicU64);

/// The cell of the thread that asks; threads are dealt out in turn.
fn cell() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed) % CELLS);
    }
    MINE.with(Cell::get)
}

/// A number that only grows. Clone = refcount.
#[derive(Clone, Default)]
pub struct Counter(Arc<[Cacheline; CELLS]>);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0[cell()].0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.iter().map(|line| line.0.load(Ordering::Relaxed)).sum()
    }
}

/// A number that goes up and down. Whole numbers up to 2^53 are exact. Clone = refcount.
#[derive(Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// The value is now `value`.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Adds `by`, which may be negative.
    pub fn add(&self, by: f64) {
        add_f64(&self.0, by);
    }

    /// The value now.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

fn add_f64(bits: &AtomicU64, by: f64) {
    // The closure always returns `Some`, so the update cannot fail.
    let _ = bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| {
        Some((f64::from_bits(old) + by).to_bits())
    });
}

/// How values are spread over fixed bounds. Clone = refcount.
#[derive(Clone)]
pub struct Histogram(Arc<Spread>);

struct Spread {
    /// Ascending upper bounds, inclusive; the last bucket has none.
    bounds: Box<[f64]>,
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Upper bound and number of values at or below it; the last bound is infinite.
    pub cumulative: Vec<(f64, u64)>,
    /// Sum of all values.
    pub sum: f64,
    /// Number of values.
    pub count: u64,
}

impl Histogram {
    /// A histogram over ascending `bounds`.
    pub fn new(bounds: &[f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram(Arc::new(Spread { bounds: bounds.into(), buckets, sum: AtomicU64::new(0) }))
    }

    /// Counts `value` in.
    pub fn observe(&self, value: f64) {
        let at = self.0.bounds.partition_point(|bound| *bound < value);
        self.0.buckets[at].fetch_add(1, Ordering::Relaxed);
        add_f64(&self.0.sum, value);
    }

    /// What it holds now.
    pub fn read(&self) -> Reading {
        let mut count = 0;
        let upper = self.0.bounds.iter().copied().chain([f64::INFINITY]);
        let cumulative = upper
            .zip(&self.0.buckets)
            .map(|(bound, bucket)| {
                count += bucket.load(Ordering::Relaxed);
                (bound, count)
            })
            .collect();
        Reading { cumulative, sum: f64::from_bits(self.0.sum.load(Ordering::Relaxed)), count }
    }
}
