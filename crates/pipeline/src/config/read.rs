// SPDX-License-Identifier: Apache-2.0
//! YAML text to a tree of spanned nodes.
//!
//! Takes the parser's events of the first document. Duplicate keys and unknown anchors are
//! mistakes (all are told, the rest of the tree is still built); aliases are copied in and `<<`
//! merges as in yaml.v3: what the mapping itself says wins, then the first of the merged ones.
//! Broken syntax ends the reading: there is one error and no tree.
//! Bounds: nesting by the parser (255 levels), nodes by [`NODES_MAX`].

use granit_parser::{Event, Parser, ScalarStyle, Span as Place, StructureStyle};
use hashbrown::{HashMap, HashSet};

use super::diagnostics::Diagnostics;
use super::node::{Entry, Key, Node, Span, Value};
use super::scalar;

/// Most nodes one source may stand for, aliases copied in. A 200 kB configuration has some 20,000;
/// the bound is there so that nested aliases cannot fill the memory.
const NODES_MAX: usize = 1_000_000;

/// Reads `text`, which begins at byte `offset` of source `source`. `None` after broken syntax,
/// which has been told to `diagnostics`; a null node for a text without content.
pub(crate) fn read(
    text: &str,
    source: u32,
    offset: usize,
    diagnostics: &mut Diagnostics,
) -> Option<Node> {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
    };
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        place: SourcePlace { source, offset, length: text.len() },
        anchors: HashMap::new(),
        nodes: 0,
        open_brackets: Vec::new(),
        diagnostics,
    };
    match reader.document() {
        Ok(node) => Some(node),
        Err(Broken { span, message }) => {
            let opened = reader.open_brackets.last().copied();
            let diagnostic = diagnostics.error(span, format!("invalid YAML: {message}"));
            if let Some(opened) = opened {
                diagnostic.secondary(opened, "this bracket is still open");
            }
            None
        }
    }
}

/// Reads `text` as a YAML value without a place of its own, as an environment variable is read:
/// every node is at `span`. `None` if it is not YAML.
pub(crate) fn read_value(text: &str, span: Span) -> Option<Node> {
    let mut unheard = Diagnostics::default();
    let mut node = read(text, span.source, 0, &mut unheard)?;
    if unheard.has_errors() {
        return None;
    }
    place_at(&mut node, span);
    Some(node)
}

fn place_at(node: &mut Node, span: Span) {
    node.span = span;
    match &mut node.value {
        Value::Sequence(items) => items.iter_mut().for_each(|item| place_at(item, span)),
        Value::Mapping(entries) => {
            for entry in entries {
                entry.key.span = span;
                place_at(&mut entry.value, span);
            }
        }
        _ => {}
    }
}

struct Reader<'t, 'd> {
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    place: SourcePlace,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// `[` and `{` not closed yet: where a mistake further on often comes from.
    open_brackets: Vec<Span>,
    diagnostics: &'d mut Diagnostics,
}

/// Why reading ended early.
struct Broken {
    span: Span,
    message: String,
}

struct SourcePlace {
    source: u32,
    offset: usize,
    length: usize,
}

impl SourcePlace {
    fn span(&self, place: Place) -> Span {
        let at = |marker: granit_parser::Marker| {
            (self.offset + marker.byte_offset().unwrap_or(0).min(self.length)) as u32
        };
        Span { source: self.source, start: at(place.start), end: at(place.end) }
    }
}

