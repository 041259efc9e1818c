// SPDX-License-Identifier: Apache-2.0
//! Jaeger's model (`jaeger.api_v2`) and what it is in OTLP.
//!
//! In: the bytes of a `PostSpansRequest`. Out: a payload of traces, or what is wrong with them. What
//! the exporter `jaeger` makes of OTLP is turned back: tags that stand for fields of a span become
//! those fields. What repeats stays a slice of the request until its turn: objects for all of it would
//! take fifty times the request when that is made of empty elements.
//! Source: jaeger-idl, proto/api_v2/model.proto and collector.proto; opentelemetry-specification,
//! trace/sdk_exporters/jaeger; the collector's pkg/translator/jaeger.

use basics::{Error, Result};
use bytes::Bytes;
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
    #[prost(bytes = "bytes", repeated, tag = "1")]
    spans: Vec<Bytes>,
    #[prost(message, optional, tag = "2")]
    process: Option<Process>,
}

#[derive(Clone, PartialEq, Message)]
struct Process {
    #[prost(string, tag = "1")]
    service_name: String,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    tags: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    operation_name: String,
    #[prost(bytes = "bytes", repeated, tag = "4")]
    references: Vec<Bytes>,
    #[prost(uint32, tag = "5")]
    flags: u32,
    #[prost(message, optional, tag = "6")]
    start_time: Option<Time>,
    #[prost(message, optional, tag = "7")]
    duration: Option<Time>,
    #[prost(bytes = "bytes", repeated, tag = "8")]
    tags: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "9")]
    logs: Vec<Bytes>,
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
    #[prost(bytes = "bytes", repeated, tag = "2")]
    fields: Vec<Bytes>,
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
pub(crate) fn payload(message: Bytes) -> Result<Payload> {
    let request: PostSpansRequest = decoded(&message)?;
    let mut out = Traces::new();
    let batch = request.batch.unwrap_or_default();
    let mut last: Option<Option<Process>> = None;
    for span in &batch.spans {
        let span: Span = decoded(span)?;
        let process = span.process.as_ref().or(batch.process.as_ref());
        if last.as_ref().is_none_or(|last| last.as_ref() != process) {
            let tags = process.map(|process| all(&process.tags)).transpose()?;
            out.resource(|attrs| resource(process, &tags.unwrap_or_default(), attrs));
            last = Some(process.cloned());
        }
        write_span(&span, &mut out)?;
    }
    Ok(out.finish())
}

fn decoded<T: Message + Default>(message: &Bytes) -> Result<T> {
    T::decode(message.clone())
        .map_err(|error| Error::invalid("not a PostSpansRequest").caused_by(error))
}

/// Fails where one of them is no key and value, so that what writes them need not.
fn all(tags: &[Bytes]) -> Result<Vec<&Bytes>> {
    tags.iter().map(|tag| decoded::<KeyValue>(tag).map(|_| tag)).collect()
}

/// Writes tags that [`all`] has looked at.
fn write_tags<'a>(tags: impl IntoIterator<Item = &'a Bytes>, attrs: &mut AttrWriter<'_>) {
    for tag in tags.into_iter().filter_map(|tag| decoded::<KeyValue>(tag).ok()) {
        attrs.value(&tag.key, tag.value());
    }
}

fn resource(process: Option<&Process>, tags: &[&Bytes], attrs: &mut AttrWriter<'_>) {
    let service = process.map_or("", |process| process.service_name.as_str());
    if !service.is_empty() && service != NO_RESOURCE {
        attrs.str("service.name", service);
    }
    write_tags(tags.iter().copied(), attrs);
}

/// What the tags of a span say that are none of its attributes.
#[derive(Default)]
struct Told {
    scope: String,
    scope_version: String,
    kind: SpanKind,
    status: StatusCode,
    status_message: String,
    trace_state: String,
}

