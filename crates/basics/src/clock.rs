// SPDX-License-Identifier: Apache-2.0
//! Time is passed in. [`Clock::system`] reads the machine's clocks, [`Clock::manual`] is moved by a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970-01-01T00:00:00Z, as OTLP's `*_unix_nano` fields.
pub type UnixNano = u64;

/// A source of time; cheap to clone, all clones tell the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Clock(Source::System)
    }

    /// A clock that stands at `now` until [`Clock::advance`] moves it.
    pub fn manual(now: UnixNano) -> Self {
        Clock(Source::Manual(Arc::new(AtomicU64::new(now))))
    }

    /// Wall-clock time now.
    pub fn now(&self) -> UnixNano {
        match &self.0 {
            Source::System => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
            }
            Source::Manual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Wall-clock time now in milliseconds, the unit of Prometheus samples.
    pub fn now_ms(&self) -> i64 {
        (self.now() / 1_000_000) as i64
    }

    /// A monotonic reading in nanoseconds for measuring how long something took.
    pub fn monotonic(&self) -> u64 {
        match &self.0 {
            Source::System => {
                static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
                START.get_or_init(Instant::now).elapsed().as_nanos() as u64
            }
            Source::Manual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock forward; does nothing to the system clock.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
        }
    }
}
