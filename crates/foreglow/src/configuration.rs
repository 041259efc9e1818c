// SPDX-License-Identifier: Apache-2.0
//! From the command line to a checked configuration.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Result, anyhow};
use pipeline::config::{self, Diagnostics, Environment, Input, Level, Loaded, MetricsTelemetry};
use pipeline::{Graph, Host};

use crate::cli::{Format, Options};
use crate::components::components;

/// What runs without `--config`.
const BUILT_IN: &str = include_str!("default.yaml");

/// The page's address unless `--listen` or a file says otherwise.
const LISTEN: &str = "127.0.0.1:7070";

/// Reads and checks the configuration; the error is the rendered diagnostics.
pub fn load(options: &Options) -> Result<Loaded> {
    load_again(options).map_err(|diagnostics| shown(&diagnostics))
}

/// As [`load`], with the mistakes one by one.
pub fn load_again(options: &Options) -> Result<Loaded, Diagnostics> {
    config::load(&input(options), &components(), Environment::process())
}

/// `foreglow validate`: also builds every component, which does no I/O.
pub fn validate(options: &Options) -> Result<()> {
    let loaded = load(options)?;
    if !loaded.diagnostics.is_empty() {
        eprint!("{}", loaded.diagnostics.render(use_color()));
    }
    let host = Host::new(Path::new(&options.data).to_owned());
    Graph::build(&loaded.plan, &host).map(drop).map_err(|errors| joined(&errors))
}

/// `foreglow validate --report`: the text, and whether the configuration would run.
pub fn report(options: &Options, format: Format) -> Result<(String, bool)> {
    let input = input(options);
    let mut report = config::report(&input, &components(), Environment::process());
    if report.usable {
        let host = Host::new(Path::new(&options.data).to_owned());
        if let Err(errors) = Graph::build(&load(options)?.plan, &host) {
            errors.iter().for_each(|error| report.problem(error.to_string()));
        }
    }
    let text = match format {
        Format::Text => report.to_text(),
        Format::Json => report.to_json()?,
    };
    Ok((text, report.usable))
}

/// `foreglow print-config`.
pub fn print(options: &Options) -> Result<()> {
    let yaml = config::print(&input(options), Environment::process()).map_err(|d| shown(&d))?;
    print!("{yaml}");
    Ok(())
}

/// All errors as one, a line each.
pub fn joined(errors: &[basics::Error]) -> anyhow::Error {
    let lines: Vec<String> = errors.iter().map(|error| format!("error: {error}")).collect();
    anyhow!(lines.join("\n"))
}

fn shown(diagnostics: &Diagnostics) -> anyhow::Error {
    anyhow!(diagnostics.render(use_color()))
}

/// Colours for a terminal, unless <https://no-color.org> asks for none.
pub fn use_color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// The built-in configuration follows `--listen` by its own keys; files get a page beside them.
pub fn input(options: &Options) -> Input {
    let mut input = input_as_given(options);
    let moves_metrics = |set: &String| set.trim_start().starts_with("service");
    if input.configs.is_empty() && input.sets.iter().any(moves_metrics) {
        let first = config::load(&input, &components(), Environment::process());
        if let Ok(loaded) = first {
            // Before the user's own, which may say otherwise.
            input.sets.splice(0..0, scrape_own_metrics(&loaded.plan.telemetry.metrics));
        }
    }
    input
}

/// Where the built-in configuration scrapes itself: where `service.telemetry` shows its metrics.
fn scrape_own_metrics(metrics: &MetricsTelemetry) -> Vec<String> {
    const RECEIVER: &str = "receivers.prometheus.config.scrape_configs";
    match metrics.pages.first() {
        Some(page) if metrics.level != Level::None => {
            let address = page.address.as_str();
            let (host, port) = address.rsplit_once(':').unwrap_or((address, "8888"));
            let host = if matches!(host, "" | "0.0.0.0" | "[::]") { "localhost" } else { host };
            vec![format!(
                "{RECEIVER}=[{{job_name: foreglow, scrape_interval: 5s, static_configs: [{{targets: [\"{host}:{port}\"]}}]}}]"
            )]
        }
        _ => vec!["service.pipelines.metrics.receivers=[otlp, hostmetrics]".to_owned()],
    }
}

fn input_as_given(options: &Options) -> Input {
    let prometheus = options.prometheus_config.iter().map(|path| format!("prometheus:{path}"));
    let mut input = Input {
        configs: prometheus.chain(options.configs.iter().cloned()).collect(),
        default: Some(("built-in configuration", BUILT_IN)),
        ..Input::default()
    };
    let is_off = options.listen.as_deref() == Some("off");
    match (&options.listen, input.configs.is_empty()) {
        (_, true) if is_off => input.sets.push("service.extensions=[health_check]".to_owned()),
        (Some(address), true) => {
            input.sets.push(format!("extensions.query_server.endpoint=\"{address}\""));
        }
        (_, false) if !is_off => {
            let address = options.listen.as_deref().unwrap_or(LISTEN);
            let body = format!("endpoint: \"{address}\"");
            input.extensions.push(("query_server".to_owned(), body));
        }
        _ => {}
    }
    input.sets.extend(options.sets.iter().cloned());
    input
}
