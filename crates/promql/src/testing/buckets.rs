// SPDX-License-Identifier: Apache-2.0
//! Classic histograms to native ones with custom bounds.

use std::collections::BTreeMap;

use basics::labels::{Labels, METRIC_NAME};

use super::{MemorySource, Stored};
use crate::histogram::{CUSTOM_SCHEMA, FloatHistogram};
use crate::parse::parse_number;

/// The classic series of one histogram at one time.
#[derive(Default)]
struct Classic {
    /// Upper bounds and cumulative counts, ascending.
    buckets: Vec<(f64, f64)>,
    sum: f64,
    count: Option<f64>,
}

pub(super) fn native_from_classic(source: &MemorySource) -> Vec<(Labels, i64, FloatHistogram)> {
    let mut found: BTreeMap<(Labels, i64), Classic> = BTreeMap::new();
    for (labels, points) in &source.series {
        let name = labels.name();
        for suffix in ["_bucket", "_sum", "_count"] {
            let Some(base) = name.strip_suffix(suffix) else { continue };
            let upper = parse_number(labels.get("le"));
            if suffix == "_bucket" && upper.is_none() {
                continue;
            }
            let key = labels.without(|l| l == "le").with(METRIC_NAME, base);
            for (time, sample) in &points.samples {
                let Stored::Float(value) = sample else { continue };
                let classic = found.entry((key.clone(), *time)).or_default();
                match (suffix, upper) {
                    ("_bucket", Some(upper)) => classic.buckets.push((upper, *value)),
                    ("_sum", _) => classic.sum = *value,
                    _ => classic.count = Some(*value),
                }
            }
        }
    }
    let native = |((labels, time), classic)| Some((labels, time, native(classic)?));
    found.into_iter().filter_map(native).collect()
}

fn native(mut classic: Classic) -> Option<FloatHistogram> {
    if classic.buckets.is_empty() {
        return None;
    }
    classic.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    classic.buckets.dedup_by(|later, first| later.0 == first.0);
    let highest = classic.buckets.last().map_or(0.0, |b| b.1);
    let count = classic.count.unwrap_or(highest);
    let bounds: Vec<f64> = classic.buckets.iter().map(|b| b.0).filter(|b| b.is_finite()).collect();
    if classic.buckets.last().is_none_or(|b| b.0.is_finite()) {
        classic.buckets.push((f64::INFINITY, count));
    }
    let mut before = 0.0;
    let mut positive = vec![];
    for (index, (_, cumulative)) in classic.buckets.iter().enumerate() {
        let inside = cumulative - before;
        if inside < 0.0 {
            return None;
        }
        if inside > 0.0 {
            positive.push((index as i32, inside));
        }
        before = *cumulative;
    }
    Some(FloatHistogram {
        schema: CUSTOM_SCHEMA,
        count,
        sum: classic.sum,
        positive,
        bounds: bounds.into(),
        ..FloatHistogram::default()
    })
}
