// SPDX-License-Identifier: Apache-2.0
//! `foreglow load scenario`: something happens in one data plane, and PromQL has to show it there and
//! nowhere else.
//!
//! Starts `demo planes` unless it runs, sends each environment its load, switches faults on, says
//! what to look at, waits until it is seen, and puts everything back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use loadgen::{Faults, Load, Mix, Pace, Progress};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::planes::{self, Plane};
use super::stack::{Ports, Stack};
use super::{System, ask};
use crate::cli::{Options, Scenario};
use crate::stop;

/// Longest wait for a scenario to be seen, by the documents' own measure.
const SEEN: Duration = Duration::from_secs(60);

/// How often PromQL is asked.
const ASK: Duration = Duration::from_secs(1);

/// Connections of each environment's load.
const CONNECTIONS: usize = 50;

/// What is compared between environments: its name, unit and PromQL. The second document's error rate
/// divides the series of failed requests by themselves and is always 100 %: both sides have to be
/// summed first.
const FIGURES: [(&str, &str, &str); 3] = [
    (
        "requests",
        "/s",
        "sum by (environment) (rate(http_server_request_duration_seconds_count{http_route!=\"\"}[30s]))",
    ),
    (
        "errors",
        "%",
        "100 * sum by (environment) (rate(http_server_request_duration_seconds_count{http_route!=\"\",http_response_status_code=~\"5..\"}[30s])) / sum by (environment) (rate(http_server_request_duration_seconds_count{http_route!=\"\"}[30s])) or 0 * sum by (environment) (rate(http_server_request_duration_seconds_count{http_route!=\"\"}[30s]))",
    ),
    (
        "p50",
        "s",
        "histogram_quantile(0.5, sum by (environment, le) (rate(http_server_request_duration_seconds_bucket{http_route=~\"/api/.*\"}[30s])))",
    ),
];

/// A value by environment.
type ByEnvironment = BTreeMap<String, f64>;

impl Scenario {
    /// Where something happens, and what.
    fn faults(self) -> Option<(&'static str, Value)> {
        match self {
            Scenario::Normal => None,
            Scenario::ProdLatency => Some(("prod", json!({ "latency_ms": 800 }))),
            Scenario::QaErrors | Scenario::Compare => Some(("qa", json!({ "error_rate": 0.3 }))),
        }
    }

    fn about(self) -> &'static str {
        match self {
            Scenario::Normal => {
                "Normal operations: every environment at its own pace, nothing wrong."
            }
            Scenario::ProdLatency => "Requests in prod take 0.8 s longer, elsewhere they do not.",
            Scenario::QaErrors => "Three of ten requests fail in qa, elsewhere they do not.",
            Scenario::Compare => "The environments beside each other, while qa fails.",
        }
    }

    /// True when PromQL shows what happens, there and nowhere else.
    fn is_seen(self, figures: &[ByEnvironment; 3], names: &[&str]) -> bool {
        let [requests, errors, median] = figures;
        let has = |all: &ByEnvironment| names.iter().all(|name| all.contains_key(*name));
        if !has(requests)
            || !has(errors)
            || !has(median)
            || requests.values().any(|rate| *rate <= 0.0)
        {
            return false;
        }
        // Five of a hundred payments fail on an ordinary day.
        let fails = |name: &str| errors[name] > 10.0;
        let is_slow = |name: &str| median[name] > 0.5;
        let only = |there: &str, shows: &dyn Fn(&str) -> bool| {
            names.iter().all(|name| shows(name) == (*name == there))
        };
        match self {
            Scenario::Normal => !names.iter().any(|name| fails(name) || is_slow(name)),
            Scenario::ProdLatency => {
                only("prod", &is_slow) && !names.iter().any(|name| fails(name))
            }
            Scenario::QaErrors | Scenario::Compare => {
                only("qa", &fails) && !names.iter().any(|name| is_slow(name))
            }
        }
    }
}

