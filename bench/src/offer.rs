// SPDX-License-Identifier: Apache-2.0
//! The load generator beside its peers: how much it offers, and what both say of the same load.
//!
//! The targets live in this process, a thread each: a server that answers every request with two
//! bytes, and the null sink, which checks and counts every span. First each generator sends as fast
//! as it can, then all at one rate far below that. What was sent is what the target has counted.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::process::{Program, machine, wait_for};
use crate::sink::Sink;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Our binary.
    #[arg(long, default_value = "target/release/foreglow")]
    foreglow: PathBuf,
    /// wrk, to compare with.
    #[arg(long)]
    wrk: Option<PathBuf>,
    /// telemetrygen, to compare with.
    #[arg(long)]
    telemetrygen: Option<PathBuf>,
    /// Seconds of each run.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Requests a second of the runs at a rate.
    #[arg(long, default_value_t = 5000)]
    requests: u64,
    /// Spans a second of the runs at a rate.
    #[arg(long, default_value_t = 50_000)]
    spans: u64,
    /// Where the raw figures go.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Connections of HTTP runs, and workers of OTLP runs.
const CONNECTIONS: u64 = 64;
const WORKERS: u64 = 8;

/// A generator that ran.
struct Ran {
    output: String,
    seconds: f64,
    cpu_seconds: f64,
}

