// SPDX-License-Identifier: Apache-2.0
//! Settings of the embedded store. Everything has a default; an empty section is usual.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use basics::Result;
use pipeline::config::{ByteSize, Checker, ComponentConfig, Duration};
use serde::{Deserialize, Deserializer};
use store::blocks::{Keep, Objects};
use store::{FlushOptions, HeadOptions, StorageOptions, StoreOptions};

/// Settings of the exporter.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where; empty = `store` in the data directory, a relative path = below it.
    pub directory: String,
    /// `sync` (default): acknowledged data survives a power cut; `interval`: up to a second may be
    /// lost; `none`: what the system has not written yet.
    pub durability: String,
    /// How much is kept.
    pub retention: Retention,
    /// Series get the labels of their points, `job` and `instance`, and no others, and names stay as
    /// they are: what a Prometheus stores of its scrapes. `--prometheus-config` sets it.
    pub plain_labels: bool,
    /// Histograms with bounds are kept as one native histogram each (schema -53) instead of a series for
    /// each bucket, as Prometheus' OTLP setting of this name does. Predictions and queries of
    /// `_bucket` series find nothing then.
    pub convert_histograms_to_nhcb: bool,
    /// Counters and histograms that tell when they started counting (OTLP, remote write 2.0) get a sample
    /// of 0 there, so that `increase` and `rate` see what came before their first sample. As
    /// Prometheus' feature of this name.
    pub created_timestamp_zero_ingestion: bool,
    /// Bounds of what is kept in memory.
    pub limits: Limits,
    /// What is written from memory and log for long.
    pub blocks: Blocks,
}

/// Blocks: where they are and how long they stay.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Blocks {
    /// How often memory is written to blocks.
    pub flush_interval: Duration,
    /// It is written sooner when so much was logged since; about as much is read again at a start.
    pub flush_size: ByteSize,
    /// How long all signals are kept, such as `30d`; 0 = as each of them says.
    #[serde(deserialize_with = "age")]
    pub retention: Duration,
    /// How much of metrics is kept.
    pub metrics: Kept,
    /// How much of traces is kept.
    pub traces: Kept,
    /// How much of logs is kept.
    pub logs: Kept,
    /// Id of this process among those that share a bucket; empty = one of its own, made with the
    /// directory.
    pub writer: String,
    /// Reads what others write into the bucket and writes nothing there.
    pub query_only: bool,
    /// Footers, labels and times of blocks in memory at most.
    pub cache: ByteSize,
    /// A bucket instead of the directory.
    pub s3: S3,
}

/// How much of a signal is kept: the oldest goes when either is passed.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// By age: 15d of metrics, 7d of traces and logs unless given; 0 = for ever.
    #[serde(deserialize_with = "some_age")]
    pub time: Option<Duration>,
    /// By size; 0 = whatever it takes.
    pub size: ByteSize,
}

/// A duration that may be written in days, as Prometheus' retention is.
fn age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    basics::duration::parse(&text)
        .or_else(|error| basics::duration::parse_prometheus(&text).map_err(|_| error))
        .map(Duration)
        .map_err(serde::de::Error::custom)
}

fn some_age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    age(deserializer).map(Some)
}

/// A bucket of an S3-compatible server.
#[derive(Clone, Deserialize, Default)]
#[serde(default)]
pub struct S3 {
    /// Name of the bucket; empty = none, blocks are in the directory.
    pub bucket: String,
    /// What all paths begin with.
    pub prefix: String,
    /// Another server than Amazon's: `http://host:port`.
    pub endpoint: String,
    /// Region.
    pub region: String,
    /// Key id; empty = as the environment or the instance says.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// `bucket.host` instead of `host/bucket`.
    pub virtual_hosted: bool,
    /// What is read of the bucket and kept in memory at most.
    pub cache: Option<ByteSize>,
}

/// Without the secret.
impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.endpoint, self.bucket, self.prefix)
    }
}

/// How much is kept: the oldest goes when either is passed.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// By size on disk.
    pub size: ByteSize,
    /// By age.
    pub time: Duration,
}

/// Bounds of what is kept in memory.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Most series.
    pub series: usize,
    /// Most labels of a series.
    pub labels: usize,
    /// Longest label value in bytes.
    pub label_value_bytes: usize,
    /// Most samples.
    pub samples: u64,
    /// How far behind its series' newest a sample may be.
    pub out_of_order: Duration,
    /// Bytes of spans in memory, and as many of log records, before senders wait for blocks.
    pub recent_bytes: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            directory: String::new(),
            durability: "sync".to_owned(),
            plain_labels: false,
            convert_histograms_to_nhcb: false,
            created_timestamp_zero_ingestion: false,
            retention: Retention::default(),
            limits: Limits::default(),
            blocks: Blocks::default(),
        }
    }
}

