// SPDX-License-Identifier: Apache-2.0
//! Disks that fail, write short and flip bits: what was acknowledged is there once; what a flipped bit
//! took is set aside and said; the store opens whatever happened.

use std::path::PathBuf;

use basics::files::{Fault, Files};
use store::Storage;

use crate::flush::{accept_any, by_hand, found};
use crate::*;

/// Everything the store has on `files`, its lock and names of no length aside.
fn all_files(files: &dyn Files) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut dirs = vec![PathBuf::from("/data")];
    while let Some(dir) = dirs.pop() {
        dirs.extend(files.list_dirs(&dir).unwrap().into_iter().map(|name| dir.join(name)));
        let here = files.list(&dir).unwrap().into_iter().map(|name| dir.join(name));
        all.extend(here.filter(|path| size(files, path) > 0));
    }
    all
}

fn size(files: &dyn Files, path: &Path) -> u64 {
    files.open(path, basics::files::Mode::Read).unwrap().size().unwrap()
}

#[test]
fn a_disk_that_fails_and_writes_short_loses_nothing_acknowledged_and_doubles_nothing() {
    for seed in 0..40 {
        let mut random = Random::seeded(seed);
        let files = TestFiles::new();
        let mut acknowledged = BTreeSet::new();
        let mut next = 0;
        let mut refused = 0;
        for _ in 0..6 {
            let store = open(&files, by_hand());
            replay(&store);
            for _ in 0..random.below(120) {
                match random.below(24) {
                    0 => files.inject(Fault::ShortWrite(random.below(200) as usize)),
                    1 => files.inject(Fault::DiskFull),
                    2 => files.inject(Fault::FailedTruncate),
                    3 if random.below(3) == 0 => files.inject(Fault::FailedSync),
                    // May fail: memory and log then stay as they are.
                    4 | 5 => drop(store.flush()),
                    6 => store.storage().maintain(),
                    _ => {}
                }
                match accept_any(&store, next) {
                    true => drop(acknowledged.insert(next)),
                    false => refused += 1,
                }
                next += 1;
            }
            files.crash_torn(&mut random);
        }
        let store = open(&files, by_hand());
        replay(&store);
        let all = found(&store);
        let doubled: Vec<_> = all.iter().flatten().filter(|(_, times)| **times != 1).collect();
        assert!(doubled.is_empty(), "seed {seed}: {doubled:?}");
        let found: BTreeSet<u64> = all.iter().flat_map(|ids| ids.keys().copied()).collect();
        let lost: Vec<_> = acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "seed {seed}: {lost:?}");
        assert!(refused < next, "seed {seed}: nothing was taken");
    }
}

/// What the store says it cannot read: bytes of the log, blocks, manifests.
fn said(store: &Store) -> u64 {
    let of = |storage: &Storage, signal| {
        let stats = storage.catalog(signal).stats();
        stats.quarantined + stats.manifests_damaged
    };
    let signals = [Signal::Metrics, Signal::Traces, Signal::Logs];
    let blocks: u64 = signals.into_iter().map(|signal| of(store.storage(), signal)).sum();
    blocks + store.log().stats().quarantined_bytes
}

#[test]
fn a_flipped_bit_anywhere_is_no_panic_and_what_it_took_is_said() {
    for seed in 0..150 {
        let mut random = Random::seeded(1000 + seed);
        let files = TestFiles::new();
        let store = open(&files, by_hand());
        let mut acknowledged = BTreeSet::new();
        for id in 0..90 {
            assert!(accept_any(&store, id));
            acknowledged.insert(id);
            if id == 30 || id == 60 {
                store.flush().unwrap();
            }
        }
        drop(store);
        let all = all_files(&*files.shared());
        let flips: Vec<(PathBuf, usize)> = (0..1 + random.below(3))
            .map(|_| {
                let path = &all[random.below(all.len() as u64) as usize];
                let byte = random.below(size(&*files.shared(), path)) as usize;
                files.flip_bit(path, byte, random.below(8) as u8).unwrap();
                (path.clone(), byte)
            })
            .collect();
        for life in 0..2 {
            let store = open(&files, by_hand());
            replay(&store);
            let all = found(&store);
            let told = format!("seed {seed}, life {life}, {flips:?}");
            let doubled: Vec<_> = all.iter().flatten().filter(|(_, times)| **times != 1).collect();
            assert!(doubled.is_empty(), "{told}: {doubled:?}");
            let found: BTreeSet<u64> = all.iter().flat_map(|ids| ids.keys().copied()).collect();
            let lost: Vec<_> = acknowledged.difference(&found).collect();
            assert!(life > 0 || lost.is_empty() || said(&store) > 0, "{told}: {lost:?}");
            // It goes on from there.
            assert!(accept_any(&store, 1000 + life), "{told}");
            acknowledged.insert(1000 + life);
            store.flush().unwrap();
        }
    }
}
