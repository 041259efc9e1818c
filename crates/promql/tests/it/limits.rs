// SPDX-License-Identifier: Apache-2.0
//! Bounds and cancellation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use promql::testing::MemorySource;
use promql::{Context, Engine, Limits, QueryError, Select, Series, SeriesSource};

fn source() -> MemorySource {
    let mut source = MemorySource::default();
    source
        .load("1s", &["m{i=\"1\"} 0+1x100", "m{i=\"2\"} 0+1x100", "m{i=\"3\"} 0+1x100"])
        .expect("the notation is valid");
    source
}

fn run(limits: Limits, context: &Context) -> Result<promql::QueryResult, QueryError> {
    Engine::new(limits).range(&source(), "sum(rate(m[10s]))", (0, 100_000), 1000, context)
}

#[test]
fn a_query_within_its_limits_answers() {
    assert!(run(Limits::default(), &Context::default()).is_ok());
}

#[test]
fn too_many_samples_series_or_steps_are_refused() {
    let cases = [
        Limits { samples_max: 100, ..Limits::default() },
        Limits { series_max: 2, ..Limits::default() },
        Limits { steps_max: 100, ..Limits::default() },
    ];
    for limits in cases {
        let result = run(limits.clone(), &Context::default());
        assert!(matches!(result, Err(QueryError::TooMuch(_))), "{limits:?}: {result:?}");
    }
}

#[test]
fn a_cancelled_query_stops() {
    let context = Context { cancel: Arc::new(AtomicBool::new(true)), deadline: None };
    assert!(matches!(run(Limits::default(), &context), Err(QueryError::Cancelled)));
}

#[test]
fn a_query_past_its_deadline_stops() {
    let context = Context { deadline: Some(Instant::now()), ..Context::default() };
    assert!(matches!(run(Limits::default(), &context), Err(QueryError::Timeout)));
    let limits = Limits { timeout: Duration::ZERO, ..Limits::default() };
    assert!(matches!(run(limits, &Context::default()), Err(QueryError::Timeout)));
}

/// Counts how often it is asked.
struct Counting(MemorySource, AtomicUsize);

impl SeriesSource for Counting {
    fn select(&self, select: &Select<'_>) -> basics::Result<Vec<Series>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.select(select)
    }
}

#[test]
fn a_selector_written_twice_is_read_once() {
    for (query, reads) in [
        ("m / m", 1),
        ("sum(rate(m[10s])) / count(rate(m[10s]))", 1),
        ("m + m offset 5s", 2),
        ("m{i=\"1\"} or m{i=\"2\"}", 2),
        ("sum_over_time(m[1m:10s])", 1),
    ] {
        let source = Counting(source(), AtomicUsize::new(0));
        let result =
            Engine::default().range(&source, query, (0, 100_000), 1000, &Context::default());
        assert!(result.is_ok(), "{query}: {result:?}");
        assert_eq!(source.1.load(Ordering::Relaxed), reads, "{query}");
    }
}

#[test]
fn extreme_times_do_not_overflow() {
    let limits = Limits { lookback_ms: i64::MAX, subquery_step_ms: i64::MIN, ..Limits::default() };
    let engine = Engine::new(limits);
    for query in [
        "m @ 9000000000000000",
        "m @ -9000000000000000 offset 100y",
        "rate(m[100y] @ 9007199254740 offset -200y)",
        "sum_over_time(m[1000ms:]) + sum_over_time(m[1s:1ms] offset 290y)",
        "m smoothed",
        "increase(m[1m] anchored)",
    ] {
        for time in [0, 1 << 53, -(1 << 53), i64::MAX, i64::MIN] {
            // Refused or answered: only a panic would be wrong.
            let _ = engine.instant(&source(), query, time, &Context::default());
            let _ = engine.range(&source(), query, (time, i64::MAX), 1, &Context::default());
        }
    }
}

#[test]
fn the_deepest_query_fits_a_small_stack() {
    let queries = [
        format!("{}m{}", "abs(".repeat(98), ")".repeat(98)),
        format!("{}m{}", "(-".repeat(32), ")".repeat(32)),
        format!("m{}", " + m".repeat(499)),
        format!("m{}", " and m".repeat(499)),
        format!("{}m{}", "sum by (i) (".repeat(98), ")".repeat(98)),
        format!("{}m{}", "max_over_time(".repeat(98), "[1s:1s])".repeat(98)),
    ];
    let run = move || {
        for query in queries {
            let expr = promql::parse(&query).unwrap_or_else(|e| panic!("{e}: {query}"));
            assert!(promql::parse(&expr.to_string()).is_ok());
            let result = Engine::default().instant(&source(), &query, 5_000, &Context::default());
            assert!(result.is_ok(), "{query}: {result:?}");
        }
    };
    // What a worker thread of the runtime has.
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run);
    assert!(thread.expect("a thread can be started").join().is_ok());
}
