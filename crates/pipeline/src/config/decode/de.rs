// SPDX-License-Identifier: Apache-2.0
//! serde's `Deserializer` over spanned nodes.
//!
//! Differs from a usual one in four things: unknown keys are noted, not refused; values that were
//! found wrong before are left out; a field called `..name` is given the same mapping as the
//! struct it is in (so that shared groups of keys are ordinary structs, with exact places, which
//! serde's `flatten` cannot give); a string splits at commas where a list is expected, as in Go.

use std::cell::RefCell;

use hashbrown::HashSet;
use serde::de::value::{BorrowedStrDeserializer, SeqDeserializer};
use serde::de::{self, Deserializer, Visitor};

use super::super::no_effect::NO_EFFECT;
use super::super::node::{Entry, Node, NodeId, Span, Value};
use super::super::units;
use super::error::{DecodeError, TEXT};

/// What is known over all passes over one body.
#[derive(Default)]
pub(crate) struct Context {
    left_out: RefCell<HashSet<NodeId>>,
    findings: RefCell<Vec<Finding>>,
}

/// Noted on the way; does not stop decoding.
#[derive(Clone)]
pub(crate) enum Finding {
    UnknownKey { mapping: NodeId, span: Span, key: String, known: Vec<&'static str> },
    BareDuration { node: NodeId, span: Span, nanos: i128 },
    NoEffect { node: NodeId, span: Span },
}

impl Context {
    pub(crate) fn leave_out(&self, node: NodeId) {
        self.left_out.borrow_mut().insert(node);
    }

    pub(crate) fn is_left_out(&self, node: NodeId) -> bool {
        self.left_out.borrow().contains(&node)
    }

    pub(crate) fn forget_findings(&self) {
        self.findings.borrow_mut().clear();
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        self.findings.borrow().clone()
    }

    fn note(&self, finding: Finding) {
        self.findings.borrow_mut().push(finding);
    }
}

/// The fields taken from one mapping so far, by the struct itself and by its `..` fields.
type Known = RefCell<Vec<&'static str>>;

/// One node, ready to be decoded.
#[derive(Clone, Copy)]
pub(crate) struct De<'de, 'c> {
    node: &'de Node,
    context: &'c Context,
    /// Set if this is a `..` field: keys of others are not unknown here.
    sharing: Option<&'c Known>,
}

impl<'de, 'c> De<'de, 'c> {
    pub(crate) fn root(node: &'de Node, context: &'c Context) -> Self {
        De { node, context, sharing: None }
    }

    /// Types the node as it stands; the visitor says whether it likes that.
    fn as_is<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visit_int(*value, visitor),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Sequence(items) => visitor.visit_seq(self.items(items)),
            Value::Mapping(entries) => visitor.visit_map(Map::all(entries, self.context)),
        }
    }

    fn items(self, items: &'de [Node]) -> Items<'de, 'c> {
        Items { items: items.iter(), context: self.context }
    }
}

fn visit_int<'de, V: Visitor<'de>>(value: i128, visitor: V) -> Result<V::Value, DecodeError> {
    match (u64::try_from(value), i64::try_from(value)) {
        (Ok(value), _) => visitor.visit_u64(value),
        (_, Ok(value)) => visitor.visit_i64(value),
        _ => visitor.visit_i128(value),
    }
}

