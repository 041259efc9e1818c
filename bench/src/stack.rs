// SPDX-License-Identifier: Apache-2.0
//! The default stack by itself: start to first page, OTLP sent to visible, idle memory and CPU.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::process::{Program, free_port, machine, wait_for};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Our binary.
    #[arg(long, default_value = "target/release/foreglow")]
    foreglow: PathBuf,
    /// Starts measured; the median counts.
    #[arg(long, default_value_t = 9)]
    starts: usize,
    /// Points sent one after the other to measure freshness.
    #[arg(long, default_value_t = 50)]
    points: usize,
    /// Seconds of idling before memory and CPU are read.
    #[arg(long, default_value_t = 60)]
    idle: u64,
}

/// Measures and prints; fails on an absent figure.
pub async fn run(options: Options) -> Result<()> {
    let scratch = std::env::temp_dir().join(format!("foreglow-stack-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    println!("machine: {}", machine());
    let mut starts = Vec::new();
    let mut running: Option<Stack> = None;
    for n in 0..options.starts {
        drop(running.take());
        let begin = Instant::now();
        let started = start(&options, &scratch, n)?;
        wait_for("the page", Duration::from_secs(20), Duration::from_millis(2), async || {
            get(started.page, "/").await.filter(|text| text.starts_with("HTTP/1.1 200"))
        })
        .await?;
        starts.push(begin.elapsed().as_secs_f64() * 1e3);
        running = Some(started);
    }
    let Some(stack) = running else { return Ok(()) };
    report("start to first 200 on /, ms", &mut starts);
    wait_for("readiness", Duration::from_secs(20), Duration::from_millis(5), async || {
        get(stack.page, "/-/ready").await.filter(|text| text.starts_with("HTTP/1.1 200"))
    })
    .await?;
    let mut fresh = Vec::new();
    for n in 0..options.points {
        fresh.push(freshness(&stack, n).await?);
    }
    report("OTLP sent to visible in PromQL, ms", &mut fresh);
    let cpu = stack.process.cpu_seconds()?;
    tokio::time::sleep(Duration::from_secs(options.idle)).await;
    let used = (stack.process.cpu_seconds()? - cpu) / options.idle as f64 * 100.0;
    let rss = stack.process.memory_mib("VmRSS")?;
    ensure!(rss > 0.0, "no RSS");
    println!("idle RSS {rss:.1} MiB, idle CPU {used:.2} % of a core over {} s", options.idle);
    std::fs::remove_dir_all(&scratch)?;
    Ok(())
}

struct Stack {
    process: Program,
    page: u16,
    otlp: u16,
}

fn start(options: &Options, scratch: &std::path::Path, n: usize) -> Result<Stack> {
    let (page, otlp) = (free_port()?, free_port()?);
    let set = |path: &str, value: String| format!("--set={path}={value}");
    let arguments = [
        format!("--data={}", scratch.join(format!("data-{n}")).display()),
        format!("--listen=127.0.0.1:{page}"),
        set("receivers.otlp.protocols.http.endpoint", format!("127.0.0.1:{otlp}")),
        set("receivers.otlp.protocols.grpc.endpoint", format!("127.0.0.1:{}", free_port()?)),
        set("service.telemetry.metrics.address", format!("127.0.0.1:{}", free_port()?)),
        set("extensions.health_check.endpoint", format!("127.0.0.1:{}", free_port()?)),
    ];
    let process = Program::start(&options.foreglow, &arguments, Some(0), &scratch.join("log"))?;
    Ok(Stack { process, page, otlp })
}

/// Milliseconds from sending a new gauge to its first appearance in an instant query.
async fn freshness(stack: &Stack, n: usize) -> Result<f64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
    let body = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"fresh_{n}","gauge":{{"dataPoints":[{{"timeUnixNano":"{now}","asDouble":1}}]}}}}]}}]}}]}}"#
    );
    let begin = Instant::now();
    let answer = post(stack.otlp, "/v1/metrics", &body).await;
    ensure!(answer.is_some_and(|a| a.starts_with("HTTP/1.1 200")), "the point was not accepted");
    wait_for("the point", Duration::from_secs(10), Duration::from_millis(1), async || {
        get(stack.page, &format!("/api/v1/query?query=fresh_{n}"))
            .await
            .filter(|text| text.contains(&format!("fresh_{n}\"")))
    })
    .await?;
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}

/// The whole answer to `GET path` at a port of this host; none if there is none.
pub(crate) async fn get(port: u16, path: &str) -> Option<String> {
    exchange(
        port,
        &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"),
    )
    .await
}

async fn post(port: u16, path: &str, body: &str) -> Option<String> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    exchange(port, &(head + body)).await
}

async fn exchange(port: u16, request: &str) -> Option<String> {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

fn report(what: &str, values: &mut [f64]) {
    values.sort_by(f64::total_cmp);
    let at = |q: f64| values[((values.len() - 1) as f64 * q).round() as usize];
    println!(
        "{what}: p50 {:.1}, p95 {:.1}, max {:.1} ({} runs)",
        at(0.5),
        at(0.95),
        at(1.0),
        values.len()
    );
}
