// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask reference`: a page per component and a JSON Schema, from the sources.
//!
//! The settings of a component are a `Config` of plain structs: their fields are the keys, their
//! rustdoc says what a key means, their `Default` says what it is when not written. All of it is
//! read from the source files, so nothing has to be said twice and nothing runs but a parser.
//! Written to `docs/reference/`; a test compares what is there with what would be written.

mod defaults;
mod factories;
mod keys;
mod page;
mod schema;
mod types;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use types::Sources;

/// Where the pages are, from the repository's root.
const FOLDER: &str = "docs/reference";

/// Writes every page, and removes those of components that are gone.
///
/// # Errors
/// A source that cannot be read or says what the generator does not understand.
pub fn write(root: &Path) -> Result<()> {
    let files = generate(root)?;
    let folder = root.join(FOLDER);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    for (path, text) in &files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
        std::fs::write(path, text)?;
    }
    println!("{} files in {FOLDER}", files.len());
    Ok(())
}

/// Fails if what is in the repository is not what [`write`] would write.
///
/// # Errors
/// Names the first file that differs.
pub fn check(root: &Path) -> Result<()> {
    for (path, text) in generate(root)? {
        let there = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
        anyhow::ensure!(there == text, "{} is out of date: cargo xtask reference", path.display());
    }
    Ok(())
}

/// Path from the root and content of every file.
fn generate(root: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let sources = Sources::read(root)?;
    let components = factories::components(&sources)?;
    let folder = Path::new(FOLDER);
    let mut files = BTreeMap::new();
    for component in &components {
        let keys = keys::of(&sources, &component.config, &component.file)
            .with_context(|| format!("{} {}", component.stage, component.kind))?;
        let readme = root.join(component.folder()).join("README.md");
        let readme = std::fs::read_to_string(&readme).unwrap_or_default();
        let path = folder.join(component.stage).join(format!("{}.md", component.kind));
        files.insert(path, page::component(component, &keys, &readme));
    }
    files.insert(folder.join("README.md"), page::contents(&components));
    let schema = schema::collector(&sources, &components)?;
    files.insert(folder.join("collector.schema.json"), schema);
    Ok(files)
}
