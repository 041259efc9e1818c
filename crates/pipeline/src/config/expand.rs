// SPDX-License-Identifier: Apache-2.0
//! `${...}` in values, exactly as the collector expands it.
//!
//! A value that is one location as a whole (`${env:N}`) becomes what its text means as YAML and
//! keeps the text beside it; inside a longer string a location is replaced by its text. Innermost
//! first, results are expanded again, at most [`ROUNDS_MAX`] times. `$NAME` without braces is
//! plain text, `$$` stands for `$`, and an odd number of `$` before `${` escapes it. Keys are not
//! expanded. Everything outside is passed in as [`Environment`].
//! Source: go.opentelemetry.io/collector/confmap, measured on v0.159.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::diagnostics::Diagnostics;
use super::node::{Node, Span, Value};
use super::read::{read, read_value};
use super::source::SOURCE_BYTES_MAX;

/// Expansions of one value before it is taken for endless, as in the collector.
const ROUNDS_MAX: usize = 1000;

/// Deepest `${file:}` inside `${file:}`; a chain of configurations that long is a loop.
const FILE_DEPTH_MAX: usize = 16;

/// Looks up one environment variable; `None` = not set.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a configuration may read besides its own text.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// The environment variables.
    pub variables: Variables<'a>,
}

impl Environment<'_> {
    /// The environment of this process.
    pub fn process() -> Environment<'static> {
        Environment { variables: &|name| std::env::var(name).ok() }
    }
}

/// Reads a text file of a bounded size.
pub(crate) fn read_file(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > SOURCE_BYTES_MAX {
        return Err(format!(
            "it has {size} bytes, more than the {SOURCE_BYTES_MAX} a configuration may have"
        ));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// Expands every value of `root`.
pub(crate) fn expand(root: &mut Node, environment: Environment<'_>, diagnostics: &mut Diagnostics) {
    let mut expander = Expander { environment, diagnostics, file_depth: 0 };
    expander.node(root);
    unescape(root);
}

/// The text and the typed value of one location.
pub(crate) struct Fetched {
    node: Node,
    text: String,
}

struct Expander<'a> {
    environment: Environment<'a>,
    diagnostics: &'a mut Diagnostics,
    file_depth: usize,
}

impl Expander<'_> {
    fn node(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::Sequence(items) => items.iter_mut().for_each(|item| self.node(item)),
            Value::Mapping(entries) => {
                entries.iter_mut().for_each(|entry| self.node(&mut entry.value));
            }
            Value::String(text) if find_location(text).is_some() => {
                let text = std::mem::take(text);
                *node = self.string(text, node.span);
            }
            _ => {}
        }
    }

    /// Expands `text` until nothing is left to expand. After a mistake the value is nothing.
    fn string(&mut self, mut text: String, span: Span) -> Node {
        for _ in 0..ROUNDS_MAX {
            let Some(range) = find_location(&text) else {
                return Node::new(span, Value::String(text));
            };
            let location = &text[range.start + 2..range.end - 1];
            let is_whole = range == (0..text.len());
            let Some(mut fetched) = self.fetch(location, span) else {
                return Node::new(span, Value::Null);
            };
            match (is_whole, fetched.node.value) {
                (false, _) => text.replace_range(range, &fetched.text),
                (true, Value::String(replacement)) => text = replacement,
                (true, value) => {
                    fetched.node.value = value;
                    return self.typed(fetched, span);
                }
            }
        }
        self.diagnostics.error(span, "too many recursive expansions");
        Node::new(span, Value::Null)
    }

    /// A whole value that is not a string: its parts and its text are expanded on their own.
    fn typed(&mut self, mut fetched: Fetched, span: Span) -> Node {
        self.file_depth += 1;
        if self.file_depth > FILE_DEPTH_MAX {
            self.diagnostics.error(span, "too many recursive expansions");
        } else {
            self.node(&mut fetched.node);
        }
        self.file_depth -= 1;
        fetched.node.original = Some(Arc::from(fetched.text));
        fetched.node
    }

    fn fetch(&mut self, location: &str, span: Span) -> Option<Fetched> {
        if location.contains('$') {
            self.diagnostics.error(
                span,
                format!("the location \"{location}\" contains the unsupported character '$'"),
            );
            return None;
        }
        let (scheme, rest) = split_scheme(location);
        match scheme {
            "env" => self.variable(rest, span),
            "file" => self.file(rest, span),
            "yaml" => Some(value_of(rest.to_owned(), span)),
            scheme => {
                let error = self.diagnostics.error(
                    span,
                    format!("scheme \"{scheme}\" is not supported in \"${{{location}}}\""),
                );
                if rest.starts_with('-') {
                    error.help(format!("write ${{env:{location}}}"));
                } else {
                    error.help("supported are env, file and yaml");
                }
                None
            }
        }
    }

    fn variable(&mut self, rest: &str, span: Span) -> Option<Fetched> {
        let (name, default) = match rest.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (rest, None),
        };
        if !is_variable_name(name) {
            self.diagnostics
                .error(
                    span,
                    format!("environment variable \"{name}\" has invalid name: must match regex ^[a-zA-Z_][a-zA-Z0-9_]*$"),
                )
                .help("a literal ${ is written $${");
            return None;
        }
        let text = match ((self.environment.variables)(name), default) {
            (Some(text), _) => text,
            (None, Some(default)) => default.to_owned(),
            (None, None) => {
                self.diagnostics
                    .warning(span, format!("environment variable \"{name}\" is not set"))
                    .label("the value is empty")
                    .help(format!("give a default: ${{env:{name}:-default}}"));
                String::new()
            }
        };
        Some(value_of(text, span))
    }

    fn file(&mut self, path: &str, span: Span) -> Option<Fetched> {
        let text = match read_file(Path::new(path)) {
            Ok(text) => text,
            Err(error) => {
                self.diagnostics.error(span, format!("cannot read the file \"{path}\": {error}"));
                return None;
            }
        };
        let source = self.diagnostics.add_source(path, text.as_str());
        let node = read(&text, source, 0, self.diagnostics)?;
        Some(Fetched { node, text })
    }
}

