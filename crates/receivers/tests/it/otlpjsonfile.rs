// SPDX-License-Identifier: Apache-2.0
//! Files that grow, move and break while they are read.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use basics::files::RealFiles;
use basics::{Clock, Error};
use otlp_wire::{Payload, Signal};
use pipeline::config::from_yaml;
use pipeline::storage::{Storage, StorageSettings};
use pipeline::{Budget, Consumer, Context, Host, Inlets, Receiver};
use receivers::otlpjsonfile::OtlpJsonFile;
use segment_log::Durability;

use crate::support::Capture;

/// A folder, a pipeline for logs and traces, and the receivers that ran on them.
struct Stage {
    folder: tempfile::TempDir,
    capture: Arc<Capture>,
    context: Context,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let host = Host::with(folder.path().join("data"), Clock::system(), Budget::new(64 << 20));
        let settings = StorageSettings {
            directory: folder.path().join("storage"),
            durability: Durability::Sync,
            bytes_max: 0,
        };
        let clock = Clock::system();
        let storage = || Ok(Storage::new(settings, Arc::new(RealFiles), clock));
        host.shared::<Storage>("file_storage", storage).expect("made");
        let context = Context {
            id: "otlp_json_file/x".into(),
            signal: Signal::Logs,
            pipeline: "".into(),
            clock: Clock::system(),
            host,
        };
        Stage { folder, capture: Arc::default(), context }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A running receiver of `*.json` below the folder.
    async fn start(&self, keys: &str) -> OtlpJsonFile {
        let yaml = format!(
            "{{include: ['{}/*.json'], poll_interval: 5ms, {keys}}}",
            self.folder.path().display()
        );
        let config = from_yaml(&yaml).expect("valid");
        let inlet: Arc<dyn Consumer> = self.capture.clone();
        let inlets = Inlets { traces: Some(inlet.clone()), metrics: None, logs: Some(inlet) };
        let receiver = OtlpJsonFile::new(Arc::new(config), self.context.clone(), inlets);
        receiver.start().await.expect("starts");
        receiver
    }

    fn seen(&self) -> Vec<String> {
        let batches = self.capture.batches.lock();
        let payloads = batches.iter().map(|batch| &batch.payload);
        let logs = |payload: &Payload| -> Vec<String> {
            let scopes = payload.logs().flat_map(|r| r.scopes());
            scopes.flat_map(|s| s.logs()).map(|log| log.body().text().into_owned()).collect()
        };
        payloads.flat_map(logs).collect()
    }

