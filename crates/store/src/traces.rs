// SPDX-License-Identifier: Apache-2.0
//! Traces: spans in memory and in blocks, searched by what Jaeger's API asks for.
//!
//! In: payloads ([`Traces::push`]). Out: traces as payloads (OTLP bytes, spans ascending by start,
//! each once) by id or by [`SpanQuery`]; services and their operations; summaries for lists.
//! A search matches spans, and gives the traces they are of, the latest first.
//! Bounds: [`crate::rows::Limits`] in memory, [`SPANS_MAX`] spans of one trace, the limit of a query.

mod block;
mod element;
mod query;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use basics::{Result, UnixNano};
use hashbrown::{HashMap, HashSet};
use otlp_wire::{FromRaw, Head, Payload, Regrouped, SpanId, SpanSet, SpanView, TraceId};

use crate::blocks::plan::Merge;
use crate::blocks::{BlockInfo, Catalog};
use crate::rows::read::Blocks;
use crate::rows::{Limits, Memory, Meta, RowHead, Rows, Stats, content_hash};
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
    blocks: Blocks<SpanMeta>,
}

impl Traces {
    /// No spans.
    pub fn new(limits: Limits) -> Self {
        Traces { memory: Memory::new(limits), blocks: Blocks::default() }
    }

    /// From now on spans are looked for in these blocks too.
    pub fn attach(&self, catalog: Arc<Catalog>) {
        self.blocks.attach(catalog);
    }

    /// Copies the spans of a payload that was received at `received`.
    pub fn push(&self, payload: &Payload, received: UnixNano) {
        self.push_unless(payload, received, None);
    }

    /// As [`Traces::push`], but for the spans whose [`content_hash`] a replay knows to be in a block.
    pub fn push_unless(
        &self,
        payload: &Payload,
        received: UnixNano,
        held: Option<&dyn Fn(u64) -> bool>,
    ) {
        for resource in payload.traces() {
            for scope in resource.scopes() {
                let spans = scope.spans().map(|span| (SpanMeta::of(&span), span.raw()));
                self.memory.push(&resource, &scope, received, spans, held);
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
        self.blocks.each((query.start, query.end), false, |block| {
            let tmax = (block.file.info().tmax as u64).saturating_mul(1_000_000) + 999_999;
            if hits.is_late_enough(tmax) {
                return Ok(false);
            }
            block::search(block, query, &mut hits).map(|()| true)
        })?;
        Ok(hits.ids())
    }

    /// The spans of each trace, in the order of `ids`; an empty payload where nothing is found.
    ///
    /// # Errors
    /// A block cannot be read.
    pub fn get(&self, ids: &[TraceId]) -> Result<Vec<Payload>> {
        let mut found = Found::new(ids);
        for (row, raw) in self.memory.rows().iter() {
            found.add(&row.meta, &row.head, raw);
        }
        self.blocks.each((0, u64::MAX), false, |block| {
            block::get(block, ids, &mut found).map(|()| true)
        })?;
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
        self.blocks.each((0, u64::MAX), false, |block| {
            for (service, name, kind) in &block.index.operations {
                add_operation(&mut all, service, name, *kind);
            }
            Ok(true)
        })?;
        Ok(all)
    }
}

/// A block of these spans, not yet in the catalog; none when there is no span.
///
/// # Errors
/// [`basics::Kind::Retry`] when it cannot be written.
pub fn write_block(catalog: &Catalog, rows: &Rows<SpanMeta>) -> Result<Option<BlockInfo>> {
    crate::rows::write::write_block(catalog, rows)
}

/// Makes one block of several and commits it in their place; none when one of them is damaged.
///
/// # Errors
/// A block cannot be read now, or the new one not written.
pub fn compact(catalog: &Catalog, merge: &Merge) -> Result<Option<BlockInfo>> {
    crate::rows::read::compact::<SpanMeta>(catalog, merge)
}

/// The [`content_hash`] of each span of a block.
///
/// # Errors
/// The block cannot be read.
pub fn block_hashes(catalog: &Catalog, info: &BlockInfo) -> Result<Vec<u64>> {
    crate::rows::read::hashes::<SpanMeta>(catalog, info)
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

    fn wants(&self, id: &TraceId) -> bool {
        self.wanted.contains_key(id)
    }

    /// Spans with the same id and the same content are one: a request sent again, or a span that
    /// memory and a block both hold.
    fn add(&mut self, meta: &SpanMeta, head: &RowHead, raw: &[u8]) {
        let Some(at) = self.wanted.get(&meta.trace_id) else { return };
        let spans = &mut self.traces[*at];
        // Twice the bound: the same span may be in memory and in a block.
        if spans.len() < 2 * SPANS_MAX {
            spans.push(Span {
                start: meta.start,
                id: meta.span_id,
                hash: content_hash(head, raw),
                head: head.head.clone(),
                raw: raw.to_vec(),
            });
        }
    }

    fn payloads(mut self) -> Vec<Payload> {
        let all: Vec<Payload> = self.traces.iter_mut().map(payload).collect();
        self.order.iter().map(|at| all[*at].clone()).collect()
    }
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
