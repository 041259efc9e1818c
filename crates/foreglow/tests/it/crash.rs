// SPDX-License-Identifier: Apache-2.0
//! `kill -9` while data comes in and memory is written to blocks: whatever was acknowledged is there
//! afterwards, once.
//!
//! `FOREGLOW_CRASH_ROUNDS` sets the number of kills (5 here, 50 and more in `make soak`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use basics::Random;

use crate::process::{DEADLINE, Foreglow, get, post, wait_for};

const ROUNDS_DEFAULT: u64 = 5;
const WRITERS: u64 = 3;

fn rounds() -> u64 {
    std::env::var("FOREGLOW_CRASH_ROUNDS")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(ROUNDS_DEFAULT)
}

/// Unix milliseconds, later than `last`. The store keeps times to the millisecond, and of two
/// different values at one time only the first, as Prometheus does.
fn later_than(last: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    now.max(last + 1)
}

/// One gauge point of series `writer` with value `n`; true if it was acknowledged.
fn send(port: u16, writer: u64, n: u64, time_ms: u64) -> bool {
    let body = format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"crash"}}}}]}},"scopeMetrics":[{{"metrics":[{{"name":"acked","gauge":{{"dataPoints":[{{"timeUnixNano":"{time_ms}000000","asInt":"{n}","attributes":[{{"key":"writer","value":{{"stringValue":"{writer}"}}}}]}}]}}}}]}}]}}]}}"#
    );
    let headers = [("Content-Type", "application/json")];
    post(port, "/v1/metrics", &headers, body.as_bytes()).is_some_and(|a| a.status == 200)
}

/// One log record that says who wrote it and its number; true if it was acknowledged.
fn log(port: u16, writer: u64, n: u64, time_ms: u64) -> bool {
    let body = format!(
        r#"{{"resourceLogs":[{{"resource":{{}},"scopeLogs":[{{"logRecords":[{{"timeUnixNano":"{time_ms}000000","body":{{"stringValue":"{writer} {n}"}}}}]}}]}}]}}"#
    );
    let headers = [("Content-Type", "application/json")];
    post(port, "/v1/logs", &headers, body.as_bytes()).is_some_and(|a| a.status == 200)
}

/// Blocks are written as often as it goes.
fn start(folder: &std::path::Path) -> Foreglow {
    let often = "--set=exporters.embedded_store.blocks.flush_interval=50ms";
    let mut server = Foreglow::launch(folder, &[often]);
    server.wait_until_ready();
    server
}

/// How often each number of each writer is stored; logs stand under [`WRITERS`] and more.
fn stored(server: &Foreglow) -> BTreeMap<(u64, u64), u64> {
    let mut found = BTreeMap::new();
    let mut path = "/api/fg/v1/logs?limit=1000".to_owned();
    loop {
        let page = get(server.page, &path).expect("an answer");
        let page: serde_json::Value = serde_json::from_str(&page.body).expect("JSON");
        for record in page["logs"].as_array().expect("records") {
            let text = record["body"].as_str().expect("text");
            let Some((writer, n)) = text.split_once(' ') else { continue };
            let (Ok(writer), Ok(n)) = (writer.parse::<u64>(), n.parse()) else { continue };
            *found.entry((WRITERS + writer, n)).or_default() += 1;
        }
        let Some(cursor) = page["cursor"].as_str() else { break };
        path = format!("/api/fg/v1/logs?limit=1000&cursor={cursor}");
    }
    let result = server.query("acked[6h]");
    for series in result.as_array().expect("a matrix") {
        let writer = series["metric"]["writer"].as_str().expect("label").parse().expect("number");
        for point in series["values"].as_array().expect("values") {
            let value = point[1].as_str().expect("text").parse().expect("number");
            *found.entry((writer, value)).or_default() += 1;
        }
    }
    found
}

#[test]
fn what_was_acknowledged_survives_kill_9_under_load() {
    let folder = tempfile::tempdir().expect("temp dir");
    let mut random = Random::seeded(20_261_121);
    let acked: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
    let next = Arc::new(AtomicU64::new(0));
    for round in 0..rounds() {
        let server = start(folder.path());
        let before = acked.lock().expect("no panic").clone();
        check(&server, &before, round);
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (acked, next, stop, port) =
                    (acked.clone(), next.clone(), stop.clone(), server.http);
                std::thread::spawn(move || {
                    let mut time_ms = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        time_ms = later_than(time_ms);
                        if send(port, writer, n, time_ms) {
                            acked.lock().expect("no panic").push((writer, n));
                        }
                        if log(port, writer, n, time_ms) {
                            acked.lock().expect("no panic").push((WRITERS + writer, n));
                        }
                    }
                })
            })
            .collect();
        let so_far = before.len();
        wait_for("acknowledged points", || {
            (acked.lock().expect("no panic").len() > so_far + 20).then_some(())
        });
        // A moment nobody chose: somewhere in the next tenth of a second.
        std::thread::sleep(Duration::from_micros(random.below(100_000)));
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().expect("writer");
        }
    }
    let server = start(folder.path());
    let acked = acked.lock().expect("no panic").clone();
    check(&server, &acked, rounds());
    println!("{} kills, {} acknowledged points and records, all there", rounds(), acked.len());
}

/// What was acknowledged is in the log; after a restart it comes back through the pipeline's stages,
/// which may take a moment longer than being ready.
fn check(server: &Foreglow, acked: &[(u64, u64)], round: u64) {
    let begin = Instant::now();
    let stored = loop {
        let stored = stored(server);
        let lost: Vec<_> = acked.iter().filter(|point| !stored.contains_key(point)).collect();
        if lost.is_empty() {
            break stored;
        }
        let told = format!("round {round}: {} of {} lost: {lost:?}", lost.len(), acked.len());
        assert!(begin.elapsed() < DEADLINE, "{told}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let doubled: Vec<_> = stored.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "round {round}: stored more than once: {doubled:?}");
}
