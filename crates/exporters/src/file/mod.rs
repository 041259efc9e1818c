// SPDX-License-Identifier: Apache-2.0
//! Exporter `file`: OTLP into files, as JSON lines or length-prefixed protobuf.
//!
//! A batch is one record, written when `export` returns and synced to the disk within
//! `flush_interval`; see [`sink`] for the layout and what holds after a crash. All signals of one
//! exporter id share their files. With `group_by` the resources of a batch go to a file each by
//! one of their attributes; resources without it are left out and counted.
//!
//! Bounds: `max_open_files`; of the groups met, [`GROUPS_MAX`] are remembered.

mod backups;
mod config;
mod sink;
#[cfg(test)]
mod tests;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use basics::{Error, Result};
use bytes::Bytes;
use hashbrown::{HashMap, HashSet};
use otlp_wire::{Payload, Signal};
use parking_lot::Mutex;
use pipeline::component::ExporterFactory;
use pipeline::telemetry::{Counter, ExporterMeter};
use pipeline::{Batch, Context, Exporter};
use tokio::task::JoinHandle;

pub use config::{Config, Format, GroupBy, Level, Rotation};

use crate::jaeger::push::push_group;
use sink::{Framing, Sink};

/// Groups remembered to have been begun by this process. Files of later ones are never emptied,
/// so the bound costs no data.
pub const GROUPS_MAX: usize = 10_000;

/// How the component table makes it.
pub fn factory() -> ExporterFactory {
    ExporterFactory {
        kind: "file",
        aliases: &[],
        signals: &Signal::ALL,
        summary: "OTLP into files, JSON lines or protobuf",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config
                .downcast::<Config>()
                .map_err(|_| Error::invalid("exporter file got another component's settings"))?;
            Ok(Arc::new(FileExporter::new(config, context)))
        },
    }
}

/// The exporter.
pub struct FileExporter {
    config: Arc<Config>,
    context: Context,
    meter: ExporterMeter,
    ungrouped: Counter,
    files: Mutex<Option<Arc<Files>>>,
    syncing: Mutex<Option<JoinHandle<()>>>,
    stopped: AtomicBool,
}

impl FileExporter {
    /// An exporter for the signal of `context`.
    pub fn new(config: Arc<Config>, context: Context) -> Self {
        let telemetry = context.host.telemetry();
        FileExporter {
            meter: ExporterMeter::new(telemetry, &context.id),
            ungrouped: telemetry.counter(
                "foreglow_file_ungrouped_items_total",
                "Items left out because their resource lacks the attribute of group_by.",
                &[("exporter", &context.id)],
            ),
            config,
            context,
            files: Mutex::new(None),
            syncing: Mutex::new(None),
            stopped: AtomicBool::new(false),
        }
    }

    /// The records of `payload`, each with the group it is of.
    fn records(&self, payload: &Payload) -> Result<Vec<(String, Vec<u8>)>> {
        if !self.config.group_by.enabled {
            return Ok(vec![(String::new(), record(&self.config, payload)?)]);
        }
        let mut records = Vec::new();
        let mut left_out = u64::from(payload.items());
        for (segment, part) in groups(payload, &self.config.group_by.resource_attribute)? {
            left_out -= u64::from(part.items());
            records.push((segment, record(&self.config, &part)?));
        }
        self.ungrouped.add(left_out);
        Ok(records)
    }
}

#[async_trait]
impl Exporter for FileExporter {
    async fn start(&self) -> Result<()> {
        // The settings are part of the name: another graph with others opens files of its own,
        // and one with the same goes on with these.
        let name = format!("{} {:?}", self.context.id, self.config);
        let clock = self.context.clock.clone();
        let config = self.config.clone();
        let files = self.context.host.shared(&name, move || Files::open(config, clock))?;
        let (weak, interval) = (Arc::downgrade(&files), self.config.sync_interval());
        *self.files.lock() = Some(files);
        *self.syncing.lock() = Some(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(interval);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let Some(files) = weak.upgrade() else { return };
                let _ = tokio::task::spawn_blocking(move || files.sync()).await;
            }
        }));
        Ok(())
    }

    async fn export(&self, batch: Batch) -> Result<()> {
        let (signal, items) = (batch.signal(), batch.items());
        let outcome = self.write(&batch).await;
        match &outcome {
            Ok(()) => self.meter.sent(signal, items),
            Err(error) => {
                self.meter.failed(signal, items, error);
                tracing::error!(exporter = %self.context.id, dropped_items = items, "Exporting failed. {error}");
            }
        }
        batch.acks.settle(outcome.clone());
        outcome
    }

    async fn stop(&self) -> Result<()> {
        self.stopped.store(true, Ordering::Release);
        if let Some(task) = self.syncing.lock().take() {
            task.abort();
        }
        let Some(files) = self.files.lock().take() else { return Ok(()) };
        // Fails only when it panics, and then there is nothing left to sync.
        let _ = tokio::task::spawn_blocking(move || files.sync()).await;
        Ok(())
    }
}

impl FileExporter {
    async fn write(&self, batch: &Batch) -> Result<()> {
        let closed = || Error::closed(format!("{}: stopped", self.context.id));
        let files = self.files.lock().clone().ok_or_else(closed)?;
        if self.stopped.load(Ordering::Acquire) {
            return Err(closed());
        }
        if batch.payload.is_empty() {
            return Ok(());
        }
        let records = self.records(&batch.payload)?;
        let written = tokio::task::spawn_blocking(move || {
            records.iter().try_for_each(|(segment, record)| files.append(segment, record))
        });
        let failed = |e| Error::retry("writing was interrupted").caused_by(e);
        written.await.map_err(failed)?.map_err(|error| error.within(&self.context.id))
    }
}

