// SPDX-License-Identifier: Apache-2.0
//! `service.telemetry` as it is written.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::NoEffect;
use super::decode::{Checker, ComponentConfig};
use super::plan::{Level, LogsTelemetry, MetricsPage, MetricsTelemetry, Telemetry};
use super::shared::{Auth, TlsServer};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TelemetryConfig {
    metrics: Metrics,
    logs: Logs,
    traces: IgnoredAny,
    resource: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Metrics {
    level: String,
    readers: Option<Vec<Reader>>,
    /// Removed from the collector in v0.130; files from before still have it.
    address: Option<String>,
    views: NoEffect,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reader {
    pull: Option<Pull>,
    periodic: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pull {
    exporter: PullExporter,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PullExporter {
    #[serde(alias = "prometheus/development")]
    prometheus: Prometheus,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Prometheus {
    host: String,
    port: u16,
    with_resource_constant_labels: IgnoredAny,
    without_scope_info: IgnoredAny,
    without_type_suffix: IgnoredAny,
    without_units: IgnoredAny,
    /// Not in the collector.
    tls: Option<TlsServer>,
    /// Not in the collector.
    auth: Option<Auth>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Logs {
    level: String,
    encoding: String,
    development: IgnoredAny,
    disable_caller: IgnoredAny,
    disable_stacktrace: IgnoredAny,
    sampling: IgnoredAny,
    output_paths: IgnoredAny,
    error_output_paths: IgnoredAny,
    initial_fields: IgnoredAny,
    processors: IgnoredAny,
    disable_zap_resource: IgnoredAny,
}

impl Default for Metrics {
    fn default() -> Self {
        let level = "normal".to_owned();
        Metrics { level, readers: None, address: None, views: NoEffect }
    }
}

impl Default for Prometheus {
    fn default() -> Self {
        Prometheus {
            host: "localhost".to_owned(),
            port: 8888,
            with_resource_constant_labels: IgnoredAny,
            without_scope_info: IgnoredAny,
            without_type_suffix: IgnoredAny,
            without_units: IgnoredAny,
            tls: None,
            auth: None,
        }
    }
}

impl Default for Logs {
    fn default() -> Self {
        Logs {
            level: "info".to_owned(),
            encoding: "console".to_owned(),
            development: IgnoredAny,
            disable_caller: IgnoredAny,
            disable_stacktrace: IgnoredAny,
            sampling: IgnoredAny,
            output_paths: IgnoredAny,
            error_output_paths: IgnoredAny,
            initial_fields: IgnoredAny,
            processors: IgnoredAny,
            disable_zap_resource: IgnoredAny,
        }
    }
}

fn level(text: &str) -> Option<Level> {
    match text.to_ascii_lowercase().as_str() {
        "none" => Some(Level::None),
        "basic" => Some(Level::Basic),
        "" | "normal" => Some(Level::Normal),
        "detailed" => Some(Level::Detailed),
        _ => None,
    }
}

impl ComponentConfig for TelemetryConfig {
    fn validate(&self, at: &mut Checker<'_>) {
        self.metrics.validate(&mut at.key("metrics"));
        let mut logs = at.key("logs");
        if !["debug", "info", "warn", "error"].contains(&&*self.logs.level.to_ascii_lowercase()) {
            logs.error(
                "level",
                format!("unknown level \"{}\"; one of debug, info, warn, error", self.logs.level),
            );
        }
        if !["console", "json"].contains(&&*self.logs.encoding) {
            logs.error(
                "encoding",
                format!("unknown encoding \"{}\"; one of console, json", self.logs.encoding),
            );
        }
    }
}

impl Metrics {
    fn validate(&self, at: &mut Checker<'_>) {
        let level = level(&self.level);
        if level.is_none() {
            at.error(
                "level",
                format!("unknown level \"{}\"; one of none, basic, normal, detailed", self.level),
            );
        }
        if self.address.is_some() {
            at.renamed("address", "readers: [{pull: {exporter: {prometheus: {host, port}}}}]");
        }
        let readers = self.readers.as_deref();
        if readers.is_some_and(<[Reader]>::is_empty)
            && self.address.is_none()
            && level != Some(Level::None)
        {
            at.error(
                "readers",
                "collector telemetry metrics reader should exist when metric level is not none",
            );
        }
        for (index, reader) in readers.unwrap_or_default().iter().enumerate() {
            let mut list = at.key("readers");
            let mut item = list.item(index);
            if let Some(pull) = &reader.pull {
                pull.exporter.prometheus.validate(&mut item);
            }
            if reader.periodic.is_some() {
                item.warn(
                    "periodic",
                    "own metrics are not pushed yet; they are on the pull readers' pages only",
                );
            }
        }
    }

    fn pages(&self) -> Vec<MetricsPage> {
        let mut pages: Vec<MetricsPage> = self.address.iter().cloned().map(Into::into).collect();
        match &self.readers {
            Some(readers) => {
                let pulls = readers.iter().filter_map(|reader| reader.pull.as_ref());
                pages.extend(pulls.map(|pull| pull.exporter.prometheus.page()));
            }
            None if pages.is_empty() => pages.push(Prometheus::default().page()),
            None => {}
        }
        pages
    }
}

impl Prometheus {
    fn page(&self) -> MetricsPage {
        MetricsPage { address: self.address(), tls: self.tls.clone(), auth: self.auth.clone() }
    }

    /// `at` is the place of the reader.
    fn validate(&self, at: &mut Checker<'_>) {
        let mut at = at.key("pull");
        let mut at = at.key("exporter");
        let mut at = at.key("prometheus");
        if let Some(tls) = &self.tls {
            tls.validate(&mut at.key("tls"));
        }
        if let Some(auth) = &self.auth {
            auth.validate(&mut at.key("auth"));
        }
    }

    fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl TelemetryConfig {
    pub(crate) fn into_telemetry(self) -> Telemetry {
        Telemetry {
            metrics: MetricsTelemetry {
                level: level(&self.metrics.level).unwrap_or_default(),
                pages: self.metrics.pages(),
            },
            logs: LogsTelemetry {
                level: self.logs.level.to_ascii_lowercase(),
                json: self.logs.encoding == "json",
            },
            resource: resource(&self.resource),
        }
    }
}

/// `{name: value}` or `{attributes: [{name, value}]}`.
fn resource(written: &serde_json::Map<String, serde_json::Value>) -> Vec<(String, Option<String>)> {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    match written.get("attributes").and_then(serde_json::Value::as_array) {
        Some(attributes) => {
            let named = |item: &serde_json::Value| {
                Some((item.get("name")?.as_str()?.to_owned(), text(item.get("value")?)))
            };
            attributes.iter().filter_map(named).collect()
        }
        None => written.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
    }
}
