// SPDX-License-Identifier: Apache-2.0
//! Documents of mode `ecs`: Elastic Common Schema, nested objects.
//!
//! Attributes of resource, scope and record lie at the top, those that the schema has another name
//! for under that name. A field of the schema is never pushed aside by an attribute below it.
//! Source: the collector's elasticsearchexporter, model.go.

use otlp_wire::{
    AnyValue, Attrs, EventView, LogView, ResourceView, ScopeView, SpanKind, SpanView, StatusCode,
};

use super::flat::{Document, Value};
use super::legacy::stream;
use super::route::{Control, Index, dataset_name, namespace_name};

/// What an attribute is called in the schema; an empty name leaves it out.
type Names = &'static [(&'static str, &'static str)];

/// Of resources.
const RESOURCE: Names = &[
    ("service.instance.id", "service.node.name"),
    ("deployment.environment", "service.environment"),
    ("deployment.environment.name", "service.environment"),
    ("telemetry.sdk.name", ""),
    ("telemetry.sdk.language", "service.language.name"),
    ("telemetry.sdk.version", "service.language.version"),
    ("telemetry.distro.name", ""),
    ("telemetry.distro.version", ""),
    ("cloud.platform", "cloud.service.name"),
    ("container.image.tags", "container.image.tag"),
    ("host.name", "host.hostname"),
    ("host.arch", "host.architecture"),
    ("process.parent_pid", "process.parent.pid"),
    ("process.executable.name", "process.title"),
    ("process.executable.path", "process.executable"),
    ("process.command_line", "process.args"),
    ("process.runtime.name", "service.runtime.name"),
    ("process.runtime.version", "service.runtime.version"),
    ("os.name", "host.os.name"),
    ("os.type", "host.os.platform"),
    ("os.description", "host.os.full"),
    ("os.version", "host.os.version"),
    ("client.address", "client.ip"),
    ("source.address", "source.ip"),
    ("k8s.deployment.name", "kubernetes.deployment.name"),
    ("k8s.namespace.name", "kubernetes.namespace"),
    ("k8s.node.name", "kubernetes.node.name"),
    ("k8s.pod.name", "kubernetes.pod.name"),
    ("k8s.pod.uid", "kubernetes.pod.uid"),
    ("k8s.job.name", "kubernetes.job.name"),
    ("k8s.cronjob.name", "kubernetes.cronjob.name"),
    ("k8s.statefulset.name", "kubernetes.statefulset.name"),
    ("k8s.replicaset.name", "kubernetes.replicaset.name"),
    ("k8s.daemonset.name", "kubernetes.daemonset.name"),
    ("k8s.container.name", "kubernetes.container.name"),
    ("k8s.cluster.name", "orchestrator.cluster.name"),
    ("faas.instance", "faas.id"),
    ("faas.trigger", "faas.trigger.type"),
];

/// Of log records.
const LOG: Names = &[
    ("event.name", "event.action"),
    ("exception.message", "error.message"),
    ("exception.stacktrace", "error.stacktrace"),
    ("exception.type", "error.type"),
    ("exception.escaped", "event.error.exception.handled"),
    ("http.response.body.size", "http.response.encoded_body_size"),
];

/// Of spans.
const SPAN: Names = &[
    ("db.system", "span.db.type"),
    ("db.namespace", "span.db.instance"),
    ("db.query.text", "span.db.statement"),
    ("http.response.body.size", "http.response.encoded_body_size"),
];

/// Of events of spans.
const EVENT: Names = &[
    ("exception.type", "error.exception.type"),
    ("exception.message", "error.exception.message"),
    ("exception.stacktrace", "error.stack_trace"),
    ("exception.escaped", ""),
    ("data_stream.type", ""),
    ("data_stream.dataset", ""),
    ("data_stream.namespace", ""),
    ("error.grouping_name", ""),
];

fn is_in(names: Names, field: &str) -> bool {
    names.iter().any(|(_, name)| *name == field)
}

/// A span.
pub(super) fn span(
    out: &mut Vec<u8>,
    (resource, scope): (&ResourceView<'_>, &ScopeView<'_>),
    span: &SpanView<'_>,
    index: &Index,
) {
    let mut document = head((resource, scope), &span.attrs(), SPAN);
    stream(&mut document, "", index);
    document.add("@timestamp", Value::Time(span.start()));
    document.id("trace.id", span.trace_id());
    document.id("span.id", span.span_id());
    document.text("span.name", span.name());
    document.id("parent.id", span.parent_span_id());
    match span.status() {
        StatusCode::Unset => {}
        StatusCode::Ok => document.text("event.outcome", "success"),
        StatusCode::Error => document.text("event.outcome", "failure"),
    }
    let links = span.links().map(|link| {
        let mut object = Document::default();
        object.id("trace.id", link.trace_id());
        object.id("span.id", link.span_id());
        object
    });
    document.add("span.links", Value::Objects(links.collect()));
    document.text("span.kind", kind(span.kind()));
    document.write(out, true, |field| is_in(RESOURCE, field) || is_in(SPAN, field));
}

