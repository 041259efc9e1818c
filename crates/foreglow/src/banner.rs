// SPDX-License-Identifier: Apache-2.0
//! What a person sees when all runs: where to look, where to send.

use std::time::Duration;

use pipeline::Running;
use pipeline::config::Plan;

use crate::cli::Options;

/// The lines to print.
pub fn banner(options: &Options, plan: &Plan, running: &Running, took: Duration) -> String {
    let mut lines = vec![format!(
        "foreglow {} is ready after {:.2} s",
        env!("CARGO_PKG_VERSION"),
        took.as_secs_f64()
    )];
    let mut line = |what: &str, value: String| lines.push(format!("  {what:<9} {value}"));
    for server in running.metrics_servers() {
        line("metrics", format!("http://{}/metrics", server.address()));
    }
    if plan.exporters.iter().any(|exporter| exporter.factory.kind == "embedded_store") {
        line("data", options.data.display().to_string());
    }
    line("stop", "Ctrl-C".to_owned());
    lines.join("\n")
}
