// SPDX-License-Identifier: Apache-2.0
//! Writers: telemetry straight into protobuf, without structs in between.
//!
//! A writer holds one buffer. Calls go top-down: `resource`, `scope`, then elements; a call closes
//! what is open below its level. What follows an element and belongs to it (`event`, `link`,
//! `exemplar`) goes into the element written last. `finish` closes all and gives the payload.
//! Resources, scopes and attributes of a view can be copied as they are (`resource_from`,
//! `scope_from`, [`AttrWriter::copy`]).
//!
//! An element written before any `resource` or `scope` gets an empty one. Resources, scopes and
//! metrics that end up without elements are left out.
//!
//! ```
//! use otlp_wire::{Temporality, write};
//!
//! let mut w = write::Metrics::new();
//! w.resource(|r| r.str("service.name", "cart"));
//! w.scope("otel/hostmetrics", "1.0");
//! w.gauge("system.cpu.load", "1", "load of one core", |p| {
//!     p.double(1_700_000_000_000_000_000, 0.5, |a| a.str("cpu", "0"));
//!     p.double(1_700_000_000_000_000_000, 0.7, |a| a.str("cpu", "1"));
//! });
//! w.sum("requests", "{request}", "", Temporality::Cumulative, true, |p| {
//!     p.start(1_600_000_000_000_000_000);
//!     p.int(1_700_000_000_000_000_000, 17, |_| ());
//! });
//! let payload = w.finish();
//! assert_eq!(payload.items(), 3);
//! ```

mod logs;
mod metrics;
mod traces;

pub use logs::{Log, Logs};
pub use metrics::{ExponentialBuckets, ExponentialHistogram, Histogram, Metrics, Points, Summary};
pub use traces::{Span, Traces};

use crate::value::{AnyValue, Attrs, Resource, Scope};
use crate::wire::{Frame, LEN, put_fixed64, put_len, put_tag, put_u64, put_varint, varint_len};
use crate::{Payload, Signal};

/// Width guessed for the length of resources and scopes: right from 16 KiB to 2 MiB; smaller
/// ones move once when they close.
const GROUP_WIDTH: usize = 3;

/// Writes attributes into the message that is open.
#[derive(Debug)]
pub struct AttrWriter<'w> {
    out: &'w mut Vec<u8>,
    number: u32,
}

impl AttrWriter<'_> {
    /// A text attribute.
    #[inline]
    pub fn str(&mut self, key: &str, value: &str) {
        self.value(key, AnyValue::Str(value));
    }

    /// An integer attribute.
    #[inline]
    pub fn int(&mut self, key: &str, value: i64) {
        self.value(key, AnyValue::Int(value));
    }

    /// A double attribute.
    #[inline]
    pub fn double(&mut self, key: &str, value: f64) {
        self.value(key, AnyValue::Double(value));
    }

    /// A boolean attribute.
    #[inline]
    pub fn bool(&mut self, key: &str, value: bool) {
        self.value(key, AnyValue::Bool(value));
    }

    /// An attribute of any type.
    #[inline]
    pub fn value(&mut self, key: &str, value: AnyValue<'_>) {
        put_key_value(self.out, self.number, key, &value);
    }

    /// A text attribute whose value is a list of texts.
    pub fn strs(&mut self, key: &str, values: &[&str]) {
        let mut list = Vec::new();
        for value in values {
            put_tag(&mut list, 1, LEN);
            put_varint(&mut list, any_len(&AnyValue::Str(value)) as u64);
            put_any(&mut list, &AnyValue::Str(value));
        }
        let any_len = 1 + varint_len(list.len() as u64) + list.len();
        let kv_len =
            1 + varint_len(key.len() as u64) + key.len() + 1 + varint_len(any_len as u64) + any_len;
        put_tag(self.out, self.number, LEN);
        put_varint(self.out, kv_len as u64);
        put_len(self.out, 1, key.as_bytes());
        put_tag(self.out, 2, LEN);
        put_varint(self.out, any_len as u64);
        put_len(self.out, 5, &list);
    }

    /// Copies attributes of a view, encoded as they are.
    #[inline]
    pub fn copy(&mut self, attrs: Attrs<'_>) {
        if attrs.number() == self.number {
            self.out.extend_from_slice(attrs.raw());
            return;
        }
        for attr in attrs.each() {
            put_len(self.out, self.number, attr.raw());
        }
    }
}

/// Attributes encoded once and written many times with [`AttrWriter::copy`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EncodedAttrs(Box<[u8]>);

/// Field number of attributes in number points and summaries: what is copied most stays as it is.
const ENCODED_NUMBER: u32 = 7;

