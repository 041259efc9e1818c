// SPDX-License-Identifier: Apache-2.0
//! Something made from files, made anew when they have changed.
//!
//! Looked at when it is asked for, at most once a second: there is no task and no watcher, and what
//! nobody uses costs nothing. Replaced and symbolically linked files (Kubernetes secrets) count as
//! changed. When the new ones cannot be used the old ones stay, with one warning.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use basics::Result;
use parking_lot::Mutex;

/// How often files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

type Make<T> = dyn Fn() -> Result<T> + Send + Sync;

/// A `T` made from files.
pub(crate) struct Reloading<T> {
    make: Box<Make<T>>,
    files: Vec<PathBuf>,
    interval: Duration,
    state: Mutex<State<T>>,
}

struct State<T> {
    current: Arc<T>,
    stamps: Vec<Option<Stamp>>,
    looked: Instant,
    made: Instant,
}

/// What tells one content of a file from the next without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl<T> Reloading<T> {
    /// Makes it for the first time; `interval` as in [`super::Settings::reload_interval`].
    ///
    /// # Errors
    /// Those of `make`.
    pub fn new(
        files: Vec<PathBuf>,
        interval: Duration,
        make: impl Fn() -> Result<T> + Send + Sync + 'static,
    ) -> Result<Self> {
        // Before the reading: a change in between is seen at the next look.
        let stamps = stamps(&files);
        let current = Arc::new(make()?);
        let now = Instant::now();
        let state = Mutex::new(State { current, stamps, looked: now, made: now });
        Ok(Reloading { make: Box::new(make), files, interval, state })
    }

    /// The present one.
    pub fn get(&self) -> Arc<T> {
        let mut state = self.state.lock();
        if !self.files.is_empty() && state.looked.elapsed() >= LOOK_INTERVAL {
            self.look(&mut state);
        }
        state.current.clone()
    }

    fn look(&self, state: &mut State<T>) {
        state.looked = Instant::now();
        let stamps = stamps(&self.files);
        let is_due = !self.interval.is_zero() && state.made.elapsed() >= self.interval;
        let has_changed = stamps != state.stamps;
        if !has_changed && !is_due {
            return;
        }
        state.made = state.looked;
        state.stamps = stamps;
        match (self.make)() {
            Ok(made) => {
                state.current = Arc::new(made);
                if has_changed {
                    tracing::info!("TLS files have changed and are in use now: {:?}", self.files);
                }
            }
            Err(error) => {
                tracing::warn!("changed TLS files cannot be used, the old ones stay: {error}");
            }
        }
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Stamp {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            inode: inode(&metadata, path),
        })
    };
    files.iter().map(stamp).collect()
}

#[cfg(unix)]
fn inode(metadata: &Metadata, _: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata, _: &Path) -> u64 {
    0
}