impl<'t> Reader<'t, '_> {
    fn document(&mut self) -> Result<Node, Broken> {
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::StreamEnd => {
                    return Ok(Node::new(self.place.span(place), Value::Null));
                }
                event => {
                    let root = self.node(event, place)?;
                    self.only_document()?;
                    return Ok(root);
                }
            }
        }
    }

    /// The collector reads the first document and silently drops the others; say so.
    fn only_document(&mut self) -> Result<(), Broken> {
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(..) => {
                    let span = self.place.span(place);
                    self.diagnostics
                        .warning(span, "only the first YAML document of a source is read");
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Place), Broken> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let marker = *error.marker();
                let span = self.place.span(Place::empty(marker));
                Err(Broken { span, message: error.info().to_string() })
            }
            None => Ok((Event::StreamEnd, Place::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, place: Place) -> Result<Node, Broken> {
        let span = self.place.span(place);
        self.count(1, span)?;
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = style != ScalarStyle::Plain
                    || tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let value =
                    if quoted { Value::String(text.into_owned()) } else { scalar::resolve(&text) };
                (anchor, Node::new(span, value))
            }
            Event::SequenceStart(style, anchor, _) => {
                (anchor, self.inside(style, span, |reader| reader.sequence(span))?)
            }
            Event::MappingStart(style, anchor, _) => {
                (anchor, self.inside(style, span, |reader| reader.mapping(span))?)
            }
            Event::Alias(id) => (0, self.alias(id, span)?),
            Event::UnresolvedAlias(name) => {
                self.diagnostics.error(span, format!("unknown anchor \"{name}\""));
                (0, Node::new(span, Value::Null))
            }
            other => return Err(Broken { span, message: format!("unexpected {other:?}") }),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// Reads a collection, remembering its bracket if it has one until it is closed.
    fn inside(
        &mut self,
        style: StructureStyle,
        span: Span,
        read: impl FnOnce(&mut Self) -> Result<Node, Broken>,
    ) -> Result<Node, Broken> {
        let has_bracket = style == StructureStyle::Flow;
        if has_bracket {
            self.open_brackets.push(span);
        }
        let node = read(self)?;
        if has_bracket {
            self.open_brackets.pop();
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, Broken> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            self.diagnostics.error(span, "an anchor cannot contain itself");
            return Ok(Node::new(span, Value::Null));
        };
        self.count(size(&node), span)?;
        Ok(node)
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Broken> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            let message =
                format!("more than {NODES_MAX} values (aliases counted where they are used)");
            return Err(Broken { span, message });
        }
        Ok(())
    }

    fn sequence(&mut self, span: Span) -> Result<Node, Broken> {
        let mut items = Vec::new();
        loop {
            let (event, place) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.node(event, place)?);
        }
        Ok(Node::new(span, Value::Sequence(items)))
    }

    fn mapping(&mut self, start: Span) -> Result<Node, Broken> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Node> = Vec::new();
        let mut seen: HashMap<String, Span> = HashMap::new();
        loop {
            let (event, place) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key_span = self.place.span(place);
            let is_merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.key(event, place)?;
            let (event, place) = self.next()?;
            let mut value = self.node(event, place)?;
            if is_merge {
                self.collect_merged(value, &mut merged);
                continue;
            }
            if matches!(value.value, Value::Null | Value::Sequence(_) | Value::Mapping(_)) {
                value.span = key_span;
            }
            if let Some(first) = seen.insert(key.clone(), key_span) {
                self.diagnostics
                    .error(key_span, format!("key \"{key}\" is already defined in this mapping"))
                    .label("defined again here")
                    .secondary(first, "first defined here");
                continue;
            }
            entries.push(Entry { key: Key { span: key_span, text: key }, value });
        }
        merge_into(&mut entries, merged);
        let span = entries.first().map_or(start, |entry| entry.key.span);
        Ok(Node::new(span, Value::Mapping(entries)))
    }

    fn key(&mut self, event: Event<'t>, place: Place) -> Result<String, Broken> {
        let span = self.place.span(place);
        match event {
            Event::Scalar(text, ..) => {
                self.count(1, span)?;
                Ok(text.into_owned())
            }
            other => {
                let node = self.node(other, place)?;
                match node.text() {
                    Some(text) => Ok(text.to_owned()),
                    None => Err(Broken { span, message: "a key must be text".to_owned() }),
                }
            }
        }
    }

    /// `<<: *a` or `<<: [*a, *b]`.
    fn collect_merged(&mut self, value: Node, merged: &mut Vec<Node>) {
        match value.value {
            Value::Mapping(_) => merged.push(value),
            Value::Sequence(items) => {
                items.into_iter().for_each(|item| self.collect_merged(item, merged));
            }
            _ => {
                self.diagnostics.error(value.span, "\"<<\" takes a mapping or a list of mappings");
            }
        }
    }
}

fn merge_into(entries: &mut Vec<Entry>, merged: Vec<Node>) {
    let mut present: HashSet<String> = entries.iter().map(|entry| entry.key.text.clone()).collect();
    for node in merged {
        if let Value::Mapping(more) = node.value {
            entries.extend(more.into_iter().filter(|entry| present.insert(entry.key.text.clone())));
        }
    }
}

fn size(node: &Node) -> usize {
    let below: usize = node.items().iter().map(size).sum::<usize>()
        + node.entries().iter().map(|entry| 1 + size(&entry.value)).sum::<usize>();
    below + 1
}
