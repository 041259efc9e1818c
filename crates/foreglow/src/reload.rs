// SPDX-License-Identifier: Apache-2.0
//! When the configuration is loaded anew, and what is said about it.
//!
//! On SIGHUP, and when a file that was read has changed: written in place, replaced by a rename,
//! or reached over a symbolic link that was turned, as Kubernetes does with a ConfigMap. Files are
//! looked at, not watched: a look is one `stat` a file each second, works on every file system,
//! and a file must look the same twice, so that none is read half written.
//! A configuration that cannot be used changes nothing; each mistake is a log line with its place.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use pipeline::Running;
use pipeline::config::{Diagnostics, Level, Loaded};
use pipeline::runtime::ReloadMeter;

use crate::cli::Options;
use crate::{configuration, data, logs};

/// Between two looks at the files.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long what was replaced may take to hand over what it holds.
const DRAIN: Duration = Duration::from_secs(25);

/// What tells one state of a file from another: device, inode, size, nanoseconds of its change.
type State = Option<(u64, u64, u64, i64, i64)>;

/// The files of a configuration.
pub struct Files {
    paths: Vec<PathBuf>,
    seen: Vec<State>,
}

impl Files {
    /// Those of `diagnostics`, and those that `options` names, as they are now.
    pub fn new(options: &Options, diagnostics: &Diagnostics) -> Self {
        let mut paths = diagnostics.files();
        let named = options.configs.iter().map(|it| it.strip_prefix("file:").unwrap_or(it));
        paths.extend(named.map(PathBuf::from));
        paths.sort();
        paths.dedup();
        let seen = states(&paths);
        Files { paths, seen }
    }

    /// Resolves when one has changed and looks the same twice.
    pub async fn changed(&mut self) {
        let mut last: Option<Vec<State>> = None;
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let now = states(&self.paths);
            if now != self.seen && last.as_ref() == Some(&now) {
                self.seen = now;
                return;
            }
            last = Some(now);
        }
    }
}

fn states(paths: &[PathBuf]) -> Vec<State> {
    let state = |path: &PathBuf| {
        // Follows links; a file that is gone is a state as well.
        let it = std::fs::metadata(path).ok()?;
        Some((it.dev(), it.ino(), it.size(), it.mtime(), it.mtime_nsec()))
    };
    paths.iter().map(state).collect()
}

/// Goes over to the configuration as it is now; what is to be watched from now on.
pub async fn reload(
    running: &mut Running,
    options: &Options,
    meter: &ReloadMeter,
    why: &str,
) -> Files {
    tracing::info!("loading the configuration anew: {why}");
    let (files, outcome) = match configuration::load_again(options) {
        Ok(loaded) => {
            (Files::new(options, &loaded.diagnostics), apply(running, options, &loaded).await)
        }
        Err(diagnostics) => (Files::new(options, &diagnostics), Err(diagnostics.error_lines())),
    };
    match &outcome {
        Ok(()) => tracing::info!("the new configuration runs"),
        Err(mistakes) => {
            for mistake in mistakes {
                tracing::error!("{mistake}");
            }
            tracing::error!("the new configuration is not used; the old one goes on");
        }
    }
    let now = running.host().clock().now() as f64 / 1e9;
    meter.tried(outcome.is_ok(), now);
    files
}

async fn apply(
    running: &mut Running,
    options: &Options,
    loaded: &Loaded,
) -> Result<(), Vec<String>> {
    data::prepare(&options.data, &loaded.plan).map_err(|error| vec![format!("{error:#}")])?;
    let logs = logs::prepare(&loaded.plan.telemetry.logs).map_err(|e| vec![format!("{e:#}")])?;
    let telemetry = running.host().telemetry().clone();
    let before = telemetry.is_detailed();
    telemetry.set_detailed(loaded.plan.telemetry.metrics.level == Level::Detailed);
    let reloaded = running.reload(&loaded.plan, DRAIN).await;
    reloaded.map_err(|errors| {
        telemetry.set_detailed(before);
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    })?;
    logs.take_over();
    for warning in loaded.diagnostics.warning_lines() {
        tracing::warn!("{warning}");
    }
    Ok(())
}
