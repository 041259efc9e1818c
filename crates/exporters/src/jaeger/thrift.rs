// SPDX-License-Identifier: Apache-2.0
//! Jaeger's Thrift encoding (`jaeger.thrift`, binary protocol), written from the views in one pass.
//!
//! ```text
//! struct = { type 1 | id 2 | value }* 0      list = element type 1 | count 4 | elements
//! text = length 4 | bytes                    all numbers big-endian
//! Batch { 1 process, 2 spans }, without a message around it
//! ```
//! Times are microseconds; ids are the big-endian halves as signed numbers.
//! Source: jaeger-idl, thrift/jaeger.thrift; the Thrift binary protocol specification.

use otlp_wire::{EventView, ResourceView, Scope, SpanId, SpanView};

use super::translate::{self, Tags, Value};

const STOP: u8 = 0;
const BOOL: u8 = 2;
const DOUBLE: u8 = 4;
const I32: u8 = 8;
const I64: u8 = 10;
const STRING: u8 = 11;
const STRUCT: u8 = 12;
const LIST: u8 = 15;

/// Appends the `Batch` of one resource; false if it has no spans.
pub(crate) fn batch(resource: &ResourceView<'_>, out: &mut Vec<u8>) -> bool {
    let begin = out.len();
    head(out, STRUCT, 1);
    process(resource, out);
    let mut spans = List::open(out, 2);
    for scope in resource.scopes() {
        let of = scope.scope();
        for view in scope.spans() {
            span(&of, &view, out);
            spans.count += 1;
        }
    }
    if spans.count == 0 {
        out.truncate(begin);
        return false;
    }
    spans.close(out);
    out.push(STOP);
    true
}

/// `Process { 1 serviceName, 2 tags }`
fn process(resource: &ResourceView<'_>, out: &mut Vec<u8>) {
    text(out, 1, translate::service(resource));
    tags(out, 2, |to| translate::process_tags(resource, to));
    out.push(STOP);
}

/// `Span { 1 traceIdLow, 2 traceIdHigh, 3 spanId, 4 parentSpanId, 5 operationName, 6 references,
/// 7 flags, 8 startTime, 9 duration, 10 tags, 11 logs }`
fn span(scope: &Scope<'_>, span: &SpanView<'_>, out: &mut Vec<u8>) {
    let (high, low) = halves(&span.trace_id().unwrap_or_default());
    i64_field(out, 1, low);
    i64_field(out, 2, high);
    i64_field(out, 3, span_number(&span.span_id().unwrap_or_default()));
    i64_field(out, 4, span_number(&translate::parent(span).unwrap_or_default()));
    text(out, 5, span.name());
    let mut references = List::open(out, 6);
    translate::references(span, |found| {
        references.count += 1;
        let (high, low) = halves(&found.trace_id);
        i32_field(out, 1, i32::from(found.follows));
        i64_field(out, 2, low);
        i64_field(out, 3, high);
        i64_field(out, 4, span_number(&found.span_id));
        out.push(STOP);
    });
    references.close(out);
    i32_field(out, 7, (span.flags() & 1) as i32);
    i64_field(out, 8, micros(span.start()));
    i64_field(out, 9, (span.end() as i64).wrapping_sub(span.start() as i64) / 1000);
    tags(out, 10, |to| translate::span_tags(scope, span, to));
    let mut logs = List::open(out, 11);
    for event in span.events() {
        log(&event, out);
        logs.count += 1;
    }
    logs.close(out);
    out.push(STOP);
}

/// `Log { 1 timestamp, 2 fields }`; its fields are required, so their list is there when empty.
fn log(event: &EventView<'_>, out: &mut Vec<u8>) {
    i64_field(out, 1, micros(event.time()));
    let list = List::open(out, 2);
    let mut writer = Writer { out, count: 0 };
    translate::log_fields(event, &mut writer);
    let count = writer.count;
    List { count, ..list }.finish(out);
    out.push(STOP);
}

fn tags(out: &mut Vec<u8>, id: u8, write: impl FnOnce(&mut Writer<'_>)) {
    let list = List::open(out, id);
    let mut writer = Writer { out, count: 0 };
    write(&mut writer);
    let count = writer.count;
    List { count, ..list }.close(out);
}

/// Writes each tag as an element of the list that is open.
struct Writer<'w> {
    out: &'w mut Vec<u8>,
    count: u32,
}

impl Tags for Writer<'_> {
    /// `Tag { 1 key, 2 vType, 3 vStr, 4 vDouble, 5 vBool, 6 vLong, 7 vBinary }`
    fn tag(&mut self, key: &str, value: Value<'_>) {
        self.count += 1;
        let out = &mut *self.out;
        text(out, 1, key);
        let kind = match value {
            Value::Str(_) => 0,
            Value::Double(_) => 1,
            Value::Bool(_) => 2,
            Value::Int(_) => 3,
            Value::Bytes(_) => 4,
        };
        i32_field(out, 2, kind);
        match value {
            Value::Str(value) => text(out, 3, value),
            Value::Double(value) => {
                head(out, DOUBLE, 4);
                out.extend_from_slice(&value.to_bits().to_be_bytes());
            }
            Value::Bool(value) => {
                head(out, BOOL, 5);
                out.push(u8::from(value));
            }
            Value::Int(value) => i64_field(out, 6, value),
            Value::Bytes(value) => bytes(out, 7, value),
        }
        out.push(STOP);
    }
}

/// A list of structs whose count is not known yet.
struct List {
    /// Where its field begins.
    start: usize,
    count: u32,
}

impl List {
    fn open(out: &mut Vec<u8>, id: u8) -> List {
        let start = out.len();
        head(out, LIST, id);
        out.push(STRUCT);
        out.extend_from_slice(&[0; 4]);
        List { start, count: 0 }
    }

    /// Ends an optional list: when it is empty it was never there.
    fn close(self, out: &mut Vec<u8>) {
        match self.count {
            0 => out.truncate(self.start),
            _ => self.finish(out),
        }
    }

    fn finish(self, out: &mut [u8]) {
        out[self.start + 4..][..4].copy_from_slice(&self.count.to_be_bytes());
    }
}

fn head(out: &mut Vec<u8>, kind: u8, id: u8) {
    out.extend_from_slice(&[kind, 0, id]);
}

fn i32_field(out: &mut Vec<u8>, id: u8, value: i32) {
    head(out, I32, id);
    out.extend_from_slice(&value.to_be_bytes());
}

fn i64_field(out: &mut Vec<u8>, id: u8, value: i64) {
    head(out, I64, id);
    out.extend_from_slice(&value.to_be_bytes());
}

fn text(out: &mut Vec<u8>, id: u8, value: &str) {
    bytes(out, id, value.as_bytes());
}

fn bytes(out: &mut Vec<u8>, id: u8, value: &[u8]) {
    head(out, STRING, id);
    // A payload is at most 2 GiB.
    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
    out.extend_from_slice(value);
}

/// The high and the low half of a trace id.
fn halves(id: &[u8; 16]) -> (i64, i64) {
    let whole = u128::from_be_bytes(*id);
    ((whole >> 64) as i64, whole as i64)
}

fn span_number(id: &SpanId) -> i64 {
    i64::from_be_bytes(*id)
}

fn micros(nanos: u64) -> i64 {
    (nanos / 1000) as i64
}
