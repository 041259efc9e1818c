// SPDX-License-Identifier: Apache-2.0
//! The OTLP messages as static tables: one row a field.
//!
//! The checker and both directions of JSON walk these same tables, so a field is described once.
//! Source: opentelemetry-proto 1.x, `opentelemetry/proto/{common,resource,trace,metrics,logs}`.

use crate::Signal;
use crate::wire::{FIXED32, FIXED64, LEN, VARINT};

/// Largest field number in any OTLP message (`Span.flags`).
const NUMBER_MAX: usize = 16;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unknown,
    Double,
    Fixed64,
    Sfixed64,
    Fixed32,
    Uint32,
    Int32,
    Int64,
    Sint32,
    Bool,
    Enum,
    Str,
    Bytes,
    /// An id of 0 or this many bytes.
    Id(u8),
    Message,
    /// A message that is `KeyValue` (the checker has a short way for it).
    KeyValue,
    /// Packed arrays; unpacked ones are legal but odd.
    Fixed64s,
    Doubles,
    Uint64s,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// lowerCamelCase name as in OTLP/JSON.
    pub json: &'static str,
    pub kind: Kind,
    /// The wire type it must have.
    pub wire: u8,
    pub repeated: bool,
    /// Written in JSON even when it holds the default (oneof members, `optional`).
    pub presence: bool,
    /// Bits of the fields that must not have been seen before this one, else the encoding is odd.
    pub conflict: u32,
    /// Content of `Message` and `KeyValue`.
    pub message: Option<&'static Message>,
    /// Names of an `Enum`, index = number.
    pub names: &'static [&'static str],
}

/// A message: fields by number.
#[derive(Debug)]
pub(crate) struct Message {
    /// True for what is counted: spans, data points, log records.
    pub item: bool,
    /// For the messages values are made of: the depth at which a value starts, wherever it is, so
    /// that a value may be copied anywhere. 0 for all others.
    pub root: u32,
    pub fields: [Field; NUMBER_MAX + 1],
}

impl Message {
    /// The row of a field number; unknown numbers get a row of kind `Unknown`.
    #[inline]
    pub(crate) fn field(&self, number: u32) -> &Field {
        self.fields.get(number as usize).unwrap_or(&UNKNOWN)
    }
}

static UNKNOWN: Field = NONE;

const NONE: Field = Field {
    json: "",
    kind: Kind::Unknown,
    wire: 0xff,
    repeated: false,
    presence: false,
    conflict: 0,
    message: None,
    names: &[],
};

const fn wire_type(kind: Kind) -> u8 {
    match kind {
        Kind::Unknown => 0xff,
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => FIXED64,
        Kind::Fixed32 => FIXED32,
        Kind::Uint32 | Kind::Int32 | Kind::Int64 => VARINT,
        Kind::Sint32 | Kind::Bool | Kind::Enum => VARINT,
        _ => LEN,
    }
}

/// A singular field.
const fn one(number: usize, json: &'static str, kind: Kind) -> (usize, Field) {
    (number, Field { json, kind, wire: wire_type(kind), conflict: 1 << number, ..NONE })
}

/// A singular message field.
const fn sub(number: usize, json: &'static str, message: &'static Message) -> (usize, Field) {
    let (_, field) = one(number, json, Kind::Message);
    (number, Field { message: Some(message), ..field })
}

/// A repeated message field whose occurrences may lie anywhere.
const fn many(number: usize, json: &'static str, message: &'static Message) -> (usize, Field) {
    let (_, field) = sub(number, json, message);
    (number, Field { repeated: true, conflict: 0, ..field })
}

/// Attributes: repeated, and odd unless they form one run (so editing is prefix + run + suffix).
const fn attributes(number: usize, json: &'static str) -> (usize, Field) {
    let (_, field) = sub(number, json, &KEY_VALUE);
    (number, Field { kind: Kind::KeyValue, repeated: true, ..field })
}

const fn optional(field: (usize, Field)) -> (usize, Field) {
    (field.0, Field { presence: true, ..field.1 })
}

