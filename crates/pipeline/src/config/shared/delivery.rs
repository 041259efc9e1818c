// SPDX-License-Identifier: Apache-2.0
//! `retry_on_failure` and `sending_queue` (the collector's exporterhelper).

use serde::Deserialize;

use super::super::{Checker, Duration};

/// `retry_on_failure`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// False: the first failure drops.
    pub enabled: bool,
    /// Wait before the first retry.
    pub initial_interval: Duration,
    /// Spread of a wait: interval times 1 +- factor; 0 to 1.
    pub randomization_factor: f64,
    /// What the wait grows by.
    pub multiplier: f64,
    /// Longest wait.
    pub max_interval: Duration,
    /// Given up after this long since the first attempt; zero = never.
    pub max_elapsed_time: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            enabled: true,
            initial_interval: Duration::from_secs(5),
            randomization_factor: 0.5,
            multiplier: 1.5,
            max_interval: Duration::from_secs(30),
            max_elapsed_time: Duration::from_secs(300),
        }
    }
}

impl Retry {
    /// Checks `retry_on_failure`; `at` is that place.
    pub fn validate(&self, at: &mut Checker<'_>) {
        if !self.enabled {
            return;
        }
        if !(0.0..=1.0).contains(&self.randomization_factor) {
            at.error("randomization_factor", "'randomization_factor' must be within [0, 1]");
        }
        if self.multiplier < 0.0 || !self.multiplier.is_finite() {
            at.error("multiplier", "'multiplier' must be non-negative");
        }
        if !self.max_elapsed_time.is_zero() {
            if self.max_elapsed_time < self.initial_interval {
                at.error(
                    "max_elapsed_time",
                    "'max_elapsed_time' must not be less than 'initial_interval'",
                );
            }
            if self.max_elapsed_time < self.max_interval {
                at.error(
                    "max_elapsed_time",
                    "'max_elapsed_time' must not be less than 'max_interval'",
                );
            }
        }
    }
}

/// What `queue_size` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sizer {
    /// Requests.
    #[default]
    Requests,
    /// Spans, points or log records.
    Items,
    /// Bytes of OTLP.
    Bytes,
}

/// `sending_queue`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct SendingQueue {
    /// False: the caller waits for delivery and hears its failure.
    pub enabled: bool,
    /// Requests sent at a time.
    pub num_consumers: usize,
    /// Bound, in units of `sizer`.
    pub queue_size: u64,
    /// Unit of `queue_size`; `None` = requests.
    pub sizer: Option<Sizer>,
    /// True: a full queue makes the caller wait instead of refusing.
    pub block_on_overflow: bool,
    /// True: the caller waits until its request is delivered.
    pub wait_for_result: bool,
    /// Set: what is queued survives a restart, in the extension (`file_storage`) with this id.
    pub storage: Option<String>,
    /// Set: requests are merged before they are sent.
    pub batch: Option<QueueBatch>,
}

impl Default for SendingQueue {
    fn default() -> Self {
        SendingQueue {
            enabled: true,
            num_consumers: 10,
            queue_size: 1000,
            sizer: None,
            block_on_overflow: false,
            wait_for_result: false,
            storage: None,
            batch: None,
        }
    }
}

/// `sending_queue.batch`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct QueueBatch {
    /// A batch waits no longer than this.
    pub flush_timeout: Duration,
    /// Sent as soon as it has this size, in units of `sizer`.
    pub min_size: u64,
    /// Split above this size; 0 = never.
    pub max_size: u64,
    /// Unit; `None` = the queue's if that is not requests, else items.
    pub sizer: Option<Sizer>,
    /// What keeps requests apart.
    pub partition: Partition,
}

/// `sending_queue.batch.partition`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Partition {
    /// Request headers (of receivers with `include_metadata`) whose values keep requests apart.
    pub metadata_keys: Vec<String>,
}

impl Partition {
    /// The headers as requests have them: in lower case.
    pub fn names(&self) -> Vec<String> {
        self.metadata_keys.iter().map(|key| key.to_ascii_lowercase()).collect()
    }
}

impl Default for QueueBatch {
    fn default() -> Self {
        QueueBatch {
            flush_timeout: Duration::from_millis(200),
            min_size: 8192,
            max_size: 0,
            sizer: None,
            partition: Partition::default(),
        }
    }
}

impl SendingQueue {
    /// Checks `sending_queue`; `at` is that place.
    pub fn validate(&self, at: &mut Checker<'_>) {
        if !self.enabled {
            return;
        }
        if self.num_consumers == 0 {
            at.error("num_consumers", "`num_consumers` must be positive");
        }
        if self.queue_size == 0 {
            at.error("queue_size", "`queue_size` must be positive");
        }
        if self.wait_for_result && self.storage.is_some() {
            at.error("wait_for_result", "`wait_for_result` is not supported with a persistent queue configured with `storage`");
        }
        if let Some(batch) = &self.batch {
            batch.validate(self, &mut at.key("batch"));
        }
    }
}

impl QueueBatch {
    fn validate(&self, queue: &SendingQueue, at: &mut Checker<'_>) {
        if self.flush_timeout.is_zero() {
            at.error("flush_timeout", "`flush_timeout` must be positive");
        }
        if self.max_size > 0 && self.max_size < self.min_size {
            at.error("max_size", "`max_size` must be greater or equal to `min_size`");
        }
        if self.sizer == Some(Sizer::Requests) {
            at.error("sizer", "`batch` supports only `items` or `bytes` sizer");
        }
        let sizer = queue.sizer.filter(|sizer| *sizer != Sizer::Requests);
        if self.sizer.or(sizer) == queue.sizer
            && queue.sizer.is_some()
            && self.min_size > queue.queue_size
        {
            at.error("min_size", "`min_size` must be less than or equal to `queue_size`");
        }
        let names = self.partition.names();
        if let Some(twice) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            let message =
                format!("duplicate entry in metadata_keys: \"{}\" (case-insensitive)", twice.1);
            at.key("partition").error("metadata_keys", message);
        }
    }
}
