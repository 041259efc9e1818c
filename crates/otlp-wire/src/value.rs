// SPDX-License-Identifier: Apache-2.0
//! Attribute values and attribute lists as borrowed views.
//!
//! In: checked bytes. Out: [`AnyValue`] (what a value holds) and [`Attrs`] (a list of key and
//! value, in wire order, duplicates included; a lookup finds the first). Nothing here allocates,
//! but for the text of arrays and maps.
//!
//! [`AnyValue::text`] is the canonical text, the collector's `AsString`, used for label values.

use std::borrow::Cow;

use crate::text;
use crate::wire::{Fields, Val, fields, find, find_str};

/// The value of an attribute, a log body, or a list element.
#[derive(Clone, Copy, Debug)]
pub enum AnyValue<'a> {
    /// No value set.
    Empty,
    /// Text.
    Str(&'a str),
    /// Boolean.
    Bool(bool),
    /// Signed integer.
    Int(i64),
    /// Double; may be NaN or infinite.
    Double(f64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A list of values.
    Array(Values<'a>),
    /// A list of keys and values.
    KvList(Attrs<'a>),
}

impl<'a> AnyValue<'a> {
    /// Reads an encoded `AnyValue` message, as found in checked bytes.
    #[inline]
    pub fn parse(raw: &'a [u8]) -> AnyValue<'a> {
        for field in fields(raw) {
            return match (field.number, field.value) {
                (1, Val::Len(s)) => AnyValue::Str(crate::wire::text(s)),
                (2, Val::Varint(v)) => AnyValue::Bool(v != 0),
                (3, Val::Varint(v)) => AnyValue::Int(v as i64),
                (4, Val::Fixed64(v)) => AnyValue::Double(f64::from_bits(v)),
                (5, Val::Len(list)) => AnyValue::Array(Values { raw: list }),
                (6, Val::Len(list)) => AnyValue::KvList(Attrs::new(list, 1)),
                (7, Val::Len(bytes)) => AnyValue::Bytes(bytes),
                _ => continue,
            };
        }
        AnyValue::Empty
    }

    /// The text of a `Str`; `None` for all else.
    #[inline]
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            AnyValue::Str(s) => Some(s),
            _ => None,
        }
    }

    /// The value of an `Int`.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            AnyValue::Int(v) => Some(*v),
            _ => None,
        }
    }

    /// The value of a `Bool`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            AnyValue::Bool(v) => Some(*v),
            _ => None,
        }
    }

    /// An `Int` or a `Double` as a double.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            AnyValue::Int(v) => Some(*v as f64),
            AnyValue::Double(v) => Some(*v),
            _ => None,
        }
    }

    /// True for [`AnyValue::Empty`].
    pub fn is_empty(&self) -> bool {
        matches!(self, AnyValue::Empty)
    }

    /// The canonical text: text as it is, `true`, shortest decimal, base64, and for lists and
    /// maps JSON with sorted keys; empty for no value. Equal to the collector's `AsString`.
    pub fn text(&self) -> Cow<'a, str> {
        match self {
            AnyValue::Str(s) => Cow::Borrowed(s),
            AnyValue::Empty => Cow::Borrowed(""),
            AnyValue::Bool(v) => Cow::Borrowed(if *v { "true" } else { "false" }),
            _ => {
                let mut out = String::new();
                self.write_text(&mut out);
                Cow::Owned(out)
            }
        }
    }

    /// Appends [`AnyValue::text`] to `out`.
    pub fn write_text(&self, out: &mut String) {
        text::write(self, out);
    }
}