/// A member of a oneof whose members have the numbers in `group`.
const fn either(group: u32, field: (usize, Field)) -> (usize, Field) {
    (field.0, Field { presence: true, conflict: group, ..field.1 })
}

const fn enumeration(
    number: usize,
    json: &'static str,
    names: &'static [&'static str],
) -> (usize, Field) {
    let (_, field) = one(number, json, Kind::Enum);
    (number, Field { names, ..field })
}

const fn strings(number: usize, json: &'static str) -> (usize, Field) {
    let (_, field) = one(number, json, Kind::Str);
    (number, Field { repeated: true, conflict: 0, ..field })
}

const fn packed(number: usize, json: &'static str, kind: Kind) -> (usize, Field) {
    let (_, field) = one(number, json, kind);
    (number, Field { repeated: true, ..field })
}

const fn message(rows: &[(usize, Field)]) -> Message {
    let mut fields = [NONE; NUMBER_MAX + 1];
    let mut i = 0;
    while i < rows.len() {
        fields[rows[i].0] = rows[i].1;
        i += 1;
    }
    Message { item: false, root: 0, fields }
}

const fn item(rows: &[(usize, Field)]) -> Message {
    let message = message(rows);
    Message { item: true, ..message }
}

/// The deepest message that is not part of a value is an exemplar, at 7.
const fn value(root: u32, rows: &[(usize, Field)]) -> Message {
    let message = message(rows);
    Message { root, ..message }
}

/// The export request of a signal.
pub(crate) fn request(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &TRACES,
        Signal::Metrics => &METRICS,
        Signal::Logs => &LOGS,
    }
}

// common and resource

const ANY: u32 = 0b1_1111_1110;
pub(crate) static ANY_VALUE: Message = value(
    9,
    &[
        either(ANY, one(1, "stringValue", Kind::Str)),
        either(ANY, one(2, "boolValue", Kind::Bool)),
        either(ANY, one(3, "intValue", Kind::Int64)),
        either(ANY, one(4, "doubleValue", Kind::Double)),
        either(ANY, sub(5, "arrayValue", &ARRAY)),
        either(ANY, sub(6, "kvlistValue", &KV_LIST)),
        either(ANY, one(7, "bytesValue", Kind::Bytes)),
        either(ANY, one(8, "stringValueStrindex", Kind::Int32)),
    ],
);
static ARRAY: Message = value(10, &[many(1, "values", &ANY_VALUE)]);
static KV_LIST: Message = value(10, &[attributes(1, "values")]);
static KEY_VALUE: Message = value(
    8,
    &[one(1, "key", Kind::Str), sub(2, "value", &ANY_VALUE), one(3, "keyStrindex", Kind::Int32)],
);
pub(crate) static SCOPE: Message = message(&[
    one(1, "name", Kind::Str),
    one(2, "version", Kind::Str),
    attributes(3, "attributes"),
    one(4, "droppedAttributesCount", Kind::Uint32),
]);
static ENTITY_REF: Message = message(&[
    one(1, "schemaUrl", Kind::Str),
    one(2, "type", Kind::Str),
    strings(3, "idKeys"),
    strings(4, "descriptionKeys"),
]);
pub(crate) static RESOURCE: Message = message(&[
    attributes(1, "attributes"),
    one(2, "droppedAttributesCount", Kind::Uint32),
    many(3, "entityRefs", &ENTITY_REF),
]);

// traces

static TRACES: Message = message(&[many(1, "resourceSpans", &RESOURCE_SPANS)]);
static RESOURCE_SPANS: Message = message(&[
    sub(1, "resource", &RESOURCE),
    many(2, "scopeSpans", &SCOPE_SPANS),
    one(3, "schemaUrl", Kind::Str),
]);
static SCOPE_SPANS: Message =
    message(&[sub(1, "scope", &SCOPE), many(2, "spans", &SPAN), one(3, "schemaUrl", Kind::Str)]);
