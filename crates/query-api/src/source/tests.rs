// SPDX-License-Identifier: Apache-2.0
//! Queries over blocks, with the statistics of rows in place of their samples and without.

use std::collections::BTreeMap;
use std::path::Path;

use basics::files::TestFiles;
use basics::labels::MatchOp;
use basics::{Clock, Random};
use otlp_wire::Signal;
use otlp_wire::write::Metrics;
use promql::{Context, Engine, QueryValue, Sample};
use store::columns::SeriesColumns;
use store::metrics::write_block;
use store::{StorageOptions, StoreOptions};

use super::*;

const START_MS: i64 = 1_790_000_000_000;
const STEP_MS: i64 = 15_000;
/// Samples of a row, so many that its statistics are worth reading.
const ROW: i64 = 240;
const ROW_MS: i64 = ROW * STEP_MS;
const BLOCKS: i64 = 7;
/// In the middle of what memory has.
const NOW_MS: i64 = START_MS + BLOCKS * ROW_MS + ROW_MS / 2;

/// As the source, but each sample is looked at.
struct EachSample(Source);

impl SeriesSource for EachSample {
    fn select(&self, select: &Select<'_>) -> basics::Result<Vec<Series>> {
        self.0.select(select)
    }

    fn open<'a>(&'a self, select: &Select<'_>) -> basics::Result<Box<dyn Selection + 'a>> {
        let hints = Hints { digests: Digests::Never, ..select.hints };
        self.0.open(&Select { hints, ..*select })
    }
}

/// What series are like; each kind has oddities of its own.
const KINDS: [&str; 12] = [
    "counter",
    "reset",
    "gauge",
    "below zero",
    "large and opposite",
    "constant",
    "ends and begins",
    "not a number",
    "infinite",
    "signed zeros",
    "late",
    "since",
];

struct Data {
    random: Random,
    level: f64,
    /// Added to the next value of "large and opposite".
    large: f64,
}

impl Data {
    fn value(&mut self, kind: &str) -> f64 {
        let draw = self.random.below(1_000) as f64;
        let rare = self.random.below(90) == 0;
        self.level = match kind {
            "constant" => self.level,
            "counter" | "since" | "late" => self.level + draw / 7.0,
            "reset" | "ends and begins" if rare => draw / 3.0,
            "reset" | "ends and begins" => self.level + draw / 3.0,
            _ => draw,
        };
        match kind {
            "gauge" => draw / 3.0 - 300.0,
            "below zero" => -draw / 7.0,
            "large and opposite" => std::mem::take(&mut self.large) + draw / 7.0,
            "ends and begins" if rare => promql::number::stale(),
            "not a number" if rare => f64::NAN,
            "infinite" if rare => {
                if draw > 500.0 {
                    f64::INFINITY
                } else {
                    f64::NEG_INFINITY
                }
            }
            "signed zeros" => {
                if draw > 500.0 {
                    0.0
                } else {
                    -0.0
                }
            }
            _ => self.level,
        }
    }
}

/// Seven blocks of random series, late ones that overlap, something deleted, and newer samples in
/// memory.
fn store(seed: u64) -> Store {
    let storage = StorageOptions { interval: None, ..StorageOptions::default() };
    let options = StoreOptions { storage, ..StoreOptions::default() };
    let clock = Clock::manual(NOW_MS as u64 * 1_000_000);
    let store = Store::open(Path::new("/data"), options, TestFiles::new().shared(), clock);
    let store = store.expect("an empty store");
    let mut data: Vec<Data> = (0..KINDS.len() as u64)
        .map(|at| Data { random: Random::seeded(seed * 100 + at), level: 1.0, large: 0.0 })
        .collect();
    let labels = |kind: &str| Labels::new([("__name__", "m"), ("kind", kind)]);
    let catalog = store.storage().catalog(Signal::Metrics);
    let put = |series: Vec<SeriesColumns>| {
        let block = write_block(catalog, series).expect("written").expect("samples");
        catalog.commit(vec![block], &[], None).expect("committed");
    };
    let mut random = Random::seeded(seed);
    for block in 0..BLOCKS {
        // All but a few samples, at times of their own.
        let time = |at: i64, more: u64| START_MS + block * ROW_MS + at * STEP_MS + more as i64;
        let draw = |at| (random.below(20) > 0).then(|| time(at, random.below(3)));
        let times: Arc<[i64]> = (0..ROW).filter_map(draw).collect();
        let one = |(kind, data): (&&str, &mut Data)| SeriesColumns {
            labels: labels(kind),
            times: times.clone(),
            values: times.iter().map(|_| data.value(kind)).collect(),
            start_times: match *kind {
                "since" => times.iter().map(|time| time - time % 1_000_000).collect(),
                _ => Arc::default(),
            },
            ..SeriesColumns::default()
        };
        // What a row adds up to cancels with what the next one does, but for little.
        data.iter_mut().for_each(|data| data.large = if block % 2 == 0 { 1e18 } else { -1e18 });
        put(KINDS.iter().zip(&mut data).map(one).collect());
    }
    let times: Arc<[i64]> = (0..60).map(|at| START_MS + ROW_MS * 2 + at * 100_000).collect();
    let values = times.iter().map(|_| data[10].value("late")).collect();
    put(vec![SeriesColumns { labels: labels("late"), times, values, ..SeriesColumns::default() }]);
    let reset = [Matcher::new(MatchOp::Equal, "kind", "constant").expect("a matcher")];
    let deleted = (START_MS + ROW_MS * 3 + 500_000, START_MS + ROW_MS * 3 + 900_000);
    catalog.delete(&reset, deleted).expect("deleted");
    let mut w = Metrics::new();
    for (kind, data) in KINDS.iter().zip(&mut data) {
        w.gauge("m", "", "", |points| {
            for at in 0..ROW / 2 {
                let time = START_MS + BLOCKS * ROW_MS + at * STEP_MS;
                points.double(time as u64 * 1_000_000, data.value(kind), |a| a.str("kind", kind));
            }
        });
    }
    store.ingest(&w.finish(), NOW_MS as u64 * 1_000_000);
    store
}

