// SPDX-License-Identifier: Apache-2.0
use std::collections::BTreeMap;
use std::sync::Arc;

use basics::labels::{Labels, MatchOp, Matcher};
use otlp_series::STALE;
use otlp_wire::Temporality;
use otlp_wire::write::{ExponentialBuckets, ExponentialHistogram, Histogram, Metrics};
use proptest::prelude::*;

use super::chunk::Chunk;
use super::registry::Registry;
use super::series::{Appended, Columns, Series};
use super::*;

const MS: u64 = 1_000_000;
/// Any time: tests begin here.
const NOW_MS: i64 = 1_700_000_000_000;
const NOW: u64 = NOW_MS as u64 * MS;

fn head(options: HeadOptions) -> Head {
    Head::new(options)
}

fn gauge(head: &Head, name: &str, samples: &[(i64, f64)], labels: &[(&str, &str)]) -> IngestReport {
    let mut w = Metrics::new();
    w.gauge(name, "", "", |p| {
        for (time, value) in samples {
            p.double(*time as u64 * MS, *value, |a| {
                labels.iter().for_each(|(key, value)| a.str(key, value));
            });
        }
    });
    head.ingest(&w.finish(), NOW)
}

fn is(name: &str, value: &str) -> Matcher {
    Matcher::new(MatchOp::Equal, name, value).unwrap()
}

fn all(head: &Head, matchers: &[Matcher]) -> Vec<SeriesData> {
    let mut found = head.select(matchers, i64::MIN, i64::MAX, 0).unwrap();
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    found
}

fn one(head: &Head, name: &str) -> SeriesData {
    let mut found = all(head, &[is("__name__", name)]);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Patterns that make sense as text and as regular expressions.
fn pattern() -> impl Strategy<Value = String> {
    let fixed = ["", "x.*", ".+", ".*", "x|", "[yz]|xx", "(x|y)?z"].map(str::to_owned).to_vec();
    prop_oneof!["[xyz]{1,2}", proptest::sample::select(fixed)]
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(1.0),
        Just(STALE),
        Just(-0.0),
        (0i32..500).prop_map(f64::from),
        any::<f64>(),
        any::<u64>().prop_map(f64::from_bits),
    ]
}