impl Default for Blocks {
    fn default() -> Self {
        let storage = StorageOptions::default();
        let flush = FlushOptions::default();
        Blocks {
            flush_interval: Duration(flush.interval),
            flush_size: ByteSize(flush.log_bytes),
            retention: Duration::default(),
            metrics: Kept::default(),
            traces: Kept::default(),
            logs: Kept::default(),
            writer: storage.writer,
            query_only: storage.query_only,
            cache: ByteSize(storage.cache_bytes),
            s3: S3::default(),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        let log = segment_log::Options::default();
        Retention { size: ByteSize(log.bytes_max), time: Duration(log.age_max) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let head = HeadOptions::default();
        Limits {
            series: head.limits.series_max,
            labels: head.limits.labels_max,
            label_value_bytes: head.limits.label_value_bytes_max,
            samples: head.limits.samples_max,
            out_of_order: Duration(head.out_of_order),
            recent_bytes: ByteSize(2 * FlushOptions::default().rows_bytes),
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        at.check("durability", self.durability.parse::<segment_log::Durability>());
        let mut retention = at.key("retention");
        if self.retention.size.0 < SIZE_MIN {
            retention.error("size", "must be at least 256MiB: what is not in blocks must fit");
        }
        if self.retention.time.is_zero() {
            retention.error("time", "must be greater than zero");
        }
        let mut limits = at.key("limits");
        for (key, zero) in [
            ("series", self.limits.series == 0),
            ("labels", self.limits.labels == 0),
            ("label_value_bytes", self.limits.label_value_bytes == 0),
            ("samples", self.limits.samples == 0),
        ] {
            if zero {
                limits.error(key, "must be greater than zero");
            }
        }
        self.blocks.validate(&mut at.key("blocks"));
    }
}

impl Blocks {
    fn validate(&self, at: &mut Checker<'_>) {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if self.writer.len() > 64 || !self.writer.chars().all(plain) {
            at.error("writer", "must be at most 64 letters, digits, - and _");
        }
        if self.flush_interval.is_zero() {
            at.error("flush_interval", "must be greater than zero");
        }
        if self.query_only && self.s3.bucket.is_empty() {
            at.error("query_only", "needs a bucket that others write to: s3.bucket");
        }
        let mut s3 = at.key("s3");
        if !self.s3.bucket.is_empty() && !cfg!(feature = "s3") {
            s3.error("bucket", "this build has no S3 client: build with --features s3");
        }
        if self.s3.access_key_id.is_empty() != self.s3.secret_access_key.is_empty() {
            s3.error("secret_access_key", "goes with access_key_id, both or none");
        }
    }

    fn options(&self) -> StorageOptions {
        let defaults = StorageOptions::default();
        let keep = |kept: &Kept, default: Keep| {
            let one = (!self.retention.is_zero()).then_some(self.retention);
            let age = one.or(kept.time).map_or(default.age, |time| Some(time.get()));
            Keep {
                age: age.filter(|age| !age.is_zero()),
                bytes_max: (kept.size.0 > 0).then_some(kept.size.0),
            }
        };
        StorageOptions {
            metrics: keep(&self.metrics, defaults.metrics),
            traces: keep(&self.traces, defaults.traces),
            logs: keep(&self.logs, defaults.logs),
            writer: self.writer.clone(),
            query_only: self.query_only,
            cache_bytes: self.cache.0,
            ..defaults
        }
    }
}

impl S3 {
    /// The bucket, none when none is named; a writer finds out what the server can do.
    #[cfg(feature = "s3")]
    fn objects(&self, writes: bool) -> Result<Option<Arc<dyn Objects>>> {
        use store::blocks::objects::{Cached, S3Options};
        if self.bucket.is_empty() {
            return Ok(None);
        }
        let s3 = store::blocks::objects::S3::new(&S3Options {
            bucket: self.bucket.clone(),
            prefix: self.prefix.clone(),
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
            virtual_hosted: self.virtual_hosted,
        })?;
        if writes {
            s3.probe().map_err(|e| e.within(format!("bucket {}", self.bucket)))?;
        }
        let bytes_max = self.cache.map_or(S3_CACHE_BYTES, |size| size.0);
        Ok(Some(Arc::new(Cached::new(Arc::new(s3), bytes_max))))
    }

    #[cfg(not(feature = "s3"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    fn objects(&self, _: bool) -> Result<Option<Arc<dyn Objects>>> {
        Ok(None)
    }
}

/// What is read of a bucket and kept: the blocks that an hour of dashboards asks for.
#[cfg(feature = "s3")]
const S3_CACHE_BYTES: u64 = 64 << 20;

/// How long memory may fill before someone looks.
const LOOK_MAX: std::time::Duration = std::time::Duration::from_secs(1);

/// Memory for rows that is bounded by flushing, times what the largest requests may bring on top.
const ROWS_ROOM: u64 = 16;

/// Four of the log's segments, and as much as is logged between two flushes.
const SIZE_MIN: u64 = 256 << 20;

/// How far back a sample may be where metrics are kept for ever: 50 years, which a clock that stands at
/// 1970 is beyond.
const PAST_MAX: std::time::Duration = std::time::Duration::from_secs(50 * 365 * 24 * 3600);

impl Config {
    /// The store's directory, given the process's data directory.
    pub fn directory(&self, data: &Path) -> PathBuf {
        // Joining an absolute path gives that path.
        data.join(if self.directory.is_empty() { "store" } else { &self.directory })
    }

