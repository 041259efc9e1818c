// SPDX-License-Identifier: Apache-2.0
//! Settings of the host metrics receiver, with the collector's keys.

use std::collections::BTreeMap;

use pipeline::config::{Checker, ComponentConfig, Duration};
use regex::Regex;
use serde::Deserialize;

use super::metrics;

/// Settings of the receiver.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Time between readings.
    pub collection_interval: Duration,
    /// Time before the first.
    pub initial_delay: Duration,
    /// Accepted for compatibility: reading `/proc` takes milliseconds.
    pub timeout: Duration,
    /// Where the host's root is mounted, e.g. `/hostfs`; empty = this machine's own.
    pub root_path: String,
    /// Accepted for compatibility: there is no metadata yet.
    pub metadata_collection_interval: Duration,
    /// What to read; at least one.
    pub scrapers: Scrapers,
    /// What the data says about where it is from.
    pub resource_attributes: BTreeMap<String, Toggle>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            collection_interval: Duration::from_secs(60),
            initial_delay: Duration::from_secs(1),
            timeout: Duration::ZERO,
            root_path: String::new(),
            metadata_collection_interval: Duration::from_secs(300),
            scrapers: Scrapers::default(),
            resource_attributes: BTreeMap::new(),
        }
    }
}

impl Config {
    /// True if `host.name` goes into the resource; off unless enabled, as in the collector.
    pub fn host_name(&self) -> bool {
        self.resource_attributes.get("host.name").is_some_and(|toggle| toggle.enabled)
    }
}

/// `{enabled: true}`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Toggle {
    /// On or off.
    pub enabled: bool,
}

/// The scrapers named in the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Scrapers {
    /// Processor time.
    pub cpu: Option<Plain>,
    /// Load averages.
    pub load: Option<Load>,
    /// Main memory.
    pub memory: Option<Plain>,
    /// Block devices.
    pub disk: Option<Disk>,
    /// Mounted file systems.
    pub filesystem: Option<Filesystem>,
    /// Network interfaces and connections.
    pub network: Option<Network>,
    /// Swap.
    pub paging: Option<Plain>,
    /// Number of processes.
    pub processes: Option<Plain>,
    /// Uptime.
    pub system: Option<Plain>,
    /// Single processes.
    pub process: Option<Process>,
    /// NFS client and server of the kernel.
    pub nfs: Option<Plain>,
}

/// Which metrics are on, and with what; those not named are as by default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Metrics(BTreeMap<String, Metric>);

/// One metric.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Metric {
    /// On or off; `None` = as by default.
    pub enabled: Option<bool>,
    /// Attributes that its points keep; `None` = those by default.
    pub attributes: Option<Vec<String>>,
    /// What becomes of points that are the same without the others.
    pub aggregation_strategy: Option<Strategy>,
}

/// How points become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Their sum; the default of sums.
    Sum,
    /// Their mean; the default of gauges.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

/// Which attributes the points of a metric keep.
pub struct Kept<'a> {
    names: Names<'a>,
    /// What becomes of points that are the same then.
    pub strategy: Strategy,
}

enum Names<'a> {
    Written(&'a [String]),
    Default(&'static [&'static str]),
}

impl Kept<'_> {
    /// Whether `key` is kept.
    pub fn has(&self, key: &str) -> bool {
        match self.names {
            Names::Written(names) => names.iter().any(|name| name == key),
            Names::Default(names) => names.contains(&key),
        }
    }
}

/// Metrics that do not have all their attributes by default: numbers of processors.
const WITHOUT: [&str; 2] = ["system.cpu.time", "system.cpu.utilization"];

impl Metrics {
    /// Whether the metric `name` is on, which by default it is as `default` says.
    pub fn enabled(&self, name: &str, default: bool) -> bool {
        self.0.get(name).and_then(|metric| metric.enabled).unwrap_or(default)
    }