/// By labels and time; and how many samples were decoded.
type Answer = (BTreeMap<(String, i64), f64>, u64);

fn ask(source: &dyn SeriesSource, query: &str, (start, end, step): (i64, i64, i64)) -> Answer {
    let engine = Engine::default();
    let result = engine.range(source, query, (start, end), step, &Context::default());
    let result = result.expect("answers");
    let QueryValue::Matrix(matrix) = result.value else { panic!("no matrix") };
    let points = matrix.iter().flat_map(|entry| {
        let labels = entry.labels.to_string();
        entry.points.iter().map(move |point| {
            let Sample::Float(value) = point.sample else { panic!("not a number") };
            ((labels.clone(), point.timestamp_ms), value)
        })
    });
    (points.collect(), result.stats.samples_read)
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
        || (a.is_nan() && b.is_nan())
        || (a != 0.0 && (a - b).abs() <= 1e-14 * a.abs().max(b.abs()))
}

#[test]
fn statistics_answer_as_samples_do() {
    let functions = [
        ("rate", true),
        ("increase", true),
        ("delta", true),
        ("changes", true),
        ("resets", true),
        ("count_over_time", true),
        ("present_over_time", true),
        ("first_over_time", true),
        ("last_over_time", true),
        ("sum_over_time", true),
        ("avg_over_time", true),
        ("min_over_time", true),
        ("max_over_time", true),
        ("irate", false),
        ("idelta", false),
        ("stddev_over_time", false),
        ("ts_of_last_over_time", false),
    ];
    let seconds = |ms: i64| ms / 1000;
    for seed in 0..6 {
        let store = Arc::new(store(seed));
        let (with, without) = (Source(store.clone()), EachSample(Source(store)));
        let mut random = Random::seeded(seed + 1_000);
        let now = NOW_MS - random.below(2 * STEP_MS as u64) as i64;
        let old = NOW_MS - ROW_MS - random.below(ROW_MS as u64) as i64;
        for (window, range) in [
            // All there is, and most of it, at once and at a few steps.
            (BLOCKS * ROW_MS, (now, now, 1_000)),
            (4 * ROW_MS + 77_000, (now - ROW_MS, now, ROW_MS / 3)),
            (5 * ROW_MS, (old - ROW_MS / 2, old, ROW_MS / 2)),
            // To the edges of blocks, one after the other.
            (ROW_MS, (START_MS + ROW_MS - 1, START_MS + BLOCKS * ROW_MS - 1, ROW_MS)),
            (2 * ROW_MS, (START_MS + 2 * ROW_MS - 1, NOW_MS, ROW_MS)),
        ] {
            let mut decoded = (0, 0);
            for (function, told) in functions {
                let query = format!("{function}(m[{}s])", seconds(window));
                let (found, read) = ask(&with, &query, range);
                let (expected, all) = ask(&without, &query, range);
                assert!(!expected.is_empty(), "{query}");
                assert!(found.keys().eq(expected.keys()), "{query} in {range:?}: other points");
                for ((at, found), expected) in found.iter().zip(expected.values()) {
                    assert!(same(*found, *expected), "{query} {at:?}: {found} is not {expected}");
                }
                if told {
                    decoded = (decoded.0 + read, decoded.1 + all);
                } else {
                    assert_eq!(read, all, "{query}");
                }
            }
            assert!(decoded.0 * 10 < decoded.1 * 9, "window {window}: {decoded:?} samples decoded");
        }
    }
}