proptest! {
    #[test]
    fn a_chunk_gives_back_every_bit(
        start in -1_000_000i64..1_000_000,
        steps in proptest::collection::vec(prop_oneof![Just(15_000i64), 1i64..20_000, 1i64..1 << 40], 0..200),
        regular: bool,
        first in value(),
        more in proptest::collection::vec(value(), 200),
    ) {
        let mut times = vec![start];
        for step in &steps {
            let step = if regular { 15_000 } else { *step };
            times.push(times[times.len() - 1] + step);
        }
        let values: Vec<f64> = std::iter::once(first).chain(more).take(times.len()).collect();
        let times = &times[..values.len()];
        let samples: Vec<(i64, f64)> = times.iter().copied().zip(values.iter().copied()).collect();
        let chunk = Chunk::seal(&samples);
        let (mut t, mut v) = (vec![7], vec![7.0]);
        chunk.decode(&mut t, &mut v);
        prop_assert_eq!(&t[1..], times);
        prop_assert_eq!(bits(&v[1..]), bits(&values));
        prop_assert_eq!((chunk.first_ms(), chunk.last_ms()), (times[0], times[times.len() - 1]));
        prop_assert_eq!(chunk.count(), times.len());
    }

    /// The model: a sorted map. Newer than the newest: taken. Else the same time: duplicate or
    /// conflict. Else within the window: taken, beyond: too old.
    #[test]
    fn a_series_is_a_sorted_map_with_a_window(
        samples in proptest::collection::vec((0i64..2000, 0u8..3), 0..800),
        drift in 0i64..4,
        window in 0i64..600,
        range in (0i64..4000, 0i64..4000),
        prune in 0i64..3000,
    ) {
        let mut series = Series::default();
        let mut model: BTreeMap<i64, f64> = BTreeMap::new();
        for (i, (time, value)) in samples.iter().enumerate() {
            let (time, value) = (time + i as i64 * drift, f64::from(*value));
            let newest = model.keys().next_back().copied();
            let expected = match (newest, model.get(&time)) {
                (_, Some(known)) if *known == value => Appended::Duplicate,
                (_, Some(_)) => Appended::Conflict,
                (Some(newest), None) if time < newest - window => Appended::TooOld,
                (Some(newest), None) if time < newest => Appended::OutOfOrder,
                _ => Appended::InOrder,
            };
            if matches!(expected, Appended::InOrder | Appended::OutOfOrder) {
                model.insert(time, value);
            }
            prop_assert_eq!(series.append(time, value, window), expected, "at {}", time);
        }
        let (start, end) = (range.0.min(range.1), range.0.max(range.1));
        let mut read = Columns { times: vec![-1], values: vec![-1.0], ..Columns::default() };
        series.read(start, end, &mut read);
        let expected: Vec<(i64, f64)> = model.range(start..=end).map(|(t, v)| (*t, *v)).collect();
        let found: Vec<(i64, f64)> = read.times.iter().copied().zip(read.values.iter().copied()).skip(1).collect();
        prop_assert_eq!(&found, &expected);
        prop_assert!(series.touches(start, end) || expected.is_empty());
        prop_assert_eq!(series.count(), model.len());
        let gone = series.prune(prune);
        let left = model.split_off(&prune);
        prop_assert_eq!(gone, model.len());
        prop_assert_eq!(series.count(), left.len());
        prop_assert_eq!(series.oldest(), left.keys().next().copied());
        prop_assert_eq!(series.newest(), left.keys().next_back().copied());
    }

    #[test]
    fn postings_find_what_a_linear_scan_finds(
        sets in proptest::collection::vec(proptest::collection::btree_map("[abc]", "[xyz]{1,2}", 0..4), 1..60),
        matchers in proptest::collection::vec(("[abcd]", 0u8..4, pattern()), 0..4),
        remove in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut registry = Registry::default();
        let mut known: BTreeMap<u32, Labels> = BTreeMap::new();
        for set in &sets {
            let pairs: Vec<(&str, &str)> = set.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let id = registry.find_or_insert(&pairs);
            prop_assert_eq!(registry.find(&pairs), Some(id));
            let labels = Labels::new(pairs);
            prop_assert!(known.get(&id).is_none_or(|before| *before == labels));
            known.insert(id, labels);
        }
        for index in remove {
            let id = index.index(sets.len()) as u32;
            registry.remove(id);
            known.remove(&id);
        }
        prop_assert_eq!(registry.len(), known.len());
        let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
        let matchers: Vec<Matcher> = matchers
            .iter()
            .map(|(name, op, value)| Matcher::new(ops[usize::from(*op)], name, value).unwrap())
            .collect();
        let scanned: Vec<u32> = known
            .iter()
            .filter(|(_, labels)| matchers.iter().all(|m| m.matches(labels.get(&m.name))))
            .map(|(id, _)| *id)
            .collect();
        let found = registry.select(&matchers);
        prop_assert_eq!(found.iter().collect::<Vec<_>>(), scanned.clone());
        let mut names: Vec<&str> = scanned.iter().flat_map(|id| known[id].iter().map(|(n, _)| n)).collect();
        names.sort_unstable();
        names.dedup();
        let told = registry.label_names(Some(&found));
        prop_assert_eq!(told.iter().map(|n| &**n).collect::<Vec<_>>(), names);
        let mut values: Vec<&str> = scanned.iter().map(|id| known[id].get("a")).filter(|v| !v.is_empty()).collect();
        values.sort_unstable();
        values.dedup();
        let told = registry.label_values("a", Some(&found));
        prop_assert_eq!(told.iter().map(|v| &**v).collect::<Vec<_>>(), values);
    }
}

#[test]
fn duplicates_are_ignored_and_conflicts_counted() {
    let head = head(HeadOptions::default());
    let t = NOW_MS;
    gauge(&head, "g", &[(t - 10, 1.0), (t, 2.0)], &[]);
    let report = gauge(&head, "g", &[(t, 2.0), (t, 3.0), (t - 10, 1.0), (t - 5, 5.0)], &[]);
    assert_eq!((report.accepted, report.out_of_order, report.duplicates), (1, 1, 2));
    assert_eq!(report.rejected.iter().collect::<Vec<_>>(), [(Refusal::Conflict, 1)]);
    assert_eq!(one(&head, "g").values, [1.0, 5.0, 2.0]);
    assert_eq!(head.stats().samples, 3);
}

