// SPDX-License-Identifier: Apache-2.0
use super::*;
use proptest::prelude::*;

const SUM: &str =
    "rules: [{name: s, model_name: sum, inputs: [http, grpc], outputs: [{name: total}]}]";

fn totals(points: &[Point]) -> Vec<(String, f64)> {
    let strip = |(series, value): (String, f64)| (series.replace("host.name=", ""), value);
    values(points).into_iter().map(strip).collect()
}

#[test]
fn inputs_are_joined_on_the_attributes_they_share() {
    for (what, batch, expected) in [
        (
            "equal attributes in another order",
            vec![("h", "http", "a=1,b=2", 0, 1.0), ("h", "grpc", "b=2,a=1", 0, 10.0)],
            vec![("h | total{a=1,b=2}", 11.0)],
        ),
        (
            "one side has fewer: it is used for each it fits",
            vec![
                ("h", "http", "m=get,code=200", 0, 1.0),
                ("h", "http", "m=get,code=500", 0, 2.0),
                ("h", "http", "m=put,code=200", 0, 4.0),
                ("h", "grpc", "m=get", 0, 10.0),
                ("h", "grpc", "m=put", 0, 20.0),
            ],
            vec![
                ("h | total{code=200,m=get}", 11.0),
                ("h | total{code=200,m=put}", 24.0),
                ("h | total{code=500,m=get}", 12.0),
            ],
        ),
        (
            "none at all on one side",
            vec![
                ("h", "http", "", 0, 1.0),
                ("h", "grpc", "s=a", 0, 10.0),
                ("h", "grpc", "s=b", 0, 20.0),
            ],
            vec![("h | total{s=a}", 11.0), ("h | total{s=b}", 21.0)],
        ),
        (
            "different keys: the result carries the common ones",
            vec![("h", "http", "m=get,x=1", 0, 1.0), ("h", "grpc", "m=get,y=2", 0, 10.0)],
            vec![("h | total{m=get}", 11.0)],
        ),
        (
            "different values",
            vec![("h", "http", "m=get", 0, 1.0), ("h", "grpc", "m=put", 0, 10.0)],
            vec![],
        ),
    ] {
        let out = subject(SUM).take(&payload(&batch));
        assert_eq!(totals(&out), pairs(&expected), "{what}");
    }
}

/// Defect 3: inputs of different hosts were mixed.
#[test]
fn different_resources_are_never_mixed() {
    let mut subject = subject(SUM);
    let out = subject.take(&payload(&[
        ("h1", "http", "", 0, 1.0),
        ("h2", "http", "", 0, 2.0),
        ("h2", "grpc", "", 0, 20.0),
        ("h1", "grpc", "", 0, 10.0),
        ("h3", "grpc", "", 0, 30.0),
    ]));
    assert_eq!(totals(&out), pairs(&[("h1 | total{}", 11.0), ("h2 | total{}", 22.0)]));
}

#[test]
fn inputs_in_separate_batches_meet_when_close_in_time() {
    let mut subject = subject(SUM);
    let mut one = |metric, seconds, value| {
        totals(&subject.take(&payload(&[("h", metric, "s=a", seconds, value)])))
    };
    assert_eq!(one("http", 0, 1.0), []);
    assert_eq!(one("grpc", 2, 10.0), pairs(&[("h | total{s=a}", 11.0)]));
    // Used once: the next row needs a new point of each.
    assert_eq!(one("grpc", 5, 20.0), []);
    assert_eq!(one("http", 5, 2.0), pairs(&[("h | total{s=a}", 22.0)]));
    // Too far apart, even by default.
    assert_eq!(one("http", 10, 3.0), []);
    assert_eq!(one("grpc", 100, 30.0), []);
    assert_eq!(one("http", 101, 4.0), pairs(&[("h | total{s=a}", 34.0)]));
}

#[test]
fn a_lost_point_does_not_shift_those_that_follow() {
    let mut subject = subject(SUM);
    let mut rows = Vec::new();
    for i in 0..20u64 {
        // grpc always comes first; http of cycle 7 and grpc of cycle 12 are lost.
        for (metric, lost, value) in [("grpc", 12, 1000.0 * i as f64), ("http", 7, i as f64)] {
            if i != lost {
                let seconds = i * 5 + u64::from(metric == "http");
                rows.extend(subject.take(&payload(&[("h", metric, "", seconds, value)])));
            }
        }
    }
    let expected: Vec<f64> =
        (0..20u32).filter(|i| *i != 7 && *i != 12).map(|i| f64::from(i * 1001)).collect();
    assert_eq!(rows.iter().map(|p| p.value.as_f64()).collect::<Vec<_>>(), expected);
}

