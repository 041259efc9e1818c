// SPDX-License-Identifier: Apache-2.0
//! The real binary on free ports, and a plain HTTP/1.1 client to talk to it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything a test waits for.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A running foreglow; killed when dropped.
pub struct Foreglow {
    child: Child,
    pub page: u16,
    pub http: u16,
    pub health: u16,
    pub metrics: u16,
    log: PathBuf,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    /// The value of the header `name`, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

impl Foreglow {
    /// Starts the built-in stack with its data in `folder` and waits until it is ready.
    pub fn start(folder: &Path) -> Self {
        let mut started = Self::launch(folder, &[]);
        started.wait_until_ready();
        started
    }

    /// Starts the built-in stack with more arguments; does not wait.
    pub fn launch(folder: &Path, arguments: &[&str]) -> Self {
        let [page, http, grpc, health, metrics] = free_ports();
        let log = folder.join(format!("log-{page}.txt"));
        let output = std::fs::File::create(&log).expect("log file");
        let mut of_the_built_in_stack = Vec::new();
        if !arguments.iter().any(|argument| argument.starts_with("--config")) {
            of_the_built_in_stack
                .push(format!("--set=extensions.health_check.endpoint=127.0.0.1:{health}"));
            of_the_built_in_stack.push(format!(
                "--set=receivers.prometheus.config.scrape_configs=[{{job_name: foreglow, scrape_interval: 1s, static_configs: [{{targets: ['127.0.0.1:{metrics}']}}]}}]"
            ));
        }
        let child = Command::new(env!("CARGO_BIN_EXE_foreglow"))
            .arg("--data")
            .arg(folder.join("data"))
            .arg(format!("--listen=127.0.0.1:{page}"))
            .arg(format!("--set=receivers.otlp.protocols.http.endpoint=127.0.0.1:{http}"))
            .arg(format!("--set=receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{grpc}"))
            .arg(format!("--set=service.telemetry.metrics.address=127.0.0.1:{metrics}"))
            .args(of_the_built_in_stack)
            .args(arguments)
            .env_remove("FOREGLOW_LOG")
            .stdout(Stdio::from(output.try_clone().expect("log file")))
            .stderr(Stdio::from(output))
            .spawn()
            .expect("the binary starts");
        Foreglow { child, page, http, health, metrics, log }
    }

    /// Starts with `text` as its configuration and nothing else said; does not wait.
    pub fn launch_bare(folder: &Path, text: &str) -> Self {
        let (config, log) = (folder.join("collector.yaml"), folder.join("log.txt"));
        std::fs::write(&config, text).expect("written");
        let output = std::fs::File::create(&log).expect("log file");
        let child = Command::new(env!("CARGO_BIN_EXE_foreglow"))
            .arg("--data")
            .arg(folder.join("data"))
            .arg("--config")
            .arg(config)
            .env_remove("FOREGLOW_LOG")
            .stdout(Stdio::from(output.try_clone().expect("log file")))
            .stderr(Stdio::from(output))
            .spawn()
            .expect("the binary starts");
        Foreglow { child, page: 0, http: 0, health: 0, metrics: 0, log }
    }

    /// Starts a service of the demo that sends to the OTLP/HTTP port `to`; returns when its
    /// `/health` answers on its port `page`.
    pub fn launch_service(folder: &Path, arguments: &[&str], to: u16) -> Self {
        let [page] = free_ports();
        let log = folder.join(format!("service-{page}.txt"));
        let output = std::fs::File::create(&log).expect("log file");
        let child = Command::new(env!("CARGO_BIN_EXE_foreglow"))
            .arg("demo")
            .args(arguments)
            .arg(format!("--listen=127.0.0.1:{page}"))
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{to}"))
            .stdout(Stdio::from(output.try_clone().expect("log file")))
            .stderr(Stdio::from(output))
            .spawn()
            .expect("the binary starts");
        let started = Foreglow { child, page, http: 0, health: 0, metrics: 0, log };
        wait_for("the service", || get(page, "/health").filter(|answer| answer.status == 200));
        started
    }

    /// Waits until `/-/ready` says 200.
    pub fn wait_until_ready(&mut self) {
        let begin = Instant::now();
        loop {
            if get(self.page, "/-/ready").is_some_and(|a| a.status == 200) {
                return;
            }
            let ended = self.child.try_wait().expect("state of the child");
            assert!(
                ended.is_none() && begin.elapsed() < DEADLINE,
                "not ready ({ended:?}): {}",
                self.output()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, as an out-of-memory killer does it.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// SIGTERM, then waits for the end; true if it ended with status 0.
    pub fn terminate(mut self) -> bool {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("state of the child") {
                return status.success();
            }
            assert!(begin.elapsed() < DEADLINE, "does not end: {}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the process to end by itself; its exit code and output.
    pub fn wait_for_end(mut self) -> (Option<i32>, String) {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("state of the child") {
                return (status.code(), self.output());
            }
            assert!(begin.elapsed() < DEADLINE, "does not end: {}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The result of an instant query, parsed.
    pub fn query(&self, expression: &str) -> serde_json::Value {
        let path = format!("/api/v1/query?query={}", escape(expression));
        let answer = get(self.page, &path).expect("an answer");
        assert_eq!(answer.status, 200, "{expression}: {}", answer.body);
        let mut body: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        body["data"]["result"].take()
    }
}

impl Drop for Foreglow {
    fn drop(&mut self) {
        // Gone already is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("crates/foreglow is below the root").to_owned()
}

/// Exit code, standard output and standard error of a command that ends by itself.
pub fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_foreglow"))
        .args(arguments)
        .output()
        .expect("the binary starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// True if nothing was told but old spellings and keys without effect.
pub fn is_quiet(told: &str) -> bool {
    let mut lines = told.lines().filter(|l| l.starts_with("warning:") || l.starts_with("error"));
    lines.all(|l| l.contains("alias is deprecated") || l.contains("has no effect here"))
}

/// Polls until `condition` gives a value.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begin.elapsed() < DEADLINE, "gave up waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// GET; `None` if nobody answers.
pub fn get(port: u16, path: &str) -> Option<Answer> {
    exchange(
        port,
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")
            .as_bytes(),
    )
}

/// POST of `body`; `None` if nobody answers.
pub fn post(port: u16, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    exchange(port, &[request.as_bytes(), body].concat())
}

fn exchange(port: u16, request: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    stream.write_all(request).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
    // A large answer, which comes as it is made.
    if answer.header("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        answer.body = unchunked(&answer.body)?;
    }
    Some(answer)
}

/// The chunks of a body put together; all of ours are ASCII.
fn unchunked(mut body: &str) -> Option<String> {
    let mut whole = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        whole.push_str(rest.get(..size)?);
        body = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}

/// Percent-encodes everything but letters and digits.
pub fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }
        })
        .collect()
}

/// Ports that are free now.
pub fn free_ports<const N: usize>() -> [u16; N] {
    // Held together, so that no port is given twice.
    let held = [(); N].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("bound").port())
}
