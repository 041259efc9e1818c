// SPDX-License-Identifier: Apache-2.0
//! Spans taken out of their requests and put together in another way, as by trace.
//!
//! A [`Head`] is what stands above a span: all of its resource group and scope group but the
//! children. A [`SpanSet`] holds copies of spans, each with its head; [`Regrouped`] writes sets as
//! one payload, in which spans under the same head share it. A set holds nothing of the requests
//! its spans came in, and fields nobody knows survive on every level.
//!
//! ```
//! use std::sync::Arc;
//! use otlp_wire::{Head, Regrouped, SpanSet, write};
//!
//! let mut w = write::Traces::new();
//! for name in ["a", "b"] {
//!     w.span(&write::Span { name, ..Default::default() }, |_| ());
//! }
//! let (payload, mut set) = (w.finish(), SpanSet::default());
//! for resource in payload.traces() {
//!     for scope in resource.scopes() {
//!         let head = Arc::new(Head::of(&resource, &scope));
//!         scope.spans().filter(|span| span.name() == "b").for_each(|span| set.push(&head, span));
//!     }
//! }
//! let mut out = Regrouped::default();
//! out.add(&set);
//! assert_eq!(out.finish().items(), 1);
//! ```

use std::sync::Arc;

use crate::payload::{Payload, Signal};
use crate::split::{is_child, put_head};
use crate::value::{Resource, Scope};
use crate::view::{ResourceView, ScopeView, SpanView, Views};
use crate::wire::{Frame, fields, find_len, put_len};

/// Width guessed for the length of groups: right from 128 bytes to 16 KiB.
const GROUP_WIDTH: usize = 2;

/// All that stands above the elements of one scope. Equal heads mean equal content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    bytes: Box<[u8]>,
    /// Where the resource group's part ends and the scope group's begins.
    middle: usize,
}

impl Head {
    /// The head of the elements of `scope`, which is one of `resource`.
    pub fn of(resource: &ResourceView<'_>, scope: &ScopeView<'_>) -> Head {
        let mut bytes = Vec::with_capacity(resource.raw().len() + scope.raw().len() + 64);
        put_head(&mut bytes, resource.group_raw(), 1);
        let middle = bytes.len();
        put_head(&mut bytes, scope.group_raw(), 2);
        Head { bytes: bytes.into(), middle }
    }

    /// The resource.
    pub fn resource(&self) -> Resource<'_> {
        Resource::new(find_len(self.resource_part(), 1).unwrap_or_default())
    }

    /// The scope.
    pub fn scope(&self) -> Scope<'_> {
        Scope::new(find_len(self.scope_part(), 1).unwrap_or_default())
    }

    /// Its bytes: the resource group's part and the scope group's, as [`Head::from_parts`] takes them.
    pub fn parts(&self) -> (&[u8], &[u8]) {
        (self.resource_part(), self.scope_part())
    }

    /// The head that [`Head::parts`] were of; `None` when the bytes cannot stand above elements.
    pub fn from_parts(resource: &[u8], scope: &[u8]) -> Option<Head> {
        let mut request = Vec::with_capacity(resource.len() + scope.len() + 16);
        let group = Frame::open(&mut request, 1, GROUP_WIDTH);
        request.extend_from_slice(resource);
        put_len(&mut request, 2, scope);
        group.close(&mut request);
        let admitted = Payload::admit(Signal::Traces, request.into()).ok()?;
        let above = |level, raw: &[u8]| fields(raw).all(|f| !is_child(level, f.number));
        (admitted.items() == 0 && above(1, resource) && above(2, scope))
            .then(|| Head { bytes: [resource, scope].concat().into(), middle: resource.len() })
    }

    /// Bytes it takes.
    pub fn size(&self) -> usize {
        size_of::<Head>() + self.bytes.len()
    }

    fn resource_part(&self) -> &[u8] {
        &self.bytes[..self.middle]
    }

    fn scope_part(&self) -> &[u8] {
        &self.bytes[self.middle..]
    }
}

/// Copies of spans, in the order they came.
#[derive(Clone, Debug, Default)]
pub struct SpanSet {
    /// Spans as fields of a scope group.
    bytes: Vec<u8>,
    runs: Vec<Run>,
    items: u32,
    /// Bytes of the heads of all runs.
    heads: usize,
}

