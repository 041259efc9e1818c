// SPDX-License-Identifier: Apache-2.0
//! Recording and alerting rules, as Prometheus evaluates them.
//!
//! In: groups from files in Prometheus' format ([`file`]), and the store. Out: series recorded
//! into the store by its own door (log first), `ALERTS` and `ALERTS_FOR_STATE`, notices for an
//! Alertmanager ([`Notice`]), and a [`Board`] of what is, for the API. When to evaluate and where
//! notices go is the caller's ([`group::Running::evaluate`] blocks).
//! A rule that fails keeps its group going; it is told on the board. Alerts that pend are taken up
//! again after a restart, from `ALERTS_FOR_STATE`.

mod alert;
pub mod answers;
pub mod board;
pub mod file;
pub mod group;
pub mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

pub use alert::Notice;
pub use board::Board;
pub use group::{Running, Surroundings};

/// Settings of all groups.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time between evaluations of a group that has none of its own.
    pub interval: Duration,
    /// How far before now queries look.
    pub query_offset: Duration,
    /// An alert that fires is told again after so long.
    pub resend_delay: Duration,
    /// Alerts that pend shorter than this are not restored; others pend at least so long after.
    pub grace: Duration,
    /// How long we may have been away for alerts to be restored.
    pub outage: Duration,
    /// Known to templates, and put on notices.
    pub external_labels: BTreeMap<String, String>,
    /// Under which address others reach us.
    pub external_url: String,
}

impl Default for Settings {
    /// Prometheus' own defaults.
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Settings {
            interval: MINUTE,
            query_offset: Duration::ZERO,
            resend_delay: MINUTE,
            grace: 10 * MINUTE,
            outage: 60 * MINUTE,
            external_labels: BTreeMap::new(),
            external_url: String::new(),
        }
    }
}
