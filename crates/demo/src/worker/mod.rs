// SPDX-License-Identifier: Apache-2.0
//! A worker that streams logs, opens shells, talks over websockets and runs tasks, as the third
//! document's service does, through a simulated but lively day.
//!
//! Jobs come as a season and chance say, live their time as tokio tasks, and end well, badly or by
//! their time-out; each is a trace. `WORKER_METRICS=false` (or `OTEL_METRICS_EXPORTER=none`) switches
//! the metrics off. Bound: [`JOBS_MAX`] jobs at a time.

mod instruments;
mod jobs;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use opentelemetry::KeyValue;
use tokio::task::JoinSet;

use crate::telemetry::{Signals, Target, Telemetry};

use instruments::Instruments;
use jobs::Kind;

/// Jobs at a time: more would only be more of the same.
const JOBS_MAX: usize = 256;

/// How often new jobs may begin.
const TICK: Duration = Duration::from_millis(100);

/// What the worker is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How busy the day is: 1 = some five jobs a second. `WORKER_LOAD`.
    pub load: f64,
    /// Metrics are recorded and sent. `WORKER_METRICS`.
    pub metrics: bool,
    /// Where telemetry goes.
    pub target: Target,
}

impl Settings {
    /// As the environment says; `variable` gives the value of one.
    ///
    /// # Errors
    /// When a variable's value is none that makes sense; it is named.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Settings> {
        let load = match variable("WORKER_LOAD") {
            None => 1.0,
            Some(text) => match text.trim().parse::<f64>() {
                Ok(load) if (0.0..=100.0).contains(&load) => load,
                _ => bail!("WORKER_LOAD={text}: not a number between 0 and 100"),
            },
        };
        let off = |text: &str| matches!(text, "false" | "0" | "off" | "none");
        let metrics = !variable("WORKER_METRICS").is_some_and(|text| off(&text));
        Ok(Settings { load, metrics, target: Target::of(variable) })
    }
}

/// What all jobs share.
struct Worker {
    telemetry: Arc<Telemetry>,
    instruments: Instruments,
}

/// Works until `stop` resolves; jobs that run then are given up.
///
/// # Errors
/// When the environment names an address for telemetry that is none.
pub async fn run(settings: Settings, stop: impl Future<Output = ()>) -> Result<()> {
    let mut signals = Signals::given();
    signals.metrics &= settings.metrics;
    let telemetry = Telemetry::start("scotty", Vec::new(), &settings.target, signals)?;
    let worker = Arc::new(Worker {
        instruments: Instruments::new(&telemetry.meter, Instant::now()),
        telemetry: telemetry.clone(),
    });
    let mut jobs = JoinSet::new();
    tokio::select! {
        () = live(&worker, &mut jobs, settings.load) => {}
        () = stop => {}
    }
    // Each tells that it is over before the last telemetry goes.
    jobs.shutdown().await;
    drop(worker);
    telemetry.end().await;
    Ok(())
}

/// Begins jobs for ever.
async fn live(worker: &Arc<Worker>, jobs: &mut JoinSet<()>, load: f64) {
    let begun = Instant::now();
    let mut random = basics::Random::from_os();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        while jobs.try_join_next().is_some() {}
        // Five minutes are a day: a newcomer sees it come and go.
        let phase = begun.elapsed().as_secs_f64() / 300.0 * std::f64::consts::TAU;
        let season = 1.0 + 0.6 * phase.sin();
        for kind in Kind::ALL {
            let expected = kind.per_second() * load * season * TICK.as_secs_f64();
            let count = expected.floor() as usize + usize::from(random.unit() < expected.fract());
            for _ in 0..count {
                if jobs.len() < JOBS_MAX {
                    let seed = random.next_u64();
                    jobs.spawn(jobs::job(worker.clone(), kind, seed));
                }
            }
        }
    }
}

/// An attribute of jobs.
fn app(name: &'static str) -> KeyValue {
    KeyValue::new("app", name)
}