#[test]
fn times_out_of_bounds_are_refused_but_forecasts_may_lie_ahead() {
    let head = head(HeadOptions::default());
    let minute = 60_000;
    let ahead = [(NOW_MS + 9 * minute, 1.0), (NOW_MS + 11 * minute, 1.0)];
    assert_eq!(gauge(&head, "g", &ahead, &[]).rejected.get(Refusal::TooNew), 1);
    assert_eq!(gauge(&head, "g", &ahead, &[("ml_horizon", "15m")]).rejected.total(), 0);
    let old = [(NOW_MS - 8 * 24 * 60 * minute, 1.0), (0, 1.0)];
    assert_eq!(gauge(&head, "old", &old, &[]).rejected.get(Refusal::TooOld), 2);
    gauge(&head, "late", &[(NOW_MS, 1.0)], &[]);
    let late = [(NOW_MS - 59 * minute, 1.0), (NOW_MS - 61 * minute, 1.0)];
    let report = gauge(&head, "late", &late, &[]);
    assert_eq!((report.accepted, report.rejected.get(Refusal::TooOld)), (1, 1));
}

#[test]
fn a_histogram_point_is_one_rejected_point_however_many_samples_it_is() {
    let head = head(HeadOptions::default());
    let send = |times: &[i64]| {
        let mut w = Metrics::new();
        w.histogram("h", "", "", Temporality::Cumulative, |p| {
            for time in times {
                let bounds = [1.0, 2.0];
                let (explicit_bounds, bucket_counts) = (&bounds[..], &[1, 2, 3][..]);
                let sum = Some(9.0);
                let value =
                    Histogram { count: 6, sum, explicit_bounds, bucket_counts, ..<_>::default() };
                p.histogram(*time as u64 * MS, &value, |_| ());
            }
        });
        head.ingest(&w.finish(), NOW)
    };
    let report = send(&[NOW_MS, 0, NOW_MS + 3_600_000]);
    assert_eq!((report.points, report.rejected_points), (3, 2));
    // The buckets, sum and count of two points; `target_info` goes with the newest time.
    assert!(report.rejected.total() >= 10, "{report:?}");
    assert_eq!(send(&[NOW_MS]).rejected_points, 0);
    let unknown = gauge(&head, "", &[(NOW_MS, 1.0), (NOW_MS + 1, 2.0)], &[]);
    assert_eq!(unknown.rejected_points, 2, "{unknown:?}");
}

#[test]
fn a_second_value_within_a_millisecond_is_counted_but_no_mistake_of_the_sender() {
    let head = head(HeadOptions::default());
    let report = gauge(&head, "g", &[(NOW_MS, 1.0), (NOW_MS, 2.0)], &[]);
    assert_eq!((report.rejected.total(), report.rejected_points), (1, 0), "{report:?}");
}

#[test]
fn deltas_add_up_and_late_ones_are_refused() {
    let head = head(HeadOptions::default());
    let send = |time: i64, value: i64| {
        let mut w = Metrics::new();
        w.sum("hits", "", "", Temporality::Delta, true, |p| p.int(time as u64 * MS, value, |_| ()));
        head.ingest(&w.finish(), NOW)
    };
    for (time, value) in [(NOW_MS, 5), (NOW_MS + 1000, 2), (NOW_MS + 2000, 0)] {
        assert_eq!(send(time, value).accepted, 1);
    }
    assert_eq!(send(NOW_MS + 500, 9).rejected.get(Refusal::TooOld), 1);
    assert_eq!(send(NOW_MS + 2000, 9).rejected.get(Refusal::Conflict), 1);
    assert_eq!(one(&head, "hits_total").values, [5.0, 7.0, 7.0]);
}

#[test]
fn native_histograms_are_kept_and_deltas_of_them_add_up() {
    let head = head(HeadOptions::default());
    let send = |temporality, time: i64| {
        let mut w = Metrics::new();
        let value = ExponentialHistogram {
            count: 3,
            sum: Some(4.5),
            positive: ExponentialBuckets { offset: 0, counts: &[1, 2] },
            ..ExponentialHistogram::default()
        };
        let name = if temporality == Temporality::Delta { "d" } else { "c" };
        w.exponential_histogram(name, "s", "", temporality, |p| {
            p.exponential_histogram(time as u64 * MS, &value, |_| ());
        });
        head.ingest(&w.finish(), NOW)
    };
    for temporality in [Temporality::Delta, Temporality::Cumulative] {
        send(temporality, NOW_MS);
        assert_eq!(send(temporality, NOW_MS + 1000).accepted, 1);
    }
    assert_eq!(send(Temporality::Cumulative, NOW_MS).duplicates, 1);
    let sums = |name: &str| -> Vec<(i64, f64)> {
        one(&head, name).histograms.iter().map(|(t, h)| (*t - NOW_MS, h.sum)).collect()
    };
    assert_eq!(sums("d_seconds"), [(0, 4.5), (1000, 9.0)]);
    assert_eq!(sums("c_seconds"), [(0, 4.5), (1000, 4.5)]);
}

