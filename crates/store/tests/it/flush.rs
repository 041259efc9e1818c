// SPDX-License-Identifier: Apache-2.0
//! From memory into blocks, across crashes: nothing acknowledged is lost, nothing is there twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use store::FlushOptions;
use store::remote_write::Version;

use crate::*;

/// Blocks are written when the test says so.
pub(crate) fn by_hand() -> StoreOptions {
    let mut options = options();
    options.flush = FlushOptions { look: None, log_bytes: 8192, ..FlushOptions::default() };
    options.storage.interval = None;
    options
}

fn span(id: u64) -> Payload {
    let mut w = Traces::new();
    w.resource(|r| r.str("service.name", "cart"));
    let mut trace_id = [7; 16];
    trace_id[..8].copy_from_slice(&id.to_be_bytes());
    let (start, end) = (NOW + id * 1_000_000, NOW + id * 1_000_000 + 5000);
    let span =
        Span { trace_id, span_id: id.to_be_bytes(), name: "GET", start, end, ..Span::default() };
    w.span(&span, |a| a.int("id", id as i64));
    w.finish()
}

fn log(id: u64) -> Payload {
    let mut w = Logs::new();
    w.resource(|r| r.str("service.name", "mail"));
    let body = id.to_string();
    w.log(
        &Log { time: NOW + id * 1_000_000, body: body.as_str().into(), ..Log::default() },
        |_| (),
    );
    w.finish()
}

/// How often each id is found, by signal.
pub(crate) fn found(store: &Store) -> [BTreeMap<u64, u32>; 3] {
    let mut all: [BTreeMap<u64, u32>; 3] = Default::default();
    let matcher = Matcher::new(MatchOp::Equal, "__name__", "id").unwrap();
    let series = store.select(&[matcher], 0, i64::MAX, 0, None).unwrap();
    for at in 0..series.len() {
        let (mut values, mut starts) = (Vec::new(), Vec::new());
        for value in series.read(at, &mut values, &mut starts).unwrap().values {
            *all[0].entry(*value as u64).or_default() += 1;
        }
    }
    let query = SpanQuery { limit: 100_000, ..SpanQuery::default() };
    for trace in store.traces().list(&query).unwrap() {
        let id = u64::from_be_bytes(trace.trace_id[..8].try_into().unwrap());
        *all[1].entry(id).or_default() += trace.spans as u32;
    }
    let query = LogQuery { limit: 100_000, ..LogQuery::default() };
    for record in store.logs().search(&query).unwrap().records {
        *all[2].entry(record.body.parse().unwrap()).or_default() += 1;
    }
    all
}

pub(crate) fn accept_any(store: &Store, id: u64) -> bool {
    let payload = [point, span, log][id as usize % 3](id);
    accept(store, &payload)
}

#[test]
fn what_is_in_blocks_is_found_once_also_when_the_log_gives_it_again() {
    let files = TestFiles::new();
    let store = open(&files, by_hand());
    for id in 0..300 {
        assert!(accept_any(&store, id));
    }
    let before = found(&store);
    assert!(before.iter().all(|ids| ids.len() == 100 && ids.values().all(|n| *n == 1)));
    store.flush().unwrap();
    assert_eq!(found(&store), before);
    assert_eq!((store.head().sample_count(), store.traces().stats().items), (0, 0));
    assert!(
        [Signal::Metrics, Signal::Traces, Signal::Logs]
            .iter()
            .all(|signal| store.flushed(*signal) == store.log().end())
    );
    drop(store);
    let store = open(&files, by_hand());
    replay(&store);
    assert_eq!(found(&store), before);
    assert_eq!(store.logs().stats().items, 0);
}

#[test]
fn a_flush_before_the_log_is_read_again_takes_nothing_for_settled() {
    let files = TestFiles::new();
    let store = open(&files, by_hand());
    for id in 0..30 {
        assert!(accept_any(&store, id));
    }
    let before = found(&store);
    drop(store);
    for _ in 0..2 {
        let store = open(&files, by_hand());
        // A start that takes longer than flushes are apart.
        store.flush().unwrap();
        assert_eq!(store.flushed(Signal::Logs), Position::default());
        replay(&store);
        assert_eq!(found(&store), before);
    }
}