impl PartialEq for AnyValue<'_> {
    /// Doubles compare by bits, so that a value always equals itself; lists in order.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (AnyValue::Empty, AnyValue::Empty) => true,
            (AnyValue::Str(a), AnyValue::Str(b)) => a == b,
            (AnyValue::Bool(a), AnyValue::Bool(b)) => a == b,
            (AnyValue::Int(a), AnyValue::Int(b)) => a == b,
            (AnyValue::Double(a), AnyValue::Double(b)) => a.to_bits() == b.to_bits(),
            (AnyValue::Bytes(a), AnyValue::Bytes(b)) => a == b,
            (AnyValue::Array(a), AnyValue::Array(b)) => a.iter().eq(b.iter()),
            (AnyValue::KvList(a), AnyValue::KvList(b)) => a.iter().eq(b.iter()),
            _ => false,
        }
    }
}

impl<'a> From<&'a str> for AnyValue<'a> {
    fn from(v: &'a str) -> Self {
        AnyValue::Str(v)
    }
}
impl<'a> From<&'a String> for AnyValue<'a> {
    fn from(v: &'a String) -> Self {
        AnyValue::Str(v)
    }
}
impl From<bool> for AnyValue<'_> {
    fn from(v: bool) -> Self {
        AnyValue::Bool(v)
    }
}
impl From<i64> for AnyValue<'_> {
    fn from(v: i64) -> Self {
        AnyValue::Int(v)
    }
}
impl From<f64> for AnyValue<'_> {
    fn from(v: f64) -> Self {
        AnyValue::Double(v)
    }
}

/// The elements of an array value.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    raw: &'a [u8],
}

impl<'a> Values<'a> {
    /// The elements in order.
    pub fn iter(&self) -> impl Iterator<Item = AnyValue<'a>> + Clone + use<'a> {
        fields(self.raw).filter_map(|f| match (f.number, f.value) {
            (1, Val::Len(raw)) => Some(AnyValue::parse(raw)),
            _ => None,
        })
    }

    /// The encoded `ArrayValue` message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

/// One encoded `KeyValue`.
#[derive(Clone, Copy, Debug)]
pub struct Attr<'a> {
    raw: &'a [u8],
}

impl<'a> Attr<'a> {
    pub(crate) fn new(raw: &'a [u8]) -> Self {
        Attr { raw }
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &'a str {
        crate::wire::text(self.key_bytes())
    }

    /// The key's bytes: UTF-8, but not proved again, so quicker to compare.
    #[inline]
    pub fn key_bytes(&self) -> &'a [u8] {
        // The layout every SDK writes: the key comes first and is short.
        if let [0x0a, len, rest @ ..] = self.raw
            && *len < 0x80
            && let Some(key) = rest.get(..usize::from(*len))
        {
            return key;
        }
        crate::wire::find_len(self.raw, 1).unwrap_or_default()
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> AnyValue<'a> {
        match find(self.raw, 2) {
            Some(Val::Len(raw)) => AnyValue::parse(raw),
            _ => AnyValue::Empty,
        }
    }

    /// The encoded `KeyValue` message: equal bytes mean equal key and value.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

/// A list of attributes, in wire order.
///
/// ```
/// # let payload = { let mut w = otlp_wire::write::Logs::new();
/// # w.resource(|r| r.str("service.name", "cart")); w.log(&Default::default(), |_| ()); w.finish() };
/// let resource = payload.logs().next().expect("one resource");
/// assert_eq!(resource.attr("service.name").and_then(|v| v.as_str()), Some("cart"));
/// for (key, value) in resource.attrs() {
///     println!("{key}={}", value.text());
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Attrs<'a> {
    /// The message that holds them.
    owner: &'a [u8],
    number: u32,
}

impl<'a> Attrs<'a> {
    #[inline]
    pub(crate) fn new(owner: &'a [u8], number: u32) -> Self {
        Attrs { owner, number }
    }