#[test]
fn beyond_the_limits_series_are_refused_by_reason_and_known_ones_go_on() {
    let limits = Limits {
        series_max: 3,
        labels_max: 3,
        label_name_bytes_max: 10,
        label_value_bytes_max: 10,
        ..Limits::default()
    };
    let head = head(HeadOptions { limits, ..HeadOptions::default() });
    let t = [(NOW_MS, 1.0)];
    let cases: [(&[(&str, &str)], Refusal); 3] = [
        (&[("a", "1"), ("b", "1"), ("c", "1")], Refusal::LabelsLimit),
        (&[("a", "12345678901")], Refusal::LabelLength),
        (&[("a1234567890", "1")], Refusal::LabelLength),
    ];
    for (labels, reason) in cases {
        assert_eq!(
            gauge(&head, "m", &t, labels).rejected.iter().collect::<Vec<_>>(),
            [(reason, 1)]
        );
    }
    for i in 0..5 {
        let refused = gauge(&head, "m", &t, &[("i", &i.to_string())]).rejected;
        assert_eq!(refused.get(Refusal::SeriesLimit), u64::from(i >= 3));
    }
    assert_eq!(gauge(&head, "m", &[(NOW_MS + 1, 1.0)], &[("i", "0")]).accepted, 1);
    assert_eq!(head.series_count(), 3);
}

#[test]
fn pruning_lets_go_of_samples_series_and_ids() {
    let head = head(HeadOptions::default());
    gauge(&head, "old", &[(NOW_MS - 5000, 1.0)], &[("only", "here")]);
    gauge(&head, "both", &[(NOW_MS - 5000, 1.0), (NOW_MS, 2.0)], &[]);
    assert_eq!(head.prune_before(NOW_MS), 2);
    assert_eq!(head.series_count(), 1);
    assert_eq!(head.time_range(), Some((NOW_MS, NOW_MS)));
    assert!(head.label_values("only", &[]).is_empty());
    // The id of "old" is free again; what was cached for it must not reach the new owner.
    gauge(&head, "new", &[(NOW_MS, 7.0)], &[]);
    gauge(&head, "old", &[(NOW_MS, 8.0)], &[("only", "here")]);
    assert_eq!(one(&head, "new").values, [7.0]);
    assert_eq!(one(&head, "old").values, [8.0]);
    assert_eq!(head.stats().samples, 3);
}

#[test]
fn at_the_most_samples_the_oldest_go() {
    let limits = Limits { samples_max: 1000, ..Limits::default() };
    let head = head(HeadOptions { limits, ..HeadOptions::default() });
    for i in 0..3000 {
        gauge(&head, "g", &[(NOW_MS + i, i as f64)], &[]);
        assert!(head.stats().samples <= 1001);
    }
    let series = one(&head, "g");
    assert!(series.values.len() > 900 && series.values.last() == Some(&2999.0));
    assert_eq!(head.stats().pruned + series.values.len() as u64, 3000);
}

#[test]
fn resources_that_give_the_same_labels_share_one_series() {
    let head = head(HeadOptions::default());
    for pid in 0..40 {
        let mut w = Metrics::new();
        w.resource(|r| {
            r.str("service.name", "s");
            r.int("process.pid", pid);
        });
        w.gauge("g", "", "", |p| p.int((NOW_MS + pid) as u64 * MS, pid, |_| ()));
        head.ingest(&w.finish(), NOW);
    }
    assert_eq!(one(&head, "g").values.len(), 40);
}

