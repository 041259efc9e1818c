// SPDX-License-Identifier: Apache-2.0
//! Arbitrary OTLP requests of all signals, as prost structs. Small sizes come with small seeds.

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, exponential_histogram_data_point::Buckets, metric::Data,
    number_data_point, summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status, span::Event, span::Link,
};

use crate::random::Random;

/// Few keys, so that edits find some and duplicates occur; one is long, one is not ASCII.
pub const KEYS: &[&str] = &["a", "b", "service.name", "http.request.method", "", "\u{e9}t\u{e9}"];

/// Makes messages from a seed.
#[derive(Debug)]
pub struct Generator {
    random: Random,
    /// Most children of anything.
    size: usize,
}

impl Generator {
    /// From a seed; the first thousand seeds make small messages.
    pub fn new(seed: u64) -> Generator {
        let mut random = Random::new(seed);
        let size = 1 + random.below(2 + (seed as usize / 300).min(6));
        Generator { random, size }
    }

    fn some<T>(&mut self, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.random.below(self.size + 1);
        (0..count).map(|_| make(self)).collect()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.random.once_in(3) { None } else { Some(make(self)) }
    }

    fn id(&mut self, len: usize) -> Vec<u8> {
        if self.random.once_in(4) { Vec::new() } else { self.random.bytes(len) }
    }

    fn count(&mut self) -> u32 {
        if self.random.once_in(2) { 0 } else { self.random.bits() as u32 }
    }

    fn value(&mut self, depth: usize) -> AnyValue {
        let kind = self.random.below(if depth < 3 { 9 } else { 7 });
        let value = match kind {
            0 => None,
            1 | 2 => Some(Value::StringValue(self.random.text(20))),
            3 => Some(Value::IntValue(self.random.number() as i64)),
            4 => Some(Value::DoubleValue(self.random.double())),
            5 => Some(Value::BoolValue(self.random.once_in(2))),
            6 => {
                let len = self.random.below(9);
                Some(Value::BytesValue(self.random.bytes(len)))
            }
            7 => Some(Value::ArrayValue(ArrayValue { values: self.some(|g| g.value(depth + 1)) })),
            _ => {
                Some(Value::KvlistValue(KeyValueList { values: self.some(|g| g.pair(depth + 1)) }))
            }
        };
        AnyValue { value }
    }

    fn pair(&mut self, depth: usize) -> KeyValue {
        let key = match self.random.below(12) {
            0 => self.random.text(150),
            _ => self.random.pick(KEYS).to_owned(),
        };
        KeyValue { key, value: self.maybe(|g| g.value(depth)), ..Default::default() }
    }

    fn attributes(&mut self) -> Vec<KeyValue> {
        self.some(|g| g.pair(0))
    }

    fn resource(&mut self) -> Resource {
        Resource {
            attributes: self.attributes(),
            dropped_attributes_count: self.count(),
            entity_refs: Vec::new(),
        }
    }

    fn scope(&mut self) -> InstrumentationScope {
        InstrumentationScope {
            name: self.random.text(8),
            version: self.random.text(3),
            attributes: self.attributes(),
            dropped_attributes_count: self.count(),
        }
    }

    /// A traces request.
    pub fn traces(&mut self) -> ExportTraceServiceRequest {
        let resource_spans = self.some(|g| ResourceSpans {
            resource: g.maybe(Self::resource),
            scope_spans: g.some(|g| ScopeSpans {
                scope: g.maybe(Self::scope),
                spans: g.some(Self::span),
                schema_url: g.random.text(3),
            }),
            schema_url: g.random.text(3),
        });
        ExportTraceServiceRequest { resource_spans }
    }

    fn span(&mut self) -> Span {
        Span {
            trace_id: self.id(16),
            span_id: self.id(8),
            trace_state: self.random.text(3),
            parent_span_id: self.id(8),
            flags: self.count(),
            name: self.random.text(20),
            kind: self.random.below(7) as i32 - 1,
            start_time_unix_nano: self.random.number(),
            end_time_unix_nano: self.random.number(),
            attributes: self.attributes(),
            dropped_attributes_count: self.count(),
            events: self.some(Self::event),
            dropped_events_count: self.count(),
            links: self.some(Self::link),
            dropped_links_count: self.count(),
            status: self
                .maybe(|g| Status { message: g.random.text(5), code: g.random.below(3) as i32 }),
        }
    }

    fn event(&mut self) -> Event {
        Event {
            time_unix_nano: self.random.number(),
            name: self.random.text(9),
            attributes: self.attributes(),
            dropped_attributes_count: self.count(),
        }
    }

    fn link(&mut self) -> Link {
        Link {
            trace_id: self.id(16),
            span_id: self.id(8),
            trace_state: self.random.text(3),
            attributes: self.attributes(),
            dropped_attributes_count: self.count(),
            flags: self.count(),
        }
    }

