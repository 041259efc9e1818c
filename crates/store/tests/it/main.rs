// SPDX-License-Identifier: Apache-2.0
//! The store from append to answer, across crashes.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test; helpers are no #[test]")]

mod faults;
mod flush;
mod starts;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use basics::files::TestFiles;
use basics::labels::{MatchOp, Matcher};
use basics::{Clock, Random};
use otlp_wire::write::{Log, Logs, Metrics, Span, Traces};
use otlp_wire::{Payload, Signal};
use segment_log::{Position, Record};
use store::logs::LogQuery;
use store::traces::SpanQuery;
use store::{Store, StoreOptions};

const NOW: u64 = 1_700_000_000_000_000_000;

fn options() -> StoreOptions {
    let log = segment_log::Options {
        segment_bytes: 2048,
        group_interval: Duration::ZERO,
        ..segment_log::Options::default()
    };
    StoreOptions { log, ..StoreOptions::default() }
}

fn open(files: &TestFiles, options: StoreOptions) -> Store {
    Store::open(Path::new("/data"), options, files.shared(), Clock::manual(NOW)).unwrap()
}

/// What the pipeline does at start.
fn replay(store: &Store) {
    let mut reader = store.log().reader(Position::default());
    while let Some(record) = reader.next() {
        let signal = Signal::from_name(&record.pipeline).unwrap();
        if signal != Signal::Metrics && record.position < store.flushed(signal) {
            continue;
        }
        let payload = Payload::admit(signal, record.body).unwrap();
        store.ingest_again(&payload, record.received, record.position);
    }
}

/// What the pipeline does with a request: true when it was acknowledged.
fn accept(store: &Store, payload: &Payload) -> bool {
    let Ok((ticket, on_its_way)) = store.log().append_held(&record(payload)) else { return false };
    store.ingest(payload, NOW);
    drop(on_its_way);
    ticket.wait().is_ok()
}

fn record(payload: &Payload) -> Record<'_> {
    Record {
        signal: 0,
        entry: 0,
        encoding: 0,
        tenant: "",
        pipeline: payload.signal().name(),
        received: NOW,
        body: payload.bytes(),
    }
}

fn point(id: u64) -> Payload {
    let mut w = Metrics::new();
    w.resource(|r| r.str("service.name", "cart"));
    w.gauge("id", "", "", |p| {
        p.int(NOW + id * 1_000_000, id as i64, |a| a.int("bucket", id as i64 % 5))
    });
    w.finish()
}

fn ids(store: &Store) -> BTreeSet<u64> {
    let matcher = Matcher::new(MatchOp::Equal, "__name__", "id").unwrap();
    let found = store.head().select(&[matcher], 0, i64::MAX, 0).unwrap();
    found.iter().flat_map(|series| series.values.iter().map(|value| *value as u64)).collect()
}

#[test]
fn every_acknowledged_point_is_there_after_a_crash() {
    for seed in 0..20 {
        let mut random = Random::seeded(seed);
        let files = TestFiles::new();
        let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
        for life in 0..3u64 {
            let store = Arc::new(open(&files, options()));
            replay(&store);
            let threads: Vec<_> = (0..2u64)
                .map(|thread| {
                    let (store, acknowledged) = (store.clone(), acknowledged.clone());
                    std::thread::spawn(move || {
                        for i in 0..100 {
                            let id = life * 1000 + thread * 500 + i;
                            if !accept(&store, &point(id)) {
                                return;
                            }
                            acknowledged.lock().unwrap().insert(id);
                        }
                    })
                })
                .collect();
            let moment = random.below(150);
            while store.log().stats().records_appended < moment {
                std::thread::yield_now();
            }
            files.crash_torn(&mut random);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
        let store = open(&files, options());
        replay(&store);
        let (found, acknowledged) = (ids(&store), acknowledged.lock().unwrap());
        assert!(
            acknowledged.is_subset(&found),
            "seed {seed}: {:?}",
            acknowledged.difference(&found)
        );
    }
}

#[test]
fn replaying_gives_the_same_store() {
    let files = TestFiles::new();
    let store = open(&files, options());
    let payloads: Vec<Payload> = (0..50).map(point).collect();
    assert!(payloads.iter().all(|payload| accept(&store, payload)));
    let before = ids(&store);
    store.close().unwrap();
    drop(store);
    let store = open(&files, options());
    replay(&store);
    assert_eq!(ids(&store), before);
}

#[test]
fn where_no_blocks_are_written_the_ring_drops_the_oldest_and_memory_follows() {
    let files = TestFiles::new();
    let mut small = options();
    small.log.bytes_max = 4096;
    small.storage.query_only = true;
    small.storage.objects = Some(Arc::new(store::blocks::Memory::new()));
    let store = open(&files, small);
    let receive = |id: u64| {
        let payload = point(id);
        let record = Record { received: NOW + id * 1_000_000, ..record(&payload) };
        store.log().append(&record).unwrap().wait().unwrap();
        store.ingest(&payload, NOW + id * 1_000_000);
    };
    (0..200).for_each(receive);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while ids(&store).len() > 100 {
        assert!(std::time::Instant::now() < deadline, "{:?}", ids(&store));
        std::thread::yield_now();
    }
    assert!(store.log().stats().records_dropped > 0 && ids(&store).contains(&199));
}

#[test]
fn all_signals_are_kept_and_their_services_told() {
    let files = TestFiles::new();
    let store = open(&files, options());
    let mut traces = Traces::new();
    traces.resource(|r| r.str("service.name", "cart"));
    let span = Span { trace_id: [1; 16], span_id: [2; 8], name: "GET", ..Span::default() };
    traces.span(&span, |_| ());
    let mut logs = Logs::new();
    logs.resource(|r| r.str("service.name", "mail"));
    logs.log(&Log { body: "sent".into(), ..Log::default() }, |_| ());
    for payload in [traces.finish(), logs.finish(), point(1)] {
        assert!(accept(&store, &payload));
    }
    drop(store);
    let store = open(&files, options());
    replay(&store);
    let traces = store.traces().list(&SpanQuery::default()).expect("traces");
    assert_eq!((traces.len(), traces[0].name.as_str()), (1, "GET"));
    let logs = store.logs().search(&LogQuery::default()).expect("logs");
    assert_eq!(logs.records[0].body, "sent");
    let services = store.services();
    let told: Vec<_> =
        services.iter().map(|s| (s.name.as_str(), s.spans, s.points, s.logs)).collect();
    assert_eq!(told, [("cart", 1, 1, 0), ("mail", 0, 0, 1)]);
    let held = (store.traces().stats().items, store.logs().stats().items);
    assert_eq!((held, store.head().series_count()), ((1, 1), 1));
    assert_eq!(services[0].last_seen, NOW);
}