    /// The attributes that points of `name` keep; `None` = all there are.
    pub fn kept(&self, name: &str, default: Strategy) -> Option<Kept<'_>> {
        let metric = self.0.get(name);
        let written = metric.and_then(|metric| metric.attributes.as_deref());
        let names = match written {
            Some(names) => Names::Written(names),
            None if WITHOUT.contains(&name) => Names::Default(&["state"]),
            None => return None,
        };
        let strategy = metric.and_then(|metric| metric.aggregation_strategy).unwrap_or(default);
        Some(Kept { names, strategy })
    }
}

/// A scraper without options.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Plain {
    /// Metrics on or off.
    pub metrics: Metrics,
}

/// Load averages.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Load {
    /// Metrics on or off.
    pub metrics: Metrics,
    /// Divide by the number of processors.
    pub cpu_average: bool,
}

/// Block devices.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// Metrics on or off.
    pub metrics: Metrics,
    /// Only these.
    pub include: Match,
    /// Not these.
    pub exclude: Match,
}

/// Mounted file systems.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filesystem {
    /// Metrics on or off.
    pub metrics: Metrics,
    /// Also those without a device: tmpfs, proc, overlay.
    pub include_virtual_filesystems: bool,
    /// Only these devices.
    pub include_devices: Match,
    /// Not these devices.
    pub exclude_devices: Match,
    /// Only these types.
    pub include_fs_types: Match,
    /// Not these types.
    pub exclude_fs_types: Match,
    /// Only these mount points.
    pub include_mount_points: Match,
    /// Not these mount points.
    pub exclude_mount_points: Match,
}

/// Network interfaces.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Metrics on or off.
    pub metrics: Metrics,
    /// Only these.
    pub include: Match,
    /// Not these.
    pub exclude: Match,
}

/// Single processes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Process {
    /// Metrics on or off.
    pub metrics: Metrics,
    /// What a process says about itself.
    pub resource_attributes: BTreeMap<String, Toggle>,
    /// Only these.
    pub include: Match,
    /// Not these.
    pub exclude: Match,
    /// Say nothing about what cannot be read.
    pub mute_process_all_errors: bool,
    /// Nothing about names.
    pub mute_process_name_error: bool,
    /// Nothing about executables.
    pub mute_process_exe_error: bool,
    /// Nothing about disk usage.
    pub mute_process_io_error: bool,
    /// Nothing about users; they are never told of here.
    pub mute_process_user_error: bool,
    /// Nothing about control groups; they are never told of here.
    pub mute_process_cgroup_error: bool,
    /// How old a process must be.
    pub scrape_process_delay: Duration,
}

/// Names to include or exclude. Each place has one of the lists; empty matches nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Match {
    /// Device names.
    #[serde(alias = "interfaces", alias = "fs_types", alias = "mount_points", alias = "names")]
    pub devices: Vec<String>,
    /// How they compare.
    pub match_type: MatchType,
}

/// How names compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchType {
    /// Equal.
    #[default]
    Strict,
    /// Regular expression, anywhere in the name.
    Regexp,
}

/// A [`Match`] ready to be used.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    names: Vec<String>,
    patterns: Vec<Regex>,
}

impl Matcher {
    /// Compiles `spec`.
    ///
    /// # Errors
    /// What is wrong with a regular expression.
    pub fn new(spec: &Match) -> Result<Self, regex::Error> {
        match spec.match_type {
            MatchType::Strict => Ok(Matcher { names: spec.devices.clone(), patterns: Vec::new() }),
            MatchType::Regexp => {
                let patterns =
                    spec.devices.iter().map(|p| Regex::new(p)).collect::<Result<_, _>>()?;
                Ok(Matcher { names: Vec::new(), patterns })
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.patterns.is_empty()
    }

    fn matches(&self, name: &str) -> bool {
        self.names.iter().any(|n| n == name) || self.patterns.iter().any(|p| p.is_match(name))
    }
}

/// What is left after including and excluding.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    include: Matcher,
    exclude: Matcher,
}

impl Filter {
    /// Of the things in `include` (all if it is empty) those not in `exclude`.
    ///
    /// # Errors
    /// What is wrong with a regular expression.
    pub fn new(include: &Match, exclude: &Match) -> Result<Self, regex::Error> {
        Ok(Filter { include: Matcher::new(include)?, exclude: Matcher::new(exclude)? })
    }