    /// A logs request.
    pub fn logs(&mut self) -> ExportLogsServiceRequest {
        let resource_logs = self.some(|g| ResourceLogs {
            resource: g.maybe(Self::resource),
            scope_logs: g.some(|g| ScopeLogs {
                scope: g.maybe(Self::scope),
                log_records: g.some(Self::log),
                schema_url: g.random.text(3),
            }),
            schema_url: g.random.text(3),
        });
        ExportLogsServiceRequest { resource_logs }
    }

    fn log(&mut self) -> LogRecord {
        LogRecord {
            time_unix_nano: self.random.number(),
            observed_time_unix_nano: self.random.number(),
            severity_number: self.random.below(27) as i32 - 1,
            severity_text: self.random.text(5),
            body: self.maybe(|g| g.value(0)),
            attributes: self.attributes(),
            dropped_attributes_count: self.count(),
            flags: self.count(),
            trace_id: self.id(16),
            span_id: self.id(8),
            event_name: self.random.text(5),
        }
    }

    /// A metrics request.
    pub fn metrics(&mut self) -> ExportMetricsServiceRequest {
        let resource_metrics = self.some(|g| ResourceMetrics {
            resource: g.maybe(Self::resource),
            scope_metrics: g.some(|g| ScopeMetrics {
                scope: g.maybe(Self::scope),
                metrics: g.some(Self::metric),
                schema_url: g.random.text(3),
            }),
            schema_url: g.random.text(3),
        });
        ExportMetricsServiceRequest { resource_metrics }
    }

    fn metric(&mut self) -> Metric {
        let aggregation_temporality = self.random.below(4) as i32;
        let data = match self.random.below(6) {
            0 => None,
            1 => Some(Data::Gauge(Gauge { data_points: self.some(Self::number_point) })),
            2 => Some(Data::Sum(Sum {
                data_points: self.some(Self::number_point),
                aggregation_temporality,
                is_monotonic: self.random.once_in(2),
            })),
            3 => Some(Data::Histogram(Histogram {
                data_points: self.some(Self::histogram_point),
                aggregation_temporality,
            })),
            4 => Some(Data::ExponentialHistogram(ExponentialHistogram {
                data_points: self.some(Self::exponential_point),
                aggregation_temporality,
            })),
            _ => Some(Data::Summary(Summary { data_points: self.some(Self::summary_point) })),
        };
        Metric {
            name: self.random.text(12),
            description: self.random.text(5),
            unit: self.random.text(3),
            metadata: self.attributes(),
            data,
        }
    }

    fn number_point(&mut self) -> NumberDataPoint {
        let value = self.maybe(|g| match g.random.once_in(2) {
            true => number_data_point::Value::AsDouble(g.random.double()),
            false => number_data_point::Value::AsInt(g.random.number() as i64),
        });
        NumberDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.random.number(),
            time_unix_nano: self.random.number(),
            exemplars: self.some(Self::exemplar),
            flags: self.random.below(2) as u32,
            value,
        }
    }

    fn exemplar(&mut self) -> Exemplar {
        let value = self.maybe(|g| match g.random.once_in(2) {
            true => exemplar::Value::AsDouble(g.random.double()),
            false => exemplar::Value::AsInt(g.random.number() as i64),
        });
        Exemplar {
            filtered_attributes: self.attributes(),
            time_unix_nano: self.random.number(),
            span_id: self.id(8),
            trace_id: self.id(16),
            value,
        }
    }

    fn histogram_point(&mut self) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.random.number(),
            time_unix_nano: self.random.number(),
            count: self.random.number(),
            sum: self.maybe(|g| g.random.double()),
            bucket_counts: self.some(|g| g.random.number()),
            explicit_bounds: self.some(|g| g.random.double()),
            exemplars: self.some(Self::exemplar),
            flags: self.random.below(2) as u32,
            min: self.maybe(|g| g.random.double()),
            max: self.maybe(|g| g.random.double()),
        }
    }

    fn exponential_point(&mut self) -> ExponentialHistogramDataPoint {
        let buckets = |g: &mut Self| Buckets {
            offset: g.random.number() as i32,
            bucket_counts: g.some(|g| g.random.number()),
        };
        ExponentialHistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.random.number(),
            time_unix_nano: self.random.number(),
            count: self.random.number(),
            sum: self.maybe(|g| g.random.double()),
            scale: self.random.number() as i32,
            zero_count: self.random.number(),
            positive: self.maybe(buckets),
            negative: self.maybe(buckets),
            flags: self.random.below(2) as u32,
            exemplars: self.some(Self::exemplar),
            min: self.maybe(|g| g.random.double()),
            max: self.maybe(|g| g.random.double()),
            zero_threshold: self.random.double(),
        }
    }

    fn summary_point(&mut self) -> SummaryDataPoint {
        SummaryDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.random.number(),
            time_unix_nano: self.random.number(),
            count: self.random.number(),
            sum: self.random.double(),
            quantile_values: self.some(|g| ValueAtQuantile {
                quantile: g.random.double(),
                value: g.random.double(),
            }),
            flags: self.random.below(2) as u32,
        }
    }
}
