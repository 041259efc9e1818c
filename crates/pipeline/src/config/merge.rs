// SPDX-License-Identifier: Apache-2.0
//! Several sources into one configuration.
//!
//! Later ones win: mappings merge key by key, everything else (lists too) is replaced, and nothing
//! (`processors:`) replaces a whole mapping. `--set a.b.c=value` is a small source of its own,
//! merged after all files; each part between dots is a key.

use super::diagnostics::Diagnostics;
use super::node::{Entry, Key, Node, Span, Value};
use super::read::read;

/// Lays `over` on top of `base`.
pub(crate) fn merge(base: &mut Node, over: Node) {
    match (&mut base.value, over.value) {
        (Value::Mapping(below), Value::Mapping(above)) => {
            for entry in above {
                match below.iter_mut().find(|known| known.key.text == entry.key.text) {
                    Some(known) => merge(&mut known.value, entry.value),
                    None => below.push(entry),
                }
            }
        }
        (_, value) => *base = Node { span: over.span, value, original: over.original },
    }
}

/// The tree that one `--set` argument stands for. `None` after a mistake.
pub(crate) fn set(argument: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    let source = diagnostics.add_source("--set", argument);
    let Some((path, text)) = argument.split_once('=') else {
        let span = Span { source, start: 0, end: argument.len() as u32 };
        diagnostics
            .error(span, "missing equal sign in --set")
            .help("write for example --set service.telemetry.logs.level=debug");
        return None;
    };
    let value = read(text, source, path.len() + 1, diagnostics)?;
    nest(path, source, value, ".", diagnostics)
}

/// `a<separator>b` and a value to a tree.
fn nest(
    path: &str,
    source: u32,
    value: Node,
    separator: &str,
    diagnostics: &mut Diagnostics,
) -> Option<Node> {
    let mut node = value;
    let mut end = path.len();
    for part in path.rsplit(separator) {
        let start = end - part.len();
        let span = Span { source, start: start as u32, end: end as u32 };
        if part.is_empty() {
            diagnostics.error(span, "empty key in the path of --set");
            return None;
        }
        if !matches!(
            node.value,
            Value::String(_) | Value::Int(_) | Value::Bool(_) | Value::Float(_)
        ) {
            node.span = span;
        }
        let entry = Entry { key: Key { span, text: part.to_owned() }, value: node };
        node = Node::new(span, Value::Mapping(vec![entry]));
        end = start.saturating_sub(separator.len());
    }
    Some(node)
}

/// Splits keys such as `receivers::otlp` of a `yaml:` location into nested mappings.
pub(crate) fn split_keys(root: Node, diagnostics: &mut Diagnostics) -> Node {
    let Value::Mapping(entries) = root.value else { return root };
    let mut result = Node::new(root.span, Value::Mapping(Vec::new()));
    for entry in entries {
        let value = split_keys(entry.value, diagnostics);
        let span = entry.key.span;
        if let Some(mut nested) = nest(&entry.key.text, span.source, value, "::", diagnostics) {
            place_keys(&mut nested, span, entry.key.text.split("::").count());
            merge(&mut result, nested);
        }
    }
    result
}

/// Puts the first `depth` keys at `span`: parts of one key are shown as that key.
fn place_keys(node: &mut Node, span: Span, depth: usize) {
    node.span = span;
    if depth > 0
        && let Value::Mapping(entries) = &mut node.value
    {
        for entry in entries {
            entry.key.span = span;
            if depth > 1 {
                place_keys(&mut entry.value, span, depth - 1);
            }
        }
    }
}
