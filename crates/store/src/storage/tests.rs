// SPDX-License-Identifier: Apache-2.0
use basics::files::TestFiles;
use basics::labels::Labels;

use super::*;
use crate::blocks::Memory;
use crate::columns::SeriesColumns;
use crate::metrics::write_block;

const HOUR_MS: i64 = 3_600_000;
const HOUR: Duration = Duration::from_secs(3600);

fn options(objects: &Memory, query_only: bool) -> StorageOptions {
    let objects: Option<Arc<dyn Objects>> = Some(Arc::new(objects.clone()));
    StorageOptions { objects, query_only, interval: None, ..StorageOptions::default() }
}

fn open(options: StorageOptions, writer: &str, clock: &Clock) -> Storage {
    let files = TestFiles::new().shared();
    Storage::open(Path::new("/data"), options, writer, files, clock.clone()).unwrap()
}

fn flush(storage: &Storage, hour: i64) {
    let times: Arc<[i64]> = (0..60).map(|i| hour * HOUR_MS + i * 60_000).collect();
    let series = SeriesColumns {
        labels: Labels::new([("__name__", "g")]),
        values: times.iter().map(|time| *time as f64).collect(),
        times,
        ..SeriesColumns::default()
    };
    let catalog = storage.catalog(Signal::Metrics);
    let block = write_block(catalog, [series]).unwrap().unwrap();
    catalog.commit(vec![block], &[], None).unwrap();
}

fn samples(storage: &Storage) -> usize {
    let found = storage.metrics().select(&[], 0, i64::MAX, 0, Vec::new()).unwrap();
    found.iter().map(|series| series.values.len()).sum()
}

#[test]
fn hours_become_days_and_what_is_too_old_goes() {
    let objects = Memory::new();
    let clock = Clock::manual(0);
    let metrics = Keep { age: Some(72 * HOUR), bytes_max: None };
    let options = StorageOptions { metrics, ..options(&objects, false) };
    let storage = open(options, "a", &clock);
    for hour in 0..6 * 24 {
        flush(&storage, hour);
        clock.advance(HOUR);
        storage.maintain();
    }
    let live = storage.catalog(Signal::Metrics).live();
    assert!((3..=20).contains(&live.len()), "{} blocks", live.len());
    let oldest = live.iter().map(|block| block.tmin).min().unwrap();
    assert!((72..=4 * 24).contains(&(6 * 24 - oldest / HOUR_MS)), "{oldest}");
    assert_eq!(samples(&storage) as u64, live.iter().map(|block| block.items).sum::<u64>());
    let kept = objects.list("default/metrics/v1/blocks").unwrap().len();
    assert!(kept <= live.len() + 20, "{kept} objects, {} live", live.len());
}

#[test]
fn a_reader_sees_what_writers_of_the_same_bucket_write_and_merge() {
    let objects = Memory::new();
    let clock = Clock::manual(0);
    let (a, b) =
        (open(options(&objects, false), "a", &clock), open(options(&objects, false), "b", &clock));
    let reader = open(options(&objects, true), "c", &clock);
    assert!(reader.is_query_only() && !a.is_query_only());
    for hour in 0..6 {
        flush(if hour % 2 == 0 { &a } else { &b }, hour);
    }
    assert_eq!(samples(&reader), 0);
    reader.maintain();
    assert_eq!(samples(&reader), 360);
    clock.advance(48 * HOUR);
    a.maintain();
    clock.advance(2 * HOUR);
    a.maintain();
    // The reader has not looked again: what it knows of is gone, and it finds what came instead.
    assert_eq!(samples(&reader), 360);
    assert_eq!(reader.catalog(Signal::Metrics).stats().quarantined, 0);
    assert_eq!(samples(&b), 180, "b has not looked");
    b.maintain();
    assert_eq!(samples(&b), 360);
}

#[test]
fn the_thread_ends_when_it_is_told() {
    let objects = Memory::new();
    let interval = Some(Duration::from_millis(1));
    let clock = Clock::manual(100 * 3600 * 1_000_000_000);
    {
        // Both before the thread looks: a late one would wait for two hours.
        let storage = open(options(&objects, false), "a", &clock);
        flush(&storage, 0);
        flush(&storage, 1);
    }
    let options = StorageOptions { interval, ..options(&objects, false) };
    let storage = open(options, "a", &clock);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let is_merged = || storage.catalog(Signal::Metrics).live().iter().all(|b| b.level == 2);
    while !is_merged() && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert!(is_merged());
    storage.stop();
    storage.stop();
    assert_eq!(samples(&storage), 120);
}
