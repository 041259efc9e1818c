// SPDX-License-Identifier: Apache-2.0
use std::collections::BTreeMap;
use std::sync::Arc;

use basics::labels::{Labels, MatchOp, Matcher};
use otlp_series::STALE;
use otlp_wire::Temporality;
use otlp_wire::write::{ExponentialBuckets, ExponentialHistogram, Histogram, Metrics};
use proptest::prelude::*;

use super::chunk::{Chunk, RUN_MAX, Segment};
use super::read::Reader;
use super::registry::Registry;
use super::series::Appended;
use super::*;
use crate::columns::SeriesColumns;

const MS: u64 = 1_000_000;
/// Any time: tests begin here.
const NOW_MS: i64 = 1_700_000_000_000;
const NOW: u64 = NOW_MS as u64 * MS;

fn head(options: HeadOptions) -> Head {
    Head::new(options)
}

fn gauge(head: &Head, name: &str, samples: &[(i64, f64)], labels: &[(&str, &str)]) -> IngestReport {
    gauge_at(head, NOW, name, samples, labels)
}

fn gauge_at(
    head: &Head,
    received: u64,
    name: &str,
    samples: &[(i64, f64)],
    labels: &[(&str, &str)],
) -> IngestReport {
    let mut w = Metrics::new();
    w.gauge(name, "", "", |p| {
        for (time, value) in samples {
            p.double(*time as u64 * MS, *value, |a| {
                labels.iter().for_each(|(key, value)| a.str(key, value));
            });
        }
    });
    head.ingest(&w.finish(), received)
}

fn is(name: &str, value: &str) -> Matcher {
    Matcher::new(MatchOp::Equal, name, value).unwrap()
}

fn all(head: &Head, matchers: &[Matcher]) -> Vec<SeriesColumns> {
    let mut found = head.select(matchers, i64::MIN, i64::MAX, 0).unwrap();
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    found
}

