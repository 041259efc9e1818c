// SPDX-License-Identifier: Apache-2.0
//! What a person sees when all runs: where to look, where to send.

use std::time::Duration;

use extensions::query_server::PageLink;
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
    let page = running.host().find::<PageLink>("page").and_then(|page| page.get());
    if let Some(link) = page {
        line("page", link);
    }
    for (protocol, address) in otlp_addresses(plan) {
        line(protocol, address);
    }
    for server in running.metrics_servers() {
        line("metrics", format!("http://{}/metrics", server.address()));
    }
    if plan.exporters.iter().any(|exporter| exporter.factory.kind == "embedded_store") {
        line("data", options.data.display().to_string());
    }
    line("stop", "Ctrl-C".to_owned());
    lines.join("\n")
}

/// Where applications send, as configured.
fn otlp_addresses(plan: &Plan) -> Vec<(&'static str, String)> {
    let configs = plan.receivers.iter().map(|receiver| receiver.config.clone());
    let mut addresses = Vec::new();
    for config in configs.filter_map(|config| config.downcast::<receivers::otlp::Config>().ok()) {
        let or = |endpoint: &Option<String>, default: &str| {
            endpoint.clone().unwrap_or_else(|| default.to_owned())
        };
        if let Some(grpc) = &config.protocols.grpc {
            addresses.push(("OTLP/gRPC", or(&grpc.endpoint, "localhost:4317")));
        }
        if let Some(http) = &config.protocols.http {
            let address = or(&http.server.endpoint, "localhost:4318");
            addresses.push(("OTLP/HTTP", format!("http://{address}")));
        }
    }
    addresses
}
