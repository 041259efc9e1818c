// SPDX-License-Identifier: Apache-2.0
//! The input of every contender: requests as a busy SDK sends them, encoded with prost so that the
//! generator shares no code with what it measures.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use otlp_wire::Payload;
use prost::Message;

/// Which kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    pub const ALL: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

    /// As in a pipeline's name.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }

    /// Full path of the gRPC method.
    pub fn method(self) -> &'static str {
        match self {
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }

    /// Path of OTLP over HTTP.
    pub fn path(self) -> &'static str {
        match self {
            Signal::Traces => "/v1/traces",
            Signal::Metrics => "/v1/metrics",
            Signal::Logs => "/v1/logs",
        }
    }

    /// `plain` as a validated request.
    pub fn admit(self, plain: Bytes) -> anyhow::Result<Payload> {
        Payload::admit(self.wire(), plain).map_err(|e| anyhow::anyhow!("{e}"))
    }

    /// A request in JSON.
    pub fn read_json(self, text: &[u8]) -> anyhow::Result<Payload> {
        Payload::from_json(self.wire(), text).map_err(|e| anyhow::anyhow!("{e}"))
    }

    fn wire(self) -> otlp_wire::Signal {
        match self {
            Signal::Traces => otlp_wire::Signal::Traces,
            Signal::Metrics => otlp_wire::Signal::Metrics,
            Signal::Logs => otlp_wire::Signal::Logs,
        }
    }

    /// Items in one request of [`requests`].
    pub fn items(self) -> u64 {
        match self {
            Signal::Traces => 100,
            Signal::Metrics | Signal::Logs => 1000,
        }
    }
}

/// `count` different requests: 100 spans of 15 attributes, or 1000 points (two in five gauges, two
/// in five sums, one in five 11-bucket histograms), or 1000 records; 11 to 13 resource attributes.
pub fn requests(signal: Signal, count: u64) -> Vec<Bytes> {
    (0..count)
        .map(|n| match signal {
            Signal::Traces => traces(n).encode_to_vec().into(),
            Signal::Metrics => metrics(n).encode_to_vec().into(),
            Signal::Logs => logs(n).encode_to_vec().into(),
        })
        .collect()
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.into()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, any_value::Value::IntValue(value))
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn resource(n: u64) -> Option<Resource> {
    let attributes = vec![
        text("service.name", format!("service-{}", n % 5)),
        text("service.namespace", "shop"),
        text("service.version", "1.42.0"),
        text("service.instance.id", format!("instance-{n:04}")),
        text("deployment.environment.name", "production"),
        text("host.name", format!("host-{:02}", n % 10)),
        text("host.arch", "amd64"),
        text("os.type", "linux"),
        text("telemetry.sdk.language", "java"),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.version", "1.55.0"),
        text("k8s.pod.name", format!("service-{}-7c9d8b6f5-{n:05}", n % 5)),
        text("k8s.namespace.name", "shop-production"),
    ];
    Some(Resource { attributes, ..Default::default() })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "io.opentelemetry.netty-4.1".into(),
        version: "2.20.0".into(),
        ..Default::default()
    })
}

const BASE_NANO: u64 = 1_790_000_000_000_000_000;

fn traces(n: u64) -> ExportTraceServiceRequest {
    let span = |i: u64| {
        let id = (n * 1000 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Span {
            trace_id: [id.to_be_bytes(), (!id).to_be_bytes()].concat(),
            span_id: id.to_le_bytes().to_vec(),
            parent_span_id: if i.is_multiple_of(5) {
                vec![]
            } else {
                (id ^ 1).to_le_bytes().to_vec()
            },
            name: format!("GET /api/products/{{id}}/{}", i % 7),
            kind: 2,
            start_time_unix_nano: BASE_NANO + i * 1_000_000,
            end_time_unix_nano: BASE_NANO + i * 1_000_000 + 25_000_000,
            attributes: vec![
                text("http.request.method", "GET"),
                number("http.response.status_code", if i.is_multiple_of(50) { 500 } else { 200 }),
                text("url.path", format!("/api/products/{}", i % 97)),
                text("url.scheme", "https"),
                text("http.route", "/api/products/{id}"),
                text("network.protocol.version", "1.1"),
                text("server.address", "shop.example.com"),
                number("server.port", 443),
                text("client.address", format!("10.1.{}.{}", i % 8, i % 250)),
                text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)"),
                number("thread.id", 40 + (i % 16) as i64),
                text("thread.name", format!("netty-worker-{}", i % 16)),
                text("enduser.id", format!("user-{:06}", i * 37 % 100_000)),
                number("http.response.body.size", 512 + i as i64),
                attribute("app.cache.hit", any_value::Value::BoolValue(i.is_multiple_of(3))),
            ],
            ..Default::default()
        }
    };
    let scope_spans = vec![ScopeSpans {
        scope: scope(),
        spans: (0..100).map(span).collect(),
        ..Default::default()
    }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: resource(n),
            scope_spans,
            ..Default::default()
        }],
    }
}

