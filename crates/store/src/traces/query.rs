// SPDX-License-Identifier: Apache-2.0
//! Which spans match, and which traces they make.

use hashbrown::HashMap;
use otlp_wire::{FromRaw, SpanKind, SpanView, TraceId};

use super::SpanMeta;
use crate::rows::{Chunk, RowHead};

/// What is asked of a span; all of it together. The default matches every span.
#[derive(Clone, Debug)]
pub struct SpanQuery {
    /// Only spans of this service.
    pub service: Option<String>,
    /// Only spans of this name.
    pub operation: Option<String>,
    /// Only spans with these: attributes of the span, of an event or of the resource, as text.
    /// `error`, `span.kind` and `otel.status_code` are what the span's own fields say.
    pub tags: Vec<(String, String)>,
    /// Only spans of this kind.
    pub kind: Option<SpanKind>,
    /// Only spans of this status, as on the wire.
    pub status: Option<i32>,
    /// Earliest start, Unix nanoseconds.
    pub start: u64,
    /// Latest start, Unix nanoseconds.
    pub end: u64,
    /// Least duration, nanoseconds.
    pub duration_min: u64,
    /// Greatest duration, nanoseconds.
    pub duration_max: u64,
    /// Most traces given.
    pub limit: usize,
}

impl Default for SpanQuery {
    fn default() -> Self {
        SpanQuery {
            service: None,
            operation: None,
            tags: Vec::new(),
            kind: None,
            status: None,
            start: 0,
            end: u64::MAX,
            duration_min: 0,
            duration_max: u64::MAX,
            limit: 20,
        }
    }
}

impl SpanQuery {
    /// Adds the traces of a chunk's matching spans.
    pub(super) fn scan(&self, chunk: &Chunk<SpanMeta>, hits: &mut Hits) {
        if !chunk.touches(self.start, self.end) || hits.is_late_enough(chunk.times().1) {
            return;
        }
        for (row, raw) in chunk.iter() {
            if self.takes(&row.meta) && self.takes_more(&row.head, &row.meta, raw) {
                hits.add(row.meta.trace_id, row.meta.start);
            }
        }
    }

    fn takes(&self, meta: &SpanMeta) -> bool {
        (self.start..=self.end).contains(&meta.start)
            && (self.duration_min..=self.duration_max).contains(&meta.duration)
            && self.kind.is_none_or(|kind| kind as i32 == meta.kind)
            && self.status.is_none_or(|status| status == meta.status)
    }

    fn takes_more(&self, head: &RowHead, meta: &SpanMeta, raw: &[u8]) -> bool {
        let span = SpanView::from_raw(raw);
        self.service.as_ref().is_none_or(|service| **service == *head.service)
            && self.operation.as_ref().is_none_or(|name| name == span.name())
            && self.tags.iter().all(|(key, value)| has_tag(head, meta, &span, key, value))
    }
}

fn has_tag(head: &RowHead, meta: &SpanMeta, span: &SpanView<'_>, key: &str, value: &str) -> bool {
    let is = |found: otlp_wire::AnyValue<'_>| found.text() == value;
    if own_tag(meta.kind, meta.status, key).is_some_and(|own| own == value)
        || span.attr(key).is_some_and(is)
        || head.head.resource().attr(key).is_some_and(is)
    {
        return true;
    }
    if let ("otel.scope.name" | "otel.library.name", scope) = (key, head.head.scope()) {
        return scope.name() == value;
    }
    span.events().any(|event| event.attrs().get(key).is_some_and(is))
}

/// What a span's own fields say under the names that Jaeger shows them by.
pub(super) fn own_tag(kind: i32, status: i32, key: &str) -> Option<&'static str> {
    match key {
        "error" => Some(if status == 2 { "true" } else { "false" }),
        "span.kind" => kind_name(kind),
        "otel.status_code" => match status {
            1 => Some("OK"),
            2 => Some("ERROR"),
            _ => None,
        },
        _ => None,
    }
}

/// The kind as Jaeger writes it; none when it is not told.
pub fn kind_name(kind: i32) -> Option<&'static str> {
    match kind {
        1 => Some("internal"),
        2 => Some("server"),
        3 => Some("client"),
        4 => Some("producer"),
        5 => Some("consumer"),
        _ => None,
    }
}

/// The latest traces met so far.
#[derive(Debug)]
pub(super) struct Hits {
    limit: usize,
    /// Latest start of a matching span, by trace.
    found: HashMap<TraceId, u64, foldhash::fast::RandomState>,
    /// Nothing earlier can be among the latest; zero while there is room.
    floor: u64,
}

/// Traces held beyond the limit before the earliest go.
const SLACK: usize = 4096;

impl Hits {
    /// Room for the latest `limit` traces.
    pub(super) fn new(limit: usize) -> Hits {
        Hits { limit, found: HashMap::default(), floor: 0 }
    }

    /// A span that matches.
    pub(super) fn add(&mut self, trace: TraceId, start: u64) {
        if start < self.floor {
            return;
        }
        let latest = self.found.entry(trace).or_insert(start);
        *latest = start.max(*latest);
        if self.found.len() >= self.limit + SLACK {
            self.trim();
        }
    }

    /// True when there are enough traces that are all later than `time`.
    pub(super) fn is_late_enough(&mut self, time: u64) -> bool {
        if self.found.len() >= self.limit.max(1) {
            self.trim();
        }
        self.limit == 0 || self.floor > time
    }

    fn trim(&mut self) {
        let mut starts: Vec<u64> = self.found.values().copied().collect();
        if starts.len() < self.limit || self.limit == 0 {
            return;
        }
        let (_, least, _) = starts.select_nth_unstable_by(self.limit - 1, |a, b| b.cmp(a));
        self.floor = *least;
        let floor = self.floor;
        self.found.retain(|_, start| *start >= floor);
    }

    /// The ids, the latest first.
    pub(super) fn ids(self) -> Vec<TraceId> {
        let mut all: Vec<(u64, TraceId)> = self.found.into_iter().map(|(id, s)| (s, id)).collect();
        all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        all.truncate(self.limit);
        all.into_iter().map(|(_, id)| id).collect()
    }
}
