// SPDX-License-Identifier: Apache-2.0
//! `foreglow load http|otlp`: what all loads have in common: a bar, a report and an exit status.

pub mod http;
pub mod otlp;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Result, anyhow};
use loadgen::{About, Progress, Tally, Threshold};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cli::Format;
use crate::stop;

/// How often the bar moves.
const REFRESH: Duration = Duration::from_millis(100);

/// Runs `load` until it is over or a signal says so.
fn block_on(load: impl AsyncFnOnce(watch::Receiver<bool>) -> Result<()>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = stop::flag(|| ())?;
        tokio::spawn(patience(stop.clone()));
        load(stop).await
    })
}

/// Says why a load that was told to stop goes on.
async fn patience(mut stop: watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_ok() {
        eprintln!("\nWaiting for answers to what was sent; once more to stop at once.");
    }
}

/// A load that is over.
struct Done {
    /// What it is called in reports; empty when it is the only one.
    name: String,
    about: About,
    tally: Tally,
}

/// How loads are told of.
struct Told {
    output: Format,
    thresholds: Vec<Threshold>,
}

impl Told {
    /// Moves the bar, on a terminal.
    fn bar(&self, progress: &Progress, expected: Option<u64>, every: Duration) -> JoinHandle<()> {
        let is_shown = self.output == Format::Text && std::io::stdout().is_terminal();
        let progress = progress.clone();
        tokio::spawn(async move {
            if !is_shown {
                return;
            }
            loop {
                say(&format!("\r{}", loadgen::progress(progress.done(), expected)));
                tokio::time::sleep(every).await;
            }
        })
    }

    /// The report; fails when a threshold is not kept or nothing was answered.
    fn end(&self, progress: &Progress, expected: Option<u64>, done: &[Done]) -> Result<()> {
        if self.output == Format::Text {
            say(&format!("\r{}\n\n", loadgen::progress(progress.done(), expected)));
        }
        let mut broken = Vec::new();
        for Done { name, about, tally } in done {
            if self.output == Format::Text {
                say(&format!("{}{}", heading(name), loadgen::text(about, tally)));
            }
            for threshold in &self.thresholds {
                let (value, is_kept) = threshold.check(tally);
                if self.output == Format::Text {
                    let verdict = if is_kept { "ok" } else { "BROKEN" };
                    say(&format!("Threshold {threshold}: {value} {verdict}\n"));
                }
                if !is_kept {
                    broken.push(format!("{threshold} ({value}, {})", about.url));
                }
            }
            if tally.times.is_empty() {
                let why = tally.errors.keys().next().map_or("nothing was sent", String::as_str);
                let what =
                    if about.unit == "req" { "no answer from" } else { "nothing was taken by" };
                broken.push(format!("{what} {} ({why}){}", about.url, hint(about.unit, why)));
            }
        }
        if self.output == Format::Json {
            let all = done.iter().map(|done| loadgen::json(&done.about, &done.tally));
            say(&format!("{}\n", serde_json::Value::Array(all.collect())));
        }
        match broken.is_empty() {
            true => Ok(()),
            false => Err(anyhow!("error: {}", broken.join("; "))),
        }
    }
}

/// What a peer that hangs up without an answer may want.
fn hint(unit: &str, why: &str) -> &'static str {
    let hangs_up = ["closed", "reset", "aborted", "broken pipe", "invalid size"];
    match hangs_up.iter().any(|text| why.contains(text)) {
        true if unit == "req" => ": it may speak another protocol, such as TLS",
        true => ": it may want TLS (no --otlp-insecure), or HTTP (--otlp-http), or gRPC",
        false => "",
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
