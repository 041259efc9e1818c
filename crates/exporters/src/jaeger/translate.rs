// SPDX-License-Identifier: Apache-2.0
//! What a span is in Jaeger's model, for both of its encodings.
//!
//! In: views of an admitted payload. Out: tags and references one after the other, in the order in
//! which the collector's translator has them; nothing is collected. Attributes keep their keys and
//! types; lists and maps become JSON text.
//! Source: opentelemetry-specification, trace/sdk_exporters/jaeger; the collector's
//! pkg/translator/jaeger.

use otlp_wire::{
    AnyValue, Attrs, EventView, LinkView, ResourceView, Scope, SpanId, SpanKind, SpanView,
    StatusCode, TraceId,
};

/// The name of a service that sent no resource at all.
const NO_RESOURCE: &str = "OTLPResourceNoServiceName";

/// The value of a tag.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Str(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
}

/// Takes tags one by one.
pub(crate) trait Tags {
    fn tag(&mut self, key: &str, value: Value<'_>);
}

/// A reference to another span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    /// `FOLLOWS_FROM`, else `CHILD_OF`.
    pub follows: bool,
}

/// `service_name` of the process of `resource`.
pub(crate) fn service<'a>(resource: &ResourceView<'a>) -> &'a str {
    if resource.attrs().is_empty() {
        return NO_RESOURCE;
    }
    resource.attr("service.name").and_then(|name| name.as_str()).unwrap_or("")
}

/// Tags of the process of `resource`.
pub(crate) fn process_tags(resource: &ResourceView<'_>, to: &mut impl Tags) {
    for attr in resource.attrs().each().filter(|attr| attr.key_bytes() != b"service.name") {
        tag(attr.key(), &attr.value(), to);
    }
}

/// Tags of a span.
pub(crate) fn span_tags(scope: &Scope<'_>, span: &SpanView<'_>, to: &mut impl Tags) {
    text("otel.scope.name", scope.name(), to);
    text("otel.scope.version", scope.version(), to);
    attributes(&span.attrs(), to);
    text("span.kind", kind(span.kind()), to);
    match span.status() {
        StatusCode::Unset => {}
        StatusCode::Ok => to.tag("otel.status_code", Value::Str("OK")),
        StatusCode::Error => {
            to.tag("otel.status_code", Value::Str("ERROR"));
            to.tag("error", Value::Bool(true));
        }
    }
    text("otel.status_description", span.status_message(), to);
    text("w3c.tracestate", span.trace_state(), to);
}

/// Fields of the log that an event becomes.
pub(crate) fn log_fields(event: &EventView<'_>, to: &mut impl Tags) {
    let attrs = event.attrs();
    if !event.name().is_empty() && attrs.get("event").is_none() {
        to.tag("event", Value::Str(event.name()));
    }
    attributes(&attrs, to);
}

/// References of a span, its parent first; a link to the parent only gives that one its type.
pub(crate) fn references(span: &SpanView<'_>, mut take: impl FnMut(Reference)) {
    let trace_id = span.trace_id().unwrap_or_default();
    let parent = parent(span);
    let is_parent = |link: &Reference| Some(link.span_id) == parent && link.trace_id == trace_id;
    if let Some(span_id) = parent {
        let typed = span.links().map(|link| reference(&link)).filter(is_parent).last();
        take(Reference { trace_id, span_id, follows: typed.is_some_and(|link| link.follows) });
    }
    span.links().map(|link| reference(&link)).filter(|link| !is_parent(link)).for_each(take);
}

/// The id of the span's parent.
pub(crate) fn parent(span: &SpanView<'_>) -> Option<SpanId> {
    span.parent_span_id().filter(|id| *id != SpanId::default())
}

fn reference(link: &LinkView<'_>) -> Reference {
    let kind = link.attrs().get("opentracing.ref_type").and_then(|kind| kind.as_str());
    Reference {
        trace_id: link.trace_id().unwrap_or_default(),
        span_id: link.span_id().unwrap_or_default(),
        follows: kind != Some("child_of"),
    }
}

fn attributes(attrs: &Attrs<'_>, to: &mut impl Tags) {
    for attr in attrs.each() {
        tag(attr.key(), &attr.value(), to);
    }
}

fn text(key: &str, value: &str, to: &mut impl Tags) {
    if !value.is_empty() {
        to.tag(key, Value::Str(value));
    }
}

fn tag(key: &str, value: &AnyValue<'_>, to: &mut impl Tags) {
    let value = match value {
        AnyValue::Str(value) => Value::Str(value),
        AnyValue::Bool(value) => Value::Bool(*value),
        AnyValue::Int(value) => Value::Int(*value),
        AnyValue::Double(value) => Value::Double(*value),
        AnyValue::Bytes(value) => Value::Bytes(value),
        AnyValue::Empty => Value::Str(""),
        AnyValue::Array(_) | AnyValue::KvList(_) => {
            return to.tag(key, Value::Str(&value.text()));
        }
    };
    to.tag(key, value);
}

fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "",
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}
