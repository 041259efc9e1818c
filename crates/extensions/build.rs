// SPDX-License-Identifier: Apache-2.0
//! Makes the dashboard's build output a dependency of this crate.
//!
//! The folder is created when absent: a machine without Node builds all the same (the page then
//! names the command to run), and cargo sees when a build of the page puts files there.

use std::fs;
use std::path::Path;

fn main() {
    let dist = Path::new("../../web/dist");
    // A read-only checkout has no dashboard to embed either: `allow_missing` covers it.
    let _ = fs::create_dir_all(dist);
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", dist.display());
}
