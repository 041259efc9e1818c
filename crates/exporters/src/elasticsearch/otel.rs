// SPDX-License-Identifier: Apache-2.0
//! Documents of mode `otel`: OTLP's own shape, attributes with flat keys.
//!
//! Resource and scope are written once a scope ([`tail`]) and copied into each document. Times are
//! text, `<ms>.<ns below>`; a span's duration is nanoseconds. Attributes that steer the exporter
//! are left out; of equal keys the first counts; `geo.location.lat` and `.lon` become one
//! `geo.location`, longitude first.
//! Source: the collector's elasticsearchexporter, internal/serializer/otelserializer.

use otlp_wire::{
    AnyValue, Attrs, EventView, LogView, ResourceView, ScopeView, SpanKind, SpanView, StatusCode,
};

use super::json::{self, Keys, Object};
use super::route::is_control;

/// The members `resource` and `scope` of each document of a scope.
pub(super) fn tail(
    resource: &ResourceView<'_>,
    scope: &ScopeView<'_>,
    maps_as_text: bool,
) -> Vec<u8> {
    let mut out = b"\"resource\":".to_vec();
    let mut object = Object::open(&mut out);
    object.text("\"schema_url\":", resource.schema_url());
    attributes(&mut object, &resource.attrs(), None, maps_as_text);
    let dropped = resource.resource().dropped_attributes_count();
    object.count("\"dropped_attributes_count\":", dropped.into());
    object.close();
    out.extend_from_slice(b",\"scope\":");
    let mut object = Object::open(&mut out);
    object.text("\"schema_url\":", scope.schema_url());
    object.text("\"name\":", scope.name());
    object.text("\"version\":", scope.version());
    attributes(&mut object, &scope.attrs(), None, maps_as_text);
    let dropped = scope.scope().dropped_attributes_count();
    object.count("\"dropped_attributes_count\":", dropped.into());
    object.close();
    out
}

/// A span; `stream` is the member `data_stream` or nothing.
pub(super) fn span(out: &mut Vec<u8>, span: &SpanView<'_>, stream: &[u8], tail: &[u8]) {
    let (start, end) = (span.start(), span.end());
    let mut object = Object::open(out);
    time(object.literal("\"@timestamp\":"), start);
    object.members(stream);
    object.id("\"trace_id\":", span.trace_id());
    object.id("\"span_id\":", span.span_id());
    object.text("\"trace_state\":", span.trace_state());
    object.id("\"parent_span_id\":", span.parent_span_id());
    object.text("\"name\":", span.name());
    object.text("\"kind\":", kind(span.kind()));
    json::unsigned(object.literal("\"duration\":"), end.wrapping_sub(start));
    attributes(&mut object, &span.attrs(), None, false);
    object.count("\"dropped_attributes_count\":", span.dropped_attributes_count().into());
    object.count("\"dropped_events_count\":", span.dropped_events_count().into());
    links(object.literal("\"links\":"), span);
    object.count("\"dropped_links_count\":", span.dropped_links_count().into());
    status(object.literal("\"status\":"), span);
    object.members(tail);
    object.close();
}

fn links(out: &mut Vec<u8>, span: &SpanView<'_>) {
    json::array(out, span.links(), |out, link| {
        let mut object = Object::open(out);
        object.id("\"trace_id\":", link.trace_id());
        object.id("\"span_id\":", link.span_id());
        object.text("\"trace_state\":", link.trace_state());
        attributes(&mut object, &link.attrs(), None, false);
        object.count("\"dropped_attributes_count\":", link.dropped_attributes_count().into());
        object.close();
    });
}

fn status(out: &mut Vec<u8>, span: &SpanView<'_>) {
    let mut object = Object::open(out);
    object.text("\"message\":", span.status_message());
    if span.status() != StatusCode::Unset {
        object.text("\"code\":", span.status().name());
    }
    object.close();
}

/// An event of a span, which is a log record.
pub(super) fn event(
    out: &mut Vec<u8>,
    span: &SpanView<'_>,
    event: &EventView<'_>,
    stream: &[u8],
    tail: &[u8],
) {
    let mut object = Object::open(out);
    time(object.literal("\"@timestamp\":"), event.time());
    object.members(stream);
    object.id("\"trace_id\":", span.trace_id());
    object.id("\"span_id\":", span.span_id());
    object.count("\"dropped_attributes_count\":", event.dropped_attributes_count().into());
    object.text("\"event_name\":", event.name());
    let name = Some(event.name()).filter(|name| !name.is_empty());
    attributes(&mut object, &event.attrs(), name, false);
    object.members(tail);
    object.close();
}

