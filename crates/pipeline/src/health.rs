// SPDX-License-Identifier: Apache-2.0
//! Whether the process as a whole is ready, for whoever is asked (`health_check`, the dashboard).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use basics::UnixNano;

/// Shared state; clone = refcount. Set by the runtime, read by anyone.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<AtomicU64>);

impl Health {
    /// Since when all pipelines run; `None` before that and once they are stopping.
    pub fn ready_since(&self) -> Option<UnixNano> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            since => Some(since),
        }
    }

    /// All pipelines run, since `now`.
    pub fn set_ready(&self, now: UnixNano) {
        self.0.store(now.max(1), Ordering::Release);
    }

    /// The pipelines do not run yet, or no longer.
    pub fn set_not_ready(&self) {
        self.0.store(0, Ordering::Release);
    }
}