#[test]
fn the_tolerance_is_the_users() {
    let mut subject = subject(&format!("data_handling: {{timestamp_tolerance: 500}}\n{SUM}"));
    subject.take(&payload(&[("h", "http", "", 0, 1.0)]));
    assert_eq!(subject.take(&payload(&[("h", "grpc", "", 1, 10.0)])), []);
    assert_eq!(subject.skipped("s", "unmatched"), 1.0);
    let out = subject.take(&payload(&[("h", "http", "", 1, 2.0)]));
    assert_eq!(totals(&out), pairs(&[("h | total{}", 12.0)]));
}

#[test]
fn points_of_one_batch_pair_by_time_whatever_their_order() {
    let series = |metric| (0..10).map(move |i| ("h", metric, "", i, i as f64));
    let together: Vec<_> = series("http").chain(series("grpc")).collect();
    let expected: Vec<f64> = (0..10).map(|i| f64::from(i * 2)).collect();
    let got = |points: Vec<Point>| points.iter().map(|p| p.value.as_f64()).collect::<Vec<_>>();
    assert_eq!(got(subject(SUM).take(&payload(&together))), expected);
    let mut apart = subject(SUM);
    apart.take(&payload(&series("http").collect::<Vec<_>>()));
    assert_eq!(got(apart.take(&payload(&series("grpc").rev().collect::<Vec<_>>()))), expected);
}

#[test]
fn a_row_that_fits_in_several_ways_is_counted_not_guessed() {
    let mut subject = subject(SUM);
    let out = subject.take(&payload(&[
        ("h", "http", "m=get,x=1", 0, 1.0),
        ("h", "http", "m=get,x=2", 0, 2.0),
        ("h", "grpc", "m=get,y=1", 0, 10.0),
    ]));
    assert_eq!(out, []);
    assert_eq!(subject.skipped("s", "ambiguous"), 3.0);
}

#[test]
fn points_that_wait_for_nobody_are_dropped_in_the_end() {
    let mut subject = subject(SUM);
    let lonely: Vec<_> = (0..100).map(|i| ("h", "http", "", i, 1.0)).collect();
    subject.take(&payload(&lonely));
    assert_eq!(subject.skipped("s", "unmatched"), 100.0 - super::super::join::PENDING_MAX as f64);
}

#[test]
fn one_input_used_twice_with_different_selectors_is_two_inputs() {
    let yaml = "rules: [{model_name: sum, inputs: ['cpu{state=\"user\"}', 'cpu{state=\"system\"}'], outputs: [{name: busy}]}]";
    let out = subject(yaml).take(&payload(&[
        ("h", "cpu", "core=0,state=user", 0, 1.0),
        ("h", "cpu", "core=0,state=system", 0, 2.0),
        ("h", "cpu", "core=0,state=idle", 0, 4.0),
    ]));
    assert_eq!(totals(&out), pairs(&[("h | busy{core=0}", 3.0)]));
}

proptest! {
    #[test]
    fn every_point_is_used_at_most_once_and_only_with_near_ones(
        points in prop::collection::vec((0usize..2, 0u64..400, 0usize..4), 1..80),
        cuts in prop::collection::vec(1usize..10, 1..40),
    ) {
        let yaml = format!("data_handling: {{timestamp_tolerance: 5000}}\n{SUM}");
        let mut subject = subject(&yaml);
        let names = ["http", "grpc"];
        let labels = ["s=0", "s=1", "s=2", "s=3"];
        // Values are distinct powers in disjoint ranges, so a sum tells its parts.
        let list: Vec<_> = points
            .iter()
            .enumerate()
            .map(|(i, (input, time, label))| {
                let value = if *input == 0 { i as f64 } else { i as f64 * 1000.0 };
                ("h", names[*input], labels[*label], *time, value)
            })
            .collect();
        let mut rest = list.as_slice();
        let mut out = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            out.extend(subject.take(&payload(now)));
            rest = later;
        }
        let mut used = std::collections::HashSet::new();
        for point in &out {
            let sum = point.value.as_f64() as usize;
            let (http, grpc) = (sum % 1000, sum / 1000);
            prop_assert!(used.insert((0, http)) && used.insert((1, grpc)));
            prop_assert_eq!(points[http].0, 0);
            prop_assert_eq!(points[grpc].0, 1);
            prop_assert_eq!(points[http].2, points[grpc].2);
            prop_assert!(points[http].1.abs_diff(points[grpc].1) <= 5);
        }
    }
}
