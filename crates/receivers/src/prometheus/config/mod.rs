// SPDX-License-Identifier: Apache-2.0
//! Settings of the Prometheus receiver: Prometheus' own configuration as far as it is about
//! scraping. What is not there is refused by name, what has no effect here is told.

mod files;
mod job;
mod login;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use pipeline::config::{ByteSize, Checker, ComponentConfig};
use serde::de::{self, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};

pub use job::{FileSd, Job, StaticConfig};
pub use login::{Login, Secret, TlsConfig};

/// Settings of the receiver.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// A Prometheus configuration.
    pub config: Document,
    /// Names lose their unit and `_total`.
    pub trim_metric_suffixes: bool,
    /// Added to the time before the first scrapes.
    pub initial_scrape_offset: pipeline::config::Duration,
    target_allocator: Option<IgnoredAny>,
    api_server: ApiServer,
    scrape_on_shutdown: Option<IgnoredAny>,
    discovery_reload_on_startup: Option<IgnoredAny>,
    use_start_time_metric: Option<IgnoredAny>,
    start_time_metric_regex: Option<IgnoredAny>,
    /// As `global.extra_scrape_metrics`; an older key.
    pub report_extra_scrape_metrics: bool,
    buffer_period: Option<IgnoredAny>,
    buffer_count: Option<IgnoredAny>,
}

/// Prometheus' API in the receiver, which is off unless asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ApiServer {
    enabled: bool,
    max_connections: Option<IgnoredAny>,
    server_config: Option<IgnoredAny>,
}

/// A Prometheus configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Document {
    /// Defaults for all jobs.
    pub global: Global,
    /// What to scrape.
    pub scrape_configs: Vec<Job>,
    /// Files with more of it.
    pub scrape_config_files: Vec<String>,
    remote_write: Vec<IgnoredAny>,
    remote_read: Vec<IgnoredAny>,
    rule_files: Vec<IgnoredAny>,
    alerting: Alerting,
    storage: Option<IgnoredAny>,
    tracing: Option<IgnoredAny>,
    runtime: Option<IgnoredAny>,
    otlp: Option<IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Alerting {
    alertmanagers: Vec<IgnoredAny>,
    alert_relabel_configs: Vec<IgnoredAny>,
}

/// Defaults for all jobs.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Global {
    /// Time between scrapes.
    pub scrape_interval: PromDuration,
    /// For one scrape.
    pub scrape_timeout: PromDuration,
    /// Formats to ask for, best first.
    pub scrape_protocols: Option<Vec<Protocol>>,
    /// Put on all series.
    pub external_labels: BTreeMap<String, String>,
    /// Largest page.
    pub body_size_limit: ByteSize,
    /// Most samples of a page.
    pub sample_limit: usize,
    /// Most targets of a job.
    pub target_limit: usize,
    /// Most labels of a sample.
    pub label_limit: usize,
    /// Longest label name.
    pub label_name_length_limit: usize,
    /// Longest label value.
    pub label_value_length_limit: usize,
    /// Native histograms are taken.
    pub scrape_native_histograms: bool,
    /// The classic histogram beside a native one is taken too.
    pub always_scrape_classic_histograms: bool,
    /// Classic histograms become native ones with custom buckets, where they are stored and written on.
    pub convert_classic_histograms_to_nhcb: bool,
    /// More series about each scrape.
    pub extra_scrape_metrics: bool,
    evaluation_interval: Option<IgnoredAny>,
    rule_query_offset: Option<IgnoredAny>,
    query_log_file: Option<IgnoredAny>,
    scrape_failure_log_file: Option<IgnoredAny>,
    keep_dropped_targets: Option<IgnoredAny>,
    metric_name_validation_scheme: Option<IgnoredAny>,
    metric_name_escaping_scheme: Option<IgnoredAny>,
}

