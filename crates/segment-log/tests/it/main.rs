// SPDX-License-Identifier: Apache-2.0
//! The log as its users see it: kept, torn, damaged, full, poisoned, shared.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test; helpers are no #[test]")]

mod bounds;
mod crash;
mod damage;
mod format;
mod home;
mod inspect;
mod roundtrip;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use basics::Clock;
use basics::files::{Files, TestFiles};
use segment_log::{Log, Options, Position, Record, Stored};

const DIR: &str = "/log";

fn dir() -> &'static Path {
    Path::new(DIR)
}

fn record(body: &[u8]) -> Record<'_> {
    Record { signal: 1, entry: 0, encoding: 0, tenant: "", pipeline: "metrics", received: 7, body }
}

fn open(files: &TestFiles, options: Options) -> Log {
    Log::open(dir(), options, files.shared(), Clock::manual(1_000_000_000)).unwrap()
}

/// Small segments and no pause between commits, so that short tests see many of both.
fn small() -> Options {
    Options { segment_bytes: 256, group_interval: Duration::ZERO, ..Options::default() }
}

fn append(log: &Log, body: &[u8]) -> Position {
    let ticket = log.append(&record(body)).unwrap();
    let position = ticket.position();
    ticket.wait().unwrap();
    position
}

fn read(log: &Log) -> Vec<Stored> {
    let mut reader = log.reader(Position::default());
    std::iter::from_fn(|| reader.next()).collect()
}

fn bodies(log: &Log) -> Vec<Vec<u8>> {
    read(log).into_iter().map(|stored| stored.body.to_vec()).collect()
}

/// Segment files, oldest first.
fn segments(files: &dyn Files) -> Vec<std::path::PathBuf> {
    let names = files.list(dir()).unwrap();
    names.iter().filter(|name| name.ends_with(".seg")).map(|name| dir().join(name)).collect()
}

/// Waits until `condition` holds, for a few seconds at most.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "never happened: {what}");
        std::thread::yield_now();
    }
}

fn shared(log: Log) -> Arc<Log> {
    Arc::new(log)
}
