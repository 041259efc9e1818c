// SPDX-License-Identifier: Apache-2.0
//! Stores side by side: the same remote write into us, VictoriaMetrics and Prometheus, then the same
//! queries, their answers compared.
//!
//! 2,020 series of ten machines, a day at 15 s, one instance's scrape a request, each acknowledged
//! before the instance's next; the day lies behind us, so that it is merged at once. Fails when a
//! figure is zero or absent, and when answers differ: from Prometheus' by more than 1e-12 of their
//! size, from VictoriaMetrics' by more than its way of extrapolating explains.

mod contender;
pub mod growth;
pub mod month;
mod query;
#[path = "../../../crates/testkit/src/workload.rs"]
#[allow(dead_code, reason = "benches of single crates use the rest")]
mod workload;
mod write;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::collectors::{cached, version};
use crate::process::machine;
use contender::{Contender, Kind};
use query::{Answer, Apart, Cost, QUERIES, compare, measure, path};
use write::{DAY_STEPS, Generator, import};

const DAY_SECONDS: i64 = 24 * 3600;

/// Bytes a sample, CPU seconds per million samples, MiB at the peak and afterwards (120 and 80 MB).
const FLOORS: [f64; 4] = [0.85, 0.6, 114.4, 76.3];

/// Numbers of both engines are sums in the same order, but for the last bits.
const PROMETHEUS_APART: f64 = 1e-12;

/// VictoriaMetrics looks one sample further back and does not extrapolate.
const VICTORIA_METRICS_APART: f64 = 0.02;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Our binary.
    #[arg(long, default_value = "target/release/foreglow")]
    foreglow: PathBuf,
    /// VictoriaMetrics; when not given, the one that `make interop` built into its cache.
    #[arg(long)]
    victoria_metrics: Option<PathBuf>,
    /// Prometheus; when not given, the one that `make interop` built into its cache.
    #[arg(long)]
    prometheus: Option<PathBuf>,
    /// Measure us alone, without a peer.
    #[arg(long)]
    alone: bool,
    /// Machines of 202 series.
    #[arg(long, default_value_t = 10)]
    instances: usize,
    /// Milliseconds that samples are off their grid at most, a run each.
    #[arg(long, value_delimiter = ',', default_value = "0,3")]
    jitter: Vec<u64>,
    /// How often we write memory to blocks; the usual 15 min would have to be waited for.
    #[arg(long, default_value = "1m")]
    flush_interval: String,
    /// Where the raw figures go.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// What one contender took for one workload.
#[derive(Debug, Serialize)]
struct Figures {
    contender: &'static str,
    jitter_ms: u64,
    samples: u64,
    /// At rest; what that is stands in `size_is`.
    bytes_per_sample: f64,
    size_is: &'static str,
    bytes_in_directory: u64,
    /// Until the last acknowledgement.
    cpu_seconds_per_million: f64,
    /// With everything that was flushed and merged after it.
    cpu_seconds_per_million_at_rest: f64,
    samples_per_second: f64,
    import_peak_rss_mib: f64,
    peak_rss_mib: f64,
    rss_at_rest_mib: f64,
    rss_after_queries_mib: f64,
    queries: Vec<Cost>,
    /// Of its answers from ours, in the order of `queries`.
    apart: Vec<Apart>,
}

/// Measures every contender for every workload, prints the tables.
pub async fn run(options: Options) -> Result<()> {
    let contenders = contenders(&options)?;
    let scratch = std::env::temp_dir().join(format!("foreglow-store-{}", std::process::id()));
    let mut all = Vec::new();
    for jitter_ms in &options.jitter {
        let mut figures: Vec<Figures> = Vec::new();
        let mut ours = Vec::new();
        for contender in &contenders {
            let folder = scratch.join(contender.kind.name());
            let measured = one(&options, contender, *jitter_ms, &folder).await;
            let (mut one, answers) = measured.with_context(|| contender.kind.name())?;
            if contender.kind == Kind::Foreglow {
                ours = answers;
            } else {
                let pairs = ours.iter().zip(&answers);
                one.apart = pairs.map(|(ours, theirs)| compare(ours, theirs)).collect();
                check_answers(contender.kind, &one)?;
            }
            figures.push(one);
            std::fs::remove_dir_all(&folder)?;
        }
        print(&figures);
        all.extend(figures);
    }
    if let Some(out) = &options.out {
        let versions: Vec<_> = contenders.iter().map(|one| version(&one.program)).collect();
        let record = serde_json::json!({
            "machine": machine(), "versions": versions, "flush_interval": options.flush_interval, "runs": all
        });
        std::fs::write(out, serde_json::to_string_pretty(&record)? + "\n")?;
    }
    Ok(())
}

fn contenders(options: &Options) -> Result<Vec<Contender>> {
    let mut all = vec![Contender { kind: Kind::Foreglow, program: options.foreglow.clone() }];
    if options.alone {
        return Ok(all);
    }
    for (kind, given, name) in [
        (Kind::VictoriaMetrics, &options.victoria_metrics, "victoria-metrics-1.150.0"),
        (Kind::Prometheus, &options.prometheus, "prometheus-0.315.0"),
    ] {
        let program = given.clone().unwrap_or_else(|| cached(name));
        ensure!(program.exists(), "{} is not there: `make interop` fetches it", program.display());
        all.push(Contender { kind, program });
    }
    Ok(all)
}

/// Midnight before yesterday's end: a whole day, over for good.
fn yesterday() -> Result<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64;
    Ok((now.div_euclid(DAY_SECONDS) - 1) * DAY_SECONDS)
}

