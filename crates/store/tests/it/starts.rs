// SPDX-License-Identifier: Apache-2.0
//! When counting started: a sample of 0 there, where that is asked for.

use otlp_wire::Temporality;
use otlp_wire::write::{ExponentialBuckets, ExponentialHistogram, Histogram, Summary};
use store::HeadOptions;

use super::*;

const MS: u64 = 1_000_000;
const S: i64 = 1_000;

fn options(zero_at_start: bool) -> StoreOptions {
    let head = HeadOptions { zero_at_start, ..HeadOptions::default() };
    StoreOptions { head, ..flush::by_hand() }
}

/// A time `ms` after [`NOW`].
fn at(ms: i64) -> u64 {
    NOW.saturating_add_signed(ms * MS as i64)
}

/// A value of each kind, all 3, taken at `time` and counting since `start`.
fn scrape(start: i64, time: i64) -> Payload {
    let mut w = Metrics::new();
    w.resource(|r| r.str("service.name", "cart"));
    w.sum("hits", "", "", Temporality::Cumulative, true, |p| {
        p.start(at(start));
        p.int(at(time), 3, |_| ());
    });
    w.sum("room", "", "", Temporality::Cumulative, false, |p| {
        p.start(at(start));
        p.int(at(time), 3, |_| ());
    });
    w.sum("added", "", "", Temporality::Delta, true, |p| {
        p.start(at(start));
        p.int(at(time), 3, |_| ());
    });
    w.gauge("level", "", "", |p| {
        p.start(at(start));
        p.int(at(time), 3, |_| ());
    });
    w.histogram("took", "", "", Temporality::Cumulative, |p| {
        p.start(at(start));
        let (explicit_bounds, bucket_counts) = (&[1.0][..], &[3, 0][..]);
        let all = Histogram {
            count: 3,
            sum: Some(3.0),
            explicit_bounds,
            bucket_counts,
            ..<_>::default()
        };
        p.histogram(at(time), &all, |_| ());
    });
    w.summary("waited", "", "", |p| {
        p.start(at(start));
        p.summary(at(time), &Summary { count: 3, sum: 3.0, quantiles: &[(0.5, 3.0)] }, |_| ());
    });
    w.exponential_histogram("native", "", "", Temporality::Cumulative, |p| {
        p.start(at(start));
        let positive = ExponentialBuckets { offset: 0, counts: &[1, 2] };
        let all = ExponentialHistogram { count: 3, sum: Some(3.0), positive, ..<_>::default() };
        p.exponential_histogram(at(time), &all, |_| ());
    });
    w.finish()
}

/// What the series of a metric have, as `ms:value`.
fn told(store: &Store, name: &str) -> Vec<String> {
    let matcher = Matcher::new(MatchOp::Equal, "__name__", name).unwrap();
    let found = store.select(&[matcher], 0, i64::MAX, 0, None).unwrap();
    let (mut values, mut starts) = (Vec::new(), Vec::new());
    let now = (NOW / MS) as i64;
    let mut all: Vec<String> = (0..found.len())
        .map(|series| {
            let read = found.read(series, &mut values, &mut starts).unwrap();
            let numbers = read.times.iter().zip(read.values).map(|(t, v)| (*t, *v));
            let histograms = found.histograms(series);
            let counts = histograms.iter().map(|(time, histogram)| (*time, histogram.count));
            let each = numbers.chain(counts).map(|(t, v)| format!("{}:{v}", (t - now) / S));
            each.collect::<Vec<_>>().join(" ")
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

const COUNTING: [&str; 7] =
    ["hits_total", "took_bucket", "took_count", "took_sum", "waited_count", "waited_sum", "native"];
const OTHERS: [&str; 4] = ["room", "added_total", "level", "waited"];

#[track_caller]
fn check(store: &Store, counting: &str, others: &str) {
    for (names, expected) in [(&COUNTING[..], counting), (&OTHERS[..], others)] {
        for name in names {
            // The bucket that nothing fell into, and the others.
            let found: Vec<_> = told(store, name);
            assert_eq!(found, [expected], "{name}");
        }
    }
}

#[test]
fn what_counts_since_a_start_is_zero_there() {
    let store = open(&TestFiles::new(), options(true));
    assert!(accept(&store, &scrape(-40 * S, -30 * S)));
    check(&store, "-40:0 -30:3", "-30:3");
    assert!(accept(&store, &scrape(-40 * S, -15 * S)));
    // Anew; and once more what was told before.
    assert!(accept(&store, &scrape(-5 * S, 0)));
    assert!(accept(&store, &scrape(-40 * S, -30 * S)));
    let counting = "-40:0 -30:3 -15:3 -5:0 0:3";
    let samples = store.head().sample_count();
    for name in COUNTING {
        assert_eq!(told(&store, name), [counting], "{name}");
    }
    store.flush().unwrap();
    assert!(samples > 0 && store.head().sample_count() == 0, "each zero was counted");
    for name in COUNTING {
        assert_eq!(told(&store, name), [counting], "{name} in a block");
    }
}

#[test]
fn nothing_is_added_unless_asked_for_nor_for_starts_that_cannot_be() {
    let store = open(&TestFiles::new(), options(false));
    assert!(accept(&store, &scrape(-40 * S, -30 * S)));
    check(&store, "-30:3", "-30:3");
    let store = open(&TestFiles::new(), options(true));
    // Unknown, the moment of the sample, behind it, long ago.
    let unknown = -((NOW / MS) as i64);
    for (number, start) in [unknown, 0, 60 * S, -3_601 * S].into_iter().enumerate() {
        let time = number as i64 * S;
        assert!(accept(&store, &scrape(if start == 0 { time } else { start }, time)));
    }
    for name in COUNTING {
        assert_eq!(told(&store, name), ["0:3 1:3 2:3 3:3"], "{name}");
    }
}

#[test]
fn a_zero_is_there_once_whatever_restarts() {
    let files = TestFiles::new();
    let store = open(&files, options(true));
    assert!(accept(&store, &scrape(-40 * S, -30 * S)));
    drop(store);
    // From the log, then from a block with the log behind it, then to go on with memory empty.
    let store = open(&files, options(true));
    replay(&store);
    check(&store, "-40:0 -30:3", "-30:3");
    store.flush().unwrap();
    drop(store);
    let store = open(&files, options(true));
    replay(&store);
    check(&store, "-40:0 -30:3", "-30:3");
    assert!(accept(&store, &scrape(-40 * S, -15 * S)));
    for name in COUNTING {
        assert_eq!(told(&store, name), ["-40:0 -30:3 -15:3"], "{name}");
    }
}
