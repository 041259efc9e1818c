// SPDX-License-Identifier: Apache-2.0
//! Settings of the rules.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipeline::config::shared::HttpClient;
use pipeline::config::{Checker, ComponentConfig, Duration};
use pipeline::relabel::RelabelConfig;
use query_api::rules::{Settings, file};
use serde::Deserialize;

/// What a user writes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Files of rule groups in Prometheus' format; the last part of a path may have `*` and `?`.
    pub files: Vec<String>,
    /// Time between evaluations of groups that have none of their own; none = 1 min.
    pub evaluation_interval: Option<Duration>,
    /// How far before now queries look; groups may have their own.
    pub query_offset: Duration,
    /// An alert that goes on firing is told again after so long; none = 1 min.
    pub resend_delay: Option<Duration>,
    /// Alerts whose `for` is shorter are not restored after a restart, others pend at least so
    /// long; none = 10 min.
    pub for_grace_period: Option<Duration>,
    /// How long a restart may take for alerts to be restored; none = 1 h.
    pub for_outage_tolerance: Option<Duration>,
    /// Under which address others reach the page; for links in alerts.
    pub external_url: String,
    /// Put on alerts that are sent, known to templates.
    pub external_labels: BTreeMap<String, String>,
    /// Rules for the labels of alerts that are sent.
    pub alert_relabel_configs: Vec<RelabelConfig>,
    /// Where alerts are sent: each of these gets all.
    pub alertmanagers: Vec<Alertmanager>,
}

/// An Alertmanager.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Alertmanager {
    /// Its base URL and how to reach it; `/api/v2/alerts` is added.
    #[serde(rename = "..client")]
    pub client: HttpClient,
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        if self.files.is_empty() {
            at.error("files", "name at least one file of rules");
        }
        for (number, pattern) in self.files.iter().enumerate() {
            let mut files = at.key("files");
            match matching(pattern) {
                Err(error) => files.error(&number.to_string(), error),
                // Prometheus takes a pattern without files, and so do we; a mistake in a file is
                // told here, before anything starts.
                Ok(found) => {
                    for path in found {
                        if let Err(error) = file::load(&path) {
                            files.error(&number.to_string(), error);
                        }
                    }
                }
            }
        }
        let zero = |time: Option<Duration>| time.is_some_and(|time| time.is_zero());
        if zero(self.evaluation_interval) {
            at.error("evaluation_interval", "must be greater than zero");
        }
        let mut managers = at.key("alertmanagers");
        for (number, manager) in self.alertmanagers.iter().enumerate() {
            let mut at = managers.item(number);
            if manager.client.endpoint.is_empty() {
                at.error(
                    "endpoint",
                    "the URL of an Alertmanager is needed, e.g. http://localhost:9093",
                );
            }
            manager.client.validate(&mut at);
        }
    }
}

impl Config {
    /// What all groups are evaluated with.
    pub fn settings(&self) -> Settings {
        let defaults = Settings::default();
        let or = |time: Option<Duration>, default| time.map_or(default, |time| time.get());
        Settings {
            interval: or(self.evaluation_interval, defaults.interval),
            query_offset: self.query_offset.get(),
            resend_delay: or(self.resend_delay, defaults.resend_delay),
            grace: or(self.for_grace_period, defaults.grace),
            outage: or(self.for_outage_tolerance, defaults.outage),
            external_labels: self.external_labels.clone(),
            external_url: self.external_url.trim_end_matches('/').to_owned(),
        }
    }
}

/// The files that a pattern means, ascending.
///
/// # Errors
/// Why it is no pattern.
pub fn matching(pattern: &str) -> Result<Vec<PathBuf>, String> {
    let path = Path::new(pattern);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.contains(['*', '?', '[']) {
        return Ok(vec![path.to_owned()]);
    }
    let glob = globset::Glob::new(name).map_err(|e| e.to_string())?.compile_matcher();
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let Ok(entries) = std::fs::read_dir(folder.unwrap_or(Path::new("."))) else {
        return Ok(Vec::new());
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| glob.is_match(entry.file_name()))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    Ok(found)
}
