// SPDX-License-Identifier: Apache-2.0
//! `foreglow log` over a log that was damaged.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use basics::Clock;
use basics::files::RealFiles;
use segment_log::{Log, Options, Record};

use crate::process::run;

/// A log of three records, closed.
fn fill(folder: &Path) {
    let log = Log::open(folder, Options::default(), RealFiles::shared(), Clock::system());
    let log = log.expect("a log");
    for body in [b"one", b"two", b"six"] {
        let record = Record {
            signal: 2,
            entry: 0,
            encoding: 0,
            tenant: "",
            pipeline: "metrics",
            received: Clock::system().now(),
            body,
        };
        log.append(&record).expect("appended").wait().expect("durable");
    }
    log.close().expect("closed");
}

#[test]
fn damage_is_found_and_set_aside_but_not_beside_a_process() {
    let data = tempfile::tempdir().expect("temp dir");
    let folder = data.path().join("store").join("log");
    fill(&folder);
    let data = data.path().to_str().expect("UTF-8");
    let (code, listed, _) = run(&["log", "ls", "--data", data]);
    assert_eq!(code, Some(0));
    for word in ["3 records in 1 segments", "metrics (metrics): 3 records", "received 20"] {
        assert!(listed.contains(word), "{listed}");
    }
    assert_eq!(run(&["log", "verify", "--data", data]).0, Some(0));
    let segment = folder.join("00000000000000000000.seg");
    let mut file = std::fs::File::options().write(true).open(&segment).expect("the segment");
    file.seek(SeekFrom::Start(40)).and_then(|_| file.write_all(b"????")).expect("damaged");
    let (code, _, told) = run(&["log", "verify", "--data", data]);
    assert_eq!((code, told.contains("1 damaged ranges")), (Some(1), true), "{told}");
    let open = Log::open(&folder, Options::default(), RealFiles::shared(), Clock::system());
    let (code, _, told) = run(&["log", "repair", "--data", data]);
    assert_eq!((code, told.contains("in use by another process")), (Some(1), true), "{told}");
    drop(open);
    let (code, told, _) = run(&["log", "repair", "--data", data]);
    assert_eq!((code, told.contains("set aside: 35 to 70")), (Some(0), true), "{told}");
    let (code, json, _) = run(&["log", "verify", "--json", data]);
    assert_eq!(code, Some(0));
    assert!(json.contains("\"records\": 2") && json.contains("\"quarantine\": ["), "{json}");
    let (code, _, told) = run(&["log", "ls", "/no/such/directory"]);
    assert_eq!((code, told.contains("no log in")), (Some(1), true), "{told}");
}
