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

/// Writers of the second and third kind count on from those of the first.
const SIGNALS: [fn(&Sent) -> Request; 3] = [Sent::point, Sent::log, Sent::span];

/// Path and body.
type Request = (&'static str, String);

/// Of the rounds before, so many are looked at again after each kill, and all at the end.
const ROUNDS_LOOKED_AT: u64 = 3;

/// A number that a writer sends in a round.
struct Sent {
    round: u64,
    writer: u64,
    n: u64,
    time_ms: u64,
}

impl Sent {
    /// A gauge point of series `writer` with value `n`.
    fn point(&self) -> Request {
        let Sent { writer, n, time_ms, .. } = self;
        let body = format!(
            r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"crash"}}}}]}},"scopeMetrics":[{{"metrics":[{{"name":"acked","gauge":{{"dataPoints":[{{"timeUnixNano":"{time_ms}000000","asInt":"{n}","attributes":[{{"key":"writer","value":{{"stringValue":"{writer}"}}}}]}}]}}}}]}}]}}]}}"#
        );
        ("/v1/metrics", body)
    }

    /// A log record that says who wrote it and its number.
    fn log(&self) -> Request {
        let Sent { writer, n, time_ms, .. } = self;
        let body = format!(
            r#"{{"resourceLogs":[{{"resource":{{}},"scopeLogs":[{{"logRecords":[{{"timeUnixNano":"{time_ms}000000","body":{{"stringValue":"{writer} {n}"}}}}]}}]}}]}}"#
        );
        ("/v1/logs", body)
    }

    /// A span called likewise; those of a round are one trace.
    fn span(&self) -> Request {
        let Sent { round, writer, n, time_ms } = self;
        let (trace, span) = (trace_of(*round), n + 1);
        let body = format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"crash"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{trace}","spanId":"{span:016x}","name":"{writer} {n}","kind":1,"startTimeUnixNano":"{time_ms}000000","endTimeUnixNano":"{time_ms}000009"}}]}}]}}]}}"#
        );
        ("/v1/traces", body)
    }
}

fn trace_of(round: u64) -> String {
    format!("{:032x}", round + 1)
}

/// True if it was acknowledged.
fn send(port: u16, (path, body): Request) -> bool {
    let headers = [("Content-Type", "application/json")];
    post(port, path, &headers, body.as_bytes()).is_some_and(|a| a.status == 200)
}

/// Blocks are written as often as it goes.
fn start(folder: &std::path::Path) -> Foreglow {
    let often = "--set=exporters.embedded_store.blocks.flush_interval=50ms";
    let mut server = Foreglow::launch(folder, &[often]);
    server.wait_until_ready();
    server
}

/// Writer, counted on over the signals, and number.
type Item = (u64, u64);

/// How often each item sent from `since_ms` on, in these rounds, is stored.
fn stored(
    server: &Foreglow,
    rounds: std::ops::RangeInclusive<u64>,
    since_ms: u64,
) -> BTreeMap<Item, u64> {
    let mut found = BTreeMap::new();
    let mut count = |signal: u64, text: &str| {
        if let Some((writer, n)) = text.split_once(' ')
            && let (Ok(writer), Ok(n)) = (writer.parse::<u64>(), n.parse())
        {
            *found.entry((signal * WRITERS + writer, n)).or_default() += 1;
        }
    };
    let json = |path: &str| -> serde_json::Value {
        let answer = get(server.page, path).expect("an answer");
        serde_json::from_str(&answer.body).expect("JSON")
    };
    let first =
        format!("/api/fg/v1/logs?limit=5000&start={}.{:03}", since_ms / 1000, since_ms % 1000);
    let mut path = first.clone();
    loop {
        let page = json(&path);
        for record in page["logs"].as_array().expect("records") {
            count(1, record["body"].as_str().expect("text"));
        }
        let Some(cursor) = page["cursor"].as_str() else { break };
        path = format!("{first}&cursor={cursor}");
    }
    for round in rounds {
        let trace = json(&format!("/api/traces/{}", trace_of(round)));
        for span in trace["data"][0]["spans"].as_array().into_iter().flatten() {
            count(2, span["operationName"].as_str().expect("text"));
        }
    }
    let seconds = (later_than(0) - since_ms) / 1000 + 2;
    let result = server.query(&format!("acked[{seconds}s]"));
    for series in result.as_array().expect("a matrix") {
        let writer = series["metric"]["writer"].as_str().expect("label");
        for point in series["values"].as_array().expect("values") {
            count(0, &format!("{writer} {}", point[1].as_str().expect("text")));
        }
    }
    found
}

