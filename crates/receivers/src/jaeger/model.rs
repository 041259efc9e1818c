// SPDX-License-Identifier: Apache-2.0
//! Jaeger's model (`jaeger.api_v2`) and what it is in OTLP.
//!
//! In: the bytes of a `PostSpansRequest`. Out: a payload of traces, or what is wrong with them. What
//! the exporter `jaeger` makes of OTLP is turned back: tags that stand for fields of a span become
//! those fields.
//! Source: jaeger-idl, proto/api_v2/model.proto and collector.proto; opentelemetry-specification,
//! trace/sdk_exporters/jaeger; the collector's pkg/translator/jaeger.

use basics::{Error, Result};
use otlp_wire::write::{self, AttrWriter, Traces};
use otlp_wire::{AnyValue, Payload, SpanId, SpanKind, StatusCode, TraceId};
use prost::Message;

/// The name of the service of spans that came without any resource.
const NO_RESOURCE: &str = "OTLPResourceNoServiceName";

const NANOS: i64 = 1_000_000_000;

#[derive(Clone, PartialEq, Message)]
struct PostSpansRequest {
    #[prost(message, optional, tag = "1")]
    batch: Option<Batch>,
}

#[derive(Clone, PartialEq, Message)]
struct Batch {
    #[prost(message, repeated, tag = "1")]
    spans: Vec<Span>,
    #[prost(message, optional, tag = "2")]
    process: Option<Process>,
}

#[derive(Clone, PartialEq, Message)]
struct Process {
    #[prost(string, tag = "1")]
    service_name: String,
    #[prost(message, repeated, tag = "2")]
    tags: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    operation_name: String,
    #[prost(message, repeated, tag = "4")]
    references: Vec<Reference>,
    #[prost(uint32, tag = "5")]
    flags: u32,
    #[prost(message, optional, tag = "6")]
    start_time: Option<Time>,
    #[prost(message, optional, tag = "7")]
    duration: Option<Time>,
    #[prost(message, repeated, tag = "8")]
    tags: Vec<KeyValue>,
    #[prost(message, repeated, tag = "9")]
    logs: Vec<Log>,
    /// Instead of the batch's.
    #[prost(message, optional, tag = "10")]
    process: Option<Process>,
}

/// `google.protobuf.Timestamp` and `Duration`, which look alike.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl Time {
    fn nanos(time: Option<Time>) -> i64 {
        let time = time.unwrap_or_default();
        time.seconds.wrapping_mul(NANOS).wrapping_add(time.nanos.into())
    }
}

#[derive(Clone, PartialEq, Eq, Message)]
struct Reference {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    /// 0 `CHILD_OF`, 1 `FOLLOWS_FROM`.
    #[prost(int32, tag = "3")]
    ref_type: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Log {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Time>,
    #[prost(message, repeated, tag = "2")]
    fields: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    /// 0 text, 1 boolean, 2 integer, 3 double, 4 bytes.
    #[prost(int32, tag = "2")]
    v_type: i32,
    #[prost(string, tag = "3")]
    v_str: String,
    #[prost(bool, tag = "4")]
    v_bool: bool,
    #[prost(int64, tag = "5")]
    v_int64: i64,
    #[prost(double, tag = "6")]
    v_float64: f64,
    #[prost(bytes = "vec", tag = "7")]
    v_binary: Vec<u8>,
}

impl KeyValue {
    fn value(&self) -> AnyValue<'_> {
        match self.v_type {
            1 => AnyValue::Bool(self.v_bool),
            2 => AnyValue::Int(self.v_int64),
            3 => AnyValue::Double(self.v_float64),
            4 => AnyValue::Bytes(&self.v_binary),
            _ => AnyValue::Str(&self.v_str),
        }
    }
}

/// The spans of a `PostSpansRequest`.
///
/// # Errors
/// `Invalid` when the bytes are none, or an id has another length than ids have.
pub(crate) fn payload(message: &[u8]) -> Result<Payload> {
    let request = PostSpansRequest::decode(message)
        .map_err(|error| Error::invalid("not a PostSpansRequest").caused_by(error))?;
    let mut out = Traces::new();
    let batch = request.batch.unwrap_or_default();
    let mut last: Option<&Process> = None;
    for (index, span) in batch.spans.iter().enumerate() {
        let process = span.process.as_ref().or(batch.process.as_ref());
        if index == 0 || process != last {
            out.resource(|attrs| resource(process, attrs));
            last = process;
        }
        write_span(span, &mut out)?;
    }
    Ok(out.finish())
}

