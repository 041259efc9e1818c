// SPDX-License-Identifier: Apache-2.0
//! The demo's services: start, memory, and what their telemetry costs.
//!
//! `/predict` without model latency is pressed by our load generator, with the SDK off, as it is, and
//! with parts of it, round after round, so that a busy machine is busy for all. The figure to trust is
//! CPU time of the service per request; rates are of two processes that share the cores. Telemetry goes to
//! the null sink of this process. The worker is run with its metrics on and off.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::process::{Program, free_port, machine, wait_for};
use crate::sink::Sink;
use crate::stack::get;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Our binary.
    #[arg(long, default_value = "target/release/foreglow")]
    foreglow: PathBuf,
    /// Starts of each service; the median counts.
    #[arg(long, default_value_t = 9)]
    starts: usize,
    /// Seconds of each run.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rounds through all variants.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Connections of the load.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Seconds that the worker is watched for, with metrics and without.
    #[arg(long, default_value_t = 30)]
    worker_seconds: u64,
    /// Where the figures go, as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Variants of `/predict`'s telemetry: name and variables.
const VARIANTS: [(&str, &[&str]); 5] = [
    ("off", &["OTEL_SDK_DISABLED=true"]),
    ("as it is", &[]),
    ("a tenth of traces", &["OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.1"]),
    ("metrics alone", &["OTEL_TRACES_EXPORTER=none", "OTEL_LOGS_EXPORTER=none"]),
    ("every trace", &["OTEL_TRACES_SAMPLER=always_on"]),
];

