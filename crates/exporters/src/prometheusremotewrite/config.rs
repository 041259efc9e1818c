// SPDX-License-Identifier: Apache-2.0
//! Settings of the remote write exporter, with the collector's keys.

use std::collections::BTreeMap;

use pipeline::config::shared::{HttpClient, Retry};
use pipeline::config::{Checker, ComponentConfig, Duration};
use serde::Deserialize;
use serde::de::IgnoredAny;
use store::translate::{Options, ResourceLabels};

/// Settings of the exporter.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to send.
    #[serde(rename = "..client")]
    pub client: HttpClient,
    /// Trying again. First after 50 ms: samples must not wait long.
    pub retry_on_failure: Retry,
    /// Requests waiting to be sent.
    pub remote_write_queue: RemoteWriteQueue,
    /// Largest request before compression.
    pub max_batch_size_bytes: usize,
    /// Put before each metric name.
    pub namespace: String,
    /// Labels for all series.
    pub external_labels: BTreeMap<String, String>,
    /// Append unit and type to names; `translation_strategy` wins over it.
    pub add_metric_suffixes: bool,
    /// How names are made.
    pub translation_strategy: Strategy,
    /// Also send type, unit and help of metrics.
    pub send_metadata: bool,
    /// `target_info`.
    pub target_info: Enabled,
    /// True: no `otel_scope_*` labels.
    pub disable_scope_info: bool,
    /// Resource attributes as labels of every series.
    pub resource_to_telemetry_conversion: ResourceConversion,
    /// Only `prometheus.WriteRequest` (1.0).
    pub protobuf_message: Option<String>,
    max_batch_request_parallelism: Option<u32>,
    export_created_metric: IgnoredAny,
    wal: Option<IgnoredAny>,
    include_metadata_keys: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let initial_interval = Duration::from_millis(50);
        Config {
            client: HttpClient::default(),
            retry_on_failure: Retry { initial_interval, ..Retry::default() },
            remote_write_queue: RemoteWriteQueue::default(),
            max_batch_size_bytes: 3_000_000,
            namespace: String::new(),
            external_labels: BTreeMap::new(),
            add_metric_suffixes: true,
            translation_strategy: Strategy::default(),
            send_metadata: false,
            target_info: Enabled { enabled: true },
            disable_scope_info: false,
            resource_to_telemetry_conversion: ResourceConversion::default(),
            protobuf_message: None,
            max_batch_request_parallelism: None,
            export_created_metric: IgnoredAny,
            wal: None,
            include_metadata_keys: Vec::new(),
        }
    }
}

/// `remote_write_queue`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct RemoteWriteQueue {
    /// False: the caller waits for the outcome.
    pub enabled: bool,
    /// Batches that may wait.
    pub queue_size: usize,
    /// In the collector the requests of one batch sent at a time; here they go one after the
    /// other, which keeps every series in order.
    pub num_consumers: usize,
}

impl Default for RemoteWriteQueue {
    fn default() -> Self {
        RemoteWriteQueue { enabled: true, queue_size: 10_000, num_consumers: 5 }
    }
}

/// `{enabled: bool}`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Enabled {
    /// On or off.
    pub enabled: bool,
}

/// `resource_to_telemetry_conversion`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResourceConversion {
    /// On or off.
    pub enabled: bool,
    /// Without `service.name`, `service.namespace`, `service.instance.id`.
    pub exclude_service_attributes: bool,
}

/// `translation_strategy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Strategy {
    /// As `add_metric_suffixes` says.
    #[default]
    #[serde(rename = "")]
    Unset,
    /// `http_requests_total`
    UnderscoreEscapingWithSuffixes,
    /// `http_requests`
    UnderscoreEscapingWithoutSuffixes,
    /// Not in remote write 1.0.
    NoUTF8EscapingWithSuffixes,
    /// Not in remote write 1.0.
    NoTranslation,
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        self.client.validate(at);
        if self.client.endpoint.is_empty() {
            at.error("endpoint", "endpoint must be specified");
        }
        at.check("headers", crate::net::client::headers(self.client.headers.iter()));
        self.retry_on_failure.validate(&mut at.key("retry_on_failure"));
        let queue = &self.remote_write_queue;
        if queue.enabled && queue.queue_size == 0 {
            let message = "a 0 size queue will drop all the data";
            at.key("remote_write_queue").error("queue_size", message);
        }
        if matches!(
            self.translation_strategy,
            Strategy::NoUTF8EscapingWithSuffixes | Strategy::NoTranslation
        ) {
            at.error(
                "translation_strategy",
                "remote write 1.0 needs names without UTF-8; use UnderscoreEscapingWithSuffixes",
            );
        }
        if self
            .protobuf_message
            .as_deref()
            .is_some_and(|m| m != "prometheus.WriteRequest" && !m.is_empty())
        {
            at.error(
                "protobuf_message",
                "only prometheus.WriteRequest (remote write 1.0) is supported yet",
            );
        }
        if self.wal.is_some() {
            at.warn("wal", "wal is not supported yet; requests wait in memory");
        }
        if !self.include_metadata_keys.is_empty() {
            at.error(
                "include_metadata_keys",
                "include_metadata_keys is not supported yet; remove this key",
            );
        }
        if self.max_batch_request_parallelism == Some(0) {
            at.error(
                "max_batch_request_parallelism",
                "max_batch_request_parallelism can't be set to below 1",
            );
        }
        if self.max_batch_size_bytes == 0 {
            at.error("max_batch_size_bytes", "max_batch_byte_size must be greater than 0");
        }
    }
}

impl Config {
    /// How metrics are translated.
    pub fn translation(&self) -> Options {
        let suffixes = match self.translation_strategy {
            Strategy::Unset => self.add_metric_suffixes,
            strategy => strategy == Strategy::UnderscoreEscapingWithSuffixes,
        };
        let conversion = self.resource_to_telemetry_conversion;
        let without_service = conversion.exclude_service_attributes;
        Options {
            suffixes,
            namespace: self.namespace.clone(),
            resource_labels: match conversion.enabled {
                true => ResourceLabels::All { without_service },
                false => ResourceLabels::None,
            },
            scope_labels: !self.disable_scope_info,
            target_info: self.target_info.enabled,
            external_labels: self.external_labels.clone().into_iter().collect(),
            ..Options::for_remote_write()
        }
    }
}
