// SPDX-License-Identifier: Apache-2.0
//! Settings of the remote write exporter, with the collector's keys.

use std::collections::BTreeMap;

use otlp_series::{CustomBuckets, Options, ScopeLabels};
use pipeline::config::shared::{Compression, HttpClient, Retry};
use pipeline::config::{Checker, ComponentConfig, Duration};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::translation::{ResourceConversion, ResourcePatterns, Strategy, resource_labels};

/// Settings of the exporter.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to send; the older place of these keys.
    #[serde(rename = "..client")]
    pub client: HttpClient,
    /// Where to send; wins over the keys of the same name beside it.
    pub http: Option<HttpClient>,
    /// Trying again. First after 50 ms: samples must not wait long.
    pub retry_on_failure: Retry,
    /// Requests waiting to be sent.
    pub remote_write_queue: RemoteWriteQueue,
    /// Largest request before compression; 0 = 3,000,000.
    pub max_batch_size_bytes: i64,
    /// Requests of one batch sent at a time; `None` = `remote_write_queue.num_consumers`.
    pub max_batch_request_parallelism: Option<i64>,
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
    /// The same by patterns of keys.
    pub resource_constant_labels: ResourcePatterns,
    /// `prometheus.WriteRequest` (1.0) or `io.prometheus.write.v2.Request` (2.0).
    pub protobuf_message: String,
    export_created_metric: Option<IgnoredAny>,
    /// Also sends what the embedded store is written past all pipelines: remote write and OTLP that the
    /// query server took, and what rules record. `--prometheus-config` sets it.
    pub forward_written: bool,
    /// Requests wait on the disk.
    pub wal: Option<Wal>,
    include_metadata_keys: Vec<String>,
    /// Histograms with bounds are sent as one native histogram each (schema -53) instead of a series for
    /// each bucket.
    pub convert_explicit_histograms_to_nhcb: bool,
    keep_classic_histograms: IgnoredAny,
}

impl Default for Config {
    fn default() -> Self {
        let initial_interval = Duration::from_millis(50);
        Config {
            client: HttpClient::default(),
            http: None,
            retry_on_failure: Retry { initial_interval, ..Retry::default() },
            remote_write_queue: RemoteWriteQueue::default(),
            max_batch_size_bytes: 0,
            max_batch_request_parallelism: None,
            namespace: String::new(),
            external_labels: BTreeMap::new(),
            add_metric_suffixes: true,
            translation_strategy: Strategy::default(),
            send_metadata: false,
            target_info: Enabled { enabled: true },
            disable_scope_info: false,
            resource_to_telemetry_conversion: ResourceConversion::default(),
            resource_constant_labels: ResourcePatterns::default(),
            protobuf_message: MESSAGE_V1.to_owned(),
            export_created_metric: None,
            forward_written: false,
            wal: None,
            include_metadata_keys: Vec::new(),
            convert_explicit_histograms_to_nhcb: false,
            keep_classic_histograms: IgnoredAny,
        }
    }
}

/// `protobuf_message` of 1.0 and of 2.0.
const MESSAGE_V1: &str = "prometheus.WriteRequest";
const MESSAGE_V2: &str = "io.prometheus.write.v2.Request";

/// `max_batch_size_bytes` where it is not given; the collector's.
const BATCH_BYTES_MAX: usize = 3_000_000;

/// `remote_write_queue`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct RemoteWriteQueue {
    /// False: the caller waits for the outcome.
    pub enabled: bool,
    /// Batches that may wait.
    pub queue_size: i64,
    /// Lanes a large batch is spread over, by series; they are sent at the same time.
    pub num_consumers: i64,
}

impl Default for RemoteWriteQueue {
    fn default() -> Self {
        RemoteWriteQueue { enabled: true, queue_size: 10_000, num_consumers: 5 }
    }
}

/// `wal`: batches wait in a log on the disk, and survive the process.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Wal {
    /// False: as if the section were not there.
    pub enabled: bool,
    /// Where; made if it is missing.
    pub directory: String,
    buffer_size: IgnoredAny,
    truncate_frequency: IgnoredAny,
    lag_record_frequency: IgnoredAny,
}

impl Default for Wal {
    fn default() -> Self {
        Wal {
            enabled: true,
            directory: String::new(),
            buffer_size: IgnoredAny,
            truncate_frequency: IgnoredAny,
            lag_record_frequency: IgnoredAny,
        }
    }
}

/// `{enabled: bool}`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Enabled {
    /// On or off.
    pub enabled: bool,
}

impl Config {
    /// The client's keys, from where they were given.
    pub fn http(&self) -> &HttpClient {
        self.http.as_ref().unwrap_or(&self.client)
    }

    /// Whether requests are of version 2.0.
    pub fn is_v2(&self) -> bool {
        self.protobuf_message == MESSAGE_V2
    }

