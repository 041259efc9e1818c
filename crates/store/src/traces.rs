// SPDX-License-Identifier: Apache-2.0
//! Traces: spans in memory and in blocks, searched by what Jaeger's API asks for.
//!
//! In: payloads ([`Traces::push`]). Out: traces as payloads (OTLP bytes, spans ascending by start,
//! each once) by id or by [`SpanQuery`]; services and their operations; summaries for lists.
//! A search matches spans, and gives the traces they are of, the latest first.
//! Bounds: [`crate::rows::Limits`] in memory, [`SPANS_MAX`] spans of one trace, the limit of a query.

mod query;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use basics::{Result, UnixNano};
use hashbrown::{HashMap, HashSet};
use otlp_wire::{FromRaw, Head, Payload, Regrouped, SpanId, SpanSet, SpanView, TraceId};

use crate::rows::{Limits, Memory, Meta, Rows, Stats};
use query::Hits;
pub use query::{SpanQuery, kind_name};
pub use summary::{ServiceSpans, TraceSummary};

/// Most spans of one trace given: what a page can still draw; the earliest stay.
pub const SPANS_MAX: usize = 100_000;

/// What searches look at in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanMeta {
    /// Trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// Start, Unix nanoseconds.
    pub start: u64,
    /// End less start, nanoseconds.
    pub duration: u64,
    /// Role, as on the wire.
    pub kind: i32,
    /// Outcome, as on the wire: 0 unset, 1 ok, 2 error.
    pub status: i32,
}

impl Meta for SpanMeta {
    fn time(&self) -> u64 {
        self.start
    }
}

impl SpanMeta {
    /// Of an encoded span.
    pub fn of(span: &SpanView<'_>) -> SpanMeta {
        SpanMeta {
            trace_id: span.trace_id().unwrap_or_default(),
            span_id: span.span_id().unwrap_or_default(),
            start: span.start(),
            duration: span.duration_nanos(),
            kind: span.kind_number(),
            status: span.status() as i32,
        }
    }
}

/// An operation of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// The span name.
    pub name: String,
    /// The span kind, as on the wire.
    pub kind: i32,
}

/// Operations by service, both ascending.
pub type Operations = BTreeMap<String, BTreeSet<Operation>>;

/// Most services, and most operations of one: a name that varies must not fill an answer.
const NAMES_MAX: usize = 10_000;

/// The spans of the store.
#[derive(Debug)]
pub struct Traces {
    memory: Memory<SpanMeta>,
}

impl Traces {
    /// No spans.
    pub fn new(limits: Limits) -> Self {
        Traces { memory: Memory::new(limits) }
    }

    /// Copies the spans of a payload that was received at `received`.
    pub fn push(&self, payload: &Payload, received: UnixNano) {
        for resource in payload.traces() {
            for scope in resource.scopes() {
                let spans = scope.spans().map(|span| (SpanMeta::of(&span), span.raw()));
                self.memory.push(&resource, &scope, received, spans);
            }
        }
    }

    /// How full memory is.
    pub fn stats(&self) -> Stats {
        self.memory.stats()
    }

    /// Spans received before `cut`, for a block. They are found until [`Traces::release`].
    pub fn take(&self, cut: UnixNano) -> Rows<SpanMeta> {
        self.memory.take(cut)
    }

    /// Forgets what [`Traces::take`] gave: a block holds it now.
    pub fn release(&self, rows: &Rows<SpanMeta>) {
        self.memory.release(rows);
    }

    /// Ids of the traces with a span that matches, the latest first.
    ///
    /// # Errors
    /// A block cannot be read.
    pub fn search(&self, query: &SpanQuery) -> Result<Vec<TraceId>> {
        let mut hits = Hits::new(query.limit);
        for chunk in self.memory.rows().chunks.iter().rev() {
            query.scan(chunk, &mut hits);
        }
        Ok(hits.ids())
    }

    /// The spans of each trace, in the order of `ids`; an empty payload where nothing is found.
    ///
    /// # Errors
    /// A block cannot be read.
    pub fn get(&self, ids: &[TraceId]) -> Result<Vec<Payload>> {
        let mut found = Found::new(ids);
        for (row, raw) in self.memory.rows().iter() {
            found.add(&row.meta, &row.head.head, raw);
        }
        Ok(found.payloads())
    }

