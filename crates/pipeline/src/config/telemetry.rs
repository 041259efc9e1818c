// SPDX-License-Identifier: Apache-2.0
//! `service.telemetry` as it is written.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::NoEffect;
use super::decode::{Checker, ComponentConfig};
use super::plan::{
    Level, LogSampling, LogsTelemetry, MetricsPage, MetricsTelemetry, OtlpTarget, PageStyle, Push,
    Telemetry,
};
use super::shared::{Auth, Headers, TlsServer};
use super::units::Duration;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TelemetryConfig {
    metrics: Metrics,
    logs: Logs,
    traces: Traces,
    resource: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Metrics {
    level: String,
    readers: Option<Vec<Reader>>,
    /// Removed from the collector in v0.130; files from before still have it.
    address: Option<String>,
    #[serde(rename = "views")]
    _views: NoEffect,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reader {
    pull: Option<Pull>,
    periodic: Option<Periodic>,
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
    with_resource_constant_labels: Option<Names>,
    without_scope_info: bool,
    without_type_suffix: bool,
    without_units: bool,
    /// Not in the collector.
    tls: Option<TlsServer>,
    /// Not in the collector.
    auth: Option<Auth>,
}

/// Names with `*`, as OpenTelemetry's declarative configuration has them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Names {
    included: Vec<String>,
    excluded: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Periodic {
    /// Milliseconds.
    interval: u64,
    #[serde(rename = "timeout")]
    _timeout: NoEffect,
    exporter: PushExporter,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Logs {
    level: String,
    encoding: String,
    #[serde(rename = "development")]
    _development: IgnoredAny,
    #[serde(rename = "disable_caller")]
    _disable_caller: IgnoredAny,
    #[serde(rename = "disable_stacktrace")]
    _disable_stacktrace: IgnoredAny,
    sampling: Option<Sampling>,
    output_paths: Vec<String>,
    #[serde(rename = "error_output_paths")]
    _error_output_paths: NoEffect,
    initial_fields: serde_json::Map<String, serde_json::Value>,
    processors: Vec<SomeProcessor>,
    #[serde(rename = "disable_zap_resource")]
    _disable_zap_resource: IgnoredAny,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Sampling {
    enabled: bool,
    tick: Duration,
    initial: u32,
    thereafter: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Traces {
    level: String,
    #[serde(rename = "propagators")]
    _propagators: NoEffect,
    #[serde(rename = "sampler")]
    _sampler: NoEffect,
    processors: Vec<SomeProcessor>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SomeProcessor {
    batch: Option<Processor>,
    simple: Option<Processor>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Processor {
    /// Milliseconds.
    schedule_delay: u64,
    #[serde(rename = "export_timeout")]
    _export_timeout: NoEffect,
    #[serde(rename = "max_queue_size")]
    _max_queue_size: NoEffect,
    #[serde(rename = "max_export_batch_size")]
    _max_export_batch_size: NoEffect,
    exporter: PushExporter,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PushExporter {
    otlp: Option<Otlp>,
    otlp_grpc: Option<Otlp>,
    otlp_http: Option<Otlp>,
    #[serde(rename = "console")]
    _console: NoEffect,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Otlp {
    protocol: String,
    endpoint: String,
    headers: Headers,
    insecure: bool,
    compression: String,
    /// Milliseconds.
    timeout: Option<u64>,
    certificate: String,
    client_certificate: String,
    client_key: String,
    #[serde(rename = "temporality_preference")]
    _temporality_preference: NoEffect,
    #[serde(rename = "default_histogram_aggregation")]
    _default_histogram_aggregation: NoEffect,
}

impl Default for Metrics {
    fn default() -> Self {
        let level = "normal".to_owned();
        Metrics { level, readers: None, address: None, _views: NoEffect }
    }
}

impl Default for Prometheus {
    fn default() -> Self {
        Prometheus {
            host: "localhost".to_owned(),
            port: 8888,
            with_resource_constant_labels: None,
            without_scope_info: true,
            without_type_suffix: true,
            without_units: true,
            tls: None,
            auth: None,
        }
    }
}

impl Default for Periodic {
    fn default() -> Self {
        let exporter = PushExporter::default();
        Periodic { interval: 60_000, _timeout: NoEffect, exporter }
    }
}

impl Default for Processor {
    fn default() -> Self {
        Processor {
            schedule_delay: 1000,
            _export_timeout: NoEffect,
            _max_queue_size: NoEffect,
            _max_export_batch_size: NoEffect,
            exporter: PushExporter::default(),
        }
    }
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling { enabled: true, tick: Duration::from_secs(10), initial: 10, thereafter: 100 }
    }
}

impl Default for Logs {
    fn default() -> Self {
        Logs {
            level: "info".to_owned(),
            encoding: "console".to_owned(),
            _development: IgnoredAny,
            _disable_caller: IgnoredAny,
            _disable_stacktrace: IgnoredAny,
            sampling: None,
            output_paths: vec!["stderr".to_owned()],
            _error_output_paths: NoEffect,
            initial_fields: serde_json::Map::new(),
            processors: Vec::new(),
            _disable_zap_resource: IgnoredAny,
        }
    }
}

fn level_of(text: &str) -> Option<Level> {
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
        let mut traces = at.key("traces");
        if level_of(&self.traces.level).is_none() {
            let text = format!("unknown level \"{}\"; one of none, basic", self.traces.level);
            traces.error("level", text);
        }
        validate_processors(&self.traces.processors, &mut traces);
        let mut logs = at.key("logs");
        if !["debug", "info", "warn", "error"].contains(&&*self.logs.level.to_ascii_lowercase()) {
            logs.error(
                "level",
                format!("unknown level \"{}\"; one of debug, info, warn, error", self.logs.level),
            );
        }
        validate_processors(&self.logs.processors, &mut logs);
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
        let level = level_of(&self.level);
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
            if let Some(periodic) = &reader.periodic {
                let mut at = item.key("periodic");
                periodic.exporter.validate(&mut at);
                if periodic.interval == 0 {
                    at.error("interval", "must be more than 0 milliseconds");
                }
            }
        }
    }

    fn pages(&self, resource: &Attributes) -> Vec<MetricsPage> {
        let mut pages: Vec<MetricsPage> =
            self.address.iter().map(|at| Prometheus::default().page(resource).at(at)).collect();
        match &self.readers {
            Some(readers) => {
                let pulls = readers.iter().filter_map(|reader| reader.pull.as_ref());
                pages.extend(pulls.map(|pull| pull.exporter.prometheus.page(resource)));
            }
            None if pages.is_empty() => pages.push(Prometheus::default().page(resource)),
            None => {}
        }
        pages
    }
}

impl Prometheus {
    fn page(&self, resource: &Attributes) -> MetricsPage {
        MetricsPage {
            address: self.address(),
            tls: self.tls.clone(),
            auth: self.auth.clone(),
            style: PageStyle {
                type_suffix: !self.without_type_suffix,
                units: !self.without_units,
                scope_info: !self.without_scope_info,
                labels: self.labels(resource),
                ..PageStyle::default()
            },
        }
    }

    /// The constant labels: what the user set, or what is asked for by name.
    fn labels(&self, resource: &Attributes) -> Vec<(String, String)> {
        let wanted = |(name, _): &&(String, String)| match &self.with_resource_constant_labels {
            None => resource.set.contains(name),
            Some(names) => {
                let any = |patterns: &[String]| patterns.iter().any(|it| matches(it, name));
                (names.included.is_empty() || any(&names.included)) && !any(&names.excluded)
            }
        };
        let label = |(name, value): &(String, String)| {
            let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
            (name.chars().map(legal).collect(), value.clone())
        };
        resource.all.iter().filter(wanted).map(label).collect()
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

fn validate_processors(processors: &[SomeProcessor], at: &mut Checker<'_>) {
    for (index, processor) in processors.iter().enumerate() {
        for (key, part) in [("batch", &processor.batch), ("simple", &processor.simple)] {
            let mut list = at.key("processors");
            let mut item = list.item(index);
            if let Some(part) = part {
                part.exporter.validate(&mut item.key(key));
            }
        }
    }
}

fn pushes(processors: &[SomeProcessor]) -> Vec<Push> {
    let parts = processors.iter().filter_map(|it| it.batch.as_ref().or(it.simple.as_ref()));
    let push = |it: &Processor| {
        let every = std::time::Duration::from_millis(it.schedule_delay.max(10));
        Some(Push { every, to: it.exporter.target()? })
    };
    parts.filter_map(push).collect()
}

impl PushExporter {
    fn validate(&self, at: &mut Checker<'_>) {
        let mut at = at.key("exporter");
        match self.target() {
            None => at.error("", "own telemetry goes out by otlp; give an otlp exporter"),
            Some(target) if target.endpoint.is_empty() => {
                at.error("", "requires a non-empty \"endpoint\"");
            }
            Some(_) => {}
        }
        if let Some(otlp) = &self.otlp
            && !["", "grpc", "http/protobuf", "http/json"].contains(&&*otlp.protocol)
        {
            let text = format!("unknown protocol \"{}\"; grpc or http/protobuf", otlp.protocol);
            at.key("otlp").error("protocol", text);
        }
    }

    fn target(&self) -> Option<OtlpTarget> {
        let (otlp, is_grpc) = match (&self.otlp, &self.otlp_grpc, &self.otlp_http) {
            (Some(otlp), ..) => (otlp, !otlp.protocol.starts_with("http")),
            (_, Some(otlp), _) => (otlp, true),
            (_, _, Some(otlp)) => (otlp, false),
            _ => return None,
        };
        Some(OtlpTarget {
            is_grpc,
            endpoint: otlp.endpoint.clone(),
            headers: otlp.headers.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            insecure: otlp.insecure || otlp.endpoint.starts_with("http://"),
            compression: otlp.compression.clone(),
            timeout: otlp.timeout.map(std::time::Duration::from_millis),
            ca_file: otlp.certificate.clone(),
            cert_file: otlp.client_certificate.clone(),
            key_file: otlp.client_key.clone(),
        })
    }
}

/// What the process says about itself: every attribute, and the names of those that were set.
struct Attributes {
    all: Vec<(String, String)>,
    set: Vec<String>,
}

impl Attributes {
    fn new(written: &[(String, Option<String>)]) -> Self {
        let mut all = vec![
            ("service.name".to_owned(), "foreglow".to_owned()),
            ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id".to_owned(), instance_id()),
        ];
        for (name, value) in written {
            all.retain(|(other, _)| other != name);
            all.extend(value.clone().map(|value| (name.clone(), value)));
        }
        let is_set = |(_, value): &&(String, Option<String>)| value.is_some();
        Attributes { all, set: written.iter().filter(is_set).map(|(n, _)| n.clone()).collect() }
    }
}

/// A random UUID, the same for the whole life of the process.
fn instance_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    static ID: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let made = || {
        let (high, low) = (RandomState::new().hash_one(1), RandomState::new().hash_one(2));
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            (low >> 48) & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff
        )
    };
    ID.get_or_init(made).clone()
}

/// True if `name` fits `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).filter_map(|at| rest.get(at..)).any(|rest| matches(tail, rest))
        }),
    }
}

impl TelemetryConfig {
    pub(crate) fn into_telemetry(self) -> Telemetry {
        let written = resource(&self.resource);
        let attributes = Attributes::new(&written);
        let level = level_of(&self.metrics.level).unwrap_or_default();
        let readers = self.metrics.readers.iter().flatten();
        let sent = readers.filter_map(|reader| reader.periodic.as_ref()).filter_map(|it| {
            let every = std::time::Duration::from_millis(it.interval);
            Some(Push { every, to: it.exporter.target()? })
        });
        let mut pages = self.metrics.pages(&attributes);
        pages.iter_mut().for_each(|page| page.style.level = level);
        Telemetry {
            metrics: MetricsTelemetry { level, pages, pushes: sent.collect() },
            logs: self.logs.into_plan(),
            traces: match level_of(&self.traces.level) {
                Some(Level::None) => Vec::new(),
                _ => pushes(&self.traces.processors),
            },
            resource: attributes.all,
        }
    }
}

impl Logs {
    fn into_plan(self) -> LogsTelemetry {
        let sampling = self.sampling.unwrap_or_default();
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        LogsTelemetry {
            level: self.level.to_ascii_lowercase(),
            json: self.encoding == "json",
            sampling: sampling.enabled.then(|| LogSampling {
                tick: sampling.tick.get(),
                initial: sampling.initial,
                thereafter: sampling.thereafter,
            }),
            pushes: pushes(&self.processors),
            outputs: self.output_paths,
            fields: self.initial_fields.iter().map(|(k, v)| (k.clone(), text(v))).collect(),
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