/// Neighbours under one head.
#[derive(Clone, Debug)]
struct Run {
    head: Arc<Head>,
    /// Where its spans end in the bytes.
    end: usize,
}

impl SpanSet {
    /// Adds a copy of `span`. Give spans of one scope the same `head`, not an equal one: what is
    /// the same is shared.
    pub fn push(&mut self, head: &Arc<Head>, span: SpanView<'_>) {
        // Tag and length take six bytes at most.
        self.bytes.reserve(span.raw().len() + 6);
        put_len(&mut self.bytes, 2, span.raw());
        self.items += 1;
        let end = self.bytes.len();
        match self.runs.last_mut() {
            Some(run) if Arc::ptr_eq(&run.head, head) => run.end = end,
            _ => {
                self.heads += head.bytes.len();
                self.runs.push(Run { head: head.clone(), end });
            }
        }
    }

    /// Number of spans.
    pub fn items(&self) -> u32 {
        self.items
    }

    /// True when it holds no span.
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// Bytes it has allocated, heads not counted: other sets share them.
    pub fn size(&self) -> usize {
        self.bytes.capacity() + self.runs.capacity() * size_of::<Run>()
    }

    /// Bytes of its spans and of the heads they came under.
    pub fn encoded_len(&self) -> usize {
        self.bytes.len() + self.heads
    }

    /// The spans, neighbours with the head they share, in the order they came.
    pub fn runs(&self) -> impl Iterator<Item = (&Head, Views<'_, SpanView<'_>>)> {
        (0..self.runs.len()).map(|at| (&*self.runs[at].head, Views::new(self.run(at), 2)))
    }

    fn run(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.runs[before].end);
        &self.bytes[start..self.runs[at].end]
    }

    /// The runs, those of one head together, heads in the order they came.
    fn by_head(&self) -> Vec<usize> {
        let head = |at: &usize| Arc::as_ptr(&self.runs[*at].head);
        let mut order: Vec<usize> = (0..self.runs.len()).collect();
        if order.len() < 3 {
            return order;
        }
        order.sort_by_key(|at| (head(at), *at));
        let mut first = vec![0; order.len()];
        for group in order.chunk_by(|a, b| head(a) == head(b)) {
            group.iter().for_each(|at| first[*at] = group[0]);
        }
        order.sort_by_key(|at| (first[*at], *at));
        order
    }
}

/// Writes sets of spans as one payload.
#[derive(Debug, Default)]
pub struct Regrouped {
    out: Vec<u8>,
    items: u32,
}

impl Regrouped {
    /// Adds the spans of `set`, those of one head together.
    pub fn add(&mut self, set: &SpanSet) {
        self.out.reserve(set.encoded_len() + 16 * set.runs.len());
        self.items += set.items;
        let mut open: Option<(&Arc<Head>, Frame, Frame)> = None;
        for at in set.by_head() {
            let head = &set.runs[at].head;
            let (group, scope) = match open.take() {
                Some((last, group, scope)) if Arc::ptr_eq(last, head) => (group, scope),
                Some((last, group, scope)) if last.resource_part() == head.resource_part() => {
                    scope.close(&mut self.out);
                    (group, self.open_scope(head))
                }
                other => {
                    self.close(other.map(|(_, group, scope)| (group, scope)));
                    let group = Frame::open(&mut self.out, 1, GROUP_WIDTH);
                    self.out.extend_from_slice(head.resource_part());
                    (group, self.open_scope(head))
                }
            };
            self.out.extend_from_slice(set.run(at));
            open = Some((head, group, scope));
        }
        self.close(open.map(|(_, group, scope)| (group, scope)));
    }

    fn open_scope(&mut self, head: &Head) -> Frame {
        let frame = Frame::open(&mut self.out, 2, GROUP_WIDTH);
        self.out.extend_from_slice(head.scope_part());
        frame
    }

    fn close(&mut self, open: Option<(Frame, Frame)>) {
        if let Some((group, scope)) = open {
            scope.close(&mut self.out);
            group.close(&mut self.out);
        }
    }

    /// Spans added so far.
    pub fn items(&self) -> u32 {
        self.items
    }

