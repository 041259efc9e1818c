// SPDX-License-Identifier: Apache-2.0
//! A trace in one line of a list.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use otlp_wire::{Payload, StatusCode, TraceId};

/// One trace, as far as its spans are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceSummary {
    /// Its id.
    pub trace_id: TraceId,
    /// Service of the root span; of the earliest span while the root is missing.
    pub service: String,
    /// Name of that span.
    pub name: String,
    /// Start of the earliest span, Unix nanoseconds.
    pub start: u64,
    /// Latest end of a span, Unix nanoseconds.
    pub end: u64,
    /// Number of spans.
    pub spans: usize,
    /// Number of spans with status error.
    pub errors: usize,
    /// Number of spans whose parent is not there.
    pub orphans: usize,
    /// Its services, ascending by name.
    pub services: Vec<ServiceSpans>,
}

/// A service's part in a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSpans {
    /// The service.
    pub name: String,
    /// Its spans.
    pub spans: usize,
    /// Those with status error.
    pub errors: usize,
}

impl TraceSummary {
    /// The summary of `trace`.
    pub fn of(trace_id: TraceId, trace: &Payload) -> TraceSummary {
        let mut all = TraceSummary { trace_id, start: u64::MAX, ..TraceSummary::default() };
        let mut services: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let (mut ids, mut parents) = (HashSet::new(), Vec::new());
        let mut head: Option<(bool, u64)> = None;
        for resource in trace.traces() {
            let name = resource.attr("service.name").map(|name| name.text().into_owned());
            let service = name.unwrap_or_default();
            for span in resource.scopes().flat_map(|scope| scope.spans()) {
                let is_error = usize::from(span.status() == StatusCode::Error);
                let counts = services.entry(service.clone()).or_default();
                *counts = (counts.0 + 1, counts.1 + is_error);
                all.spans += 1;
                all.errors += is_error;
                all.start = all.start.min(span.start());
                all.end = all.end.max(span.end());
                ids.insert(span.span_id());
                parents.extend(span.parent_span_id());
                let mine = (span.parent_span_id().is_some(), span.start());
                if head.is_none_or(|best| mine < best) {
                    head = Some(mine);
                    all.service.clone_from(&service);
                    all.name = span.name().to_owned();
                }
            }
        }
        all.start = if all.spans == 0 { 0 } else { all.start };
        all.orphans = parents.into_iter().filter(|parent| !ids.contains(&Some(*parent))).count();
        let services = services.into_iter();
        all.services =
            services.map(|(name, (spans, errors))| ServiceSpans { name, spans, errors }).collect();
        all
    }

    /// From the earliest start to the latest end, nanoseconds.
    pub fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}
