// SPDX-License-Identifier: Apache-2.0
//! Settings of `memory_limiter` and the limits they mean on a machine.

use pipeline::config::{self, Checker, ComponentConfig, NoEffect};
use serde::Deserialize;

use super::limiter::Limits;

const MIB: u64 = 1 << 20;

/// Part of the limit kept for what comes between two measurements, unless a key says otherwise.
const SPIKE_SHARE: u64 = 5;

/// Settings of `memory_limiter`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Shortest time between two measurements; required.
    pub check_interval: config::Duration,
    /// Resident memory the process should never take, in MiB; 0 = `limit_percentage` counts.
    pub limit_mib: u32,
    /// What may come between two measurements, in MiB; 0 = a fifth of the limit.
    pub spike_limit_mib: u32,
    /// The limit as a part of the memory of the machine or container.
    pub limit_percentage: u32,
    /// The spike as a part of the memory of the machine or container.
    pub spike_limit_percentage: u32,
    /// There is no garbage collector to be tuned.
    pub min_gc_interval_when_soft_limited: NoEffect,
    /// There is no garbage collector to be tuned.
    pub min_gc_interval_when_hard_limited: NoEffect,
    /// There is no garbage collector to be tuned.
    pub max_gc_interval_when_soft_limited: NoEffect,
    /// There is no garbage collector to be tuned.
    pub max_gc_interval_when_hard_limited: NoEffect,
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        if self.check_interval.get().is_zero() {
            at.error("check_interval", "'check_interval' must be greater than zero");
        }
        if self.limit_mib == 0 && self.limit_percentage == 0 {
            at.error("", "'limit_mib' or 'limit_percentage' must be greater than zero");
        }
        if self.limit_percentage > 100 || self.spike_limit_percentage > 100 {
            let text = "'limit_percentage' and 'spike_limit_percentage' must be greater than zero \
                        and less than or equal to hundred";
            at.error("limit_percentage", text);
        }
        if self.limit_mib > 0 && self.limit_mib <= self.spike_limit_mib {
            let text = "'spike_limit_mib' must be smaller than 'limit_mib'";
            at.error("spike_limit_mib", text);
        }
        if self.limit_percentage > 0 && self.limit_percentage <= self.spike_limit_percentage {
            let text = "'spike_limit_percentage' must be smaller than 'limit_percentage'";
            at.error("spike_limit_percentage", text);
        }
    }
}

impl Config {
    /// The limits on a machine with `total` bytes of memory.
    pub(super) fn limits(&self, total: u64) -> Limits {
        let share = |percent: u32| total / 100 * u64::from(percent);
        let (hard, spike) = if self.limit_mib > 0 {
            (u64::from(self.limit_mib) * MIB, u64::from(self.spike_limit_mib) * MIB)
        } else {
            (share(self.limit_percentage), share(self.spike_limit_percentage))
        };
        let spike = if spike == 0 { hard / SPIKE_SHARE } else { spike };
        let interval = self.check_interval.get();
        Limits { soft: hard.saturating_sub(spike), hard, interval }
    }
}