/// A log record.
pub(super) fn log(
    out: &mut Vec<u8>,
    (resource, scope): (&ResourceView<'_>, &ScopeView<'_>),
    log: &LogView<'_>,
    index: &Index,
) {
    let mut document = head((resource, scope), &log.attrs(), LOG);
    stream(&mut document, "", index);
    let at = if log.time() == 0 { log.observed_time() } else { log.time() };
    document.add("@timestamp", Value::Time(at));
    document.id("trace.id", log.trace_id());
    document.id("span.id", log.span_id());
    if log.severity_number() != 0 {
        document.add("event.severity", Value::Int(log.severity_number().into()));
    }
    document.text("log.level", log.severity_text());
    if let body @ AnyValue::Str(_) = log.body() {
        document.add("message", Value::Any(body));
    }
    document.write(out, true, |field| is_in(RESOURCE, field) || is_in(LOG, field));
}

/// Where an event of a span goes: exceptions apart from the rest.
pub(super) fn event_index(
    resource: &ResourceView<'_>,
    event: &EventView<'_>,
    controls: [&Control<'_>; 3],
) -> Index {
    let service = resource.attr("service.name").and_then(|name| name.as_str()).unwrap_or("");
    let dataset = match (is_exception(event), service) {
        (true, _) => "apm.error".to_owned(),
        (false, "") => "apm.app".to_owned(),
        (false, service) => dataset_name(&format!("apm.app.{service}"), ""),
    };
    let namespace = controls.iter().find_map(|control| control.namespace);
    let namespace = namespace.map_or("default".into(), |name| name.text());
    Index::stream("logs", dataset, namespace_name(&namespace))
}

/// An event of a span, which is a log record.
pub(super) fn event(
    out: &mut Vec<u8>,
    (resource, scope): (&ResourceView<'_>, &ScopeView<'_>),
    span: &SpanView<'_>,
    event: &EventView<'_>,
    index: &Index,
) {
    let is_exception = is_exception(event);
    let mut document = head((resource, scope), &event.attrs(), EVENT);
    stream(&mut document, "", index);
    document.add("@timestamp", Value::Time(event.time()));
    document.id("trace.id", span.trace_id());
    match span.attr("transaction.id").and_then(|id| id.as_str()) {
        Some(id) => {
            document.text("transaction.id", id);
            document.text("span.id", id);
            if is_exception {
                document.text("parent.id", id);
            }
        }
        None => document.id(if is_exception { "parent.id" } else { "span.id" }, span.span_id()),
    }
    if !is_exception {
        document.text("event.kind", "event");
        document.text("message", event.name());
    }
    document.write(out, true, |field| is_in(RESOURCE, field) || is_in(EVENT, field));
}

/// Points that share resource, attributes and time; `values` are metric names with JSON.
pub(super) fn points<'a>(
    out: &mut Vec<u8>,
    resource: &ResourceView<'a>,
    attrs: &Attrs<'a>,
    time: u64,
    values: Vec<(&'a str, Vec<u8>)>,
    (index, doc_count): (&'a Index, u64),
) {
    let mut document = Document::default();
    named(&mut document, &resource.attrs(), RESOURCE);
    document.add("@timestamp", Value::Time(time));
    document.attributes("", attrs);
    stream(&mut document, "", index);
    for (name, json) in values {
        document.add(name, Value::Json(json));
    }
    if doc_count != 0 {
        document.add("_doc_count", Value::Unsigned(doc_count));
    }
    document.write(out, true, |field| is_in(RESOURCE, field));
}

fn head<'a>(
    (resource, scope): (&ResourceView<'a>, &ScopeView<'a>),
    attrs: &Attrs<'a>,
    names: Names,
) -> Document<'a> {
    let mut document = Document::default();
    named(&mut document, &resource.attrs(), RESOURCE);
    document.attributes("", &scope.attrs());
    named(&mut document, attrs, names);
    document
}

/// `attrs` under the names of the schema.
fn named<'a>(document: &mut Document<'a>, attrs: &Attrs<'a>, names: Names) {
    for (key, value) in attrs.iter() {
        match names.iter().find(|(from, _)| *from == key) {
            None => document.attribute(key, value),
            Some((_, "")) => {}
            Some(("host.name", name)) => {
                // Both are fields of the schema; what the sender says itself goes before.
                if attrs.get(name).is_none() {
                    document.attribute(*name, value);
                }
                document.attribute(key, value);
            }
            Some((_, name)) => document.attribute(*name, value),
        }
    }
}

fn is_exception(event: &EventView<'_>) -> bool {
    let attrs = event.attrs();
    event.name() == "exception"
        && (attrs.get("exception.type").is_some() || attrs.get("exception.message").is_some())
}

fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "",
        SpanKind::Internal => "INTERNAL",
        SpanKind::Server => "SERVER",
        SpanKind::Client => "CLIENT",
        SpanKind::Producer => "PRODUCER",
        SpanKind::Consumer => "CONSUMER",
    }
}
