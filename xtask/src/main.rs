// SPDX-License-Identifier: Apache-2.0
//! Repository automation: `cargo xtask web`, `cargo xtask reference`,
//! `cargo xtask demo start|stop|dashboard|load`.
//!
//! What the Makefile's targets do. The rules of the repository are tests: `tests/tidy.rs`.

mod demo;
mod reference;
mod web;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask web | web-test | reference [--check] | demo start | demo stop | demo dashboard | demo load";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["web"] => web::build(),
        ["web-test"] => web::test(),
        ["reference"] => reference::write(&root()),
        ["reference", "--check"] => reference::check(&root()),
        ["demo", "start"] => demo::start(),
        ["demo", "stop"] => demo::stop(),
        ["demo", "dashboard"] => demo::dashboard(),
        ["demo", "load"] => demo::load(),
        _ => bail!(USAGE),
    }
}

/// The root of the repository.
fn root() -> std::path::PathBuf {
    let manifest = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Runs `program` in `folder` and fails if it does.
fn run(folder: &std::path::Path, program: &str, arguments: &[&str]) -> Result<()> {
    let status =
        std::process::Command::new(program).args(arguments).current_dir(folder).status()?;
    if !status.success() {
        bail!("{program} {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_is_what_the_sources_say() {
        super::reference::check(&super::root()).expect("cargo xtask reference");
    }
}
