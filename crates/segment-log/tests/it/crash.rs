// SPDX-License-Identifier: Apache-2.0
use std::sync::Mutex;

use basics::files::{Fault, TestFiles};
use basics::{Kind, Random};

use crate::*;

/// Appends from two threads, pulls the plug at a random moment, reopens, appends on: every body
/// whose ticket resolved must be there, in its thread's order, and none twice.
#[test]
fn what_was_acknowledged_survives_crashes_at_random_moments() {
    for seed in 0..60 {
        let mut random = Random::seeded(seed);
        let files = TestFiles::new();
        let acknowledged = Arc::new(Mutex::new(Vec::<Vec<u8>>::new()));
        for life in 0..4u8 {
            let log = shared(open(&files, small()));
            let threads: Vec<_> = (0..2u8)
                .map(|thread| {
                    let (log, acknowledged) = (log.clone(), acknowledged.clone());
                    std::thread::spawn(move || write(&log, &acknowledged, life, thread))
                })
                .collect();
            let moment = random.below(60);
            while log.stats().records_appended < moment {
                std::thread::yield_now();
            }
            files.crash_torn(&mut random);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
        let log = open(&files, small());
        let found = bodies(&log);
        let mut unique = found.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), found.len(), "doubled, seed {seed}");
        let acknowledged = acknowledged.lock().unwrap();
        for body in acknowledged.iter() {
            assert!(found.contains(body), "lost {body:?}, seed {seed}");
        }
        for (life, thread) in (0..4).flat_map(|life| [(life, 0), (life, 1)]) {
            let mine: Vec<_> = found.iter().filter(|b| b[0] == life && b[1] == thread).collect();
            assert!(mine.is_sorted(), "out of order, seed {seed}");
        }
    }
}

/// Appends until the disk is gone; notes what was acknowledged.
fn write(log: &Log, acknowledged: &Arc<Mutex<Vec<Vec<u8>>>>, life: u8, thread: u8) {
    for i in 0..200u8 {
        let mut body = vec![life, thread, i];
        body.resize(3 + usize::from(i % 90), i);
        let Ok(ticket) = log.append(&record(&body)) else { return };
        let acknowledged = acknowledged.clone();
        ticket.on_durable(move |outcome| {
            if outcome.is_ok() {
                acknowledged.lock().unwrap().push(body);
            }
        });
    }
}

#[test]
fn a_failed_sync_poisons_the_log_for_good() {
    let files = TestFiles::new();
    let log = open(&files, small());
    append(&log, b"kept");
    files.inject(Fault::FailedSync);
    let ticket = log.append(&record(b"in doubt")).unwrap();
    assert_eq!(ticket.wait().unwrap_err().kind(), Kind::Closed);
    assert_eq!(log.append(&record(b"later")).err().unwrap().kind(), Kind::Closed);
    assert!(log.failure().unwrap().to_string().contains("poisoned"));
    assert_eq!(log.stats().appends_refused, 1);
    assert_eq!(log.close().unwrap_err().kind(), Kind::Closed);
    files.crash();
    let log = open(&files, small());
    assert_eq!(bodies(&log), [b"kept"]);
    append(&log, b"goes on");
}

#[test]
fn a_failed_write_is_undone_and_retryable() {
    let files = TestFiles::new();
    let log = open(&files, Options::default());
    append(&log, b"a");
    for fault in [Fault::ShortWrite(9), Fault::DiskFull] {
        files.inject(fault);
        assert_eq!(log.append(&record(b"refused")).err().unwrap().kind(), Kind::Overloaded);
    }
    append(&log, b"b");
    assert_eq!(bodies(&log), [b"a", b"b"]);
    files.inject(Fault::ShortWrite(9));
    files.inject(Fault::FailedTruncate);
    assert_eq!(log.append(&record(b"stuck")).err().unwrap().kind(), Kind::Closed);
    assert!(log.failure().is_some());
    drop(log);
    let log = open(&files, Options::default());
    assert_eq!(bodies(&log), [b"a", b"b"]);
    assert_eq!(log.stats().quarantined_bytes, 9);
}

#[test]
fn closing_refuses_appends_and_lets_readers_finish() {
    let files = TestFiles::new();
    let log = open(&files, small());
    append(&log, b"a");
    log.close().unwrap();
    log.close().unwrap();
    assert_eq!(log.append(&record(b"b")).err().unwrap().kind(), Kind::Closed);
    assert_eq!(bodies(&log), [b"a"]);
}
