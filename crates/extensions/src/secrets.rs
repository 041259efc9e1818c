// SPDX-License-Identifier: Apache-2.0
//! Credentials in files: read at the start, and again when they have changed.
//!
//! A file that cannot be read any more leaves what it held in use, with a warning.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use basics::{Error, Result};
use parking_lot::Mutex;

/// How often a file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Largest file of credentials: some ten thousand users.
const BYTES_MAX: u64 = 4 << 20;

type Make<T> = dyn Fn(&[String]) -> Result<T> + Send + Sync;

/// What was made of the text of some files.
pub(crate) struct Watched<T> {
    files: Vec<PathBuf>,
    make: Box<Make<T>>,
    state: Mutex<State<T>>,
}

struct State<T> {
    current: Arc<T>,
    stamps: Vec<Stamp>,
    looked: Instant,
}

type Stamp = Option<(SystemTime, u64)>;

impl<T> Watched<T> {
    /// Reads `files` and makes a `T` of their texts.
    ///
    /// # Errors
    /// `Invalid` when a file cannot be read, or what `make` says.
    pub fn new(
        files: Vec<PathBuf>,
        make: impl Fn(&[String]) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Self> {
        let stamps = files.iter().map(stamp).collect();
        let current = Arc::new(make(&texts(&files)?)?);
        let state = Mutex::new(State { current, stamps, looked: Instant::now() });
        Ok(Watched { files, make: Box::new(make), state })
    }

    /// The present one.
    pub fn get(&self) -> Arc<T> {
        let mut state = self.state.lock();
        if !self.files.is_empty() && state.looked.elapsed() >= LOOK_INTERVAL {
            state.looked = Instant::now();
            let stamps: Vec<Stamp> = self.files.iter().map(stamp).collect();
            if stamps != state.stamps {
                state.stamps = stamps;
                match texts(&self.files).and_then(|texts| (self.make)(&texts)) {
                    Ok(made) => state.current = Arc::new(made),
                    Err(error) => {
                        tracing::warn!(
                            "changed credentials cannot be used, the old ones stay: {error}"
                        );
                    }
                }
            }
        }
        state.current.clone()
    }
}

fn stamp(path: &PathBuf) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn texts(files: &[PathBuf]) -> Result<Vec<String>> {
    files.iter().map(|path| read(path)).collect()
}

/// The text of a file of credentials.
pub(crate) fn read(path: &std::path::Path) -> Result<String> {
    let unread = |e| Error::invalid(format!("cannot read {}", path.display())).caused_by(e);
    if std::fs::metadata(path).map_err(unread)?.len() > BYTES_MAX {
        return Err(Error::invalid(format!("{} is larger than 4 MiB", path.display())));
    }
    std::fs::read_to_string(path).map_err(unread)
}

/// Compares in a time that does not tell where the first difference is.
pub(crate) fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}
