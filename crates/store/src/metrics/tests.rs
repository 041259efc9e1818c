// SPDX-License-Identifier: Apache-2.0
use std::collections::BTreeMap;
use std::sync::Arc;

use basics::labels::{MatchOp, Matcher};
use basics::{Clock, Random};
use otlp_series::{MetricKind, NativeHistogram};
use proptest::prelude::*;

use super::*;
use crate::blocks::plan::{Merge, next_merge};
use crate::blocks::{BlockInfo, Catalog, CatalogOptions, Memory, Objects};
use crate::columns::{Exemplar, SeriesColumns};
use crate::head::FamilyInfo;

const STALE: u64 = 0x7ff0_0000_0000_0002;

fn catalog(memory: &Memory, writer: Option<&str>) -> Arc<Catalog> {
    let writer = writer.map(str::to_owned);
    let options = CatalogOptions { tenant: "default".to_owned(), signal: "metrics", writer };
    let clock = Clock::manual(1_800_000_000_000_000_000);
    let objects = Arc::new(memory.clone());
    Arc::new(Catalog::open(objects, options, clock, Random::from_os()).unwrap())
}

fn blocks(memory: &Memory) -> Blocks {
    Blocks::new(catalog(memory, Some("a")), CACHE_BYTES)
}

fn put(blocks: &Blocks, series: Vec<SeriesColumns>) -> BlockInfo {
    let block = write_block(blocks.catalog(), series).unwrap().unwrap();
    blocks.catalog().commit(vec![block.clone()], &[], None).unwrap();
    block
}

fn numbers(labels: &[(&str, &str)], times: &Arc<[i64]>, values: &[f64]) -> SeriesColumns {
    let labels = Labels::new(labels.iter().copied());
    SeriesColumns { labels, times: times.clone(), values: values.into(), ..<_>::default() }
}

fn is(name: &str, value: &str) -> Matcher {
    Matcher::new(MatchOp::Equal, name, value).unwrap()
}

fn all(blocks: &Blocks, matchers: &[Matcher], (start, end): (i64, i64)) -> Vec<SeriesColumns> {
    select(blocks, matchers, (start, end), Vec::new())
}

/// What a selection gives, ascending by labels; opened and read series by series it is the same.
fn select(
    blocks: &Blocks,
    matchers: &[Matcher],
    (start, end): (i64, i64),
    newest: Vec<SeriesColumns>,
) -> Vec<SeriesColumns> {
    let mut found = blocks.select(matchers, start, end, 0, newest.clone()).unwrap();
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    let opened = blocks.open(matchers, start, end, 0, newest, None).unwrap();
    let (mut values, mut starts) = <_>::default();
    let read = |at: usize| {
        let lent = opened.read(at, &mut values, &mut starts).unwrap();
        let histograms = opened.histograms(at);
        assert!(opened.samples(at) >= lent.times.len() + histograms.len());
        SeriesColumns {
            labels: opened.labels(at).clone(),
            times: lent.times,
            values: lent.values.into(),
            start_times: lent.start_times.into(),
            histograms,
            ..<_>::default()
        }
    };
    let mut one_by_one: Vec<_> =
        (0..opened.len()).map(read).filter(|series| !series.is_empty()).collect();
    one_by_one.sort_by(|a, b| a.labels.cmp(&b.labels));
    let without = |series: &SeriesColumns| SeriesColumns { exemplars: vec![], ..series.clone() };
    assert_same(&one_by_one, &found.iter().map(without).collect::<Vec<_>>());
    found
}

/// Equal to the bit; NaN is a value like any other.
#[track_caller]
fn assert_same(found: &[SeriesColumns], expected: &[SeriesColumns]) {
    let plain = |series: &SeriesColumns| {
        let bits: Vec<u64> = series.values.iter().map(|value| value.to_bits()).collect();
        let SeriesColumns { labels, times, start_times, histograms, exemplars, .. } =
            series.clone();
        (labels, times, bits, start_times, format!("{histograms:?}"), exemplars)
    };
    let found: Vec<_> = found.iter().map(plain).collect();
    assert_eq!(found, expected.iter().map(plain).collect::<Vec<_>>());
}