fn resource(process: Option<&Process>, attrs: &mut AttrWriter<'_>) {
    let Some(process) = process else { return };
    if !process.service_name.is_empty() && process.service_name != NO_RESOURCE {
        attrs.str("service.name", &process.service_name);
    }
    process.tags.iter().for_each(|tag| attrs.value(&tag.key, tag.value()));
}

/// What the tags of a span say that are none of its attributes.
#[derive(Default)]
struct Told<'a> {
    scope: (&'a str, &'a str),
    kind: SpanKind,
    status: StatusCode,
    status_message: &'a str,
    trace_state: &'a str,
}

impl<'a> Told<'a> {
    /// Takes a tag; false if it is an attribute.
    fn take(&mut self, tag: &'a KeyValue) -> bool {
        match (tag.key.as_str(), tag.value()) {
            ("otel.scope.name" | "otel.library.name", AnyValue::Str(name)) => self.scope.0 = name,
            ("otel.scope.version" | "otel.library.version", AnyValue::Str(v)) => self.scope.1 = v,
            ("span.kind", AnyValue::Str(kind)) => match kind_of(kind) {
                Some(kind) => self.kind = kind,
                None => return false,
            },
            ("otel.status_code", AnyValue::Str("OK")) => self.status = StatusCode::Ok,
            ("otel.status_code", AnyValue::Str("ERROR")) | ("error", AnyValue::Bool(true)) => {
                self.status = StatusCode::Error;
            }
            ("otel.status_description", AnyValue::Str(text)) => self.status_message = text,
            ("w3c.tracestate", AnyValue::Str(text)) => self.trace_state = text,
            _ => return false,
        }
        true
    }
}

fn kind_of(text: &str) -> Option<SpanKind> {
    Some(match text {
        "internal" => SpanKind::Internal,
        "server" => SpanKind::Server,
        "client" => SpanKind::Client,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        _ => return None,
    })
}

fn write_span(span: &Span, out: &mut Traces) -> Result<()> {
    let mut told = Told::default();
    let attributes: Vec<&KeyValue> = span.tags.iter().filter(|tag| !told.take(tag)).collect();
    let trace_id = trace_id(&span.trace_id)?;
    let parent = parent(span);
    let start = Time::nanos(span.start_time);
    out.scope(told.scope.0, told.scope.1);
    let written = write::Span {
        trace_id,
        span_id: span_id(&span.span_id)?,
        parent_span_id: parent.map(|parent| span_id(&parent.span_id)).transpose()?,
        trace_state: told.trace_state,
        name: &span.operation_name,
        kind: told.kind,
        start: start as u64,
        end: start.wrapping_add(Time::nanos(span.duration)) as u64,
        status: told.status,
        status_message: told.status_message,
        flags: span.flags & 0xff,
    };
    out.span(&written, |attrs| {
        attributes.iter().for_each(|tag| attrs.value(&tag.key, tag.value()));
    });
    span.logs.iter().for_each(|log| event(log, out));
    for link in
        span.references.iter().filter(|link| !parent.is_some_and(|p| std::ptr::eq(p, *link)))
    {
        let kind = if link.ref_type == 0 { "child_of" } else { "follows_from" };
        out.link(self::trace_id(&link.trace_id)?, span_id(&link.span_id)?, |attrs| {
            attrs.str("opentracing.ref_type", kind);
        });
    }
    Ok(())
}

/// The reference to the span's parent: the first `CHILD_OF` in its own trace, else the first other.
fn parent(span: &Span) -> Option<&Reference> {
    let own = || span.references.iter().filter(|one| one.trace_id == span.trace_id);
    own().find(|one| one.ref_type == 0).or_else(|| own().next())
}

fn event(log: &Log, out: &mut Traces) {
    let name = log.fields.iter().find(|field| field.key == "event" && field.v_type == 0);
    out.event(
        Time::nanos(log.timestamp) as u64,
        name.map_or("", |field| field.v_str.as_str()),
        |attrs| {
            let is_name = |field: &KeyValue| name.is_some_and(|name| std::ptr::eq(name, field));
            for field in log.fields.iter().filter(|field| !is_name(field)) {
                attrs.value(&field.key, field.value());
            }
        },
    );
}

fn trace_id(bytes: &[u8]) -> Result<TraceId> {
    bytes.try_into().map_err(|_| Error::invalid(format!("a trace id of {} bytes", bytes.len())))
}

fn span_id(bytes: &[u8]) -> Result<SpanId> {
    bytes.try_into().map_err(|_| Error::invalid(format!("a span id of {} bytes", bytes.len())))
}
