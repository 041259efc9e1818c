// SPDX-License-Identifier: Apache-2.0
//! One job: what to scrape, how often, and what becomes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use pipeline::config::{ByteSize, Checker};
use pipeline::relabel::{self, RelabelConfig};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Global, Login, PromDuration, Protocol, check_protocols, warn_unused};

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
    /// Formats to ask for, best first.
    pub scrape_protocols: Option<Vec<Protocol>>,
    /// What a page is in that does not say.
    pub fallback_scrape_protocol: Option<Protocol>,
    /// Path of the page.
    pub metrics_path: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Query parameters.
    pub params: BTreeMap<String, Vec<String>>,
    /// Scraped labels win over the target's.
    pub honor_labels: bool,
    /// Take the page's timestamps.
    pub honor_timestamps: bool,
    /// Mark series with timestamps of their own as stale too.
    pub track_timestamps_staleness: bool,
    /// Ask for compressed pages.
    pub enable_compression: bool,
    /// Follow the target to another place.
    pub follow_redirects: bool,
    /// Targets.
    pub static_configs: Vec<StaticConfig>,
    /// Files with targets.
    pub file_sd_configs: Vec<FileSd>,
    /// Rules for targets.
    pub relabel_configs: Vec<RelabelConfig>,
    /// Rules for samples.
    pub metric_relabel_configs: Vec<RelabelConfig>,
    /// Largest page; 0 = global, then 64 MiB.
    pub body_size_limit: ByteSize,
    /// Most samples of a page; 0 = global, then any.
    pub sample_limit: usize,
    /// Most targets; 0 = global, then any.
    pub target_limit: usize,
    /// Most labels of a sample; 0 = global, then any.
    pub label_limit: usize,
    /// Longest label name; 0 = global, then any.
    pub label_name_length_limit: usize,
    /// Longest label value; 0 = global, then any.
    pub label_value_length_limit: usize,
    /// Native histograms are taken.
    pub scrape_native_histograms: Option<bool>,
    /// The classic histogram beside a native one is taken too.
    pub always_scrape_classic_histograms: Option<bool>,
    /// Classic histograms become native ones with custom buckets, where they are stored and written on.
    pub convert_classic_histograms_to_nhcb: Option<bool>,
    /// More series about each scrape.
    pub extra_scrape_metrics: Option<bool>,
    /// Most buckets of a native histogram, which is made coarser before; 0 = any.
    pub native_histogram_bucket_limit: usize,
    /// Least growth from one bucket to the next.
    pub native_histogram_min_bucket_factor: f64,
    /// How to log in.
    #[serde(rename = "..login")]
    pub login: Login,
    #[serde(rename = "..elsewhere")]
    elsewhere: Elsewhere,
    scrape_classic_histograms: Option<IgnoredAny>,
    scrape_failure_log_file: Option<IgnoredAny>,
    keep_dropped_targets: Option<IgnoredAny>,
    metric_name_validation_scheme: Option<IgnoredAny>,
    metric_name_escaping_scheme: Option<IgnoredAny>,
    enable_http2: Option<IgnoredAny>,
}

