// SPDX-License-Identifier: Apache-2.0
//! `testdata/v1` was written by the first version. It must stay readable for ever.

use basics::files::{Mode, RealFiles, TestFiles, read_all};
use segment_log::{Record, Start};

use crate::*;

const FILES: [&str; 4] =
    ["00000000000000000000.seg", "00000000000000000136.seg", "VERSION", "offsets/exporter%2fotlp"];

const BODIES: [&[u8]; 5] =
    [b"traces", b"metrics", b"logs", b"", &[0xf1, 0xfe, 0x60, 0xff, 0x19, 0x00]];

fn write_fixture(files: &TestFiles) {
    let log = open(files, Options { segment_bytes: 150, ..small() });
    for (i, body) in BODIES.iter().enumerate() {
        let record = Record {
            signal: i as u8 % 3,
            entry: i as u8,
            encoding: 0,
            tenant: if i == 0 { "" } else { "acme" },
            pipeline: "metrics/main",
            received: 1_700_000_000_000_000_000 + i as u64,
            body,
        };
        log.append(&record).unwrap().wait().unwrap();
    }
    let consumer = log.consumer("exporter/otlp", Start::Oldest).unwrap();
    consumer.commit(read(&log)[2].position).unwrap();
}

fn testdata() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/v1")
}

#[test]
fn today_writes_the_very_bytes_of_version_1() {
    let files = TestFiles::new();
    write_fixture(&files);
    // VERSION says the same on three lines since; the one line of then is read as well.
    for name in FILES.into_iter().filter(|name| *name != "VERSION") {
        let bytes = read_all(&files, &dir().join(name)).unwrap();
        let path = testdata().join(name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(bytes, std::fs::read(&path).unwrap(), "{name}");
    }
    assert_eq!(segments(&files).len(), 2);
}

#[test]
fn the_fixture_of_version_1_is_readable() {
    let files = TestFiles::new();
    for name in FILES {
        let bytes = read_all(&RealFiles, &testdata().join(name)).unwrap();
        files.open(&dir().join(name), Mode::Append).unwrap().append(&bytes).unwrap();
    }
    let log = open(&files, small());
    assert_eq!(bodies(&log), BODIES);
    let last = read(&log).pop().unwrap();
    assert_eq!((last.signal, last.entry, last.encoding), (1, 4, 0));
    assert_eq!((last.tenant.as_str(), last.pipeline.as_str()), ("acme", "metrics/main"));
    assert_eq!(last.received, 1_700_000_000_000_000_004);
    let consumer = log.consumer("exporter/otlp", Start::Newest).unwrap();
    assert_eq!(consumer.position(), read(&log)[2].position);
    assert_eq!(log.stats().quarantined_ranges, 0);
}
