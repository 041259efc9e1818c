// SPDX-License-Identifier: Apache-2.0
//! Range functions have two forms: whole columns of plain numbers, and window by window for any
//! samples. A series whose start times are known, all as 0, takes the second: both must agree.

use std::collections::BTreeMap;

use basics::labels::Labels;
use promql::{Context, Engine, QueryValue, Sample, Select, Series, SeriesSource};

struct Data {
    series: Vec<Series>,
    with_starts: bool,
}

impl SeriesSource for Data {
    fn select(&self, select: &Select<'_>) -> basics::Result<Vec<Series>> {
        let cut = |series: &Series| {
            let times = &series.timestamps_ms;
            let from = times.partition_point(|t| *t < select.start_ms);
            let to = times.partition_point(|t| *t <= select.end_ms).max(from);
            let starts = if self.with_starts { to - from } else { 0 };
            Series {
                labels: series.labels.clone(),
                timestamps_ms: times[from..to].into(),
                values: series.values[from..to].into(),
                start_times_ms: vec![0; starts].into(),
                ..Series::default()
            }
        };
        Ok(self.series.iter().map(cut).collect())
    }
}

/// Counters with resets, gauges, constants; with gaps, markers, NaN and infinities among them.
fn series() -> Vec<Series> {
    let mut state = 7u64;
    let mut random = move |bound: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let stale = promql::number::stale();
    let make = |i: u64| {
        let (mut times, mut values) = (vec![], vec![]);
        let mut level = 1e3 * i as f64;
        for step in 0..600i64 {
            if i % 2 == 1 && random(9) == 0 {
                continue;
            }
            level = match i % 3 {
                0 if random(60) == 0 => 0.0,
                0 => level + random(100) as f64 / 7.0,
                1 => random(1_000) as f64 / 3.0 - 100.0,
                _ => level,
            };
            let odd = if i > 5 { random(40) } else { 40 };
            times.push(step * 15_000 + random(4) as i64);
            values.push(match odd {
                0 => stale,
                1 => f64::NAN,
                2 if i > 7 => f64::INFINITY,
                3 if i > 8 => f64::NEG_INFINITY,
                _ => level,
            });
        }
        Series {
            labels: Labels::new([("__name__", "m_total"), ("i", i.to_string().as_str())]),
            timestamps_ms: times.into(),
            values: values.into(),
            ..Series::default()
        }
    };
    (0..10).map(make).collect()
}

type Answer = BTreeMap<(String, i64), f64>;

fn ask(source: &Data, query: &str, step: i64) -> Answer {
    let range = (0, 9_000_000);
    let result = Engine::default().range(source, query, range, step, &Context::default());
    let QueryValue::Matrix(matrix) = result.expect("answers").value else { panic!("no matrix") };
    let points = matrix.iter().flat_map(|entry| {
        let labels = entry.labels.to_string();
        entry.points.iter().map(move |point| {
            let Sample::Float(value) = point.sample else { panic!("not a number") };
            ((labels.clone(), point.timestamp_ms), value)
        })
    });
    points.collect()
}

#[test]
fn both_forms_of_a_range_function_agree() {
    let plain = Data { series: series(), with_starts: false };
    let general = Data { series: series(), with_starts: true };
    let functions = [
        "rate",
        "increase",
        "delta",
        "irate",
        "idelta",
        "changes",
        "resets",
        "count_over_time",
        "present_over_time",
        "first_over_time",
        "last_over_time",
        "sum_over_time",
        "avg_over_time",
        "min_over_time",
        "max_over_time",
    ];
    let same = |a: f64, b: f64| {
        a.to_bits() == b.to_bits()
            || (a.is_nan() && b.is_nan())
            || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
    };
    for function in functions {
        for (window, step) in [("20s", 7_000), ("1m", 60_000), ("5m", 60_000), ("90m", 45_000)] {
            let query = format!("{function}(m_total[{window}])");
            let (a, b) = (ask(&plain, &query, step), ask(&general, &query, step));
            assert!(!a.is_empty(), "{query}");
            assert!(a.keys().eq(b.keys()), "{query}: other points");
            for ((at, a), b) in a.iter().zip(b.values()) {
                assert!(same(*a, *b), "{query} at {at:?}: {a} is not {b}");
            }
        }
    }
}

#[test]
fn more_lists_of_times_than_plans_are_kept_for_are_planned_anew() {
    let times = |i: i64| (0..200).map(|at| at * 15_000 + i % 170).collect();
    let series = (0..500).map(|i| Series {
        labels: Labels::new([("__name__", "m_total"), ("i", i.to_string().as_str())]),
        values: (0..200).map(|at| (at * i) as f64).collect(),
        timestamps_ms: times(i),
        ..Series::default()
    });
    let plain = Data { series: series.collect(), with_starts: false };
    let general = Data { series: plain.series.clone(), with_starts: true };
    let query = "increase(m_total[2m])";
    let (a, b) = (ask(&plain, query, 30_000), ask(&general, query, 30_000));
    assert!(a.len() > 40_000 && a.keys().eq(b.keys()));
    assert!(a.values().zip(b.values()).all(|(a, b)| (a - b).abs() <= 1e-12 * a.abs()));
}
