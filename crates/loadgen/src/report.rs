// SPDX-License-Identifier: Apache-2.0
//! A run for people, in the lines of the fourth document, and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::tally::{Items, Tally};

/// Characters of the progress bar, and of the longest bar of the histogram.
const BAR: u64 = 20;
const LONGEST: u64 = 24;

/// Rows of the histogram: fewer, wider ones when times are long.
const ROWS_MAX: u64 = 20;

/// What is told of a load.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    /// Where it goes.
    pub url: String,
    /// What is counted: `req`, `spans`, `points`, `records`.
    pub unit: &'static str,
    /// How many of them; none when that is not known before.
    pub expected: Option<u64>,
    /// When it ends.
    pub duration: Option<Duration>,
    /// Connections.
    pub workers: usize,
    /// How many a second; none = as fast as answers come.
    pub rate: Option<f64>,
    /// The rate of one worker, if that was asked for.
    pub each: Option<f64>,
}

/// What is told before a run.
pub fn opening(about: &About) -> String {
    let About { url, unit, .. } = about;
    let mut out = format!("Starting load test...\nURL: {url}\n");
    let _ = match (about.expected, about.duration) {
        (Some(all), _) => writeln!(out, "Total {}: {all}", plural(unit)),
        (None, Some(duration)) => writeln!(out, "Duration: {duration:?}"),
        (None, None) => writeln!(out, "Duration: until it is stopped"),
    };
    let _ = writeln!(out, "Concurrency: {}", about.workers);
    let _ = match (about.each, about.rate) {
        (Some(each), Some(all)) => {
            writeln!(out, "Target rate: {each} {unit}/s per worker ({all} {unit}/s in total)")
        }
        (None, Some(all)) => writeln!(out, "Target rate: {all} {unit}/s"),
        (_, None) => writeln!(out, "Target rate: as fast as answers come"),
    };
    out
}

fn plural(unit: &str) -> &str {
    if unit == "req" { "requests" } else { unit }
}

/// The line of progress.
pub fn progress(done: u64, expected: Option<u64>) -> String {
    let Some(expected) = expected else { return format!("Progress: {done}") };
    let full = (done.min(expected) * BAR).checked_div(expected).unwrap_or(BAR);
    let bar: String = (0..BAR).map(|at| if at < full { '#' } else { '.' }).collect();
    format!("Progress: [{bar}] {done}/{expected}")
}

/// What is told after a run.
pub fn text(about: &About, tally: &Tally) -> String {
    let mut out = String::from("Results:\n========================================\n");
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<20}{value}");
    };
    line("Total requests:", tally.total().to_string());
    line("Successful:", tally.successful.to_string());
    line("Failed:", tally.failed.to_string());
    line("Duration:", format!("{:.1}s", tally.elapsed.as_secs_f64()));
    line("Actual rate:", format!("{:.1} {}/s", tally.rate(), about.unit));
    if tally.items != Items::default() {
        let Items { offered, accepted, rejected, duplicated } = tally.items;
        line("Sent:", format!("{offered} {}", about.unit));
        line("Accepted:", accepted.to_string());
        line("Rejected:", rejected.to_string());
        line("Accepted twice:", duplicated.to_string());
    }
    if tally.put_off > 0 {
        line("Put off:", tally.put_off.to_string());
    }
    if tally.times.is_empty() {
        return out + &failures(tally);
    }
    out.push_str("\nLatency Distribution:\n");
    let mut line = |name: &str, micros: f64| {
        let _ = writeln!(out, "  {name:<18}{}", milliseconds(micros));
    };
    let times = &tally.times;
    line("Min:", times.min() as f64);
    line("Max:", times.max() as f64);
    line("Mean:", times.mean());
    line("Median (p50):", times.value_at_percentile(50.0) as f64);
    for percent in [90.0, 95.0, 99.0, 99.9] {
        line(&format!("p{percent}:"), times.value_at_percentile(percent) as f64);
    }
    out.push_str("\nHistogram:\n");
    histogram(&mut out, tally);
    let sent = &tally.sent_times;
    let percentile = |percent| milliseconds(sent.value_at_percentile(percent) as f64);
    let (median, p99) = (percentile(50.0), percentile(99.0));
    let _ = writeln!(
        out,
        "\nFrom the sending (not corrected for requests sent late): p50 {median}, p99 {p99}, max {}",
        milliseconds(sent.max() as f64)
    );
    out.push_str(&failures(tally));
    if !tally.slowest.is_empty() {
        out.push_str("Slowest traces:\n");
    }
    for slow in &tally.slowest {
        let time = milliseconds(slow.micros as f64);
        let _ = writeln!(out, "  {} {time:>8}  {}", slow.trace_id, slow.what);
    }
    out
}

