// SPDX-License-Identifier: Apache-2.0
//! `foreglow demo inference-stack`: the system of the fourth document as processes of this host.
//!
//! ```text
//! inference :9000 --OTLP/gRPC--> collector :4317 --Jaeger gRPC--> store :14250, shown on :16686
//!                                    :8889 <--scrape each 5 s---- store :7070
//! ```
//! The collector runs the exporters that the document suggests for real back ends, its own metrics
//! on 8888 and its health on 13133. The document keeps a tenth of the traces, for much traffic;
//! here all are kept, so that the `trace_id` of an answer finds its trace.

use anyhow::Result;

use super::Program;
use super::stack::{Ports, Seen, Stack, foreglow, service};
use crate::cli::Options;

/// What the document says of its collector.
const COLLECTOR: &str = include_str!("inference-collector.yaml");

/// In the places of Prometheus and Jaeger.
fn store(ports: Ports, listen: &str) -> String {
    let (jaeger, page, scraped) = (ports.address(14250), ports.address(16686), ports.address(8889));
    format!(
        "receivers:
  jaeger:
    protocols:
      grpc:
        endpoint: {jaeger}
  prometheus:
    config:
      scrape_configs:
        - job_name: otel-collector
          honor_labels: true
          scrape_interval: 5s
          static_configs:
            - targets: [\"{scraped}\"]
exporters:
  embedded_store:
    plain_labels: true
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
    metrics:
      receivers: [prometheus]
      exporters: [embedded_store]
"
    )
}

/// All of it.
///
/// # Errors
/// When `--listen` has no port.
pub fn table(options: &Options, ports: Ports) -> Result<Stack> {
    let folder = options.data.join("inference-stack");
    let (listen, page) = ports.page(options, 7070)?;
    let traces = ports.at(16686);
    let (grpc, http, exporter, health) =
        (ports.at(4317), ports.at(4318), ports.at(8889), ports.at(13133));
    let inference = ports.at(9000);
    let collector = [
        ("receivers.otlp.protocols.grpc.endpoint", ports.address(4317)),
        ("receivers.otlp.protocols.http.endpoint", ports.address(4318)),
        ("exporters.jaeger.endpoint", ports.address(14250)),
        ("exporters.jaeger.tls.insecure", "true".to_owned()),
        ("exporters.prometheus.endpoint", ports.address(8889)),
        ("extensions.health_check.endpoint", ports.address(13133)),
        ("processors.probabilistic_sampler.sampling_percentage", "100".to_owned()),
        ("service.telemetry.metrics.address", ports.address(8888)),
    ];
    let mut served = Program {
        about: format!("http://127.0.0.1:{inference}/predict"),
        ports: vec![inference],
        ready: Some((inference, "/health")),
        ..service("inference", ("grpc", grpc), &[("OTEL_LOGS_EXPORTER", "none")])
    };
    served.arguments.push(format!("--listen=127.0.0.1:{inference}"));
    let programs = vec![
        Program {
            about: format!("http://127.0.0.1:{page}/, Jaeger's API on http://127.0.0.1:{traces}/"),
            ports: vec![page, traces, ports.at(14250)],
            ready: Some((page, "/-/ready")),
            ..foreglow(&folder, "store", "off", &[])
        },
        Program {
            about: format!(
                "OTLP on 127.0.0.1:{grpc} and http://127.0.0.1:{http}, http://127.0.0.1:{exporter}/metrics"
            ),
            ports: vec![grpc, http, exporter, health, ports.at(8888)],
            ready: Some((health, "/")),
            ..foreglow(&folder, "collector", "off", &collector)
        },
        served,
    ];
    Ok(Stack {
        files: vec![
            ("store.yaml".to_owned(), store(ports, &listen)),
            ("collector.yaml".to_owned(), COLLECTOR.to_owned()),
        ],
        programs,
        page,
        seen: vec![
            Seen::Query("http_requests_total".to_owned()),
            Seen::Traces("ai-inference-service"),
        ],
        told: "The service's metrics and traces are in the store".to_owned(),
        look: vec![
            format!("Ask: curl -X POST http://127.0.0.1:{inference}/predict -H 'Content-Type: application/json' -d '{{\"features\": [0.5, 1.5, 2.0]}}'"),
            format!("Load: foreglow load http --url http://127.0.0.1:{inference}/predict --requests 500 --concurrency 10 --rate 50"),
            "PromQL: sum by (path, status) (rate(http_requests_total[1m]))".to_owned(),
            "        histogram_quantile(0.95, sum by (le) (rate(prediction_latency_ms_bucket[5m])))".to_owned(),
            "        active_requests".to_owned(),
            format!("Traces: http://127.0.0.1:{traces}/"),
        ],
        folder,
    })
}
