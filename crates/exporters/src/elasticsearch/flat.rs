// SPDX-License-Identifier: Apache-2.0
//! Documents of flattened keys, for the modes `ecs`, `none` and `raw`.
//!
//! Fields are collected, sorted by key, and made unique: the last of equal keys stays. Where one
//! key is a prefix of another (`a`, `a.b`), the first becomes `a.value`, unless it is a field that
//! the schema defines; then what lies below it goes. Written flat, or as nested objects.
//! Unlike mode `otel`, this allocates for each document.
//! Source: the collector's elasticsearchexporter, internal/objmodel.

use std::borrow::Cow;

use otlp_wire::{AnyValue, Attrs};

use super::json::{self, Object};

/// A document being collected.
#[derive(Default)]
pub(super) struct Document<'a> {
    fields: Vec<(Cow<'a, str>, Value<'a>)>,
}

/// The value of a field.
pub(super) enum Value<'a> {
    /// Any value but a map; bytes have no place here.
    Any(AnyValue<'a>),
    Text(Cow<'a, str>),
    Int(i64),
    Unsigned(u64),
    /// Unix nanoseconds.
    Time(u64),
    Objects(Vec<Document<'a>>),
    /// JSON written elsewhere.
    Json(Vec<u8>),
}

impl<'a> Document<'a> {
    pub fn add(&mut self, key: impl Into<Cow<'a, str>>, value: Value<'a>) {
        self.fields.push((key.into(), value));
    }

    /// Text, left out when empty.
    pub fn text(&mut self, key: impl Into<Cow<'a, str>>, text: impl Into<Cow<'a, str>>) {
        let text = text.into();
        if !text.is_empty() {
            self.add(key, Value::Text(text));
        }
    }

    /// An id in hexadecimal, left out when there is none.
    pub fn id<const N: usize>(&mut self, key: &'static str, id: Option<[u8; N]>) {
        if let Some(id) = id.filter(|id| *id != [0; N]) {
            let mut hex = Vec::with_capacity(2 * N + 2);
            json::hex(&mut hex, &id);
            self.add(key, Value::Json(hex));
        }
    }

    /// An attribute; maps are flattened, and what has no value has no field.
    pub fn attribute(&mut self, key: impl Into<Cow<'a, str>>, value: AnyValue<'a>) {
        match value {
            AnyValue::Empty | AnyValue::Bytes(_) => {}
            AnyValue::KvList(map) => self.attributes(&key.into(), &map),
            value => self.add(key, Value::Any(value)),
        }
    }

    /// All of `attrs` below `path`.
    pub fn attributes(&mut self, path: &str, attrs: &Attrs<'a>) {
        for (key, value) in attrs.iter() {
            match path {
                "" => self.attribute(key, value),
                path => self.attribute(format!("{path}.{key}"), value),
            }
        }
    }

    /// Writes the document: flat, or with `nest` as nested objects. Fields that `is_protected`
    /// keep their name whatever else there is.
    pub fn write(mut self, out: &mut Vec<u8>, nest: bool, is_protected: fn(&str) -> bool) {
        self.settle(is_protected);
        if !nest {
            let mut object = Object::open(out);
            for (key, value) in &self.fields {
                write_value(object.key(key), value, is_protected);
            }
            return object.close();
        }
        write_nested(out, &self.fields, 0, is_protected);
    }

    fn settle(&mut self, is_protected: fn(&str) -> bool) {
        self.fields.retain(|(_, value)| !value.is_nothing());
        self.unique();
        let below =
            |key: &str, of: &str| key.strip_prefix(of).is_some_and(|rest| rest.starts_with('.'));
        let mut at = 0;
        while at + 1 < self.fields.len() {
            // Sorted by parts, what lies below a key follows it.
            if below(&self.fields[at + 1].0, &self.fields[at].0) {
                let key = self.fields[at].0.clone();
                match is_protected(&key) {
                    true => self.fields.retain(|(other, _)| !below(other, &key)),
                    false => self.fields[at].0 = format!("{key}.value").into(),
                }
            }
            at += 1;
        }
        self.unique();
    }

    /// Sorted, the last of equal keys kept.
    fn unique(&mut self) {
        // By parts, so that what belongs into one object lies together; stable, so that the one
        // added last is the last.
        self.fields.sort_by(|(a, _), (b, _)| a.split('.').cmp(b.split('.')));
        self.fields.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                std::mem::swap(next, kept);
            }
            is_same
        });
    }
}

impl Value<'_> {
    fn is_nothing(&self) -> bool {
        match self {
            Value::Any(AnyValue::Empty | AnyValue::Bytes(_)) => true,
            Value::Any(AnyValue::Array(values)) => values.iter().next().is_none(),
            Value::Objects(list) => list.is_empty(),
            _ => false,
        }
    }
}

/// Fields whose first `depth` parts are the same, as one object.
fn write_nested(
    out: &mut Vec<u8>,
    fields: &[(Cow<'_, str>, Value<'_>)],
    depth: usize,
    is_protected: fn(&str) -> bool,
) {
    let part = |key: &str| key.split('.').nth(depth).unwrap_or_default().to_owned();
    let mut object = Object::open(out);
    let mut rest = fields;
    while let Some((key, value)) = rest.first() {
        let name = part(key);
        let length = rest.iter().take_while(|(other, _)| part(other) == name).count();
        let (group, after) = rest.split_at(length);
        let out = object.key(&name);
        match key.split('.').count() == depth + 1 {
            true => write_value(out, value, is_protected),
            false => write_nested(out, group, depth + 1, is_protected),
        }
        rest = after;
    }
    object.close();
}

fn write_value(out: &mut Vec<u8>, value: &Value<'_>, is_protected: fn(&str) -> bool) {
    match value {
        Value::Any(any) => write_any(out, any, is_protected),
        Value::Text(text) => json::string(out, text),
        Value::Int(number) => json::signed(out, *number),
        Value::Unsigned(number) => json::unsigned(out, *number),
        Value::Time(nanos) => json::string(out, &time(*nanos)),
        Value::Json(text) => out.extend_from_slice(text),
        Value::Objects(list) => json::array(out, list.iter(), |out, document| {
            write_nested(out, &document.fields, 0, is_protected);
        }),
    }
}

fn write_any(out: &mut Vec<u8>, value: &AnyValue<'_>, is_protected: fn(&str) -> bool) {
    match value {
        AnyValue::Bytes(_) => out.extend_from_slice(b"null"),
        AnyValue::KvList(map) => {
            let mut document = Document::default();
            document.attributes("", map);
            match document.fields.is_empty() {
                true => out.extend_from_slice(b"null"),
                false => document.write(out, true, is_protected),
            }
        }
        AnyValue::Array(values) => {
            json::array(out, values.iter(), |out, item| write_any(out, &item, is_protected));
        }
        _ => json::value(out, value, false),
    }
}

/// `2006-01-02T15:04:05.000000000Z`
pub(super) fn time(nanos: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(nanos.into()).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}