impl Default for Global {
    fn default() -> Self {
        Global {
            scrape_interval: PromDuration(Duration::from_secs(60)),
            scrape_timeout: PromDuration(Duration::from_secs(10)),
            scrape_protocols: None,
            external_labels: BTreeMap::new(),
            body_size_limit: ByteSize(0),
            sample_limit: 0,
            target_limit: 0,
            label_limit: 0,
            label_name_length_limit: 0,
            label_value_length_limit: 0,
            scrape_native_histograms: false,
            always_scrape_classic_histograms: false,
            extra_scrape_metrics: false,
            evaluation_interval: None,
            rule_query_offset: None,
            query_log_file: None,
            scrape_failure_log_file: None,
            keep_dropped_targets: None,
            convert_classic_histograms_to_nhcb: false,
            metric_name_validation_scheme: None,
            metric_name_escaping_scheme: None,
        }
    }
}

/// A format a page may be asked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Protocol {
    /// Delimited `io.prometheus.client` messages.
    PrometheusProto,
    /// Text.
    #[serde(rename = "PrometheusText0.0.4")]
    Text004,
    /// Text with UTF-8 names.
    #[serde(rename = "PrometheusText1.0.0")]
    Text100,
    /// OpenMetrics before 1.0.
    #[serde(rename = "OpenMetricsText0.0.1")]
    OpenMetrics001,
    /// OpenMetrics.
    #[serde(rename = "OpenMetricsText1.0.0")]
    OpenMetrics100,
}

/// A duration of Prometheus' grammar: `1d`, `1m30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PromDuration(pub Duration);

impl<'de> Deserialize<'de> for PromDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = PromDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 10s, 1m30s or 1d")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PromDuration, E> {
                basics::duration::parse_prometheus(text).map(PromDuration).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Says of each key that is given that it changes nothing.
fn warn_unused(keys: &[(&str, bool)], why: &str, at: &mut Checker<'_>) {
    for (key, _) in keys.iter().filter(|(_, given)| *given) {
        at.warn(key, format!("{key} has no effect here: {why}"));
    }
}

/// Refuses each key that is given.
fn refuse(keys: &[(&str, bool)], at: &mut Checker<'_>) {
    for (key, _) in keys.iter().filter(|(_, given)| *given) {
        at.error(key, format!("{key} is not supported yet; remove this key"));
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        refuse(&[("target_allocator", self.target_allocator.is_some())], at);
        let api = &self.api_server;
        refuse(&[("enabled", api.enabled)], &mut at.key("api_server"));
        let unused = [
            ("max_connections", api.max_connections.is_some()),
            ("server_config", api.server_config.is_some()),
        ];
        warn_unused(&unused, "the API is off", &mut at.key("api_server"));
        let old = [
            ("use_start_time_metric", self.use_start_time_metric.is_some()),
            ("start_time_metric_regex", self.start_time_metric_regex.is_some()),
            ("buffer_period", self.buffer_period.is_some()),
            ("buffer_count", self.buffer_count.is_some()),
        ];
        warn_unused(&old, "the Collector has removed it", at);
        let others = [
            ("scrape_on_shutdown", self.scrape_on_shutdown.is_some()),
            ("discovery_reload_on_startup", self.discovery_reload_on_startup.is_some()),
        ];
        warn_unused(&others, "targets are read at once, and not once more at the end", at);
        self.config.validate(&mut at.key("config"));
    }
}

