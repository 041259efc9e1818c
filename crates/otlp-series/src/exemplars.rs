// SPDX-License-Identifier: Apache-2.0
//! Exemplars as Prometheus keeps them.

use otlp_wire::ExemplarView;

use crate::names::label_name;

/// Prometheus takes exemplar labels of 128 characters in all; filtered attributes that would pass
/// that are left out, all of them.
const CHARS_MAX: usize = 128;

/// Labels of an exemplar, sorted, each once: trace and span id, then what the series left out.
pub fn exemplar_labels(exemplar: ExemplarView<'_>) -> Vec<(String, String)> {
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut labels = Vec::new();
    // All zero stands for none.
    let trace = exemplar.trace_id().filter(|id| id.iter().any(|byte| *byte != 0));
    let span = exemplar.span_id().filter(|id| id.iter().any(|byte| *byte != 0));
    labels.extend(trace.map(|id| ("trace_id".to_owned(), hex(&id))));
    labels.extend(span.map(|id| ("span_id".to_owned(), hex(&id))));
    let chars = |labels: &[(String, String)]| -> usize {
        labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum()
    };
    let mut filtered: Vec<(String, String)> = Vec::new();
    for (key, value) in exemplar.filtered_attrs().iter() {
        filtered.extend(label_name(key, false).map(|name| (name, value.text().into_owned())));
    }
    if chars(&labels) + chars(&filtered) <= CHARS_MAX {
        labels.extend(filtered);
    }
    labels.sort();
    labels.dedup_by(|next, kept| next.0 == kept.0);
    labels
}