fn metrics(n: u64) -> ExportMetricsServiceRequest {
    let attributes = |i: u64| {
        vec![
            text("http.request.method", "GET"),
            text("http.route", format!("/api/v1/resource-{}", i % 20)),
            number("http.response.status_code", 200),
            text("server.address", "shop.example.com"),
            number("worker", i as i64),
        ]
    };
    let point = |i: u64| NumberDataPoint {
        attributes: attributes(i),
        start_time_unix_nano: BASE_NANO,
        time_unix_nano: BASE_NANO + n * 1_000_000_000,
        value: Some(Value::AsDouble(i as f64 * 1.25)),
        ..Default::default()
    };
    let histogram = |i: u64| HistogramDataPoint {
        attributes: attributes(i),
        start_time_unix_nano: BASE_NANO,
        time_unix_nano: BASE_NANO + n * 1_000_000_000,
        count: 110,
        sum: Some(42.5),
        bucket_counts: vec![10; 11],
        explicit_bounds: (1..11).map(|b| f64::from(b) * 0.05).collect(),
        ..Default::default()
    };
    let cumulative = AggregationTemporality::Cumulative as i32;
    let metric = |k: u64| {
        let (name, data) = match k % 5 {
            0 | 1 => (
                "system.thing.usage",
                Data::Gauge(Gauge { data_points: (0..10).map(point).collect() }),
            ),
            2 | 3 => (
                "app.requests",
                Data::Sum(Sum {
                    data_points: (0..10).map(point).collect(),
                    aggregation_temporality: cumulative,
                    is_monotonic: true,
                }),
            ),
            _ => (
                "http.server.request.duration",
                Data::Histogram(Histogram {
                    data_points: (0..10).map(histogram).collect(),
                    aggregation_temporality: cumulative,
                }),
            ),
        };
        Metric {
            name: format!("{name}.{k}"),
            unit: "s".into(),
            data: Some(data),
            ..Default::default()
        }
    };
    let scope_metrics = vec![ScopeMetrics {
        scope: scope(),
        metrics: (0..100).map(metric).collect(),
        ..Default::default()
    }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: resource(n),
            scope_metrics,
            ..Default::default()
        }],
    }
}

fn logs(n: u64) -> ExportLogsServiceRequest {
    let record = |i: u64| LogRecord {
        time_unix_nano: BASE_NANO + i * 1_000_000,
        observed_time_unix_nano: BASE_NANO + i * 1_000_000 + 1000,
        severity_number: 9,
        severity_text: "INFO".into(),
        body: Some(AnyValue {
            value: Some(any_value::Value::StringValue(format!(
                "order {i} of user {} accepted after {} ms, forwarded to payment provider",
                i * 37 % 100_000,
                i % 211
            ))),
        }),
        attributes: vec![
            text("logger.name", "com.example.shop.OrderService"),
            text("thread.name", format!("worker-{}", i % 16)),
            number("order.id", i as i64),
            text("code.function", "accept"),
            text("enduser.id", format!("user-{:06}", i * 37 % 100_000)),
        ],
        trace_id: [(n * 1000 + i).to_be_bytes(), i.to_be_bytes()].concat(),
        span_id: (i + 1).to_be_bytes().to_vec(),
        ..Default::default()
    };
    let scope_logs = vec![ScopeLogs {
        scope: scope(),
        log_records: (0..1000).map(record).collect(),
        ..Default::default()
    }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: resource(n),
            scope_logs,
            ..Default::default()
        }],
    }
}
