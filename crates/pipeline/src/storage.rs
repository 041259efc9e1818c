// SPDX-License-Identifier: Apache-2.0
//! Where exporters keep their durable queues: a directory with one log for each queue.
//!
//! The extension `file_storage` registers its settings in the host under its id when it is built;
//! an exporter whose `sending_queue.storage` names that id opens its own log there when it starts.
//! Several exporters and signals share a storage without sharing a log, so none reads, holds up or
//! damages what another one keeps.
//!
//! Bounds: `bytes_max` for each log, [`SEGMENT_BYTES`] of delivered data that is not removed yet.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use basics::files::Files;
use basics::{Clock, Error, Result};
use hashbrown::HashMap;
use parking_lot::Mutex;
use segment_log::{Durability, Full, Log, Options};

/// Size of a queue's segments: what was delivered is removed segment by segment. 16 MiB: small
/// against a disk, large against a request.
pub const SEGMENT_BYTES: u64 = 16 << 20;

/// A cap for storages without one; the disk ends before.
const BYTES_MAX_DEFAULT: u64 = 1 << 50;

/// What a storage is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageSettings {
    /// Where; the extension makes sure that it exists.
    pub directory: PathBuf,
    /// When something counts as kept.
    pub durability: Durability,
    /// Most bytes of one queue; zero = no limit.
    pub bytes_max: u64,
}

/// A directory of queues; shared in the host under its extension's id.
pub struct Storage {
    settings: Mutex<StorageSettings>,
    files: Arc<dyn Files>,
    clock: Clock,
    open: Mutex<HashMap<String, Weak<Log>>>,
}

impl Storage {
    /// A storage; touches nothing.
    pub fn new(settings: StorageSettings, files: Arc<dyn Files>, clock: Clock) -> Self {
        Storage { settings: Mutex::new(settings), files, clock, open: Mutex::default() }
    }

    /// Logs opened from now on are opened so.
    pub fn configure(&self, settings: StorageSettings) {
        *self.settings.lock() = settings;
    }

    /// Opens the log called `name`.
    ///
    /// # Errors
    /// `Overloaded` when an exporter of this process holds it, as while it drains after a reload;
    /// `Invalid` when the directory cannot be used or another process holds it.
    pub fn log(&self, name: &str) -> Result<Arc<Log>> {
        let settings = self.settings.lock().clone();
        let mut open = self.open.lock();
        // A log that was closed may still be looked at, but no longer holds its directory.
        let held = open.get(name).and_then(Weak::upgrade).is_some_and(|log| !log.is_closed());
        if held {
            return Err(Error::overloaded(format!("the queue {name} is in use")));
        }
        let bytes_max = match settings.bytes_max {
            0 => BYTES_MAX_DEFAULT,
            bytes => bytes,
        };
        let options = Options {
            segment_bytes: SEGMENT_BYTES,
            bytes_max,
            full: Full::Refuse,
            durability: settings.durability,
            ..Options::default()
        };
        let directory = settings.directory.join(file_name(name));
        let log = Log::open(&directory, options, self.files.clone(), self.clock.clone())?;
        let log = Arc::new(log);
        open.insert(name.to_owned(), Arc::downgrade(&log));
        Ok(log)
    }
}

impl Storage {
    /// Where the component called `name` may keep a small state of its own, a file that is replaced
    /// as a whole; the directory is there once the extension has started.
    pub fn state_file(&self, name: &str) -> PathBuf {
        self.settings.lock().directory.join(format!("{}.json", file_name(name)))
    }
}

/// `name` as a directory: letters, digits, `-` and `_`; anything else as `%xx`, so that no two
/// names share one.
fn file_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use basics::files::TestFiles;

    use super::*;

    #[test]
    fn queues_of_one_storage_have_directories_of_their_own() {
        let disk = TestFiles::new();
        let settings = StorageSettings {
            directory: "/queues".into(),
            durability: Durability::Sync,
            bytes_max: 0,
        };
        let storage = Storage::new(settings, disk.shared(), Clock::system());
        let names = ["otlp/a-traces", "otlp%2fa-traces", "otlp-traces"];
        let logs: Vec<_> = names.iter().map(|name| storage.log(name).unwrap()).collect();
        let directories = ["otlp%2fa-traces", "otlp%252fa-traces", "otlp-traces"];
        for name in directories {
            let version = Path::new("/queues").join(name).join("VERSION");
            assert!(basics::files::read_all(&disk, &version).is_ok(), "{name}");
        }
        assert!(storage.log("otlp-traces").is_err(), "in use");
        logs[2].close().unwrap();
        assert!(storage.log("otlp-traces").is_ok());
    }
}
