// SPDX-License-Identifier: Apache-2.0
//! `foreglow load http`: load for one or several services.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use loadgen::{Faults, Load, Mix, Pace, Progress};
use tokio::sync::watch;

use super::{Done, Told, heading, say};
use crate::cli::{Format, HttpLoad, RateScope};

/// Connections where none are asked for: enough for the shop's slow endpoints at its usual rates.
const CONNECTIONS: usize = 50;

/// Share of requests that fail in qa, by the second document.
const QA_ERRORS: f64 = 0.1;

/// One target's part of a run.
struct Part {
    /// What it is called in reports; empty when it is the only one.
    name: String,
    load: Load,
    /// Rate of one connection, if that was asked for.
    each: Option<f64>,
    faults: Option<serde_json::Value>,
}

/// Runs it; the exit status is a failure when a threshold is not kept or nothing was answered.
pub fn run(how: &HttpLoad) -> Result<()> {
    let parts = parts(how)?;
    let told = Told { output: how.output, thresholds: how.thresholds.clone() };
    super::block_on(async |stop| all(told, parts, stop).await)
}

async fn all(told: Told, parts: Vec<Part>, stop: watch::Receiver<bool>) -> Result<()> {
    let mut switched = Vec::new();
    for part in &parts {
        if told.output == Format::Text {
            let about = part.load.about(part.each);
            say(&format!("{}{}\n", heading(&part.name), loadgen::opening(&about)));
        }
        if let Some(faults) = &part.faults {
            match Faults::switch_on(&part.load.url, faults).await {
                Ok(Some(on)) => switched.push(on),
                Ok(None) => eprintln!("{} takes no faults: it fails by itself", part.load.url),
                Err(error) => eprintln!("faults are not switched on: {error:#}"),
            }
        }
    }
    let progress = Progress::default();
    let expected = parts.iter().map(|part| part.load.expected()).sum::<Option<u64>>();
    let mut running = Vec::new();
    for part in parts {
        let run = loadgen::run(part.load.clone(), progress.clone(), stop.clone());
        running.push((part, tokio::spawn(run)));
    }
    let bar = told.bar(&progress, expected, super::REFRESH);
    let mut done = Vec::new();
    let mut failed = None;
    for (part, run) in running {
        match run.await? {
            Ok(tally) => {
                done.push(Done { about: part.load.about(part.each), name: part.name, tally });
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    bar.abort();
    for faults in switched {
        if let Err(error) = faults.restore().await {
            eprintln!("faults are still switched on: {error:#}");
        }
    }
    if let Some(error) = failed {
        return Err(anyhow!("error: {error:#}"));
    }
    told.end(&progress, expected, &done)
}

/// What is asked for, target by target.
fn parts(how: &HttpLoad) -> Result<Vec<Part>> {
    let count = how.targets.len().max(how.environments.len()).max(1);
    if how.targets.len() > 1 && how.environments.len() > 1 && how.targets.len() != count {
        bail!("error: {} targets for {count} environments", how.targets.len());
    }
    (0..count).map(|index| part(how, index, count)).collect()
}

fn part(how: &HttpLoad, index: usize, count: usize) -> Result<Part> {
    let of = |all: &[String]| all.get(index).or(all.last().filter(|_| all.len() == 1)).cloned();
    let environment = of(&how.environments);
    let given = of(&how.targets);
    let url = match (given, environment.as_deref()) {
        (Some(url), _) => url,
        (None, Some("dev")) => "http://127.0.0.1:8082".to_owned(),
        (None, Some("qa")) => "http://127.0.0.1:8083".to_owned(),
        (None, _) => "http://127.0.0.1:8081".to_owned(),
    };
    let uri: http::Uri = url.parse().map_err(|e| anyhow!("error: {url:?} is no URL: {e}"))?;
    // Port 9000, and 9002 where it is forwarded to, are those of the fourth document's service.
    let usual = match (environment.is_none(), uri.port_u16()) {
        (true, Some(9000 | 9002)) => Mix::Predict,
        _ => Mix::Shop,
    };
    let mix = Mix::of(uri.path_and_query().map_or("", |path| path.as_str()), usual);
    let connections = how.concurrency.unwrap_or(CONNECTIONS);
    let each = match how.rate_scope {
        Some(RateScope::Worker) => how.rate,
        Some(RateScope::Total) => None,
        // The fourth document's --rate is that of one worker, the second's that of all.
        None => how.rate.filter(|_| how.concurrency.is_some() && environment.is_none()),
    };
    let rate = each.map(|each| each * connections as f64).or(how.rate);
    let pace = match (&environment, rate) {
        (Some(environment), rate) => Pace::of(environment, rate),
        (None, Some(rate)) => Pace::Steady(rate),
        (None, None) => Pace::Closed,
    };
    let duration = match (how.duration, how.requests) {
        (None, None) => Some(Duration::from_secs(30)),
        (duration, _) => duration,
    };
    let faults = (environment.as_deref() == Some("qa") && !how.no_faults)
        .then(|| serde_json::json!({ "error_rate": QA_ERRORS }));
    let base = format!("http://{}", uri.authority().map_or("", |authority| authority.as_str()));
    if uri.scheme_str() != Some("http") {
        bail!("error: {url:?}: only http:// addresses are supported (http://host:port)");
    }
    Ok(Part {
        name: if count > 1 { environment.unwrap_or_else(|| url.clone()) } else { String::new() },
        load: Load {
            url: base,
            mix,
            pace,
            connections,
            requests: how.requests,
            duration,
            seed: how.seed + index as u64,
        },
        each,
        faults,
    })
}
