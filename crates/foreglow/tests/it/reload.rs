// SPDX-License-Identifier: Apache-2.0
//! The configuration is loaded anew under load: nothing refused, nothing lost; mistakes change
//! nothing and are told.
//!
//! `FOREGLOW_RELOAD_SECONDS` sets for how long (6 here, 300 in `make soak`).

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::process::{Foreglow, get, post, wait_for};

const SECONDS_DEFAULT: u64 = 6;
const SENDERS: usize = 4;

fn seconds() -> u64 {
    let given = std::env::var("FOREGLOW_RELOAD_SECONDS").ok().and_then(|v| v.parse().ok());
    given.unwrap_or(SECONDS_DEFAULT)
}

/// Whatever is written differs from round to round: settings of the receiver, the processor and
/// the exporter, and in every third round nothing.
fn write(path: &Path, round: u64) {
    let (limit, size, initial) = (1_000_000 + round / 3, 10 + round % 3, 2 + round % 2);
    let text = format!(
        "receivers: {{otlp: {{protocols: {{http: {{max_request_body_size: {limit}}}, grpc: }}}}}}
processors: {{batch: {{send_batch_size: {size}, timeout: 50ms}}}}
exporters: {{debug: {{verbosity: basic, sampling_initial: {initial}, sampling_thereafter: 0}}}}
service:
  pipelines: {{logs: {{receivers: [otlp], processors: [batch], exporters: [debug]}}}}
"
    );
    // As Kubernetes does it: the file appears whole, under another inode.
    let fresh = path.with_extension("fresh");
    std::fs::write(&fresh, text).expect("written");
    std::fs::rename(&fresh, path).expect("renamed");
}

fn start(folder: &Path) -> (Foreglow, std::path::PathBuf) {
    let path = folder.join("collector.yaml");
    write(&path, 0);
    let config = format!("--config={}", path.display());
    let mut server = Foreglow::launch(folder, &[&config]);
    server.wait_until_ready();
    (server, path)
}

/// The sum of all series of `name` whose labels contain `labels`.
fn own_metric(server: &Foreglow, name: &str, labels: &str) -> f64 {
    let page = get(server.metrics, "/metrics").map(|answer| answer.body).unwrap_or_default();
    let of_it = |line: &&str| line.starts_with(name) && line.contains(labels);
    let values =
        page.lines().filter(of_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum()
}

fn reloads(server: &Foreglow, outcome: &str) -> f64 {
    own_metric(server, "foreglow_config_reloads_total", outcome)
}

fn hang_up(server: &Foreglow) {
    let pid = server.pid().to_string();
    Command::new("kill").args(["-HUP", &pid]).status().expect("kill");
}

const LOG: &str =
    r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}"#;

#[test]
fn reloads_under_load_refuse_and_lose_nothing() {
    let folder = tempfile::tempdir().expect("temp dir");
    let (server, path) = start(folder.path());
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (stop, sent, port) = (stop.clone(), sent.clone(), server.http);
            std::thread::spawn(move || {
                let mut refused = Vec::new();
                while !stop.load(Ordering::Acquire) {
                    let json = [("Content-Type", "application/json")];
                    match post(port, "/v1/logs", &json, LOG.as_bytes()) {
                        Some(answer) if answer.status == 200 => {
                            sent.fetch_add(1, Ordering::AcqRel);
                        }
                        other => refused.push(format!("{other:?}")),
                    }
                }
                refused
            })
        })
        .collect();
    let begin = Instant::now();
    let mut round = 0;
    while begin.elapsed() < Duration::from_secs(seconds()) {
        round += 1;
        write(&path, round);
        hang_up(&server);
        wait_for("the reload", || (reloads(&server, "success") >= round as f64).then_some(()));
        let next = Instant::now() + Duration::from_millis(if round % 2 == 0 { 1000 } else { 250 });
        wait_for("the next round", || (Instant::now() >= next).then_some(()));
    }
    stop.store(true, Ordering::Release);
    let refused: Vec<String> =
        senders.into_iter().flat_map(|it| it.join().expect("joins")).collect();
    let sent = sent.load(Ordering::Acquire);
    println!("{round} reloads, {sent} requests, {} refused", refused.len());
    assert!(refused.is_empty(), "{refused:?}\n{}", server.output());
    assert!(sent > 100, "{sent}");
    let ledger = |fate: &str| own_metric(&server, "foreglow_ledger_items_total", fate);
    wait_for("all is delivered", || (ledger("\"delivered\"") >= sent as f64).then_some(()));
    assert_eq!(ledger("\"received\""), sent as f64);
    assert_eq!(ledger("\"delivered\""), sent as f64);
    assert!(server.terminate(), "a clean end");
}

#[test]
fn a_mistake_changes_nothing_and_is_told_with_its_place_and_a_changed_file_is_noticed() {
    let folder = tempfile::tempdir().expect("temp dir");
    let (server, path) = start(folder.path());
    let last = |server: &Foreglow| own_metric(server, "foreglow_config_last_reload_successful", "");
    assert_eq!(last(&server), 1.0);
    std::fs::write(&path, "receivers:\n  otlp: {protocols: {htpp: }}\n").expect("written");
    wait_for("the failure", || (reloads(&server, "failure") >= 1.0).then_some(()));
    assert_eq!(last(&server), 0.0);
    let output = server.output();
    assert!(output.contains(&format!("{}:2:22", path.display())), "{output}");
    assert!(output.contains("unknown key \"htpp\""), "{output}");
    let json = [("Content-Type", "application/json")];
    let answer = post(server.http, "/v1/logs", &json, LOG.as_bytes());
    assert_eq!(answer.map(|answer| answer.status), Some(200), "the old one goes on");
    write(&path, 1);
    wait_for("the success", || (reloads(&server, "success") >= 1.0).then_some(()));
    assert_eq!(last(&server), 1.0);
    assert!(server.terminate());
}

#[test]
fn a_symbolic_link_that_turns_is_a_change() {
    let folder = tempfile::tempdir().expect("temp dir");
    for (name, round) in [("a", 0), ("b", 4)] {
        let inner = folder.path().join(name);
        std::fs::create_dir(&inner).expect("made");
        write(&inner.join("collector.yaml"), round);
    }
    let link = folder.path().join("data-link");
    std::os::unix::fs::symlink("a", &link).expect("linked");
    let config = format!("--config={}", link.join("collector.yaml").display());
    let mut server = Foreglow::launch(folder.path(), &[&config]);
    server.wait_until_ready();
    let turned = folder.path().join("turned");
    std::os::unix::fs::symlink("b", &turned).expect("linked");
    std::fs::rename(&turned, &link).expect("turned");
    wait_for("the reload", || (reloads(&server, "success") >= 1.0).then_some(()));
    assert!(server.terminate());
}
