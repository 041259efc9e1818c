// SPDX-License-Identifier: Apache-2.0
use std::sync::Mutex;

use basics::Kind;
use basics::files::TestFiles;
use segment_log::{Dropped, Full, Start};

use crate::*;

#[test]
fn a_ring_drops_its_oldest_segments_and_says_so() {
    let files = TestFiles::new();
    let log = open(&files, Options { bytes_max: 1000, ..small() });
    let told = Arc::new(Mutex::new(Vec::<Dropped>::new()));
    let tell = told.clone();
    log.on_drop(move |dropped| tell.lock().unwrap().push(*dropped));
    for i in 0..100u8 {
        append(&log, &[i; 40]);
    }
    eventually("the ring is within its bound and has said so", || {
        let last = told.lock().unwrap().last().copied();
        log.stats().bytes <= 1000 && last.is_some_and(|last| last.oldest == log.oldest())
    });
    let found = bodies(&log);
    assert_eq!(found.last().unwrap(), &[99; 40]);
    let (stats, told) = (log.stats(), told.lock().unwrap());
    assert_eq!(stats.records_dropped, told.iter().map(|d| d.records).sum::<u64>());
    assert_eq!(stats.records_dropped + found.len() as u64, 100);
    assert_eq!(told.last().unwrap().oldest_received, 7);
}

#[test]
fn a_small_ring_has_small_segments() {
    let files = TestFiles::new();
    let log = open(&files, Options { bytes_max: 1000, ..Options::default() });
    for i in 0..100u8 {
        append(&log, &[i; 40]);
    }
    eventually("the ring is within its bound", || log.stats().bytes <= 1000);
    assert!(bodies(&log).len() >= 9);
}

#[test]
fn a_ring_counts_the_records_of_segments_from_an_earlier_life() {
    let files = TestFiles::new();
    let log = open(&files, small());
    for i in 0..20u8 {
        append(&log, &[i; 40]);
    }
    drop(log);
    let log = open(&files, Options { bytes_max: 300, ..small() });
    append(&log, b"tick");
    eventually("the ring is within its bound", || log.stats().bytes <= 300);
    assert_eq!(log.stats().records_dropped + bodies(&log).len() as u64, 21);
}

#[test]
fn a_ring_drops_what_is_older_than_its_age_even_when_little_comes() {
    let files = TestFiles::new();
    let clock = Clock::manual(0);
    let options = Options { group_interval: Duration::ZERO, ..Options::default() };
    let log = Log::open(dir(), options, files.shared(), clock.clone()).unwrap();
    for hour in 0..60u8 {
        let body = [hour; 3];
        let record = Record { received: clock.now(), ..record(&body) };
        log.append(&record).unwrap().wait().unwrap();
        clock.advance(Duration::from_secs(3600));
    }
    eventually("old segments are gone", || bodies(&log).len() <= 27);
    assert!(bodies(&log).len() >= 24);
    assert_eq!(bodies(&log).last().unwrap(), &[59; 3]);
}

#[test]
fn a_queue_refuses_at_its_cap_until_its_consumers_move_on() {
    let files = TestFiles::new();
    let log = open(&files, Options { bytes_max: 1000, full: Full::Refuse, ..small() });
    let fast = log.consumer("fast", Start::Oldest).unwrap();
    let slow = log.consumer("slow", Start::Oldest).unwrap();
    let refused = loop {
        match log.append(&record(&[1; 40])) {
            Ok(ticket) => ticket.wait().unwrap(),
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), Kind::Overloaded);
    let count = bodies(&log).len();
    fast.commit(log.end()).unwrap();
    assert!(log.append(&record(&[1; 40])).is_err());
    slow.commit(log.end()).unwrap();
    eventually("there is room again", || log.append(&record(&[2; 40])).is_ok());
    assert!(count >= 10 && log.stats().records_dropped == 0);
}

#[test]
fn records_beyond_their_bounds_are_rejected() {
    let files = TestFiles::new();
    let log = open(&files, small());
    let long = "x".repeat(256);
    let rejected = [
        Record { tenant: &long, ..record(b"") },
        Record { pipeline: &long, ..record(b"") },
        Record { body: &vec![0; segment_log::RECORD_BYTES_MAX], ..record(b"") },
    ];
    for record in rejected {
        assert_eq!(log.append(&record).err().unwrap().kind(), Kind::Rejected);
    }
    append(&log, &[9; 5000]);
    append(&log, b"small");
    assert_eq!(bodies(&log), [vec![9; 5000], b"small".to_vec()]);
}

#[test]
fn what_is_on_its_way_keeps_the_log_from_being_settled() {
    let files = TestFiles::new();
    let log = open(&files, small());
    let first = append(&log, b"before");
    assert_eq!(log.settled(), log.end());
    let (_, slow) = log.append_held(&record(b"slow")).unwrap();
    let (_, fast) = log.append_held(&record(b"fast")).unwrap();
    assert_eq!(log.settled(), slow.position());
    drop(fast);
    assert_eq!(log.settled(), slow.position());
    let again = log.hold(first);
    drop(slow);
    assert_eq!(log.settled(), first);
    drop(again);
    assert_eq!(log.settled(), log.end());
}

#[test]
fn of_what_has_been_passed_as_much_stays_as_was_asked_for() {
    let files = TestFiles::new();
    let log = open(&files, Options { full: Full::Refuse, passed_bytes: 1000, ..small() });
    let store = log.consumer("store", Start::Oldest).unwrap();
    for i in 0..100u8 {
        append(&log, &[i; 40]);
    }
    let whole = log.stats().bytes;
    store.commit(log.end()).unwrap();
    eventually("what is to spare is gone", || log.stats().bytes < 1000 + 256);
    assert!(whole > 5000 && log.stats().bytes >= 1000, "{whole} {}", log.stats().bytes);
}