/// Measures and prints; fails on an absent figure.
pub async fn run(options: Options) -> Result<()> {
    let scratch = std::env::temp_dir().join(format!("foreglow-demo-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    println!("machine: {}", machine());
    let sink = Sink::start_apart().await?;
    let bench = Bench { options: &options, scratch: &scratch, sink };
    let mut starts = BTreeMap::new();
    for service in ["shop", "inference"] {
        starts.insert(service, bench.starts(service).await?);
    }
    let predict = bench.predict().await?;
    let worker = bench.worker().await?;
    std::fs::remove_dir_all(&scratch)?;
    if let Some(out) = &options.out {
        let all = json!({
            "machine": machine(),
            "seconds": options.seconds,
            "rounds": options.rounds,
            "connections": options.connections,
            "starts": starts,
            "predict": predict,
            "worker": worker,
        });
        std::fs::write(out, format!("{all:#}\n"))?;
    }
    Ok(())
}

struct Bench<'a> {
    options: &'a Options,
    scratch: &'a Path,
    sink: Sink,
}

impl Bench<'_> {
    fn start(&self, service: &str, port: Option<u16>, variables: &[&str]) -> Result<Program> {
        let mut arguments: Vec<String> = variables.iter().map(|one| (*one).to_owned()).collect();
        arguments.push(format!("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{}", self.sink.port));
        arguments.push("DEFAULT_LATENCY_MS=0".to_owned());
        arguments.push(self.options.foreglow.display().to_string());
        arguments.extend(["demo".to_owned(), service.to_owned()]);
        arguments.extend(port.map(|port| format!("--listen=127.0.0.1:{port}")));
        Program::start(Path::new("env"), &arguments, None, &self.scratch.join("log"))
    }

    /// Starts a service; returns when it answers, with the milliseconds that took.
    async fn started(&self, service: &str, variables: &[&str]) -> Result<(Program, u16, f64)> {
        let port = free_port()?;
        let begin = Instant::now();
        let process = self.start(service, Some(port), variables)?;
        wait_for(service, Duration::from_secs(20), Duration::from_millis(1), async || {
            get(port, "/health").await.filter(|text| text.starts_with("HTTP/1.1 200"))
        })
        .await?;
        Ok((process, port, begin.elapsed().as_secs_f64() * 1e3))
    }

    async fn starts(&self, service: &str) -> Result<Value> {
        let mut times = Vec::new();
        let mut resident = 0.0;
        for _ in 0..self.options.starts.max(1) {
            let (process, _, took) = self.started(service, &[]).await?;
            times.push(took);
            tokio::time::sleep(Duration::from_millis(200)).await;
            resident = process.memory_mib("VmRSS")?;
        }
        let (middle, most) = (median(&mut times), times.iter().copied().fold(0.0, f64::max));
        println!(
            "{service}: first answer after {middle:.1} ms (at most {most:.1}), {resident:.1} MiB"
        );
        Ok(json!({ "first_answer_ms": middle, "first_answer_ms_max": most, "rss_mib": resident }))
    }

    async fn predict(&self) -> Result<Value> {
        let mut runs: BTreeMap<&str, Vec<Run>> = BTreeMap::new();
        for _ in 0..self.options.rounds.max(1) {
            for (name, variables) in VARIANTS {
                let run = self.press(variables).await.with_context(|| name.to_owned())?;
                runs.entry(name).or_default().push(run);
            }
        }
        let of = |name: &str, figure: fn(&Run) -> f64| {
            median(&mut runs[name].iter().map(figure).collect::<Vec<_>>())
        };
        let (off_rate, off_cpu) = (of("off", |run| run.rate), of("off", |run| run.cpu_micros));
        let mut all = BTreeMap::new();
        for (name, _) in VARIANTS {
            let (rate, cpu) = (of(name, |run| run.rate), of(name, |run| run.cpu_micros));
            let (items, peak) = (of(name, |run| run.items), of(name, |run| run.peak_mib));
            let fewer = 100.0 * (1.0 - rate / off_rate);
            println!(
                "/predict, {name}: {rate:.0} requests/s ({fewer:.1} % fewer), {cpu:.1} us of CPU each \
                 ({:+.1}), {items:.2} items each, peak {peak:.1} MiB",
                cpu - off_cpu,
            );
            let figures = json!({
                "requests_per_second": rate,
                "fewer_percent": fewer,
                "cpu_micros_per_request": cpu,
                "items_per_request": items,
                "rss_peak_mib": peak,
            });
            all.insert(name, figures);
        }
        Ok(json!(all))
    }

    async fn press(&self, variables: &[&str]) -> Result<Run> {
        let (mut process, port, _) = self.started("inference", variables).await?;
        self.load(port, 1).await?;
        let (cpu, items) = (process.cpu_seconds()?, self.sink.items()?);
        let report = self.load(port, self.options.seconds).await?;
        let used = process.cpu_seconds()? - cpu;
        let items = self.sink.items()? - items;
        process.check_alive()?;
        let report = &report[0];
        let total = report["total"].as_f64().context("no total")?;
        ensure!(total > 0.0 && report["failed"] == 0, "requests failed: {report}");
        Ok(Run {
            rate: report["requests_per_second"].as_f64().context("no rate")?,
            cpu_micros: used * 1e6 / total,
            items: items as f64 / total,
            peak_mib: process.memory_mib("VmHWM")?,
        })
    }

    /// The load generator as a process, as a user has it.
    async fn load(&self, port: u16, seconds: u64) -> Result<Value> {
        let mut command = std::process::Command::new(&self.options.foreglow);
        command
            .args(["load", "http", "--output=json"])
            .arg(format!("--url=http://127.0.0.1:{port}/predict"))
            .arg(format!("--duration={seconds}"))
            .arg(format!("--concurrency={}", self.options.connections));
        let done = tokio::task::spawn_blocking(move || command.output()).await??;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(serde_json::from_slice(&done.stdout)?)
    }

    /// CPU of the worker with its metrics and without, side by side.
    async fn worker(&self) -> Result<Value> {
        let busy = "WORKER_LOAD=20";
        let with = self.start("worker", None, &[busy])?;
        let without = self.start("worker", None, &[busy, "WORKER_METRICS=false"])?;
        // Jobs are some twenty seconds long: then as many end as begin.
        tokio::time::sleep(Duration::from_secs(20)).await;
        let before = [with.cpu_seconds()?, without.cpu_seconds()?];
        tokio::time::sleep(Duration::from_secs(self.options.worker_seconds)).await;
        let share = |used: f64| used / self.options.worker_seconds as f64 * 100.0;
        let with_metrics = share(with.cpu_seconds()? - before[0]);
        let without_metrics = share(without.cpu_seconds()? - before[1]);
        let resident = with.memory_mib("VmRSS")?;
        println!(
            "worker at twenty times its load: {with_metrics:.2} % of a core with metrics, \
             {without_metrics:.2} % without; {resident:.1} MiB"
        );
        Ok(json!({
            "load": 20,
            "cpu_percent_with_metrics": with_metrics,
            "cpu_percent_without": without_metrics,
            "rss_mib": resident,
        }))
    }
}

/// One run of `/predict`.
struct Run {
    rate: f64,
    cpu_micros: f64,
    /// Spans and points that arrived, per request.
    items: f64,
    peak_mib: f64,
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
