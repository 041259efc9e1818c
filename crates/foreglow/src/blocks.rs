// SPDX-License-Identifier: Apache-2.0
//! `foreglow fsck`, `export`, `snapshot`, `restore`: what people do with the store's blocks.
//!
//! All but `restore` read only, also beside a process that runs with the same data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use basics::Clock;
use basics::files::RealFiles;
use exporters::embedded_store::Config;
use otlp_wire::Signal;
use store::care::{self, Checked};
use store::{Storage, StorageOptions, Store, StoreOptions};

use crate::cli::Options;
use crate::configuration;

const SIGNALS: [(Signal, &str); 3] =
    [(Signal::Metrics, "metrics"), (Signal::Traces, "traces"), (Signal::Logs, "logs")];

/// `foreglow fsck`.
pub fn check(options: &Options) -> Result<()> {
    let storage = reading(options)?;
    told(|signal| care::check(storage.catalog(signal)))
}

/// `foreglow export --plain FILE`.
pub fn export(options: &Options, file: &Path) -> Result<()> {
    let storage = reading(options)?;
    let out = std::fs::File::create(file).with_context(|| format!("error: {}", file.display()))?;
    let rows = care::export_plain(storage.metrics(), std::io::BufWriter::new(out))?;
    println!("{rows} rows in {}", file.display());
    Ok(())
}

/// `foreglow snapshot DIR`.
pub fn snapshot(options: &Options, folder: &Path) -> Result<()> {
    let storage = reading(options)?;
    let to = open(folder, StorageOptions { interval: None, ..StorageOptions::default() })?;
    told(|signal| care::copy(storage.catalog(signal), to.catalog(signal)))
}

/// `foreglow restore DIR`.
pub fn restore(options: &Options, folder: &Path) -> Result<()> {
    let from = open(folder, reads_only(StorageOptions::default()))?;
    if SIGNALS.iter().all(|(signal, _)| from.catalog(*signal).live().is_empty()) {
        bail!("error: {} holds no blocks", folder.display());
    }
    let (directory, mut options) = configured(options)?;
    options.storage.interval = None;
    // Opening the store takes its lock: a process that runs with it would not see the blocks.
    let to = Store::open(&directory, options, RealFiles::shared(), Clock::system())
        .with_context(|| format!("error: the store in {}", directory.display()))?;
    let copied = told(|signal| care::copy(from.catalog(signal), to.storage().catalog(signal)));
    to.close()?;
    copied
}

/// The blocks that the configuration names, to be read only.
fn reading(options: &Options) -> Result<Storage> {
    let (directory, options) = configured(options)?;
    open(&directory, reads_only(options.storage))
}

fn reads_only(options: StorageOptions) -> StorageOptions {
    StorageOptions { query_only: true, interval: None, ..options }
}

fn open(directory: &Path, options: StorageOptions) -> Result<Storage> {
    let files = RealFiles::shared();
    Storage::open(directory, options, "snapshot", files, Clock::system())
        .with_context(|| format!("error: blocks in {}", directory.display()))
}

/// Directory and settings of the `embedded_store` of the configuration.
fn configured(options: &Options) -> Result<(PathBuf, StoreOptions)> {
    let loaded = configuration::load(options)?;
    let mut exporters = loaded.plan.exporters.iter();
    let exporter = exporters.find(|exporter| exporter.factory.kind == "embedded_store");
    let config = exporter.and_then(|exporter| Arc::clone(&exporter.config).downcast().ok());
    let Some(config): Option<Arc<Config>> = config else {
        bail!("error: the configuration has no embedded_store")
    };
    let mut store = config.options();
    store.storage.objects = config.objects()?;
    Ok((config.directory(&options.data), store))
}

/// Works on the blocks of each signal and prints what came of it; damage is a failure.
fn told(work: impl Fn(Signal) -> basics::Result<Checked>) -> Result<()> {
    let mut damaged = 0;
    for (signal, name) in SIGNALS {
        let Checked { blocks, bytes, damaged: found } = work(signal)?;
        println!("{name}: {blocks} blocks, {bytes} bytes");
        for (path, reason) in &found {
            println!("  damaged: {path}: {reason}");
        }
        damaged += found.len();
    }
    match damaged {
        0 => Ok(()),
        _ => bail!("error: {damaged} damaged blocks; the store sets them aside when it meets them"),
    }
}
