// SPDX-License-Identifier: Apache-2.0
use basics::Kind;
use basics::files::{RealFiles, TestFiles, read_all, write_atomic};

use crate::*;

fn try_open(files: &TestFiles) -> basics::Result<Log> {
    Log::open(dir(), small(), files.shared(), Clock::manual(0))
}

#[test]
fn only_one_writes_at_a_time() {
    let files = TestFiles::new();
    let log = open(&files, small());
    let error = try_open(&files).err().unwrap();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(error.message(), "log directory /log is in use by another process");
    log.close().unwrap();
    assert!(try_open(&files).is_ok());
}

#[test]
fn a_log_of_a_newer_version_is_refused_untouched() {
    let files = TestFiles::new();
    drop(open(&files, small()));
    assert_eq!(read_all(&files, &dir().join("VERSION")).unwrap(), b"1\n1\n1\n");
    for text in ["2\n", "2\n2\n2\n", "2\n3\n2\n"] {
        write_atomic(&files, &dir().join("VERSION"), text.as_bytes()).unwrap();
        assert_eq!(try_open(&files).err().unwrap().kind(), Kind::Invalid, "{text}");
        assert_eq!(read_all(&files, &dir().join("VERSION")).unwrap(), text.as_bytes());
    }
}

#[test]
fn a_flipped_bit_keeps_no_log_from_opening_and_makes_it_no_one_elses() {
    let files = TestFiles::new();
    let id = open(&files, small()).writer_id().to_owned();
    for name in ["VERSION", "WRITER"] {
        let path = dir().join(name);
        let whole = read_all(&files, &path).unwrap();
        for bit in 0..whole.len() * 8 {
            files.flip_bit(&path, bit / 8, (bit % 8) as u8).unwrap();
            assert_eq!(open(&files, small()).writer_id(), id, "{name}, bit {bit}");
            write_atomic(&files, &path, &whole).unwrap();
        }
    }
    write_atomic(&files, &dir().join("VERSION"), b"no number").unwrap();
    assert_eq!(open(&files, small()).writer_id(), id);
}

#[test]
fn a_position_noted_elsewhere_is_not_given_twice() {
    let files = TestFiles::new();
    let log = open(&files, small());
    let first = append(&log, b"first");
    log.skip_to(first).unwrap();
    log.skip_to(Position(1_000_000)).unwrap();
    assert_eq!(log.end(), Position(1_000_000));
    assert_eq!(bodies(&log), [b"first"]);
    log.close().unwrap();
    drop(log);
    let log = open(&files, small());
    assert_eq!(log.end(), Position(1_000_000));
    assert_eq!(append(&log, b"second"), Position(1_000_000));
    assert_eq!(bodies(&log), [&b"first"[..], b"second"]);
}

#[test]
fn the_writer_keeps_its_id() {
    let files = TestFiles::new();
    let id = open(&files, small()).writer_id().to_owned();
    assert_eq!(id.len(), 16);
    files.crash();
    assert_eq!(open(&files, small()).writer_id(), id);
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let temporary = tempfile::tempdir().unwrap();
    let blocked = temporary.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let inside = blocked.join("log");
    let log = Log::open(&inside, small(), RealFiles::shared(), Clock::system());
    let error = log.err().unwrap();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.message().contains(&inside.display().to_string()), "{error}");
}

#[test]
fn real_files_keep_a_log_as_well() {
    let temporary = tempfile::tempdir().unwrap();
    let open = || Log::open(temporary.path(), small(), RealFiles::shared(), Clock::manual(0));
    let log = open().unwrap();
    for i in 0..50u8 {
        append(&log, &[i; 100]);
    }
    assert!(open().is_err());
    drop(log);
    assert_eq!(bodies(&open().unwrap()).len(), 50);
}
