// SPDX-License-Identifier: Apache-2.0
//! The log on the operating system's files: what an append costs the caller, how long an
//! acknowledgement takes on an idle log, how fast a start reads everything back.
//!
//! Records of 64 KiB, the size of a usual export request. The disk is that of the temporary
//! directory; acknowledgements are wall time, dominated by its fdatasync.
//!
//! Run: `cargo bench -p segment-log`.

use std::hint::black_box;

use basics::Clock;
use basics::files::RealFiles;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use segment_log::{Durability, Log, Options, Position, Record};

const BODY_BYTES: usize = 64 << 10;

fn open(dir: &tempfile::TempDir, durability: Durability) -> Log {
    let options = Options { durability, ..Options::default() };
    Log::open(dir.path(), options, RealFiles::shared(), Clock::system()).expect("a fresh directory")
}

fn record(body: &[u8]) -> Record<'_> {
    let received = Clock::system().now();
    Record { signal: 1, entry: 0, encoding: 0, tenant: "", pipeline: "metrics", received, body }
}

fn log(c: &mut Criterion) {
    let body: Vec<u8> = (0..BODY_BYTES).map(|i| (i % 251) as u8).collect();
    let mut group = c.benchmark_group("log");
    group.throughput(Throughput::Bytes(BODY_BYTES as u64));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let unsynced = open(&dir, Durability::None);
    group.bench_function("append", |b| {
        b.iter(|| drop(black_box(unsynced.append(&record(&body)).expect("room"))));
    });
    let dir = tempfile::tempdir().expect("a temporary directory");
    let synced = open(&dir, Durability::Sync);
    group.bench_function("append and wait for the disk", |b| {
        b.iter(|| synced.append(&record(&body)).expect("room").wait().expect("durable"));
    });
    let mut reader = unsynced.reader(Position::default());
    group.bench_function("read", |b| {
        b.iter(|| match reader.next() {
            Some(stored) => drop(black_box(stored)),
            None => reader = unsynced.reader(Position::default()),
        });
    });
    group.finish();
}

criterion_group!(benches, log);
criterion_main!(benches);
