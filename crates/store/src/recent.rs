// SPDX-License-Identifier: Apache-2.0
//! The newest traces and logs, for a plain recent list, until there are blocks to search.
//!
//! In: payloads, kept as the bytes they are (a refcount). Out: plain structs, newest first, made by
//! walking the kept payloads at each question: a full ring takes some tens of milliseconds.
//! Bounds: [`RecentLimits`]; the oldest payload goes first, whole.

mod logs;
mod traces;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use otlp_wire::{Attrs, Payload, ResourceView};
use parking_lot::Mutex;

pub use logs::{LogQuery, LogRecord, RecentLogs};
pub use traces::{RecentTraces, SpanEvent, SpanRecord, TraceQuery, TraceSummary};

/// Attributes as text, in wire order.
pub type Attributes = Vec<(String, String)>;

/// Bounds of a ring.
#[derive(Clone, Copy, Debug)]
pub struct RecentLimits {
    /// Most bytes of payloads. 16 MiB: some 50,000 spans, walked in about 10 ms, and a third of
    /// what an idle process may take.
    pub bytes_max: usize,
    /// Most spans or log records. 100,000: bounds the answer's work where items are tiny.
    pub items_max: usize,
}

impl Default for RecentLimits {
    fn default() -> Self {
        RecentLimits { bytes_max: 16 << 20, items_max: 100_000 }
    }
}

/// How full a ring is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecentStats {
    /// Bytes of payloads kept.
    pub bytes: u64,
    /// Spans or log records kept.
    pub items: u64,
    /// Spans or log records let go since the start.
    pub dropped: u64,
}

/// The newest payloads of one signal.
#[derive(Debug)]
struct Ring {
    limits: RecentLimits,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    payloads: VecDeque<Payload>,
    stats: RecentStats,
}

impl Ring {
    fn new(limits: RecentLimits) -> Self {
        Ring { limits, kept: Mutex::default() }
    }

    fn push(&self, payload: &Payload) {
        let mut kept = self.kept.lock();
        let kept = &mut *kept;
        kept.stats.bytes += payload.len() as u64;
        kept.stats.items += u64::from(payload.items());
        kept.payloads.push_back(payload.clone());
        while kept.stats.bytes > self.limits.bytes_max as u64
            || kept.stats.items > self.limits.items_max as u64
        {
            let Some(oldest) = kept.payloads.pop_front() else { return };
            kept.stats.bytes -= oldest.len() as u64;
            kept.stats.items -= u64::from(oldest.items());
            kept.stats.dropped += u64::from(oldest.items());
        }
    }

    /// The payloads kept, newest first.
    fn payloads(&self) -> Vec<Payload> {
        self.kept.lock().payloads.iter().rev().cloned().collect()
    }

    fn stats(&self) -> RecentStats {
        self.kept.lock().stats
    }
}

fn attributes(attrs: Attrs<'_>) -> Attributes {
    attrs.iter().map(|(key, value)| (key.to_owned(), value.text().into_owned())).collect()
}

fn service_of(resource: ResourceView<'_>) -> String {
    resource.attr("service.name").map(|name| name.text().into_owned()).unwrap_or_default()
}