    /// Largest request before compression.
    pub fn bytes_max(&self) -> usize {
        usize::try_from(self.max_batch_size_bytes)
            .ok()
            .filter(|n| *n > 0)
            .unwrap_or(BATCH_BYTES_MAX)
    }

    /// Requests at a time.
    pub fn lanes(&self) -> usize {
        let wanted = self.max_batch_request_parallelism;
        let lanes = wanted.unwrap_or(self.remote_write_queue.num_consumers);
        usize::try_from(lanes).unwrap_or(1).clamp(1, LANES_MAX)
    }

    /// The log on the disk, if there is to be one.
    pub fn wal(&self) -> Option<&Wal> {
        self.wal.as_ref().filter(|wal| wal.enabled)
    }

    /// How metrics are translated.
    pub fn translation(&self) -> Options {
        let (suffixes, utf8) = self.translation_strategy.names(self.add_metric_suffixes);
        let external = self.external_labels.iter().filter_map(|(name, value)| {
            Some((otlp_series::label_name(name, utf8)?, value.clone()))
        });
        Options {
            suffixes,
            utf8,
            namespace: self.namespace.clone(),
            resource_labels: resource_labels(
                &self.resource_to_telemetry_conversion,
                &self.resource_constant_labels,
            ),
            scope_labels: match self.disable_scope_info {
                true => ScopeLabels::None,
                false => ScopeLabels::Present,
            },
            target_info: self.target_info.enabled,
            external_labels: external.collect(),
            custom_buckets: match self.convert_explicit_histograms_to_nhcb {
                true => CustomBuckets::Always,
                false => CustomBuckets::Marked,
            },
            ..Options::for_remote_write()
        }
    }
}

/// Requests at a time at most: more connections than this to one peer help nobody.
const LANES_MAX: usize = 200;

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        match &self.http {
            Some(http) => self.validate_client(http, &mut at.key("http")),
            None => self.validate_client(&self.client, at),
        }
        self.retry_on_failure.validate(&mut at.key("retry_on_failure"));
        self.validate_sizes(at);
        self.validate_labels(at);
        self.validate_message(at);
        if self.wal().is_some() && !self.remote_write_queue.enabled {
            at.warn("wal", "without a queue (remote_write_queue::enabled) nothing waits in it");
        }
        if self.export_created_metric.is_some() {
            at.warn("export_created_metric", "export_created_metric was removed; it has no effect");
        }
        if !self.include_metadata_keys.is_empty() {
            let message = "include_metadata_keys is not supported yet; remove this key";
            at.error("include_metadata_keys", message);
        }
    }
}

impl Config {
    fn validate_client(&self, client: &HttpClient, at: &mut Checker<'_>) {
        client.validate(at);
        if client.endpoint.is_empty() {
            at.error("endpoint", "endpoint must be specified");
        }
        at.check("headers", crate::net::client::headers(client.headers.iter()));
        if client.compression.is_some_and(|c| c != Compression::Snappy) {
            at.error("compression", "compression type must be snappy");
        }
    }

    fn validate_sizes(&self, at: &mut Checker<'_>) {
        let queue = &self.remote_write_queue;
        if queue.queue_size < 0 {
            let message = "remote write queue size can't be negative";
            at.key("remote_write_queue").error("queue_size", message);
        }
        if queue.enabled && queue.queue_size == 0 {
            let message = "a 0 size queue will drop all the data";
            at.key("remote_write_queue").error("queue_size", message);
        }
        if queue.num_consumers < 0 {
            let message = "remote write consumer number can't be negative";
            at.key("remote_write_queue").error("num_consumers", message);
        }
        if self.max_batch_request_parallelism.is_some_and(|n| n < 1) {
            let key = "max_batch_request_parallelism";
            at.error(key, format!("{key} can't be set to below 1"));
        }
        if self.max_batch_size_bytes < 0 {
            at.error("max_batch_size_bytes", "max_batch_size_bytes must be greater than 0");
        }
    }

    fn validate_labels(&self, at: &mut Checker<'_>) {
        if self.external_labels.iter().any(|(name, value)| name.is_empty() || value.is_empty()) {
            let message = "external labels configuration contains an empty key or value";
            at.error("external_labels", message);
        }
        self.resource_constant_labels.validate(
            &self.resource_to_telemetry_conversion,
            &mut at.key("resource_constant_labels"),
        );
    }

    fn validate_message(&self, at: &mut Checker<'_>) {
        let message = self.protobuf_message.as_str();
        if ![MESSAGE_V1, MESSAGE_V2, ""].contains(&message) {
            let supported = format!("supported: {MESSAGE_V1}, {MESSAGE_V2}");
            let told = format!("unknown remote write message \"{message}\"; {supported}");
            at.error("protobuf_message", told);
        }
        if self.translation_strategy.names(true).1 && !self.is_v2() {
            let told = "names in UTF-8 need remote write 2.0 (protobuf_message: \
                        io.prometheus.write.v2.Request); or use UnderscoreEscapingWithSuffixes";
            at.error("translation_strategy", told);
        }
    }
}