/// Go takes `1e3` for a whole number, so every whole-number type does.
macro_rules! whole_numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            match self.node.value {
                Value::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => {
                    visit_int(value as i128, visitor)
                }
                _ => self.as_is(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for De<'de, '_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.as_is(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.node.text() {
            Some(text) => visitor.visit_borrowed_str(text),
            None => Err(DecodeError::expected(TEXT)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if let Value::Int(nanos) = self.node.value
            && name == units::DURATION
            && nanos != 0
        {
            let (node, span) = (self.node.id(), self.node.span);
            self.context.note(Finding::BareDuration { node, span, nanos });
        }
        if name == NO_EFFECT && !self.node.is_null() {
            let (node, span) = (self.node.id(), self.node.span);
            self.context.note(Finding::NoEffect { node, span });
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Null => visitor.visit_seq(self.items(&[])),
            Value::Sequence(items) => visitor.visit_seq(self.items(items)),
            Value::String(text) if text.is_empty() => visitor.visit_seq(self.items(&[])),
            Value::String(text) => {
                let parts = text.split(',').map(BorrowedStrDeserializer::new);
                visitor.visit_seq(SeqDeserializer::new(parts.map(Part)))
            }
            _ => Err(DecodeError::expected("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Null => visitor.visit_map(Map::all(&[], self.context)),
            Value::Mapping(entries) => visitor.visit_map(Map::all(entries, self.context)),
            _ => Err(DecodeError::expected("a mapping")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if !matches!(self.node.value, Value::Null | Value::Mapping(_)) {
            return Err(DecodeError::expected("a mapping"));
        }
        let (shared, own) = fields.iter().partition(|field| field.starts_with(".."));
        let fields = Fields { own, shared, node: self.node };
        match self.sharing {
            Some(known) => visitor.visit_map(Map::of_struct(fields, known, false, self.context)),
            None => {
                let known = Known::default();
                visitor.visit_map(Map::of_struct(fields, &known, true, self.context))
            }
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if let Some(text) = self.node.text() {
            return visitor.visit_enum(BorrowedStrDeserializer::new(text));
        }
        match self.node.entries() {
            [_] => visitor.visit_enum(de::value::MapAccessDeserializer::new(Map::all(
                self.node.entries(),
                self.context,
            ))),
            [] => Err(DecodeError::expected(TEXT)),
            _ => Err(DecodeError::expected("a mapping with a single key")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    whole_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    serde::forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct identifier
    }
}

/// A part of a string that stands for a list.
struct Part<'de>(BorrowedStrDeserializer<'de, DecodeError>);

impl<'de> de::IntoDeserializer<'de, DecodeError> for Part<'de> {
    type Deserializer = BorrowedStrDeserializer<'de, DecodeError>;

    fn into_deserializer(self) -> Self::Deserializer {
        self.0
    }
}

struct Items<'de, 'c> {
    items: std::slice::Iter<'de, Node>,
    context: &'c Context,
}

impl<'de> de::SeqAccess<'de> for Items<'de, '_> {
    type Error = DecodeError;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some(node) = self.items.find(|node| !self.context.is_left_out(node.id())) else {
            return Ok(None);
        };
        let value = seed.deserialize(De::root(node, self.context));
        value.map(Some).map_err(|error| error.at(node, self.context))
    }

    fn size_hint(&self) -> Option<usize> {
        self.items.size_hint().1
    }
}

/// A struct's field names and the mapping it reads.
struct Fields<'de> {
    own: Vec<&'static str>,
    shared: Vec<&'static str>,
    node: &'de Node,
}

struct Map<'de, 'k> {
    shared: std::vec::IntoIter<&'static str>,
    entries: std::slice::Iter<'de, Entry>,
    own: Option<Vec<&'static str>>,
    known: Option<&'k Known>,
    /// True for the struct that answers for unknown keys.
    reports: bool,
    mapping: Option<&'de Node>,
    /// The value that belongs to the key just given.
    next: Option<&'de Node>,
    next_is_shared: bool,
    context: &'k Context,
}

impl<'de, 'k> Map<'de, 'k> {
    /// Every key, as a map takes it.
    fn all(entries: &'de [Entry], context: &'k Context) -> Self {
        Map {
            shared: Vec::new().into_iter(),
            entries: entries.iter(),
            own: None,
            known: None,
            reports: false,
            mapping: None,
            next: None,
            next_is_shared: false,
            context,
        }
    }

    /// The keys of a struct: first its `..` fields, so that their keys are known when its own come.
    fn of_struct(
        fields: Fields<'de>,
        known: &'k Known,
        reports: bool,
        context: &'k Context,
    ) -> Self {
        known.borrow_mut().extend(&fields.own);
        Map {
            shared: fields.shared.into_iter(),
            entries: fields.node.entries().iter(),
            own: Some(fields.own),
            known: Some(known),
            reports,
            mapping: Some(fields.node),
            next: None,
            next_is_shared: false,
            context,
        }
    }

    fn is_own(&self, key: &str) -> bool {
        self.own.as_ref().is_none_or(|own| own.contains(&key))
    }

    fn note_if_unknown(&self, entry: &Entry) {
        let (Some(known), Some(mapping), true) = (self.known, self.mapping, self.reports) else {
            return;
        };
        if !known.borrow().contains(&entry.key.text.as_str()) {
            self.context.note(Finding::UnknownKey {
                mapping: mapping.id(),
                span: entry.key.span,
                key: entry.key.text.clone(),
                known: known.borrow().clone(),
            });
        }
    }
}

impl<'de> de::MapAccess<'de> for Map<'de, '_> {
    type Error = DecodeError;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        if let Some(name) = self.shared.next() {
            self.next = self.mapping;
            self.next_is_shared = true;
            return seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some);
        }
        self.next_is_shared = false;
        while let Some(entry) = self.entries.next() {
            if !self.is_own(&entry.key.text) {
                self.note_if_unknown(entry);
            } else if !self.context.is_left_out(entry.value.id()) {
                self.next = Some(&entry.value);
                return seed.deserialize(BorrowedStrDeserializer::new(&entry.key.text)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        let node = self.next.take().expect("serde asks for a value after a key");
        let sharing = self.known.filter(|_| self.next_is_shared);
        let value = seed.deserialize(De { node, context: self.context, sharing });
        value.map_err(|error| error.at(node, self.context))
    }
}