    /// True if `name` is left.
    pub fn keeps(&self, name: &str) -> bool {
        (self.include.is_empty() || self.include.matches(name)) && !self.exclude.matches(name)
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        if self.collection_interval.is_zero() {
            at.error("collection_interval", "must be greater than zero");
        }
        let scrapers = &self.scrapers;
        let mut at = at.key("scrapers");
        if scrapers.names().is_empty() {
            at.error("", "must specify at least one scraper when using hostmetrics receiver");
        }
        for name in scrapers.names() {
            let mut at = at.key(name);
            let mut at = at.key("metrics");
            for (metric, written) in &scrapers.metrics(name).0 {
                let known = metrics::of(name).iter().find(|(known, _)| known == metric);
                let Some((_, attributes)) = known else {
                    at.error(metric, format!("scraper {name} has no metric \"{metric}\""));
                    continue;
                };
                let names = written.attributes.iter().flatten();
                for wrong in names.filter(|name| !attributes.contains(&name.as_str())) {
                    let valid = attributes.join(", ");
                    let message = format!(
                        "metric {metric} doesn't have an attribute {wrong}, valid attributes: [{valid}]"
                    );
                    at.key(metric).error("attributes", message);
                }
            }
        }
        let mut filter = |scraper: &str, key: &str, spec: &Match| {
            at.key(scraper).check(key, Matcher::new(spec));
        };
        if let Some(disk) = &scrapers.disk {
            filter("disk", "include", &disk.include);
            filter("disk", "exclude", &disk.exclude);
        }
        if let Some(network) = &scrapers.network {
            filter("network", "include", &network.include);
            filter("network", "exclude", &network.exclude);
        }
        if let Some(process) = &scrapers.process {
            filter("process", "include", &process.include);
            filter("process", "exclude", &process.exclude);
        }
        if let Some(fs) = &scrapers.filesystem {
            filter("filesystem", "include_devices", &fs.include_devices);
            filter("filesystem", "exclude_devices", &fs.exclude_devices);
            filter("filesystem", "include_fs_types", &fs.include_fs_types);
            filter("filesystem", "exclude_fs_types", &fs.exclude_fs_types);
            filter("filesystem", "include_mount_points", &fs.include_mount_points);
            filter("filesystem", "exclude_mount_points", &fs.exclude_mount_points);
        }
    }
}

impl Scrapers {
    /// Names of the scrapers that are on.
    pub fn names(&self) -> Vec<&'static str> {
        let on = [
            ("cpu", self.cpu.is_some()),
            ("load", self.load.is_some()),
            ("memory", self.memory.is_some()),
            ("disk", self.disk.is_some()),
            ("filesystem", self.filesystem.is_some()),
            ("network", self.network.is_some()),
            ("paging", self.paging.is_some()),
            ("processes", self.processes.is_some()),
            ("system", self.system.is_some()),
            ("process", self.process.is_some()),
            ("nfs", self.nfs.is_some()),
        ];
        on.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
    }

    /// The metrics of a scraper that are named in the file.
    pub fn metrics(&self, name: &str) -> Metrics {
        let plain = |scraper: &Option<Plain>| scraper.as_ref().map(|s| s.metrics.clone());
        let found = match name {
            "cpu" => plain(&self.cpu),
            "memory" => plain(&self.memory),
            "paging" => plain(&self.paging),
            "processes" => plain(&self.processes),
            "nfs" => plain(&self.nfs),
            "load" => self.load.as_ref().map(|s| s.metrics.clone()),
            "disk" => self.disk.as_ref().map(|s| s.metrics.clone()),
            "filesystem" => self.filesystem.as_ref().map(|s| s.metrics.clone()),
            "network" => self.network.as_ref().map(|s| s.metrics.clone()),
            "process" => self.process.as_ref().map(|s| s.metrics.clone()),
            _ => plain(&self.system),
        };
        found.unwrap_or_default()
    }
}
