// SPDX-License-Identifier: Apache-2.0
//! Collectors side by side: the same YAML, the same requests, one core each.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::load::{Codec, Press, Tally, Target, Until, load};
use crate::payload::{Signal, requests};
use crate::process::{Program, free_port, machine, wait_for};
use crate::rows::{Contender, ROWS, Row};
use crate::sink::Sink;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Our binary.
    #[arg(long, default_value = "target/release/foreglow")]
    foreglow: PathBuf,
    /// The Go collector; when not given, the one that `make interop` built into its cache.
    #[arg(long)]
    otelcol: Option<PathBuf>,
    /// rotel; when not given, the one that `make interop` fetched into its cache.
    #[arg(long)]
    rotel: Option<PathBuf>,
    /// Parts of the names of the rows to run; none = all.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
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
    /// Samples for remote write, documents for bulk, else 1 or what the sampler keeps.
    delivered_per_item: f64,
    peak_rss_mib: f64,
    /// Within which 99 of 100 requests were answered.
    p99_ms: f64,
}

/// Eight requests under way; an SDK waits a little before it sends a refused one again.
const PRESS: Press = Press { connections: 4, in_flight: 2, patience: Duration::from_millis(2) };

/// Runs every row for every contender and prints the table.
pub async fn run(options: Options) -> Result<()> {
    let contenders = contenders(&options)?;
    let rows: Vec<&Row> = ROWS.iter().filter(|row| options.wants(row)).collect();
    ensure!(!rows.is_empty(), "no row's name has {:?} in it", options.rows);
    let sink = Sink::start().await?;
    let scratch = std::env::temp_dir().join(format!("foreglow-bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let bench = Bench { options: &options, sink, scratch };
    let mut raw = Vec::new();
    println!(
        "| row | signal | contender | CPU-s per M items | items/s | p99 ms | peak RSS MiB | ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let versions: Vec<_> = contenders.iter().map(|one| version(&one.program)).collect();
    for row in rows {
        for &signal in row.signals.iter().filter(|signal| options.signals.contains(signal)) {
            raw.extend(bench.row(row, signal, &contenders).await?);
            // After each row: a later one that fails costs none of them.
            if let Some(out) = &options.out {
                let record = serde_json::json!({
                    "machine": machine(), "versions": versions, "millions": options.millions, "runs": raw
                });
                std::fs::write(out, serde_json::to_string_pretty(&record)? + "\n")?;
            }
        }
    }
    std::fs::remove_dir_all(&bench.scratch)?;
    Ok(())
}

impl Options {
    fn wants(&self, row: &Row) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|part| row.name.contains(part.as_str()))
    }
}

/// Ourselves first, then the peers that are there.
fn contenders(options: &Options) -> Result<Vec<Contender>> {
    let mut contenders = vec![Contender { name: "foreglow", program: options.foreglow.clone() }];
    if options.alone {
        return Ok(contenders);
    }
    for (name, given) in [("otelcol", &options.otelcol), ("rotel", &options.rotel)] {
        let program = given.clone().unwrap_or_else(|| cached(name));
        ensure!(program.exists(), "{} is not there: `make interop` fetches it", program.display());
        contenders.push(Contender { name, program });
    }
    Ok(contenders)
}

/// What all runs share.
struct Bench<'a> {
    options: &'a Options,
    sink: Sink,
    scratch: PathBuf,
}

