// SPDX-License-Identifier: Apache-2.0
//! A payload read through the views into prost structs: equal to prost's own decoding, unless a
//! view is wrong. Positions that views do not distinguish (absent or empty messages) are told
//! apart by [`crate::tidy`], which both sides go through.

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1 as m;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status, span::Event, span::Link,
};
use otlp_wire::{self as wire, Data, Number, Payload, PointView};
use prost::Message;

fn value(v: wire::AnyValue<'_>) -> AnyValue {
    let value = match v {
        wire::AnyValue::Empty => None,
        wire::AnyValue::Str(s) => Some(Value::StringValue(s.to_owned())),
        wire::AnyValue::Bool(b) => Some(Value::BoolValue(b)),
        wire::AnyValue::Int(i) => Some(Value::IntValue(i)),
        wire::AnyValue::Double(d) => Some(Value::DoubleValue(d)),
        wire::AnyValue::Bytes(b) => Some(Value::BytesValue(b.to_vec())),
        wire::AnyValue::Array(list) => {
            Some(Value::ArrayValue(ArrayValue { values: list.iter().map(value).collect() }))
        }
        wire::AnyValue::KvList(list) => {
            Some(Value::KvlistValue(KeyValueList { values: attrs(list) }))
        }
    };
    AnyValue { value }
}

fn attrs(list: wire::Attrs<'_>) -> Vec<KeyValue> {
    let pair = |(key, v): (&str, wire::AnyValue<'_>)| KeyValue {
        key: key.to_owned(),
        value: Some(value(v)).filter(|v| v.value.is_some()),
        ..Default::default()
    };
    list.iter().map(pair).collect()
}

fn resource(r: wire::Resource<'_>) -> Option<Resource> {
    let resource = Resource {
        attributes: attrs(r.attrs()),
        dropped_attributes_count: r.dropped_attributes_count(),
        entity_refs: Vec::new(),
    };
    Some(resource)
}

fn scope(s: wire::Scope<'_>) -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: s.name().to_owned(),
        version: s.version().to_owned(),
        attributes: attrs(s.attrs()),
        dropped_attributes_count: s.dropped_attributes_count(),
    })
}

fn id<const N: usize>(id: Option<[u8; N]>) -> Vec<u8> {
    id.map(Vec::from).unwrap_or_default()
}

/// A traces payload.
pub fn traces(payload: &Payload) -> ExportTraceServiceRequest {
    let groups = payload.traces().map(|r| ResourceSpans {
        resource: resource(r.resource()),
        scope_spans: r
            .scopes()
            .map(|s| ScopeSpans {
                scope: scope(s.scope()),
                spans: s.spans().map(span).collect(),
                schema_url: s.schema_url().to_owned(),
            })
            .collect(),
        schema_url: r.schema_url().to_owned(),
    });
    ExportTraceServiceRequest { resource_spans: groups.collect() }
}

fn span(s: wire::SpanView<'_>) -> Span {
    Span {
        trace_id: id(s.trace_id()),
        span_id: id(s.span_id()),
        trace_state: s.trace_state().to_owned(),
        parent_span_id: id(s.parent_span_id()),
        flags: s.flags(),
        name: s.name().to_owned(),
        kind: s.kind_number(),
        start_time_unix_nano: s.start(),
        end_time_unix_nano: s.end(),
        attributes: attrs(s.attrs()),
        dropped_attributes_count: s.dropped_attributes_count(),
        events: s
            .events()
            .map(|e| Event {
                time_unix_nano: e.time(),
                name: e.name().to_owned(),
                attributes: attrs(e.attrs()),
                dropped_attributes_count: e.dropped_attributes_count(),
            })
            .collect(),
        dropped_events_count: s.dropped_events_count(),
        links: s
            .links()
            .map(|l| Link {
                trace_id: id(l.trace_id()),
                span_id: id(l.span_id()),
                trace_state: l.trace_state().to_owned(),
                attributes: attrs(l.attrs()),
                dropped_attributes_count: l.dropped_attributes_count(),
                flags: l.flags(),
            })
            .collect(),
        dropped_links_count: s.dropped_links_count(),
        status: Some(Status { message: s.status_message().to_owned(), code: s.status() as i32 }),
    }
}

/// A logs payload.
pub fn logs(payload: &Payload) -> ExportLogsServiceRequest {
    let groups = payload.logs().map(|r| ResourceLogs {
        resource: resource(r.resource()),
        scope_logs: r
            .scopes()
            .map(|s| ScopeLogs {
                scope: scope(s.scope()),
                log_records: s.logs().map(log).collect(),
                schema_url: s.schema_url().to_owned(),
            })
            .collect(),
        schema_url: r.schema_url().to_owned(),
    });
    ExportLogsServiceRequest { resource_logs: groups.collect() }
}

fn log(l: wire::LogView<'_>) -> LogRecord {
    LogRecord {
        time_unix_nano: l.time(),
        observed_time_unix_nano: l.observed_time(),
        severity_number: l.severity_number(),
        severity_text: l.severity_text().to_owned(),
        body: Some(value(l.body())),
        attributes: attrs(l.attrs()),
        dropped_attributes_count: l.dropped_attributes_count(),
        flags: l.flags(),
        trace_id: id(l.trace_id()),
        span_id: id(l.span_id()),
        event_name: l.event_name().to_owned(),
    }
}

