// SPDX-License-Identifier: Apache-2.0
//! prost structs written by our writers, and structs reduced to what the writers cover (not:
//! dropped counts, schema URLs and attributes of scopes, flags of points, trace states of links).

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1 as m;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use otlp_wire::write::{self, AttrWriter};
use otlp_wire::{Number, Payload, Signal, SpanKind, StatusCode, Temporality};
use prost::Message;

/// Writes a list of attributes. Lists and maps among the values come from a payload made for the
/// purpose, as the writer takes them encoded.
fn put(a: &mut AttrWriter<'_>, list: &[KeyValue]) {
    let resource = Resource { attributes: list.to_vec(), ..Default::default() };
    let group = opentelemetry_proto::tonic::logs::v1::ResourceLogs {
        resource: Some(resource),
        ..Default::default()
    };
    let request = ExportLogsServiceRequest { resource_logs: vec![group] };
    let payload = Payload::encode(Signal::Logs, &request).expect("attributes are valid");
    let resource = payload.logs().next().expect("one resource");
    if list.len().is_multiple_of(2) {
        return a.copy(resource.attrs());
    }
    for (key, value) in resource.attrs() {
        a.value(key, value);
    }
}

fn head(resource: &Option<Resource>) -> &[KeyValue] {
    resource.as_ref().map_or(&[], |r| &r.attributes)
}

fn scope(scope: &Option<InstrumentationScope>) -> (&str, &str) {
    scope.as_ref().map_or(("", ""), |s| (&s.name, &s.version))
}

fn id<const N: usize>(id: &[u8]) -> Option<[u8; N]> {
    id.try_into().ok()
}

/// Writes traces.
pub(crate) fn traces(request: &ExportTraceServiceRequest) -> Payload {
    let mut w = write::Traces::new();
    for group in &request.resource_spans {
        w.resource(|a| put(a, head(&group.resource)));
        for group in &group.scope_spans {
            let (name, version) = scope(&group.scope);
            w.scope(name, version);
            group.spans.iter().for_each(|s| span(&mut w, s));
        }
    }
    w.finish()
}

fn span(w: &mut write::Traces, s: &Span) {
    let status = s.status.clone().unwrap_or_default();
    let head = write::Span {
        trace_id: id(&s.trace_id).unwrap_or_default(),
        span_id: id(&s.span_id).unwrap_or_default(),
        parent_span_id: id(&s.parent_span_id),
        trace_state: &s.trace_state,
        name: &s.name,
        kind: SpanKind::from_number(s.kind),
        start: s.start_time_unix_nano,
        end: s.end_time_unix_nano,
        status: StatusCode::from_number(status.code),
        status_message: &status.message,
        flags: s.flags,
    };
    w.span(&head, |a| put(a, &s.attributes));
    for event in &s.events {
        w.event(event.time_unix_nano, &event.name, |a| put(a, &event.attributes));
    }
    for link in &s.links {
        let (trace, span) = (id(&link.trace_id), id(&link.span_id));
        w.link(trace.unwrap_or_default(), span.unwrap_or_default(), |a| put(a, &link.attributes));
    }
}

/// Writes logs.
pub(crate) fn logs(request: &ExportLogsServiceRequest) -> Payload {
    let mut w = write::Logs::new();
    for group in &request.resource_logs {
        w.resource(|a| put(a, head(&group.resource)));
        for group in &group.scope_logs {
            let (name, version) = scope(&group.scope);
            w.scope(name, version);
            for log in &group.log_records {
                // The body comes back from a payload of its own, encoded.
                let mut only = ExportLogsServiceRequest::default();
                only.resource_logs.push(Default::default());
                only.resource_logs[0].scope_logs.push(Default::default());
                only.resource_logs[0].scope_logs[0].log_records.push(log.clone());
                let payload = Payload::encode(Signal::Logs, &only).expect("a valid record");
                let resource = payload.logs().next().expect("resource");
                let view = resource.scopes().next().and_then(|s| s.logs().next()).expect("log");
                let head = write::Log {
                    time: log.time_unix_nano,
                    observed_time: log.observed_time_unix_nano,
                    severity_number: log.severity_number,
                    severity_text: &log.severity_text,
                    body: view.body(),
                    trace_id: id(&log.trace_id),
                    span_id: id(&log.span_id),
                    flags: log.flags,
                    event_name: &log.event_name,
                };
                w.log(&head, |a| put(a, &log.attributes));
            }
        }
    }
    w.finish()
}