/// `payload` as it stands in the file.
fn record(config: &Config, payload: &Payload) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    if config.is_framed() {
        plain.extend_from_slice(&[0; 4]);
    }
    match config.format {
        Format::Json => payload.to_json(&mut plain),
        Format::Proto => plain.extend_from_slice(payload.bytes()),
    }
    if !config.is_framed() {
        plain.push(b'\n');
        return Ok(plain);
    }
    if let Some(level) = config.zstd_level() {
        let packed = zstd::bulk::compress(&plain[4..], level)
            .map_err(|e| Error::rejected("cannot compress the batch").caused_by(e))?;
        plain.truncate(4);
        plain.extend_from_slice(&packed);
    }
    let length = u32::try_from(plain.len() - 4)
        .map_err(|_| Error::rejected("a record of more than 4 GiB cannot be written"))?;
    plain[..4].copy_from_slice(&length.to_be_bytes());
    Ok(plain)
}

/// The resources of `payload` by their text attribute `key`, in order of the first of each.
fn groups(payload: &Payload, key: &str) -> Result<Vec<(String, Payload)>> {
    let mut parts: Vec<(&str, Vec<u8>)> = Vec::new();
    for resource in payload.resources() {
        let Some(segment) = resource.attr(key).and_then(|value| value.as_str()) else { continue };
        match parts.iter_mut().find(|(found, _)| *found == segment) {
            Some((_, bytes)) => push_group(bytes, &resource),
            None => {
                let mut bytes = Vec::new();
                push_group(&mut bytes, &resource);
                parts.push((segment, bytes));
            }
        }
    }
    let admit = |(segment, bytes): (&str, Vec<u8>)| {
        let payload = Payload::admit(payload.signal(), Bytes::from(bytes))
            .map_err(|e| Error::rejected(format!("cannot split by {key}")).caused_by(e))?;
        Ok((segment.to_owned(), payload))
    };
    parts.into_iter().map(admit).collect()
}

/// The open files of one exporter id.
struct Files {
    config: Arc<Config>,
    settings: sink::Settings,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    sinks: HashMap<PathBuf, (u64, Sink)>,
    begun: HashSet<PathBuf>,
    /// Counts uses, to find the file not used for longest.
    uses: u64,
}

impl Files {
    fn open(config: Arc<Config>, clock: basics::Clock) -> Result<Files> {
        let framing = if config.is_framed() { Framing::Lengths } else { Framing::Lines };
        let localtime = config.rotation.is_some_and(|rotation| rotation.localtime);
        let settings = sink::Settings {
            framing,
            rotation: config.rotation,
            zone: backups::zone(localtime),
            clock,
        };
        let files = Files { config, settings, open: Mutex::default() };
        if !files.config.group_by.enabled {
            let path = PathBuf::from(&files.config.path);
            files.with(path, |_| Ok(()))?;
        }
        Ok(files)
    }

    fn append(&self, segment: &str, record: &[u8]) -> Result<()> {
        let path = match self.config.group_by.enabled {
            true => self.config.path_of(segment),
            false => PathBuf::from(&self.config.path),
        };
        self.with(path, |sink| sink.append(record))
    }

    /// Does `work` with the file at `path`, opened if it is not.
    fn with(&self, path: PathBuf, work: impl FnOnce(&mut Sink) -> Result<()>) -> Result<()> {
        let mut open = self.open.lock();
        open.uses += 1;
        let uses = open.uses;
        if let Some((used, sink)) = open.sinks.get_mut(&path) {
            *used = uses;
            return work(sink);
        }
        if open.sinks.len() >= self.config.group_by.max_open_files.max(1) {
            let oldest = open.sinks.iter().min_by_key(|(_, (used, _))| *used);
            let oldest = oldest.map(|(path, _)| path.clone());
            oldest.and_then(|path| open.sinks.remove(&path));
        }
        let is_first = !open.begun.contains(&path) && open.begun.len() < GROUPS_MAX;
        self.make_directory(&path)?;
        let mut sink = Sink::open(&path, self.config.append || !is_first, self.settings.clone())?;
        if is_first {
            open.begun.insert(path.clone());
        }
        let outcome = work(&mut sink);
        open.sinks.insert(path, (uses, sink));
        outcome
    }

    fn make_directory(&self, path: &Path) -> Result<()> {
        let wanted = self.config.create_directory || self.config.group_by.enabled;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Some(folder) = folder.filter(|_| wanted) else { return Ok(()) };
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(self.config.directory_mode());
        let failed = |e| Error::invalid(format!("cannot make {}", folder.display())).caused_by(e);
        builder.create(folder).map_err(failed)
    }

    /// Brings what was written to the disk. The lock is not held meanwhile.
    fn sync(&self) {
        let handles: Vec<_> =
            self.open.lock().sinks.values_mut().filter_map(|(_, sink)| sink.unsynced()).collect();
        for file in handles {
            if let Err(error) = file.sync_data() {
                tracing::error!(path = self.config.path, "cannot sync: {error}");
            }
        }
    }
}