#[test]
fn what_rules_write_before_the_log_is_read_again_lets_nothing_go() {
    let files = TestFiles::new();
    let store = open(&files, by_hand());
    for id in 0..30 {
        assert!(accept_any(&store, id));
    }
    let before = found(&store);
    drop(store);
    for (life, given) in [0usize, 1, 7, 29].into_iter().enumerate() {
        let store = open(&files, by_hand());
        // What the pipeline does at a start, with a rule that does not wait for its end.
        let all = store.log().hold(store.log().oldest());
        let mut records = Vec::new();
        let mut reader = store.log().reader(Position::default());
        while let Some(record) = reader.next() {
            records.push(record);
        }
        let take = |record: &segment_log::Stored| {
            let Some(signal) = Signal::from_name(&record.pipeline) else {
                store.write_again(record).unwrap();
                return;
            };
            if signal == Signal::Metrics || record.position >= store.flushed(signal) {
                let payload = Payload::admit(signal, record.body.clone()).unwrap();
                store.ingest_again(&payload, record.received, record.position);
            }
        };
        records[..given].iter().for_each(take);
        let (_, ticket) = store.write(Version::V1, &recorded(life as u64), NOW).unwrap();
        ticket.wait().unwrap();
        store.flush().unwrap();
        // Or the process ends here.
        if life % 2 == 0 {
            records[given..].iter().for_each(take);
            drop(all);
            let mut expected = before.clone();
            expected[0].extend((0..=life as u64).map(|life| (1_000 + life, 1)));
            assert_eq!(found(&store), expected);
            store.flush().unwrap();
            assert_eq!(found(&store), expected);
        }
    }
    let store = open(&files, by_hand());
    replay_all(&store);
    let mut expected = before;
    expected[0].extend((0..4).map(|life| (1_000 + life, 1)));
    assert_eq!(found(&store), expected);
}

/// A remote write request with one sample of `id`.
fn recorded(life: u64) -> Vec<u8> {
    let text = |out: &mut Vec<u8>, tag: u8, bytes: &[u8]| {
        out.extend([tag, bytes.len() as u8]);
        out.extend_from_slice(bytes);
    };
    let mut series = Vec::new();
    for (name, value) in [("__name__", "id"), ("rule", "r")] {
        let mut label = Vec::new();
        text(&mut label, 0x0a, name.as_bytes());
        text(&mut label, 0x12, value.as_bytes());
        text(&mut series, 0x0a, &label);
    }
    let mut sample = vec![0x09];
    sample.extend_from_slice(&(1_000.0 + life as f64).to_le_bytes());
    sample.push(0x10);
    let mut time = NOW / 1_000_000 + life;
    while time >= 0x80 {
        sample.push(time as u8 | 0x80);
        time >>= 7;
    }
    sample.push(time as u8);
    text(&mut series, 0x12, &sample);
    let mut request = Vec::new();
    text(&mut request, 0x0a, &series);
    snap::raw::Encoder::new().compress_vec(&request).unwrap()
}

/// As [`replay`], remote writes included.
fn replay_all(store: &Store) {
    let mut reader = store.log().reader(Position::default());
    while let Some(record) = reader.next() {
        match Signal::from_name(&record.pipeline) {
            None => assert!(store.write_again(&record).is_some()),
            Some(signal) => {
                if signal == Signal::Metrics || record.position >= store.flushed(signal) {
                    let payload = Payload::admit(signal, record.body).unwrap();
                    store.ingest_again(&payload, record.received, record.position);
                }
            }
        }
    }
}

#[test]
fn what_was_imported_of_many_days_lies_in_a_block_a_day() {
    const HOUR_MS: i64 = 3_600_000;
    let files = TestFiles::new();
    let store = open(&files, by_hand());
    let day = (NOW / 1_000_000) as i64 / (24 * HOUR_MS) * 24 * HOUR_MS;
    let mut w = Metrics::new();
    for hour in 0..60 {
        let time = (day - 72 * HOUR_MS + hour * HOUR_MS) as u64 * 1_000_000;
        w.gauge("id", "", "", |p| p.int(time, hour, |_| ()));
    }
    assert!(accept(&store, &w.finish()));
    let before = found(&store);
    store.flush().unwrap();
    let blocks = store.storage().catalog(Signal::Metrics).live();
    let items: Vec<u64> = blocks.iter().map(|block| block.items).collect();
    assert_eq!(items, [24, 24, 12]);
    assert!(blocks.iter().all(|block| block.tmin / (24 * HOUR_MS) == block.tmax / (24 * HOUR_MS)));
    assert_eq!(found(&store), before);
    drop(store);
    let store = open(&files, by_hand());
    replay(&store);
    assert_eq!(found(&store), before);
}