    async fn sees(&self, expected: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.seen() != expected {
            assert!(Instant::now() < deadline, "{:?} instead of {expected:?}", self.seen());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn line(body: &str) -> String {
    format!(
        "{{\"resourceLogs\":[{{\"scopeLogs\":[{{\"logRecords\":[{{\"body\":{{\"stringValue\":\"{body}\"}}}}]}}]}}]}}\n"
    )
}

fn append(path: &Path, text: &str) {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.expect("opens").write_all(text.as_bytes()).expect("written");
}

#[tokio::test]
async fn lines_come_as_they_are_written_whole_and_broken_ones_are_passed_over() {
    let stage = Stage::new();
    let path = stage.path("a.json");
    append(&path, &line("before"));
    let receiver = stage.start("start_at: beginning").await;
    stage.sees(&["before"]).await;
    let last = line("halves");
    let (half, rest) = last.split_at(20);
    append(&path, &format!("{}{{broken\n[1]\n{}{half}", line("one"), line("two")));
    stage.sees(&["before", "one", "two"]).await;
    append(&path, rest);
    stage.sees(&["before", "one", "two", "halves"]).await;
    receiver.stop().await.expect("stops");
    let telemetry = stage.context.host.telemetry();
    let labels = [("receiver", "otlp_json_file/x")];
    assert_eq!(telemetry.value("foreglow_receiver_broken_messages", &labels), Some(2.0));
    let batches = stage.capture.batches.lock();
    let resource = batches[0].payload.logs().next().expect("one");
    let log = resource.scopes().flat_map(|s| s.logs()).next().expect("one");
    assert_eq!(log.attr("log.file.name").and_then(|v| v.as_str()), Some("a.json"));
}

#[tokio::test]
async fn from_the_end_only_new_lines_and_new_files_come() {
    let stage = Stage::new();
    append(&stage.path("a.json"), &line("old"));
    let receiver = stage.start("include_file_path: true").await;
    // Files found later are new as a whole.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut round = 0;
    while stage.seen().is_empty() {
        assert!(Instant::now() < deadline);
        round += 1;
        append(&stage.path(&format!("new{round}.json")), &line(&format!("new{round}")));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    append(&stage.path("a.json"), &line("grown"));
    let all = || stage.seen().contains(&"grown".to_owned());
    while !all() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(!stage.seen().contains(&"old".to_owned()));
    receiver.stop().await.expect("stops");
}

#[tokio::test]
async fn moved_and_copied_files_are_read_once_and_their_successors_whole() {
    for copied in [false, true] {
        let stage = Stage::new();
        let (path, rotated) = (stage.path("a.json"), stage.path("a-1.json"));
        append(&path, &format!("{}{}", line("same"), line("1")));
        let receiver = stage.start("start_at: beginning").await;
        stage.sees(&["same", "1"]).await;
        if copied {
            fs::copy(&path, &rotated).expect("copied");
            fs::write(&path, "").expect("truncated");
        } else {
            fs::rename(&path, &rotated).expect("moved");
        }
        // The next one begins like the last, as those of one exporter do.
        append(&path, &format!("{}{}{}", line("same"), line("2"), line("3")));
        stage.sees(&["same", "1", "same", "2", "3"]).await;
        append(&path, &line("4"));
        stage.sees(&["same", "1", "same", "2", "3", "4"]).await;
        receiver.stop().await.expect("stops");
    }
}

#[tokio::test]
async fn with_storage_a_restart_reads_on_where_it_was() {
    let stage = Stage::new();
    let path = stage.path("a.json");
    append(&path, &line("1"));
    for (round, storage) in ["storage: file_storage", "storage: file_storage"].iter().enumerate() {
        let receiver = stage.start(&format!("start_at: beginning, {storage}")).await;
        append(&path, &line(&format!("round {round}")));
        let expected = ["1", "round 0", "round 1"];
        stage.sees(&expected[..round + 2]).await;
        receiver.stop().await.expect("stops");
    }
    let config = from_yaml("{include: [x], storage: nowhere}").expect("valid");
    let receiver = OtlpJsonFile::new(Arc::new(config), stage.context.clone(), Inlets::default());
    let told = receiver.start().await.expect_err("no such extension").to_string();
    assert!(told.contains("storage \"nowhere\" is not there"), "{told}");
    let receiver = stage.start("start_at: beginning").await;
    stage.sees(&["1", "round 0", "round 1", "1", "round 0", "round 1"]).await;
    receiver.stop().await.expect("stops");
}

#[tokio::test]
async fn what_is_refused_for_now_comes_again() {
    let stage = Stage::new();
    append(&stage.path("a.json"), &line("1"));
    *stage.capture.refuse.lock() = Some(Error::retry("not now"));
    let receiver = stage.start("start_at: beginning, storage: file_storage").await;
    let labels = [("receiver", "otlp_json_file/x"), ("transport", "file")];
    let refused = || {
        let telemetry = stage.context.host.telemetry();
        telemetry.value("otelcol_receiver_refused_log_records", &labels)
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while refused().is_none() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(stage.seen().is_empty());
    receiver.stop().await.expect("stops");
    *stage.capture.refuse.lock() = None;
    let receiver = stage.start("start_at: beginning, storage: file_storage").await;
    stage.sees(&["1"]).await;
    receiver.stop().await.expect("stops");
}

#[tokio::test]
async fn replayed_files_come_again_and_again() {
    let stage = Stage::new();
    append(&stage.path("a.json"), &line("1"));
    let receiver = stage.start("replay_file: true").await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while stage.seen().len() < 3 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    receiver.stop().await.expect("stops");
}

#[tokio::test]
async fn protobuf_messages_need_one_signal() {
    let stage = Stage::new();
    let yaml = format!(
        "{{include: ['{}/*.bin'], poll_interval: 5ms, start_at: beginning, format: proto}}",
        stage.folder.path().display()
    );
    let inlet: Arc<dyn Consumer> = stage.capture.clone();
    let both = Inlets { traces: Some(inlet.clone()), metrics: None, logs: Some(inlet.clone()) };
    let config = Arc::new(from_yaml(&yaml).expect("valid"));
    let receiver = OtlpJsonFile::new(Arc::clone(&config), stage.context.clone(), both);
    let told = receiver.start().await.expect_err("two signals").to_string();
    assert!(told.contains("which signal"), "{told}");
    let one = Inlets { logs: Some(inlet), ..Inlets::default() };
    let receiver = OtlpJsonFile::new(config, stage.context.clone(), one);
    let payload = Payload::from_json(Signal::Logs, line("packed").as_bytes()).expect("valid");
    let mut bytes = (payload.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(payload.bytes());
    fs::write(stage.path("a.bin"), &bytes).expect("written");
    receiver.start().await.expect("starts");
    stage.sees(&["packed"]).await;
    receiver.stop().await.expect("stops");
}