/// A log record.
pub(super) fn log(out: &mut Vec<u8>, log: &LogView<'_>, stream: &[u8], tail: &[u8]) {
    let attrs = log.attrs();
    let mut object = Object::open(out);
    let at = if log.time() == 0 { log.observed_time() } else { log.time() };
    time(object.literal("\"@timestamp\":"), at);
    time(object.literal("\"observed_timestamp\":"), log.observed_time());
    object.members(stream);
    object.text("\"severity_text\":", log.severity_text());
    object.count("\"severity_number\":", u64::try_from(log.severity_number()).unwrap_or(0));
    object.id("\"trace_id\":", log.trace_id());
    object.id("\"span_id\":", log.span_id());
    attributes(&mut object, &attrs, None, false);
    object.count("\"dropped_attributes_count\":", log.dropped_attributes_count().into());
    match log.event_name() {
        "" => {
            let name = attrs.get("event.name").and_then(|name| name.as_str());
            object.text("\"event_name\":", name.unwrap_or_default());
        }
        name => object.text("\"event_name\":", name),
    }
    object.members(tail);
    let content = log.body();
    if !content.is_empty() {
        body(object.literal("\"body\":"), &content);
    }
    object.close();
}

/// Text, or structured: Elasticsearch takes objects and lists of objects there, nothing else.
fn body(out: &mut Vec<u8>, body: &AnyValue<'_>) {
    let mut object = Object::open(out);
    match body {
        AnyValue::KvList(map) => json::map(object.literal("\"structured\":"), map),
        AnyValue::Array(values) if values.iter().all(|v| matches!(v, AnyValue::KvList(_))) => {
            json::value(object.literal("\"structured\":"), body, false);
        }
        AnyValue::Array(_) => {
            let mut wrapped = Object::open(object.literal("\"structured\":"));
            json::value(wrapped.literal("\"value\":"), body, false);
            wrapped.close();
        }
        _ => json::value(object.literal("\"text\":"), body, false),
    }
    object.close();
}

/// The member `attributes`, left out when there are none. `event_name` goes in as `event.name`
/// in place of one that is there.
pub(super) fn attributes(
    object: &mut Object<'_>,
    attrs: &Attrs<'_>,
    event_name: Option<&str>,
    maps_as_text: bool,
) {
    if attrs.is_empty() && event_name.is_none() {
        return;
    }
    let mut inner = Object::open(object.literal("\"attributes\":"));
    let mut keys = Keys::default();
    for (at, attr) in attrs.each().enumerate() {
        let key = attr.key_bytes();
        let is_replaced = event_name.is_some() && key == b"event.name";
        if is_control(key) || is_replaced || !keys.is_new(attrs, at, key) {
            continue;
        }
        let value = attr.value();
        if let (Some(place), AnyValue::Double(number)) = (Place::of(attr.key()), &value) {
            place.write(&mut inner, attrs, *number);
            continue;
        }
        json::value(inner.key(attr.key()), &value, maps_as_text);
    }
    if let Some(name) = event_name {
        json::string(inner.literal("\"event.name\":"), name);
    }
    inner.close();
}

/// One half of a position: `<prefix>geo.location.lat` or `.lon`.
struct Place<'k> {
    key: &'k str,
    /// `<prefix>geo.location`
    merged: &'k str,
    is_latitude: bool,
}

impl<'k> Place<'k> {
    #[inline]
    fn of(key: &'k str) -> Option<Place<'k>> {
        let is_latitude = key.ends_with(".lat");
        if !is_latitude && !key.ends_with(".lon") {
            return None;
        }
        let merged = &key[..key.len() - 4];
        let prefix = merged.strip_suffix("geo.location")?;
        let is_whole = prefix.is_empty() || prefix.ends_with('.');
        is_whole.then_some(Place { key, merged, is_latitude })
    }

    /// Writes both halves at the latitude; a half without the other as it is.
    fn write(&self, object: &mut Object<'_>, attrs: &Attrs<'_>, number: f64) {
        let other = if self.is_latitude { ".lon" } else { ".lat" };
        let other = attrs.each().find(|attr| {
            attr.key().strip_prefix(self.merged).is_some_and(|ending| ending == other)
        });
        match (other.map(|attr| attr.value()), self.is_latitude) {
            (Some(AnyValue::Double(longitude)), true) => {
                let out = object.key(self.merged);
                json::array(out, [longitude, number].into_iter(), json::double);
            }
            (Some(AnyValue::Double(_)), false) => {}
            _ => json::double(object.key(self.key), number),
        }
    }
}

/// Milliseconds, a point, and the nanoseconds left, in quotes.
fn time(out: &mut Vec<u8>, nanos: u64) {
    out.push(b'"');
    json::unsigned(out, nanos / 1_000_000);
    out.push(b'.');
    json::unsigned(out, nanos % 1_000_000);
    out.push(b'"');
}

fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "Unspecified",
        SpanKind::Internal => "Internal",
        SpanKind::Server => "Server",
        SpanKind::Client => "Client",
        SpanKind::Producer => "Producer",
        SpanKind::Consumer => "Consumer",
    }
}
