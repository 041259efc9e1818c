// SPDX-License-Identifier: Apache-2.0
//! The time that traces live in: the wall clock's, going forward only; while a log is read back,
//! the time at which its records were received. So a restart decides as the first run did, and
//! does not drop what came in over hours because it comes again in seconds.

use std::time::Duration;

use basics::{Clock, UnixNano};

/// Decisions are made once a second, as in the collector.
const TICK: u64 = 1_000_000_000;

/// Tells the time of a sampler.
pub(super) struct Time {
    clock: Clock,
    /// Wall time at monotonic time zero.
    base: u64,
    /// How far the log's time is behind the clock's; `None` once live data has come.
    behind: Option<u64>,
}

impl Time {
    pub fn new(clock: Clock) -> Self {
        let base = clock.now().saturating_sub(clock.monotonic());
        Time { clock, base, behind: Some(0) }
    }

    /// Now.
    pub fn now(&self) -> UnixNano {
        self.wall().saturating_sub(self.behind.unwrap_or(0))
    }

    fn wall(&self) -> UnixNano {
        self.base.saturating_add(self.clock.monotonic())
    }

    /// Live data has come: the time is the clock's from now on.
    pub fn is_live(&mut self) {
        self.behind = None;
    }

    /// A record of the log has come, the `first` one or a later one.
    pub fn is_replay(&mut self, received: UnixNano, first: bool) {
        let (now, wall) = (self.now(), self.wall());
        if let Some(behind) = &mut self.behind {
            let then = if first { received } else { received.max(now) };
            *behind = wall.saturating_sub(then);
        }
    }

    /// For measuring how long something took.
    pub fn monotonic(&self) -> u64 {
        self.clock.monotonic()
    }

    /// The first tick that is `wait` or more from now.
    pub fn tick_after(&self, wait: Duration) -> UnixNano {
        let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        self.now().saturating_add(wait).div_ceil(TICK).saturating_mul(TICK)
    }

    /// How long from now until `then`.
    pub fn until(&self, then: UnixNano) -> Duration {
        Duration::from_nanos(then.saturating_sub(self.now()))
    }
}
