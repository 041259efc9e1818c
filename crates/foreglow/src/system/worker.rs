// SPDX-License-Identifier: Apache-2.0
//! `foreglow demo worker-stack`: the system of the third document as processes of this host.
//!
//! ```text
//! worker --OTLP/gRPC--> collector :4317 --Jaeger gRPC----> store :14250, shown on :16686
//!                           |                                |
//!                           `---------remote write---> store :8428, kept for 30 d
//! ```
//! The collector runs the document's file as it is; the hosts of its network and its addresses are
//! set to this host's beside it. Its pipelines have no logs, so the worker sends none.

use anyhow::Result;

use super::Program;
use super::stack::{Ports, Seen, Stack, foreglow, service};
use crate::cli::Options;

/// The document's own.
const COLLECTOR: &str = include_str!("worker-collector.yaml");

/// In the places of VictoriaMetrics and Jaeger.
fn store(ports: Ports, listen: &str) -> String {
    let (jaeger, page) = (ports.address(14250), ports.address(16686));
    format!(
        "receivers:
  jaeger:
    protocols:
      grpc:
        endpoint: {jaeger}
exporters:
  embedded_store:
    blocks:
      retention: 30d
extensions:
  query_server:
    endpoint: {listen}
    jaeger:
      http_endpoint: {page}
service:
  extensions: [query_server]
  telemetry:
    metrics:
      level: none
  pipelines:
    traces:
      receivers: [jaeger]
      exporters: [embedded_store]
"
    )
}

/// All of it.
///
/// # Errors
/// When `--listen` has no port.
pub fn table(options: &Options, ports: Ports) -> Result<Stack> {
    let folder = options.data.join("worker-stack");
    let (listen, page) = ports.page(options, 8428)?;
    let (grpc, http, traces) = (ports.at(4317), ports.at(4318), ports.at(16686));
    let collector = [
        ("receivers.otlp.protocols.grpc.endpoint", ports.address(4317)),
        ("receivers.otlp.protocols.http.endpoint", ports.address(4318)),
        ("exporters.jaeger.endpoint", ports.address(14250)),
        (
            "exporters.prometheusremotewrite.endpoint",
            format!("http://127.0.0.1:{page}/api/v1/write"),
        ),
        ("service.telemetry.metrics.address", ports.address(8888)),
    ];
    let programs = vec![
        Program {
            about: format!("http://127.0.0.1:{page}/, Jaeger's API on http://127.0.0.1:{traces}/"),
            ports: vec![page, traces, ports.at(14250)],
            ready: Some((page, "/-/ready")),
            ..foreglow(&folder, "store", "off", &[])
        },
        Program {
            about: format!("OTLP on 127.0.0.1:{grpc} and http://127.0.0.1:{http}"),
            ports: vec![grpc, http, ports.at(8888)],
            ready: Some((ports.at(8888), "/metrics")),
            ..foreglow(&folder, "collector", "off", &collector)
        },
        Program {
            about: "a lively day".to_owned(),
            ..service("worker", ("grpc", grpc), &[("OTEL_LOGS_EXPORTER", "none")])
        },
    ];
    Ok(Stack {
        files: vec![
            ("store.yaml".to_owned(), store(ports, &listen)),
            ("collector.yaml".to_owned(), COLLECTOR.to_owned()),
        ],
        programs,
        page,
        seen: vec![Seen::Query("scotty_tasks_total".to_owned()), Seen::Traces("scotty")],
        told: "The worker's metrics and traces are in the store".to_owned(),
        look: vec![
            "PromQL: scotty_log_streams_active".to_owned(),
            "        sum by (app) (rate(scotty_tasks_total[1m]))".to_owned(),
            "        histogram_quantile(0.95, sum by (le) (rate(scotty_task_duration_seconds_bucket[5m])))"
                .to_owned(),
            format!("Traces: http://127.0.0.1:{traces}/"),
        ],
        folder,
    })
}
