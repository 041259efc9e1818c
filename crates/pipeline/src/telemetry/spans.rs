// SPDX-License-Identifier: Apache-2.0
//! Own spans: the way of a sampled request from its receiver through a pipeline to each exporter.
//!
//! Off until someone subscribes; then of every n-th batch that reaches the end of a pipeline: one
//! span for the pipeline, from received to settled everywhere, and one below it for each exporter,
//! from handed over to settled. A full queue leaves spans out. Nothing waits for it.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use basics::UnixNano;
use tokio::sync::mpsc;

use crate::ack::Delivered;

/// Spans waiting to be sent out; the default of OpenTelemetry's batch processors.
pub const QUEUED_MAX: usize = 2048;

/// One finished span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnSpan {
    /// The request.
    pub trace_id: [u8; 16],
    /// This span.
    pub span_id: [u8; 8],
    /// The span above; zeros for the first.
    pub parent_id: [u8; 8],
    /// `pipeline/traces`, `exporter/otlp`.
    pub name: String,
    /// When it began.
    pub start: UnixNano,
    /// When it ended.
    pub end: UnixNano,
    /// Spans, points or records in the request.
    pub items: u64,
    /// What went wrong.
    pub error: Option<String>,
}

/// Where spans are given; clone = refcount.
#[derive(Clone, Default)]
pub struct Spans(Arc<Inner>);

#[derive(Default)]
struct Inner {
    out: OnceLock<(mpsc::Sender<OwnSpan>, u64)>,
    seen: AtomicU64,
    random: RandomState,
}

/// A request that is being followed; clone = refcount.
#[derive(Clone)]
pub(crate) struct Followed {
    spans: Spans,
    trace_id: [u8; 16],
    root_id: [u8; 8],
}

impl Spans {
    /// From now on the spans of every `every`-th batch come out of the result; once a process.
    pub fn subscribe(&self, every: u64) -> Option<mpsc::Receiver<OwnSpan>> {
        let (sender, receiver) = mpsc::channel(QUEUED_MAX);
        self.0.out.set((sender, every.max(1))).ok().map(|()| receiver)
    }

    /// Follows this batch if it is its turn.
    pub(crate) fn follow(&self) -> Option<Followed> {
        let (_, every) = self.0.out.get()?;
        let seen = self.0.seen.fetch_add(1, Ordering::Relaxed);
        if !seen.is_multiple_of(*every) {
            return None;
        }
        let id = |part: u8| self.0.random.hash_one((seen, part)).max(1).to_be_bytes();
        let mut trace_id = [0; 16];
        trace_id[..8].copy_from_slice(&id(0));
        trace_id[8..].copy_from_slice(&id(1));
        Some(Followed { spans: self.clone(), trace_id, root_id: id(2) })
    }
}

impl Followed {
    /// The span of the whole way has ended.
    pub fn root(&self, span: OwnSpan) {
        self.give(OwnSpan { trace_id: self.trace_id, span_id: self.root_id, ..span });
    }

    /// The span of exporter number `at` has ended.
    pub fn edge(&self, at: usize, span: OwnSpan) {
        let span_id = self.spans.0.random.hash_one((self.root_id, at)).max(1).to_be_bytes();
        let (trace_id, parent_id) = (self.trace_id, self.root_id);
        self.give(OwnSpan { trace_id, span_id, parent_id, ..span });
    }

    fn give(&self, span: OwnSpan) {
        if let Some((out, _)) = self.spans.0.out.get() {
            // A full queue leaves it out.
            let _ = out.try_send(span);
        }
    }
}

impl OwnSpan {
    /// One without ids.
    pub(crate) fn new(name: String, start: UnixNano, end: UnixNano, items: u64) -> Self {
        let (trace_id, span_id, parent_id) = Default::default();
        OwnSpan { trace_id, span_id, parent_id, name, start, end, items, error: None }
    }

    /// The same with what went wrong, if anything.
    pub(crate) fn with_outcome(self, outcome: &basics::Result<Delivered>) -> Self {
        let error = outcome.as_ref().err().map(|error| error.message().to_owned());
        OwnSpan { error, ..self }
    }
}