async fn one(
    options: &Options,
    contender: &Contender,
    jitter_ms: u64,
    folder: &Path,
) -> Result<(Figures, Vec<Answer>)> {
    let start = yesterday()?;
    let settings =
        [format!("exporters.embedded_store.blocks.flush_interval={}", options.flush_interval)];
    let mut running = contender.start(folder, &settings).await?;
    let generator = Generator::new(options.instances, start * 1000 + jitter_ms as i64, jitter_ms);
    let (cpu, begin) = (running.process.cpu_seconds()?, Instant::now());
    let samples = import(generator, running.port, DAY_STEPS, 1).await?;
    let wall = begin.elapsed().as_secs_f64();
    running.process.check_alive()?;
    let imported = running.process.cpu_seconds()? - cpu;
    let import_peak_rss_mib = running.process.memory_mib("VmHWM")?;
    let disk = running.rest(samples).await?;
    let rested = running.process.cpu_seconds()? - cpu;
    let rss_at_rest_mib = running.process.memory_mib("VmRSS")?;
    let range = (start, start + DAY_SECONDS, 60);
    let (mut queries, mut answers) = (Vec::new(), Vec::new());
    for query in QUERIES {
        let path = path(query.expression, range, contender.kind.uncached());
        let (cost, answer) =
            measure(&running.process, running.port, query.expression, &path).await?;
        queries.push(cost);
        answers.push(answer);
    }
    // What was freed is given back within seconds.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let millions = samples as f64 / 1e6;
    let figures = Figures {
        contender: contender.kind.name(),
        jitter_ms,
        samples,
        bytes_per_sample: disk.bytes as f64 / disk.samples.unwrap_or(samples) as f64,
        size_is: contender.kind.rest(),
        bytes_in_directory: running.bytes_in_all()?,
        cpu_seconds_per_million: imported / millions,
        cpu_seconds_per_million_at_rest: rested / millions,
        samples_per_second: samples as f64 / wall,
        import_peak_rss_mib,
        peak_rss_mib: running.process.memory_mib("VmHWM")?,
        rss_at_rest_mib,
        rss_after_queries_mib: running.process.memory_mib("VmRSS")?,
        queries,
        apart: Vec::new(),
    };
    let all = [
        figures.bytes_per_sample,
        figures.cpu_seconds_per_million,
        figures.samples_per_second,
        figures.import_peak_rss_mib,
        figures.rss_after_queries_mib,
    ];
    ensure!(all.iter().all(|figure| *figure > 0.0), "a figure is zero: {figures:?}");
    println!("{}: {:.0} s", figures.contender, begin.elapsed().as_secs_f64());
    Ok((figures, answers))
}

/// Fails when answers are further apart than two engines may be.
fn check_answers(kind: Kind, figures: &Figures) -> Result<()> {
    for (query, apart) in QUERIES.iter().zip(&figures.apart) {
        let same = match kind {
            Kind::Prometheus => apart.lone_points == 0 && apart.largest <= PROMETHEUS_APART,
            _ => apart.median <= VICTORIA_METRICS_APART,
        };
        ensure!(same, "{}: {} answers otherwise: {apart:?}", query.expression, kind.name());
    }
    Ok(())
}

fn print(all: &[Figures]) {
    let row = |what: &str, floor: Option<f64>, of: &dyn Fn(&Figures) -> String| {
        let floor = floor.map_or(String::new(), |floor| floor.to_string());
        let cells: Vec<String> = all.iter().map(of).collect();
        println!("| {what} | {floor} | {} |", cells.join(" | "));
    };
    let [size, cpu, peak, after] = FLOORS.map(Some);
    let names: Vec<&str> = all.iter().map(|one| one.contender).collect();
    println!("\njitter {} ms, {}\n", all[0].jitter_ms, machine());
    println!("| | floor | {} |\n|---|---|{}", names.join(" | "), "---|".repeat(names.len()));
    row("bytes/sample at rest", size, &|f| format!("{:.3}", f.bytes_per_sample));
    row("import, CPU-s per M samples", cpu, &|f| format!("{:.3}", f.cpu_seconds_per_million));
    row("the same with merges", None, &|f| format!("{:.3}", f.cpu_seconds_per_million_at_rest));
    row("samples/s", None, &|f| format!("{:.0}", f.samples_per_second));
    row("RSS peak of the import, MiB", peak, &|f| format!("{:.0}", f.import_peak_rss_mib));
    row("RSS peak, MiB", peak, &|f| format!("{:.0}", f.peak_rss_mib));
    row("RSS at rest, MiB", None, &|f| format!("{:.0}", f.rss_at_rest_mib));
    row("RSS after queries, MiB", after, &|f| format!("{:.0}", f.rss_after_queries_mib));
    row("all files, MiB", None, &|f| format!("{:.1}", f.bytes_in_directory as f64 / 1048576.0));
    for (at, query) in QUERIES.iter().enumerate() {
        let name = query.expression.replace('|', "\\|");
        row(&format!("`{name}`: CPU ms (wall)"), query.floor_ms, &|f| {
            format!("{:.1} ({:.1})", f.queries[at].cpu_ms, f.queries[at].wall_ms)
        });
    }
    for (at, query) in QUERIES.iter().enumerate() {
        row(&format!("`{}`: apart from ours", query.expression), None, &|f| {
            f.apart.get(at).map_or("-".to_owned(), |apart| {
                let Apart { lone_points, largest, median } = apart;
                format!("{largest:.1e}, median {median:.1e}, {lone_points} lone")
            })
        });
    }
}
