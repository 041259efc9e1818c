// SPDX-License-Identifier: Apache-2.0
//! A day of the 2,020 series workload through blocks: bytes a sample, CPU time of writing, merging
//! and selecting.
//!
//! Run: `cargo bench -p store --bench blocks`.

use std::sync::Arc;
use std::time::Duration;

use basics::labels::{Labels, MatchOp, Matcher};
use basics::{Clock, Random};
use store::blocks::plan::next_merge;
use store::blocks::{Catalog, CatalogOptions, Local};
use store::columns::SeriesColumns;
use store::metrics::{Blocks, CACHE_BYTES, compact, write_block};

#[path = "../../testkit/src/workload.rs"]
#[allow(dead_code, reason = "a module of tests, of which a bench needs a part")]
mod workload;

use workload::{DAY_STEPS, Workload};

/// A midnight.
const START_MS: i64 = 1_699_920_000_000;

/// Flushes a day: one each 15 min.
const FLUSHES: usize = 96;

fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn timed<T>(what: &str, samples: u64, work: impl FnOnce() -> T) -> T {
    let before = cpu();
    let done = work();
    let took = cpu() - before;
    let rate = samples as f64 / took.as_secs_f64() / 1e6;
    println!("  {what}: {:.1} ms CPU, {rate:.0} M samples/s", took.as_secs_f64() * 1e3);
    done
}

fn main() {
    for jitter_ms in [0, 3] {
        println!("jitter of {jitter_ms} ms");
        day(jitter_ms);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("{peak} (the workload's columns included)");
}

fn day(jitter_ms: u64) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let files = basics::files::RealFiles::shared();
    let objects = Arc::new(Local::new(files, dir.path()));
    let writer = Some("bench".to_owned());
    let options = CatalogOptions { tenant: "default".to_owned(), signal: "metrics", writer };
    let catalog = Catalog::open(objects, options, Clock::system(), Random::from_os());
    let blocks = Blocks::new(Arc::new(catalog.expect("an empty directory")), CACHE_BYTES);
    let mut workload = Workload::new(10, 1);
    let labels: Vec<Labels> =
        workload.series.iter().map(|series| Labels::new(series.labels.clone())).collect();
    let instances: Vec<usize> = workload.series.iter().map(|series| series.instance).collect();
    let all = (labels.len() * DAY_STEPS) as u64;
    let mut writing = Duration::ZERO;
    for flush in 0..FLUSHES {
        let steps = flush * DAY_STEPS / FLUSHES..(flush + 1) * DAY_STEPS / FLUSHES;
        let times: Vec<Arc<[i64]>> = (0..10)
            .map(|i| {
                steps.clone().map(|step| Workload::time_ms(START_MS, i, step, jitter_ms)).collect()
            })
            .collect();
        let columns = workload.columns(steps.len());
        let series: Vec<SeriesColumns> = labels
            .iter()
            .zip(&instances)
            .zip(columns)
            .map(|((labels, instance), values)| SeriesColumns {
                labels: labels.clone(),
                times: times[*instance].clone(),
                values: values.into(),
                ..SeriesColumns::default()
            })
            .collect();
        let before = cpu();
        let block = write_block(blocks.catalog(), series).expect("written").expect("samples");
        blocks.catalog().commit(vec![block], &[], None).expect("committed");
        writing += cpu() - before;
    }
    println!("  write: {:.1} ms CPU", writing.as_secs_f64() * 1e3);
    size(&blocks, all, "flushed");
    select(&blocks, "from 96 blocks");
    let mut level = 1;
    while let Some(merge) = next_merge(&blocks.catalog().live(), 2 * START_MS) {
        if merge.level > level {
            size(&blocks, all, "2 h blocks");
            select(&blocks, "from 12 blocks");
            level = merge.level;
            timed("merge to a day", all, || compact(blocks.catalog(), &merge).expect("merged"));
        } else {
            compact(blocks.catalog(), &merge).expect("merged");
        }
    }
    size(&blocks, all, "24 h block");
    select(&blocks, "from 1 block");
}

fn size(blocks: &Blocks, samples: u64, what: &str) {
    let stats = blocks.catalog().stats();
    assert_eq!(stats.items, samples);
    println!(
        "  {what}: {:.4} B/sample, {} blocks",
        stats.bytes as f64 / samples as f64,
        stats.blocks
    );
}

fn select(blocks: &Blocks, what: &str) {
    let name = Matcher::new(MatchOp::Equal, "__name__", "node_cpu_seconds_total");
    let mode = Matcher::new(MatchOp::NotEqual, "mode", "idle");
    let matchers = [name.expect("a matcher"), mode.expect("a matcher")];
    for turn in ["first", "second"] {
        let what = format!("select {turn} {what}");
        timed(&what, (560 * DAY_STEPS) as u64, || {
            let found = blocks.select(&matchers, 0, i64::MAX, 0, Vec::new()).expect("found");
            assert_eq!(found.len(), 560);
            assert!(found.iter().all(|series| series.values.len() == DAY_STEPS));
        });
    }
}