impl Document {
    fn validate(&self, at: &mut Checker<'_>) {
        for (key, given) in [
            ("remote_write", !self.remote_write.is_empty()),
            ("remote_read", !self.remote_read.is_empty()),
            ("rule_files", !self.rule_files.is_empty()),
        ] {
            if given {
                at.error(key, format!("unsupported features: {key}"));
            }
        }
        let alerting = &self.alerting;
        for (key, given) in [
            ("alertmanagers", !alerting.alertmanagers.is_empty()),
            ("alert_relabel_configs", !alerting.alert_relabel_configs.is_empty()),
        ] {
            if given {
                at.key("alerting").error(key, format!("unsupported features: alerting.{key}"));
            }
        }
        let others = [
            ("storage", self.storage.is_some()),
            ("tracing", self.tracing.is_some()),
            ("runtime", self.runtime.is_some()),
            ("otlp", self.otlp.is_some()),
        ];
        warn_unused(&others, "it is about Prometheus itself, not about scraping", at);
        self.global.validate(&mut at.key("global"));
        if self.scrape_configs.is_empty() && self.scrape_config_files.is_empty() {
            at.error("scrape_configs", "no Prometheus scrape_configs set");
        }
        let mut jobs = at.key("scrape_configs");
        for (index, job) in self.scrape_configs.iter().enumerate() {
            let mut at = jobs.item(index);
            job.validate(&self.global, &mut at);
            if self.scrape_configs[..index].iter().any(|other| other.job_name == job.job_name) {
                at.error(
                    "job_name",
                    format!("found multiple scrape configs with job name \"{}\"", job.job_name),
                );
            }
        }
        drop(jobs);
        self.validate_files(at);
    }

    fn validate_files(&self, at: &mut Checker<'_>) {
        let mut names: Vec<_> =
            self.scrape_configs.iter().map(|job| job.job_name.clone()).collect();
        for (path, found) in files::read(&self.scrape_config_files) {
            let found = match found {
                Ok(found) => found,
                Err(message) => {
                    at.error("scrape_config_files", format!("{}: {message}", path.display()));
                    continue;
                }
            };
            for job in found {
                job.validate(&self.global, &mut at.key("scrape_config_files"));
                if names.contains(&job.job_name) {
                    let name = &job.job_name;
                    let message = format!(
                        "{}: found multiple scrape configs with job name \"{name}\"",
                        path.display()
                    );
                    at.error("scrape_config_files", message);
                }
                names.push(job.job_name);
            }
        }
    }

    /// The jobs written here and those in files as they are now.
    ///
    /// # Errors
    /// `Invalid` when a file cannot be read.
    pub fn jobs(&self) -> basics::Result<Vec<Job>> {
        let mut jobs = self.scrape_configs.clone();
        for (path, found) in files::read(&self.scrape_config_files) {
            jobs.extend(found.map_err(|message| {
                basics::Error::invalid(format!("{}: {message}", path.display()))
            })?);
        }
        Ok(jobs)
    }
}

impl Global {
    fn validate(&self, at: &mut Checker<'_>) {
        if self.scrape_timeout > self.scrape_interval
            && self.scrape_timeout != Global::default().scrape_timeout
        {
            at.error("scrape_timeout", "global scrape timeout greater than scrape interval");
        }
        check_protocols(self.scrape_protocols.as_deref(), at);
        let unused = [
            ("evaluation_interval", self.evaluation_interval.is_some()),
            ("rule_query_offset", self.rule_query_offset.is_some()),
            ("query_log_file", self.query_log_file.is_some()),
            ("scrape_failure_log_file", self.scrape_failure_log_file.is_some()),
            ("keep_dropped_targets", self.keep_dropped_targets.is_some()),
            ("metric_name_validation_scheme", self.metric_name_validation_scheme.is_some()),
            ("metric_name_escaping_scheme", self.metric_name_escaping_scheme.is_some()),
        ];
        warn_unused(&unused, "nothing in this receiver depends on it", at);
    }
}

/// Tells lists without protocols, or with one twice.
fn check_protocols(protocols: Option<&[Protocol]>, at: &mut Checker<'_>) {
    let Some(protocols) = protocols else { return };
    if protocols.is_empty() {
        at.error("scrape_protocols", "scrape_protocols cannot be empty");
    }
    if (1..protocols.len()).any(|index| protocols[..index].contains(&protocols[index])) {
        at.error("scrape_protocols", "duplicated protocol in scrape_protocols");
    }
}