/// Measures and prints; fails on a generator that fails, or sends nothing.
pub async fn run(options: Options) -> Result<()> {
    let scratch = std::env::temp_dir().join(format!("foreglow-offer-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    println!("machine: {}", machine());
    let mut rows = Vec::new();
    http(&options, &scratch, &mut rows).await?;
    otlp(&options, &scratch, &mut rows).await?;
    if let Some(out) = &options.out {
        let all = json!({ "machine": machine(), "seconds": options.seconds, "rows": rows });
        std::fs::write(out, serde_json::to_string_pretty(&all)? + "\n")?;
    }
    std::fs::remove_dir_all(&scratch)?;
    Ok(())
}

async fn http(options: &Options, scratch: &Path, rows: &mut Vec<Value>) -> Result<()> {
    let (port, answered) = answering().await?;
    let url = format!("http://127.0.0.1:{port}/x");
    for rate in [None, Some(options.requests)] {
        let mut arguments = to_text([
            "load",
            "http",
            "--url",
            &url,
            "--output=json",
            "--rate-scope=total",
            &format!("--concurrency={CONNECTIONS}"),
            &format!("--duration={}s", options.seconds),
        ]);
        arguments.extend(rate.map(|rate| format!("--rate={rate}")));
        let before = answered.load(Ordering::Relaxed);
        let ran = generate(&options.foreglow, &arguments, scratch).await?;
        let told: Value = serde_json::from_str(&ran.output).context(ran.output.clone())?;
        let counted = answered.load(Ordering::Relaxed) - before;
        let times = &told[0]["latency_ms"];
        let row = row("foreglow", "http requests", rate, counted, &ran);
        keep(rows, row, [&times["p50"], &times["p90"], &times["p99"]])?;
        // It knows no rate.
        let (Some(wrk), None) = (&options.wrk, rate) else { continue };
        let arguments = to_text([
            "--latency",
            "-t2",
            &format!("-c{CONNECTIONS}"),
            &format!("-d{}s", options.seconds),
            &url,
        ]);
        let before = answered.load(Ordering::Relaxed);
        let ran = generate(wrk, &arguments, scratch).await?;
        let counted = answered.load(Ordering::Relaxed) - before;
        let times = ["50%", "90%", "99%"].map(|name| json!(of_wrk(&ran.output, name)));
        keep(rows, self::row("wrk", "http requests", rate, counted, &ran), times.each_ref())?;
    }
    Ok(())
}

/// Milliseconds of a percentile on wrk's page.
fn of_wrk(page: &str, name: &str) -> Option<f64> {
    let mut words = page.split_whitespace().skip_while(|word| *word != name).skip(1);
    let text = words.next()?;
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
    match unit {
        "us" => Some(number / 1e3),
        "ms" => Some(number),
        "s" => Some(number * 1e3),
        _ => None,
    }
}

async fn otlp(options: &Options, scratch: &Path, rows: &mut Vec<Value>) -> Result<()> {
    let sink = Sink::start_apart().await?;
    for rate in [None, Some(options.spans)] {
        // Of each worker.
        let each = rate.map_or(0, |rate| rate / WORKERS);
        let arguments = to_text([
            "traces",
            "--otlp-insecure",
            &format!("--otlp-endpoint=127.0.0.1:{}", sink.port),
            &format!("--rate={each}"),
            &format!("--workers={WORKERS}"),
            &format!("--duration={}s", options.seconds),
        ]);
        let ours = [to_text(["load", "otlp"]), arguments.clone(), to_text(["--output=json"])];
        let before = sink.items()?;
        let ran = generate(&options.foreglow, &ours.concat(), scratch).await?;
        let told: Value = serde_json::from_str(&ran.output).context(ran.output.clone())?;
        let counted = sink.items()? - before;
        let accepted = told[0]["items"]["accepted"].as_u64();
        ensure!(accepted == Some(counted), "{accepted:?} accepted, {counted} counted by the sink");
        let times = &told[0]["latency_ms"];
        let row = row("foreglow", "spans", rate, counted, &ran);
        keep(rows, row, [&times["p50"], &times["p90"], &times["p99"]])?;
        let Some(telemetrygen) = &options.telemetrygen else { continue };
        let before = sink.items()?;
        let ran = generate(telemetrygen, &arguments, scratch).await?;
        let counted = sink.items()? - before;
        keep(rows, self::row("telemetrygen", "spans", rate, counted, &ran), [&Value::Null; 3])?;
    }
    Ok(())
}

fn to_text<const N: usize>(arguments: [&str; N]) -> Vec<String> {
    arguments.map(str::to_owned).to_vec()
}

/// Runs a generator to its end.
async fn generate(program: &Path, arguments: &[String], scratch: &Path) -> Result<Ran> {
    let log = scratch.join("log");
    let begun = Instant::now();
    let running = Program::start(program, arguments, None, &log)?;
    let every = Duration::from_millis(5);
    wait_for("the generator", Duration::from_secs(300), every, async || {
        running.has_ended().then_some(())
    })
    .await?;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_seconds = running.cpu_seconds()?;
    drop(running);
    Ok(Ran { output: std::fs::read_to_string(log)?, seconds, cpu_seconds })
}

fn row(generator: &str, what: &str, rate: Option<u64>, counted: u64, ran: &Ran) -> Value {
    json!({
        "generator": generator,
        "what": what,
        "asked_per_second": rate,
        "counted": counted,
        "per_second": counted as f64 / ran.seconds,
        "cpu_seconds": ran.cpu_seconds,
        "cpu_seconds_per_million": ran.cpu_seconds * 1e6 / counted as f64,
    })
}

fn keep(rows: &mut Vec<Value>, mut row: Value, times: [&Value; 3]) -> Result<()> {
    ensure!(row["counted"].as_u64().is_some_and(|counted| counted > 0), "nothing came: {row}");
    for (name, time) in ["p50_ms", "p90_ms", "p99_ms"].into_iter().zip(times) {
        row[name] = time.clone();
    }
    println!("{row}");
    rows.push(row);
    Ok(())
}

/// A server of its own thread that answers everything; how many it has answered.
async fn answering() -> Result<(u16, Arc<AtomicU64>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let answered = Arc::new(AtomicU64::new(0));
    let counter = answered.clone();
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                // Without it answers are late, not lost.
                let _ = stream.set_nodelay(true);
                let counter = counter.clone();
                let service = service_fn(move |_| {
                    counter.fetch_add(1, Ordering::Relaxed);
                    let answer = Response::new(Full::new(Bytes::from_static(b"ok")));
                    std::future::ready(Ok::<_, Infallible>(answer))
                });
                let builder = http1::Builder::new();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
    });
    Ok((port, answered))
}
