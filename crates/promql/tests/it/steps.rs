// SPDX-License-Identifier: Apache-2.0
//! Random queries over random data: never a panic, and each step of a range query answers what an
//! instant query at that time does.

use std::collections::BTreeMap;

use promql::testing::MemorySource;
use promql::{Context, Engine, Limits, QueryValue, Sample};
use proptest::prelude::*;

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(&["0", "1", "2.5", "-3", "0.9", "NaN", "Inf", "time()", "1e300"][..])
            .prop_map(str::to_owned),
        prop::sample::select(&["a", "b{x=\"1\"}"][..]).prop_map(|v| format!("scalar({v})")),
    ]
}

fn selector() -> impl Strategy<Value = String> {
    let names = ["a", "b", "c", "h", "{x=\"1\"}", "{__name__=~\"a|b\"}", "a{x!~\"1|2\"}", "none"];
    let names = prop::sample::select(names.to_vec());
    let modifiers = ["", "", "", " offset 70s", " @ 300", " offset -2m", " smoothed"];
    (names, prop::sample::select(modifiers.to_vec())).prop_map(|(n, m)| format!("{n}{m}"))
}

fn matrix(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec!["a", "b", "c", "h", "{x=\"1\"}"]);
    let windows = ["[1m]", "[5m]", "[3m7s]", "[5m] offset 1m", "[4m] @ 400", "[4m] @ end()"];
    prop_oneof![
        (names, prop::sample::select(windows.to_vec())).prop_map(|(n, w)| format!("{n}{w}")),
        (inner, prop::sample::select(vec!["[5m:1m]", "[3m:20s]", "[2m:30s] offset 1m"]))
            .prop_map(|(e, w)| format!("({e}){w}")),
    ]
}

fn calls(inner: BoxedStrategy<String>) -> impl Strategy<Value = String> {
    let over_time = [
        "rate",
        "increase",
        "delta",
        "irate",
        "idelta",
        "changes",
        "resets",
        "deriv",
        "avg_over_time",
        "sum_over_time",
        "min_over_time",
        "max_over_time",
        "count_over_time",
        "last_over_time",
        "first_over_time",
        "stddev_over_time",
        "mad_over_time",
        "present_over_time",
        "ts_of_max_over_time",
        "absent_over_time",
    ];
    let simple = [
        "abs",
        "ceil",
        "sgn",
        "ln",
        "timestamp",
        "hour",
        "day_of_year",
        "absent",
        "round",
        "histogram_count",
        "histogram_sum",
        "histogram_avg",
        "histogram_stddev",
        "info",
    ];
    let with_scalar = ["clamp_min", "clamp_max", "round"];
    prop_oneof![
        (prop::sample::select(over_time.to_vec()), matrix(inner.clone()))
            .prop_map(|(f, m)| format!("{f}({m})")),
        (prop::sample::select(simple.to_vec()), inner.clone())
            .prop_map(|(f, v)| format!("{f}({v})")),
        (prop::sample::select(with_scalar.to_vec()), inner.clone(), scalar())
            .prop_map(|(f, v, s)| format!("{f}({v}, {s})")),
        (scalar(), matrix(inner.clone()))
            .prop_map(|(s, m)| format!("quantile_over_time({s}, {m})")),
        (matrix(inner.clone()), scalar()).prop_map(|(m, s)| format!("predict_linear({m}, {s})")),
        (scalar(), inner.clone()).prop_map(|(s, v)| format!("histogram_quantile({s}, {v})")),
        (scalar(), inner.clone()).prop_map(|(s, v)| format!("histogram_fraction(-1, {s}, {v})")),
        inner.prop_map(|v| format!("label_replace({v}, \"y\", \"$1\", \"x\", \"(.*)\")")),
    ]
}

/// A well-formed query that yields an instant vector.
pub fn vector() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![selector(), scalar().prop_map(|s| format!("vector({s})"))];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let inner = inner.boxed();
        let ops =
            ["+", "-", "*", "/", "%", "^", "==", "!=", ">", "<=", "> bool", "atan2", "</", ">/"];
        let matching = [
            "+",
            "/ on(x)",
            "> ignoring(x)",
            "* on(x) group_left()",
            "- on(x) group_right(y)",
            "and",
            "or",
            "unless on(x)",
            "+ fill(0)",
        ];
        let aggregators = ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];
        let by = ["", "by (x) ", "without (x) ", "by (__name__) "];
        let ranked = ["quantile", "limitk", "limit_ratio", "topk", "bottomk"];
        prop_oneof![
            (inner.clone(), prop::sample::select(ops.to_vec()), scalar())
                .prop_map(|(l, o, r)| format!("({l}) {o} {r}")),
            (inner.clone(), prop::sample::select(matching.to_vec()), inner.clone())
                .prop_map(|(l, o, r)| format!("({l}) {o} ({r})")),
            (
                prop::sample::select(aggregators.to_vec()),
                prop::sample::select(by.to_vec()),
                inner.clone()
            )
                .prop_map(|(a, b, v)| format!("{a} {b}({v})")),
            (
                prop::sample::select(ranked.to_vec()),
                prop::sample::select(by.to_vec()),
                scalar(),
                inner.clone()
            )
                .prop_map(|(a, b, s, v)| format!("{a} {b}({s}, {v})")),
            inner.clone().prop_map(|v| format!("count_values(\"v\", {v})")),
            inner.clone().prop_map(|v| format!("-({v})")),
            calls(inner),
        ]
    })
}

