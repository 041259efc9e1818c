// SPDX-License-Identifier: Apache-2.0
//! The systems of the documents as a user starts them: by one command, on moved ports.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::process::{escape, get, run};

/// Data has to be seen within a minute by the documents' own measure.
const DEADLINE: Duration = Duration::from_secs(90);

/// A running system; all of it is stopped when dropped.
struct System {
    child: Child,
    shift: u16,
    log: PathBuf,
}

impl System {
    /// Starts `foreglow demo <which>` with its `ports` moved to where all are free, and waits until
    /// it says that all is seen.
    fn start(folder: &Path, which: &str, ports: &[u16]) -> System {
        let log = folder.join("log.txt");
        let output = std::fs::File::create(&log).expect("log file");
        let shift = free_shift(ports);
        let child = Command::new(env!("CARGO_BIN_EXE_foreglow"))
            .args(["demo", which, &format!("--port-shift={shift}"), "--data"])
            .arg(folder.join("data"))
            .env("WORKER_LOAD", "5")
            .env("DEFAULT_LATENCY_MS", "5")
            .stdout(Stdio::from(output.try_clone().expect("log file")))
            .stderr(Stdio::from(output))
            .spawn()
            .expect("the binary starts");
        let mut system = System { child, shift, log };
        let begin = Instant::now();
        while !system.output().contains(" s.\n") {
            let ended = system.child.try_wait().expect("state of the child");
            let waits = ended.is_none() && begin.elapsed() < DEADLINE;
            assert!(waits, "not ready ({ended:?}): {}", system.output());
            std::thread::sleep(Duration::from_millis(50));
        }
        system
    }

    fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn wait_for<T>(&self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            if let Some(value) = condition() {
                return value;
            }
            assert!(begin.elapsed() < DEADLINE, "gave up waiting for {what}: {}", self.output());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn json(&self, port: u16, path: &str) -> Value {
        let answer = get(port + self.shift, path).filter(|answer| answer.status == 200);
        answer.and_then(|answer| serde_json::from_str(&answer.body).ok()).unwrap_or_default()
    }

    /// The one value of an expression at the store's usual `port`.
    fn value(&self, port: u16, expression: &str) -> Option<f64> {
        let answer = self.json(port, &format!("/api/v1/query?query={}", escape(expression)));
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    fn names(&self, port: u16) -> BTreeSet<String> {
        texts(&self.json(port, "/api/v1/label/__name__/values")["data"])
    }

    /// Names of the spans of a service, by Jaeger's API at its port.
    fn operations(&self, service: &str) -> BTreeSet<String> {
        texts(&self.json(16686, &format!("/api/services/{service}/operations"))["data"])
    }

    /// The processes it has started: their pids by what stands behind the program's name.
    fn processes(&self) -> Vec<(u32, String)> {
        let of = |entry: std::fs::DirEntry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()?;
            let command = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
            (parent == self.child.id()).then(|| (pid, command.replace('\0', " ")))
        };
        std::fs::read_dir("/proc").expect("linux").flatten().filter_map(of).collect()
    }

    /// Kills the process with `word` in its command line and waits until the system says that it
    /// runs again.
    fn kill(&self, word: &str, name: &str) {
        let all = self.processes();
        let (pid, _) = all.iter().find(|(_, command)| command.contains(word)).expect(word);
        signal("-KILL", *pid);
        let told = format!("{name} is started again");
        self.wait_for(&told, || self.output().contains(&told).then_some(()));
    }

    /// Ctrl-C; all of its processes are gone then.
    fn stop(mut self) {
        let all = self.processes();
        signal("-INT", self.child.id());
        let status = self.wait();
        assert!(status.success(), "{}", self.output());
        for (pid, command) in all {
            assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{command} is left");
        }
    }

    fn wait(&mut self) -> std::process::ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("state of the child") {
                return status;
            }
            assert!(begin.elapsed() < DEADLINE, "does not end: {}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // The second one ends all of them at once.
            signal("-TERM", self.child.id());
            std::thread::sleep(Duration::from_millis(200));
            signal("-TERM", self.child.id());
            let _ = self.child.wait();
        }
    }
}

fn signal(which: &str, pid: u32) {
    Command::new("kill").args([which, &pid.to_string()]).status().expect("kill");
}

fn texts(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// By how much all of `ports` can be moved to be free, below the ports that systems give out; no two
/// tests of a run get the same.
fn free_shift(ports: &[u16]) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const SHIFTS: u16 = 97;
    let begin = (std::process::id() % u32::from(SHIFTS)) as u16;
    let free = |shift: u16| {
        ports.iter().all(|port| TcpListener::bind(("127.0.0.1", port + shift)).is_ok())
    };
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(step < SHIFTS, "no room for {ports:?}");
        let shift = 1000 + 101 * ((begin + step) % SHIFTS);
        if free(shift) {
            return shift;
        }
    }
}