fn compact_all(blocks: &Blocks) -> BlockInfo {
    let inputs = blocks.catalog().manifest().live;
    compact(blocks.catalog(), &Merge { level: 2, inputs }).unwrap().unwrap()
}

fn histogram(sum: f64) -> Arc<NativeHistogram> {
    Arc::new(NativeHistogram {
        schema: 3,
        zero_threshold: 1e-128,
        zero_count: 1.0,
        count: 6.0,
        sum,
        positive: vec![(-1, 2.0), (5, 3.0)],
        negative: Vec::new(),
        bounds: Arc::default(),
    })
}

#[test]
fn everything_a_series_has_comes_back() {
    let memory = Memory::new();
    let blocks = blocks(&memory);
    let times: Arc<[i64]> = [10, 20, 30].into();
    let info = Arc::new(FamilyInfo {
        kind: MetricKind::Counter,
        unit: "seconds".to_owned(),
        help: "how long".to_owned(),
    });
    let exemplar =
        |time_ms| Exemplar { labels: Labels::new([("trace_id", "abc")]), value: f64::NAN, time_ms };
    let full = SeriesColumns {
        info: Some(info.clone()),
        start_times: [5, 5, 25].into(),
        exemplars: vec![exemplar(12), exemplar(29)],
        ..numbers(&[("__name__", "c"), ("job", "x")], &times, &[1.0, f64::from_bits(STALE), -0.0])
    };
    let native = SeriesColumns {
        labels: Labels::new([("__name__", "h")]),
        histograms: vec![(15, histogram(4.5)), (25, Arc::new(NativeHistogram::stale()))],
        ..SeriesColumns::default()
    };
    let both = SeriesColumns {
        histograms: vec![(11, histogram(1.0))],
        ..numbers(&[("__name__", "m")], &times, &[1e300, 0.1, f64::INFINITY])
    };
    let written = vec![both.clone(), full.clone(), native.clone()];
    let block = put(&blocks, written);
    assert_eq!((block.tmin, block.tmax, block.rows, block.items), (10, 30, 4, 9));
    let expected = [full.clone(), native, both];
    let exemplars = |series: &[SeriesColumns]| -> Vec<i64> {
        series.iter().flat_map(|s| &s.exemplars).map(|e| e.time_ms).collect()
    };
    let plain = |series: &[SeriesColumns]| -> Vec<SeriesColumns> {
        series.iter().map(|s| SeriesColumns { exemplars: Vec::new(), ..s.clone() }).collect()
    };
    for _ in 0..2 {
        let found = all(&blocks, &[], (0, 100));
        assert_same(&plain(&found), &plain(&expected));
        assert_eq!(found[0].info.as_ref(), Some(&info));
        assert_eq!(found[1].info, None);
        assert_eq!(exemplars(&found), [12, 29]);
        compact_all(&blocks);
    }
    let part = all(&blocks, &[], (15, 25));
    let expected = SeriesColumns {
        times: [20].into(),
        values: [f64::from_bits(STALE)].into(),
        start_times: [5].into(),
        histograms: Vec::new(),
        exemplars: Vec::new(),
        ..full
    };
    assert_same(&plain(&part)[..1], &[expected]);
    assert_eq!(part[1].histograms.len(), 2);
    assert!(all(&blocks, &[], (31, 100)).is_empty());
}

#[test]
fn series_of_a_group_share_their_times_in_the_file_and_when_read() {
    let memory = Memory::new();
    let blocks = blocks(&memory);
    let mut random = Random::seeded(1);
    let mut hour = |from: i64| -> Arc<[i64]> {
        (0..240).map(|i| from + i * 15_000 + random.below(3) as i64).collect()
    };
    let values = vec![1.0; 240];
    for from in [0, 3_600_000] {
        let times = hour(from);
        let equal: Arc<[i64]> = times.to_vec().into();
        let series = (0..100).map(|i| {
            let times = if i % 2 == 0 { &times } else { &equal };
            numbers(&[("__name__", "g"), ("i", &i.to_string())], times, &values)
        });
        put(&blocks, series.collect());
    }
    for _ in 0..2 {
        let found = all(&blocks, &[], (0, i64::MAX));
        assert_eq!(found.len(), 100);
        assert!(found.iter().all(|series| Arc::ptr_eq(&series.times, &found[0].times)));
        assert_eq!(found[0].times.len(), 480);
        let part = all(&blocks, &[], (100_000, 5_000_000));
        assert!(part.iter().all(|series| Arc::ptr_eq(&series.times, &part[0].times)));
        compact_all(&blocks);
    }
    let block = &blocks.catalog().live()[0];
    assert!(block.bytes - block.footer_bytes < 4000, "{block:?}");
}

