// SPDX-License-Identifier: Apache-2.0
//! Settings of the Prometheus receiver: the part of Prometheus' own configuration that is there,
//! the rest refused by name.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use pipeline::config::{ByteSize, Checker, ComponentConfig};
use serde::de::{self, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};

/// Settings of the receiver.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// A Prometheus configuration.
    pub config: Document,
    trim_metric_suffixes: bool,
    target_allocator: Option<IgnoredAny>,
    api_server: Option<IgnoredAny>,
    use_start_time_metric: IgnoredAny,
    start_time_metric_regex: IgnoredAny,
    report_extra_scrape_metrics: IgnoredAny,
    buffer_period: IgnoredAny,
    buffer_count: IgnoredAny,
}

/// A Prometheus configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Document {
    /// Defaults for all jobs.
    pub global: Global,
    /// What to scrape.
    pub scrape_configs: Vec<Job>,
    scrape_config_files: Vec<IgnoredAny>,
    remote_write: Vec<IgnoredAny>,
    remote_read: Vec<IgnoredAny>,
    rule_files: Vec<IgnoredAny>,
    alerting: Option<IgnoredAny>,
    storage: Option<IgnoredAny>,
    tracing: Option<IgnoredAny>,
}

/// Defaults for all jobs.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Global {
    /// Time between scrapes.
    pub scrape_interval: PromDuration,
    /// For one scrape.
    pub scrape_timeout: PromDuration,
    evaluation_interval: IgnoredAny,
    external_labels: BTreeMap<String, String>,
}

impl Default for Global {
    fn default() -> Self {
        Global {
            scrape_interval: PromDuration(Duration::from_secs(60)),
            scrape_timeout: PromDuration(Duration::from_secs(10)),
            evaluation_interval: IgnoredAny,
            external_labels: BTreeMap::new(),
        }
    }
}

/// One job.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Job {
    /// Label `job`.
    pub job_name: String,
    /// Time between scrapes; `None` = global.
    pub scrape_interval: Option<PromDuration>,
    /// For one scrape; `None` = global, at most the interval.
    pub scrape_timeout: Option<PromDuration>,
    /// Path of the page.
    pub metrics_path: String,
    /// `http`.
    pub scheme: String,
    /// Query parameters.
    pub params: BTreeMap<String, Vec<String>>,
    /// Scraped labels win over the target's.
    pub honor_labels: bool,
    /// Take the page's timestamps.
    pub honor_timestamps: bool,
    /// Targets.
    pub static_configs: Vec<StaticConfig>,
    /// User and password.
    pub basic_auth: Option<BasicAuth>,
    /// `Authorization` header.
    pub authorization: Option<Authorization>,
    /// Bearer token.
    pub bearer_token: String,
    /// Largest page; 0 = 64 MiB.
    pub body_size_limit: ByteSize,
    /// Most samples of a page; 0 = any.
    pub sample_limit: usize,
    relabel_configs: Vec<IgnoredAny>,
    metric_relabel_configs: Vec<IgnoredAny>,
    file_sd_configs: Vec<IgnoredAny>,
    dns_sd_configs: Vec<IgnoredAny>,
    http_sd_configs: Vec<IgnoredAny>,
    kubernetes_sd_configs: Vec<IgnoredAny>,
    consul_sd_configs: Vec<IgnoredAny>,
    ec2_sd_configs: Vec<IgnoredAny>,
    docker_sd_configs: Vec<IgnoredAny>,
    tls_config: Option<IgnoredAny>,
    oauth2: Option<IgnoredAny>,
    proxy_url: String,
    bearer_token_file: String,
    track_timestamps_staleness: IgnoredAny,
    follow_redirects: IgnoredAny,
    enable_http2: IgnoredAny,
    enable_compression: IgnoredAny,
    scrape_protocols: IgnoredAny,
    fallback_scrape_protocol: IgnoredAny,
    scrape_classic_histograms: IgnoredAny,
    always_scrape_classic_histograms: IgnoredAny,
    label_limit: usize,
    label_name_length_limit: usize,
    label_value_length_limit: usize,
    target_limit: usize,
}

impl Default for Job {
    fn default() -> Self {
        Job {
            job_name: String::new(),
            scrape_interval: None,
            scrape_timeout: None,
            metrics_path: "/metrics".to_owned(),
            scheme: "http".to_owned(),
            params: BTreeMap::new(),
            honor_labels: false,
            honor_timestamps: true,
            static_configs: Vec::new(),
            basic_auth: None,
            authorization: None,
            bearer_token: String::new(),
            body_size_limit: ByteSize(0),
            sample_limit: 0,
            relabel_configs: Vec::new(),
            metric_relabel_configs: Vec::new(),
            file_sd_configs: Vec::new(),
            dns_sd_configs: Vec::new(),
            http_sd_configs: Vec::new(),
            kubernetes_sd_configs: Vec::new(),
            consul_sd_configs: Vec::new(),
            ec2_sd_configs: Vec::new(),
            docker_sd_configs: Vec::new(),
            tls_config: None,
            oauth2: None,
            proxy_url: String::new(),
            bearer_token_file: String::new(),
            track_timestamps_staleness: IgnoredAny,
            follow_redirects: IgnoredAny,
            enable_http2: IgnoredAny,
            enable_compression: IgnoredAny,
            scrape_protocols: IgnoredAny,
            fallback_scrape_protocol: IgnoredAny,
            scrape_classic_histograms: IgnoredAny,
            always_scrape_classic_histograms: IgnoredAny,
            label_limit: 0,
            label_name_length_limit: 0,
            label_value_length_limit: 0,
            target_limit: 0,
        }
    }
}