#[test]
fn a_record_on_its_way_is_read_again_after_a_crash_and_taken_once() {
    let files = TestFiles::new();
    let store = open(&files, by_hand());
    // In the log, held by a stage; what comes after it is in memory at the flush.
    let slow = log(1);
    let (_, on_its_way) = store.log().append_held(&record(&slow)).unwrap();
    for id in [5, 8, 11] {
        assert!(accept_any(&store, id));
    }
    store.flush().unwrap();
    assert!(store.flushed(Signal::Logs) <= on_its_way.position());
    drop(on_its_way);
    drop(store);
    let store = open(&files, by_hand());
    replay(&store);
    let ids = [1, 5, 8, 11].map(|id| (id, 1));
    assert_eq!(found(&store)[2], BTreeMap::from(ids));
}

#[test]
fn a_flush_while_the_log_is_read_again_covers_no_less_and_doubles_nothing() {
    let files = TestFiles::new();
    let store = open(&files, by_hand());
    for id in 0..30 {
        assert!(accept_any(&store, id));
    }
    // A stage holds what came first, so that all of it is read again.
    let slow = log(1001);
    let (_, on_its_way) = store.log().append_held(&record(&slow)).unwrap();
    for id in 30..60 {
        assert!(accept_any(&store, id));
    }
    store.flush().unwrap();
    let covered = store.flushed(Signal::Logs);
    drop(on_its_way);
    drop(store);
    let store = open(&files, by_hand());
    let replaying = store.log().hold(Position::default());
    for _ in 0..2 {
        store.flush().unwrap();
        assert_eq!(store.flushed(Signal::Logs), covered);
    }
    replay(&store);
    drop(replaying);
    store.flush().unwrap();
    let all = found(&store);
    assert!(all.iter().flatten().all(|(_, times)| *times == 1), "{all:?}");
    assert_eq!(all.iter().map(BTreeMap::len).sum::<usize>(), 61);
}

#[test]
fn crashes_during_flushes_lose_nothing_acknowledged_and_double_nothing() {
    for seed in 0..12 {
        let mut random = Random::seeded(seed);
        let files = TestFiles::new();
        let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
        let next = Arc::new(AtomicU64::new(0));
        for _ in 0..4 {
            let store = Arc::new(open(&files, by_hand()));
            replay(&store);
            let over = Arc::new(AtomicBool::new(false));
            let senders = (0..2).map(|_| {
                let (store, acknowledged, next) =
                    (store.clone(), acknowledged.clone(), next.clone());
                std::thread::spawn(move || {
                    for _ in 0..150 {
                        let id = next.fetch_add(1, Ordering::Relaxed);
                        if !accept_any(&store, id) {
                            return;
                        }
                        acknowledged.lock().unwrap().insert(id);
                    }
                })
            });
            let mut threads: Vec<_> = senders.collect();
            let flushing = {
                let (store, over) = (store.clone(), over.clone());
                std::thread::spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        // Fails once the disk is gone.
                        let _ = store.flush();
                    }
                })
            };
            let moment = random.below(250);
            while store.log().stats().records_appended < moment {
                std::thread::yield_now();
            }
            files.crash_torn(&mut random);
            over.store(true, Ordering::Relaxed);
            threads.push(flushing);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
        let store = open(&files, by_hand());
        replay(&store);
        let all = found(&store);
        let doubled = all.iter().flatten().filter(|(_, times)| **times != 1).count();
        assert_eq!(doubled, 0, "seed {seed}: {all:?}");
        let found: BTreeSet<u64> = all.iter().flat_map(|ids| ids.keys().copied()).collect();
        let acknowledged = acknowledged.lock().unwrap();
        assert!(
            acknowledged.is_subset(&found),
            "seed {seed}: {:?}",
            acknowledged.difference(&found)
        );
    }
}

#[test]
fn a_disk_that_is_full_leaves_memory_and_log_as_they_are() {
    let files = TestFiles::new();
    let store = open(&files, by_hand());
    for id in 0..30 {
        assert!(accept_any(&store, id));
    }
    let before = found(&store);
    for _ in 0..3 {
        files.inject(basics::files::Fault::FailedSync);
    }
    assert!(store.flush().is_err());
    assert_eq!(found(&store), before);
    store.flush().unwrap();
    assert_eq!(found(&store), before);
}
