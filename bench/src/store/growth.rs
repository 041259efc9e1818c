// SPDX-License-Identifier: Apache-2.0
//! How cost grows: with the number of series, and with the length of history, each over two decades.
//!
//! Fails when a million samples cost twice as much at the end of a curve as at its begin, when a
//! series or a query's million samples do, and when a start after `kill -9` takes more than 5 s.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use serde::Serialize;

use super::contender::{Contender, Kind, Running};
use super::query::{measure, path};
use super::write::{DAY_STEPS, Generator, import};
use crate::process::machine;

const DAY_SECONDS: i64 = 24 * 3600;

/// Machines of 202 series; the curve of series.
const MACHINES: [usize; 5] = [10, 32, 100, 320, 1000];

/// Steps of each of these: a quarter of an hour.
const STEPS: usize = 60;

/// Days of two machines; the curve of history.
const DAYS: [f64; 5] = [0.3, 1.0, 3.0, 10.0, 30.0];

/// Steps in a request of history.
const AT_ONCE: usize = 20;

/// What a figure may be at the end of its curve, beside its begin.
const GROWTH_MAX: f64 = 2.0;

/// Longest start.
const START_MAX: f64 = 5.0;

/// What is asked of all history: 128 series.
const QUERY: &str = "sum(rate(node_cpu_seconds_total[5m]))";
const QUERY_SERIES: f64 = 128.0;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Our binary.
    #[arg(long, default_value = "target/release/foreglow")]
    foreglow: PathBuf,
    /// Where the raw figures go.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// One point of a curve.
#[derive(Debug, Serialize)]
struct Point {
    series: usize,
    samples: u64,
    cpu_seconds_per_million: f64,
    rss_mib: f64,
    /// Of memory, above what an empty process has.
    bytes_per_series: f64,
    start_seconds: f64,
    /// Of history: on disk after merges.
    bytes_per_sample: Option<f64>,
    query_ms_per_million: Option<f64>,
}

/// Measures both curves and prints them.
pub async fn run(options: Options) -> Result<()> {
    let scratch = std::env::temp_dir().join(format!("foreglow-growth-{}", std::process::id()));
    let contender = Contender { kind: Kind::Foreglow, program: options.foreglow.clone() };
    let empty = contender.start(&scratch.join("empty"), &[]).await?;
    let empty_mib = empty.process.memory_mib("VmRSS")?;
    drop(empty);
    println!("{}\nempty: {empty_mib:.0} MiB\n", machine());
    let mut by_series = Vec::new();
    println!(
        "| series | samples | CPU-s per M | RSS MiB | B a series | start s |\n|---|---|---|---|---|---|"
    );
    for machines in MACHINES {
        let folder = scratch.join(format!("series-{machines}"));
        let point = series(&contender, &folder, machines, empty_mib).await?;
        println!(
            "| {} | {} | {:.3} | {:.0} | {:.0} | {:.2} |",
            point.series,
            point.samples,
            point.cpu_seconds_per_million,
            point.rss_mib,
            point.bytes_per_series,
            point.start_seconds
        );
        by_series.push(point);
        std::fs::remove_dir_all(&folder)?;
    }
    let mut by_history = Vec::new();
    println!(
        "\n| days | samples | CPU-s per M | RSS MiB | B a sample | query CPU ms per M | start s |\n|---|---|---|---|---|---|---|"
    );
    for days in DAYS {
        let folder = scratch.join(format!("days-{days}"));
        let point = history(&contender, &folder, days, empty_mib).await?;
        println!(
            "| {days} | {} | {:.3} | {:.0} | {:.3} | {:.2} | {:.2} |",
            point.samples,
            point.cpu_seconds_per_million,
            point.rss_mib,
            point.bytes_per_sample.unwrap_or_default(),
            point.query_ms_per_million.unwrap_or_default(),
            point.start_seconds
        );
        by_history.push(point);
        std::fs::remove_dir_all(&folder)?;
    }
    if let Some(out) = &options.out {
        let record = serde_json::json!({
            "machine": machine(), "version": crate::collectors::version(&options.foreglow),
            "empty_rss_mib": empty_mib, "by_series": by_series, "by_history": by_history,
        });
        std::fs::write(out, serde_json::to_string_pretty(&record)? + "\n")?;
    }
    std::fs::remove_dir_all(&scratch)?;
    for curve in [&by_series, &by_history] {
        grows("CPU", curve, |point| Some(point.cpu_seconds_per_million))?;
        grows("a query's CPU", curve, |point| point.query_ms_per_million)?;
        grows("a sample's bytes", curve, |point| point.bytes_per_sample)?;
        for point in curve {
            ensure!(point.start_seconds <= START_MAX, "slow start: {point:?}");
        }
    }
    grows("a series' memory", &by_series, |point| Some(point.bytes_per_series))
}

