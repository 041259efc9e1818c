// SPDX-License-Identifier: Apache-2.0
//! Settings of the Elasticsearch exporter, with the collector's keys, today's and the deprecated.

use std::time::Duration as StdDuration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use basics::{BackoffSettings, Error, Result};
use pipeline::config::shared::{
    Compression, HttpClient, Partition, QueueBatch, SendingQueue, Sizer,
};
use pipeline::config::{Checker, ComponentConfig, Duration};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Mode;

/// Settings of the exporter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `endpoint`, `timeout`, `headers`, `tls` and so on.
    #[serde(rename = "..client")]
    pub client: HttpClient,
    /// Nodes, asked in turn.
    pub endpoints: Vec<String>,
    /// Elastic Cloud's name for the cluster.
    pub cloudid: String,
    /// For HTTP basic authentication.
    pub user: String,
    /// For HTTP basic authentication.
    pub password: String,
    /// Base64 of `id:key`.
    pub api_key: String,
    /// One index for all traces; empty = by attributes.
    pub traces_index: String,
    /// One index for all metrics.
    pub metrics_index: String,
    /// One index for all logs.
    pub logs_index: String,
    /// The attribute `elasticsearch.document_id` of a log becomes `_id`.
    pub logs_dynamic_id: Switch,
    /// The attribute `elasticsearch.document_id` of a span becomes `_id`.
    pub traces_dynamic_id: Switch,
    /// The attribute `elasticsearch.ingest_pipeline` of a log names its pipeline.
    pub logs_dynamic_pipeline: Switch,
    /// Ingest pipeline of all documents.
    pub pipeline: String,
    /// Shape of documents.
    pub mapping: Mapping,
    /// A date behind each index.
    pub logstash_format: LogstashFormat,
    /// Trying again.
    pub retry: Retry,
    /// Batches waiting to be sent, and merged; left out: 10, and the sender waits for room.
    pub sending_queue: Option<SendingQueue>,
    /// The old way to say how large a request is.
    pub flush: Flush,
    /// The old name of `sending_queue.num_consumers`.
    pub num_workers: usize,
    /// No log line for documents that are there already.
    pub suppress_conflict_errors: bool,
    traces_dynamic_index: Switch,
    metrics_dynamic_index: Switch,
    logs_dynamic_index: Switch,
    discover: Discover,
    batcher: Option<IgnoredAny>,
    telemetry: Option<IgnoredAny>,
    /// Request headers whose values keep batches apart.
    pub metadata_keys: Vec<String>,
    include_source_on_error: Option<bool>,
    bulk_response_filter_path: String,
}

/// `{enabled: bool}`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Switch {
    /// On or off.
    pub enabled: bool,
}

/// `mapping`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Mapping {
    /// The mode where the data names none.
    pub mode: Option<String>,
    /// Modes the data may name; empty = all.
    pub allowed_modes: Vec<String>,
}

/// `logstash_format`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct LogstashFormat {
    /// On or off.
    pub enabled: bool,
    /// Between index and date.
    pub prefix_separator: String,
    /// As of strftime.
    pub date_format: String,
}

impl Default for LogstashFormat {
    fn default() -> Self {
        LogstashFormat {
            enabled: false,
            prefix_separator: "-".to_owned(),
            date_format: "%Y.%m.%d".to_owned(),
        }
    }
}

/// `retry`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// False: what fails is dropped.
    pub enabled: bool,
    /// Attempts after the first; 0 = not said.
    pub max_retries: u32,
    /// Attempts with the first, the old name; 0 = not said.
    pub max_requests: u32,
    /// Wait before the first.
    pub initial_interval: Duration,
    /// Longest wait.
    pub max_interval: Duration,
    /// Statuses that are tried again; `None` = 429 and 5xx.
    pub retry_on_status: Option<Vec<u16>>,
    /// The same for single documents; `None` = as `retry_on_status`.
    pub retry_on_document_status: Option<Vec<u16>>,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            enabled: true,
            max_retries: 0,
            max_requests: 0,
            initial_interval: Duration::from_millis(100),
            max_interval: Duration::from_secs(60),
            retry_on_status: None,
            retry_on_document_status: None,
        }
    }
}

impl Retry {
    /// Retries allowed; `None` = by time.
    pub fn count(&self) -> Option<u32> {
        match (self.max_retries, self.max_requests) {
            _ if !self.enabled => Some(0),
            (0, 0) => None,
            (0, requests) => Some(requests - 1),
            (retries, _) => Some(retries),
        }
    }

