// SPDX-License-Identifier: Apache-2.0
//! Which records match, in which order they are given, and where a page ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashSet;
use otlp_wire::{Attrs, SpanId, TraceId};

use super::{LogMeta, view};
use crate::rows::{Chunk, RowHead};

/// Attributes as text, in wire order.
pub type Attributes = Vec<(String, String)>;

/// What is asked of a record; all of it together. The default matches every record.
#[derive(Clone, Debug)]
pub struct LogQuery {
    /// Only records whose resource has these attributes, as text; `service` is `service.name`.
    pub labels: Vec<(String, String)>,
    /// Only records with these attributes, as text.
    pub attributes: Vec<(String, String)>,
    /// Only records whose body holds this text.
    pub contains: String,
    /// Letters of either case are the same in `contains`.
    pub ignore_case: bool,
    /// Only records at least this severe (1 to 24).
    pub severity_min: i32,
    /// Only records of this trace.
    pub trace_id: Option<TraceId>,
    /// Earliest time, Unix nanoseconds.
    pub start: u64,
    /// Latest time, Unix nanoseconds.
    pub end: u64,
    /// The earliest first, instead of the latest.
    pub forward: bool,
    /// Only records behind this one in the order of the answer.
    pub after: Option<Cursor>,
    /// Most records given.
    pub limit: usize,
}

impl Default for LogQuery {
    fn default() -> Self {
        LogQuery {
            labels: Vec::new(),
            attributes: Vec::new(),
            contains: String::new(),
            ignore_case: false,
            severity_min: 0,
            trace_id: None,
            start: 0,
            end: u64::MAX,
            forward: false,
            after: None,
            limit: 100,
        }
    }
}

/// A record's place in order: its time and its content's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// Its time, Unix nanoseconds.
    pub time: u64,
    /// [`crate::rows::content_hash`].
    pub hash: u64,
}

/// Records in order, and where the next page begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The records.
    pub records: Vec<LogRecord>,
    /// What to give as [`LogQuery::after`] for more; none when all has been given.
    pub next: Option<Cursor>,
}

/// One log record.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// When it happened, Unix nanoseconds; when it was seen if that is unknown.
    pub time: u64,
    /// 1 to 24 (TRACE to FATAL4), 0 for unknown.
    pub severity_number: i32,
    /// The severity as the source wrote it.
    pub severity_text: String,
    /// Service that made it.
    pub service: String,
    /// The message as text.
    pub body: String,
    /// Trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// Span it belongs to.
    pub span_id: Option<SpanId>,
    /// Its attributes.
    pub attributes: Attributes,
    /// Attributes of its resource.
    pub resource: Attributes,
    /// Name of the instrumentation library.
    pub scope: String,
}

impl LogRecord {
    pub(super) fn of(meta: &LogMeta, head: &RowHead, raw: &[u8]) -> LogRecord {
        let log = view(raw);
        LogRecord {
            time: meta.time,
            severity_number: log.severity_number(),
            severity_text: log.severity_text().to_owned(),
            service: head.service.to_string(),
            body: log.body().text().into_owned(),
            trace_id: log.trace_id(),
            span_id: log.span_id(),
            attributes: texts(log.attrs()),
            resource: texts(head.head.resource().attrs()),
            scope: head.head.scope().name().to_owned(),
        }
    }
}

fn texts(attrs: Attrs<'_>) -> Attributes {
    attrs.iter().map(|(key, value)| (key.to_owned(), value.text().into_owned())).collect()
}

impl LogQuery {
    /// True when a record satisfies all but the cursor.
    pub(super) fn takes(&self, meta: &LogMeta, head: &RowHead, raw: &[u8]) -> bool {
        (self.start..=self.end).contains(&meta.time)
            && meta.severity >= self.severity_min
            && self.trace_id.is_none_or(|id| id == meta.trace_id)
            && self.takes_head(head)
            && self.takes_content(raw)
    }

    /// True when what is above the records satisfies the labels.
    pub(super) fn takes_head(&self, head: &RowHead) -> bool {
        self.labels.iter().all(|(key, value)| match key.as_str() {
            "service" | "service.name" => **value == *head.service,
            key => head.head.resource().attr(key).is_some_and(|found| found.text() == *value),
        })
    }

