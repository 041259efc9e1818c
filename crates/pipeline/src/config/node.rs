// SPDX-License-Identifier: Apache-2.0
//! A YAML document in which every key and every value knows where it stands.
//!
//! Made by `read`, changed by `expand` and `merge`, read by the deserializer. A node that came out
//! of a whole-value `${...}` keeps its original text beside the typed value, because a string
//! field gets the text (`0123` stays `0123`) and any other field the value.

use std::sync::Arc;

/// A place in a source: byte offsets into its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Span {
    pub(crate) source: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// A spanned YAML node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where a mistake in this value is shown: the value itself if it is a scalar, the key it
    /// stands under if it is a collection or nothing.
    pub(crate) span: Span,
    pub(crate) value: Value,
    /// The text a `${...}` that was the whole value stood for.
    pub(crate) original: Option<Arc<str>>,
}

/// What a node holds, typed as yaml.v3 types it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`; `yes` and `on` are strings.
    Bool(bool),
    /// A whole number within i64 or u64.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    String(String),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys with values in the order of the file; keys are unique.
    Mapping(Vec<Entry>),
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub(crate) key: Key,
    pub(crate) value: Node,
}

/// A key.
#[derive(Clone, Debug)]
pub struct Key {
    pub(crate) span: Span,
    pub(crate) text: String,
}

impl PartialEq for Node {
    /// Equal content, wherever it stands.
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value && self.original == other.original
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Node {
    pub(crate) fn new(span: Span, value: Value) -> Self {
        Node { span, value, original: None }
    }

    /// What it holds.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The value under `key` if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key.text == key).map(|entry| &entry.value)
    }

    /// The keys and values if this is a mapping, else none.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The items if this is a list, else none.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }

    /// True if it is the text `text` or holds it somewhere.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.text().is_some_and(|own| own.trim() == text)
            || self.entries().iter().any(|entry| entry.value.mentions(text))
            || self.items().iter().any(|item| item.mentions(text))
    }

    pub(crate) fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// The text if this is a string, or stands for one.
    pub(crate) fn text(&self) -> Option<&str> {
        match (&self.original, &self.value) {
            (Some(original), _) => Some(original),
            (None, Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// What it is, for messages: `the number 5`, `a list`.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value}"),
            Value::String(text) => format!("the text {text:?}"),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        }
    }

    /// What tells this node from all others of a tree that does not move meanwhile.
    pub(crate) fn id(&self) -> NodeId {
        NodeId(std::ptr::from_ref(self) as usize)
    }

    /// The way from this node to `target`, such as `protocols::grpc` or `rules[0]`; empty for
    /// itself and for a node that is not below it.
    pub(crate) fn path_to(&self, target: NodeId) -> String {
        let mut path = String::new();
        self.find(target, &mut path);
        path
    }

    fn find(&self, target: NodeId, path: &mut String) -> bool {
        if self.id() == target {
            return true;
        }
        let length = path.len();
        for entry in self.entries() {
            if length > 0 {
                path.push_str("::");
            }
            path.push_str(&entry.key.text);
            if entry.value.find(target, path) {
                return true;
            }
            path.truncate(length);
        }
        for (index, item) in self.items().iter().enumerate() {
            path.push_str(&format!("[{index}]"));
            if item.find(target, path) {
                return true;
            }
            path.truncate(length);
        }
        false
    }
}

/// Identity of a node while its tree is borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(usize);