    /// Waits between attempts.
    pub fn backoff(&self) -> BackoffSettings {
        BackoffSettings {
            initial: self.initial_interval.get(),
            max: self.max_interval.get(),
            multiplier: 2.0,
            randomization: 0.5,
        }
    }

    /// Is a request that got `status` tried again?
    pub fn takes(&self, status: u16) -> bool {
        matches(self.retry_on_status.as_deref(), status)
    }

    /// Is a document that got `status` tried again?
    pub fn takes_document(&self, status: u16) -> bool {
        let own = self.retry_on_document_status.as_deref();
        matches(own.or(self.retry_on_status.as_deref()), status)
    }
}

fn matches(list: Option<&[u16]>, status: u16) -> bool {
    match list {
        Some(list) => list.contains(&status),
        None => status == 429 || status >= 500,
    }
}

/// `flush`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Flush {
    /// Largest request before compression; 0 = not said.
    pub bytes: usize,
    /// A batch waits no longer than this; zero = not said.
    pub interval: Duration,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Discover {
    on_start: bool,
    interval: Duration,
}

/// The collector's default for one request.
const TIMEOUT: Duration = Duration::from_secs(90);
/// The collector's `sending_queue.batch.max_size`; Elasticsearch takes 100 MB.
const REQUEST_BYTES_MAX: usize = 5_000_000;
/// The collector's queue for this exporter, and its batching.
const QUEUE_SIZE: u64 = 10;
const BATCH_BYTES_MIN: u64 = 1_000_000;
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);
/// The header by which senders choose the mapping mode.
pub const MODE_HEADER: &str = "x-elastic-mapping-mode";

impl Config {
    /// Longest time of one request; zero = none.
    pub fn timeout(&self) -> StdDuration {
        self.client.timeout.unwrap_or(TIMEOUT).get()
    }

    /// Largest request before compression; a document that is larger goes alone.
    pub fn request_bytes_max(&self) -> usize {
        if self.flush.bytes == 0 { REQUEST_BYTES_MAX } else { self.flush.bytes }
    }

    /// `sending_queue` as it holds: merging batches unless it says how.
    pub fn queue(&self) -> SendingQueue {
        let mut queue = self.sending_queue.clone().unwrap_or_else(|| SendingQueue {
            queue_size: QUEUE_SIZE,
            block_on_overflow: true,
            ..SendingQueue::default()
        });
        if self.sending_queue.is_none() && self.num_workers > 0 {
            queue.num_consumers = self.num_workers;
        }
        queue.batch.get_or_insert_with(|| self.batch());
        queue
    }

    /// The collector's batching for this exporter. What senders say that the exporter acts on
    /// keeps their requests apart.
    fn batch(&self) -> QueueBatch {
        let interval = self.flush.interval;
        let mut metadata_keys = self.metadata_keys.clone();
        if !metadata_keys.iter().any(|key| key.eq_ignore_ascii_case(MODE_HEADER)) {
            metadata_keys.push(MODE_HEADER.to_owned());
        }
        let max_size = self.request_bytes_max() as u64;
        QueueBatch {
            flush_timeout: if interval.is_zero() { FLUSH_TIMEOUT } else { interval },
            min_size: BATCH_BYTES_MIN.min(max_size),
            max_size,
            sizer: Some(Sizer::Bytes),
            partition: Partition { metadata_keys },
        }
    }

    /// The URLs of the nodes.
    ///
    /// # Errors
    /// When not exactly one of the three ways is used, or the cloud id is none.
    pub fn nodes(&self) -> Result<Vec<String>> {
        let ways = [
            !self.client.endpoint.is_empty(),
            !self.endpoints.is_empty(),
            !self.cloudid.is_empty(),
        ];
        let from_environment = std::env::var("ELASTICSEARCH_URL").unwrap_or_default();
        match (ways.iter().filter(|way| **way).count(), ways) {
            (1, [true, ..]) => Ok(vec![self.client.endpoint.clone()]),
            (1, [_, true, _]) => Ok(self.endpoints.clone()),
            (1, _) => Ok(vec![cloud_url(&self.cloudid)?]),
            (0, _) if !from_environment.is_empty() => {
                Ok(from_environment.split(',').map(|url| url.trim().to_owned()).collect())
            }
            _ => Err(Error::invalid(
                "exactly one of [endpoint, endpoints, cloudid] must be specified",
            )),
        }
    }

    /// The mode where the data names none.
    pub fn mode(&self) -> Mode {
        let allowed = self.allowed();
        let asked = self.mapping.mode.as_deref().and_then(Mode::from_name);
        match (asked, allowed.first()) {
            (Some(mode), _) => mode,
            (None, Some(first)) if !allowed.contains(&Mode::Otel) => *first,
            _ => Mode::Otel,
        }
    }

