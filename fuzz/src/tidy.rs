// SPDX-License-Identifier: Apache-2.0
//! What the three requests have in common for the checks, and the tidying that makes prost's
//! structs comparable with views: views read absent messages as empty ones, unknown enum numbers
//! as unspecified, and know neither entity references nor string indexes (profiles only).

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, Metric, metric::Data};
use opentelemetry_proto::tonic::resource::v1::Resource;
use otlp_wire::{Payload, Signal};
use prost::Message;

use crate::edits::Plan;
use crate::generate::Generator;
use crate::rebuild;

/// An export request of one signal.
pub trait Request: Message + Default + Clone + std::fmt::Debug {
    /// Which.
    const SIGNAL: Signal;
    /// An arbitrary one.
    fn generate(generator: &mut Generator) -> Self;
    /// Read through the views.
    fn rebuild(payload: &Payload) -> Self;
    /// Made comparable with what views give.
    fn tidy(self) -> Self;
    /// Edited the plain way; false when nothing is left.
    fn edit(&mut self, passes: &[Plan]) -> bool;
    /// Written by our writers, for what they cover.
    fn rewrite(&self) -> Payload;
    /// Without what our writers do not cover.
    fn writable(self) -> Self;
}

impl Request for ExportTraceServiceRequest {
    const SIGNAL: Signal = Signal::Traces;

    fn generate(generator: &mut Generator) -> Self {
        generator.traces()
    }

    fn rebuild(payload: &Payload) -> Self {
        rebuild::traces(payload)
    }

    fn tidy(mut self) -> Self {
        for group in &mut self.resource_spans {
            resource(&mut group.resource);
            for group in &mut group.scope_spans {
                scope(&mut group.scope);
                for span in &mut group.spans {
                    attributes(&mut span.attributes);
                    span.events.iter_mut().for_each(|e| attributes(&mut e.attributes));
                    span.links.iter_mut().for_each(|l| attributes(&mut l.attributes));
                    let status = span.status.get_or_insert_default();
                    status.code = known(status.code);
                }
            }
        }
        self
    }

    fn edit(&mut self, passes: &[Plan]) -> bool {
        crate::edits::traces(self, passes)
    }

    fn rewrite(&self) -> Payload {
        crate::rewrite::traces(self)
    }

    fn writable(self) -> Self {
        crate::rewrite::writable_traces(self)
    }
}

impl Request for ExportLogsServiceRequest {
    const SIGNAL: Signal = Signal::Logs;

    fn generate(generator: &mut Generator) -> Self {
        generator.logs()
    }

    fn rebuild(payload: &Payload) -> Self {
        rebuild::logs(payload)
    }

    fn tidy(mut self) -> Self {
        for group in &mut self.resource_logs {
            resource(&mut group.resource);
            for group in &mut group.scope_logs {
                scope(&mut group.scope);
                for log in &mut group.log_records {
                    attributes(&mut log.attributes);
                    value(log.body.get_or_insert_default());
                }
            }
        }
        self
    }

    fn edit(&mut self, passes: &[Plan]) -> bool {
        crate::edits::logs(self, passes)
    }

    fn rewrite(&self) -> Payload {
        crate::rewrite::logs(self)
    }

    fn writable(self) -> Self {
        crate::rewrite::writable_logs(self)
    }
}

impl Request for ExportMetricsServiceRequest {
    const SIGNAL: Signal = Signal::Metrics;

    fn generate(generator: &mut Generator) -> Self {
        generator.metrics()
    }

    fn rebuild(payload: &Payload) -> Self {
        rebuild::metrics(payload)
    }

    fn tidy(mut self) -> Self {
        for group in &mut self.resource_metrics {
            resource(&mut group.resource);
            for group in &mut group.scope_metrics {
                scope(&mut group.scope);
                group.metrics.iter_mut().for_each(metric);
            }
        }
        self
    }

    fn edit(&mut self, passes: &[Plan]) -> bool {
        crate::edits::metrics(self, passes)
    }

    fn rewrite(&self) -> Payload {
        crate::rewrite::metrics(self)
    }

    fn writable(self) -> Self {
        crate::rewrite::writable_metrics(self)
    }
}

fn resource(resource: &mut Option<Resource>) {
    let resource = resource.get_or_insert_default();
    attributes(&mut resource.attributes);
    resource.entity_refs.clear();
}

fn scope(scope: &mut Option<InstrumentationScope>) {
    attributes(&mut scope.get_or_insert_default().attributes);
}

fn attributes(list: &mut [KeyValue]) {
    for pair in list {
        pair.key_strindex = 0;
        if let Some(v) = &mut pair.value {
            value(v);
        }
        pair.value.take_if(|v| v.value.is_none());
    }
}

fn value(v: &mut AnyValue) {
    match &mut v.value {
        Some(Value::ArrayValue(list)) => list.values.iter_mut().for_each(value),
        Some(Value::KvlistValue(list)) => attributes(&mut list.values),
        Some(Value::StringValueStrindex(_)) => v.value = None,
        _ => {}
    }
}

/// Enums of three known numbers.
fn known(number: i32) -> i32 {
    if (0..3).contains(&number) { number } else { 0 }
}

fn metric(metric: &mut Metric) {
    attributes(&mut metric.metadata);
    match &mut metric.data {
        None => {}
        Some(Data::Gauge(gauge)) => {
            for point in &mut gauge.data_points {
                attributes(&mut point.attributes);
                exemplars(&mut point.exemplars);
            }
        }
        Some(Data::Sum(sum)) => {
            sum.aggregation_temporality = known(sum.aggregation_temporality);
            for point in &mut sum.data_points {
                attributes(&mut point.attributes);
                exemplars(&mut point.exemplars);
            }
        }
        Some(Data::Histogram(histogram)) => {
            histogram.aggregation_temporality = known(histogram.aggregation_temporality);
            for point in &mut histogram.data_points {
                attributes(&mut point.attributes);
                exemplars(&mut point.exemplars);
            }
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            histogram.aggregation_temporality = known(histogram.aggregation_temporality);
            for point in &mut histogram.data_points {
                attributes(&mut point.attributes);
                exemplars(&mut point.exemplars);
                point.positive.get_or_insert_default();
                point.negative.get_or_insert_default();
            }
        }
        Some(Data::Summary(summary)) => {
            summary.data_points.iter_mut().for_each(|p| attributes(&mut p.attributes));
        }
    }
}

fn exemplars(list: &mut [Exemplar]) {
    list.iter_mut().for_each(|e| attributes(&mut e.filtered_attributes));
}