/// Targets with labels.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StaticConfig {
    /// `host:port` each.
    pub targets: Vec<String>,
    /// Put on every series of theirs.
    pub labels: BTreeMap<String, String>,
}

/// `basic_auth`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct BasicAuth {
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
}

/// `authorization`.
#[derive(Clone, Deserialize)]
#[serde(default)]
pub struct Authorization {
    /// `Bearer`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What follows it.
    pub credentials: String,
}

impl Default for Authorization {
    fn default() -> Self {
        Authorization { kind: "Bearer".to_owned(), credentials: String::new() }
    }
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
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

impl Job {
    /// Interval and timeout.
    pub fn times(&self, global: &Global) -> (Duration, Duration) {
        let interval = self.scrape_interval.unwrap_or(global.scrape_interval).0;
        // A default timeout longer than the interval is shortened, as Prometheus does.
        let timeout = self.scrape_timeout.unwrap_or(global.scrape_timeout).0.min(interval);
        (interval, timeout)
    }

    /// Value of the `Authorization` header.
    pub fn authorization_header(&self) -> Option<String> {
        use base64::Engine;
        if let Some(auth) = &self.basic_auth {
            let pair = format!("{}:{}", auth.username, auth.password);
            let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
            return Some(format!("Basic {encoded}"));
        }
        if let Some(auth) = &self.authorization {
            return Some(format!("{} {}", auth.kind, auth.credentials));
        }
        (!self.bearer_token.is_empty()).then(|| format!("Bearer {}", self.bearer_token))
    }

    fn validate(&self, global: &Global, at: &mut Checker<'_>) {
        if self.job_name.is_empty() {
            at.error("job_name", "job_name is empty");
        }
        let (interval, _) = self.times(global);
        if interval.is_zero() {
            at.error("scrape_interval", "must be greater than zero");
        }
        if self.scrape_timeout.is_some_and(|timeout| timeout.0 > interval) {
            at.error("scrape_timeout", "scrape timeout greater than scrape interval");
        }
        match self.scheme.as_str() {
            "http" => {}
            "https" => at.error("scheme", "TLS is not supported yet; use scheme: http"),
            other => at.error("scheme", format!("scheme \"{other}\" is not http or https")),
        }
        let missing = [
            ("relabel_configs", !self.relabel_configs.is_empty()),
            ("metric_relabel_configs", !self.metric_relabel_configs.is_empty()),
            ("file_sd_configs", !self.file_sd_configs.is_empty()),
            ("dns_sd_configs", !self.dns_sd_configs.is_empty()),
            ("http_sd_configs", !self.http_sd_configs.is_empty()),
            ("kubernetes_sd_configs", !self.kubernetes_sd_configs.is_empty()),
            ("consul_sd_configs", !self.consul_sd_configs.is_empty()),
            ("ec2_sd_configs", !self.ec2_sd_configs.is_empty()),
            ("docker_sd_configs", !self.docker_sd_configs.is_empty()),
            ("tls_config", self.tls_config.is_some()),
            ("oauth2", self.oauth2.is_some()),
            ("proxy_url", !self.proxy_url.is_empty()),
            ("bearer_token_file", !self.bearer_token_file.is_empty()),
            ("label_limit", self.label_limit > 0),
            ("label_name_length_limit", self.label_name_length_limit > 0),
            ("label_value_length_limit", self.label_value_length_limit > 0),
            ("target_limit", self.target_limit > 0),
        ];
        for (key, _) in missing.iter().filter(|(_, given)| *given) {
            at.error(key, format!("{key} is not supported yet; remove this key"));
        }
        let mut at = at.key("static_configs");
        for (index, group) in self.static_configs.iter().enumerate() {
            let mut at = at.item(index);
            for target in &group.targets {
                if target.contains('/') || target.is_empty() {
                    at.error(
                        "targets",
                        format!(
                            "\"{target}\" is not a valid hostname: use host:port without a scheme"
                        ),
                    );
                }
            }
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        for (key, given) in [
            ("target_allocator", self.target_allocator.is_some()),
            ("api_server", self.api_server.is_some()),
            ("trim_metric_suffixes", self.trim_metric_suffixes),
        ] {
            if given {
                at.error(key, format!("{key} is not supported yet; remove this key"));
            }
        }
        let document = &self.config;
        let mut at = at.key("config");
        for (key, given) in [
            ("remote_write", !document.remote_write.is_empty()),
            ("remote_read", !document.remote_read.is_empty()),
            ("rule_files", !document.rule_files.is_empty()),
            ("alerting", document.alerting.is_some()),
            ("scrape_config_files", !document.scrape_config_files.is_empty()),
        ] {
            if given {
                at.error(key, format!("unsupported features: {key}"));
            }
        }
        if document.scrape_configs.is_empty() {
            at.error("scrape_configs", "no Prometheus scrape_configs set");
        }
        let mut jobs = at.key("scrape_configs");
        for (index, job) in document.scrape_configs.iter().enumerate() {
            let mut at = jobs.item(index);
            job.validate(&document.global, &mut at);
            if document.scrape_configs[..index].iter().any(|other| other.job_name == job.job_name) {
                at.error(
                    "job_name",
                    format!("found multiple scrape configs with job name \"{}\"", job.job_name),
                );
            }
        }
    }
}