#[test]
fn blocks_and_head_meet_and_the_newest_value_wins() {
    let memory = Memory::new();
    let blocks = blocks(&memory);
    let labels = [("__name__", "g")];
    let times = |times: &[i64]| -> Arc<[i64]> { times.into() };
    put(&blocks, vec![numbers(&labels, &times(&[10, 20, 30]), &[1.0, 2.0, 3.0])]);
    put(&blocks, vec![numbers(&labels, &times(&[15, 20, 40]), &[1.5, 2.5, 4.0])]);
    let head = numbers(&labels, &times(&[40, 50]), &[4.5, 5.0]);
    let new = numbers(&[("__name__", "only in the head")], &times(&[50]), &[9.0]);
    for _ in 0..2 {
        let newest = vec![new.clone(), head.clone()];
        let found = select(&blocks, &[], (0, 45), newest);
        assert_eq!(&found[0].times[..], [10, 15, 20, 30, 40, 50]);
        assert_eq!(&found[0].values[..], [1.0, 1.5, 2.5, 3.0, 4.5, 5.0]);
        assert_eq!(found.len(), 2);
        compact_all(&blocks);
    }
    assert_eq!(all(&blocks, &[], (0, 45))[0].values[..], [1.0, 1.5, 2.5, 3.0, 4.0]);
    let error = blocks.select(&[], 0, 45, 1, vec![new]).unwrap_err();
    assert!(error.to_string().contains("matches 2 series"), "{error}");
}

#[test]
fn labels_are_told_by_matchers_and_time() {
    let memory = Memory::new();
    let blocks = blocks(&memory);
    let (early, late): (Arc<[i64]>, Arc<[i64]>) = ([10].into(), [1000].into());
    let one = |labels: &[(&str, &str)], times| numbers(labels, times, &[1.0]);
    put(
        &blocks,
        vec![
            one(&[("__name__", "a"), ("x", "1")], &early),
            one(&[("__name__", "b"), ("y", "1"), ("x", "2")], &early),
        ],
    );
    put(&blocks, vec![one(&[("__name__", "c"), ("x", "3")], &late)]);
    let texts = |found: std::collections::BTreeSet<Arc<str>>| -> Vec<String> {
        found.iter().map(|text| text.to_string()).collect()
    };
    let names = |matchers: &[Matcher], end| texts(blocks.label_names(matchers, 0, end).unwrap());
    assert_eq!(names(&[], 2000), ["__name__", "x", "y"]);
    assert_eq!(names(&[is("__name__", "a")], 2000), ["__name__", "x"]);
    let values = |name: &str, matchers: &[Matcher], range: (i64, i64)| {
        texts(blocks.label_values(name, matchers, range.0, range.1).unwrap())
    };
    assert_eq!(values("x", &[], (0, 2000)), ["1", "2", "3"]);
    assert_eq!(values("x", &[], (0, 500)), ["1", "2"]);
    assert_eq!(values("x", &[is("y", "")], (0, 2000)), ["1", "3"]);
    assert_eq!(values("none", &[], (0, 2000)), [""; 0]);
    assert_eq!(blocks.series(&[is("x", "3")], 0, 2000).unwrap().len(), 1);
    assert!(blocks.series(&[is("x", "3")], 0, 500).unwrap().is_empty());
}

#[test]
fn more_label_names_than_columns_are_all_there() {
    let memory = Memory::new();
    let blocks = blocks(&memory);
    let times: Arc<[i64]> = [10].into();
    let series: Vec<SeriesColumns> = (0..300)
        .map(|i| {
            let name = format!("L{i:03}");
            numbers(&[("__name__", "g"), (&name, "v"), ("all", "w")], &times, &[f64::from(i)])
        })
        .collect();
    put(&blocks, series);
    for _ in 0..2 {
        for i in [0, 150, 299] {
            let name = format!("L{i:03}");
            let found = all(&blocks, &[is(&name, "v"), is("__name__", "g")], (0, 100));
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].values[..], [f64::from(i)]);
            assert_eq!(found[0].labels.get("all"), "w");
            assert_eq!(blocks.label_values(&name, &[], 0, 100).unwrap().len(), 1);
        }
        assert_eq!(blocks.label_names(&[], 0, 100).unwrap().len(), 302);
        assert_eq!(all(&blocks, &[is("L299", "")], (0, 100)).len(), 299);
        compact_all(&blocks);
    }
}