impl Default for Job {
    fn default() -> Self {
        Job {
            job_name: String::new(),
            scrape_interval: None,
            scrape_timeout: None,
            scrape_protocols: None,
            fallback_scrape_protocol: None,
            metrics_path: "/metrics".to_owned(),
            scheme: "http".to_owned(),
            params: BTreeMap::new(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            enable_compression: true,
            follow_redirects: true,
            static_configs: Vec::new(),
            file_sd_configs: Vec::new(),
            relabel_configs: Vec::new(),
            metric_relabel_configs: Vec::new(),
            body_size_limit: ByteSize(0),
            sample_limit: 0,
            target_limit: 0,
            label_limit: 0,
            label_name_length_limit: 0,
            label_value_length_limit: 0,
            scrape_native_histograms: None,
            always_scrape_classic_histograms: None,
            extra_scrape_metrics: None,
            native_histogram_bucket_limit: 0,
            native_histogram_min_bucket_factor: 0.0,
            login: Login::default(),
            elsewhere: Elsewhere::default(),
            scrape_classic_histograms: None,
            convert_classic_histograms_to_nhcb: None,
            scrape_failure_log_file: None,
            keep_dropped_targets: None,
            metric_name_validation_scheme: None,
            metric_name_escaping_scheme: None,
            enable_http2: None,
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

/// Files with targets, read again when they change.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct FileSd {
    /// Paths; the last part may be a pattern.
    pub files: Vec<String>,
    /// How long a change may go unseen at most.
    pub refresh_interval: PromDuration,
}

impl Default for FileSd {
    fn default() -> Self {
        let refresh_interval = PromDuration(Duration::from_secs(5 * 60));
        FileSd { files: Vec::new(), refresh_interval }
    }
}

/// Ways of finding targets that are not there; every kind Prometheus knows, refused by name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Elsewhere {
    aws_sd_configs: Option<IgnoredAny>,
    azure_sd_configs: Option<IgnoredAny>,
    consul_sd_configs: Option<IgnoredAny>,
    digitalocean_sd_configs: Option<IgnoredAny>,
    dns_sd_configs: Option<IgnoredAny>,
    docker_sd_configs: Option<IgnoredAny>,
    dockerswarm_sd_configs: Option<IgnoredAny>,
    ec2_sd_configs: Option<IgnoredAny>,
    eureka_sd_configs: Option<IgnoredAny>,
    gce_sd_configs: Option<IgnoredAny>,
    hetzner_sd_configs: Option<IgnoredAny>,
    http_sd_configs: Option<IgnoredAny>,
    ionos_sd_configs: Option<IgnoredAny>,
    kubernetes_sd_configs: Option<IgnoredAny>,
    kuma_sd_configs: Option<IgnoredAny>,
    lightsail_sd_configs: Option<IgnoredAny>,
    linode_sd_configs: Option<IgnoredAny>,
    marathon_sd_configs: Option<IgnoredAny>,
    nerve_sd_configs: Option<IgnoredAny>,
    nomad_sd_configs: Option<IgnoredAny>,
    openstack_sd_configs: Option<IgnoredAny>,
    ovhcloud_sd_configs: Option<IgnoredAny>,
    puppetdb_sd_configs: Option<IgnoredAny>,
    scaleway_sd_configs: Option<IgnoredAny>,
    serverset_sd_configs: Option<IgnoredAny>,
    stackit_sd_configs: Option<IgnoredAny>,
    triton_sd_configs: Option<IgnoredAny>,
    uyuni_sd_configs: Option<IgnoredAny>,
    vultr_sd_configs: Option<IgnoredAny>,
}

impl Elsewhere {
    fn validate(&self, at: &mut Checker<'_>) {
        for (key, given) in [
            ("aws_sd_configs", self.aws_sd_configs.is_some()),
            ("azure_sd_configs", self.azure_sd_configs.is_some()),
            ("consul_sd_configs", self.consul_sd_configs.is_some()),
            ("digitalocean_sd_configs", self.digitalocean_sd_configs.is_some()),
            ("dns_sd_configs", self.dns_sd_configs.is_some()),
            ("docker_sd_configs", self.docker_sd_configs.is_some()),
            ("dockerswarm_sd_configs", self.dockerswarm_sd_configs.is_some()),
            ("ec2_sd_configs", self.ec2_sd_configs.is_some()),
            ("eureka_sd_configs", self.eureka_sd_configs.is_some()),
            ("gce_sd_configs", self.gce_sd_configs.is_some()),
            ("hetzner_sd_configs", self.hetzner_sd_configs.is_some()),
            ("http_sd_configs", self.http_sd_configs.is_some()),
            ("ionos_sd_configs", self.ionos_sd_configs.is_some()),
            ("kubernetes_sd_configs", self.kubernetes_sd_configs.is_some()),
            ("kuma_sd_configs", self.kuma_sd_configs.is_some()),
            ("lightsail_sd_configs", self.lightsail_sd_configs.is_some()),
            ("linode_sd_configs", self.linode_sd_configs.is_some()),
            ("marathon_sd_configs", self.marathon_sd_configs.is_some()),
            ("nerve_sd_configs", self.nerve_sd_configs.is_some()),
            ("nomad_sd_configs", self.nomad_sd_configs.is_some()),
            ("openstack_sd_configs", self.openstack_sd_configs.is_some()),
            ("ovhcloud_sd_configs", self.ovhcloud_sd_configs.is_some()),
            ("puppetdb_sd_configs", self.puppetdb_sd_configs.is_some()),
            ("scaleway_sd_configs", self.scaleway_sd_configs.is_some()),
            ("serverset_sd_configs", self.serverset_sd_configs.is_some()),
            ("stackit_sd_configs", self.stackit_sd_configs.is_some()),
            ("triton_sd_configs", self.triton_sd_configs.is_some()),
            ("uyuni_sd_configs", self.uyuni_sd_configs.is_some()),
            ("vultr_sd_configs", self.vultr_sd_configs.is_some()),
        ] {
            if given {
                at.error(
                    key,
                    format!("{key} is not supported yet; use static_configs or file_sd_configs"),
                );
            }
        }
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

    pub(super) fn validate(&self, global: &Global, at: &mut Checker<'_>) {
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
            "http" | "https" => {}
            other => at.error("scheme", format!("scheme \"{other}\" is not http or https")),
        }
        check_protocols(self.scrape_protocols.as_deref(), at);
        self.login.validate(at);
        self.elsewhere.validate(at);
        self.validate_unused(at);
        relabel::validate(&self.relabel_configs, "relabel_configs", at);
        relabel::validate(&self.metric_relabel_configs, "metric_relabel_configs", at);
        self.validate_targets(at);
    }

    fn validate_unused(&self, at: &mut Checker<'_>) {
        if self.convert_classic_histograms_to_nhcb == Some(true)
            && self.always_scrape_classic_histograms == Some(true)
        {
            let message = "without effect beside always_scrape_classic_histograms: the classic \
                           histograms are kept as they are";
            at.warn("convert_classic_histograms_to_nhcb", message);
        }
        let unused = [
            ("scrape_classic_histograms", self.scrape_classic_histograms.is_some()),
            ("scrape_failure_log_file", self.scrape_failure_log_file.is_some()),
            ("keep_dropped_targets", self.keep_dropped_targets.is_some()),
            ("metric_name_validation_scheme", self.metric_name_validation_scheme.is_some()),
            ("metric_name_escaping_scheme", self.metric_name_escaping_scheme.is_some()),
            ("enable_http2", self.enable_http2.is_some()),
        ];
        warn_unused(&unused, "nothing in this receiver depends on it", at);
    }

    fn validate_targets(&self, at: &mut Checker<'_>) {
        let mut groups = at.key("static_configs");
        for (index, group) in self.static_configs.iter().enumerate() {
            let mut at = groups.item(index);
            // Rules may make an address of anything.
            let checked = group.targets.iter().filter(|_| self.relabel_configs.is_empty());
            for target in checked.filter(|target| target.contains('/') || target.is_empty()) {
                at.error(
                    "targets",
                    format!("\"{target}\" is not a valid hostname: use host:port without a scheme"),
                );
            }
        }
        let mut files = at.key("file_sd_configs");
        for (index, sd) in self.file_sd_configs.iter().enumerate() {
            let mut at = files.item(index);
            if sd.files.is_empty() {
                at.error(
                    "files",
                    "file service discovery config must contain at least one path name",
                );
            }
            for name in &sd.files {
                let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
                let known = [".json", ".yml", ".yaml"].iter().any(|end| last.ends_with(end));
                if !known || folder.contains(['*', '?', '[']) {
                    at.error(
                        "files",
                        format!(
                            "path name \"{name}\" is not valid for file discovery: it ends in \
                             .json, .yml or .yaml, and only its last part may be a pattern"
                        ),
                    );
                }
            }
        }
    }
}
