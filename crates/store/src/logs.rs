// SPDX-License-Identifier: Apache-2.0
//! Logs: records in memory and in blocks, searched by service, attributes, text, severity, trace
//! and time, page by page; and followed as they come.
//!
//! In: payloads ([`Logs::push`]). Out: [`LogRecord`]s by [`LogQuery`], in order of time with ties
//! broken by content, so that a page ends at a [`Cursor`] and the next begins behind it; what has
//! come since a number of [`Logs::newest`] by [`Logs::follow`].
//! Bounds: [`crate::rows::Limits`] in memory, the limit of a query.

mod block;
mod element;
mod query;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use basics::{Result, UnixNano};
use otlp_wire::{FromRaw, LogView, Payload, TraceId};

use crate::blocks::plan::Merge;
use crate::blocks::{BlockInfo, Catalog};
use crate::rows::read::Blocks;
use crate::rows::{Limits, Memory, Meta, Rows, Stats, content_hash};
use query::Newest;
pub use query::{Attributes, Cursor, LogQuery, LogRecord, Page};

/// What searches look at in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogMeta {
    /// When it happened, Unix nanoseconds; when it was seen if that is unknown.
    pub time: u64,
    /// 1 to 24, 0 for unknown.
    pub severity: i32,
    /// Trace it belongs to; zeros for none.
    pub trace_id: TraceId,
}

impl Meta for LogMeta {
    fn time(&self) -> u64 {
        self.time
    }
}

impl LogMeta {
    /// Of an encoded record, received at `received`, which stands for times left empty.
    pub fn of(log: &LogView<'_>, received: UnixNano) -> LogMeta {
        let times = [log.time(), log.observed_time(), received];
        LogMeta {
            time: times.into_iter().find(|time| *time != 0).unwrap_or_default(),
            severity: log.severity_number(),
            trace_id: log.trace_id().unwrap_or_default(),
        }
    }
}

/// The log records of the store.
#[derive(Debug)]
pub struct Logs {
    memory: Memory<LogMeta>,
    blocks: Blocks<LogMeta>,
}

impl Logs {
    /// No records.
    pub fn new(limits: Limits) -> Self {
        Logs { memory: Memory::new(limits), blocks: Blocks::default() }
    }

    /// From now on records are looked for in these blocks too.
    pub fn attach(&self, catalog: Arc<Catalog>) {
        self.blocks.attach(catalog);
    }

    /// Copies the records of a payload that was received at `received`.
    pub fn push(&self, payload: &Payload, received: UnixNano) {
        self.push_unless(payload, received, None);
    }

    /// As [`Logs::push`], but for the records whose [`content_hash`] a replay knows to be in a block.
    pub fn push_unless(
        &self,
        payload: &Payload,
        received: UnixNano,
        held: Option<&dyn Fn(u64) -> bool>,
    ) {
        for resource in payload.logs() {
            for scope in resource.scopes() {
                let logs = scope.logs().map(|log| (LogMeta::of(&log, received), log.raw()));
                self.memory.push(&resource, &scope, received, logs, held);
            }
        }
    }

    /// How full memory is.
    pub fn stats(&self) -> Stats {
        self.memory.stats()
    }

    /// Records received before `cut`, for a block. They are found until [`Logs::release`].
    pub fn take(&self, cut: UnixNano) -> Rows<LogMeta> {
        self.memory.take(cut)
    }

    /// Forgets what [`Logs::take`] gave: a block holds it now.
    pub fn release(&self, rows: &Rows<LogMeta>) {
        self.memory.release(rows);
    }

    /// Records that match, in the order that the query asks for.
    ///
    /// # Errors
    /// A block cannot be read.
    pub fn search(&self, query: &LogQuery) -> Result<Page> {
        let mut newest = Newest::new(query);
        let rows = self.memory.rows();
        for chunk in newest.order(&rows.chunks) {
            if !newest.wants(chunk.times()) {
                continue;
            }
            for (row, raw) in chunk.iter() {
                if query.takes(&row.meta, &row.head, raw) {
                    let hash = content_hash(&row.head, raw);
                    newest.add(row.meta.time, hash, || LogRecord::of(&row.meta, &row.head, raw));
                }
            }
        }
        newest.memory_ends();
        self.blocks.each((query.start, query.end), query.forward, |block| {
            block::search(block, query, &mut newest).map(|()| true)
        })?;
        Ok(newest.page())
    }

    /// The number that the next record gets.
    pub fn newest(&self) -> u64 {
        self.memory.next()
    }

    /// Records in memory from `number` on that match, in the order they came, at most the query's
    /// limit; and the number to go on from.
    pub fn follow(&self, query: &LogQuery, number: u64) -> (Vec<LogRecord>, u64) {
        let (mut found, mut next) = (Vec::new(), number);
        for chunk in &self.memory.rows().chunks {
            for (n, row, raw) in chunk.after(number) {
                if found.len() >= query.limit {
                    return (found, next);
                }
                next = next.max(n + 1);
                if n >= number && query.takes(&row.meta, &row.head, raw) {
                    found.push(LogRecord::of(&row.meta, &row.head, raw));
                }
            }
        }
        (found, next)
    }
}

/// A block of these records, not yet in the catalog; none when there is no record.
///
/// # Errors
/// [`basics::Kind::Retry`] when it cannot be written.
pub fn write_block(catalog: &Catalog, rows: &Rows<LogMeta>) -> Result<Option<BlockInfo>> {
    crate::rows::write::write_block(catalog, rows)
}

/// Makes one block of several and commits it in their place; none when one of them is damaged.
///
/// # Errors
/// A block cannot be read now, or the new one not written.
pub fn compact(catalog: &Catalog, merge: &Merge) -> Result<Option<BlockInfo>> {
    crate::rows::read::compact::<LogMeta>(catalog, merge)
}

/// The [`content_hash`] of each record of a block.
///
/// # Errors
/// The block cannot be read.
pub fn block_hashes(catalog: &Catalog, info: &BlockInfo) -> Result<Vec<u64>> {
    crate::rows::read::hashes::<LogMeta>(catalog, info)
}

/// The record that `raw` encodes.
fn view(raw: &[u8]) -> LogView<'_> {
    LogView::from_raw(raw)
}