#[test]
fn many_row_groups_are_written_found_and_merged() {
    let memory = Memory::new();
    let blocks = blocks(&memory);
    let times: Arc<[i64]> = [10, 20].into();
    let series = |value: f64| -> Vec<SeriesColumns> {
        (0..10_000)
            .map(|i| {
                let (name, number) = (format!("m{}", i % 7), i.to_string());
                numbers(&[("__name__", &name), ("i", &number)], &times, &[value, f64::from(i)])
            })
            .collect()
    };
    put(&blocks, series(1.0));
    put(&blocks, series(2.0));
    for _ in 0..2 {
        let found = all(&blocks, &[is("i", "9999")], (0, 100));
        assert_eq!(found[0].values[..], [2.0, 9999.0]);
        assert_eq!(all(&blocks, &[is("__name__", "m3")], (0, 100)).len(), 1429);
        let block = compact_all(&blocks);
        assert_eq!((block.rows, block.items, block.level), (10_000, 20_000, 2));
    }
}

#[test]
fn flushed_blocks_become_days_by_the_plan() {
    let memory = Memory::new();
    let blocks = blocks(&memory);
    const HOUR: i64 = 3_600_000;
    for hour in 0..24 {
        let times: Arc<[i64]> = (0..60).map(|i| hour * HOUR + i * 60_000).collect();
        let values: Vec<f64> = (0..60).map(|i| (hour * 60 + i) as f64).collect();
        put(&blocks, vec![numbers(&[("__name__", "g")], &times, &values)]);
    }
    let mut levels = Vec::new();
    while let Some(merge) = next_merge(&blocks.catalog().live(), 48 * HOUR) {
        levels.push(compact(blocks.catalog(), &merge).unwrap().unwrap().level);
    }
    assert_eq!(levels, [[1; 12].as_slice(), &[2]].concat());
    let found = all(&blocks, &[], (0, i64::MAX));
    assert_eq!(found[0].values.len(), 1440);
    assert!(found[0].values.iter().enumerate().all(|(i, value)| *value == i as f64));
    assert_eq!(blocks.catalog().live().len(), 1);
}

#[test]
fn a_flipped_bit_anywhere_sets_that_block_aside_and_the_others_answer() {
    let memory = Memory::new();
    let times: Arc<[i64]> = (0..200).map(|i| i * 15_000 + i % 7).collect();
    let values: Vec<f64> = (0..200).map(|i| f64::from(i) * 1.5).collect();
    let series = |name: &str| -> Vec<SeriesColumns> {
        (0..50)
            .map(|i| numbers(&[("__name__", name), ("i", &i.to_string())], &times, &values))
            .collect()
    };
    let writing = blocks(&memory);
    put(&writing, series("good"));
    let bad = put(&writing, series("bad"));
    let size = bad.bytes as usize;
    for byte in (0..size).step_by(397).chain(size - 40..size) {
        assert!(memory.flip_bit(&bad.path, byte, (byte % 8) as u8));
        // A reader sets it aside for itself alone: the next one meets it again.
        let reader = Blocks::new(catalog(&memory, None), CACHE_BYTES);
        let found = reader.select(&[], 0, i64::MAX, 0, Vec::new()).unwrap();
        assert_eq!(found.len(), 50, "byte {byte}");
        assert!(found.iter().all(|series| series.labels.name() == "good"));
        assert_eq!(reader.catalog().stats().quarantined, 1);
        assert!(memory.flip_bit(&bad.path, byte, (byte % 8) as u8));
    }
    memory.flip_bit(&bad.path, 1000, 0);
    let inputs = writing.catalog().manifest().live;
    assert_eq!(compact(writing.catalog(), &Merge { level: 1, inputs }).unwrap(), None);
    assert_eq!(writing.catalog().stats().quarantined, 1);
    assert_eq!(compact_all(&writing).rows, 50);
    memory.delete(&writing.catalog().live()[0].path).unwrap();
    let reader = blocks(&memory);
    assert!(all(&reader, &[], (0, i64::MAX)).is_empty());
    assert_eq!(reader.catalog().stats().quarantined, 2);
}