impl Told {
    /// Takes a tag; false if it is an attribute.
    fn take(&mut self, tag: KeyValue) -> bool {
        let is_text = tag.v_type == 0;
        match (tag.key.as_str(), tag.v_str.as_str()) {
            ("otel.scope.name" | "otel.library.name", _) if is_text => self.scope = tag.v_str,
            ("otel.scope.version" | "otel.library.version", _) if is_text => {
                self.scope_version = tag.v_str;
            }
            ("span.kind", kind) if is_text => match kind_of(kind) {
                Some(kind) => self.kind = kind,
                None => return false,
            },
            ("otel.status_code", "OK") if is_text => self.status = StatusCode::Ok,
            ("otel.status_code", "ERROR") if is_text => self.status = StatusCode::Error,
            ("error", _) if tag.v_type == 1 && tag.v_bool => self.status = StatusCode::Error,
            ("otel.status_description", _) if is_text => self.status_message = tag.v_str,
            ("w3c.tracestate", _) if is_text => self.trace_state = tag.v_str,
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

/// A reference whose ids are ids.
struct Link {
    trace_id: TraceId,
    span_id: SpanId,
    is_child: bool,
}

impl Link {
    fn of(reference: &Bytes) -> Result<Link> {
        let reference: Reference = decoded(reference)?;
        Ok(Link {
            trace_id: trace_id(&reference.trace_id)?,
            span_id: span_id(&reference.span_id)?,
            is_child: reference.ref_type == 0,
        })
    }
}

fn write_span(span: &Span, out: &mut Traces) -> Result<()> {
    let mut told = Told::default();
    let mut attributes = Vec::new();
    for tag in &span.tags {
        if !told.take(decoded(tag)?) {
            attributes.push(tag);
        }
    }
    let trace_id = trace_id(&span.trace_id)?;
    let mut links = span.references.iter().map(Link::of).collect::<Result<Vec<Link>>>()?;
    let parent = parent(trace_id, &links).map(|at| links.remove(at));
    let start = Time::nanos(span.start_time);
    out.scope(&told.scope, &told.scope_version);
    let written = write::Span {
        trace_id,
        span_id: span_id(&span.span_id)?,
        parent_span_id: parent.map(|parent| parent.span_id),
        trace_state: &told.trace_state,
        name: &span.operation_name,
        kind: told.kind,
        start: start as u64,
        end: start.wrapping_add(Time::nanos(span.duration)) as u64,
        status: told.status,
        status_message: &told.status_message,
        flags: span.flags & 0xff,
    };
    out.span(&written, |attrs| write_tags(attributes, attrs));
    for log in &span.logs {
        event(&decoded(log)?, out)?;
    }
    for link in links {
        let kind = if link.is_child { "child_of" } else { "follows_from" };
        out.link(link.trace_id, link.span_id, |attrs| attrs.str("opentracing.ref_type", kind));
    }
    Ok(())
}

/// Which link leads to the span's parent: the first `CHILD_OF` in its own trace, else the first other.
fn parent(trace_id: TraceId, links: &[Link]) -> Option<usize> {
    let is_own = |link: &Link| link.trace_id == trace_id;
    let child = links.iter().position(|link| is_own(link) && link.is_child);
    child.or_else(|| links.iter().position(is_own))
}

fn event(log: &Log, out: &mut Traces) -> Result<()> {
    let (mut name, mut fields) = (None, Vec::new());
    for bytes in &log.fields {
        let field: KeyValue = decoded(bytes)?;
        match field {
            KeyValue { key, v_type: 0, v_str, .. } if key == "event" && name.is_none() => {
                name = Some(v_str);
            }
            _ => fields.push(bytes),
        }
    }
    let time = Time::nanos(log.timestamp) as u64;
    out.event(time, &name.unwrap_or_default(), |attrs| write_tags(fields, attrs));
    Ok(())
}

fn trace_id(bytes: &[u8]) -> Result<TraceId> {
    bytes.try_into().map_err(|_| Error::invalid(format!("a trace id of {} bytes", bytes.len())))
}

fn span_id(bytes: &[u8]) -> Result<SpanId> {
    bytes.try_into().map_err(|_| Error::invalid(format!("a span id of {} bytes", bytes.len())))
}
