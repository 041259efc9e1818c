// SPDX-License-Identifier: Apache-2.0
//! `file_storage`: a directory in which exporters keep what they have not sent yet.
//!
//! An exporter whose `sending_queue.storage` names this extension keeps its queue here, one log for
//! each exporter and signal. Building registers the settings in the host, so that exporters find
//! them; starting makes sure that the directory is there. The logs belong to the exporters.
//! Source: opentelemetry-collector-contrib, extension/storage/filestorage (keys, messages); the
//! files are our own (`segment-log`), not bbolt's.

#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use basics::files::RealFiles;
use basics::{Error, Result};
use pipeline::component::{Context, Extension, ExtensionFactory};
use pipeline::config::{self, Checker, ComponentConfig, Decoded};
use pipeline::host::Host;
use pipeline::storage::{Storage, StorageSettings};
use segment_log::Durability;
use serde::Deserialize;

/// With `fsync: false` the system is told to write after this long.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// What a user writes.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where; must exist unless `create_directory` is set.
    pub directory: String,
    /// Make the directory, and its parents, when it is missing.
    pub create_directory: bool,
    /// Rights of a directory that is made, octal.
    pub directory_permissions: String,
    /// True, and where nothing is said: a request is answered once it survives a power cut. False:
    /// once it survives the end of the process.
    pub fsync: Option<bool>,
    /// Most bytes of each queue; 0 = no limit but the disk's.
    pub max_size: u64,
    timeout: Option<config::Duration>,
    recreate: bool,
    compaction: Compaction,
}

/// Compaction of bbolt files, which we do not have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Compaction {
    directory: serde::de::IgnoredAny,
    on_start: bool,
    on_rebound: bool,
    rebound_needed_threshold_mib: serde::de::IgnoredAny,
    rebound_trigger_threshold_mib: serde::de::IgnoredAny,
    max_transaction_size: serde::de::IgnoredAny,
    check_interval: serde::de::IgnoredAny,
    cleanup_on_start: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            directory: "/var/lib/otelcol/file_storage".to_owned(),
            create_directory: false,
            directory_permissions: "0750".to_owned(),
            fsync: None,
            max_size: 0,
            timeout: None,
            recreate: false,
            compaction: Compaction::default(),
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        if self.directory.is_empty() {
            at.error("directory", "directory must be specified");
        }
        if self.create_directory && self.permissions().is_none() {
            at.error("directory_permissions", "directory_permissions must be octal, such as 0750");
        }
        if self.max_size != 0 && self.max_size < SIZE_MIN {
            at.error("max_size", format!("max_size must be at least {SIZE_MIN} bytes, or 0"));
        }
        if self.timeout.is_some() {
            at.warn("timeout", "without effect: no file is shared, so none is waited for");
        }
        if self.recreate {
            at.warn("recreate", "without effect: damaged bytes are set aside by themselves");
        }
        let what = "without effect: what was delivered is removed by itself";
        let mut compaction = at.key("compaction");
        for (key, set) in [
            ("on_start", self.compaction.on_start),
            ("on_rebound", self.compaction.on_rebound),
            ("cleanup_on_start", self.compaction.cleanup_on_start),
        ] {
            if set {
                compaction.warn(key, what);
            }
        }
    }
}

/// Four of a queue's segments at their smallest; with less the queue would refuse what is usual.
const SIZE_MIN: u64 = 4 << 20;

impl Config {
    fn permissions(&self) -> Option<u32> {
        u32::from_str_radix(&self.directory_permissions, 8).ok().filter(|mode| *mode <= 0o7777)
    }

    fn settings(&self) -> StorageSettings {
        let durability = match self.fsync {
            None | Some(true) => Durability::Sync,
            Some(false) => Durability::Interval(SYNC_EVERY),
        };
        let directory = PathBuf::from(&self.directory);
        StorageSettings { directory, durability, bytes_max: self.max_size }
    }
}

/// The entry of this type in the component table.
pub fn factory() -> ExtensionFactory {
    ExtensionFactory {
        kind: "file_storage",
        aliases: &[],
        signals: &[],
        summary: "a directory in which exporters keep what they have not sent yet",
        decode: config::decode::<Config>,
        build,
    }
}

fn build(config: Decoded, context: Context) -> Result<Arc<dyn Extension>> {
    let config = config
        .downcast::<Config>()
        .map_err(|_| Error::invalid("file_storage was given another component's settings"))?;
    let (settings, clock) = (config.settings(), context.clock.clone());
    let make = || Ok(Storage::new(settings.clone(), RealFiles::shared(), clock));
    context.host.shared::<Storage>(&context.id, make)?.configure(settings);
    Ok(Arc::new(FileStorage { config }))
}

struct FileStorage {
    config: Arc<Config>,
}

#[async_trait]
impl Extension for FileStorage {
    async fn start(&self, _: &Host) -> Result<()> {
        let directory = Path::new(&self.config.directory);
        match std::fs::metadata(directory) {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => Err(Error::invalid(format!("{} is not a directory", directory.display()))),
            Err(error) if error.kind() == ErrorKind::NotFound && self.config.create_directory => {
                make(directory, self.config.permissions())
            }
            Err(error) => Err(Error::invalid(format!(
                "directory must exist: {}. You can enable the create_directory option to automatically create it",
                directory.display()
            ))
            .caused_by(error)),
        }
    }

    async fn stop(&self) -> Result<()> {
        Ok(())
    }
}

fn make(directory: &Path, permissions: Option<u32>) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    if let Some(mode) = permissions {
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, mode);
    }
    builder.create(directory).map_err(|error| {
        Error::invalid(format!("cannot create directory {}", directory.display())).caused_by(error)
    })
}