fn one(head: &Head, name: &str) -> SeriesColumns {
    let mut found = all(head, &[is("__name__", name)]);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Freezes what is before `cut`; returns how many samples are frozen.
fn freeze_shard(shard: &mut Shard, cut: i64) -> usize {
    shard.seal_before(cut);
    let mut splits = flush::Splits::default();
    shard.series.iter_mut().map(|series| flush::freeze(series, cut, &mut splits)).sum()
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

/// The samples of a slot in a range.
fn samples(shard: &Shard, slot: u32, start: i64, end: i64) -> Vec<(i64, f64)> {
    let columns = Reader::new(shard, start, end).read(slot);
    columns.times.iter().copied().zip(columns.values.iter().copied()).collect()
}

proptest! {
    #[test]
    fn a_chunk_gives_back_the_samples_of_its_mask(
        times in proptest::collection::btree_set(0i64..5000, 1..RUN_MAX),
        values in proptest::collection::vec(value(), RUN_MAX),
        present in any::<u128>(),
    ) {
        let times: Vec<i64> = times.into_iter().collect();
        let wanted = present | 1;
        let mask = [wanted as u64 & chunk::first(times.len())[0], (wanted >> 64) as u64 & chunk::first(times.len())[1]];
        let expected: Vec<(i64, f64)> = (0..times.len())
            .filter(|at| chunk::is_in(&mask, *at))
            .map(|at| (times[at], values[at]))
            .collect();
        let own: Vec<f64> = expected.iter().map(|(_, value)| *value).collect();
        let chunk = Chunk::pack(&Segment::pack(&times), mask, &own);
        let mut found = Vec::new();
        chunk.samples(&mut found);
        prop_assert_eq!(found.len(), chunk.count());
        let pairs = |all: &[(i64, f64)]| all.iter().map(|(t, v)| (*t, v.to_bits())).collect::<Vec<_>>();
        prop_assert_eq!(pairs(&found), pairs(&expected));
        let (before, behind) = chunk.clone().split(2500);
        let mut parts = Vec::new();
        before.iter().chain(&behind).for_each(|part| part.samples(&mut parts));
        prop_assert_eq!(pairs(&parts), pairs(&expected));
    }

    /// The model of a series: a sorted map. Newer than the newest: taken. Else the same time:
    /// duplicate or conflict. Else within the window: taken, beyond: too old. Series of one resource
    /// that come at the same or at other times, in turns or one after another.
    #[test]
    fn series_are_sorted_maps_with_a_window_whatever_their_neighbours_do(
        samples_told in proptest::collection::vec((0u32..4, 0i64..900, 0u8..3), 0..1500),
        drift in 0i64..4,
        step in 1i64..3,
        window in 0i64..600,
        range in (0i64..4000, 0i64..4000),
        cuts in (0i64..3000, 0i64..3000),
        odd in value(),
    ) {
        let mut shard = Shard::default();
        let mut models: [BTreeMap<i64, f64>; 4] = Default::default();
        let mut frozen = 0;
        for (i, (slot, time, kind)) in samples_told.iter().enumerate() {
            let time = match kind {
                2 => time * step + i as i64 * drift,
                _ => (i as i64 / 4 * 10 + time % 2) * drift.min(1),
            };
            let value = if i % 97 == 0 { odd } else { f64::from(*kind) };
            let model = &mut models[*slot as usize];
            let newest = model.keys().next_back().copied();
            let expected = match (newest, model.get(&time)) {
                (_, Some(known)) if known.to_bits() == value.to_bits() => Appended::Duplicate,
                (_, Some(_)) => Appended::Conflict,
                (Some(newest), None) if time < newest - window => Appended::TooOld,
                (Some(newest), None) if time < newest => Appended::OutOfOrder,
                _ => Appended::InOrder,
            };
            if matches!(expected, Appended::InOrder | Appended::OutOfOrder) {
                model.insert(time, value);
            }
            prop_assert_eq!(shard.append(*slot, 7, time, value, window), expected, "{} at {}", slot, time);
            if i == samples_told.len() / 2 {
                frozen = freeze_shard(&mut shard, cuts.0);
                prop_assert_eq!(frozen, models.iter().map(|m| m.range(..cuts.0).count()).sum::<usize>());
            }
        }
        let (start, end) = (range.0.min(range.1), range.0.max(range.1));
        for (slot, model) in models.iter().enumerate() {
            let slot = slot as u32;
            let expected: Vec<(i64, u64)> = model.range(start..=end).map(|(t, v)| (*t, v.to_bits())).collect();
            let found: Vec<(i64, u64)> = samples(&shard, slot, start, end).iter().map(|(t, v)| (*t, v.to_bits())).collect();
            prop_assert_eq!(&found, &expected);
            let touches = shard.of(slot).touches(start, end) || shard.tail_touches(slot, start, end);
            prop_assert!(touches || expected.is_empty());
            prop_assert_eq!(shard.newest(slot), model.keys().next_back().copied());
        }
        // What was frozen at first goes, and nothing else.
        let before: usize = models.iter().map(BTreeMap::len).sum();
        let gone: usize = shard.series.iter_mut().map(flush::release).sum();
        prop_assert_eq!(gone, frozen);
        let left: usize = (0..4).map(|slot| samples(&shard, slot, i64::MIN, i64::MAX).len()).sum();
        prop_assert_eq!(left, before - gone);
        shard.seal_before(cuts.1);
        shard.series.iter_mut().for_each(|series| { flush::prune(series, cuts.1); });
        for (slot, model) in models.iter().enumerate() {
            let found = samples(&shard, slot as u32, i64::MIN, i64::MAX);
            let is_left = |(time, value): &(i64, f64)| *time >= cuts.1 && model.get(time).is_some_and(|v| v.to_bits() == value.to_bits());
            prop_assert!(found.iter().all(is_left));
        }
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
            let id = registry.find_or_insert(&pairs, pairs.len() % SHARDS);
            prop_assert_eq!(registry.find(&pairs), Some(id));
            let labels = Labels::new(pairs);
            prop_assert!(known.get(&id).is_none_or(|before| *before == labels));
            known.insert(id, labels);
        }
        for index in remove {
            let Some(id) = known.keys().nth(index.index(known.len().max(1))).copied() else { break };
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
    assert_eq!(*one(&head, "g").values, [1.0, 5.0, 2.0]);
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
    assert_eq!(*one(&head, "hits_total").values, [5.0, 7.0, 7.0]);
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
    gauge_at(&head, NOW + 5 * MS, "m", &[(NOW_MS + 2, 1.0)], &[("i", "4")]);
    // On top of the limit: what there was no room for, by metric.
    let told = one(&head, "foreglow_store_overflow_samples_total");
    let pairs: Vec<_> = told.labels.iter().collect();
    assert_eq!(pairs[1..], [("metric", "m"), ("otel_metric_overflow", "true")]);
    assert_eq!((&*told.times, &*told.values), (&[NOW_MS, NOW_MS + 5][..], &[1.0, 3.0][..]));
    assert_eq!(head.series_count(), 4);
}

/// A payload of `count` gauges, each at `time_ms(number)`.
fn gauges(head: &Head, count: usize, time_ms: impl Fn(usize) -> i64, value: f64) {
    let mut w = Metrics::new();
    w.resource(|r| r.str("service.name", "s"));
    for number in 0..count {
        w.gauge("g", "", "", |p| {
            p.double(time_ms(number) as u64 * MS, value, |a| a.int("n", number as i64));
        });
    }
    assert_eq!(head.ingest(&w.finish(), NOW).rejected.total(), 0);
}

/// How many different `Arc`s of times there are.
fn groups(all: &[SeriesColumns]) -> usize {
    let mut addresses: Vec<_> = all.iter().map(|series| series.times.as_ptr()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.len()
}

#[test]
fn series_sampled_together_share_their_times() {
    let head = head(HeadOptions::default());
    for step in 0..300 {
        gauges(&head, 20, |_| NOW_MS + step * 1000, step as f64);
    }
    let told = all(&head, &[is("__name__", "g")]);
    assert_eq!((told.len(), groups(&told)), (20, 1));
    assert_eq!(told[7].times.len(), 300);
    assert!(told[7].values.iter().enumerate().all(|(at, value)| *value == at as f64));
    let some = head.select(&[is("__name__", "g")], NOW_MS + 99_500, NOW_MS + 201_000, 0).unwrap();
    assert_eq!((groups(&some), some[3].times.len(), some[3].values[0]), (1, 102, 100.0));
    assert!(head.stats().sample_bytes < 20 * 2200, "{:?}", head.stats());
}

#[test]
fn series_with_times_of_their_own_end_in_groups_of_their_own() {
    let head = head(HeadOptions::default());
    // Two instruments of one SDK, a millisecond apart now and then, and one now and then late.
    let time = |step: i64| {
        move |number: usize| match number {
            0..8 => NOW_MS + step * 1000,
            8..16 => NOW_MS + step * 1000 + 1 + step % 2,
            _ => NOW_MS + step * 1000 - 3,
        }
    };
    for step in 0..400 {
        gauges(&head, 18, time(step), step as f64);
    }
    let told = all(&head, &[is("__name__", "g")]);
    assert!(told.iter().all(|series| series.times.len() == 400), "{told:?}");
    let recent = head.select(&[is("__name__", "g")], NOW_MS + 380_000, i64::MAX, 0).unwrap();
    assert!(groups(&recent) <= 4, "{} groups", groups(&recent));
    for series in &told {
        let number: usize = series.labels.get("n").parse().unwrap();
        assert!((0..400).all(|step| series.times[step] == time(step as i64)(number)));
        assert!((0..400).all(|step| series.values[step] == step as f64));
    }
}

#[test]
fn a_window_is_handed_out_whole_and_goes_when_it_is_released() {
    let head = head(HeadOptions::default());
    for step in 0..200 {
        gauges(&head, 10, |_| NOW_MS + step * 1000, step as f64);
    }
    let cut = NOW_MS + 150_000;
    let window: Vec<SeriesColumns> =
        head.window(cut).filter(|series| series.labels.name() == "g").collect();
    assert_eq!((window.len(), groups(&window)), (10, 1));
    assert!(window.iter().all(|series| series.times.len() == 150 && series.times[149] < cut));
    assert_eq!(window[0].info.as_ref().unwrap().kind, MetricKind::Gauge);
    // What comes late meanwhile was not handed out, so it stays.
    gauge(&head, "g", &[(NOW_MS + 70_500, 7.0)], &[("n", "late")]);
    gauges(&head, 1, |_| NOW_MS + 70_500, 7.0);
    assert_eq!(all(&head, &[is("n", "0")])[0].times.len(), 201);
    let samples = head.stats().samples;
    let gone = head.release(cut);
    assert_eq!(gone, 10 * 150);
    assert_eq!(head.stats().samples, samples - gone);
    let left = all(&head, &[is("n", "0")]);
    assert_eq!((left[0].times.len(), left[0].times[0]), (51, NOW_MS + 70_500));
    assert_eq!(all(&head, &[is("n", "late")])[0].values[..], [7.0]);
    let late: Vec<SeriesColumns> =
        head.window(cut).filter(|series| series.labels.name() == "g").collect();
    assert_eq!(late.iter().map(|series| series.times.len()).collect::<Vec<_>>(), [1, 1]);
    // A series whose samples are all in blocks is still known, until it has been silent for long.
    head.release(cut);
    assert_eq!(head.window(i64::MAX).count(), 10);
    head.release(NOW_MS + 200_000);
    assert_eq!((head.stats().samples, head.series_count()), (0, 11));
    head.release(NOW_MS + 200_000 + 3_600_000);
    assert_eq!(head.series_count(), 0);
    gauge(&head, "g", &[(NOW_MS, 1.0)], &[("n", "0")]);
    assert_eq!(one(&head, "g").values[..], [1.0]);
}

#[test]
fn native_histograms_are_sealed_and_handed_out() {
    let head = head(HeadOptions::default());
    let send = |time: i64, count: u64| {
        let mut w = Metrics::new();
        let value = ExponentialHistogram {
            count,
            positive: ExponentialBuckets { offset: 2, counts: &[count, 0, 1] },
            ..ExponentialHistogram::default()
        };
        w.exponential_histogram("h", "", "", Temporality::Cumulative, |p| {
            p.exponential_histogram(time as u64 * MS, &value, |_| ());
        });
        head.ingest(&w.finish(), NOW).accepted
    };
    for step in 0..250 {
        assert_eq!(send(NOW_MS + step * 1000, step as u64), 1);
    }
    assert_eq!(send(NOW_MS + 500, 99), 1);
    assert_eq!(send(NOW_MS + 1000, 1), 0);
    let counts =
        |series: &SeriesColumns| series.histograms.iter().map(|(_, h)| h.count).collect::<Vec<_>>();
    let told = one(&head, "h");
    assert_eq!(counts(&told)[..4], [0.0, 99.0, 1.0, 2.0]);
    assert_eq!(told.histograms.len(), 251);
    let window: Vec<SeriesColumns> = head.window(NOW_MS + 200_000).collect();
    assert_eq!(window[0].histograms.len(), 201);
    assert_eq!(head.release(NOW_MS), 201);
    assert_eq!(one(&head, "h").histograms.len(), 50);
}

#[test]
fn exemplars_are_kept_with_their_series() {
    let head = head(HeadOptions::default());
    let send = |step: i64, value: f64| {
        let mut w = Metrics::new();
        w.sum("hits", "", "", Temporality::Cumulative, true, |p| {
            p.int((NOW_MS + step) as u64 * MS, step, |a| a.str("path", "/a"));
            let ids = Some(([7; 16], [9; 8]));
            p.exemplar(NOW, otlp_wire::Number::Double(value), ids, |attrs| attrs.str("user", "u"));
        });
        head.ingest(&w.finish(), NOW);
    };
    send(0, 0.5);
    send(1, 0.5);
    send(2, 0.7);
    let told = head.exemplars(&[is("__name__", "hits_total")], NOW_MS, NOW_MS);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0.get("path"), "/a");
    let values: Vec<f64> = told[0].1.iter().map(|exemplar| exemplar.value).collect();
    assert_eq!(values, [0.5, 0.7]);
    let labels = &told[0].1[0].labels;
    assert_eq!((labels.get("trace_id"), labels.get("user")), (&*"07".repeat(16), "u"));
    assert!(head.exemplars(&[is("path", "/a")], 0, NOW_MS - 1).is_empty());
    let window: Vec<SeriesColumns> = head.window(i64::MAX).collect();
    assert_eq!(window.iter().map(|series| series.exemplars.len()).sum::<usize>(), 2);
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
    assert_eq!(*one(&head, "new").values, [7.0]);
    assert_eq!(*one(&head, "old").values, [8.0]);
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
    assert_eq!(head.cardinality(1).series_by_name, [(name.to_string(), 2)]);
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
            assert!(series.times.is_sorted());
            for (time, value) in series.times.iter().zip(series.values.iter()) {
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