/// What `text` means as YAML; text that is no YAML, or a YAML string, stands for itself.
fn value_of(text: String, span: Span) -> Fetched {
    let node = match read_value(&text, span) {
        Some(node) if !matches!(node.value, Value::String(_)) => node,
        _ => Node::new(span, Value::String(text.clone())),
    };
    Fetched { node, text }
}

/// Scheme and the rest; without a scheme it is an environment variable.
fn split_scheme(location: &str) -> (&str, &str) {
    match location.split_once(':') {
        Some(split) => split,
        None => ("env", location),
    }
}

fn is_variable_name(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The innermost `${...}` that ends first and is not escaped.
fn find_location(text: &str) -> Option<Range<usize>> {
    let mut from = 0;
    while let Some(close) = text[from..].find('}').map(|at| from + at) {
        if let Some(open) = text[from..close].rfind("${").map(|at| from + at) {
            let dollars = text[..open].bytes().rev().take_while(|b| *b == b'$').count();
            if dollars % 2 == 0 {
                return Some(open..close + 1);
            }
        }
        from = close + 1;
    }
    None
}

/// `$$` to `$`, everywhere.
fn unescape(node: &mut Node) {
    if let Some(original) = &node.original
        && original.contains("$$")
    {
        node.original = Some(Arc::from(original.replace("$$", "$")));
    }
    match &mut node.value {
        Value::String(text) if text.contains("$$") => *text = text.replace("$$", "$"),
        Value::Sequence(items) => items.iter_mut().for_each(unescape),
        Value::Mapping(entries) => entries.iter_mut().for_each(|entry| unescape(&mut entry.value)),
        _ => {}
    }
}
