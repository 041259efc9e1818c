// SPDX-License-Identifier: Apache-2.0
//! Whether an answer is the expected one: promqltest's rules, tolerance included.

use std::collections::HashMap;

use promql::testing::Item;
use promql::{FloatHistogram, MatrixEntry, Point, QueryResult, QueryValue, Sample};

use crate::script::{Eval, Expect, Text};

/// Relative difference that still counts as equal.
const EPSILON: f64 = 0.000001;

pub fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (size, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || size < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / size.min(f64::MAX) < EPSILON
}

pub fn notes(expect: &Expect, got: &QueryResult) -> Result<(), String> {
    check_notes("warning", &expect.warn, expect.no_warn, &got.warnings)?;
    check_notes("info", &expect.info, expect.no_info, &got.infos)
}

fn check_notes(kind: &str, want: &[Text], none: bool, got: &[String]) -> Result<(), String> {
    if none && !got.is_empty() {
        return Err(format!("expected no {kind}, got {got:?}"));
    }
    if want.is_empty() {
        return Ok(());
    }
    if !want.iter().all(|w| got.iter().any(|g| w.matches(g))) {
        return Err(format!("an expected {kind} is missing, got {got:?}"));
    }
    match got.iter().find(|g| !want.iter().any(|w| w.matches(g))) {
        Some(extra) => Err(format!("unexpected {kind} {extra:?}")),
        None => Ok(()),
    }
}

pub fn value(eval: &Eval, got: &QueryValue) -> Result<(), String> {
    let expect = &eval.expect;
    match got {
        QueryValue::String(got) => match &expect.string {
            Some(want) if want == got => Ok(()),
            want => Err(format!("expected {want:?}, got string {got:?}")),
        },
        QueryValue::Scalar(got) => match expect.scalar {
            Some(want) if almost_equal(want, *got) => Ok(()),
            want => Err(format!("expected {want:?}, got scalar {got}")),
        },
        QueryValue::Vector(entries) => {
            if expect.scalar.is_some() {
                return Err("expected a scalar, got a vector".into());
            }
            let matrix: Vec<MatrixEntry> = entries
                .iter()
                .map(|e| MatrixEntry {
                    labels: e.labels.clone(),
                    points: vec![Point { timestamp_ms: eval.start, sample: e.sample.clone() }]
                        .into(),
                })
                .collect();
            series(expect, &matrix, eval.start, 1)?;
            let order = entries.iter().zip(&expect.series).all(|(e, w)| e.labels == w.labels);
            match expect.ordered && !order {
                true => Err("the order differs".into()),
                false => Ok(()),
            }
        }
        QueryValue::Matrix(matrix) => {
            if !matrix.is_sorted_by(|a, b| a.labels <= b.labels) {
                return Err("the matrix is not sorted by labels".into());
            }
            let (start, step) = expect.range_vector.unwrap_or((eval.start, eval.step.max(1)));
            series(expect, matrix, start, step)
        }
    }
}

/// Every series there, no other, all points equal.
pub fn series(expect: &Expect, got: &[MatrixEntry], start: i64, step: i64) -> Result<(), String> {
    let mut by_labels = HashMap::new();
    for entry in got {
        if by_labels.insert(entry.labels.clone(), entry).is_some() {
            return Err(format!("{} appears twice", entry.labels));
        }
    }
    if let Some(extra) =
        got.iter().find(|e| !expect.series.iter().any(|want| want.labels == e.labels))
    {
        return Err(format!(
            "unexpected series {} {}",
            extra.labels,
            show(&extra.points.iter().collect::<Vec<_>>())
        ));
    }
    for want in &expect.series {
        let points: Vec<(i64, &Item)> = want
            .items
            .iter()
            .enumerate()
            .filter(|(_, item)| !matches!(item, Item::Blank))
            .map(|(i, item)| (start + step * i as i64, item))
            .collect();
        let got: Vec<Point> = match by_labels.get(&want.labels) {
            Some(entry) => entry.points.iter().collect(),
            None if points.is_empty() => continue,
            None => return Err(format!("{} is missing", want.labels)),
        };
        let equal = points.len() == got.len()
            && points.iter().zip(&got).all(|((time, item), point)| {
                *time == point.timestamp_ms && same_sample(item, &point.sample)
            });
        if !equal {
            return Err(format!("{} differs, got {}", want.labels, show(&got)));
        }
    }
    Ok(())
}

fn show(points: &[Point]) -> String {
    let parts: Vec<String> = points
        .iter()
        .map(|p| match &p.sample {
            Sample::Float(value) => format!("{value}@{}", p.timestamp_ms),
            Sample::Histogram(h) => format!("{h}#{:?}@{}", h.hint, p.timestamp_ms),
        })
        .collect();
    parts.join(" ")
}

fn same_sample(want: &Item, got: &Sample) -> bool {
    match (want, got) {
        (Item::Float(want), Sample::Float(got)) => almost_equal(*want, *got),
        (Item::Histogram { histogram, hint_given }, Sample::Histogram(got)) => {
            same_histogram(histogram, got) && (!hint_given || histogram.hint == got.hint)
        }
        _ => false,
    }
}

fn same_histogram(want: &FloatHistogram, got: &FloatHistogram) -> bool {
    let numbers = [
        (want.count, got.count),
        (want.sum, got.sum),
        (want.zero_count, got.zero_count),
        (want.zero_threshold, got.zero_threshold),
    ];
    let buckets = |a: &[(i32, f64)], b: &[(i32, f64)]| {
        a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.0 == y.0 && almost_equal(x.1, y.1))
    };
    let (w, g) = (want.clone().compacted(), got.clone().compacted());
    want.schema == got.schema
        && numbers.iter().all(|(a, b)| almost_equal(*a, *b))
        && want.bounds == got.bounds
        && buckets(&w.positive, &g.positive)
        && buckets(&w.negative, &g.negative)
}
