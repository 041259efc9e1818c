// SPDX-License-Identifier: Apache-2.0
//! `foreglow doctor`: the documents' troubleshooting lists, done by machine.
//!
//! In: the configuration of what runs (the built-in one unless files are given) and its addresses.
//! Out: what was looked at, each ok, to look at or failed, with what was seen and what to do; exit
//! status 1 if anything failed. Asks servers that may be anything, within seconds ([`ask`]); what it
//! sends is export requests without data.

mod ask;
mod client;
mod flow;
mod host;
mod pages;
mod places;
mod queries;
mod reach;
mod report;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use exporters::embedded_store;
use futures::future::join_all;
use pipeline::config::{Loaded, Plan};

use crate::cli::{Doctor, Format, Options};
use crate::configuration;
use crate::ports::Owner;
use ask::Asker;
use flow::Window;
use pages::Page;
use places::{Place, Speaks};
use report::{Finding, Report};

/// Between two looks at the counters when nobody knows what they were a minute ago.
const WATCH: Duration = Duration::from_secs(2);

/// A minute, which the store is asked about.
const MINUTE: f64 = 60.0;

/// Looks at everything; the report, and whether nothing failed.
///
/// # Errors
/// When the variables of `--client` cannot be read.
pub fn run(options: &Options, how: &Doctor) -> Result<(String, bool)> {
    let variables = variables(how.client)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(examine(options, how, &variables));
    // A resolver that hangs must not keep the process.
    runtime.shutdown_background();
    let color = std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = match how.output {
        Format::Text => report.text(color),
        Format::Json => report.json(),
    };
    Ok((text, report.is_well()))
}

/// The variables of a process, or our own.
fn variables(client: Option<u32>) -> Result<client::Variables> {
    let Some(pid) = client else {
        let all = std::env::vars_os();
        return Ok(all
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect());
    };
    let path = format!("/proc/{pid}/environ");
    let text = std::fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

async fn examine(options: &Options, how: &Doctor, variables: &client::Variables) -> Report {
    let mut report = Report::default();
    let asker = Asker::new(how.token.clone());
    let plan = match configuration::load_again(options) {
        Ok(loaded) => {
            report.add("Configuration", configured(options, &loaded));
            Some(loaded.plan)
        }
        Err(diagnostics) => {
            let seen = diagnostics.error_lines().join("\n");
            let advice =
                "foreglow validate shows each with its place; below: the default addresses";
            report.add("Configuration", vec![Finding::fail("configuration", seen, advice)]);
            configuration::load_again(&Options {
                configs: Vec::new(),
                prometheus_config: None,
                sets: Vec::new(),
                ..options.clone()
            })
            .ok()
            .map(|loaded| loaded.plan)
        }
    };
    let plan = plan.unwrap_or_default();
    let all = at(places::places(&plan), how.url.as_deref());
    let seen = look_at_all(&asker, &all, &plan).await;
    let pid = seen.iter().find_map(|seen| match &seen.owner {
        Some(Owner::Process { name, pid }) if name == "foreglow" => Some(*pid),
        _ => None,
    });
    let ahead: Vec<f64> =
        seen.iter().filter_map(|seen| seen.said.as_ref()?.clock_ahead()).collect();
    let addresses = seen.into_iter().map(|seen| seen.finding);
    report.add(
        "Addresses",
        addresses.chain(pid.and_then(|pid| started_with(options, pid))).collect(),
    );
    let (findings, routes) = client::check(variables, &all);
    report.add("Sender's variables", findings);
    report.add("Sender's way", ways(&asker, routes).await);

    let base = |wanted: fn(&Speaks) -> bool| all.iter().find(|place| wanted(&place.speaks));
    let page = base(|speaks| *speaks == Speaks::Page);
    let (window, newest) = window(&asker, base(|s| *s == Speaks::Metrics), page).await;
    if let Some(window) = &window {
        let target = base(|speaks| matches!(speaks, Speaks::Http(_)));
        let target = target.map_or("http://localhost:4318".to_owned(), Place::base);
        let takes =
            |name: &str| plan.pipelines.iter().any(|pipeline| pipeline.signal.name() == name);
        report.add("Data", flow::signals(window, takes, &target));
        report.add("Exporters", flow::exporters(window));
        report.add("Losses", flow::damages(&newest));
    }
    report.add("Peers", peers(&asker, &plan).await);
    if let Some(page) = page {
        let base = page.base();
        report.add("Queries", queries::apis(&asker, &base).await);
        report.add("Scraping", queries::targets(&asker, &base).await);
        report.add("Times of spans", queries::from_the_future(&asker, &base).await);
    }
    let clocks = reach::clock(&ahead).into_iter().chain(host::clock_is_kept(Path::new("/")));
    report.add("Clock", clocks.collect());
    report.add("Disk", disk(options, &plan, pid));
    report.add("Limits", host::limits(Path::new("/"), pid.unwrap_or(std::process::id())));
    report
}

/// What the configuration has, and what it warns of.
fn configured(options: &Options, loaded: &Loaded) -> Vec<Finding> {
    let plan = &loaded.plan;
    let given: Vec<_> =
        options.prometheus_config.iter().chain(&options.configs).map(String::as_str).collect();
    let of = if given.is_empty() { "the built-in one".to_owned() } else { given.join(", ") };
    let pipelines: Vec<_> = plan.pipelines.iter().map(|pipeline| &*pipeline.id).collect();
    let seen = format!("{of}: valid, pipelines {}", pipelines.join(", "));
    let warnings = loaded.diagnostics.warning_lines();
    let advice = "foreglow validate shows each with its place";
    std::iter::once(Finding::ok("configuration", seen))
        .chain(warnings.into_iter().map(|line| Finding::warn("configuration", line, advice)))
        .collect()
}

/// The places, with the page where `--url` says.
fn at(mut all: Vec<Place>, url: Option<&str>) -> Vec<Place> {
    let Some((url, address)) = url.and_then(|url| Some((url, places::authority(url)?))) else {
        return all;
    };
    all.retain(|place| place.speaks != Speaks::Page);
    let is_tls = url.starts_with("https://");
    all.push(Place { speaks: Speaks::Page, address, is_tls, key: "--url".to_owned() });
    all
}

/// All at once: what hangs costs its time limit only once.
async fn look_at_all(asker: &Asker, all: &[Place], plan: &Plan) -> Vec<reach::Seen> {
    let looks = all.iter().map(|place| reach::look(asker.clone(), place.clone(), Some(plan)));
    join_all(looks).await
}

/// Tells when what runs was given other arguments than the doctor.
fn started_with(options: &Options, pid: u32) -> Option<Finding> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line).into_owned();
    let arguments: Vec<_> = line.split('\0').filter(|argument| !argument.is_empty()).collect();
    let is_config = |argument: &&&str| {
        ["--config", "--set", "--prometheus-config"].iter().any(|name| argument.starts_with(name))
    };
    let theirs = arguments.iter().filter(is_config).count();
    let ours =
        options.configs.len() + options.sets.len() + options.prometheus_config.iter().count();
    (theirs > 0 && ours == 0).then(|| {
        let seen = format!("foreglow (pid {pid}) was started with other settings");
        let given = arguments.get(1..).unwrap_or_default().join(" ");
        Finding::warn("arguments", seen, format!("foreglow doctor {given}"))
    })
}