    /// The payload of all that was added; what is added next begins another one.
    pub fn finish(&mut self) -> Payload {
        let (out, items) = (std::mem::take(&mut self.out), std::mem::take(&mut self.items));
        Payload::trusted(Signal::Traces, items, out.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write;

    /// Spans `names` of one scope of one resource.
    fn spans(resource: &str, scope: &str, names: &[&str]) -> Payload {
        let mut w = write::Traces::new();
        w.resource(|r| r.str("service.name", resource));
        w.scope(scope, "1");
        for name in names {
            w.span(&write::Span { name, ..Default::default() }, |a| a.str("k", "v"));
        }
        w.finish()
    }

    fn heads(payload: &Payload) -> Vec<(Arc<Head>, Vec<SpanView<'_>>)> {
        let mut found = Vec::new();
        for resource in payload.traces() {
            for scope in resource.scopes() {
                let head = Arc::new(Head::of(&resource, &scope));
                found.push((head, scope.spans().collect()));
            }
        }
        found
    }

    /// `resource/scope: names` of each scope.
    fn shape(payload: &Payload) -> Vec<String> {
        let mut shape = Vec::new();
        for resource in payload.traces() {
            let service = resource.attr("service.name").expect("a name").text().into_owned();
            for scope in resource.scopes() {
                let names: Vec<_> = scope.spans().map(|span| span.name()).collect();
                shape.push(format!("{service}/{}: {}", scope.name(), names.join(" ")));
            }
        }
        shape
    }

    #[test]
    fn spans_under_one_head_come_together_again() {
        let payload = Payload::concat(&[
            spans("a", "x", &["1", "2"]),
            spans("b", "x", &["3"]),
            spans("a", "y", &["4"]),
        ]);
        let found = heads(&payload);
        let [(ax, one), (bx, three), (ay, four)] = &found[..] else { panic!("three heads") };
        let mut set = SpanSet::default();
        for (head, span) in [(ax, one[0]), (bx, three[0]), (ay, four[0]), (ax, one[1])] {
            set.push(head, span);
        }
        assert_eq!((set.items(), set.runs().count()), (4, 4));
        let mut out = Regrouped::default();
        out.add(&set);
        let payload = out.finish();
        assert_eq!(shape(&payload), ["a/x: 1 2", "b/x: 3", "a/y: 4"]);
        assert_eq!(Payload::admit(Signal::Traces, payload.bytes().clone()), Ok(payload));
        assert_eq!(out.items(), 0);
    }

    #[test]
    fn scopes_of_one_resource_share_it() {
        let payload = Payload::concat(&[spans("a", "x", &["1"]), spans("a", "y", &["2"])]);
        let mut set = SpanSet::default();
        for (head, spans) in heads(&payload) {
            spans.into_iter().for_each(|span| set.push(&head, span));
        }
        let mut out = Regrouped::default();
        out.add(&set);
        let payload = out.finish();
        assert_eq!(payload.traces().count(), 1);
        assert_eq!(shape(&payload), ["a/x: 1", "a/y: 2"]);
    }

    #[test]
    fn equal_heads_are_equal_and_unknown_fields_survive() {
        let mut bytes = Vec::new();
        put_len(&mut bytes, 5, b"name");
        put_len(&mut bytes, 2000, b"future");
        for number in [2, 2, 1] {
            let mut outer = Vec::new();
            put_len(&mut outer, 777, b"level");
            put_len(&mut outer, number, &bytes);
            put_len(&mut outer, 778, b"level");
            bytes = outer;
        }
        let payload = Payload::admit(Signal::Traces, bytes.into()).expect("valid");
        let found = heads(&payload);
        let again = heads(&payload);
        assert_eq!(found[0].0, again[0].0);
        let mut set = SpanSet::default();
        set.push(&found[0].0, found[0].1[0]);
        let mut out = Regrouped::default();
        out.add(&set);
        let hay = out.finish();
        let count =
            |needle: &[u8]| hay.bytes().windows(needle.len()).filter(|w| *w == needle).count();
        // Those of the request itself belong to no span.
        assert_eq!((count(b"future"), count(b"level")), (1, 4));
    }

    #[test]
    fn a_set_without_spans_adds_nothing() {
        let mut out = Regrouped::default();
        out.add(&SpanSet::default());
        assert!(out.finish().is_empty());
    }
}
