// SPDX-License-Identifier: Apache-2.0
//! Warnings and infos that go with a result, in Prometheus' wording.
//!
//! A note is kept once per text, with the last place as in Prometheus; the list is bounded, because a query over many metrics
//! could make one per metric name.

use std::fmt::Write;

use crate::ast::Span;
use crate::parse::line_and_column;

/// Most notes of each kind that a result carries.
const NOTES_MAX: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct Notes {
    warnings: Vec<(String, Span)>,
    infos: Vec<(String, Span)>,
}

impl Notes {
    pub(crate) fn warn(&mut self, span: Span, text: impl Into<String>) {
        push(&mut self.warnings, span, text.into());
    }

    pub(crate) fn info(&mut self, span: Span, text: impl Into<String>) {
        push(&mut self.infos, span, text.into());
    }

    /// Takes over what another part of the query noted.
    pub(crate) fn append(&mut self, other: Notes) {
        other.warnings.into_iter().for_each(|(text, span)| push(&mut self.warnings, span, text));
        other.infos.into_iter().for_each(|(text, span)| push(&mut self.infos, span, text));
    }

    /// The notes as the API shows them: `PromQL warning: text (line:column)`.
    pub(crate) fn render(self, query: &str) -> (Vec<String>, Vec<String>) {
        let render = |list: Vec<(String, Span)>, kind: &str| {
            list.into_iter()
                .map(|(text, span)| {
                    let (line, column) = line_and_column(query, span.start as usize);
                    format!("PromQL {kind}: {text} ({line}:{column})")
                })
                .collect()
        };
        (render(self.warnings, "warning"), render(self.infos, "info"))
    }
}

fn push(list: &mut Vec<(String, Span)>, span: Span, text: String) {
    if let Some((_, place)) = list.iter_mut().find(|(known, _)| *known == text) {
        *place = span;
    } else if list.len() < NOTES_MAX {
        list.push((text, span));
    }
}

/// `text for metric name "name"`, or `text` alone without a name.
pub(crate) fn for_metric(text: &str, name: &str) -> String {
    let mut out = text.to_owned();
    if !name.is_empty() {
        let _ = write!(out, " for metric name {name:?}");
    }
    out
}

pub(crate) const MIXED_FLOATS_HISTOGRAMS: &str = "encountered a mix of histograms and floats";
pub(crate) const MIXED_SCHEMAS: &str =
    "vector contains a mix of histograms with exponential and custom buckets schemas";
pub(crate) const MIXED_CLASSIC_NATIVE: &str =
    "vector contains a mix of classic and native histograms";
pub(crate) const BOUNDS_RECONCILED: &str = "mismatched custom buckets were reconciled during";
pub(crate) const HINTS_CONFLICT: &str = "conflicting counter resets during histogram";
