// SPDX-License-Identifier: Apache-2.0
//! Durable queues and overload, with the real binary and a back end that takes its time.
//!
//! `FOREGLOW_CRASH_ROUNDS` sets the number of kills, as in `crash.rs`.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use basics::Random;

use crate::process::{DEADLINE, Foreglow, get, post, wait_for};

const ROUNDS_DEFAULT: u64 = 5;
const WRITERS: u64 = 3;
const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

/// A back end for OTLP/HTTP with JSON: takes one request at a time, remembers the numbers in it.
#[derive(Default)]
struct Sink {
    /// Refuses everything, as while it restarts.
    down: AtomicBool,
    /// Microseconds a request takes.
    takes: AtomicU64,
    requests: AtomicU64,
    /// Microseconds it was at work.
    busy: AtomicU64,
    numbers: Mutex<BTreeSet<u64>>,
    turn: Mutex<()>,
}

impl Sink {
    /// Listens on a free port until the test ends.
    fn start() -> (Arc<Self>, u16) {
        let sink = Arc::<Self>::default();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let serving = sink.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sink = serving.clone();
                // Whoever is killed leaves a broken connection.
                std::thread::spawn(move || sink.serve(stream).ok());
            }
        });
        (sink, port)
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        loop {
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                let line = line.trim().to_ascii_lowercase();
                if line.is_empty() {
                    break;
                }
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            let status = if self.take(&body) { "200 OK" } else { "503 Service Unavailable" };
            stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}").as_bytes())?;
        }
    }

    fn take(&self, body: &[u8]) -> bool {
        if self.down.load(Ordering::Relaxed) {
            return false;
        }
        let turn = self.turn.lock().expect("no panic");
        let begin = Instant::now();
        std::thread::sleep(Duration::from_micros(self.takes.load(Ordering::Relaxed)));
        self.busy.fetch_add(begin.elapsed().as_micros() as u64, Ordering::Relaxed);
        drop(turn);
        let text = String::from_utf8_lossy(body);
        let numbers = text.split("\"asInt\":\"").skip(1);
        let numbers = numbers.filter_map(|rest| rest.split('"').next()?.parse::<u64>().ok());
        self.numbers.lock().expect("no panic").extend(numbers);
        self.requests.fetch_add(1, Ordering::Relaxed);
        true
    }
}

/// A point with the value `n`, and as much text as wanted.
fn point(n: u64, padding: usize) -> String {
    format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"n","description":"{}","gauge":{{"dataPoints":[{{"timeUnixNano":"1","asInt":"{n}"}}]}}}}]}}]}}]}}"#,
        "x".repeat(padding)
    )
}

/// Starts foreglow with one pipeline from OTLP to `sink`.
fn start(folder: &Path, sink: u16, queue: &str, extension: &str) -> Foreglow {
    let path = folder.join("collector.yaml");
    let extensions = if extension.is_empty() { "[]" } else { "[file_storage]" };
    let text = format!(
        "receivers: {{otlp: {{protocols: {{http: , grpc: }}}}}}\n\
         exporters:\n  otlphttp:\n    endpoint: http://127.0.0.1:{sink}\n    encoding: json\n    compression: none\n\
         \x20   retry_on_failure: {{initial_interval: 50ms, max_interval: 200ms, max_elapsed_time: 0}}\n\
         \x20   sending_queue: {queue}\n{extension}\
         service:\n  extensions: {extensions}\n  pipelines: {{metrics: {{receivers: [otlp], exporters: [otlphttp]}}}}\n"
    );
    std::fs::write(&path, text).expect("written");
    let config = format!("--config={}", path.display());
    let mut server = Foreglow::launch(folder, &[&config]);
    server.wait_until_ready();
    server
}

fn storage(folder: &Path) -> String {
    let directory = folder.join("queues");
    format!(
        "extensions:\n  file_storage: {{directory: '{}', create_directory: true}}\n",
        directory.display()
    )
}

#[test]
fn what_a_durable_queue_acknowledged_arrives_after_kill_9() {
    let rounds = std::env::var("FOREGLOW_CRASH_ROUNDS").ok().and_then(|v| v.parse().ok());
    let rounds: u64 = rounds.unwrap_or(ROUNDS_DEFAULT);
    let folder = tempfile::tempdir().expect("temp dir");
    let queue = "{storage: file_storage, queue_size: 100000, num_consumers: 2}";
    let (sink, port) = Sink::start();
    let mut random = Random::seeded(20_261_122);
    let acked: Arc<Mutex<Vec<u64>>> = Arc::default();
    let next = Arc::new(AtomicU64::new(0));
    for round in 0..rounds {
        // Every other life the back end is away, so that the queue only grows.
        sink.down.store(round % 2 == 0, Ordering::Relaxed);
        let server = start(folder.path(), port, queue, &storage(folder.path()));
        let so_far = acked.lock().expect("no panic").len();
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let (acked, next, stop) = (acked.clone(), next.clone(), stop.clone());
                let port = server.http;
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        let answer = post(port, "/v1/metrics", &JSON, point(n, 0).as_bytes());
                        if answer.is_some_and(|answer| answer.status == 200) {
                            acked.lock().expect("no panic").push(n);
                        }
                    }
                })
            })
            .collect();
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
    sink.down.store(false, Ordering::Relaxed);
    let server = start(folder.path(), port, queue, &storage(folder.path()));
    let acked = acked.lock().expect("no panic").clone();
    wait_for("all that was acknowledged", || {
        let arrived = sink.numbers.lock().expect("no panic");
        acked.iter().all(|n| arrived.contains(n)).then_some(())
    });
    println!("{rounds} kills, {} acknowledged points, all arrived", acked.len());
    assert!(server.terminate());
}