/// What was acknowledged, by round.
#[derive(Default)]
struct Acked {
    rounds: Vec<(u64, Vec<Item>)>,
}

impl Acked {
    fn all(&self) -> usize {
        self.rounds.iter().map(|(_, items)| items.len()).sum()
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9_under_load() {
    let folder = tempfile::tempdir().expect("temp dir");
    let mut random = Random::seeded(20_261_121);
    let mut acked = Acked::default();
    let next = Arc::new(AtomicU64::new(0));
    for round in 0..rounds() {
        let server = start(folder.path());
        check(&server, &acked, round.saturating_sub(ROUNDS_LOOKED_AT));
        let now: Arc<Mutex<Vec<Item>>> = Arc::default();
        let begin_ms = later_than(0);
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (now, next, stop, port) =
                    (now.clone(), next.clone(), stop.clone(), server.http);
                std::thread::spawn(move || {
                    let mut time_ms = begin_ms;
                    while !stop.load(Ordering::Relaxed) {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        time_ms = later_than(time_ms);
                        let sent = Sent { round, writer, n, time_ms };
                        for (signal, request) in (0..).zip(SIGNALS) {
                            if !stop.load(Ordering::Relaxed) && send(port, request(&sent)) {
                                now.lock().expect("no panic").push((signal * WRITERS + writer, n));
                            }
                        }
                    }
                })
            })
            .collect();
        wait_for("acknowledged items", || (now.lock().expect("no panic").len() > 20).then_some(()));
        // A moment nobody chose: somewhere in the next tenth of a second.
        std::thread::sleep(Duration::from_micros(random.below(100_000)));
        // Nobody begins anything after this: whoever comes by the same port next must not answer.
        stop.store(true, Ordering::Relaxed);
        server.kill();
        for writer in writers {
            writer.join().expect("writer");
        }
        let now = std::mem::take(&mut *now.lock().expect("no panic"));
        acked.rounds.push((begin_ms, now));
        if round % 50 == 49 {
            println!("{} kills, {} acknowledged", round + 1, acked.all());
        }
    }
    let server = start(folder.path());
    check(&server, &acked, 0);
    let all = acked.all();
    println!("{} kills, {all} acknowledged points, records and spans, all there once", rounds());
}

/// What was acknowledged from round `from` on is in the log or in blocks; after a restart it comes
/// back through the pipeline's stages, which may take a moment longer than being ready.
fn check(server: &Foreglow, acked: &Acked, from: u64) {
    let looked_at = &acked.rounds[from as usize..];
    let Some((since_ms, _)) = looked_at.first() else { return };
    let to = acked.rounds.len() as u64 - 1;
    let begin = Instant::now();
    let stored = loop {
        let stored = stored(server, from..=to, *since_ms);
        let all = looked_at.iter().flat_map(|(_, items)| items);
        let lost: Vec<_> = all.filter(|item| !stored.contains_key(*item)).collect();
        if lost.is_empty() {
            break stored;
        }
        let told = format!("round {}: {} lost: {lost:?}", to + 1, lost.len());
        assert!(begin.elapsed() < DEADLINE, "{told}: {}", server.output());
        std::thread::sleep(Duration::from_millis(20));
    };
    let doubled: Vec<_> = stored.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "round {}: stored more than once: {doubled:?}", to + 1);
}