pub(crate) static SPAN: Message = item(&[
    one(1, "traceId", Kind::Id(16)),
    one(2, "spanId", Kind::Id(8)),
    one(3, "traceState", Kind::Str),
    one(4, "parentSpanId", Kind::Id(8)),
    one(5, "name", Kind::Str),
    enumeration(6, "kind", SPAN_KINDS),
    one(7, "startTimeUnixNano", Kind::Fixed64),
    one(8, "endTimeUnixNano", Kind::Fixed64),
    attributes(9, "attributes"),
    one(10, "droppedAttributesCount", Kind::Uint32),
    many(11, "events", &EVENT),
    one(12, "droppedEventsCount", Kind::Uint32),
    many(13, "links", &LINK),
    one(14, "droppedLinksCount", Kind::Uint32),
    sub(15, "status", &STATUS),
    one(16, "flags", Kind::Fixed32),
]);
pub(crate) static EVENT: Message = message(&[
    one(1, "timeUnixNano", Kind::Fixed64),
    one(2, "name", Kind::Str),
    attributes(3, "attributes"),
    one(4, "droppedAttributesCount", Kind::Uint32),
]);
static LINK: Message = message(&[
    one(1, "traceId", Kind::Id(16)),
    one(2, "spanId", Kind::Id(8)),
    one(3, "traceState", Kind::Str),
    attributes(4, "attributes"),
    one(5, "droppedAttributesCount", Kind::Uint32),
    one(6, "flags", Kind::Fixed32),
]);
static STATUS: Message =
    message(&[one(2, "message", Kind::Str), enumeration(3, "code", STATUS_CODES)]);

