// SPDX-License-Identifier: Apache-2.0
//! Start, wait, stop.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use pipeline::config::Level;
use pipeline::runtime::ReloadMeter;
use pipeline::{Graph, Host};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Demo, Options};
use crate::reload::{self, Files};
use crate::stop::StopSignals;
use crate::{banner, configuration, data, logs, own, ports};

/// How long stopping may take. Kubernetes kills after 30 s; queues must be on disk before that.
const STOP_DEADLINE: Duration = Duration::from_secs(25);

/// Runs until SIGINT or SIGTERM, with demo telemetry if asked for.
pub fn run(options: &Options, demo: Option<Demo>) -> Result<()> {
    let begun = Instant::now();
    let loaded = configuration::load(options)?;
    let lines = logs::start(&loaded.plan.telemetry.logs)?;
    for warning in loaded.diagnostics.warning_lines() {
        tracing::warn!("{warning}");
    }
    let is_first_start = !options.data.exists();
    data::prepare(&options.data, &loaded.plan).map_err(|error| anyhow!("{error:#}"))?;
    let host = Host::new(options.data.clone());
    host.telemetry().set_detailed(loaded.plan.telemetry.metrics.level == Level::Detailed);
    let graph = Graph::build(&loaded.plan, &host).map_err(|e| configuration::joined(&e))?;
    let mut files = Files::new(options, &loaded.diagnostics);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let mut stop = StopSignals::listen()?;
        let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        tracing::info!("Starting foreglow {}...", env!("CARGO_PKG_VERSION"));
        // Before anything runs, so that what the start says goes out as well.
        let own = own::start(&loaded.plan.telemetry, &host, lines).await?;
        let meter = ReloadMeter::new(host.telemetry(), host.clock().now() as f64 / 1e9);
        let mut running = tokio::select! {
            started = graph.start() => started.map_err(|error| cannot_start(&error))?,
            () = stop.received() => return Ok(()),
        };
        println!("{}", banner::banner(options, &loaded.plan, &running, begun.elapsed()));
        let demo = demo.map(|demo| tokio::spawn(send_demo(demo, is_first_start)));
        loop {
            let why = tokio::select! {
                () = stop.received() => break,
                _ = hangup.recv() => "SIGHUP",
                () = files.changed() => "a file has changed",
            };
            tokio::select! {
                seen = reload::reload(&mut running, options, &meter, why) => files = seen,
                () = stop.received() => break,
            }
        }
        if let Some(demo) = demo {
            demo.abort();
        }
        tracing::info!("Stopping; once more to stop at once.");
        let stopped = tokio::select! {
            stopped = running.stop(STOP_DEADLINE) => stopped,
            () = stop.received() => return Err(anyhow!("error: stopped before all data was handed over")),
        };
        own.stop().await;
        stopped.map_err(|error| anyhow!("error: {error}"))
    });
    // A thread that blocks (a slow disk, a resolver) must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Names the owner if a port is taken.
fn cannot_start(error: &basics::Error) -> anyhow::Error {
    match ports::explain(error) {
        Some(owner) => anyhow!("error: cannot start: {error}\n{owner}"),
        None => anyhow!("error: cannot start: {error}"),
    }
}

/// A past is only for a store that has none: its points would come before those that are there.
async fn send_demo(demo: Demo, is_first_start: bool) {
    let backfill = if is_first_start { demo.backfill * 60 } else { 0 };
    let options = demo::generator::Options {
        endpoint: demo.endpoint,
        interval: Duration::from_secs(demo.interval),
        backfill: Duration::from_secs(backfill),
        ..demo::generator::Options::default()
    };
    if let Err(error) = demo::generator::run(options, std::future::pending()).await {
        tracing::error!("demo telemetry ended: {error:#}");
    }
}