    fn takes_content(&self, raw: &[u8]) -> bool {
        let log = view(raw);
        let has = |(key, value): &(String, String)| {
            log.attr(key).is_some_and(|found| found.text() == *value)
        };
        self.attributes.iter().all(has) && self.takes_text(&log.body().text())
    }

    /// True when a body holds the text.
    pub(super) fn takes_text(&self, body: &str) -> bool {
        match (self.contains.is_empty(), self.ignore_case) {
            (true, _) => true,
            (false, false) => body.contains(&self.contains),
            (false, true) => body.to_lowercase().contains(&self.contains.to_lowercase()),
        }
    }
}

/// The first records in the order of a query, while they are being met.
pub(super) struct Newest<'q> {
    query: &'q LogQuery,
    /// By place; a place has more than one record when they are the same.
    found: BTreeMap<Cursor, (LogRecord, usize)>,
    is_cut: bool,
    /// What memory has given; what it gave may be in a block already and counts once.
    of_memory: HashSet<Cursor>,
}

impl<'q> Newest<'q> {
    pub(super) fn new(query: &'q LogQuery) -> Self {
        Newest { query, found: BTreeMap::new(), is_cut: false, of_memory: HashSet::new() }
    }

    /// Chunks in the order in which they are best read.
    pub(super) fn order<'c>(&self, chunks: &'c [Arc<Chunk<LogMeta>>]) -> Vec<&'c Chunk<LogMeta>> {
        let mut order: Vec<&Chunk<LogMeta>> = chunks.iter().map(|chunk| &**chunk).collect();
        if self.query.forward {
            order.sort_by_key(|chunk| chunk.times().0);
        } else {
            order.sort_by_key(|chunk| std::cmp::Reverse(chunk.times().1));
        }
        order
    }

    /// True when records of these times may be among the first. Those that are passed over may be on
    /// the next page.
    pub(super) fn wants(&mut self, (tmin, tmax): (u64, u64)) -> bool {
        let query = self.query;
        let is_asked = tmin <= query.end
            && tmax >= query.start
            && query.limit > 0
            && query.after.is_none_or(|after| match query.forward {
                true => tmax >= after.time,
                false => tmin <= after.time,
            });
        let is_behind = self.found.len() >= query.limit
            && match query.forward {
                true => self.found.last_key_value().is_some_and(|(last, _)| tmin > last.time),
                false => self.found.first_key_value().is_some_and(|(last, _)| tmax < last.time),
            };
        self.is_cut |= is_asked && is_behind;
        is_asked && !is_behind
    }

    /// What comes now is of blocks.
    pub(super) fn memory_ends(&mut self) {
        self.of_memory = self.found.keys().copied().collect();
    }

    pub(super) fn add(&mut self, time: u64, hash: u64, record: impl FnOnce() -> LogRecord) {
        let (place, query) = (Cursor { time, hash }, self.query);
        let behind = match (query.after, query.forward) {
            (None, _) => true,
            (Some(after), true) => place > after,
            (Some(after), false) => place < after,
        };
        if !behind || query.limit == 0 {
            return;
        }
        if let Some((_, times)) = self.found.get_mut(&place) {
            *times += usize::from(!self.of_memory.contains(&place));
            return;
        }
        if self.found.len() >= query.limit {
            self.is_cut = true;
            let last = if query.forward {
                self.found.last_key_value()
            } else {
                self.found.first_key_value()
            };
            let Some(last) = last.map(|(last, _)| *last) else { return };
            if (place > last) == query.forward {
                return;
            }
            self.found.remove(&last);
        }
        self.found.insert(place, (record(), 1));
    }

    pub(super) fn page(self) -> Page {
        let limit = self.query.limit;
        let mut page = Page::default();
        let places: Vec<(Cursor, (LogRecord, usize))> = if self.query.forward {
            self.found.into_iter().collect()
        } else {
            self.found.into_iter().rev().collect()
        };
        let mut last = None;
        for (place, (record, times)) in places {
            // The same record more than once stays together, so that a cursor cannot split it.
            if page.records.len() >= limit {
                page.next = last;
                return page;
            }
            page.records.extend(std::iter::repeat_n(record, times));
            last = Some(place);
        }
        page.next = last.filter(|_| self.is_cut);
        page
    }
}