impl EncodedAttrs {
    /// Encodes what `write` writes.
    pub fn new(write: impl FnOnce(&mut AttrWriter<'_>)) -> Self {
        let mut out = Vec::new();
        write(&mut AttrWriter { out: &mut out, number: ENCODED_NUMBER });
        EncodedAttrs(out.into())
    }

    /// The attributes.
    pub fn attrs(&self) -> Attrs<'_> {
        Attrs::new(&self.0, ENCODED_NUMBER)
    }
}

/// Encoded length of an `AnyValue` message.
#[inline]
pub(crate) fn any_len(value: &AnyValue<'_>) -> usize {
    let bytes = |len: usize| 1 + varint_len(len as u64) + len;
    match value {
        AnyValue::Empty => 0,
        AnyValue::Str(s) => bytes(s.len()),
        AnyValue::Bool(_) => 2,
        AnyValue::Int(v) => 1 + varint_len(*v as u64),
        AnyValue::Double(_) => 9,
        AnyValue::Array(list) => bytes(list.raw().len()),
        AnyValue::KvList(list) => bytes(list_raw(list).len()),
        AnyValue::Bytes(b) => bytes(b.len()),
    }
}

/// Appends the content of an `AnyValue` message.
#[inline]
pub(crate) fn put_any(out: &mut Vec<u8>, value: &AnyValue<'_>) {
    match value {
        AnyValue::Empty => {}
        AnyValue::Str(s) => put_len(out, 1, s.as_bytes()),
        AnyValue::Bool(v) => put_u64(out, 2, u64::from(*v)),
        AnyValue::Int(v) => put_u64(out, 3, *v as u64),
        AnyValue::Double(v) => put_fixed64(out, 4, v.to_bits()),
        AnyValue::Array(list) => put_len(out, 5, list.raw()),
        AnyValue::KvList(list) => put_len(out, 6, &list_raw(list)),
        AnyValue::Bytes(b) => put_len(out, 7, b),
    }
}

/// The content of a `KeyValueList` of these attributes: as it lies when they are one already.
fn list_raw<'a>(list: &Attrs<'a>) -> std::borrow::Cow<'a, [u8]> {
    if list.number() == 1 {
        return std::borrow::Cow::Borrowed(list.raw());
    }
    let mut raw = Vec::new();
    for attr in list.each() {
        put_len(&mut raw, 1, attr.raw());
    }
    std::borrow::Cow::Owned(raw)
}

/// Appends one `KeyValue` field.
#[inline]
pub(crate) fn put_key_value(out: &mut Vec<u8>, number: u32, key: &str, value: &AnyValue<'_>) {
    let any = any_len(value);
    let key_len = 1 + varint_len(key.len() as u64) + key.len();
    put_tag(out, number, LEN);
    put_varint(out, (key_len + 1 + varint_len(any as u64) + any) as u64);
    put_len(out, 1, key.as_bytes());
    put_tag(out, 2, LEN);
    put_varint(out, any as u64);
    put_any(out, value);
}

/// Writes a text field unless it is empty.
#[inline]
fn put_str(out: &mut Vec<u8>, number: u32, value: &str) {
    if !value.is_empty() {
        put_len(out, number, value.as_bytes());
    }
}

/// Writes a fixed64 field unless it is zero.
#[inline]
fn put_nonzero64(out: &mut Vec<u8>, number: u32, value: u64) {
    if value != 0 {
        put_fixed64(out, number, value);
    }
}

/// Writes a varint field unless it is zero.
#[inline]
fn put_nonzero(out: &mut Vec<u8>, number: u32, value: u64) {
    if value != 0 {
        put_u64(out, number, value);
    }
}

/// What the three writers share: the buffer, the open resource and scope, the count.
#[derive(Debug, Default)]
struct Groups {
    out: Vec<u8>,
    items: u32,
    resource: Option<Group>,
    scope: Option<Group>,
    /// The element that still takes events, links or exemplars.
    element: Option<Frame>,
}

/// An open resource or scope.
#[derive(Debug)]
struct Group {
    frame: Frame,
    /// Written when it closes, as protobuf's order has it last.
    schema_url: String,
    filled: bool,
}

impl Groups {
    fn resource(&mut self, schema_url: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.close_resource();
        self.resource = Some(open_group(&mut self.out, 1, schema_url, write));
    }

    fn scope(&mut self, schema_url: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.close_scope();
        if self.resource.is_none() {
            self.resource("", |_| ());
        }
        self.scope = Some(open_group(&mut self.out, 2, schema_url, write));
    }