#[test]
fn labels_metadata_and_cardinality_are_told() {
    let head = head(HeadOptions::default());
    let mut w = Metrics::new();
    w.sum("http.requests", "By", "how much", Temporality::Cumulative, true, |p| {
        p.int(NOW, 1, |a| a.str("path", "/a"));
        p.int(NOW, 2, |a| a.str("path", "/b"));
    });
    head.ingest(&w.finish(), NOW);
    gauge(&head, "g", &[(NOW_MS, 1.0)], &[("x", "1")]);
    let texts = |all: Vec<Arc<str>>| all.iter().map(|t| t.to_string()).collect::<Vec<_>>();
    let name = "http_requests_bytes_total";
    assert_eq!(texts(head.label_names(&[])), ["__name__", "path", "x"]);
    assert_eq!(texts(head.label_names(&[is("__name__", "g")])), ["__name__", "x"]);
    assert_eq!(texts(head.label_values("path", &[])), ["/a", "/b"]);
    assert_eq!(texts(head.label_values("__name__", &[is("path", "/a")])), [name]);
    assert_eq!(head.series(&[is("__name__", name)], NOW_MS, NOW_MS).len(), 2);
    assert!(head.series(&[is("__name__", name)], 0, NOW_MS - 1).is_empty());
    let info = &head.metadata(Some(name))[0].1;
    assert_eq!(
        (info.kind, info.unit.as_str(), info.help.as_str()),
        (MetricKind::Counter, "bytes", "how much")
    );
    assert_eq!(head.metadata(None).len(), 2);
    assert_eq!(head.cardinality(1).0, [(Arc::from(name), 2)]);
    assert!(head.select(&[], 0, i64::MAX, 2).is_err());
}

#[test]
fn old_names_without_suffixes_select_what_they_stand_for() {
    let head = head(HeadOptions::default());
    let mut w = Metrics::new();
    w.histogram("http.server.duration", "ms", "", Temporality::Cumulative, |p| {
        let value = Histogram {
            count: 1,
            sum: Some(2.0),
            bucket_counts: &[1, 0],
            explicit_bounds: &[5.0],
            ..Histogram::default()
        };
        p.histogram(NOW, &value, |_| ());
    });
    w.sum("hits", "By", "", Temporality::Cumulative, true, |p| p.int(NOW, 1, |_| ()));
    w.gauge("both", "s", "", |p| p.int(NOW, 1, |_| ()));
    w.gauge("both", "m", "", |p| p.int(NOW, 1, |_| ()));
    w.gauge("both", "", "", |p| p.int(NOW, 1, |_| ()));
    w.gauge("two", "s", "", |p| p.int(NOW, 1, |_| ()));
    w.gauge("two", "m", "", |p| p.int(NOW, 1, |_| ()));
    head.ingest(&w.finish(), NOW);
    let cases: [(&str, &[&str]); 8] = [
        ("http_server_duration_bucket", &["http_server_duration_milliseconds_bucket"; 2]),
        ("http_server_duration_count", &["http_server_duration_milliseconds_count"]),
        ("http_server_duration_sum", &["http_server_duration_milliseconds_sum"]),
        ("hits", &["hits_bytes_total"]),
        ("hits_total", &["hits_bytes_total"]),
        ("both", &["both"]),
        ("two", &["two_meters", "two_seconds"]),
        ("http_server", &[]),
    ];
    for (asked, names) in cases {
        let found = all(&head, &[is("__name__", asked)]);
        assert_eq!(found.iter().map(|s| s.labels.name()).collect::<Vec<_>>(), names, "{asked}");
    }
    assert_eq!(head.label_values("le", &[is("__name__", "http_server_duration_bucket")]).len(), 2);
}

#[test]
fn threads_may_ingest_query_and_prune_at_once() {
    let head = Arc::new(head(HeadOptions::default()));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let head = head.clone();
            std::thread::spawn(move || {
                for i in 0..300i64 {
                    let label = (i % 7).to_string();
                    let name = format!("w{writer}");
                    gauge(&head, &name, &[(NOW_MS + i, i as f64)], &[("l", &label)]);
                }
            })
        })
        .collect();
    while !writers.iter().all(|writer| writer.is_finished()) {
        for series in all(&head, &[]) {
            assert!(series.timestamps_ms.is_sorted());
            for (time, value) in series.timestamps_ms.iter().zip(&series.values) {
                assert_eq!(*time - NOW_MS, *value as i64, "{}", series.labels);
                assert_eq!(series.labels.get("l"), (*value as i64 % 7).to_string());
            }
        }
        head.prune_before(NOW_MS + 10);
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let stats = head.stats();
    assert_eq!(stats.samples + stats.pruned, 1200);
}
