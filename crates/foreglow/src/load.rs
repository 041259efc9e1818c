// SPDX-License-Identifier: Apache-2.0
//! `foreglow load http`: load for one or several targets, with a report and an exit status.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use loadgen::{Faults, Load, Mix, Pace, Progress, Tally, Threshold};
use tokio::sync::watch;

use crate::cli::{Format, HttpLoad, RateScope};
use crate::stop;

/// How often the bar moves.
const REFRESH: Duration = Duration::from_millis(100);

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
pub fn http(how: &HttpLoad) -> Result<()> {
    let parts = parts(how)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = stop::flag(|| ())?;
        tokio::spawn(patience(stop.clone()));
        all(how, parts, stop).await
    })
}

/// Says why a load that was told to stop goes on.
async fn patience(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_ok() {
        eprintln!("\nWaiting for answers to what was sent; once more to stop at once.");
    }
}

async fn all(how: &HttpLoad, parts: Vec<Part>, stop: watch::Receiver<bool>) -> Result<()> {
    let mut switched = Vec::new();
    for part in &parts {
        if how.output == Format::Text {
            say(&format!("{}{}\n", heading(&part.name), loadgen::opening(&part.load, part.each)));
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
    let bar = tokio::spawn(show(progress.clone(), expected, how.output));
    let mut done = Vec::new();
    let mut failed = None;
    for (part, run) in running {
        match run.await? {
            Ok(tally) => done.push((part, tally)),
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
    if how.output == Format::Text {
        say(&format!("\r{}\n\n", loadgen::progress(progress.done(), expected)));
    }
    report(how, &done)
}

/// Moves the bar on a terminal.
async fn show(progress: Progress, expected: Option<u64>, output: Format) {
    if output != Format::Text || !std::io::stdout().is_terminal() {
        return;
    }
    loop {
        say(&format!("\r{}", loadgen::progress(progress.done(), expected)));
        tokio::time::sleep(REFRESH).await;
    }
}

fn report(how: &HttpLoad, done: &[(Part, Tally)]) -> Result<()> {
    let mut broken = Vec::new();
    for (part, tally) in done {
        if how.output == Format::Text {
            say(&format!("{}{}", heading(&part.name), loadgen::text(tally)));
        }
        for threshold in &how.thresholds {
            let (value, is_kept) = threshold.check(tally);
            if how.output == Format::Text {
                let verdict = if is_kept { "ok" } else { "BROKEN" };
                say(&format!("Threshold {threshold}: {value} {verdict}\n"));
            }
            if !is_kept {
                broken.push(format!("{threshold} ({value}, {})", part.load.url));
            }
        }
        if tally.statuses.is_empty() {
            let why = tally.errors.keys().next().map_or("nothing was sent", String::as_str);
            broken.push(format!("no answer from {} ({why})", part.load.url));
        }
    }
    if how.output == Format::Json {
        let all = done.iter().map(|(part, tally)| loadgen::json(&part.load, tally));
        say(&format!("{}\n", serde_json::Value::Array(all.collect())));
    }
    match broken.is_empty() {
        true => Ok(()),
        false => Err(anyhow!("error: {}", broken.join("; "))),
    }
}

fn heading(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("--- {name} ---\n") }
}

/// Whoever reads it may have gone, as `head` does; the exit status still counts.
fn say(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
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
        bail!("error: {url:?}: only http:// addresses are supported");
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

/// A duration as `300` (seconds) or `5m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<u64>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => basics::duration::parse(text).map_err(|error| error.to_string()),
    }
}

/// A threshold of the command line.
pub fn threshold(text: &str) -> Result<Threshold, String> {
    text.parse()
}
