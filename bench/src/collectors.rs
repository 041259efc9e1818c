// SPDX-License-Identifier: Apache-2.0
//! Collectors side by side: the same YAML, the same requests, one core each.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::grpc::{Sink, load};
use crate::payload::{Signal, requests};
use crate::process::{Program, free_port, machine, wait_for};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Our binary.
    #[arg(long, default_value = "target/release/foreglow")]
    foreglow: PathBuf,
    /// The Go collector; when not given, the one that `make interop` built into its cache.
    #[arg(long)]
    otelcol: Option<PathBuf>,
    /// Measure us alone, without a peer.
    #[arg(long)]
    alone: bool,
    /// Items per run in millions.
    #[arg(long, default_value_t = 2.0)]
    millions: f64,
    /// Runs of each; the median counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Signals to send.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "traces,metrics,logs")]
    signals: Vec<Signal>,
    /// Where the raw figures go.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// One measured run.
#[derive(Clone, Debug, Serialize)]
struct Figures {
    row: &'static str,
    signal: &'static str,
    contender: &'static str,
    cpu_seconds_per_million: f64,
    items_per_second: f64,
    peak_rss_mib: f64,
}

struct Row {
    name: &'static str,
    processors: &'static str,
    chain: &'static str,
}

const ROWS: &[Row] = &[
    Row { name: "pass-through", processors: "", chain: "" },
    Row {
        name: "resource+attributes, no hash",
        processors: "processors:
  resource: {attributes: [{key: deployment.region, value: eu-west-1, action: upsert}]}
  attributes: {actions: [{key: team, value: shop, action: insert}, {key: thread.name, action: delete}]}
",
        chain: "processors: [resource, attributes], ",
    },
    Row {
        name: "resource+attributes with SHA-256",
        processors: "processors:
  resource: {attributes: [{key: deployment.region, value: eu-west-1, action: upsert}]}
  attributes: {actions: [{key: team, value: shop, action: insert}, {key: enduser.id, action: hash}, {key: thread.name, action: delete}]}
",
        chain: "processors: [resource, attributes], ",
    },
];