/// A metrics payload.
pub fn metrics(payload: &Payload) -> ExportMetricsServiceRequest {
    let groups = payload.metrics().map(|r| m::ResourceMetrics {
        resource: resource(r.resource()),
        scope_metrics: r
            .scopes()
            .map(|s| m::ScopeMetrics {
                scope: scope(s.scope()),
                metrics: s.metrics().map(metric).collect(),
                schema_url: s.schema_url().to_owned(),
            })
            .collect(),
        schema_url: r.schema_url().to_owned(),
    });
    ExportMetricsServiceRequest { resource_metrics: groups.collect() }
}

fn metric(metric: wire::MetricView<'_>) -> m::Metric {
    let data = match metric.data() {
        Data::Empty => None,
        Data::Gauge { points } => {
            Some(m::metric::Data::Gauge(m::Gauge { data_points: points.map(number).collect() }))
        }
        Data::Sum { points, temporality, monotonic } => Some(m::metric::Data::Sum(m::Sum {
            data_points: points.map(number).collect(),
            aggregation_temporality: temporality.number(),
            is_monotonic: monotonic,
        })),
        Data::Histogram { points, temporality } => Some(m::metric::Data::Histogram(m::Histogram {
            data_points: points.map(histogram).collect(),
            aggregation_temporality: temporality.number(),
        })),
        Data::ExponentialHistogram { points, temporality } => {
            Some(m::metric::Data::ExponentialHistogram(m::ExponentialHistogram {
                data_points: points.map(exponential).collect(),
                aggregation_temporality: temporality.number(),
            }))
        }
        Data::Summary { points } => Some(m::metric::Data::Summary(m::Summary {
            data_points: points.map(summary).collect(),
        })),
    };
    m::Metric {
        name: metric.name().to_owned(),
        description: metric.description().to_owned(),
        unit: metric.unit().to_owned(),
        metadata: attrs(metric.metadata()),
        data,
    }
}

fn number(p: wire::NumberPoint<'_>) -> m::NumberDataPoint {
    m::NumberDataPoint {
        attributes: attrs(p.attrs()),
        start_time_unix_nano: p.start(),
        time_unix_nano: p.time(),
        exemplars: p.exemplars().map(exemplar).collect(),
        flags: p.flags(),
        value: p.value().map(|v| match v {
            Number::Double(v) => m::number_data_point::Value::AsDouble(v),
            Number::Int(v) => m::number_data_point::Value::AsInt(v),
        }),
    }
}

fn exemplar(e: wire::ExemplarView<'_>) -> m::Exemplar {
    m::Exemplar {
        filtered_attributes: attrs(e.filtered_attrs()),
        time_unix_nano: e.time(),
        span_id: id(e.span_id()),
        trace_id: id(e.trace_id()),
        value: e.value().map(|v| match v {
            Number::Double(v) => m::exemplar::Value::AsDouble(v),
            Number::Int(v) => m::exemplar::Value::AsInt(v),
        }),
    }
}

fn histogram(p: wire::HistogramPoint<'_>) -> m::HistogramDataPoint {
    m::HistogramDataPoint {
        attributes: attrs(p.attrs()),
        start_time_unix_nano: p.start(),
        time_unix_nano: p.time(),
        count: p.count(),
        sum: p.sum(),
        bucket_counts: p.bucket_counts().collect(),
        explicit_bounds: p.explicit_bounds().collect(),
        exemplars: p.exemplars().map(exemplar).collect(),
        flags: p.flags(),
        min: p.min(),
        max: p.max(),
    }
}

fn exponential(p: wire::ExponentialHistogramPoint<'_>) -> m::ExponentialHistogramDataPoint {
    let buckets = |b: wire::Buckets<'_>| {
        Some(m::exponential_histogram_data_point::Buckets {
            offset: b.offset(),
            bucket_counts: b.counts().collect(),
        })
    };
    m::ExponentialHistogramDataPoint {
        attributes: attrs(p.attrs()),
        start_time_unix_nano: p.start(),
        time_unix_nano: p.time(),
        count: p.count(),
        sum: p.sum(),
        scale: p.scale(),
        zero_count: p.zero_count(),
        positive: buckets(p.positive()),
        negative: buckets(p.negative()),
        flags: p.flags(),
        exemplars: p.exemplars().map(exemplar).collect(),
        min: p.min(),
        max: p.max(),
        zero_threshold: p.zero_threshold(),
    }
}

fn summary(p: wire::SummaryPoint<'_>) -> m::SummaryDataPoint {
    m::SummaryDataPoint {
        attributes: attrs(p.attrs()),
        start_time_unix_nano: p.start(),
        time_unix_nano: p.time(),
        count: p.count(),
        sum: p.sum(),
        quantile_values: p
            .quantiles()
            .map(|(quantile, value)| m::summary_data_point::ValueAtQuantile { quantile, value })
            .collect(),
        flags: p.flags(),
    }
}

/// Reads any bytes through the views of every element; views of unchecked bytes end early.
pub fn anything(raw: &[u8]) {
    use wire::FromRaw;
    let _ = span(wire::SpanView::from_raw(raw));
    let _ = log(wire::LogView::from_raw(raw));
    let _ = metric(wire::MetricView::from_raw(raw));
    let _ = histogram(wire::HistogramPoint::from_raw(raw));
    let _ = exponential(wire::ExponentialHistogramPoint::from_raw(raw));
    let _ = summary(wire::SummaryPoint::from_raw(raw));
    let _ = number(wire::NumberPoint::from_raw(raw)).encoded_len();
    let _ = wire::AnyValue::parse(raw).text();
}
