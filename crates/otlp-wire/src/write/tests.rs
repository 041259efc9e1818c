// SPDX-License-Identifier: Apache-2.0
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric;

use super::*;
use crate::{Number, SpanKind, StatusCode, Temporality};

#[test]
fn what_has_no_elements_is_left_out() {
    let mut w = Metrics::new();
    w.resource(|r| r.str("service.name", "empty"));
    w.scope("s", "1");
    w.gauge("no points", "", "", |_| ());
    w.resource(|r| r.str("service.name", "full"));
    w.scope("empty", "");
    w.scope("full", "");
    w.gauge("g", "", "", |p| p.int(1, 1, |_| ()));
    w.gauge("no points", "", "", |_| ());
    let request: ExportMetricsServiceRequest = w.finish().decode();
    assert_eq!(request.resource_metrics.len(), 1);
    let scopes = &request.resource_metrics[0].scope_metrics;
    assert_eq!(scopes.len(), 1);
    assert_eq!(scopes[0].metrics.len(), 1);
    assert!(w.finish().is_empty(), "the writer starts anew");
}

#[test]
fn elements_may_come_before_any_resource() {
    let mut w = Logs::new();
    w.log(&Log::default(), |_| ());
    let payload = w.finish();
    assert_eq!(payload.items(), 1);
    assert_eq!(payload.logs().count(), 1);
}

#[test]
fn spans_take_the_events_and_links_that_follow_them() {
    let mut w = Traces::new();
    w.event(1, "nowhere", |_| ());
    let span = Span {
        trace_id: [1; 16],
        span_id: [2; 8],
        parent_span_id: Some([3; 8]),
        trace_state: "a=b",
        name: "n",
        kind: SpanKind::Client,
        start: 5,
        end: 9,
        status: StatusCode::Error,
        status_message: "why",
        flags: 1,
    };
    w.span(&span, |a| a.str("k", "v"));
    w.event(6, "e", |a| a.bool("x", true));
    w.link([4; 16], [5; 8], |_| ());
    w.event(7, "f", |_| ());
    w.span(&Span::default(), |_| ());
    let payload = w.finish();
    let request: ExportTraceServiceRequest = payload.decode();
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    assert_eq!(spans.len(), 2);
    assert_eq!((spans[0].events.len(), spans[0].links.len()), (2, 1));
    assert_eq!(spans[0].status.as_ref().map(|s| (s.code, s.message.as_str())), Some((2, "why")));
    assert_eq!((spans[0].kind, spans[0].flags, spans[0].parent_span_id.len()), (3, 1, 8));
    assert!(spans[1].events.is_empty());
}

#[test]
fn points_of_another_type_are_left_out_and_exemplars_follow_their_point() {
    let mut w = Metrics::new();
    w.gauge("g", "", "", |p| {
        p.exemplar(1, Number::Int(1), None, |_| ());
        p.summary(1, &Summary::default(), |_| ());
        p.double(1, 2.5, |_| ());
        p.exemplar(1, Number::Int(7), Some(([1; 16], [2; 8])), |a| a.str("k", "v"));
    });
    w.sum("s", "By", "d", Temporality::Delta, true, |p| {
        p.start(1);
        p.none(2, |_| ());
    });
    let payload = w.finish();
    assert_eq!(payload.items(), 2);
    let request: ExportMetricsServiceRequest = payload.decode();
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let Some(metric::Data::Gauge(gauge)) = &metrics[0].data else { panic!("gauge") };
    assert_eq!(gauge.data_points.len(), 1);
    assert_eq!(gauge.data_points[0].exemplars.len(), 1);
    let Some(metric::Data::Sum(sum)) = &metrics[1].data else { panic!("sum") };
    assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (1, true));
    assert_eq!((sum.data_points[0].flags, sum.data_points[0].start_time_unix_nano), (1, 1));
}

#[test]
fn resources_scopes_and_attributes_are_copied_from_views() {
    let mut w = Metrics::new();
    w.resource(|r| r.str("service.name", "a"));
    w.scope("s", "2");
    w.histogram("h", "", "", Temporality::Delta, |p| {
        p.histogram(1, &Histogram::default(), |a| a.str("k", "v"));
    });
    let source = w.finish();
    let resource = source.metrics().next().expect("resource");
    let scope = resource.scopes().next().expect("scope");
    let metric = scope.metrics().next().expect("metric");
    let crate::Data::Histogram { mut points, .. } = metric.data() else { panic!("histogram") };
    let point = points.next().expect("point");
    use crate::PointView;
    w.resource_from(resource.resource(), "schema");
    w.scope_from(scope.scope(), "");
    w.gauge("copy", "", "", |p| p.double(1, 1.0, |a| a.copy(point.attrs())));
    w.metric_from(metric);
    let copy = w.finish();
    let copied = copy.metrics().next().expect("resource");
    assert_eq!(copied.raw(), resource.raw());
    assert_eq!(copied.schema_url(), "schema");
    let copied = copied.scopes().next().expect("scope");
    assert_eq!((copied.name(), copied.version()), ("s", "2"));
    assert_eq!(copied.metrics().nth(1).map(|m| m.raw()), Some(metric.raw()));
    let crate::Data::Gauge { mut points } = copied.metrics().next().expect("metric").data() else {
        panic!("gauge")
    };
    assert_eq!(points.next().expect("point").attrs().get("k"), Some(AnyValue::Str("v")));
}

#[test]
fn metadata_scope_attributes_and_stale_bounds_are_written_where_they_belong() {
    let encoded = EncodedAttrs::new(|a| a.str("le", "x"));
    let mut w = Metrics::new();
    w.scope_with(("lib", "1", "https://schema"), |a| a.str("tier", "gold"));
    w.metadata(|a| a.str("prometheus.type", "histogram"));
    w.histogram("h", "", "", Temporality::Cumulative, |p| {
        let value =
            Histogram { explicit_bounds: &[1.0], bucket_counts: &[0, 0], ..Histogram::default() };
        p.histogram(5, &value, |a| a.copy(encoded.attrs()));
        p.no_recorded_value();
    });
    w.gauge("g", "", "", |p| p.double(5, 1.0, |a| a.copy(encoded.attrs())));
    let payload = w.finish();
    Payload::admit(Signal::Metrics, payload.bytes().clone()).expect("well formed");
    let request: ExportMetricsServiceRequest = payload.decode();
    let scope = &request.resource_metrics[0].scope_metrics[0];
    assert_eq!(scope.schema_url, "https://schema");
    assert_eq!(scope.scope.as_ref().expect("there").attributes[0].key, "tier");
    assert_eq!(scope.metrics[0].metadata[0].key, "prometheus.type");
    assert!(scope.metrics[1].metadata.is_empty());
    let Some(metric::Data::Histogram(histogram)) = &scope.metrics[0].data else {
        panic!("a histogram")
    };
    let point = &histogram.data_points[0];
    assert_eq!((point.flags, point.explicit_bounds.len(), point.attributes.len()), (1, 1, 1));
}
