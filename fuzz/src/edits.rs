// SPDX-License-Identifier: Apache-2.0
//! Random edits, applied to bytes by a [`Pass`] and to prost structs the plain way.

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data};
use opentelemetry_proto::tonic::resource::v1::Resource;
use otlp_wire::{self as wire, Context, Pass, Put, Record, Verdict};

use crate::generate::KEYS;
use crate::random::Random;

/// One edit of a list of attributes.
#[derive(Clone, Debug)]
enum Op {
    Put(Put, String, Scalar),
    Copy(Put, String, String),
    Remove(String),
    /// Text gets a mark, all else becomes text.
    Map(String),
    /// Keeps keys of at least so many bytes.
    Retain(usize),
}

#[derive(Clone, Debug)]
enum Scalar {
    Str(String),
    Int(i64),
    Double(f64),
    Bool(bool),
}

/// What one pass does at each level.
#[derive(Clone, Debug)]
pub struct Plan {
    resource: Vec<Op>,
    item: Vec<Op>,
    point: Vec<Op>,
    rename: Option<String>,
    /// Drops an element when `(attributes + bytes of name + salt) % 3 == 0`.
    drop_item: Option<usize>,
    drop_point: Option<usize>,
}

impl Plan {
    /// Some passes.
    pub fn some(random: &mut Random) -> Vec<Plan> {
        (0..1 + random.below(3)).map(|_| Plan::one(random)).collect()
    }

    fn one(random: &mut Random) -> Plan {
        let salt = |random: &mut Random| random.once_in(2).then(|| random.below(3));
        Plan {
            resource: ops(random),
            item: ops(random),
            point: ops(random),
            rename: random.once_in(3).then(|| random.text(200)),
            drop_item: salt(random),
            drop_point: salt(random),
        }
    }
}

fn ops(random: &mut Random) -> Vec<Op> {
    let key = |random: &mut Random| random.pick(KEYS).to_owned();
    let how = |random: &mut Random| random.pick(&[Put::Insert, Put::Update, Put::Upsert]);
    let one = |random: &mut Random| match random.below(6) {
        0 | 1 => Op::Put(how(random), key(random), scalar(random)),
        2 => Op::Copy(how(random), key(random), key(random)),
        3 => Op::Remove(key(random)),
        4 => Op::Map(key(random)),
        _ => Op::Retain(random.below(3)),
    };
    (0..random.below(4)).map(|_| one(random)).collect()
}

fn scalar(random: &mut Random) -> Scalar {
    match random.below(4) {
        0 => Scalar::Str(random.text(200)),
        1 => Scalar::Int(random.number() as i64),
        2 => Scalar::Double(random.double()),
        _ => Scalar::Bool(random.once_in(2)),
    }
}

impl wire::IntoAny for Scalar {
    fn as_any(&self) -> wire::AnyValue<'_> {
        match self {
            Scalar::Str(s) => wire::AnyValue::Str(s),
            Scalar::Int(v) => wire::AnyValue::Int(*v),
            Scalar::Double(v) => wire::AnyValue::Double(*v),
            Scalar::Bool(v) => wire::AnyValue::Bool(*v),
        }
    }
}

// on bytes

fn on_record(record: &mut Record<'_>, ops: &[Op]) {
    for op in ops {
        match op {
            Op::Put(how, key, value) => {
                record.attrs().put(*how, key, value.clone());
            }
            Op::Copy(how, from, to) => {
                record.attrs().copy(*how, from, to);
            }
            Op::Remove(key) => {
                record.attrs().remove(key);
            }
            Op::Map(key) => {
                record.attrs().map(key, |v| format!("{}!", v.as_str().unwrap_or_default()));
            }
            Op::Retain(len) => record.attrs().retain(|key, _| key.len() >= *len),
        }
    }
}

fn verdict(drop: Option<usize>, size: usize) -> Verdict {
    match drop {
        Some(salt) if (size + salt).is_multiple_of(3) => Verdict::Drop,
        _ => Verdict::Keep,
    }
}

impl Plan {
    fn on_item(&self, record: &mut Record<'_>) -> Verdict {
        on_record(record, &self.item);
        if let Some(name) = &self.rename {
            record.set_name(name);
        }
        let size = record.attrs().len() + record.name().len();
        verdict(self.drop_item, size)
    }
}

impl Pass for Plan {
    fn resource(&mut self, resource: &mut Record<'_>) {
        on_record(resource, &self.resource);
    }
    fn span(&mut self, span: &mut Record<'_>, _: &Context<'_>) -> Verdict {
        self.on_item(span)
    }
    fn log(&mut self, log: &mut Record<'_>, _: &Context<'_>) -> Verdict {
        self.on_item(log)
    }
    fn metric(&mut self, metric: &mut Record<'_>, _: &Context<'_>) -> Verdict {
        self.on_item(metric)
    }
    fn point(&mut self, point: &mut Record<'_>, _: &Context<'_>) -> Verdict {
        on_record(point, &self.point);
        let size = point.attrs().len();
        verdict(self.drop_point, size)
    }
}

// on structs