/// Whether the addresses in the sender's variables take OTLP.
async fn ways(asker: &Asker, routes: Vec<client::Route>) -> Vec<Finding> {
    let mut found = Vec::new();
    for client::Route { base, is_grpc } in routes {
        let (protocol, outcome) = match is_grpc {
            true => ("OTLP/gRPC", reach::otlp_grpc(asker, &base, None).await),
            false => {
                let paths = ["traces", "metrics", "logs"].map(|signal| format!("/v1/{signal}"));
                ("OTLP/HTTP", reach::otlp_http(asker, &base, &paths, None).await.0)
            }
        };
        let what = format!("{protocol} {base}");
        let advice = "what is sent there is lost: correct the variable, or start who should listen";
        found.push(match outcome {
            Ok(seen) => Finding::ok(what, seen),
            Err(seen) => Finding::fail(what, seen, advice),
        });
    }
    found
}

/// Own metrics now and a minute ago; without a store that knows, two seconds apart.
async fn window(
    asker: &Asker,
    metrics: Option<&Place>,
    page: Option<&Place>,
) -> (Option<Window>, Page) {
    let Some(metrics) = metrics else { return (None, Page::default()) };
    let read = || async {
        let said = asker.get(&format!("{}/metrics", metrics.base())).await.ok()?;
        Some(Page::of_text(&said.text())).filter(|page| !page.is_empty())
    };
    let Some(now) = read().await else { return (None, Page::default()) };
    let window = |now: Page, then, length: &str| {
        (Some(Window { now: now.clone(), then, length: length.to_owned() }), now)
    };
    if flow::uptime(&now).is_some_and(|uptime| uptime < MINUTE) {
        return window(now, Page::default(), "since the start, less than a minute ago");
    }
    if let (Some(page), Some(port)) = (page, metrics.port())
        && let Some(then) = queries::a_minute_ago(asker, &page.base(), port).await
    {
        return window(now, then, "in the last minute");
    }
    tokio::time::sleep(WATCH).await;
    match read().await {
        Some(later) => window(later, now, "in two seconds"),
        None => window(now, Page::default(), "since the start"),
    }
}

/// Servers that exporters send to, and model servers.
async fn peers(asker: &Asker, plan: &Plan) -> Vec<Finding> {
    let mut found = join_all(places::peers(plan).into_iter().map(reach::peer)).await;
    for server in places::model_servers(plan) {
        found.extend(reach::models(asker, &server).await);
    }
    found
}

/// Room for what the store keeps, if there is one.
fn disk(options: &Options, plan: &Plan, pid: Option<u32>) -> Vec<Finding> {
    let of = |exporter: &pipeline::config::Instance<_>| {
        let config = exporter.config.clone().downcast::<embedded_store::Config>().ok()?;
        let kept = |own: Option<pipeline::config::Duration>, usual: &str| match own {
            Some(own) => own.to_string(),
            None => usual.to_owned(),
        };
        let blocks = &config.blocks;
        if !blocks.retention.is_zero() {
            return Some((config.directory.clone(), blocks.retention.to_string()));
        }
        let kept = format!(
            "{} (metrics), {} (traces), {} (logs)",
            kept(blocks.metrics.time, "15d"),
            kept(blocks.traces.time, "7d"),
            kept(blocks.logs.time, "7d"),
        );
        Some((config.directory.clone(), kept))
    };
    let mut all: Vec<_> = plan.exporters.iter().filter_map(of).collect();
    all.dedup();
    let data = data_of(options, pid);
    all.into_iter()
        .map(|(directory, kept)| {
            let directory = if directory.is_empty() { "store".to_owned() } else { directory };
            host::disk(&data.join(directory), &kept)
        })
        .collect()
}

/// The data directory: as seen by what runs, whose current directory may be another.
fn data_of(options: &Options, pid: Option<u32>) -> PathBuf {
    let there = pid.and_then(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).ok());
    match there {
        Some(there) if !options.data.is_absolute() && !options.data.exists() => {
            there.join(&options.data)
        }
        _ => options.data.clone(),
    }
}