    /// No attributes.
    pub fn none() -> Attrs<'static> {
        Attrs { owner: &[], number: 1 }
    }

    /// The first value under `key`.
    #[inline]
    pub fn get(&self, key: &str) -> Option<AnyValue<'a>> {
        self.each().find(|a| a.key_bytes() == key.as_bytes()).map(|a| a.value())
    }

    /// Keys and values.
    #[inline]
    pub fn iter(&self) -> AttrsIter<'a> {
        self.into_iter()
    }

    /// The encoded `KeyValue`s, nothing proved or parsed yet.
    #[inline]
    pub fn each(&self) -> Each<'a> {
        Each { fields: fields(self.owner), number: self.number, found: false }
    }

    /// Number of attributes.
    pub fn count(&self) -> usize {
        self.each().count()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.each().next().is_none()
    }

    /// All attributes as they lie on the wire, tags included: equal bytes mean equal attributes
    /// (within one type of element), so caches key on it.
    #[inline]
    pub fn raw(&self) -> &'a [u8] {
        &self.owner[crate::wire::run(self.owner, self.number)]
    }

    /// The field number under which [`Attrs::raw`] is written.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }
}

impl<'a> IntoIterator for Attrs<'a> {
    type Item = (&'a str, AnyValue<'a>);
    type IntoIter = AttrsIter<'a>;

    #[inline]
    fn into_iter(self) -> AttrsIter<'a> {
        AttrsIter { each: self.each() }
    }
}

/// Iterator over encoded attributes.
#[derive(Clone, Debug)]
pub struct Each<'a> {
    fields: Fields<'a>,
    number: u32,
    found: bool,
}

impl<'a> Iterator for Each<'a> {
    type Item = Attr<'a>;

    #[inline]
    fn next(&mut self) -> Option<Attr<'a>> {
        loop {
            let field = self.fields.next()?;
            match field.value {
                Val::Len(raw) if field.number == self.number => {
                    self.found = true;
                    return Some(Attr { raw });
                }
                // Attributes are one run (the checker sees to it): past it, nothing follows.
                _ if self.found => return None,
                _ => {}
            }
        }
    }
}

/// Iterator over keys and values.
#[derive(Clone, Debug)]
pub struct AttrsIter<'a> {
    each: Each<'a>,
}

impl<'a> Iterator for AttrsIter<'a> {
    type Item = (&'a str, AnyValue<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.each.next().map(|a| (a.key(), a.value()))
    }
}

/// A `Resource` message: who sent the telemetry.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    raw: &'a [u8],
}

impl<'a> crate::FromRaw<'a> for Resource<'a> {
    fn from_raw(raw: &'a [u8]) -> Self {
        Resource { raw }
    }
}

impl<'a> Resource<'a> {
    pub(crate) fn new(raw: &'a [u8]) -> Self {
        Resource { raw }
    }

    /// Its attributes.
    pub fn attrs(&self) -> Attrs<'a> {
        Attrs::new(self.raw, 1)
    }

    /// The first attribute under `key`.
    pub fn attr(&self, key: &str) -> Option<AnyValue<'a>> {
        self.attrs().get(key)
    }

    /// Attributes the sender left out.
    pub fn dropped_attributes_count(&self) -> u32 {
        crate::wire::find_u64(self.raw, 2) as u32
    }

    /// The encoded `Resource` message; empty when none was sent.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }
}

/// An `InstrumentationScope` message: the library that made the telemetry.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    raw: &'a [u8],
}

impl<'a> crate::FromRaw<'a> for Scope<'a> {
    fn from_raw(raw: &'a [u8]) -> Self {
        Scope { raw }
    }
}

impl<'a> Scope<'a> {
    pub(crate) fn new(raw: &'a [u8]) -> Self {
        Scope { raw }
    }

    /// Name of the library.
    pub fn name(&self) -> &'a str {
        find_str(self.raw, 1)
    }

    /// Version of the library.
    pub fn version(&self) -> &'a str {
        find_str(self.raw, 2)
    }

    /// Its attributes.
    pub fn attrs(&self) -> Attrs<'a> {
        Attrs::new(self.raw, 3)
    }

    /// Attributes the sender left out.
    pub fn dropped_attributes_count(&self) -> u32 {
        crate::wire::find_u64(self.raw, 4) as u32
    }

    /// The encoded message; empty when none was sent.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }
}
