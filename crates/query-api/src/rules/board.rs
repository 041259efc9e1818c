// SPDX-License-Identifier: Apache-2.0
//! What of the rules can be looked at: written by who evaluates them, read by the API.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use basics::labels::Labels;
use parking_lot::Mutex;
use pipeline::Host;

use super::alert::Alert;
use super::file::Rule;

/// The name under which the host shares it.
const BOARD: &str = "rules";

/// All groups, by file and name.
#[derive(Debug, Default)]
pub struct Board {
    groups: Mutex<BTreeMap<(String, String), Arc<ShownGroup>>>,
    alertmanagers: Mutex<Vec<String>>,
    external_labels: Mutex<BTreeMap<String, String>>,
}

/// A group after its last evaluation; times in Unix milliseconds, 0 = never.
#[derive(Clone, Debug)]
pub struct ShownGroup {
    /// Name.
    pub name: String,
    /// The file it stands in.
    pub file: String,
    /// Time between evaluations.
    pub interval: Duration,
    /// Most series or alerts of a rule; 0 = any.
    pub limit: usize,
    /// What the last one took.
    pub seconds: f64,
    /// When it was.
    pub last_ms: i64,
    /// Its rules.
    pub rules: Vec<ShownRule>,
}

/// A rule after its last evaluation.
#[derive(Clone, Debug)]
pub struct ShownRule {
    /// The rule.
    pub rule: Rule,
    /// Its alerts.
    pub alerts: Vec<(Labels, Alert)>,
    /// Why it failed.
    pub error: Option<String>,
    /// What it took.
    pub seconds: f64,
    /// When it was.
    pub last_ms: i64,
}

impl Board {
    /// That of `host`.
    pub fn of(host: &Host) -> Arc<Board> {
        // Making it cannot fail.
        host.shared(BOARD, || Ok(Board::default())).unwrap_or_default()
    }

    /// Shows a group.
    pub fn show(&self, group: ShownGroup) {
        let key = (group.file.clone(), group.name.clone());
        self.groups.lock().insert(key, Arc::new(group));
    }

    /// Shows it no more.
    pub fn hide(&self, file: &str, name: &str) {
        self.groups.lock().remove(&(file.to_owned(), name.to_owned()));
    }

    /// All groups, by file and name.
    pub fn groups(&self) -> Vec<Arc<ShownGroup>> {
        self.groups.lock().values().cloned().collect()
    }

    /// Says where notices go.
    pub fn set_alertmanagers(&self, urls: Vec<String>) {
        *self.alertmanagers.lock() = urls;
    }

    /// Says what names this server in what it tells others.
    pub fn set_external_labels(&self, labels: BTreeMap<String, String>) {
        *self.external_labels.lock() = labels;
    }

    /// What names this server in what it tells others.
    pub fn external_labels(&self) -> BTreeMap<String, String> {
        self.external_labels.lock().clone()
    }

    /// Where notices go.
    pub fn alertmanagers(&self) -> Vec<String> {
        self.alertmanagers.lock().clone()
    }
}
