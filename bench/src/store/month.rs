// SPDX-License-Identifier: Apache-2.0
//! A month at 15 s: imported, merged, asked what the dashboard asks, then kept for a third of it.
//!
//! 1,010 series of five machines by remote write, twenty steps a request. Queries have the shapes
//! of the dashboard's panels, its steps (320 points at most) and its rate windows (four steps). Fails
//! when one of them takes more than 200 ms of CPU, and when what is too old can still be read.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

use super::contender::{Contender, Kind};
use super::query::{measure, path};
use super::write::{DAY_STEPS, Generator, import};
use crate::client::get_body;
use crate::process::{machine, wait_for};

const DAY_SECONDS: i64 = 24 * 3600;

/// Steps in a request.
const AT_ONCE: usize = 20;

/// CPU that a query of the dashboard may take.
const QUERY_MS_MAX: f64 = 200.0;

/// Of `web/src/state/time.ts`: points on a chart at most, and round steps.
const POINTS_MAX: i64 = 320;
const STEPS: [i64; 11] = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400];

/// A rate, a utilization, a share, a quantile, one number a machine.
const SHAPES: [&str; 6] = [
    "sum(rate(http_requests_total[$w]))",
    r#"avg(sum without (mode) (rate(node_cpu_seconds_total{mode!="idle"}[$w])))"#,
    "max by (instance) (node_load1)",
    r#"(sum(rate(http_requests_total{code="500"}[$w])) or 0 * sum(rate(http_requests_total[$w]))) / (sum(rate(http_requests_total[$w])) > 0)"#,
    "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[$w])))",
    "max(node_memory_MemAvailable_bytes)",
];

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Our binary.
    #[arg(long, default_value = "target/release/foreglow")]
    foreglow: PathBuf,
    /// Machines of 202 series.
    #[arg(long, default_value_t = 5)]
    instances: usize,
    /// Days.
    #[arg(long, default_value_t = 30)]
    days: usize,
    /// Where the raw figures go.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Measures and prints; fails on what is too slow, too much or still there.
pub async fn run(options: Options) -> Result<()> {
    let scratch = std::env::temp_dir().join(format!("foreglow-month-{}", std::process::id()));
    let contender = Contender { kind: Kind::Foreglow, program: options.foreglow.clone() };
    let days = options.days as i64;
    let keep = |days: i64| {
        let blocks = "exporters.embedded_store.blocks";
        [format!("{blocks}.flush_interval=1m"), format!("{blocks}.metrics.time={days}d")]
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64;
    let end = now.div_euclid(DAY_SECONDS) * DAY_SECONDS;
    let start = end - days * DAY_SECONDS;

    let mut running = contender.start(&scratch, &keep(days + 1)).await?;
    let generator = Generator::new(options.instances, start * 1000, 0);
    let (series, begin) = (generator.series(), Instant::now());
    let samples = import(generator, running.port, options.days * DAY_STEPS, AT_ONCE).await?;
    let wall = begin.elapsed().as_secs_f64();
    running.process.check_alive()?;
    let cpu = running.process.cpu_seconds()? / samples as f64 * 1e6;
    let disk = running.rest(samples).await?;
    let merged = running.process.cpu_seconds()? / samples as f64 * 1e6;
    let bytes = disk.bytes as f64 / samples as f64;
    let peak = running.process.memory_mib("VmHWM")?;
    println!("{}\n{series} series, {days} days, {samples} samples: {wall:.0} s", machine());
    println!(
        "{cpu:.3} CPU-s per M samples, {merged:.3} with merges; {bytes:.3} B/sample; RSS peak {peak:.0} MiB\n"
    );

    println!("| query | range | CPU ms | wall ms |\n|---|---|---|---|");
    let mut costs = Vec::new();
    for range in [3600, DAY_SECONDS, 7 * DAY_SECONDS, days * DAY_SECONDS] {
        let step = STEPS.into_iter().find(|step| range / step <= POINTS_MAX).unwrap_or(STEPS[10]);
        for shape in SHAPES {
            let expression = shape.replace("$w", &format!("{}s", (4 * step).max(60)));
            let path = path(&expression, (end - range, end, step), "");
            let (cost, _) = measure(&running.process, running.port, &expression, &path).await?;
            println!(
                "| `{expression}` | {} h | {:.1} | {:.1} |",
                range / 3600,
                cost.cpu_ms,
                cost.wall_ms
            );
            costs.push(cost);
        }
    }
    let after = running.process.memory_mib("VmRSS")?;
    let peak_of_all = running.process.memory_mib("VmHWM")?;
    println!("\nRSS peak {peak_of_all:.0} MiB, {after:.0} MiB after the queries");
    let slow: Vec<_> = costs.iter().filter(|cost| cost.cpu_ms > QUERY_MS_MAX).collect();
    ensure!(slow.is_empty(), "slower than {QUERY_MS_MAX} ms: {slow:?}");

    drop(running);
    let kept = days / 3;
    let running = contender.start(&scratch, &keep(kept)).await?;
    let gone =
        wait_for("retention", Duration::from_secs(120), Duration::from_secs(1), async || {
            let disk = running.disk().ok()?;
            (disk.samples < Some(samples * (kept as u64 + 2) / days as u64)).then_some(disk)
        })
        .await?;
    // A block goes when all of it is too old: what is two days older than the bound is.
    let old = end - (kept + 2) * DAY_SECONDS;
    let path = format!("/api/v1/query?query=count(node_load1)&time={old}");
    let answer = String::from_utf8(get_body(running.port, &path).await?.to_vec())?;
    ensure!(answer.contains("\"result\":[]"), "there still: {answer}");
    println!("kept for {kept} days: {} of {} bytes are listed", gone.bytes, disk.bytes);
    if let Some(out) = &options.out {
        let record = serde_json::json!({
            "machine": machine(), "version": crate::collectors::version(&options.foreglow), "series": series,
            "samples": samples, "cpu_seconds_per_million": cpu, "cpu_seconds_per_million_merged": merged,
            "bytes_per_sample": bytes, "import_peak_rss_mib": peak, "peak_rss_mib": peak_of_all,
            "rss_after_queries_mib": after, "queries": costs,
        });
        std::fs::write(out, serde_json::to_string_pretty(&record)? + "\n")?;
    }
    std::fs::remove_dir_all(&scratch)?;
    Ok(())
}
