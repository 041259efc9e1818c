// SPDX-License-Identifier: Apache-2.0
//! Jaeger's two encodings as a receiver reads them, independently of our writers: protobuf by
//! prost from the published `model.proto`, Thrift by Apache's crate, both into the same types.

use std::collections::BTreeMap;

use prost::Message;
use thrift::protocol::{TBinaryInputProtocol, TInputProtocol, TType};

/// `jaeger.api_v2.PostSpansRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct PostSpansRequest {
    /// The one batch.
    #[prost(message, optional, tag = "1")]
    pub batch: Option<Batch>,
}

/// `jaeger.api_v2.Batch`.
#[derive(Clone, PartialEq, Message)]
pub struct Batch {
    /// Spans of the process.
    #[prost(message, repeated, tag = "1")]
    pub spans: Vec<Span>,
    /// Who made them.
    #[prost(message, optional, tag = "2")]
    pub process: Option<Process>,
}

/// `jaeger.api_v2.Process`.
#[derive(Clone, PartialEq, Message)]
pub struct Process {
    /// Service.
    #[prost(string, tag = "1")]
    pub service_name: String,
    /// Its attributes.
    #[prost(message, repeated, tag = "2")]
    pub tags: Vec<KeyValue>,
}

/// `jaeger.api_v2.Span`.
#[derive(Clone, PartialEq, Message)]
pub struct Span {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// Name.
    #[prost(string, tag = "3")]
    pub operation_name: String,
    /// Parent first.
    #[prost(message, repeated, tag = "4")]
    pub references: Vec<SpanRef>,
    /// Bit 0: sampled.
    #[prost(uint32, tag = "5")]
    pub flags: u32,
    /// Start.
    #[prost(message, optional, tag = "6")]
    pub start_time: Option<Time>,
    /// Length.
    #[prost(message, optional, tag = "7")]
    pub duration: Option<Time>,
    /// Attributes and more.
    #[prost(message, repeated, tag = "8")]
    pub tags: Vec<KeyValue>,
    /// Events.
    #[prost(message, repeated, tag = "9")]
    pub logs: Vec<Log>,
}

/// `google.protobuf.Timestamp` and `Duration`, which look alike.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Time {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// The rest.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// `jaeger.api_v2.SpanRef`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SpanRef {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// 0 `CHILD_OF`, 1 `FOLLOWS_FROM`.
    #[prost(int32, tag = "3")]
    pub ref_type: i32,
}

/// `jaeger.api_v2.Log`.
#[derive(Clone, PartialEq, Message)]
pub struct Log {
    /// When.
    #[prost(message, optional, tag = "1")]
    pub timestamp: Option<Time>,
    /// What.
    #[prost(message, repeated, tag = "2")]
    pub fields: Vec<KeyValue>,
}

/// `jaeger.api_v2.KeyValue`.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// Key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// 0 text, 1 boolean, 2 integer, 3 double, 4 bytes.
    #[prost(int32, tag = "2")]
    pub v_type: i32,
    /// Text.
    #[prost(string, tag = "3")]
    pub v_str: String,
    /// Boolean.
    #[prost(bool, tag = "4")]
    pub v_bool: bool,
    /// Integer.
    #[prost(int64, tag = "5")]
    pub v_int64: i64,
    /// Double.
    #[prost(double, tag = "6")]
    pub v_float64: f64,
    /// Bytes.
    #[prost(bytes = "vec", tag = "7")]
    pub v_binary: Vec<u8>,
}

impl KeyValue {
    /// `key=value` with the type of the value: `n=Int(1)`.
    pub fn text(&self) -> String {
        let value = match self.v_type {
            0 => format!("{:?}", self.v_str),
            1 => format!("{}", self.v_bool),
            2 => format!("Int({})", self.v_int64),
            3 => format!("Double({})", self.v_float64),
            _ => format!("{:?}", self.v_binary),
        };
        format!("{}={value}", self.key)
    }
}

/// [`KeyValue::text`] of each.
pub fn texts(tags: &[KeyValue]) -> Vec<String> {
    tags.iter().map(KeyValue::text).collect()
}

/// A value of any Thrift type.
#[derive(Clone, Debug, PartialEq)]
enum Thrift {
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Vec<u8>),
    List(Vec<Thrift>),
    Struct(BTreeMap<i16, Thrift>),
}

/// Reads a `Batch` in the binary protocol into the types of the protobuf encoding; times are
/// whole microseconds then.
///
/// # Panics
/// When it is none, has bytes behind it, or a required field is missing.
pub fn thrift_batch(body: &[u8]) -> Batch {
    let mut rest = body;
    let batch = read_struct(&mut TBinaryInputProtocol::new(&mut rest, true));
    assert!(rest.is_empty(), "{} bytes behind the batch", rest.len());
    let process = batch.structure(1);
    Batch {
        process: Some(Process {
            service_name: process.text(1),
            tags: process.list(2).iter().map(tag).collect(),
        }),
        spans: batch.list(2).iter().map(span).collect(),
    }
}

