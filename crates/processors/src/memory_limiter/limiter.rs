// SPDX-License-Identifier: Apache-2.0
//! The measurement that all pipelines of one `memory_limiter` share.
//!
//! Nothing runs beside the pipelines: whoever brings a batch when an interval has passed measures,
//! everyone else reads one flag. Where the system does not tell, nothing is refused.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use basics::Clock;

/// From when on data is refused, in bytes of resident memory, and how often that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Data is refused above this.
    pub soft: u64,
    /// What the process should never take.
    pub hard: u64,
    /// Shortest time between two measurements.
    pub interval: Duration,
}

type Measure = Box<dyn Fn() -> Option<u64> + Send + Sync>;

/// Limits with the last measurement.
pub(super) struct Limiter {
    limits: Limits,
    clock: Clock,
    measure: Measure,
    /// Monotonic time from which on the last measurement is too old.
    due: AtomicU64,
    over: AtomicBool,
}

impl Limiter {
    pub fn new(limits: Limits, clock: Clock, measure: Measure) -> Self {
        tracing::info!(
            soft_limit_bytes = limits.soft,
            limit_bytes = limits.hard,
            "memory limiter configured"
        );
        Limiter { limits, clock, measure, due: AtomicU64::new(0), over: AtomicBool::new(false) }
    }

    /// True while data is to be refused.
    pub fn is_over(&self) -> bool {
        let now = self.clock.monotonic();
        let due = self.due.load(Ordering::Relaxed);
        let interval = u64::try_from(self.limits.interval.as_nanos()).unwrap_or(u64::MAX);
        let next = now.saturating_add(interval);
        // One of those who come at the same time measures.
        if now >= due
            && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.look();
        }
        self.over.load(Ordering::Relaxed)
    }

    fn look(&self) {
        let Some(resident) = (self.measure)() else { return };
        let over = resident > self.limits.soft;
        let was_over = self.over.swap(over, Ordering::Relaxed);
        let Limits { soft, hard, .. } = self.limits;
        if over && !was_over {
            tracing::warn!(
                resident_bytes = resident,
                soft_limit_bytes = soft,
                limit_bytes = hard,
                above_limit = resident > hard,
                "memory usage is above soft limit, refusing data"
            );
        } else if was_over && !over {
            tracing::info!(resident_bytes = resident, "memory usage back within limits");
        }
    }
}