    /// The modes the data may name.
    pub fn allowed(&self) -> Vec<Mode> {
        if self.mapping.allowed_modes.is_empty() {
            return Mode::ALL.to_vec();
        }
        self.mapping.allowed_modes.iter().filter_map(|name| Mode::from_name(name)).collect()
    }

    /// The value of `Authorization`, if there is one.
    pub fn authorization(&self) -> Option<String> {
        if !self.api_key.is_empty() {
            return Some(format!("ApiKey {}", self.api_key));
        }
        (!self.user.is_empty()).then(|| basic(&self.user, &self.password))
    }

    fn check_mapping(&self, at: &mut Checker<'_>) {
        let mut at = at.key("mapping");
        if let Some(name) = &self.mapping.mode
            && Mode::from_name(name).is_none()
        {
            at.error("mode", format!("unknown mapping mode \"{name}\"; there are {}", Mode::NAMES));
        }
        for name in &self.mapping.allowed_modes {
            if Mode::from_name(name).is_none() {
                at.error(
                    "allowed_modes",
                    format!(
                        "unknown allowed mapping mode name \"{name}\"; there are {}",
                        Mode::NAMES
                    ),
                );
            }
        }
    }

    fn check_indices(&self, at: &mut Checker<'_>) {
        for (signal, index, dynamic) in [
            ("logs", &self.logs_index, self.logs_dynamic_index),
            ("metrics", &self.metrics_index, self.metrics_dynamic_index),
            ("traces", &self.traces_index, self.traces_dynamic_index),
        ] {
            let key = format!("{signal}_dynamic_index");
            if dynamic.enabled && !index.is_empty() {
                at.error(&key, format!(
                    "must not specify both {signal}_index and {key}; {signal}_index should be empty unless all documents should be sent to the same index"
                ));
            } else if dynamic.enabled {
                at.warn(&key, format!("{key} is deprecated and has no effect: it is the default"));
            }
        }
    }

    fn check_retry(&self, at: &mut Checker<'_>) {
        let mut at = at.key("retry");
        if self.retry.max_requests != 0 && self.retry.max_retries != 0 {
            at.error(
                "max_requests",
                "must not specify both retry::max_requests and retry::max_retries",
            );
        } else if self.retry.max_requests != 0 {
            at.warn("max_requests", "retry::max_requests is deprecated; use retry::max_retries");
        }
    }

    fn check_old_keys(&self, at: &mut Checker<'_>) {
        if self.num_workers > 0 {
            at.warn("num_workers", "num_workers is deprecated; use sending_queue: num_consumers");
        }
        if self.batcher.is_some() {
            at.warn("batcher", "batcher is deprecated and has no effect; use sending_queue: batch");
        }
        if self.discover.on_start || !self.discover.interval.is_zero() {
            at.warn("discover", "discover is not supported yet; the nodes named here are used");
        }
        if self.telemetry.is_some() {
            at.warn("telemetry", "telemetry has no effect: bodies are never logged");
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        self.client.validate(at);
        let key = if self.cloudid.is_empty() { "endpoints" } else { "cloudid" };
        for url in at.check("endpoint", self.nodes()).unwrap_or_default() {
            if self.client.endpoint.is_empty() {
                at.check(key, crate::settings::url(&url));
            }
        }
        if !matches!(
            self.client.compression,
            None | Some(Compression::Gzip) | Some(Compression::None)
        ) {
            at.error("compression", "compression must be one of [none, gzip]");
        }
        at.check("headers", crate::net::client::headers(self.client.headers.iter()));
        self.check_mapping(at);
        self.check_indices(at);
        self.check_retry(at);
        self.check_old_keys(at);
        crate::settings::validate_queue(&self.queue(), &mut at.key("sending_queue"));
    }
}

/// HTTP's basic credentials.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
}

/// `name:base64(host$cluster[$...])`
fn cloud_url(id: &str) -> Result<String> {
    let wrong = || Error::invalid(format!("invalid CloudID \"{id}\""));
    let (_, encoded) = id.split_once(':').ok_or_else(wrong)?;
    let decoded = BASE64.decode(encoded).map_err(|_| wrong())?;
    let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
    let mut parts = decoded.split('$');
    match (parts.next(), parts.next()) {
        (Some(host), Some(cluster)) => Ok(format!("https://{cluster}.{host}")),
        _ => Err(wrong()),
    }
}
