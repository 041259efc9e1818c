// SPDX-License-Identifier: Apache-2.0
//! Settings of `resource_detection`.

use std::collections::BTreeMap;

use pipeline::config::{self, Checker, ComponentConfig, NoEffect};
use serde::Deserialize;

use super::{process, system};

/// Settings of `resource_detection`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Who is asked: `env`, `system`, `process`. Of two that know the same key the first wins.
    pub detectors: Vec<String>,
    /// What a resource says of itself is replaced; otherwise only what it lacks is added.
    #[serde(rename = "override")]
    pub overrides: bool,
    /// Time after which the detectors are asked again; 0 = never.
    pub refresh_interval: config::Duration,
    /// Settings of the detector `system`.
    pub system: SystemConfig,
    /// Settings of the detector `process`.
    pub process: ProcessConfig,
    /// No detector here sends requests.
    pub timeout: NoEffect,
    /// No detector here sends requests.
    pub retry: NoEffect,
    /// The detectors here have nothing that may be missing.
    pub fail_on_missing_metadata: NoEffect,
}

/// Settings of the detector `system`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SystemConfig {
    /// Where `host.name` comes from, the first that knows it: `dns`, `os`, `cname`, `lookup`.
    pub hostname_sources: Vec<String>,
    /// Which attributes are added.
    pub resource_attributes: BTreeMap<String, Enabled>,
}

/// Settings of the detector `process`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ProcessConfig {
    /// Which attributes are added.
    pub resource_attributes: BTreeMap<String, Enabled>,
}

/// Whether an attribute is added.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Enabled {
    /// It is.
    pub enabled: bool,
}

/// An attribute a detector knows, and whether it is added unless a key says otherwise.
pub(super) type Attributes = &'static [(&'static str, bool)];

/// Is the attribute called `key` to be added?
pub(super) fn wanted(set: &BTreeMap<String, Enabled>, defaults: Attributes, key: &str) -> bool {
    match set.get(key) {
        Some(it) => it.enabled,
        None => defaults.iter().any(|(name, on)| *name == key && *on),
    }
}

/// Who can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detector {
    Env,
    System,
    Process,
}

const SUPPORTED: [Detector; 3] = [Detector::Env, Detector::System, Detector::Process];

/// Detectors of the collector that are not here.
const ELSEWHERE: &[&str] = &[
    "akamai",
    "aks",
    "alibaba_ecs",
    "azure",
    "consul",
    "digitalocean",
    "docker",
    "dynatrace",
    "ec2",
    "ecs",
    "eks",
    "elastic_beanstalk",
    "gcp",
    "gce",
    "gke",
    "heroku",
    "hetzner",
    "ibmcloud_classic",
    "ibmcloud_vpc",
    "k8s_api",
    "k8snode",
    "kubeadm",
    "lambda",
    "nova",
    "openshift",
    "oraclecloud",
    "scaleway",
    "tencent_cvm",
    "upcloud",
    "vultr",
];

impl Detector {
    pub fn name(self) -> &'static str {
        match self {
            Detector::Env => "env",
            Detector::System => "system",
            Detector::Process => "process",
        }
    }

    fn from_name(name: &str) -> Option<Detector> {
        SUPPORTED.into_iter().find(|it| it.name() == name)
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            detectors: vec!["env".into()],
            overrides: true,
            refresh_interval: config::Duration::default(),
            system: SystemConfig::default(),
            process: ProcessConfig::default(),
            timeout: NoEffect,
            retry: NoEffect,
            fail_on_missing_metadata: NoEffect,
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        for (index, name) in self.detectors.iter().enumerate() {
            let mut at = at.key("detectors");
            let mut at = at.item(index);
            if ELSEWHERE.contains(&name.as_str()) {
                let known = "env, system, process";
                at.error("", format!("detector \"{name}\" is not supported yet, only {known} are"));
            } else if Detector::from_name(name).is_none() {
                at.error("", format!("invalid detector key: {name}"));
            }
        }
        let mut system = at.key("system");
        for source in &self.system.hostname_sources {
            match source.as_str() {
                "os" | "dns" => {}
                "cname" | "lookup" => {
                    let text =
                        format!("\"{source}\" asks no name server here: the hosts file counts");
                    system.warn("hostname_sources", text);
                }
                _ => {
                    let text = format!("hostname_sources contains invalid value: \"{source}\"");
                    system.error("hostname_sources", text);
                }
            }
        }
        check_names(&self.system.resource_attributes, system::ATTRIBUTES, &mut system);
        check_names(&self.process.resource_attributes, process::ATTRIBUTES, &mut at.key("process"));
    }
}

fn check_names(set: &BTreeMap<String, Enabled>, known: Attributes, at: &mut Checker<'_>) {
    for name in set.keys().filter(|name| known.iter().all(|(it, _)| it != name)) {
        let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let text = format!("unknown attribute \"{name}\", known are {}", known.join(", "));
        at.error("resource_attributes", text);
    }
}

impl Config {
    pub(super) fn overrides(&self) -> bool {
        self.overrides
    }

    pub(super) fn detectors(&self) -> impl Iterator<Item = Detector> {
        self.detectors.iter().filter_map(|name| Detector::from_name(name))
    }
}