#[test]
fn the_worker_stack_shows_all_metrics_and_spans_and_goes_on_when_a_process_dies() {
    const STORE: u16 = 8428;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let ports = [4317, 4318, 8428, 8888, 14250, 16686];
    let system = System::start(folder.path(), "worker-stack", &ports);
    let of_the_document = [
        "scotty_log_streams_active",
        "scotty_log_streams_total",
        "scotty_log_stream_duration_seconds_count",
        "scotty_log_lines_received_total",
        "scotty_log_stream_bytes_total",
        "scotty_shell_sessions_active",
        "scotty_shell_sessions_total",
        "scotty_websocket_connections",
        "scotty_websocket_connections_total",
        "scotty_websocket_messages_sent_total",
        "scotty_websocket_messages_received_total",
        "scotty_tasks_active",
        "scotty_tasks_total",
        "scotty_task_duration_seconds_count",
        "scotty_task_output_lines_total",
        "scotty_task_output_buffer_bytes",
        "scotty_memory_usage_bytes",
        "scotty_cpu_usage_percent",
        "scotty_uptime_seconds_total",
    ];
    system.wait_for("the metrics of the document", || {
        let names = system.names(STORE);
        of_the_document.iter().all(|name| names.contains(*name)).then_some(())
    });
    system.wait_for("its spans", || {
        let seen = system.operations("scotty");
        ["task", "run_command", "log_stream", "shell_session", "websocket"]
            .iter()
            .all(|name| seen.contains(*name))
            .then_some(())
    });
    let before = system.value(STORE, "sum(scotty_tasks_total)").expect("counted");
    system.kill("collector.yaml", "collector");
    system.wait_for("tasks that came after", || {
        system.value(STORE, "sum(scotty_tasks_total)").filter(|now| *now > before)
    });
    // No pipeline of metrics ends in the store: they are written past all of them, and still kept.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let written = format!("sum(count_over_time(scotty_tasks_total[1h] @ {now}))");
    let before = system.value(STORE, &written).expect("counted");
    system.kill("store.yaml", "store");
    let after = system.wait_for("the store to be back", || {
        get(STORE + system.shift, "/-/ready").filter(|answer| answer.status == 200)?;
        Some(system.value(STORE, &written))
    });
    assert_eq!(after, Some(before), "what was acknowledged is there after a kill");
    let again = system.processes();
    assert_eq!(again.len(), 3, "{again:?}");
    // The document's own file, byte for byte.
    let text = std::fs::read_to_string(folder.path().join("data/worker-stack/collector.yaml"));
    assert_eq!(text.expect("written"), include_str!("../../src/system/worker-collector.yaml"));
    system.stop();
}

#[test]
fn the_inference_stack_counts_what_was_sent_and_finds_the_trace_of_an_answer() {
    const STORE: u16 = 7070;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let ports = [4317, 4318, 7070, 8888, 8889, 9000, 13133, 14250, 16686];
    let system = System::start(folder.path(), "inference-stack", &ports);
    let target = format!("--url=http://127.0.0.1:{}/predict", 9000 + system.shift);
    let (code, told, wrong) =
        run(&["load", "http", &target, "--requests=60", "--concurrency=6", "--output=json"]);
    assert_eq!(code, Some(0), "{wrong}");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    for (expression, expected) in [
        ("sum(predictions_total)", 60.0),
        ("sum(http_requests_total{path=\"/predict\",status=\"200\"})", 60.0),
        ("sum(prediction_latency_ms_count)", 60.0),
        ("sum(request_duration_ms_count{path=\"/predict\"})", 60.0),
        ("sum(active_requests)", 0.0),
    ] {
        system.wait_for(expression, || {
            system.value(STORE, expression).filter(|value| *value == expected)
        });
    }
    let trace = told[0]["slowest"][0]["trace_id"].as_str().expect("an id").to_owned();
    let spans = system.wait_for("the whole trace", || {
        let found = system.json(16686, &format!("/api/traces/{trace}"));
        let spans = found["data"][0]["spans"].as_array()?.clone();
        (spans.len() == 4).then_some(spans)
    });
    let names: BTreeSet<_> =
        spans.iter().filter_map(|span| span["operationName"].as_str()).collect();
    let expected = ["HTTP POST /predict", "format_response", "model_inference", "validate_input"];
    assert_eq!(names, BTreeSet::from(expected));
    // Ports that are taken are told before anything starts, each with its owner.
    let data = folder.path().join("other");
    let shift = format!("--port-shift={}", system.shift);
    let data = format!("--data={}", data.display());
    let (code, _, wrong) = run(&["demo", "inference-stack", &shift, &data]);
    assert_eq!(code, Some(1));
    let owned = format!("store: port {} is in use by foreglow (pid ", STORE + system.shift);
    assert!(wrong.contains(&owned) && wrong.contains("inference: port "), "{wrong}");
    system.kill("demo inference", "inference");
    let up = || get(9000 + system.shift, "/health").filter(|answer| answer.status == 200);
    system.wait_for("the service to be back", up);
    system.stop();
}

#[test]
fn the_live_demo_shows_all_services_under_load_and_what_is_predicted() {
    const PAGE: u16 = 7070;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let ports = [4317, 4318, 7070, 8081, 8082, 8083, 8888, 9000, 13133];
    let system = System::start(folder.path(), "live", &ports);
    for expression in [
        "sum(http_server_request_duration_seconds_count{job=\"api-service\",deployment_environment_name=\"qa\",http_response_status_code=~\"5..\"})",
        "sum(predictions_total)",
        "sum(scotty_tasks_total)",
        "count(system_cpu_utilization_predicted)",
        "count(total_request_duration_ms)",
    ] {
        system.wait_for(expression, || system.value(PAGE, expression).filter(|value| *value > 0.0));
    }
    let services = texts(&system.json(PAGE, "/api/services")["data"]);
    for service in ["ai-inference-service", "api-service", "scotty"] {
        assert!(services.contains(service), "{services:?}");
    }
    system.stop();
}
