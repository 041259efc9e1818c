// SPDX-License-Identifier: Apache-2.0
//! Jaeger's protobuf encoding (`jaeger.api_v2`), written from the views in one pass.
//!
//! ```text
//! PostSpansRequest { batch 1 { spans 1 [..], process 2 { service_name 1, tags 2 [..] } } }
//! ```
//! Lengths of tags and references are computed ahead; those of spans and batches are guessed in
//! width and patched, so their bytes move only when the guess was wrong.
//! Source: jaeger-idl, proto/api_v2/model.proto and collector.proto.

use otlp_wire::{EventView, ResourceView, Scope, SpanView, put_varint, varint_len};

use super::translate::{self, Reference, Tags, Value};

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LEN: u8 = 2;

/// Appends the `PostSpansRequest` for the spans of one resource; false if it has none.
pub(crate) fn request(resource: &ResourceView<'_>, out: &mut Vec<u8>) -> bool {
    let begin = out.len();
    let batch = Frame::open(out, 1, 3);
    let mut spans = 0;
    for scope in resource.scopes() {
        let of = scope.scope();
        for view in scope.spans() {
            span(&of, &view, out);
            spans += 1;
        }
    }
    if spans == 0 {
        out.truncate(begin);
        return false;
    }
    let process = Frame::open(out, 2, 2);
    text(out, 1, translate::service(resource));
    translate::process_tags(resource, &mut Writer { out, number: 2 });
    process.close(out);
    batch.close(out);
    true
}

fn span(scope: &Scope<'_>, span: &SpanView<'_>, out: &mut Vec<u8>) {
    let frame = Frame::open(out, 1, 2);
    bytes(out, 1, &span.trace_id().unwrap_or_default());
    bytes(out, 2, &span.span_id().unwrap_or_default());
    text(out, 3, span.name());
    translate::references(span, |found| reference(&found, out));
    let sampled = span.flags() & 1;
    if sampled != 0 {
        varint_field(out, 5, u64::from(sampled));
    }
    let (start, end) = (span.start() as i64, span.end() as i64);
    time(out, 6, start);
    time_of(out, 7, end.wrapping_sub(start), |nanos| (nanos / NANOS, nanos % NANOS));
    translate::span_tags(scope, span, &mut Writer { out, number: 8 });
    for event in span.events() {
        log(&event, out);
    }
    frame.close(out);
}

fn log(event: &EventView<'_>, out: &mut Vec<u8>) {
    let frame = Frame::open(out, 9, 1);
    time(out, 1, event.time() as i64);
    translate::log_fields(event, &mut Writer { out, number: 2 });
    frame.close(out);
}

fn reference(found: &Reference, out: &mut Vec<u8>) {
    put_tag(out, 4, LEN);
    // Two ids with their heads, and the type if it is not the default.
    put_varint(out, 18 + 10 + if found.follows { 2 } else { 0 });
    bytes(out, 1, &found.trace_id);
    bytes(out, 2, &found.span_id);
    if found.follows {
        varint_field(out, 3, 1);
    }
}

const NANOS: i64 = 1_000_000_000;

/// A `Timestamp`: nanoseconds count forward, before 1970 too.
fn time(out: &mut Vec<u8>, number: u32, nanos: i64) {
    time_of(out, number, nanos, |nanos| (nanos.div_euclid(NANOS), nanos.rem_euclid(NANOS)));
}

fn time_of(out: &mut Vec<u8>, number: u32, nanos: i64, split: fn(i64) -> (i64, i64)) {
    let (seconds, nanos) = split(nanos);
    let length = |value: i64| if value == 0 { 0 } else { 1 + varint_len(value as u64) };
    put_tag(out, number, LEN);
    put_varint(out, (length(seconds) + length(nanos)) as u64);
    for (number, value) in [(1, seconds), (2, nanos)] {
        if value != 0 {
            varint_field(out, number, value as u64);
        }
    }
}

/// Writes each tag as field `number`.
struct Writer<'w> {
    out: &'w mut Vec<u8>,
    number: u32,
}

impl Tags for Writer<'_> {
    /// `KeyValue { key 1, v_type 2, v_str 3, v_bool 4, v_int64 5, v_float64 6, v_binary 7 }`
    fn tag(&mut self, key: &str, value: Value<'_>) {
        let (kind, length) = match value {
            Value::Str(value) => (0, field_len(value.len())),
            Value::Bool(value) => (1, 2 * usize::from(value)),
            Value::Int(0) => (2, 0),
            Value::Int(value) => (2, 1 + varint_len(value as u64)),
            Value::Double(value) => (3, if value.to_bits() == 0 { 0 } else { 9 }),
            Value::Bytes(value) => (4, field_len(value.len())),
        };
        let head = field_len(key.len()) + if kind == 0 { 0 } else { 2 };
        let out = &mut *self.out;
        put_tag(out, self.number, LEN);
        put_varint(out, (head + length) as u64);
        text(out, 1, key);
        if kind != 0 {
            varint_field(out, 2, kind);
        }
        match value {
            Value::Str(value) => text(out, 3, value),
            Value::Bool(true) => varint_field(out, 4, 1),
            Value::Int(value) if value != 0 => varint_field(out, 5, value as u64),
            Value::Double(value) if value.to_bits() != 0 => {
                put_tag(out, 6, FIXED64);
                out.extend_from_slice(&value.to_bits().to_le_bytes());
            }
            Value::Bytes(value) if !value.is_empty() => bytes(out, 7, value),
            _ => {}
        }
    }
}

/// Length of a text or bytes field with a number below 16; 0 when it is left out.
fn field_len(length: usize) -> usize {
    if length == 0 { 0 } else { 1 + varint_len(length as u64) + length }
}

fn text(out: &mut Vec<u8>, number: u32, value: &str) {
    if !value.is_empty() {
        bytes(out, number, value.as_bytes());
    }
}

fn bytes(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_tag(out, number, LEN);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    put_tag(out, number, VARINT);
    put_varint(out, value);
}

fn put_tag(out: &mut Vec<u8>, number: u32, wire: u8) {
    // All numbers here are below 16.
    out.push((number as u8) << 3 | wire);
}

/// A message whose length is not known yet.
struct Frame {
    /// Where its bytes begin.
    start: usize,
    width: usize,
}

impl Frame {
    /// Opens field `number`, leaving `width` bytes for its length.
    fn open(out: &mut Vec<u8>, number: u32, width: usize) -> Frame {
        put_tag(out, number, LEN);
        out.resize(out.len() + width, 0);
        Frame { start: out.len(), width }
    }

    /// Puts the length in its place, moving the message if it needs another width.
    fn close(self, out: &mut Vec<u8>) {
        let length = out.len() - self.start;
        let width = varint_len(length as u64);
        if width != self.width {
            let at = self.start - self.width;
            let end = out.len();
            if width > self.width {
                out.resize(end + width - self.width, 0);
            }
            out.copy_within(self.start..end, at + width);
            out.truncate(at + width + length);
        }
        let mut rest = length;
        for place in &mut out[self.start - self.width..][..width] {
            *place = rest as u8 & 0x7f | 0x80;
            rest >>= 7;
        }
        out[self.start - self.width + width - 1] &= 0x7f;
    }
}
