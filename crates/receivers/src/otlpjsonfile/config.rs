// SPDX-License-Identifier: Apache-2.0
//! Settings of the file receiver, with the Collector's keys.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use pipeline::config::{ByteSize, Checker, ComponentConfig, Duration};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Largest message; the Collector's 1 MiB cuts longer lines in two, which is never JSON.
const MESSAGE_BYTES_MAX: u64 = 64 << 20;

/// Where reading begins in files that are there at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// Only what comes.
    #[default]
    End,
    /// All.
    Beginning,
}

/// How messages stand in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON message a line.
    #[default]
    Json,
    /// Protobuf messages, each behind its length in four bytes, the highest first.
    Proto,
}

/// What to do when a file is shorter than it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTruncate {
    /// Wait until it is longer than it was.
    Ignore,
    /// Read it from the beginning.
    #[default]
    ReadWholeFile,
    /// Read what comes.
    ReadNew,
}

/// Settings of the receiver.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Patterns of files to read.
    pub include: Vec<String>,
    /// Patterns of files to leave out.
    pub exclude: Vec<String>,
    /// Where reading begins.
    pub start_at: StartAt,
    /// Time between looks.
    pub poll_interval: Duration,
    /// A file is recognised by so many of its first bytes.
    pub fingerprint_size: ByteSize,
    /// Largest message.
    pub max_log_size: Option<ByteSize>,
    /// Most files.
    pub max_concurrent_files: usize,
    /// Attribute `log.file.name`.
    pub include_file_name: bool,
    /// Attribute `log.file.path`.
    pub include_file_path: bool,
    /// Read whole files at each look.
    pub replay_file: bool,
    /// Extension that keeps how far files were read.
    pub storage: Option<String>,
    /// What to do when a file is shorter than it was.
    pub on_truncate: OnTruncate,
    /// How messages stand in a file.
    pub format: Format,
    encoding: String,
    compression: String,
    delete_after_read: bool,
    include_file_name_resolved: bool,
    include_file_path_resolved: bool,
    include_file_owner_name: bool,
    include_file_owner_group_name: bool,
    include_file_permissions: bool,
    include_file_record_number: bool,
    include_file_record_offset: bool,
    multiline: Option<IgnoredAny>,
    header: Option<IgnoredAny>,
    ordering_criteria: Option<IgnoredAny>,
    exclude_older_than: Option<IgnoredAny>,
    force_flush_period: Option<IgnoredAny>,
    initial_buffer_size: Option<IgnoredAny>,
    max_log_size_behavior: Option<IgnoredAny>,
    max_batches: Option<IgnoredAny>,
    polls_to_archive: Option<IgnoredAny>,
    acquire_fs_lock: Option<IgnoredAny>,
    file_cache_advise: Option<IgnoredAny>,
    preserve_leading_whitespaces: Option<IgnoredAny>,
    preserve_trailing_whitespaces: Option<IgnoredAny>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            include: Vec::new(),
            exclude: Vec::new(),
            start_at: StartAt::default(),
            poll_interval: Duration::from_millis(200),
            fingerprint_size: ByteSize(1000),
            max_log_size: None,
            max_concurrent_files: 1024,
            include_file_name: true,
            include_file_path: false,
            replay_file: false,
            storage: None,
            on_truncate: OnTruncate::default(),
            format: Format::default(),
            encoding: "utf-8".to_owned(),
            compression: String::new(),
            delete_after_read: false,
            include_file_name_resolved: false,
            include_file_path_resolved: false,
            include_file_owner_name: false,
            include_file_owner_group_name: false,
            include_file_permissions: false,
            include_file_record_number: false,
            include_file_record_offset: false,
            multiline: None,
            header: None,
            ordering_criteria: None,
            exclude_older_than: None,
            force_flush_period: None,
            initial_buffer_size: None,
            max_log_size_behavior: None,
            max_batches: None,
            polls_to_archive: None,
            acquire_fs_lock: None,
            file_cache_advise: None,
            preserve_leading_whitespaces: None,
            preserve_trailing_whitespaces: None,
        }
    }
}

/// Compiles patterns.
///
/// # Errors
/// What is wrong with which one.
pub fn globs(patterns: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        // `*` stays within a folder, `**` does not.
        set.add(GlobBuilder::new(pattern).literal_separator(true).build()?);
    }
    set.build()
}

impl Config {
    /// Largest message in bytes.
    pub fn message_max(&self) -> usize {
        let limit = self.max_log_size.map_or(MESSAGE_BYTES_MAX, |size| size.0);
        usize::try_from(limit).unwrap_or(usize::MAX)
    }

    /// What telemetry says about the file it is from.
    pub fn file_attributes(&self, path: &Path) -> Vec<(&'static str, String)> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.filter(|_| self.include_file_name).map(|name| ("log.file.name", name));
        let path = self.include_file_path.then(|| ("log.file.path", path.display().to_string()));
        name.into_iter().chain(path).collect()
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        if self.include.is_empty() {
            at.error("include", "required argument `include` is empty");
        }
        at.check("include", globs(&self.include));
        at.check("exclude", globs(&self.exclude));
        if self.fingerprint_size.0 < 16 {
            at.error("fingerprint_size", "`fingerprint_size` must be at least 16 bytes");
        }
        if self.max_concurrent_files < 1 {
            at.error("max_concurrent_files", "`max_concurrent_files` must be greater than 0");
        }
        if self.poll_interval.is_zero() {
            at.error("poll_interval", "must be greater than zero");
        }
        if self.max_log_size.is_some_and(|size| size.0 == 0) {
            at.error("max_log_size", "`max_log_size` must be positive");
        }
        if !["utf-8", "utf8", "", "nop"].contains(&self.encoding.to_ascii_lowercase().as_str()) {
            let what = "is not supported yet; OTLP/JSON is UTF-8";
            at.error("encoding", format!("encoding \"{}\" {what}", self.encoding));
        }
        for (key, given) in [
            ("compression", !self.compression.is_empty()),
            ("delete_after_read", self.delete_after_read),
            ("include_file_name_resolved", self.include_file_name_resolved),
            ("include_file_path_resolved", self.include_file_path_resolved),
            ("include_file_owner_name", self.include_file_owner_name),
            ("include_file_owner_group_name", self.include_file_owner_group_name),
            ("include_file_permissions", self.include_file_permissions),
            ("include_file_record_number", self.include_file_record_number),
            ("include_file_record_offset", self.include_file_record_offset),
            ("multiline", self.multiline.is_some()),
            ("header", self.header.is_some()),
            ("ordering_criteria", self.ordering_criteria.is_some()),
            ("exclude_older_than", self.exclude_older_than.is_some()),
        ] {
            if given {
                at.error(key, format!("{key} is not supported yet; remove this key"));
            }
        }
        for (key, given) in [
            ("force_flush_period", self.force_flush_period.is_some()),
            ("initial_buffer_size", self.initial_buffer_size.is_some()),
            ("max_log_size_behavior", self.max_log_size_behavior.is_some()),
            ("max_batches", self.max_batches.is_some()),
            ("polls_to_archive", self.polls_to_archive.is_some()),
            ("acquire_fs_lock", self.acquire_fs_lock.is_some()),
            ("file_cache_advise", self.file_cache_advise.is_some()),
            ("preserve_leading_whitespaces", self.preserve_leading_whitespaces.is_some()),
            ("preserve_trailing_whitespaces", self.preserve_trailing_whitespaces.is_some()),
        ] {
            if given {
                at.warn(
                    key,
                    format!("{key} has no effect here: messages are read whole, in order"),
                );
            }
        }
    }
}