/// Runs a scenario; fails when it is not seen within [`SEEN`].
pub fn run(options: &Options, scenario: Scenario) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (planes, stack) = planes::table(options, Ports(0))?;
        let mut system = System::new(&stack.folder);
        let stopped = stop::flag(system.killer())?;
        let go_on = || !*stopped.borrow();
        println!("{}", scenario.about());
        let outcome = async {
            match ask::status(stack.page, "/-/ready") == Some(200) {
                true => println!("The data planes run already."),
                false => stack.start(&mut system, go_on).await?,
            }
            play(scenario, &planes, &stack, go_on).await
        };
        let outcome = outcome.await;
        system.stop().await;
        outcome.map_err(|error| anyhow!("error: {error:#}"))
    })
}

async fn play(
    scenario: Scenario,
    planes: &[Plane],
    stack: &Stack,
    go_on: impl Fn() -> bool,
) -> Result<()> {
    let names = ["prod", "dev", "qa"];
    let plane = |name: &str| planes.iter().find(|plane| plane.name == name);
    let url = |plane: &Plane| format!("http://127.0.0.1:{}", plane.shop);
    let (told, stop) = watch::channel(false);
    let mut loads = Vec::new();
    for name in names {
        let Some(plane) = plane(name) else { bail!("there is no data plane {name} in planes.txt") };
        let load = Load {
            url: url(plane),
            mix: Mix::Shop,
            pace: Pace::of(name, None),
            connections: CONNECTIONS,
            requests: None,
            duration: Some(SEEN * 2),
            seed: 1,
        };
        loads.push(tokio::spawn(loadgen::run(load, Progress::default(), stop.clone())));
    }
    let mut faults = None;
    if let Some((name, wanted)) = scenario.faults()
        && let Some(plane) = plane(name)
    {
        faults = Faults::switch_on(&url(plane), &wanted).await?;
        println!("Switched on in {name}: {wanted}");
    }
    println!("Look at: http://127.0.0.1:{}/", stack.page);
    for (name, unit, expression) in FIGURES {
        println!("  {name} ({unit}): {expression}");
    }
    let begun = Instant::now();
    let mut figures = figures(stack.page);
    while !scenario.is_seen(&figures, &names) && begun.elapsed() < SEEN && go_on() {
        tokio::time::sleep(ASK).await;
        figures = self::figures(stack.page);
    }
    let is_seen = scenario.is_seen(&figures, &names);
    // All loads may be over.
    let _ = told.send(true);
    let mut sent = Vec::new();
    for load in loads {
        sent.push(load.await??);
    }
    if let Some(faults) = faults {
        faults.restore().await?;
    }
    println!("\n{:<12}{:>12}{:>12}{:>12}", "", names[0], names[1], names[2]);
    for ((name, unit, _), values) in FIGURES.iter().zip(&figures) {
        let shown =
            names.map(|name| values.get(name).map_or("-".to_owned(), |v| format!("{v:.2}{unit}")));
        println!("{name:<12}{:>12}{:>12}{:>12}", shown[0], shown[1], shown[2]);
    }
    let totals: Vec<String> = sent.iter().map(|tally| tally.total().to_string()).collect();
    println!("{:<12}{:>12}{:>12}{:>12}\n", "sent", totals[0], totals[1], totals[2]);
    if !is_seen {
        bail!("PromQL did not show it within {SEEN:?}");
    }
    println!(
        "Seen after {:.0} s, where it happened and nowhere else.",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

/// What PromQL says of each figure; empty where it has no answer yet.
fn figures(port: u16) -> [ByEnvironment; 3] {
    FIGURES.map(|(_, _, expression)| by_environment(port, expression).unwrap_or_default())
}

/// What PromQL says, by environment.
fn by_environment(port: u16, expression: &str) -> Option<ByEnvironment> {
    let one = |sample: &Value| {
        let environment = sample["metric"]["environment"].as_str()?.to_owned();
        let value: f64 = sample["value"][1].as_str()?.parse().ok()?;
        value.is_finite().then_some((environment, value))
    };
    Some(ask::promql(port, expression)?.iter().filter_map(one).collect())
}
