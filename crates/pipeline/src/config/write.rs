// SPDX-License-Identifier: Apache-2.0
//! A node tree as YAML text that reads back to the same tree.

use super::node::{Entry, Node, Value};
use super::scalar;

/// Block style for collections with content, quotes where the text would mean something else.
pub(crate) fn to_yaml(root: &Node) -> String {
    let mut text = String::new();
    match &root.value {
        Value::Mapping(entries) if !entries.is_empty() => mapping(entries, 0, &mut text),
        Value::Sequence(items) if !items.is_empty() => sequence(items, 0, &mut text),
        _ => {
            text.push_str(&inline(root));
            text.push('\n');
        }
    }
    text
}

fn mapping(entries: &[Entry], indent: usize, text: &mut String) {
    for entry in entries {
        text.push_str(&" ".repeat(indent));
        text.push_str(&quoted_if_needed(&entry.key.text));
        text.push(':');
        below(&entry.value, indent + 2, text);
    }
}

fn sequence(items: &[Node], indent: usize, text: &mut String) {
    for item in items {
        text.push_str(&" ".repeat(indent));
        text.push('-');
        match &item.value {
            Value::Mapping(entries) if !entries.is_empty() => {
                // The first key stands on the line of the dash.
                let mut block = String::new();
                mapping(entries, indent + 2, &mut block);
                text.push(' ');
                text.push_str(block.trim_start());
            }
            _ => below(item, indent + 2, text),
        }
    }
}

/// What follows `key:` or `-`.
fn below(node: &Node, indent: usize, text: &mut String) {
    match &node.value {
        Value::Mapping(entries) if !entries.is_empty() => {
            text.push('\n');
            mapping(entries, indent, text);
        }
        Value::Sequence(items) if !items.is_empty() => {
            text.push('\n');
            sequence(items, indent, text);
        }
        Value::Null => text.push('\n'),
        _ => {
            text.push(' ');
            text.push_str(&inline(node));
            text.push('\n');
        }
    }
}

fn inline(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) if value.is_nan() => ".nan".to_owned(),
        Value::Float(value) if value.is_infinite() => {
            if *value > 0.0 {
                ".inf".to_owned()
            } else {
                "-.inf".to_owned()
            }
        }
        Value::Float(value) => format!("{value:?}"),
        Value::String(text) => quoted_if_needed(text),
        Value::Sequence(_) => "[]".to_owned(),
        Value::Mapping(_) => "{}".to_owned(),
    }
}

fn quoted_if_needed(text: &str) -> String {
    let is_plain = matches!(scalar::resolve(text), Value::String(_))
        && !text.starts_with(|c: char| " -?:,[]{}#&*!|>'\"%@`".contains(c))
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && text != "<<"
        && !text.contains(char::is_control);
    // JSON's quoted strings are YAML's.
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