impl Bench<'_> {
    /// One row for one signal: every contender's runs, the medians printed.
    async fn row(
        &self,
        row: &Row,
        signal: Signal,
        contenders: &[Contender],
    ) -> Result<Vec<Figures>> {
        let mut raw = Vec::new();
        let mut ours: Option<Figures> = None;
        for contender in contenders.iter().filter(|one| row.has(one.name)) {
            let mut runs = Vec::new();
            for _ in 0..self.options.runs {
                let run = self.measure(row, signal, contender).await;
                runs.push(run.with_context(|| format!("{}, {}", row.name, contender.name))?);
            }
            let cpu = |run: &Figures| run.cpu_seconds_per_million;
            runs.sort_by(|a, b| cpu(a).total_cmp(&cpu(b)));
            let median = runs[runs.len() / 2].clone();
            let ours = ours.get_or_insert_with(|| median.clone());
            // Batches end where they end: a sample or two of target_info more is the same work.
            let same = median.delivered_per_item / ours.delivered_per_item;
            ensure!(
                (0.99..1.01).contains(&same),
                "{}: {} delivered {} for each item, we {}",
                row.name,
                contender.name,
                median.delivered_per_item,
                ours.delivered_per_item
            );
            println!(
                "| {} | {} | {} | {:.3} | {:.0} | {:.1} | {:.0} | 1/{:.1} |",
                median.row,
                median.signal,
                median.contender,
                cpu(&median),
                median.items_per_second,
                median.p99_ms,
                median.peak_rss_mib,
                cpu(&median) / cpu(ours)
            );
            raw.extend(runs);
        }
        Ok(raw)
    }

    async fn measure(&self, row: &Row, signal: Signal, contender: &Contender) -> Result<Figures> {
        let port = free_port()?;
        let config = self.scratch.join("config.yaml");
        std::fs::write(&config, row.yaml(port, self.sink.port))?;
        let arguments = contender.arguments(row, &config, port, self.sink.port);
        let path = self.scratch.join("log");
        let log = || std::fs::read_to_string(&path).unwrap_or_default();
        let mut process = Program::start(&contender.program, &arguments, Some(0), &path)?;
        let every = Duration::from_millis(20);
        wait_for("the collector", Duration::from_secs(20), every, async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await
        .with_context(log)?;
        let codec = if row.gzip { Codec::Gzip } else { Codec::None };
        let target = Target { port, transport: row.transport, signal, codec };
        let bodies = target.bodies(requests(signal, 16))?;
        let total = ((self.options.millions * 1e6) as u64 / signal.items()).max(50);
        // Connections, caches and pools are warm before the clock starts.
        let warm = (total / 20).max(20);
        let before = self.sink.items()?;
        let send = |requests: u64, tally: &Arc<Tally>| {
            load(target, bodies.clone(), PRESS, Until::Taken(requests), tally.clone())
        };
        send(warm, &Arc::default()).await.with_context(log)?;
        self.drained(row, before, warm * signal.items()).await.with_context(log)?;
        let (before, cpu, begin) = (self.sink.items()?, process.cpu_seconds()?, Instant::now());
        let tally = Arc::default();
        send(total, &tally).await.with_context(log)?;
        let wall = begin.elapsed();
        let items = total * signal.items();
        let delivered = self.drained(row, before, items).await.with_context(log)?;
        process.check_alive()?;
        let figures = Figures {
            row: row.name,
            signal: signal.name(),
            contender: contender.name,
            cpu_seconds_per_million: (process.cpu_seconds()? - cpu) / items as f64 * 1e6,
            items_per_second: items as f64 / wall.as_secs_f64(),
            delivered_per_item: delivered as f64 / items as f64,
            peak_rss_mib: process.memory_mib("VmHWM")?,
            p99_ms: tally.p99_ms(),
        };
        ensure!(
            figures.cpu_seconds_per_million > 0.0
                && figures.items_per_second > 0.0
                && figures.delivered_per_item > 0.0
                && figures.peak_rss_mib > 0.0
                && figures.p99_ms > 0.0,
            "a figure is zero: {figures:?}"
        );
        Ok(figures)
    }

    /// Waits until the sink has everything of `sent` items; returns what it got.
    async fn drained(&self, row: &Row, before: u64, sent: u64) -> Result<u64> {
        let (deadline, every) = (Duration::from_secs(60), Duration::from_millis(5));
        if row.one_to_one {
            wait_for("the sink to get everything", deadline, every, async || {
                self.sink.items().map_or(Some(()), |items| (items >= before + sent).then_some(()))
            })
            .await?;
            let got = self.sink.items()? - before;
            ensure!(got == sent, "the sink has {} items too many", got - sent);
            return Ok(got);
        }
        let mut seen = (self.sink.items()?, Instant::now());
        wait_for("the sink to stand still", deadline, every, async || {
            let items = self.sink.items().ok()?;
            if items != seen.0 {
                seen = (items, Instant::now());
            }
            (items > before && seen.1.elapsed() > STILL).then_some(())
        })
        .await?;
        Ok(self.sink.items()? - before)
    }
}

/// Longer than any contender's batches wait.
const STILL: Duration = Duration::from_millis(700);

/// What `program --version` says.
pub fn version(program: &Path) -> String {
    let output = std::process::Command::new(program).arg("--version").output();
    output.map_or_else(
        |error| error.to_string(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// Where `interop/peers.py` puts the peers.
pub fn cached(name: &str) -> PathBuf {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = set("FOREGLOW_INTEROP_CACHE").unwrap_or_else(|| {
        let base =
            set("XDG_CACHE_HOME").unwrap_or_else(|| set("HOME").unwrap_or_default().join(".cache"));
        base.join("foreglow-interop")
    });
    cache.join("bin").join(name)
}