fn read_struct<R: std::io::Read>(protocol: &mut TBinaryInputProtocol<R>) -> Thrift {
    protocol.read_struct_begin().expect("a struct");
    let mut fields = BTreeMap::new();
    loop {
        let field = protocol.read_field_begin().expect("a field");
        if field.field_type == TType::Stop {
            break;
        }
        let id = field.id.expect("an id");
        let old = fields.insert(id, read_value(protocol, field.field_type));
        assert!(old.is_none(), "field {id} twice");
        protocol.read_field_end().expect("its end");
    }
    protocol.read_struct_end().expect("its end");
    Thrift::Struct(fields)
}

fn read_value<R: std::io::Read>(protocol: &mut TBinaryInputProtocol<R>, kind: TType) -> Thrift {
    match kind {
        TType::Bool => Thrift::Bool(protocol.read_bool().expect("a boolean")),
        TType::I32 => Thrift::Int(protocol.read_i32().expect("a number").into()),
        TType::I64 => Thrift::Int(protocol.read_i64().expect("a number")),
        TType::Double => Thrift::Double(protocol.read_double().expect("a double")),
        TType::String => Thrift::Bytes(protocol.read_bytes().expect("bytes")),
        TType::Struct => read_struct(protocol),
        TType::List => {
            let list = protocol.read_list_begin().expect("a list");
            let values = (0..list.size).map(|_| read_value(protocol, list.element_type)).collect();
            protocol.read_list_end().expect("its end");
            Thrift::List(values)
        }
        other => panic!("a value of type {other}, which Jaeger has nowhere"),
    }
}

impl Thrift {
    fn field(&self, id: i16) -> Option<&Thrift> {
        match self {
            Thrift::Struct(fields) => fields.get(&id),
            other => panic!("not a struct: {other:?}"),
        }
    }

    fn structure(&self, id: i16) -> &Thrift {
        self.field(id).unwrap_or_else(|| panic!("no field {id}"))
    }

    fn list(&self, id: i16) -> &[Thrift] {
        match self.field(id) {
            None => &[],
            Some(Thrift::List(values)) => values,
            Some(other) => panic!("not a list: {other:?}"),
        }
    }

    fn int(&self, id: i16) -> i64 {
        match self.structure(id) {
            Thrift::Int(value) => *value,
            other => panic!("not a number: {other:?}"),
        }
    }

    fn bytes(&self, id: i16) -> Vec<u8> {
        match self.structure(id) {
            Thrift::Bytes(value) => value.clone(),
            other => panic!("not text: {other:?}"),
        }
    }

    fn text(&self, id: i16) -> String {
        String::from_utf8(self.bytes(id)).expect("UTF-8")
    }
}

fn trace_id(high: i64, low: i64) -> Vec<u8> {
    [high.to_be_bytes(), low.to_be_bytes()].concat()
}

fn time(micros: i64) -> Time {
    Time { seconds: micros / 1_000_000, nanos: (micros % 1_000_000 * 1000) as i32 }
}

fn span(from: &Thrift) -> Span {
    let reference = |from: &Thrift| SpanRef {
        ref_type: from.int(1) as i32,
        trace_id: trace_id(from.int(3), from.int(2)),
        span_id: from.int(4).to_be_bytes().to_vec(),
    };
    let log = |from: &Thrift| {
        assert!(from.field(2).is_some(), "a log without its required fields");
        Log { timestamp: Some(time(from.int(1))), fields: from.list(2).iter().map(tag).collect() }
    };
    let span = Span {
        trace_id: trace_id(from.int(2), from.int(1)),
        span_id: from.int(3).to_be_bytes().to_vec(),
        operation_name: from.text(5),
        references: from.list(6).iter().map(reference).collect(),
        flags: from.int(7) as u32,
        start_time: Some(time(from.int(8))),
        duration: Some(time(from.int(9))),
        tags: from.list(10).iter().map(tag).collect(),
        logs: from.list(11).iter().map(log).collect(),
    };
    let parent = span.references.first().filter(|first| first.trace_id == span.trace_id);
    let known = parent.map_or(vec![0; 8], |parent| parent.span_id.clone());
    let said = from.int(4);
    assert!(said == 0 || said.to_be_bytes()[..] == known, "parentSpanId {said:x}");
    span
}

fn tag(from: &Thrift) -> KeyValue {
    let mut tag = KeyValue { key: from.text(1), ..KeyValue::default() };
    match from.int(2) {
        0 => tag.v_str = from.text(3),
        1 => match from.structure(4) {
            Thrift::Double(value) => (tag.v_type, tag.v_float64) = (3, *value),
            other => panic!("not a double: {other:?}"),
        },
        2 => match from.structure(5) {
            Thrift::Bool(value) => (tag.v_type, tag.v_bool) = (1, *value),
            other => panic!("not a boolean: {other:?}"),
        },
        3 => (tag.v_type, tag.v_int64) = (2, from.int(6)),
        4 => (tag.v_type, tag.v_binary) = (4, from.bytes(7)),
        other => panic!("tag of type {other}"),
    }
    tag
}
