// SPDX-License-Identifier: Apache-2.0
use otlp_wire::write::{Log, Logs as Writer};

use super::*;

fn logs() -> Logs {
    let logs = Logs::new(Limits::default());
    for i in 1..=6u8 {
        logs.push(&payload(i), 7);
    }
    logs
}

/// Message `i` at time `i`; the sixth has been observed only, at 3.
fn payload(i: u8) -> Payload {
    let mut w = Writer::new();
    w.resource(|r| {
        r.str("service.name", if i.is_multiple_of(2) { "even" } else { "odd" });
        r.str("zone", "a");
    });
    let body = format!("Message {i}");
    let log = Log {
        time: if i == 6 { 0 } else { u64::from(i) },
        observed_time: 3,
        severity_number: i32::from(i),
        body: body.as_str().into(),
        trace_id: (i == 4).then_some([4; 16]),
        ..Log::default()
    };
    w.log(&log, |a| a.int("n", i64::from(i)));
    w.finish()
}

fn numbers(records: &[LogRecord]) -> Vec<u8> {
    records.iter().map(|record| record.body.as_bytes()[8] - b'0').collect()
}

fn check(logs: &Logs) {
    let found = |query: LogQuery| numbers(&logs.search(&query).expect("found").records);
    let pair = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    let all = LogQuery::default();
    let newest = found(all.clone());
    assert_eq!((&newest[..2], &newest[4..]), (&[5, 4][..], &[2, 1][..]));
    assert_eq!(found(LogQuery { labels: pair("service", "odd"), ..all.clone() }), [5, 3, 1]);
    assert!(found(LogQuery { labels: pair("zone", "b"), ..all.clone() }).is_empty());
    assert_eq!(found(LogQuery { attributes: pair("n", "2"), ..all.clone() }), [2]);
    assert_eq!(found(LogQuery { severity_min: 4, ..all.clone() }), [5, 4, 6]);
    assert_eq!(found(LogQuery { contains: "ge 2".into(), ..all.clone() }), [2]);
    assert!(found(LogQuery { contains: "message 2".into(), ..all.clone() }).is_empty());
    let any_case = LogQuery { contains: "mESSAGE 2".into(), ignore_case: true, ..all.clone() };
    assert_eq!(found(any_case), [2]);
    assert_eq!(found(LogQuery { trace_id: Some([4; 16]), ..all.clone() }), [4]);
    assert_eq!(found(LogQuery { start: 4, end: 4, ..all.clone() }), [4]);
    assert_eq!(found(LogQuery { limit: 1, ..all.clone() }), [5]);
    assert_eq!(found(LogQuery { limit: 2, forward: true, ..all }), [1, 2]);
    let record = &logs.search(&LogQuery::default()).expect("found").records[0];
    assert_eq!(record.attributes, [("n".to_owned(), "5".to_owned())]);
}

#[test]
fn records_are_searched_and_come_newest_first() {
    check(&logs());
}

#[test]
fn a_block_answers_as_memory_did() {
    let options = crate::blocks::CatalogOptions {
        tenant: "t".to_owned(),
        signal: "logs",
        writer: Some("w".to_owned()),
    };
    let objects = Arc::new(crate::blocks::Memory::new());
    let clock = basics::Clock::manual(1_790_000_000_000_000_000);
    let catalog = Catalog::open(objects, options, clock, basics::Random::seeded(7));
    let (catalog, logs) = (Arc::new(catalog.expect("opens")), logs());
    let before = logs.search(&LogQuery::default()).expect("found");
    logs.attach(catalog.clone());
    let rows = logs.take(u64::MAX);
    let block = write_block(&catalog, &rows).expect("written").expect("rows");
    catalog.commit(vec![block.clone()], &[], None).expect("committed");
    // In memory and in the block at once: each record once.
    assert_eq!(logs.search(&LogQuery::default()).expect("found"), before);
    logs.release(&rows);
    assert_eq!(logs.search(&LogQuery::default()).expect("found"), before);
    check(&logs);
    let merge = Merge { level: 1, inputs: vec![block] };
    let merged = compact(&catalog, &merge).expect("merged").expect("rows");
    assert_eq!((merged.rows, catalog.live().len()), (6, 1));
    check(&logs);
}

#[test]
fn pages_give_every_record_once_in_both_directions() {
    let logs = logs();
    logs.push(&payload(2), 9);
    for forward in [false, true] {
        let all = LogQuery { forward, ..LogQuery::default() };
        let whole = logs.search(&all).expect("found");
        assert_eq!((whole.records.len(), whole.next), (7, None));
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let query = LogQuery { limit: 2, after, ..all.clone() };
            let page = logs.search(&query).expect("found");
            paged.extend(page.records);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(paged, whole.records);
    }
}

#[test]
fn what_comes_is_followed_from_a_number_on() {
    let logs = logs();
    let query = LogQuery { severity_min: 2, limit: 2, ..LogQuery::default() };
    let from = logs.newest();
    assert_eq!(logs.follow(&query, from), (Vec::new(), from));
    (1..=4).for_each(|i| logs.push(&payload(i), 8));
    let (first, next) = logs.follow(&query, from);
    assert_eq!(numbers(&first), [2, 3]);
    let (second, next) = logs.follow(&query, next);
    assert_eq!(numbers(&second), [4]);
    assert!(logs.follow(&query, next).0.is_empty());
}

#[test]
fn a_page_that_ends_with_a_chunk_tells_of_the_chunks_behind_it() {
    let logs = Logs::new(Limits::default());
    for time in 1..=5000 {
        let mut w = Writer::new();
        w.resource(|r| r.str("service.name", "many"));
        w.log(&Log { time, body: "again".into(), ..Log::default() }, |_| ());
        logs.push(&w.finish(), 8);
    }
    let newest_chunk = 5000 % 4096;
    let query = LogQuery { limit: newest_chunk, ..LogQuery::default() };
    let page = logs.search(&query).expect("found");
    assert_eq!(page.records.len(), newest_chunk);
    assert!(page.next.is_some());
}