#[test]
fn a_day_of_a_machine_takes_at_most_0_85_bytes_a_sample() {
    use testkit::workload::{DAY_STEPS, Workload};
    for jitter_ms in [0, 3] {
        let memory = Memory::new();
        let blocks = blocks(&memory);
        let mut workload = Workload::new(1, 1);
        let labels: Vec<Labels> =
            workload.series.iter().map(|series| Labels::new(series.labels.clone())).collect();
        for window in 0..12 {
            let steps = window * DAY_STEPS / 12..(window + 1) * DAY_STEPS / 12;
            let times: Arc<[i64]> =
                steps.map(|step| Workload::time_ms(0, 0, step, jitter_ms)).collect();
            let columns = workload.columns(times.len());
            let series = labels.iter().zip(columns).map(|(labels, values)| SeriesColumns {
                labels: labels.clone(),
                times: times.clone(),
                values: values.into(),
                ..SeriesColumns::default()
            });
            put(&blocks, series.collect());
        }
        let flushed = blocks.catalog().stats();
        let day = compact_all(&blocks);
        assert_eq!(day.items, (labels.len() * DAY_STEPS) as u64);
        let per_sample = day.bytes as f64 / day.items as f64;
        assert!(per_sample <= 0.85, "{per_sample} at {jitter_ms} ms");
        assert!(flushed.bytes as f64 / day.items as f64 <= 1.1, "{flushed:?}");
    }
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-1000i32..1000).prop_map(f64::from),
        2 => (0u32..1000).prop_map(|n| f64::from(n) / 100.0),
        1 => any::<f64>(),
        1 => Just(f64::from_bits(STALE)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..<_>::default() })]

    #[test]
    fn blocks_hold_what_was_written_however_it_overlaps(
        flushes in proptest::collection::vec(
            proptest::collection::vec(
                ("[ab]", "[xy]?", proptest::collection::btree_map(0i64..60, value(), 1..20)),
                1..6,
            ),
            1..6,
        ),
        range in (0i64..60, 0i64..60),
        matcher in ("[ab]|x|", prop::sample::select(vec!["__name__", "l"])),
    ) {
        let memory = Memory::new();
        let blocks = blocks(&memory);
        let mut model: BTreeMap<Labels, BTreeMap<i64, f64>> = BTreeMap::new();
        for flush in &flushes {
            let mut series: BTreeMap<Labels, BTreeMap<i64, f64>> = BTreeMap::new();
            for (name, label, samples) in flush {
                let labels = Labels::new([("__name__", name.as_str()), ("l", label.as_str())]);
                series.entry(labels).or_default().extend(samples);
            }
            let columns = series.iter().map(|(labels, samples)| SeriesColumns {
                labels: labels.clone(),
                times: samples.keys().copied().collect(),
                values: samples.values().copied().collect(),
                ..SeriesColumns::default()
            });
            put(&blocks, columns.collect());
            for (labels, samples) in series {
                model.entry(labels).or_default().extend(samples);
            }
        }
        let (start, end) = (range.0.min(range.1), range.0.max(range.1));
        let matchers = [is(matcher.1, &matcher.0)];
        let expected: Vec<SeriesColumns> = model
            .iter()
            .filter(|(labels, _)| matchers[0].matches(labels.get(matcher.1)))
            .map(|(labels, samples)| SeriesColumns {
                labels: labels.clone(),
                times: samples.range(start..=end).map(|(time, _)| *time).collect(),
                values: samples.range(start..=end).map(|(_, value)| *value).collect(),
                ..SeriesColumns::default()
            })
            .filter(|series| !series.is_empty())
            .collect();
        for _ in 0..2 {
            assert_same(&all(&blocks, &matchers, (start, end)), &expected);
            compact_all(&blocks);
        }
        let items: usize = model.values().map(BTreeMap::len).sum();
        prop_assert_eq!(blocks.catalog().stats().items, items as u64);
    }
}
