// SPDX-License-Identifier: Apache-2.0
//! Which targets a job has: those in its configuration, and those in files that may change.
//!
//! Files are looked at every few seconds (their time and length) and read when they differ. A file
//! that cannot be read or understood keeps the targets it had; one that is gone loses them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use basics::{Error, Result};
use pipeline::config::{ComponentConfig, from_plain};
use serde::Deserialize;

use super::config::{FileSd, Job, StaticConfig};

/// A change of a file is seen after this time, or after `refresh_interval` if that is shorter.
const LOOK: Duration = Duration::from_secs(5);

/// Largest file of targets: a million of them.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Targets with the labels they share, and the file they are from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// `host:port`.
    pub address: String,
    /// Labels, `__meta_*` among them.
    pub labels: Vec<(String, String)>,
}

/// The targets of one job.
#[derive(Debug)]
pub struct Discovery {
    fixed: Vec<Found>,
    files: Vec<FileSd>,
    seen: BTreeMap<PathBuf, Seen>,
}

#[derive(Debug)]
struct Seen {
    stamp: Option<(SystemTime, u64)>,
    found: Vec<Found>,
}

#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Groups(Vec<StaticConfig>);

impl ComponentConfig for Groups {}

impl Discovery {
    /// The targets of `job`; nothing is read yet.
    pub fn new(job: &Job) -> Self {
        let fixed = job.static_configs.iter().flat_map(|group| found(group, None)).collect();
        Discovery { fixed, files: job.file_sd_configs.clone(), seen: BTreeMap::new() }
    }

    /// When to look again; `None` if nothing can change.
    pub fn every(&self) -> Option<Duration> {
        self.files
            .iter()
            .map(|sd| sd.refresh_interval.0.clamp(Duration::from_millis(10), LOOK))
            .min()
    }

    /// All targets now; `None` if they are the same as at the last look.
    pub fn look(&mut self) -> Option<Vec<Found>> {
        let first = self.seen.is_empty();
        let mut changed = first;
        let mut seen = BTreeMap::new();
        let names = self.files.iter().flat_map(|sd| &sd.files);
        for path in names.flat_map(|name| matching(name)) {
            let stamp = stamp(&path);
            let before = self.seen.remove(&path);
            if before.as_ref().is_some_and(|before| before.stamp == stamp && stamp.is_some()) {
                seen.extend(before.map(|before| (path, before)));
                continue;
            }
            match read(&path) {
                Ok(found) => {
                    changed |= before.is_none_or(|before| before.found != found);
                    seen.insert(path, Seen { stamp, found });
                }
                Err(error) => {
                    tracing::warn!(file = %path.display(), "cannot use this file of targets: {error}");
                    let found = before.map(|before| before.found).unwrap_or_default();
                    seen.insert(path, Seen { stamp, found });
                }
            }
        }
        changed |= !self.seen.is_empty();
        self.seen = seen;
        changed.then(|| {
            let from_files = self.seen.values().flat_map(|seen| seen.found.iter());
            self.fixed.iter().chain(from_files).cloned().collect()
        })
    }
}

/// The targets of a group, each with its labels.
fn found(group: &StaticConfig, file: Option<&Path>) -> Vec<Found> {
    let mut labels: Vec<(String, String)> =
        group.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    if let Some(file) = file {
        labels.push(("__meta_filepath".to_owned(), file.display().to_string()));
    }
    let target = |address: &String| Found { address: address.clone(), labels: labels.clone() };
    group.targets.iter().map(target).collect()
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

fn read(path: &Path) -> Result<Vec<Found>> {
    let wrong = |what: String| Error::invalid(what);
    let length = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(wrong(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    let groups: Groups = match path.extension().is_some_and(|end| end == "json") {
        true => serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?,
        false => from_plain(&path.display().to_string(), &text).map_err(wrong)?,
    };
    Ok(groups.0.iter().flat_map(|group| found(group, Some(path))).collect())
}

/// The files that a name stands for; a name without a pattern stands for itself.
pub(super) fn matching(name: &str) -> Vec<PathBuf> {
    let (folder, last) = match name.rsplit_once('/') {
        Some(("", last)) => ("/", last),
        Some((folder, last)) => (folder, last),
        None => (".", name),
    };
    if !last.contains(['*', '?', '[']) {
        let path = PathBuf::from(name);
        return if path.is_file() { vec![path] } else { Vec::new() };
    }
    let Ok(pattern) = globset::GlobBuilder::new(last).literal_separator(true).build() else {
        return Vec::new();
    };
    let pattern = pattern.compile_matcher();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| pattern.is_match(entry.file_name()));
    let mut paths: Vec<PathBuf> = files.map(|entry| entry.path()).filter(|p| p.is_file()).collect();
    paths.sort();
    paths
}