/// Runs every row for every contender and prints the table.
pub async fn run(options: Options) -> Result<()> {
    let mut contenders: Vec<(&'static str, &Path)> = vec![("foreglow", &options.foreglow)];
    let otelcol = options.otelcol.clone().unwrap_or_else(cached_otelcol);
    if !options.alone {
        ensure!(otelcol.exists(), "{} is not there: `make interop` builds it", otelcol.display());
        contenders.push(("otelcol", &otelcol));
    }
    let sink = Sink::start().await?;
    let scratch = std::env::temp_dir().join(format!("foreglow-bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let mut raw = Vec::new();
    println!("| row | signal | contender | CPU-s per M items | items/s | peak RSS MiB |");
    println!("|---|---|---|---|---|---|");
    for row in ROWS {
        for &signal in &options.signals {
            let mut medians = Vec::new();
            for &(name, program) in &contenders {
                let mut runs = Vec::new();
                for _ in 0..options.runs {
                    runs.push(
                        measure(row, signal, name, program, &sink, &scratch, options.millions)
                            .await?,
                    );
                }
                runs.sort_by(|a, b| {
                    a.cpu_seconds_per_million.total_cmp(&b.cpu_seconds_per_million)
                });
                let median = runs[runs.len() / 2].clone();
                println!(
                    "| {} | {} | {} | {:.3} | {:.0} | {:.0} |",
                    median.row,
                    median.signal,
                    median.contender,
                    median.cpu_seconds_per_million,
                    median.items_per_second,
                    median.peak_rss_mib
                );
                medians.push(median.cpu_seconds_per_million);
                raw.extend(runs);
            }
            if let [ours, theirs] = medians[..] {
                println!(
                    "| {} | {} | ratio | 1/{:.1} | | |",
                    row.name,
                    signal.name(),
                    theirs / ours
                );
            }
        }
    }
    if let Some(out) = &options.out {
        let versions: Vec<_> = contenders.iter().map(|(_, program)| version(program)).collect();
        let record = serde_json::json!({
            "machine": machine(), "versions": versions, "millions": options.millions, "runs": raw
        });
        std::fs::write(out, serde_json::to_string_pretty(&record)? + "\n")?;
    }
    std::fs::remove_dir_all(&scratch)?;
    Ok(())
}

/// What `program --version` says.
fn version(program: &Path) -> String {
    let output = std::process::Command::new(program).arg("--version").output();
    output.map_or_else(
        |error| error.to_string(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// Where `interop/peers.py` puts the Go collector.
fn cached_otelcol() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = set("FOREGLOW_INTEROP_CACHE").unwrap_or_else(|| {
        let base =
            set("XDG_CACHE_HOME").unwrap_or_else(|| set("HOME").unwrap_or_default().join(".cache"));
        base.join("foreglow-interop")
    });
    cache.join("bin/otelcol")
}

async fn measure(
    row: &Row,
    signal: Signal,
    contender: &'static str,
    program: &Path,
    sink: &Sink,
    scratch: &Path,
    millions: f64,
) -> Result<Figures> {
    let port = free_port()?;
    let config = scratch.join("config.yaml");
    std::fs::write(&config, yaml(row, port, sink.port))?;
    let mut arguments = vec![format!("--config={}", config.display())];
    if contender == "foreglow" {
        arguments.push("--listen=off".into());
        arguments.push(format!("--data={}", scratch.join("data").display()));
    }
    let mut process = Program::start(program, &arguments, 0, &scratch.join("log"))?;
    let log = || std::fs::read_to_string(scratch.join("log")).unwrap_or_default();
    wait_for("the collector", Duration::from_secs(20), Duration::from_millis(20), async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
    })
    .await
    .with_context(log)?;
    let bodies = Arc::new(requests(signal, 16));
    let total = ((millions * 1e6) as u64 / signal.items()).max(50);
    // Connections, caches and pools are warm before the clock starts.
    let before = sink.items();
    let warm =
        load(port, signal, bodies.clone(), (total / 20).max(20), 4, 2).await.with_context(log)?;
    drained(sink, before + warm * signal.items()).await.with_context(log)?;
    let (before, cpu, begin) = (sink.items(), process.cpu_seconds()?, Instant::now());
    let accepted = load(port, signal, bodies, total, 4, 2).await.with_context(log)?;
    let wall = begin.elapsed();
    drained(sink, before + accepted * signal.items()).await.with_context(log)?;
    process.check_alive()?;
    let items = (accepted * signal.items()) as f64;
    let figures = Figures {
        row: row.name,
        signal: signal.name(),
        contender,
        cpu_seconds_per_million: (process.cpu_seconds()? - cpu) / items * 1e6,
        items_per_second: items / wall.as_secs_f64(),
        peak_rss_mib: process.memory_mib("VmHWM")?,
    };
    ensure!(
        figures.cpu_seconds_per_million > 0.0
            && figures.items_per_second > 0.0
            && figures.peak_rss_mib > 0.0,
        "a figure is zero: {figures:?}"
    );
    Ok(figures)
}

/// Waits until the sink has counted exactly `target` items.
async fn drained(sink: &Sink, target: u64) -> Result<()> {
    wait_for(
        "the sink to get everything",
        Duration::from_secs(30),
        Duration::from_millis(5),
        async || (sink.items() >= target).then_some(()),
    )
    .await?;
    ensure!(sink.items() == target, "the sink has {} items too many", sink.items() - target);
    Ok(())
}

fn yaml(row: &Row, port: u16, sink: u16) -> String {
    let pipeline = |signal: &str| {
        format!("    {signal}: {{receivers: [otlp], {}exporters: [otlp]}}\n", row.chain)
    };
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}', max_recv_msg_size_mib: 64}}}}}}}}
{}exporters: {{otlp: {{endpoint: '127.0.0.1:{sink}', tls: {{insecure: true}}, compression: none}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
{}{}{}",
        row.processors,
        pipeline("traces"),
        pipeline("metrics"),
        pipeline("logs")
    )
}