/// What went wrong, by kind.
fn failures(tally: &Tally) -> String {
    let statuses = tally.statuses.iter().filter(|(status, _)| **status >= 400);
    let statuses = statuses.map(|(status, count)| format!("Status {status}: {count}\n"));
    let errors = tally.errors.iter().map(|(what, count)| format!("Error: {what}: {count}\n"));
    statuses.chain(errors).collect()
}

/// Rows of 50 ms, or of a multiple when there would be too many; the fullest is the longest.
fn histogram(out: &mut String, tally: &Tally) {
    let longest = tally.times.max() / 1000;
    let width = 50 * (longest / (50 * ROWS_MAX) + 1);
    let rows = longest / width + 1;
    let within = |row: u64| {
        let from = if row == 0 { 0 } else { row * width * 1000 };
        tally.times.count_between(from, (row + 1) * width * 1000 - 1)
    };
    let counts: Vec<u64> = (0..rows).map(within).collect();
    let fullest = counts.iter().copied().max().unwrap_or(0).max(1);
    for (row, count) in (0..).zip(counts) {
        let name = format!("{}-{}ms:", row * width, (row + 1) * width);
        let bar = "\u{2588}".repeat((count * LONGEST).div_ceil(fullest) as usize);
        let percent = count as f64 * 100.0 / tally.times.len() as f64;
        let _ = writeln!(out, "  {name:<12}{bar} {percent:.0}%");
    }
}

fn milliseconds(micros: f64) -> String {
    let milliseconds = micros / 1e3;
    if milliseconds < 10.0 {
        format!("{milliseconds:.2}ms")
    } else {
        format!("{milliseconds:.0}ms")
    }
}

/// A run for programs: times in milliseconds.
pub fn json(about: &About, tally: &Tally) -> Value {
    let times = |histogram: &hdrhistogram::Histogram<u64>| {
        let at = |percent| histogram.value_at_percentile(percent) as f64 / 1e3;
        json!({
            "min": histogram.min() as f64 / 1e3,
            "mean": histogram.mean() / 1e3,
            "p50": at(50.0),
            "p90": at(90.0),
            "p95": at(95.0),
            "p99": at(99.0),
            "p99_9": at(99.9),
            "max": histogram.max() as f64 / 1e3,
        })
    };
    let slowest = tally.slowest.iter().map(|slow| {
        json!({
            "trace_id": slow.trace_id,
            "request": slow.what,
            "ms": Duration::from_micros(slow.micros).as_secs_f64() * 1e3,
        })
    });
    let mut all = json!({
        "url": about.url,
        "total": tally.total(),
        "successful": tally.successful,
        "failed": tally.failed,
        "seconds": tally.elapsed.as_secs_f64(),
        "requests_per_second": tally.total() as f64 / tally.elapsed.as_secs_f64().max(1e-9),
        "put_off": tally.put_off,
        "bytes": tally.bytes,
        "latency_ms": times(&tally.times),
        "latency_from_sending_ms": times(&tally.sent_times),
        "statuses": tally.statuses,
        "errors": tally.errors,
        "slowest": slowest.collect::<Vec<_>>(),
    });
    if tally.items != Items::default() {
        all["items"] = json!({
            "unit": about.unit,
            "sent": tally.items.offered,
            "accepted": tally.items.accepted,
            "rejected": tally.items.rejected,
            "accepted_twice": tally.items.duplicated,
            "per_second": tally.rate(),
        });
    }
    all
}
