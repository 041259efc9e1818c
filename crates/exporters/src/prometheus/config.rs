// SPDX-License-Identifier: Apache-2.0
//! Settings of the pull page, with the collector's keys.

use std::collections::BTreeMap;
use std::time::Duration as StdDuration;

use otlp_series::{Options, ScopeLabels};
use pipeline::config::shared::{HttpServer, SendingQueue};
use pipeline::config::{Checker, ComponentConfig, Duration};
use serde::Deserialize;

use crate::translation::{ResourceConversion, ResourcePatterns, Strategy, resource_labels};

/// Settings of the exporter.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to listen.
    #[serde(rename = "..server")]
    pub server: HttpServer,
    /// Off unless given.
    pub sending_queue: Option<SendingQueue>,
    /// Put before each metric name.
    pub namespace: String,
    /// Labels for all series but `target_info`.
    pub const_labels: BTreeMap<String, String>,
    /// Each value with the time of its point.
    pub send_timestamps: bool,
    /// Series that were not updated for so long go.
    pub metric_expiration: Duration,
    /// Answer in OpenMetrics to those who ask for it.
    pub enable_open_metrics: bool,
    /// No `otel_scope_*` labels.
    pub without_scope_info: bool,
    /// Append unit and type to names; `translation_strategy` wins over it.
    pub add_metric_suffixes: bool,
    /// How names are made.
    pub translation_strategy: Strategy,
    /// Resource attributes as labels of every series.
    pub resource_to_telemetry_conversion: ResourceConversion,
    /// The same by patterns of keys.
    pub resource_constant_labels: ResourcePatterns,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            server: HttpServer::default(),
            sending_queue: None,
            namespace: String::new(),
            const_labels: BTreeMap::new(),
            send_timestamps: false,
            metric_expiration: Duration::from(StdDuration::from_secs(300)),
            enable_open_metrics: false,
            without_scope_info: false,
            add_metric_suffixes: true,
            translation_strategy: Strategy::default(),
            resource_to_telemetry_conversion: ResourceConversion::default(),
            resource_constant_labels: ResourcePatterns::default(),
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        self.server.validate(at);
        if self.endpoint().is_empty() {
            let message = "expecting a non-blank address to run the Prometheus metrics handler";
            at.error("endpoint", message);
        }
        if let Some(queue) = &self.sending_queue {
            crate::settings::validate_queue(queue, &mut at.key("sending_queue"));
        }
        let utf8 = self.translation_strategy.names(true).1;
        for name in self.const_labels.keys() {
            if otlp_series::label_name(name, utf8).is_none_or(|valid| valid != *name) {
                let message = format!("\"{name}\" is not a valid label name");
                at.error("const_labels", message);
            }
        }
        let older = &self.resource_to_telemetry_conversion;
        self.resource_constant_labels.validate(older, &mut at.key("resource_constant_labels"));
    }
}

impl Config {
    /// Where to listen.
    pub fn endpoint(&self) -> &str {
        self.server.endpoint.as_deref().unwrap_or_default().trim()
    }

    /// Whether names may have any character.
    pub fn utf8(&self) -> bool {
        self.translation_strategy.names(true).1
    }

    /// How metrics are translated.
    pub fn translation(&self) -> Options {
        let (suffixes, utf8) = self.translation_strategy.names(self.add_metric_suffixes);
        Options {
            suffixes,
            utf8,
            namespace: self.namespace.clone(),
            resource_labels: resource_labels(
                &self.resource_to_telemetry_conversion,
                &self.resource_constant_labels,
            ),
            scope_labels: match self.without_scope_info {
                true => ScopeLabels::None,
                false => ScopeLabels::Always,
            },
            external_labels: self.const_labels.clone().into_iter().collect(),
            ..Options::for_page()
        }
    }
}