    fn translate(&self) -> otlp_series::Options {
        let usual = otlp_series::Options {
            custom_buckets: match self.convert_histograms_to_nhcb {
                true => otlp_series::CustomBuckets::Always,
                false => otlp_series::CustomBuckets::Marked,
            },
            ..otlp_series::Options::for_store()
        };
        match self.plain_labels {
            false => usual,
            true => otlp_series::Options {
                suffixes: false,
                utf8: true,
                resource_labels: otlp_series::ResourceLabels::None,
                fill_environment: false,
                scope_labels: otlp_series::ScopeLabels::None,
                target_info: false,
                ..usual
            },
        }
    }

    /// Where blocks lie if not in the directory; asks the bucket.
    ///
    /// # Errors
    /// [`basics::Kind::Invalid`] when the settings make no client, `Retry` when the bucket does not
    /// answer.
    pub fn objects(&self) -> Result<Option<Arc<dyn Objects>>> {
        self.blocks.s3.objects(!self.blocks.query_only)
    }

    /// What the store is opened with, [`Config::objects`] aside.
    pub fn options(&self) -> StoreOptions {
        let defaults = HeadOptions::default();
        let storage = self.blocks.options();
        StoreOptions {
            log: segment_log::Options {
                bytes_max: self.retention.size.0,
                age_max: self.retention.time.get(),
                // Checked by `validate`; the default is the safest.
                durability: self.durability.parse().unwrap_or(segment_log::Durability::Sync),
                ..segment_log::Options::default()
            },
            head: HeadOptions {
                translate: self.translate(),
                out_of_order: self.limits.out_of_order.get(),
                zero_at_start: self.created_timestamp_zero_ingestion,
                // What would be let go at once is not taken.
                past_max: storage.metrics.age.unwrap_or(PAST_MAX),
                limits: store::head::Limits {
                    series_max: self.limits.series,
                    labels_max: self.limits.labels,
                    label_value_bytes_max: self.limits.label_value_bytes,
                    samples_max: self.limits.samples,
                    ..defaults.limits
                },
                ..defaults
            },
            rows: store::rows::Limits {
                // Passed only by what one request brings at once: nothing goes for it before it is in
                // a block.
                bytes_max: usize::try_from(self.limits.recent_bytes.0 * ROWS_ROOM)
                    .unwrap_or(usize::MAX),
                rows_max: usize::MAX,
            },
            storage,
            flush: FlushOptions {
                interval: self.blocks.flush_interval.get(),
                log_bytes: self.blocks.flush_size.0,
                // Half of what memory may hold: the other half comes while blocks are written.
                rows_bytes: self.limits.recent_bytes.0 / 2,
                samples: self.limits.samples / 2,
                look: Some(self.blocks.flush_interval.get().min(LOOK_MAX)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration as Span;

    use super::*;

    const DAY: u64 = 24 * 3600;

    #[test]
    fn blocks_are_kept_as_each_signal_or_one_key_for_all_says() {
        let days = |days: u64| (days > 0).then(|| Span::from_secs(days * DAY));
        let cases: [(&str, [Option<Span>; 3]); 4] = [
            ("{}", [days(15), days(7), days(7)]),
            ("{blocks: {retention: 30d}}", [days(30); 3]),
            ("{blocks: {metrics: {time: 0s}, logs: {time: 48h}}}", [None, days(7), days(2)]),
            ("{blocks: {traces: {size: 1GiB}}}", [days(15), days(7), days(7)]),
        ];
        for (yaml, expected) in cases {
            let config = pipeline::config::from_yaml::<Config>(yaml).expect(yaml);
            let storage = config.options().storage;
            let found = [storage.metrics.age, storage.traces.age, storage.logs.age];
            assert_eq!(found, expected, "{yaml}");
        }
        let config = pipeline::config::from_yaml::<Config>(cases[3].0).expect("settings");
        assert_eq!(config.options().storage.traces.bytes_max, Some(1 << 30));
    }

    #[test]
    fn settings_that_contradict_each_other_are_told() {
        for yaml in [
            "{blocks: {query_only: true}}",
            "{blocks: {writer: a/b}}",
            "{blocks: {s3: {access_key_id: a}}}",
            "{blocks: {retention: soon}}",
        ] {
            assert!(pipeline::config::from_yaml::<Config>(yaml).is_err(), "{yaml}");
        }
    }
}
