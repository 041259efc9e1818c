// SPDX-License-Identifier: Apache-2.0
//! The data directory, checked before anything starts.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use pipeline::config::Plan;

/// Makes the data directory and sees that files can be written there, if `plan` keeps data.
pub fn prepare(directory: &Path, plan: &Plan) -> Result<()> {
    let keeps_data =
        plan.exporters.iter().any(|exporter| exporter.factory.kind == "embedded_store");
    if !keeps_data {
        return Ok(());
    }
    check(directory).with_context(|| {
        format!(
            "error: cannot write to the data directory {}; choose another one with --data DIR",
            directory.display()
        )
    })
}

fn check(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let probe = directory.join(format!(".probe-{}", std::process::id()));
    let written = std::fs::write(&probe, b"x");
    let removed = std::fs::remove_file(&probe);
    match written {
        // What is there can be read, and what is too old is let go: room for what comes.
        Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            tracing::error!(directory = %directory.display(), "the disk is full: nothing new is taken");
            Ok(())
        }
        Err(error) => Err(error),
        Ok(()) => removed,
    }
}