fn on_attributes(list: &mut Vec<KeyValue>, ops: &[Op]) {
    for op in ops {
        match op {
            Op::Put(how, key, value) => put(list, *how, key, Some(owned(value))),
            Op::Copy(how, from, to) => {
                if let Some(value) = list.iter().find(|p| p.key == *from).map(|p| p.value.clone()) {
                    put(list, *how, to, value);
                }
            }
            Op::Remove(key) => list.retain(|p| p.key != *key),
            Op::Map(key) => {
                for pair in list.iter_mut().filter(|p| p.key == *key) {
                    let text = match pair.value.take().and_then(|v| v.value) {
                        Some(Value::StringValue(s)) => s,
                        _ => String::new(),
                    };
                    pair.value = Some(AnyValue { value: Some(Value::StringValue(text + "!")) });
                }
            }
            Op::Retain(len) => list.retain(|p| p.key.len() >= *len),
        }
    }
}

fn owned(value: &Scalar) -> AnyValue {
    let value = match value {
        Scalar::Str(s) => Value::StringValue(s.clone()),
        Scalar::Int(v) => Value::IntValue(*v),
        Scalar::Double(v) => Value::DoubleValue(*v),
        Scalar::Bool(v) => Value::BoolValue(*v),
    };
    AnyValue { value: Some(value) }
}

fn put(list: &mut Vec<KeyValue>, how: Put, key: &str, value: Option<AnyValue>) {
    let at = list.iter().position(|p| p.key == key);
    let pair = KeyValue { key: key.to_owned(), value, ..Default::default() };
    match (how, at) {
        (Put::Insert, Some(_)) | (Put::Update, None) => {}
        (_, None) => list.push(pair),
        (_, Some(at)) => {
            list[at] = pair;
            let mut index = 0;
            list.retain(|p| {
                index += 1;
                index <= at + 1 || p.key != key
            });
        }
    }
}

fn resource_of(resource: &mut Option<Resource>, passes: &[Plan]) {
    for plan in passes {
        let mut list = resource.as_ref().map(|r| r.attributes.clone()).unwrap_or_default();
        on_attributes(&mut list, &plan.resource);
        if !list.is_empty() || resource.is_some() {
            resource.get_or_insert_default().attributes = list;
        }
    }
}

/// Keeps what `f` says; false when that leaves nothing of something.
fn prune<T>(list: &mut Vec<T>, f: impl FnMut(&mut T) -> bool) -> bool {
    let before = list.len();
    list.retain_mut(f);
    !(list.is_empty() && before > 0)
}

fn item(attributes: &mut Vec<KeyValue>, name: &mut String, passes: &[Plan]) -> bool {
    passes.iter().all(|plan| {
        on_attributes(attributes, &plan.item);
        if let Some(new) = &plan.rename {
            name.clone_from(new);
        }
        verdict(plan.drop_item, attributes.len() + name.len()) == Verdict::Keep
    })
}

fn point(attributes: &mut Vec<KeyValue>, passes: &[Plan]) -> bool {
    passes.iter().all(|plan| {
        on_attributes(attributes, &plan.point);
        verdict(plan.drop_point, attributes.len()) == Verdict::Keep
    })
}

/// Edits traces; false when nothing is left.
pub(crate) fn traces(request: &mut ExportTraceServiceRequest, passes: &[Plan]) -> bool {
    prune(&mut request.resource_spans, |group| {
        resource_of(&mut group.resource, passes);
        prune(&mut group.scope_spans, |group| {
            prune(&mut group.spans, |s| item(&mut s.attributes, &mut s.name, passes))
        })
    })
}

/// Edits logs; false when nothing is left.
pub(crate) fn logs(request: &mut ExportLogsServiceRequest, passes: &[Plan]) -> bool {
    prune(&mut request.resource_logs, |group| {
        resource_of(&mut group.resource, passes);
        prune(&mut group.scope_logs, |group| {
            prune(&mut group.log_records, |l| item(&mut l.attributes, &mut l.event_name, passes))
        })
    })
}

/// Edits metrics; false when nothing is left.
pub(crate) fn metrics(request: &mut ExportMetricsServiceRequest, passes: &[Plan]) -> bool {
    prune(&mut request.resource_metrics, |group| {
        resource_of(&mut group.resource, passes);
        prune(&mut group.scope_metrics, |group| {
            prune(&mut group.metrics, |m| {
                item(&mut m.metadata, &mut m.name, passes) && points(m, passes)
            })
        })
    })
}

fn points(metric: &mut Metric, passes: &[Plan]) -> bool {
    match &mut metric.data {
        None => true,
        Some(Data::Gauge(d)) => prune(&mut d.data_points, |p| point(&mut p.attributes, passes)),
        Some(Data::Sum(d)) => prune(&mut d.data_points, |p| point(&mut p.attributes, passes)),
        Some(Data::Histogram(d)) => prune(&mut d.data_points, |p| point(&mut p.attributes, passes)),
        Some(Data::ExponentialHistogram(d)) => {
            prune(&mut d.data_points, |p| point(&mut p.attributes, passes))
        }
        Some(Data::Summary(d)) => prune(&mut d.data_points, |p| point(&mut p.attributes, passes)),
    }
}