/// Lines of points for a series: numbers with gaps, ends, resets and odd values.
fn points() -> impl Strategy<Value = String> {
    let item = prop_oneof![
        6 => (0..100u32).prop_map(|n| n.to_string()),
        2 => Just("_".to_owned()),
        1 => prop::sample::select(vec!["stale", "NaN", "Inf", "-4.5", "_x4", "3+2x4", "1e300"])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec(item, 8..24).prop_map(|items| items.join(" "))
}

fn histograms() -> impl Strategy<Value = String> {
    let item = prop_oneof![
        4 => (1..9u32, -1..3i32).prop_map(|(n, schema)| format!(
            "{{{{schema:{schema} count:{} sum:{n} z_bucket:1 z_bucket_w:0.01 buckets:[{n} 2] \
             n_buckets:[1]}}}}", n + 4)),
        1 => (1..9u32).prop_map(|n| format!(
            "{{{{schema:-53 count:{} sum:{n} custom_values:[1 5] buckets:[{n} 1 2]}}}}", n + 3)),
        2 => Just("_".to_owned()),
        1 => Just("7".to_owned()),
    ];
    prop::collection::vec(item, 6..16).prop_map(|items| items.join(" "))
}

fn source() -> impl Strategy<Value = MemorySource> {
    (prop::collection::vec(points(), 6), histograms(), histograms()).prop_map(|(p, h1, h2)| {
        let mut source = MemorySource::default();
        let lines = [
            format!("a{{x=\"1\"}} {}", p[0]),
            format!("a{{x=\"2\"}} {}", p[1]),
            format!("b{{x=\"1\",y=\"u\"}} {}", p[2]),
            format!("b{{x=\"1\",y=\"v\"}} {}", p[3]),
            format!("c{{le=\"1\"}} {}", p[4]),
            format!("c{{le=\"+Inf\"}} {}", p[5]),
            format!("h{{x=\"1\"}} {h1}"),
            format!("h{{x=\"3\"}} {h2}"),
            "target_info{instance=\"i\",job=\"j\",data=\"d\"} 1x20".to_owned(),
        ];
        source.load("47s", &lines).expect("the generated notation is valid");
        source
    })
}

fn close(a: f64, b: f64) -> bool {
    let size = a.abs().max(b.abs());
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * size
}

fn close_buckets(a: &[(i32, f64)], b: &[(i32, f64)]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.0 == y.0 && close(x.1, y.1))
}

/// Equal up to rounding: ranking reorders what an aggregation adds up.
fn same(a: &Sample, b: &Sample) -> bool {
    match (a, b) {
        (Sample::Float(a), Sample::Float(b)) => close(*a, *b),
        (Sample::Histogram(a), Sample::Histogram(b)) => {
            (a.hint, a.schema) == (b.hint, b.schema)
                && close(a.count, b.count)
                && close(a.sum, b.sum)
                && close(a.zero_count, b.zero_count)
                && close_buckets(&a.positive, &b.positive)
                && close_buckets(&a.negative, &b.negative)
        }
        _ => false,
    }
}

const STEP: i64 = 61_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn each_step_of_a_range_answers_as_an_instant_query(source in source(), query in vector()) {
        let engine = Engine::new(Limits { samples_max: 200_000, ..Limits::default() });
        let context = Context::default();
        let asks_bounds = query.contains("end()");
        let range = (0, STEP * 12);
        let result = engine.range(&source, &query, range, STEP, &context);
        let mut by_step: BTreeMap<i64, BTreeMap<String, Sample>> = BTreeMap::new();
        if let Ok(result) = &result {
            let QueryValue::Matrix(matrix) = &result.value else { panic!("not a matrix") };
            for entry in matrix {
                for point in entry.points.iter() {
                    let at = by_step.entry(point.timestamp_ms).or_default();
                    at.insert(entry.labels.to_string(), point.sample.clone());
                }
            }
        }
        for step in 0..=12 {
            let time = STEP * step;
            let Ok(instant) = engine.instant(&source, &query, time, &context) else { continue };
            if result.is_err() || asks_bounds {
                continue;
            }
            let QueryValue::Vector(entries) = instant.value else { panic!("not a vector") };
            let got: BTreeMap<String, Sample> =
                entries.into_iter().map(|e| (e.labels.to_string(), e.sample)).collect();
            let want = by_step.remove(&time).unwrap_or_default();
            let equal = got.len() == want.len()
                && got.iter().all(|(labels, a)| want.get(labels).is_some_and(|b| same(a, b)));
            prop_assert!(equal, "at {}: {:?} is not {:?}", time, got, want);
        }
    }
}
