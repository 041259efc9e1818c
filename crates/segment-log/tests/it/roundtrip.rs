// SPDX-License-Identifier: Apache-2.0
use std::future::Future;
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};

use basics::files::TestFiles;
use proptest::prelude::*;
use segment_log::{Durability, Position, Record, Start};

use crate::*;

type Fields = (u8, u8, u8, String, String, u64, Vec<u8>);

fn fields() -> impl Strategy<Value = Fields> {
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..400),
        // Bodies made of markers must not confuse anything.
        (0usize..50).prop_map(|n| [0xf1, 0xfe, 0x60, 0xff].repeat(n)),
    ];
    (any::<u8>(), any::<u8>(), any::<u8>(), ".{0,9}", ".{0,9}", any::<u64>(), body)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_appended_is_read_back_before_and_after_reopening(
        all in proptest::collection::vec(fields(), 0..20),
    ) {
        let files = TestFiles::new();
        let log = open(&files, small());
        let mut positions = Vec::new();
        for (signal, entry, encoding, tenant, pipeline, received, body) in &all {
            let record = Record {
                signal: *signal, entry: *entry, encoding: *encoding, tenant, pipeline,
                received: *received, body,
            };
            let ticket = log.append(&record).unwrap();
            positions.push((ticket.position(), ticket.next()));
        }
        let before = read(&log);
        log.close().unwrap();
        drop(log);
        let after = read(&open(&files, small()));
        prop_assert_eq!(&before, &after);
        let seen: Vec<_> = before.iter().map(|s| (s.position, s.next)).collect();
        prop_assert_eq!(seen, positions);
        let seen: Vec<Fields> = before
            .into_iter()
            .map(|s| {
                let body = s.body.to_vec();
                (s.signal, s.entry, s.encoding, s.tenant, s.pipeline, s.received, body)
            })
            .collect();
        prop_assert_eq!(seen, all);
    }
}

#[test]
fn a_reader_goes_on_with_what_is_appended_later_and_starts_anywhere() {
    let files = TestFiles::new();
    let log = open(&files, small());
    let mut reader = log.reader(Position::default());
    assert!(reader.next().is_none());
    let mut positions = Vec::new();
    for i in 0..40u8 {
        positions.push(append(&log, &[i; 30]));
        assert_eq!(reader.next().unwrap().body[0], i);
        assert!(reader.next().is_none());
    }
    assert!(log.stats().segments > 5);
    for (i, position) in positions.iter().enumerate() {
        assert_eq!(log.reader(*position).next().unwrap().body[0], i as u8);
    }
    assert!(log.reader(log.end()).next().is_none());
}

#[test]
fn a_ticket_is_told_by_callback_by_blocking_and_as_a_future() {
    let files = TestFiles::new();
    let log = open(&files, small());
    let (tell, told) = mpsc::channel();
    let position = log.append(&record(b"a")).unwrap();
    let next = position.next();
    position.on_durable(move |outcome| tell.send(outcome.is_ok()).unwrap());
    assert!(told.recv().unwrap());
    assert!(log.synced() >= next);

    struct Flag(mpsc::Sender<()>);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(());
        }
    }
    let (tell, told) = mpsc::channel();
    let waker = Waker::from(Arc::new(Flag(tell)));
    let mut ticket = Box::pin(log.append(&record(b"b")).unwrap());
    loop {
        match ticket.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => break outcome.unwrap(),
            Poll::Pending => told.recv().unwrap(),
        }
    }
}

#[test]
fn without_sync_durability_tickets_resolve_at_once() {
    for durability in [Durability::None, Durability::Interval(Duration::from_secs(3600))] {
        let files = TestFiles::new();
        let log = open(&files, Options { durability, ..small() });
        append(&log, b"x");
        assert_eq!(log.stats().fsync.count, 0);
        log.close().unwrap();
        files.crash();
        assert_eq!(bodies(&open(&files, small())), [b"x"], "closing syncs under {durability:?}");
    }
}

#[test]
fn many_appends_share_few_syncs() {
    let files = TestFiles::new();
    let options = Options { group_interval: Duration::from_millis(5), ..Options::default() };
    let log = shared(open(&files, options));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let log = log.clone();
            std::thread::spawn(move || {
                let tickets: Vec<_> =
                    (0..500).map(|_| log.append(&record(b"x")).unwrap()).collect();
                tickets.into_iter().for_each(|ticket| ticket.wait().unwrap());
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let stats = log.stats();
    assert_eq!(stats.records_appended, 2000);
    assert!(stats.fsync.count < 1000, "{} syncs", stats.fsync.count);
    assert_eq!(stats.bytes_unsynced, 0);
}

#[test]
fn consumers_go_on_where_they_were_after_a_restart() {
    let files = TestFiles::new();
    let log = open(&files, small());
    let old = log.consumer("exporter/otlp a.b", Start::Oldest).unwrap();
    let first = append(&log, b"1");
    let second = append(&log, b"2");
    let new = log.consumer("new", Start::Newest).unwrap();
    assert_eq!((old.position(), new.position()), (first, log.end()));
    old.commit(second).unwrap();
    old.commit(first).unwrap();
    files.crash();
    drop(log);
    let log = open(&files, small());
    assert_eq!(log.consumer("exporter/otlp a.b", Start::Newest).unwrap().position(), second);
    assert_eq!(log.retain_consumers(&["new"]).unwrap(), ["exporter/otlp a.b"]);
    files.crash();
    let log = open(&files, small());
    assert_eq!(log.consumer("exporter/otlp a.b", Start::Newest).unwrap().position(), log.end());
}