/// Writes metrics.
pub(crate) fn metrics(request: &ExportMetricsServiceRequest) -> Payload {
    let mut w = write::Metrics::new();
    for group in &request.resource_metrics {
        w.resource(|a| put(a, head(&group.resource)));
        for group in &group.scope_metrics {
            let (name, version) = scope(&group.scope);
            w.scope(name, version);
            group.metrics.iter().for_each(|m| metric(&mut w, m));
        }
    }
    w.finish()
}

fn metric(w: &mut write::Metrics, metric: &m::Metric) {
    let (name, unit, text) = (&metric.name, &metric.unit, &metric.description);
    match &metric.data {
        None => {}
        Some(m::metric::Data::Gauge(d)) => {
            w.gauge(name, unit, text, |p| d.data_points.iter().for_each(|d| number(p, d)));
        }
        Some(m::metric::Data::Sum(d)) => {
            let t = Temporality::from_number(d.aggregation_temporality);
            w.sum(name, unit, text, t, d.is_monotonic, |p| {
                d.data_points.iter().for_each(|d| number(p, d));
            });
        }
        Some(m::metric::Data::Histogram(d)) => {
            let t = Temporality::from_number(d.aggregation_temporality);
            w.histogram(name, unit, text, t, |p| {
                d.data_points.iter().for_each(|d| histogram(p, d));
            });
        }
        Some(m::metric::Data::ExponentialHistogram(d)) => {
            let t = Temporality::from_number(d.aggregation_temporality);
            w.exponential_histogram(name, unit, text, t, |p| {
                d.data_points.iter().for_each(|d| exponential(p, d));
            });
        }
        Some(m::metric::Data::Summary(d)) => w.summary(name, unit, text, |p| {
            for d in &d.data_points {
                let quantiles: Vec<_> =
                    d.quantile_values.iter().map(|q| (q.quantile, q.value)).collect();
                let value = write::Summary { count: d.count, sum: d.sum, quantiles: &quantiles };
                p.start(d.start_time_unix_nano);
                p.summary(d.time_unix_nano, &value, |a| put(a, &d.attributes));
            }
        }),
    }
}

fn number(p: &mut write::Points<'_>, d: &m::NumberDataPoint) {
    use m::number_data_point::Value;
    let value = d.value.map(|v| match v {
        Value::AsDouble(v) => Number::Double(v),
        Value::AsInt(v) => Number::Int(v),
    });
    p.start(d.start_time_unix_nano);
    p.number(d.time_unix_nano, value, |a| put(a, &d.attributes));
    exemplars(p, &d.exemplars);
}

fn exemplars(p: &mut write::Points<'_>, list: &[m::Exemplar]) {
    use m::exemplar::Value;
    for e in list {
        let value = match e.value {
            Some(Value::AsDouble(v)) => Number::Double(v),
            Some(Value::AsInt(v)) => Number::Int(v),
            None => Number::Int(0),
        };
        let trace = id(&e.trace_id).zip(id(&e.span_id));
        p.exemplar(e.time_unix_nano, value, trace, |a| put(a, &e.filtered_attributes));
    }
}

fn histogram(p: &mut write::Points<'_>, d: &m::HistogramDataPoint) {
    let value = write::Histogram {
        count: d.count,
        sum: d.sum,
        min: d.min,
        max: d.max,
        explicit_bounds: &d.explicit_bounds,
        bucket_counts: &d.bucket_counts,
    };
    p.start(d.start_time_unix_nano);
    p.histogram(d.time_unix_nano, &value, |a| put(a, &d.attributes));
    exemplars(p, &d.exemplars);
}

fn exponential(p: &mut write::Points<'_>, d: &m::ExponentialHistogramDataPoint) {
    let (positive, negative) =
        (d.positive.clone().unwrap_or_default(), d.negative.clone().unwrap_or_default());
    let value = write::ExponentialHistogram {
        count: d.count,
        sum: d.sum,
        min: d.min,
        max: d.max,
        scale: d.scale,
        zero_count: d.zero_count,
        zero_threshold: d.zero_threshold,
        positive: write::ExponentialBuckets {
            offset: positive.offset,
            counts: &positive.bucket_counts,
        },
        negative: write::ExponentialBuckets {
            offset: negative.offset,
            counts: &negative.bucket_counts,
        },
    };
    p.start(d.start_time_unix_nano);
    p.exponential_histogram(d.time_unix_nano, &value, |a| put(a, &d.attributes));
    exemplars(p, &d.exemplars);
}

// what the writers cover

fn writable_resource(resource: &mut Option<Resource>) {
    resource.get_or_insert_default().dropped_attributes_count = 0;
}

fn writable_scope(scope: &mut Option<InstrumentationScope>) {
    let scope = scope.get_or_insert_default();
    scope.attributes.clear();
    scope.dropped_attributes_count = 0;
}

