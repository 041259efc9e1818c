// SPDX-License-Identifier: Apache-2.0
use basics::files::{Mode, TestFiles, read_all};
use segment_log::{Start, inspect, is_log, repair};

use crate::*;

/// A log of twelve records in several segments, closed.
fn filled() -> (TestFiles, Vec<Vec<u8>>) {
    let files = TestFiles::new();
    let log = open(&files, small());
    let all: Vec<Vec<u8>> = (0..12u8).map(|i| vec![i; 40]).collect();
    for body in &all {
        append(&log, body);
    }
    log.consumer("slow", Start::Oldest).unwrap();
    log.close().unwrap();
    (files, all)
}

fn damage(files: &TestFiles, segment: usize, from: usize, to: usize) {
    let path = &segments(files)[segment];
    let mut bytes = read_all(files, path).unwrap();
    bytes[from..to].fill(0xee);
    let file = files.open(path, Mode::Append).unwrap();
    file.truncate(0).unwrap();
    file.append(&bytes).unwrap();
}

#[test]
fn a_log_is_told_segment_by_segment() {
    let (files, all) = filled();
    assert!(is_log(&files, dir()) && !is_log(&files, Path::new("/")));
    let found = inspect(&files, dir()).unwrap();
    assert_eq!((found.records(), found.in_use), (all.len() as u64, false));
    assert!(found.segments.len() > 2);
    assert_eq!(found.segments[0].by[&(1, "metrics".to_owned())].1, 40 * found.segments[0].records);
    assert_eq!(found.segments[0].received, Some((7, 7)));
    assert_eq!(found.consumers, [("slow".to_owned(), Some(0))]);
    assert_eq!(found.damaged().count(), 0);
    let log = open(&files, small());
    assert_eq!(found.end(), log.end().0);
    assert!(inspect(&files, dir()).unwrap().in_use);
    assert!(repair(&files, dir()).is_err(), "a process holds the directory");
}

#[test]
fn repair_sets_damage_aside_and_keeps_every_other_record() {
    let record = 25 + "metrics".len() + 40;
    // Which bytes of the middle segment, and which of its three records are lost.
    for (from, to, lost) in [
        (3, 5, &[0][..]),
        (record + 30, record + 31, &[1]),
        (2 * record + 1, 3 * record, &[2]),
        (0, record + 9, &[0, 1]),
        (0, 3 * record, &[0, 1, 2]),
    ] {
        let (files, all) = filled();
        let middle = 1;
        damage(&files, middle, from, to);
        let before = inspect(&files, dir()).unwrap();
        assert_eq!(before.segments[middle].damaged.len(), 1, "{from}..{to}");
        repair(&files, dir()).unwrap();
        let after = inspect(&files, dir()).unwrap();
        assert_eq!(after.damaged().count(), 0, "{from}..{to}");
        assert_eq!(after.end(), before.end());
        assert_eq!(after.quarantine.len(), 1);
        let log = open(&files, small());
        let mut expected = all.clone();
        let first = before.segments[0].records as usize;
        for at in lost.iter().rev() {
            expected.remove(first + at);
        }
        assert_eq!(bodies(&log), expected, "{from}..{to}");
        append(&log, b"new");
        assert_eq!(bodies(&log).last().unwrap(), b"new");
    }
}

#[test]
fn a_last_segment_without_a_whole_record_stays_as_the_place_to_go_on() {
    let (files, _) = filled();
    let last = segments(&files).len() - 1;
    let size = read_all(&files, &segments(&files)[last]).unwrap().len();
    damage(&files, last, 0, size);
    let before = inspect(&files, dir()).unwrap();
    assert_eq!((before.damaged().count(), before.segments[last].torn), (0, size as u64));
    repair(&files, dir()).unwrap();
    let log = open(&files, small());
    assert_eq!(log.end().0, before.segments[last].base);
}
