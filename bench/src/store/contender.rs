// SPDX-License-Identifier: Apache-2.0
//! The stores: how each is started, when it has come to rest after an import, and what it then has
//! on disk.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::client::{get_body, post_nothing};
use crate::process::{Program, free_port, wait_for};

/// Longest wait for merges.
const REST_MAX: Duration = Duration::from_secs(300);

/// Nothing changes for so long: at rest.
const STILL: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Foreglow,
    VictoriaMetrics,
    Prometheus,
}

/// A program that takes remote write.
#[derive(Clone, Debug)]
pub struct Contender {
    pub kind: Kind,
    pub program: PathBuf,
}

/// One that runs.
pub struct Running {
    pub kind: Kind,
    pub process: Program,
    pub port: u16,
    folder: PathBuf,
}

/// What is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Disk {
    /// Blocks that count, their index included.
    pub bytes: u64,
    /// Samples in them; the contenders that do not tell have all that were sent.
    pub samples: Option<u64>,
    /// Ours: blocks below the last level.
    unmerged: usize,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Foreglow => "foreglow",
            Kind::VictoriaMetrics => "VictoriaMetrics",
            Kind::Prometheus => "Prometheus",
        }
    }

    /// What makes it answer from its data and not from its cache of answers.
    pub fn uncached(self) -> &'static str {
        if self == Kind::VictoriaMetrics { "&nocache=1" } else { "" }
    }

    /// What to say of its figures of size.
    pub fn rest(self) -> &'static str {
        match self {
            Kind::Foreglow => "blocks of a day, as its thread merged them",
            Kind::VictoriaMetrics => "after /internal/force_flush and /internal/force_merge",
            Kind::Prometheus => "blocks as it made them; its newest hours stay in memory and WAL",
        }
    }
}

impl Contender {
    /// Starts it in `folder` with more settings for ours, and waits until it answers.
    pub async fn start(&self, folder: &Path, settings: &[String]) -> Result<Running> {
        std::fs::create_dir_all(folder)?;
        let port = free_port()?;
        let data = folder.join("data").display().to_string();
        let arguments = match self.kind {
            Kind::Foreglow => ours(folder, &data, port, settings)?,
            Kind::VictoriaMetrics => vec![
                format!("-storageDataPath={data}"),
                format!("-httpListenAddr=127.0.0.1:{port}"),
                "-retentionPeriod=1y".to_owned(),
                "-search.disableCache".to_owned(),
                "-search.latencyOffset=0s".to_owned(),
            ],
            Kind::Prometheus => {
                let config = folder.join("prometheus.yml");
                std::fs::write(&config, "global: {}\n")?;
                vec![
                    format!("--config.file={}", config.display()),
                    format!("--storage.tsdb.path={data}"),
                    format!("--web.listen-address=127.0.0.1:{port}"),
                    "--web.enable-remote-write-receiver".to_owned(),
                ]
            }
        };
        let log = folder.join("log");
        let process = Program::start(&self.program, &arguments, Some(0), &log)?;
        let path = if self.kind == Kind::VictoriaMetrics { "/health" } else { "/-/ready" };
        let every = Duration::from_millis(20);
        wait_for(self.kind.name(), Duration::from_secs(60), every, async || {
            get_body(port, path).await.ok()
        })
        .await
        .with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
        Ok(Running { kind: self.kind, process, port, folder: folder.to_owned() })
    }
}

fn ours(folder: &Path, data: &str, page: u16, settings: &[String]) -> Result<Vec<String>> {
    let config = folder.join("config.yaml");
    let (otlp, metrics) = (free_port()?, free_port()?);
    let yaml = format!(
        "receivers: {{otlp: {{protocols: {{http: {{endpoint: \"127.0.0.1:{otlp}\"}}}}}}}}
exporters: {{embedded_store: }}
service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [embedded_store]}}}}}}
"
    );
    std::fs::write(&config, yaml)?;
    let mut arguments = vec![
        format!("--config={}", config.display()),
        format!("--data={data}"),
        format!("--listen=127.0.0.1:{page}"),
        format!("--set=service.telemetry.metrics.address=127.0.0.1:{metrics}"),
    ];
    arguments.extend(settings.iter().map(|setting| format!("--set={setting}")));
    Ok(arguments)
}

