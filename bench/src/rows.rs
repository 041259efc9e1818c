// SPDX-License-Identifier: Apache-2.0
//! What is measured: one row = one pipeline, for every contender that can run it.

use std::path::{Path, PathBuf};

use crate::load::Transport;
use crate::payload::Signal;

/// Where a row's pipeline ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// OTLP by the transport it came in.
    Otlp,
    RemoteWrite,
    Bulk,
}

/// One pipeline.
pub struct Row {
    pub name: &'static str,
    pub transport: Transport,
    /// Requests come compressed and are to be sent on compressed.
    pub gzip: bool,
    pub processors: &'static str,
    pub chain: &'static str,
    pub out: Out,
    pub signals: &'static [Signal],
    /// Every item sent reaches the sink as one item; else the sink is waited for until it stands
    /// still, and all contenders must have reached the same count.
    pub one_to_one: bool,
    /// The Go collector can run it, too; what the module proxy serves of its Elasticsearch exporter
    /// cannot be built.
    pub otelcol: bool,
    /// rotel can run it, too. Version 0.0.1-alpha10 always compresses, hence only gzip rows.
    pub rotel: bool,
}

const ALL: &[Signal] = &Signal::ALL;

const PLAIN: Row = Row {
    name: "",
    transport: Transport::Grpc,
    gzip: false,
    processors: "",
    chain: "",
    out: Out::Otlp,
    signals: ALL,
    one_to_one: true,
    otelcol: true,
    rotel: false,
};

/// Every row, cheapest first.
pub const ROWS: &[Row] = &[
    Row { name: "pass-through", ..PLAIN },
    Row { name: "gzip both sides", gzip: true, rotel: true, ..PLAIN },
    Row { name: "http", transport: Transport::Http, ..PLAIN },
    Row { name: "http, gzip both sides", transport: Transport::Http, gzip: true, rotel: true, ..PLAIN },
    Row {
        name: "edit",
        processors: "processors:
  resource: {attributes: [{key: deployment.region, value: eu-west-1, action: upsert}]}
  attributes: {actions: [{key: team, value: shop, action: insert}, {key: thread.name, action: delete}]}
",
        chain: "processors: [resource, attributes], ",
        ..PLAIN
    },
    Row {
        name: "edit with SHA-256",
        processors: EDIT,
        chain: "processors: [resource, attributes], ",
        ..PLAIN
    },
    Row {
        name: "sampler 50 % + edit with SHA-256 + batch",
        processors: SAMPLED,
        chain: "processors: [probabilistic_sampler, resource, attributes, batch], ",
        signals: &[Signal::Traces],
        one_to_one: false,
        ..PLAIN
    },
    Row {
        name: "to remote write",
        out: Out::RemoteWrite,
        signals: &[Signal::Metrics],
        one_to_one: false,
        ..PLAIN
    },
    Row {
        name: "to bulk",
        out: Out::Bulk,
        otelcol: false,
        signals: &[Signal::Traces, Signal::Logs],
        one_to_one: false,
        ..PLAIN
    },
];

const EDIT: &str = "processors:
  resource: {attributes: [{key: deployment.region, value: eu-west-1, action: upsert}]}
  attributes: {actions: [{key: team, value: shop, action: insert}, {key: enduser.id, action: hash}, {key: thread.name, action: delete}]}
";
const SAMPLED: &str = "processors:
  probabilistic_sampler: {sampling_percentage: 50}
  resource: {attributes: [{key: deployment.region, value: eu-west-1, action: upsert}]}
  attributes: {actions: [{key: team, value: shop, action: insert}, {key: enduser.id, action: hash}, {key: thread.name, action: delete}]}
  batch: {}
";

/// Who runs a row.
#[derive(Clone, Debug)]
pub struct Contender {
    pub name: &'static str,
    pub program: PathBuf,
}

impl Row {
    /// The collector's YAML for this row.
    pub fn yaml(&self, port: u16, sink: u16) -> String {
        let receiver = match self.transport {
            Transport::Grpc => {
                format!("grpc: {{endpoint: '127.0.0.1:{port}', max_recv_msg_size_mib: 64}}")
            }
            Transport::Http | Transport::Json => {
                format!("http: {{endpoint: '127.0.0.1:{port}'}}")
            }
        };
        let compression = if self.gzip { "gzip" } else { "none" };
        let (id, exporter) = match (self.out, self.transport) {
            (Out::Otlp, Transport::Grpc) => (
                "otlp",
                format!(
                    "endpoint: '127.0.0.1:{sink}', tls: {{insecure: true}}, compression: {compression}"
                ),
            ),
            (Out::Otlp, Transport::Http | Transport::Json) => (
                "otlphttp",
                format!("endpoint: 'http://127.0.0.1:{sink}', compression: {compression}"),
            ),
            (Out::RemoteWrite, _) => (
                "prometheusremotewrite",
                format!("endpoint: 'http://127.0.0.1:{sink}/api/v1/write'"),
            ),
            (Out::Bulk, _) => (
                "elasticsearch",
                format!("endpoints: ['http://127.0.0.1:{sink}'], compression: none"),
            ),
        };
        let pipelines: String = self
            .signals
            .iter()
            .map(|signal| {
                let name = signal.name();
                format!("    {name}: {{receivers: [otlp], {}exporters: [{id}]}}\n", self.chain)
            })
            .collect();
        format!(
            "receivers: {{otlp: {{protocols: {{{receiver}}}}}}}
{}exporters: {{{id}: {{{exporter}}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
{pipelines}",
            self.processors
        )
    }
}

impl Row {
    /// True if the contender called `name` can run it.
    pub fn has(&self, name: &str) -> bool {
        match name {
            "otelcol" => self.otelcol,
            "rotel" => self.rotel,
            _ => true,
        }
    }
}

impl Contender {
    /// What to start it with.
    pub fn arguments(&self, row: &Row, config: &Path, port: u16, sink: u16) -> Vec<String> {
        let file = format!("--config={}", config.display());
        match self.name {
            "foreglow" => {
                let data = config.with_file_name("data");
                vec![file, "--listen=off".into(), format!("--data={}", data.display())]
            }
            "rotel" => {
                let (protocol, listen) = match row.transport {
                    Transport::Grpc => ("grpc", "--otlp-grpc-endpoint"),
                    Transport::Http | Transport::Json => ("http", "--otlp-http-endpoint"),
                };
                let pid = config.with_file_name("rotel.pid");
                let unused = match listen {
                    "--otlp-grpc-endpoint" => "--otlp-http-endpoint",
                    _ => "--otlp-grpc-endpoint",
                };
                let mut arguments = vec!["start".to_owned()];
                for (key, value) in [
                    ("--pid-file", pid.display().to_string()),
                    (listen, format!("127.0.0.1:{port}")),
                    (unused, "127.0.0.1:0".into()),
                    ("--otlp-grpc-max-recv-msg-size-mib", "64".into()),
                    ("--exporter", "otlp".into()),
                    ("--otlp-exporter-protocol", protocol.into()),
                    ("--otlp-exporter-endpoint", format!("http://127.0.0.1:{sink}")),
                    ("--otlp-exporter-compression", "gzip".into()),
                ] {
                    arguments.extend([key.to_owned(), value]);
                }
                arguments
            }
            _ => vec![file],
        }
    }
}