/// Traces the writers can write.
pub(crate) fn writable_traces(mut request: ExportTraceServiceRequest) -> ExportTraceServiceRequest {
    for group in &mut request.resource_spans {
        writable_resource(&mut group.resource);
        group.schema_url.clear();
        for group in &mut group.scope_spans {
            writable_scope(&mut group.scope);
            group.schema_url.clear();
            group.spans.iter_mut().for_each(writable_span);
        }
        group.scope_spans.retain(|g| !g.spans.is_empty());
    }
    request.resource_spans.retain(|g| !g.scope_spans.is_empty());
    request
}

fn writable_span(span: &mut Span) {
    // Ids of spans and links are always written; kinds are the known ones.
    span.trace_id.resize(16, 0);
    span.span_id.resize(8, 0);
    span.kind = SpanKind::from_number(span.kind) as i32;
    (span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count) =
        (0, 0, 0);
    span.status = span.status.take().filter(|s| s.encoded_len() > 0);
    for event in &mut span.events {
        event.dropped_attributes_count = 0;
    }
    for link in &mut span.links {
        link.trace_id.resize(16, 0);
        link.span_id.resize(8, 0);
        link.trace_state.clear();
        (link.dropped_attributes_count, link.flags) = (0, 0);
    }
}

/// Logs the writers can write.
pub(crate) fn writable_logs(mut request: ExportLogsServiceRequest) -> ExportLogsServiceRequest {
    for group in &mut request.resource_logs {
        writable_resource(&mut group.resource);
        group.schema_url.clear();
        for group in &mut group.scope_logs {
            writable_scope(&mut group.scope);
            group.schema_url.clear();
            group.log_records.iter_mut().for_each(|l| l.dropped_attributes_count = 0);
        }
        group.scope_logs.retain(|g| !g.log_records.is_empty());
    }
    request.resource_logs.retain(|g| !g.scope_logs.is_empty());
    request
}

/// Metrics the writers can write.
pub(crate) fn writable_metrics(
    mut request: ExportMetricsServiceRequest,
) -> ExportMetricsServiceRequest {
    for group in &mut request.resource_metrics {
        writable_resource(&mut group.resource);
        group.schema_url.clear();
        for group in &mut group.scope_metrics {
            writable_scope(&mut group.scope);
            group.schema_url.clear();
            group.metrics.retain_mut(writable_metric);
        }
        group.scope_metrics.retain(|g| !g.metrics.is_empty());
    }
    request.resource_metrics.retain(|g| !g.scope_metrics.is_empty());
    request
}

/// False for a metric without points.
fn writable_metric(metric: &mut m::Metric) -> bool {
    metric.metadata.clear();
    match &mut metric.data {
        None => return false,
        Some(m::metric::Data::Gauge(d)) => writable_numbers(&mut d.data_points),
        Some(m::metric::Data::Sum(d)) => {
            d.aggregation_temporality = temporality(d.aggregation_temporality);
            writable_numbers(&mut d.data_points);
        }
        Some(m::metric::Data::Histogram(d)) => {
            d.aggregation_temporality = temporality(d.aggregation_temporality);
            for p in &mut d.data_points {
                p.flags = 0;
                writable_exemplars(&mut p.exemplars);
            }
        }
        Some(m::metric::Data::ExponentialHistogram(d)) => {
            d.aggregation_temporality = temporality(d.aggregation_temporality);
            for p in &mut d.data_points {
                p.flags = 0;
                writable_exemplars(&mut p.exemplars);
            }
        }
        Some(m::metric::Data::Summary(d)) => d.data_points.iter_mut().for_each(|p| p.flags = 0),
    }
    points(metric) > 0
}

fn temporality(number: i32) -> i32 {
    Temporality::from_number(number).number()
}

fn writable_numbers(points: &mut [m::NumberDataPoint]) {
    for p in points {
        p.flags = u32::from(p.value.is_none());
        writable_exemplars(&mut p.exemplars);
    }
}

fn writable_exemplars(list: &mut [m::Exemplar]) {
    for e in list {
        e.value.get_or_insert(m::exemplar::Value::AsInt(0));
        if e.trace_id.is_empty() || e.span_id.is_empty() {
            e.trace_id.clear();
            e.span_id.clear();
        }
    }
}

fn points(metric: &m::Metric) -> usize {
    match &metric.data {
        None => 0,
        Some(m::metric::Data::Gauge(d)) => d.data_points.len(),
        Some(m::metric::Data::Sum(d)) => d.data_points.len(),
        Some(m::metric::Data::Histogram(d)) => d.data_points.len(),
        Some(m::metric::Data::ExponentialHistogram(d)) => d.data_points.len(),
        Some(m::metric::Data::Summary(d)) => d.data_points.len(),
    }
}