fn grows(what: &str, curve: &[Point], figure: impl Fn(&Point) -> Option<f64>) -> Result<()> {
    let figures: Vec<f64> = curve.iter().filter_map(figure).collect();
    let (Some(first), Some(last)) = (figures.first(), figures.last()) else { return Ok(()) };
    ensure!(last <= &(first * GROWTH_MAX), "{what} grows faster than its input: {figures:?}");
    Ok(())
}

/// A quarter of an hour of so many machines.
async fn series(
    contender: &Contender,
    folder: &Path,
    machines: usize,
    empty_mib: f64,
) -> Result<Point> {
    let running = contender.start(folder, &[]).await?;
    let end = now()?;
    let generator = Generator::new(machines, (end - 15 * STEPS as i64) * 1000, 0);
    let series = generator.series();
    let samples = import(generator, running.port, STEPS, 1).await?;
    let mut point = point(&running, series, samples, empty_mib)?;
    point.start_seconds = start_again(contender, running, folder).await?;
    Ok(point)
}

/// Two machines for so many days, in blocks.
async fn history(contender: &Contender, folder: &Path, days: f64, empty_mib: f64) -> Result<Point> {
    let settings = ["flush_interval=1m", "metrics.time=40d"]
        .map(|setting| format!("exporters.embedded_store.blocks.{setting}"));
    let mut running = contender.start(folder, &settings).await?;
    let end = now()?.div_euclid(DAY_SECONDS) * DAY_SECONDS;
    let length = (days * DAY_SECONDS as f64) as i64;
    let generator = Generator::new(2, (end - length) * 1000, 0);
    let series = generator.series();
    let steps = (days * DAY_STEPS as f64) as usize;
    let samples = import(generator, running.port, steps, AT_ONCE).await?;
    let mut point = point(&running, series, samples, empty_mib)?;
    let disk = running.rest(samples).await?;
    point.bytes_per_sample = Some(disk.bytes as f64 / samples as f64);
    // Windows of 5 min still meet; an answer has 11,000 moments at most.
    let path = path(QUERY, (end - length, end, (length / 10_000).max(60)), "");
    let (cost, _) = measure(&running.process, running.port, QUERY, &path).await?;
    let touched = steps as f64 * QUERY_SERIES / 1e6;
    point.query_ms_per_million = Some(cost.cpu_ms / touched);
    point.start_seconds = start_again(contender, running, folder).await?;
    Ok(point)
}

fn point(running: &Running, series: usize, samples: u64, empty_mib: f64) -> Result<Point> {
    let rss_mib = running.process.memory_mib("VmRSS")?;
    Ok(Point {
        series,
        samples,
        cpu_seconds_per_million: running.process.cpu_seconds()? / samples as f64 * 1e6,
        rss_mib,
        bytes_per_series: (rss_mib - empty_mib) * 1048576.0 / series as f64,
        start_seconds: 0.0,
        bytes_per_sample: None,
        query_ms_per_million: None,
    })
}

/// Kills it and starts it over the same data; how long until it is ready.
async fn start_again(contender: &Contender, running: Running, folder: &Path) -> Result<f64> {
    drop(running);
    let begun = Instant::now();
    contender.start(folder, &[]).await?;
    Ok(begun.elapsed().as_secs_f64())
}

fn now() -> Result<i64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64)
}