    fn resource_with(&mut self, attrs: impl FnOnce(&mut AttrWriter<'_>)) {
        self.resource("", |out| {
            let frame = Frame::open(out, 1, 2);
            attrs(&mut AttrWriter { out, number: 1 });
            frame.close(out);
        });
    }

    fn resource_from(&mut self, resource: Resource<'_>, schema_url: &str) {
        self.resource(schema_url, |out| put_len(out, 1, resource.raw()));
    }

    fn scope_named(&mut self, name: &str, version: &str) {
        self.scope("", |out| {
            let frame = Frame::open(out, 1, 1);
            put_str(out, 1, name);
            put_str(out, 2, version);
            frame.close(out);
        });
    }

    fn scope_with(
        &mut self,
        (name, version, schema_url): (&str, &str, &str),
        attrs: impl FnOnce(&mut AttrWriter<'_>),
    ) {
        self.scope(schema_url, |out| {
            let frame = Frame::open(out, 1, 2);
            put_str(out, 1, name);
            put_str(out, 2, version);
            attrs(&mut AttrWriter { out, number: 3 });
            frame.close(out);
        });
    }

    fn scope_from(&mut self, scope: Scope<'_>, schema_url: &str) {
        self.scope(schema_url, |out| put_len(out, 1, scope.raw()));
    }

    /// Makes sure that an element can be written: a scope is open, the last element closed.
    fn ready(&mut self) {
        self.close_element();
        if self.scope.is_none() {
            self.scope("", |_| ());
        }
        for group in [&mut self.resource, &mut self.scope].into_iter().flatten() {
            group.filled = true;
        }
    }

    /// Copies an encoded element.
    fn raw_element(&mut self, raw: &[u8], items: u32) {
        self.ready();
        put_len(&mut self.out, 2, raw);
        self.items += items;
    }

    fn close_element(&mut self) {
        if let Some(frame) = self.element.take() {
            frame.close(&mut self.out);
        }
    }

    fn close_scope(&mut self) {
        self.close_element();
        close_group(&mut self.out, self.scope.take());
    }

    fn close_resource(&mut self) {
        self.close_scope();
        close_group(&mut self.out, self.resource.take());
    }

    fn finish(&mut self, signal: Signal) -> Payload {
        self.close_resource();
        let out = std::mem::take(&mut self.out);
        Payload::trusted(signal, std::mem::take(&mut self.items), out.into())
    }
}

fn open_group(
    out: &mut Vec<u8>,
    number: u32,
    schema_url: &str,
    write: impl FnOnce(&mut Vec<u8>),
) -> Group {
    let frame = Frame::open(out, number, GROUP_WIDTH);
    write(out);
    Group { frame, schema_url: schema_url.to_owned(), filled: false }
}

fn close_group(out: &mut Vec<u8>, group: Option<Group>) {
    match group {
        Some(group) if group.filled => {
            put_str(out, 3, &group.schema_url);
            group.frame.close(out);
        }
        Some(group) => group.frame.cancel(out),
        None => {}
    }
}

/// The calls every writer has; expands inside each `impl` so that they show in its docs.
macro_rules! group_methods {
    ($signal:expr) => {
        /// An empty writer.
        pub fn new() -> Self {
            Self::default()
        }

        /// Starts a resource with these attributes.
        pub fn resource(&mut self, attrs: impl FnOnce(&mut $crate::write::AttrWriter<'_>)) {
            self.groups.resource_with(attrs);
        }

        /// Starts a resource that is a copy of another payload's.
        pub fn resource_from(&mut self, resource: $crate::Resource<'_>, schema_url: &str) {
            self.groups.resource_from(resource, schema_url);
        }

        /// Starts an instrumentation scope.
        pub fn scope(&mut self, name: &str, version: &str) {
            self.groups.scope_named(name, version);
        }

        /// Starts an instrumentation scope that has more than a name: `(name, version, schema URL)`
        /// and attributes.
        pub fn scope_with(
            &mut self,
            scope: (&str, &str, &str),
            attrs: impl FnOnce(&mut $crate::write::AttrWriter<'_>),
        ) {
            self.groups.scope_with(scope, attrs);
        }

        /// Starts a scope that is a copy of another payload's.
        pub fn scope_from(&mut self, scope: $crate::Scope<'_>, schema_url: &str) {
            self.groups.scope_from(scope, schema_url);
        }

        /// Items written so far.
        pub fn items(&self) -> u32 {
            self.groups.items
        }

        /// Bytes written so far, give or take open lengths.
        pub fn len(&self) -> usize {
            self.groups.out.len()
        }

        /// True when nothing was written.
        pub fn is_empty(&self) -> bool {
            self.groups.items == 0
        }

        /// Closes what is open and hands over the payload; the writer is empty again.
        pub fn finish(&mut self) -> $crate::Payload {
            self.groups.finish($signal)
        }
    };
}
use group_methods;

#[cfg(test)]
mod tests;
