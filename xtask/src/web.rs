// SPDX-License-Identifier: Apache-2.0
//! The dashboard: installed, built and tested with npm where there is Node; without it the binary
//! is built all the same and serves a page that says how to get the dashboard.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::{root, run};

/// `web/dist`, which the binary embeds.
pub fn build() -> Result<()> {
    let Some(web) = installed()? else { return Ok(()) };
    run(&web, "npm", &["run", "--silent", "build"])
}

/// The dashboard's own tests.
pub fn test() -> Result<()> {
    let Some(web) = installed()? else { return Ok(()) };
    run(&web, "npm", &["test", "--silent"])
}

/// The folder with its packages installed as the lock file says; `None` without Node.
fn installed() -> Result<Option<std::path::PathBuf>> {
    let web = root().join("web");
    let has_npm = Command::new("npm").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !has_npm {
        println!("npm is not installed: the dashboard is neither built nor tested");
        return Ok(None);
    }
    if !is_current(&web) {
        run(&web, "npm", &["ci", "--no-audit", "--no-fund", "--loglevel=error"])?;
    }
    Ok(Some(web))
}

/// npm leaves a copy of the lock file in what it installed; newer than the lock file = up to date.
fn is_current(web: &Path) -> bool {
    let modified = |path: &str| web.join(path).metadata().and_then(|data| data.modified());
    match (modified("node_modules/.package-lock.json"), modified("package-lock.json")) {
        (Ok(installed), Ok(locked)) => installed >= locked,
        _ => false,
    }
}
