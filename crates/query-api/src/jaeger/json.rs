// SPDX-License-Identifier: Apache-2.0
//! Jaeger's own JSON of a trace: spans in microseconds, tags with types, processes by name.
//!
//! What OTLP has and Jaeger has not becomes tags, under the names and in the order of the
//! Collector's translator (`pkg/translator/jaeger`): attributes, `otel.scope.name`,
//! `otel.scope.version`, `span.kind`, status, trace state. Links are references; the parent is the first reference.

use hashbrown::HashMap;
use otlp_wire::{AnyValue, Attrs, EventView, Payload, ResourceView, ScopeView, SpanView, TraceId};

use super::hex;
use crate::answer::string;

/// Appends a trace.
pub fn trace(out: &mut String, trace: &Payload) {
    let mut processes: HashMap<&[u8], usize> = HashMap::new();
    let mut listed = Vec::new();
    let mut spans = String::new();
    let mut id: TraceId = [0; 16];
    for resource in trace.traces() {
        let next = processes.len() + 1;
        let process = *processes.entry(resource.raw()).or_insert_with(|| {
            listed.push(resource);
            next
        });
        for scope in resource.scopes() {
            for one in scope.spans() {
                id = one.trace_id().unwrap_or_default();
                comma(&mut spans);
                span(&mut spans, &scope, &one, process);
            }
        }
    }
    field(out, "{", "traceID");
    string(out, &trace_id(&id));
    out.push_str(",\"spans\":[");
    out.push_str(&spans);
    out.push_str("],\"processes\":{");
    for (at, resource) in listed.iter().enumerate() {
        comma(out);
        string(out, &format!("p{}", at + 1));
        out.push(':');
        self::process(out, resource);
    }
    out.push_str("},\"warnings\":null}");
}

/// As Jaeger prints it: 16 digits where the upper half is zero.
pub fn trace_id(id: &TraceId) -> String {
    let (upper, lower) = id.split_at(8);
    if upper.iter().all(|byte| *byte == 0) { hex(lower) } else { hex(id) }
}

fn span(out: &mut String, scope: &ScopeView<'_>, span: &SpanView<'_>, process: usize) {
    let id = trace_id(&span.trace_id().unwrap_or_default());
    field(out, "{", "traceID");
    string(out, &id);
    field(out, ",", "spanID");
    string(out, &hex(&span.span_id().unwrap_or_default()));
    if span.flags() & 0xff != 0 {
        field(out, ",", "flags");
        out.push_str(&(span.flags() & 0xff).to_string());
    }
    field(out, ",", "operationName");
    string(out, span.name());
    field(out, ",", "references");
    references(out, span, &id);
    field(out, ",", "startTime");
    out.push_str(&(span.start() / 1000).to_string());
    field(out, ",", "duration");
    out.push_str(&(span.duration_nanos() / 1000).to_string());
    field(out, ",", "tags");
    tags(out, scope, span);
    field(out, ",", "logs");
    out.push('[');
    for event in span.events() {
        comma(out);
        log(out, &event);
    }
    out.push(']');
    field(out, ",", "processID");
    string(out, &format!("p{process}"));
    out.push_str(",\"warnings\":null}");
}

fn references(out: &mut String, span: &SpanView<'_>, trace: &str) {
    out.push('[');
    if let Some(parent) = span.parent_span_id() {
        reference(out, "CHILD_OF", trace, &hex(&parent));
    }
    for link in span.links() {
        let kind = link.attrs().get("opentracing.ref_type").is_some_and(|v| v.text() == "child_of");
        let kind = if kind { "CHILD_OF" } else { "FOLLOWS_FROM" };
        let trace = trace_id(&link.trace_id().unwrap_or_default());
        reference(out, kind, &trace, &hex(&link.span_id().unwrap_or_default()));
    }
    out.push(']');
}

fn reference(out: &mut String, kind: &str, trace: &str, span: &str) {
    comma(out);
    field(out, "{", "refType");
    string(out, kind);
    field(out, ",", "traceID");
    string(out, trace);
    field(out, ",", "spanID");
    string(out, span);
    out.push('}');
}

fn tags(out: &mut String, scope: &ScopeView<'_>, span: &SpanView<'_>) {
    out.push('[');
    attributes(out, span.attrs(), "");
    let mut text = |key: &str, value: &str| {
        if !value.is_empty() {
            tag(out, key, &AnyValue::Str(value));
        }
    };
    text("otel.scope.name", scope.name());
    text("otel.scope.version", scope.version());
    text("span.kind", store::traces::kind_name(span.kind_number()).unwrap_or(""));
    let status = match span.status() {
        otlp_wire::StatusCode::Unset => "",
        otlp_wire::StatusCode::Ok => "OK",
        otlp_wire::StatusCode::Error => "ERROR",
    };
    text("otel.status_code", status);
    if status == "ERROR" && span.attr("error").is_none() {
        tag(out, "error", &AnyValue::Bool(true));
    }
    let mut text = |key: &str, value: &str| {
        if !value.is_empty() {
            tag(out, key, &AnyValue::Str(value));
        }
    };
    text("otel.status_description", span.status_message());
    text("w3c.tracestate", span.trace_state());
    out.push(']');
}

fn log(out: &mut String, event: &EventView<'_>) {
    field(out, "{", "timestamp");
    out.push_str(&(event.time() / 1000).to_string());
    field(out, ",", "fields");
    out.push('[');
    if !event.name().is_empty() && event.attrs().get("event").is_none() {
        tag(out, "event", &AnyValue::Str(event.name()));
    }
    attributes(out, event.attrs(), "");
    out.push_str("]}");
}

fn process(out: &mut String, resource: &ResourceView<'_>) {
    let service = resource.attr("service.name").map(|name| name.text().into_owned());
    field(out, "{", "serviceName");
    string(out, &service.unwrap_or_default());
    field(out, ",", "tags");
    out.push('[');
    attributes(out, resource.attrs(), "service.name");
    out.push_str("]}");
}

fn attributes(out: &mut String, attrs: Attrs<'_>, but: &str) {
    for (key, value) in attrs.iter().filter(|(key, _)| *key != but) {
        tag(out, key, &value);
    }
}

fn tag(out: &mut String, key: &str, value: &AnyValue<'_>) {
    comma(out);
    field(out, "{", "key");
    string(out, key);
    let kind = match value {
        AnyValue::Bool(_) => "bool",
        AnyValue::Int(_) => "int64",
        AnyValue::Double(v) if v.is_finite() => "float64",
        AnyValue::Bytes(_) => "binary",
        _ => "string",
    };
    field(out, ",", "type");
    string(out, kind);
    field(out, ",", "value");
    match value {
        AnyValue::Bool(_) | AnyValue::Int(_) => out.push_str(&value.text()),
        AnyValue::Double(v) if v.is_finite() => out.push_str(&value.text()),
        _ => string(out, &value.text()),
    }
    out.push('}');
}

/// A comma, unless a list or an object has just begun.
fn comma(out: &mut String) {
    if !out.is_empty() && !out.ends_with(['[', '{']) {
        out.push(',');
    }
}

fn field(out: &mut String, before: &str, name: &str) {
    out.push_str(before);
    string(out, name);
    out.push(':');
}
