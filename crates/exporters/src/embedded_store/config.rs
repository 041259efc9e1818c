// SPDX-License-Identifier: Apache-2.0
//! Settings of the embedded store. Everything has a default; an empty section is usual.

use std::path::{Path, PathBuf};

use pipeline::config::{ByteSize, Checker, ComponentConfig, Duration};
use serde::Deserialize;
use store::{HeadOptions, StoreOptions};

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
    /// Bounds of what is kept in memory.
    pub limits: Limits,
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
    /// Bytes of spans in memory, and as many of log records.
    pub recent_bytes: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            directory: String::new(),
            durability: "sync".to_owned(),
            retention: Retention::default(),
            limits: Limits::default(),
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
            recent_bytes: ByteSize(store::rows::Limits::default().bytes_max as u64),
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        at.check("durability", self.durability.parse::<segment_log::Durability>());
        let mut retention = at.key("retention");
        if self.retention.size.0 < SIZE_MIN {
            retention.error("size", "must be at least 256MiB: the log drops a sixteenth at a time");
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
    }
}

/// Four of the log's segments; with fewer, dropping one would take too much at a time.
const SIZE_MIN: u64 = 256 << 20;

impl Config {
    /// The store's directory, given the process's data directory.
    pub fn directory(&self, data: &Path) -> PathBuf {
        // Joining an absolute path gives that path.
        data.join(if self.directory.is_empty() { "store" } else { &self.directory })
    }

    /// What the store is opened with.
    pub fn options(&self) -> StoreOptions {
        let defaults = HeadOptions::default();
        StoreOptions {
            log: segment_log::Options {
                bytes_max: self.retention.size.0,
                age_max: self.retention.time.get(),
                // Checked by `validate`; the default is the safest.
                durability: self.durability.parse().unwrap_or(segment_log::Durability::Sync),
                ..segment_log::Options::default()
            },
            head: HeadOptions {
                out_of_order: self.limits.out_of_order.get(),
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
                bytes_max: usize::try_from(self.limits.recent_bytes.0).unwrap_or(usize::MAX),
                ..store::rows::Limits::default()
            },
            ..StoreOptions::default()
        }
    }
}