#[test]
fn a_storage_that_is_not_declared_is_an_error_with_its_place() {
    let yaml = "receivers: {otlp: {protocols: {http: }}}\nexporters:\n  otlphttp:\n    endpoint: http://localhost:1\n    sending_queue: {storage: file_storage/b}\nextensions: {file_storage/a: {directory: /tmp}}\nservice:\n  extensions: [file_storage/a]\n  pipelines: {logs: {receivers: [otlp], exporters: [otlphttp]}}\n";
    let (code, _, told) = crate::process::run(&["validate", "--config", &format!("yaml:{yaml}")]);
    assert_eq!(code, Some(1), "{told}");
    let place = "exporters::otlphttp::sending_queue::storage";
    for text in [place, "\"file_storage/b\"", "not among service::extensions", ":5:"] {
        assert!(told.contains(text), "no {text} in:\n{told}");
    }
}

/// Resident memory of a process in MiB.
fn resident(server: &Foreglow) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()));
    let status = status.expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

/// Longest memory use that is fine: the queue holds 2 MiB, connections and code the rest.
const RESIDENT_MAX_MIB: u64 = 200;

#[test]
fn ten_times_the_connections_on_a_slow_back_end_cost_neither_memory_nor_throughput() {
    const TAKES: Duration = Duration::from_millis(10);
    const WINDOW: Duration = Duration::from_secs(1);
    const CLIENTS: u64 = 40;
    let folder = tempfile::tempdir().expect("temp dir");
    let (sink, port) = Sink::start();
    sink.takes.store(TAKES.as_micros() as u64, Ordering::Relaxed);
    let server = start(folder.path(), port, "{queue_size: 20, num_consumers: 4}", "");
    let (taken, refused) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let (begin, over) = (Instant::now(), Arc::<AtomicBool>::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (taken, refused, port) = (taken.clone(), refused.clone(), server.http);
            let over = over.clone();
            std::thread::spawn(move || {
                let body = point(client, 100_000);
                while !over.load(Ordering::Relaxed) {
                    let answer = post(port, "/v1/metrics", &JSON, body.as_bytes());
                    let answer = answer.expect("an answer to everyone");
                    match answer.status {
                        200 => taken.fetch_add(1, Ordering::Relaxed),
                        503 => {
                            assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
                            // Far less patient than asked.
                            std::thread::sleep(Duration::from_millis(50));
                            refused.fetch_add(1, Ordering::Relaxed)
                        }
                        other => panic!("{other}: {answer:?}"),
                    };
                }
            })
        })
        .collect();
    // Goodput: the back end does not wait for work. Other tests run beside and take the processors
    // from time to time, so one second of it has to come.
    let (mut peak, mut busy) = (0, 0);
    while busy < 60 || begin.elapsed() < 2 * WINDOW {
        assert!(begin.elapsed() < DEADLINE, "the back end was busy {busy} % of the last second");
        let (window, before) = (Instant::now(), sink.busy.load(Ordering::Relaxed));
        while window.elapsed() < WINDOW {
            peak = peak.max(resident(&server));
            std::thread::sleep(Duration::from_millis(50));
        }
        busy = (sink.busy.load(Ordering::Relaxed) - before) * 100 / WINDOW.as_micros() as u64;
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("client");
    }
    let (taken, refused) = (taken.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    println!("back end busy {busy} %, {taken} taken, {refused} refused, {peak} MiB");
    assert!(refused > 0, "nothing was refused: no overload");
    assert!(peak <= RESIDENT_MAX_MIB, "{peak} MiB");
    wait_for("what was taken", || (sink.requests.load(Ordering::Relaxed) >= taken).then_some(()));
    // It recovers at once.
    let answer = post(server.http, "/v1/metrics", &JSON, point(1, 0).as_bytes());
    assert_eq!(answer.map(|answer| answer.status), Some(200));
    let own = get(server.metrics, "/metrics").expect("own metrics").body;
    assert!(own.contains("otelcol_exporter_enqueue_failed_metric_points"), "{own}");
    assert!(server.terminate());
}