const SPAN_KINDS: &[&str] = &[
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
const STATUS_CODES: &[&str] = &["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];

// metrics

static METRICS: Message = message(&[many(1, "resourceMetrics", &RESOURCE_METRICS)]);
static RESOURCE_METRICS: Message = message(&[
    sub(1, "resource", &RESOURCE),
    many(2, "scopeMetrics", &SCOPE_METRICS),
    one(3, "schemaUrl", Kind::Str),
]);
static SCOPE_METRICS: Message = message(&[
    sub(1, "scope", &SCOPE),
    many(2, "metrics", &METRIC),
    one(3, "schemaUrl", Kind::Str),
]);
const DATA: u32 = 1 << 5 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 11;
pub(crate) static METRIC: Message = message(&[
    one(1, "name", Kind::Str),
    one(2, "description", Kind::Str),
    one(3, "unit", Kind::Str),
    either(DATA, sub(5, "gauge", &GAUGE)),
    either(DATA, sub(7, "sum", &SUM)),
    either(DATA, sub(9, "histogram", &HISTOGRAM)),
    either(DATA, sub(10, "exponentialHistogram", &EXPONENTIAL_HISTOGRAM)),
    either(DATA, sub(11, "summary", &SUMMARY)),
    attributes(12, "metadata"),
]);
static GAUGE: Message = message(&[many(1, "dataPoints", &NUMBER_POINT)]);
static SUM: Message = message(&[
    many(1, "dataPoints", &NUMBER_POINT),
    enumeration(2, "aggregationTemporality", TEMPORALITIES),
    one(3, "isMonotonic", Kind::Bool),
]);
static HISTOGRAM: Message = message(&[
    many(1, "dataPoints", &HISTOGRAM_POINT),
    enumeration(2, "aggregationTemporality", TEMPORALITIES),
]);
static EXPONENTIAL_HISTOGRAM: Message = message(&[
    many(1, "dataPoints", &EXPONENTIAL_POINT),
    enumeration(2, "aggregationTemporality", TEMPORALITIES),
]);
static SUMMARY: Message = message(&[many(1, "dataPoints", &SUMMARY_POINT)]);
const NUMBER: u32 = 1 << 4 | 1 << 6;
pub(crate) static NUMBER_POINT: Message = item(&[
    one(2, "startTimeUnixNano", Kind::Fixed64),
    one(3, "timeUnixNano", Kind::Fixed64),
    either(NUMBER, one(4, "asDouble", Kind::Double)),
    many(5, "exemplars", &EXEMPLAR),
    either(NUMBER, one(6, "asInt", Kind::Sfixed64)),
    attributes(7, "attributes"),
    one(8, "flags", Kind::Uint32),
]);
pub(crate) static HISTOGRAM_POINT: Message = item(&[
    one(2, "startTimeUnixNano", Kind::Fixed64),
    one(3, "timeUnixNano", Kind::Fixed64),
    one(4, "count", Kind::Fixed64),
    optional(one(5, "sum", Kind::Double)),
    packed(6, "bucketCounts", Kind::Fixed64s),
    packed(7, "explicitBounds", Kind::Doubles),
    many(8, "exemplars", &EXEMPLAR),
    attributes(9, "attributes"),
    one(10, "flags", Kind::Uint32),
    optional(one(11, "min", Kind::Double)),
    optional(one(12, "max", Kind::Double)),
]);
pub(crate) static EXPONENTIAL_POINT: Message = item(&[
    attributes(1, "attributes"),
    one(2, "startTimeUnixNano", Kind::Fixed64),
    one(3, "timeUnixNano", Kind::Fixed64),
    one(4, "count", Kind::Fixed64),
    optional(one(5, "sum", Kind::Double)),
    one(6, "scale", Kind::Sint32),
    one(7, "zeroCount", Kind::Fixed64),
    sub(8, "positive", &BUCKETS),
    sub(9, "negative", &BUCKETS),
    one(10, "flags", Kind::Uint32),
    many(11, "exemplars", &EXEMPLAR),
    optional(one(12, "min", Kind::Double)),
    optional(one(13, "max", Kind::Double)),
    one(14, "zeroThreshold", Kind::Double),
]);
static BUCKETS: Message =
    message(&[one(1, "offset", Kind::Sint32), packed(2, "bucketCounts", Kind::Uint64s)]);
pub(crate) static SUMMARY_POINT: Message = item(&[
    one(2, "startTimeUnixNano", Kind::Fixed64),
    one(3, "timeUnixNano", Kind::Fixed64),
    one(4, "count", Kind::Fixed64),
    one(5, "sum", Kind::Double),
    many(6, "quantileValues", &QUANTILE),
    attributes(7, "attributes"),
    one(8, "flags", Kind::Uint32),
]);
static QUANTILE: Message =
    message(&[one(1, "quantile", Kind::Double), one(2, "value", Kind::Double)]);
const EXEMPLAR_VALUE: u32 = 1 << 3 | 1 << 6;
static EXEMPLAR: Message = message(&[
    one(2, "timeUnixNano", Kind::Fixed64),
    either(EXEMPLAR_VALUE, one(3, "asDouble", Kind::Double)),
    one(4, "spanId", Kind::Id(8)),
    one(5, "traceId", Kind::Id(16)),
    either(EXEMPLAR_VALUE, one(6, "asInt", Kind::Sfixed64)),
    attributes(7, "filteredAttributes"),
]);

const TEMPORALITIES: &[&str] = &[
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
];

// logs

static LOGS: Message = message(&[many(1, "resourceLogs", &RESOURCE_LOGS)]);
static RESOURCE_LOGS: Message = message(&[
    sub(1, "resource", &RESOURCE),
    many(2, "scopeLogs", &SCOPE_LOGS),
    one(3, "schemaUrl", Kind::Str),
]);
static SCOPE_LOGS: Message = message(&[
    sub(1, "scope", &SCOPE),
    many(2, "logRecords", &LOG),
    one(3, "schemaUrl", Kind::Str),
]);
pub(crate) static LOG: Message = item(&[
    one(1, "timeUnixNano", Kind::Fixed64),
    enumeration(2, "severityNumber", SEVERITIES),
    one(3, "severityText", Kind::Str),
    sub(5, "body", &ANY_VALUE),
    attributes(6, "attributes"),
    one(7, "droppedAttributesCount", Kind::Uint32),
    one(8, "flags", Kind::Fixed32),
    one(9, "traceId", Kind::Id(16)),
    one(10, "spanId", Kind::Id(8)),
    one(11, "observedTimeUnixNano", Kind::Fixed64),
    one(12, "eventName", Kind::Str),
]);

const SEVERITIES: &[&str] = &[
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",
    "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",
    "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",
    "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",
    "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",
    "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",
    "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",
];