impl Running {
    /// Until it has merged what it will merge of `samples`.
    pub async fn rest(&mut self, samples: u64) -> Result<Disk> {
        if self.kind == Kind::VictoriaMetrics {
            post_nothing(self.port, "/internal/force_flush").await?;
            post_nothing(self.port, "/internal/force_merge").await?;
        }
        let mut seen = (Disk::default(), Instant::now());
        wait_for("the disk to come to rest", REST_MAX, Duration::from_millis(500), async || {
            let disk = self.disk().ok()?;
            let busy = match self.kind {
                Kind::Foreglow => disk.unmerged > 0 || disk.samples < Some(samples),
                Kind::VictoriaMetrics => self.merges().await,
                Kind::Prometheus => disk.samples < Some(samples * 8 / 10),
            };
            if busy || disk != seen.0 {
                seen = (disk, Instant::now());
            }
            (seen.1.elapsed() > STILL).then_some(disk)
        })
        .await
    }

    async fn merges(&self) -> bool {
        let Ok(page) = get_body(self.port, "/metrics").await else { return true };
        let page = String::from_utf8_lossy(&page).into_owned();
        page.lines()
            .filter(|l| {
                l.starts_with("vm_active_merges") || l.starts_with("vm_active_force_merges")
            })
            .any(|line| !line.ends_with(" 0"))
    }

    /// What is there now.
    pub fn disk(&self) -> Result<Disk> {
        let data = self.folder.join("data");
        match self.kind {
            Kind::Foreglow => manifest(&data),
            Kind::VictoriaMetrics => {
                // Its index is in there.
                Ok(Disk { bytes: bytes_in(&data.join("data"))?, ..Disk::default() })
            }
            Kind::Prometheus => blocks(&data),
        }
    }

    /// All that is in its directory: logs, and what was replaced lately.
    pub fn bytes_in_all(&self) -> Result<u64> {
        bytes_in(&self.folder.join("data"))
    }
}

/// What our newest manifest of metrics lists.
fn manifest(data: &Path) -> Result<Disk> {
    #[derive(Deserialize)]
    struct File {
        manifest: Manifest,
    }
    #[derive(Deserialize)]
    struct Manifest {
        live: Vec<Block>,
    }
    #[derive(Deserialize)]
    struct Block {
        level: u8,
        tmin: i64,
        bytes: u64,
        items: u64,
    }
    impl Block {
        fn day(&self) -> i64 {
            self.tmin.div_euclid(24 * 3_600_000)
        }
    }
    let mut all = Vec::new();
    files_in(data, &mut all)?;
    let is_manifest = |path: &&PathBuf| {
        let path = path.to_string_lossy();
        path.contains("/metrics/v1/manifest/") && path.ends_with(".json")
    };
    let newest = all.iter().filter(is_manifest).max().context("no manifest of metrics")?;
    let File { manifest } = serde_json::from_slice(&std::fs::read(newest)?)?;
    // What comes late for a day that is merged already waits for more, by design.
    let days: HashSet<i64> =
        manifest.live.iter().filter(|block| block.level == 2).map(Block::day).collect();
    let unmerged =
        |block: &&Block| block.level == 0 || block.level == 1 && !days.contains(&block.day());
    Ok(Disk {
        bytes: manifest.live.iter().map(|block| block.bytes).sum(),
        samples: Some(manifest.live.iter().map(|block| block.items).sum()),
        unmerged: manifest.live.iter().filter(unmerged).count(),
    })
}

/// Prometheus' blocks, by their `meta.json`.
fn blocks(data: &Path) -> Result<Disk> {
    let (mut bytes, mut samples) = (0, 0);
    for entry in std::fs::read_dir(data)? {
        let folder = entry?.path();
        let Ok(meta) = std::fs::read(folder.join("meta.json")) else { continue };
        let meta: serde_json::Value = serde_json::from_slice(&meta)?;
        samples += meta["stats"]["numSamples"].as_u64().unwrap_or_default();
        bytes += bytes_in(&folder)?;
    }
    ensure!(samples > 0, "no blocks yet");
    Ok(Disk { bytes, samples: Some(samples), unmerged: 0 })
}

fn bytes_in(folder: &Path) -> Result<u64> {
    let mut files = Vec::new();
    files_in(folder, &mut files)?;
    // One may go while they are counted.
    Ok(files.iter().filter_map(|file| file.metadata().ok()).map(|m| m.len()).sum())
}

fn files_in(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        match path.is_dir() {
            true => files_in(&path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}
