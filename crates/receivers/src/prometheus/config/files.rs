// SPDX-License-Identifier: Apache-2.0
//! Jobs in files of their own, `scrape_config_files`.
//!
//! In: names, with a pattern in their last part if need be; out: what each file holds, or why it
//! cannot be read. They are Prometheus' files: `$` has no meaning in them. A name without a file is
//! no mistake, as in Prometheus. Read when the configuration is checked and when the receiver starts.

use std::path::PathBuf;

use pipeline::config::{ComponentConfig, from_plain};
use serde::Deserialize;

use super::Job;
use crate::prometheus::discovery::matching;

/// Largest file: thousands of jobs.
const BYTES_MAX: u64 = 16 << 20;

/// What a file holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Jobs {
    scrape_configs: Vec<Job>,
}

/// Jobs are checked by whoever knows the defaults for all.
impl ComponentConfig for Jobs {}

/// The files that `names` stand for, each with its jobs or with what is wrong with it.
pub(super) fn read(names: &[String]) -> Vec<(PathBuf, Result<Vec<Job>, String>)> {
    let paths = names.iter().flat_map(|name| matching(name));
    paths.map(|path| (path.clone(), jobs(&path))).collect()
}

fn jobs(path: &PathBuf) -> Result<Vec<Job>, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > BYTES_MAX {
        return Err(format!("it is larger than {BYTES_MAX} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    from_plain::<Jobs>(&path.display().to_string(), &text).map(|jobs| jobs.scrape_configs)
}
