// SPDX-License-Identifier: Apache-2.0
//! Documents of the modes `none` and `raw`: flat keys in the collector's own names.
//!
//! `none` puts attributes below `Attributes.` and events below `Events.`; `raw` puts both at the
//! top. There are no metrics in these modes.
//! Source: the collector's elasticsearchexporter, model.go.

use otlp_wire::{AnyValue, LogView, ResourceView, ScopeView, SpanKind, SpanView};

use super::flat::{Document, Value};
use super::json;
use super::route::Index;

/// A span; `raw` without prefixes.
pub(super) fn span(
    out: &mut Vec<u8>,
    (resource, scope): (&ResourceView<'_>, &ScopeView<'_>),
    span: &SpanView<'_>,
    index: &Index,
    raw: bool,
) {
    let (attributes, events) = if raw { ("", "") } else { ("Attributes", "Events") };
    let mut document = Document::default();
    document.add("@timestamp", Value::Time(span.start()));
    document.add("EndTimestamp", Value::Time(span.end()));
    document.id("TraceId", span.trace_id());
    document.id("SpanId", span.span_id());
    document.id("ParentSpanId", span.parent_span_id());
    document.text("Name", span.name());
    document.text("Kind", kind(span.kind()));
    document.add("TraceStatus", Value::Int(span.status() as i64));
    document.text("TraceStatusDescription", span.status_message());
    document.text("Link", links(span));
    document.attributes("Resource", &resource.attrs());
    let micros = (span.end() as i64).wrapping_sub(span.start() as i64) / 1000;
    document.add("Duration", Value::Int(micros));
    of_scope(&mut document, scope);
    document.attributes(attributes, &span.attrs());
    stream(&mut document, attributes, index);
    for event in span.events() {
        let path = below(events, event.name());
        document.add(format!("{path}.time"), Value::Time(event.time()));
        document.attributes(&path, &event.attrs());
    }
    document.write(out, false, |_| false);
}

/// A log record; `raw` without prefixes.
pub(super) fn log(
    out: &mut Vec<u8>,
    (resource, scope): (&ResourceView<'_>, &ScopeView<'_>),
    log: &LogView<'_>,
    index: &Index,
    raw: bool,
) {
    let attributes = if raw { "" } else { "Attributes" };
    let mut document = Document::default();
    let at = if log.time() == 0 { log.observed_time() } else { log.time() };
    document.add("@timestamp", Value::Time(at));
    document.id("TraceId", log.trace_id());
    document.id("SpanId", log.span_id());
    document.add("TraceFlags", Value::Int(log.flags().into()));
    document.text("SeverityText", log.severity_text());
    document.add("SeverityNumber", Value::Int(log.severity_number().into()));
    document.attribute("Body", log.body());
    document.attributes("Resource", &resource.attrs());
    of_scope(&mut document, scope);
    document.attributes(attributes, &log.attrs());
    stream(&mut document, attributes, index);
    document.write(out, false, |_| false);
}

fn of_scope<'a>(document: &mut Document<'a>, scope: &ScopeView<'a>) {
    document.attributes("Scope", &scope.attrs());
    document.add("Scope.name", Value::Any(AnyValue::Str(scope.name())));
    document.add("Scope.version", Value::Any(AnyValue::Str(scope.version())));
}

/// The parts of the data stream's name below `path`.
pub(super) fn stream<'a>(document: &mut Document<'a>, path: &str, index: &'a Index) {
    if let Some(stream) = &index.stream {
        document.text(below(path, "data_stream.type"), stream.kind.as_str());
        document.text(below(path, "data_stream.dataset"), stream.dataset.as_str());
        document.text(below(path, "data_stream.namespace"), stream.namespace.as_str());
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Links as JSON text, `[]` when there are none.
fn links(span: &SpanView<'_>) -> String {
    let mut out = Vec::new();
    json::array(&mut out, span.links(), |out, link| {
        out.extend_from_slice(b"{\"attribute\":");
        out.extend_from_slice(AnyValue::KvList(link.attrs()).text().as_bytes());
        out.extend_from_slice(b",\"spanID\":");
        json::hex(out, link.span_id().as_ref().map_or(&[][..], |id| id));
        out.extend_from_slice(b",\"traceID\":");
        json::hex(out, link.trace_id().as_ref().map_or(&[][..], |id| id));
        out.push(b'}');
    });
    String::from_utf8_lossy(&out).into_owned()
}

fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "SPAN_KIND_UNSPECIFIED",
        SpanKind::Internal => "SPAN_KIND_INTERNAL",
        SpanKind::Server => "SPAN_KIND_SERVER",
        SpanKind::Client => "SPAN_KIND_CLIENT",
        SpanKind::Producer => "SPAN_KIND_PRODUCER",
        SpanKind::Consumer => "SPAN_KIND_CONSUMER",
    }
}
