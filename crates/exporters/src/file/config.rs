// SPDX-License-Identifier: Apache-2.0
//! Settings of the file exporter, with the collector's keys.

use std::path::PathBuf;

use pipeline::config::{Checker, ComponentConfig, Duration};
use serde::Deserialize;

/// Settings of the exporter.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The file; with `group_by` one `*` in it stands for the group.
    pub path: String,
    /// True: go on at the end of what is there; false: begin anew at each start.
    pub append: bool,
    /// When a new file is begun; its presence turns rotation on.
    pub rotation: Option<Rotation>,
    /// How a batch is written.
    pub format: Format,
    /// `zstd` or none.
    pub compression: String,
    /// How hard.
    pub compression_params: Level,
    /// What was written is on the disk at most this long after.
    pub flush_interval: Duration,
    /// A file for each value of a resource attribute.
    pub group_by: GroupBy,
    /// Make the directories above `path`.
    pub create_directory: bool,
    /// Octal, e.g. `"0755"`.
    pub directory_permissions: String,
    encoding: Option<String>,
}

/// The collector's default.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

impl Default for Config {
    fn default() -> Self {
        Config {
            path: String::new(),
            append: false,
            rotation: None,
            format: Format::default(),
            compression: String::new(),
            compression_params: Level::default(),
            flush_interval: FLUSH_INTERVAL,
            group_by: GroupBy::default(),
            create_directory: false,
            directory_permissions: String::new(),
            encoding: None,
        }
    }
}

/// How a batch is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// OTLP/JSON, one object a line.
    #[default]
    Json,
    /// OTLP protobuf behind its length.
    Proto,
}

/// `compression_params`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Level {
    /// zstd's level; `None` = 3.
    pub level: Option<i32>,
}

/// `rotation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Rotation {
    /// A file does not grow beyond this; 0 = 100.
    pub max_megabytes: u64,
    /// Old files are removed after this many days; 0 = never.
    pub max_days: u64,
    /// Old files kept; 0 = all.
    pub max_backups: usize,
    /// Names of old files in local time instead of UTC.
    pub localtime: bool,
}

impl Default for Rotation {
    fn default() -> Self {
        Rotation { max_megabytes: 100, max_days: 0, max_backups: 100, localtime: false }
    }
}

impl Rotation {
    /// Bytes a file may have.
    pub fn bytes_max(&self) -> u64 {
        let megabytes = if self.max_megabytes == 0 { 100 } else { self.max_megabytes };
        megabytes.saturating_mul(1 << 20)
    }
}

/// `group_by`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GroupBy {
    /// On or off.
    pub enabled: bool,
    /// The resource attribute whose value takes the place of `*`.
    pub resource_attribute: String,
    /// Files kept open.
    pub max_open_files: usize,
}

impl Default for GroupBy {
    fn default() -> Self {
        GroupBy {
            enabled: false,
            resource_attribute: "fileexporter.path_segment".to_owned(),
            max_open_files: 100,
        }
    }
}

/// Permissions of directories where nothing else is said.
const DIRECTORY_MODE: u32 = 0o755;

impl Config {
    /// Permissions of new directories.
    pub fn directory_mode(&self) -> u32 {
        u32::from_str_radix(&self.directory_permissions, 8).unwrap_or(DIRECTORY_MODE)
    }

    /// The level of zstd; `None` = not compressed.
    pub fn zstd_level(&self) -> Option<i32> {
        (!self.compression.is_empty()).then_some(self.compression_params.level.unwrap_or(3))
    }

    /// True when records carry their length instead of ending in a line end.
    pub fn is_framed(&self) -> bool {
        self.format == Format::Proto || !self.compression.is_empty()
    }

    /// How long written bytes may be only in the system's memory.
    pub fn sync_interval(&self) -> std::time::Duration {
        let interval = self.flush_interval.get();
        if interval.is_zero() { FLUSH_INTERVAL.get() } else { interval }
    }

    /// The file of the group `segment`; below the part of `path` before `*`, whatever it holds.
    pub fn path_of(&self, segment: &str) -> PathBuf {
        let (prefix, suffix) = self.path.split_once('*').unwrap_or((&self.path, ""));
        let parts: Vec<&str> =
            segment.split('/').filter(|part| !["", ".", ".."].contains(part)).collect();
        PathBuf::from(format!("{prefix}{}{suffix}", parts.join("/")))
    }

    fn check_directory(&self, at: &mut Checker<'_>) {
        const KEY: &str = "directory_permissions";
        if self.directory_permissions.is_empty() {
            return;
        }
        match u32::from_str_radix(&self.directory_permissions, 8) {
            Err(_) => {
                at.error(KEY, "directory_permissions value must be a valid octal representation")
            }
            Ok(mode) if mode & 0o777 != mode => {
                at.error(KEY, "directory_permissions contain invalid bits for file access");
            }
            Ok(_) if !self.create_directory => {
                at.error(KEY, "directory_permissions requires create_directory to be true");
            }
            Ok(_) => {}
        }
    }

    fn check_group(&self, at: &mut Checker<'_>) {
        if !self.group_by.enabled {
            return;
        }
        if self.path.matches('*').count() != 1 {
            at.error("path", "path must contain exactly one * when group_by is enabled");
        }
        if self.path.starts_with('*') {
            at.error("path", "path must not start with * when group_by is enabled");
        }
        let mut at = at.key("group_by");
        if self.group_by.resource_attribute.is_empty() {
            at.error(
                "resource_attribute",
                "resource_attribute must not be empty when group_by is enabled",
            );
        }
        if self.group_by.max_open_files == 0 {
            at.error("max_open_files", "max_open_files must be greater than zero");
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        if self.path.is_empty() {
            at.error("path", "path must be non-empty");
        }
        if self.append && self.rotation.is_some() {
            at.error("append", "append and rotation enabled at the same time is not supported");
        }
        if !["", "zstd"].contains(&self.compression.as_str()) {
            at.error("compression", "compression is not supported; use zstd or leave it out");
        }
        if self.encoding.as_deref().is_some_and(|id| !id.is_empty()) {
            at.error(
                "encoding",
                "encoding extensions are not supported; use format: json or proto",
            );
        }
        self.check_group(at);
        self.check_directory(at);
    }
}