    /// The traces that match, as they show in a list: the latest first.
    ///
    /// # Errors
    /// A block cannot be read.
    pub fn list(&self, query: &SpanQuery) -> Result<Vec<TraceSummary>> {
        let ids = self.search(query)?;
        let traces = self.get(&ids)?;
        Ok(ids.into_iter().zip(&traces).map(|(id, trace)| TraceSummary::of(id, trace)).collect())
    }

    /// Every service with its operations.
    ///
    /// # Errors
    /// A block cannot be read.
    pub fn operations(&self) -> Result<Operations> {
        let mut all = Operations::new();
        let rows = self.memory.rows();
        let mut seen = HashSet::new();
        for (row, raw) in rows.iter() {
            let (service, name) = (&*row.head.service, SpanView::from_raw(raw).name());
            if seen.insert((service, name, row.meta.kind)) {
                add_operation(&mut all, service, name, row.meta.kind);
            }
        }
        Ok(all)
    }
}

/// Adds an operation, within [`NAMES_MAX`]; spans without a service are of none.
fn add_operation(all: &mut Operations, service: &str, name: &str, kind: i32) {
    if service.is_empty() || (all.len() >= NAMES_MAX && !all.contains_key(service)) {
        return;
    }
    let operations = all.entry(service.to_owned()).or_default();
    if operations.len() < NAMES_MAX {
        operations.insert(Operation { name: name.to_owned(), kind });
    }
}

/// The spans of the traces asked for, while they are being met.
struct Found {
    wanted: HashMap<TraceId, usize, foldhash::fast::RandomState>,
    traces: Vec<Vec<Span>>,
    order: Vec<usize>,
}

struct Span {
    start: u64,
    id: SpanId,
    hash: u64,
    head: Arc<Head>,
    raw: Vec<u8>,
}

impl Found {
    fn new(ids: &[TraceId]) -> Found {
        let mut wanted = HashMap::default();
        let mut order = Vec::with_capacity(ids.len());
        for id in ids {
            let next = wanted.len();
            order.push(*wanted.entry(*id).or_insert(next));
        }
        let traces = wanted.iter().map(|_| Vec::new()).collect();
        Found { wanted, traces, order }
    }

    fn add(&mut self, meta: &SpanMeta, head: &Arc<Head>, raw: &[u8]) {
        let Some(at) = self.wanted.get(&meta.trace_id) else { return };
        let spans = &mut self.traces[*at];
        // Twice the bound: the same span may be in memory and in a block.
        if spans.len() < 2 * SPANS_MAX {
            spans.push(Span {
                start: meta.start,
                id: meta.span_id,
                hash: same_span(raw),
                head: head.clone(),
                raw: raw.to_vec(),
            });
        }
    }

    fn payloads(mut self) -> Vec<Payload> {
        let all: Vec<Payload> = self.traces.iter_mut().map(payload).collect();
        self.order.iter().map(|at| all[*at].clone()).collect()
    }
}

/// Spans with the same id and the same content are one: a request sent again, or a span that
/// memory and a block both hold. The order of attributes plays no part.
fn same_span(raw: &[u8]) -> u64 {
    let span = SpanView::from_raw(raw);
    let attributes = span
        .attrs()
        .each()
        .fold(0u64, |sum, a| sum.wrapping_add(xxhash_rust::xxh3::xxh3_64(a.raw())));
    let mut rest = span.name().as_bytes().to_vec();
    rest.extend(span.end().to_le_bytes());
    rest.extend(attributes.to_le_bytes());
    rest.extend((span.events().count() as u32).to_le_bytes());
    xxhash_rust::xxh3::xxh3_64(&rest)
}

fn payload(spans: &mut Vec<Span>) -> Payload {
    spans.sort_by_key(|span| (span.start, span.id, span.hash));
    spans.dedup_by_key(|span| (span.start, span.id, span.hash));
    spans.truncate(SPANS_MAX);
    // Equal heads of different chunks become one, so that a payload names each resource once.
    let mut heads: HashMap<Head, Arc<Head>> = HashMap::new();
    let mut set = SpanSet::default();
    for span in spans.iter() {
        let head = heads.entry_ref(&*span.head).or_insert_with(|| span.head.clone());
        set.push(head, SpanView::from_raw(&span.raw));
    }
    let mut out = Regrouped::default();
    out.add(&set);
    out.finish()
}
