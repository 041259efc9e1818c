// SPDX-License-Identifier: Apache-2.0

use std::path::Path;
use std::sync::Arc;

use basics::{Clock, Kind};
use otlp_wire::{Payload, Signal, write};
use pipeline::testing::{context, contract};
use pipeline::{Batch, Context, Exporter};
use serde_json::{Value, json};

use super::*;

fn config(path: &Path, more: Value) -> Arc<Config> {
    let mut keys = json!({"path": path});
    for (key, value) in more.as_object().cloned().unwrap_or_default() {
        keys[key] = value;
    }
    Arc::new(serde_json::from_value(keys).expect("valid"))
}

fn exporter(config: &Arc<Config>, context: &Context, signal: Signal) -> FileExporter {
    FileExporter::new(config.clone(), Context { signal, ..context.clone() })
}

fn a_context() -> Context {
    context("file", Signal::Traces, &Clock::system())
}

/// Starts, sends each payload in turn, stops.
async fn run(config: &Arc<Config>, payloads: &[Payload]) {
    let exporter = exporter(config, &a_context(), Signal::Traces);
    exporter.start().await.expect("starts");
    for payload in payloads {
        exporter.export(Batch::new(payload.clone(), Arc::default())).await.expect("written");
    }
    exporter.stop().await.expect("stops");
}

fn lines(path: &Path) -> Vec<Payload> {
    let text = std::fs::read_to_string(path).expect("a file");
    assert!(text.is_empty() || text.ends_with('\n'), "half a line: {text:?}");
    let read = |line: &str| {
        let signal = match line {
            _ if line.starts_with("{\"resourceSpans\"") => Signal::Traces,
            _ if line.starts_with("{\"resourceMetrics\"") => Signal::Metrics,
            _ => Signal::Logs,
        };
        Payload::from_json(signal, line.as_bytes()).expect("valid OTLP/JSON")
    };
    text.lines().map(read).collect()
}

fn frames(path: &Path) -> Vec<Vec<u8>> {
    let mut rest = &std::fs::read(path).expect("a file")[..];
    let mut out = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (record, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
        out.push(record.to_vec());
        rest = tail;
    }
    assert!(rest.is_empty(), "half a record");
    out
}

#[tokio::test]
async fn all_signals_share_a_file_of_lines_that_read_back_equal() {
    let folder = tempfile::tempdir().expect("temp dir");
    let path = folder.path().join("out.jsonl");
    let (config, context) = (config(&path, json!({})), a_context());
    let mut sent = Vec::new();
    for signal in Signal::ALL {
        let exporter = exporter(&config, &context, signal);
        exporter.start().await.expect("starts");
        for count in [1, 200] {
            let payload = testkit::otlp::payload(signal, count);
            exporter.export(Batch::new(payload.clone(), Arc::default())).await.expect("written");
            sent.push(payload);
        }
    }
    assert_eq!(lines(&path), sent);
}

#[tokio::test]
async fn protobuf_and_compressed_records_carry_their_length() {
    let folder = tempfile::tempdir().expect("temp dir");
    let sent = [testkit::otlp::traces(3), testkit::otlp::traces(500)];
    for (more, packed, as_json) in [
        (json!({"format": "proto"}), false, false),
        (json!({"format": "proto", "compression": "zstd"}), true, false),
        (json!({"compression": "zstd", "compression_params": {"level": 6}}), true, true),
    ] {
        let path = folder.path().join("out");
        run(&config(&path, more.clone()), &sent).await;
        let mut read = frames(&path);
        if packed {
            read = read.iter().map(|r| zstd::stream::decode_all(&r[..]).expect("zstd")).collect();
        }
        for (sent, read) in sent.iter().zip(&read) {
            match as_json {
                true => assert_eq!(&Payload::from_json(Signal::Traces, read).expect("JSON"), sent),
                false => assert_eq!(sent.bytes(), &read[..], "{more}"),
            }
        }
        assert_eq!(read.len(), sent.len());
    }
}

#[tokio::test]
async fn what_a_crash_left_of_a_record_is_cut_off() {
    let folder = tempfile::tempdir().expect("temp dir");
    let path = folder.path().join("out");
    let one = [testkit::otlp::traces(2)];
    let append = config(&path, json!({"append": true}));
    run(&append, &one).await;
    let whole = std::fs::read(&path).expect("a file");
    for cut in [1, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, [&whole[..], &whole[..cut]].concat()).expect("torn");
        run(&append, &one).await;
        assert_eq!(lines(&path).len(), 2, "cut at {cut}");
        std::fs::write(&path, &whole[..cut]).expect("torn");
        run(&append, &one).await;
        assert_eq!(lines(&path).len(), 1, "only a torn line, cut at {cut}");
    }
    let framed = config(&path, json!({"append": true, "format": "proto"}));
    std::fs::remove_file(&path).expect("removed");
    run(&framed, &one).await;
    let whole = std::fs::read(&path).expect("a file");
    for cut in [1, 3, 4, whole.len() - 1] {
        std::fs::write(&path, [&whole[..], &whole[..cut]].concat()).expect("torn");
        run(&framed, &one).await;
        assert_eq!(frames(&path).len(), 2, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_file_is_begun_anew_unless_told_to_append() {
    let folder = tempfile::tempdir().expect("temp dir");
    let path = folder.path().join("out");
    for (append, expected) in [(false, 1), (true, 2)] {
        let config = config(&path, json!({"append": append}));
        std::fs::write(&path, "").expect("empty");
        run(&config, &[testkit::otlp::traces(1)]).await;
        run(&config, &[testkit::otlp::traces(1)]).await;
        assert_eq!(lines(&path).len(), expected);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_full_file_is_rotated_and_old_ones_go() {
    let folder = tempfile::tempdir().expect("temp dir");
    let path = folder.path().join("out.json");
    for old in [
        "out-2020-01-02T03-04-05.000-size.json",
        "out-2021-01-02T03-04-05.000.json",
        "out-not-a-time.json",
        "other-2020-01-02T03-04-05.000-size.json",
    ] {
        std::fs::write(folder.path().join(old), "").expect("written");
    }
    let config = config(&path, json!({"rotation": {"max_megabytes": 1, "max_backups": 3}}));
    // About 0.6 MB a batch: each but the first begins a file.
    let batches = vec![testkit::otlp::traces(3000); 4];
    run(&config, &batches).await;
    let names = names(folder.path());
    let rotated: Vec<&String> = names.iter().filter(|name| name.starts_with("out-202")).collect();
    assert_eq!(rotated.len(), 3, "{names:?}");
    assert!(rotated.iter().all(|name| name.ends_with("-size.json")), "{names:?}");
    assert!(!rotated[0].starts_with("out-2020"), "the oldest goes first: {names:?}");
    assert!(names.contains(&"out-not-a-time.json".to_owned()), "{names:?}");
    assert!(names.contains(&"other-2020-01-02T03-04-05.000-size.json".to_owned()));
    for name in rotated.into_iter().chain([&"out.json".to_owned()]) {
        assert_eq!(lines(&folder.path().join(name)).len(), 1, "{name}");
    }
    // A restart goes on with the file that is there.
    run(&config, &[testkit::otlp::traces(1)]).await;
    assert_eq!(lines(&path).len(), 2);
}

#[test]
fn old_files_are_removed_by_age_and_names_are_free_ones() {
    let folder = tempfile::tempdir().expect("temp dir");
    let path = folder.path().join("out.json");
    let zone = jiff::tz::TimeZone::UTC;
    let now = 1_767_225_600_000_000_000;
    let first = backups::name(&path, now, &zone);
    assert!(first.ends_with("out-2026-01-01T00-00-00.000-size.json"), "{first:?}");
    std::fs::write(&first, "").expect("written");
    let second = backups::name(&path, now, &zone);
    assert!(second.ends_with("out-2026-01-01T00-00-00.001-size.json"), "{second:?}");
    let rotation = Rotation { max_days: 2, max_backups: 0, ..Rotation::default() };
    let day = 86_400_000_000_000;
    backups::clean(&path, &rotation, now + day, &zone).expect("cleaned");
    assert!(first.exists());
    backups::clean(&path, &rotation, now + 3 * day, &zone).expect("cleaned");
    assert!(!first.exists());
}

fn services(names: &[&str]) -> Payload {
    let mut out = write::Logs::new();
    for name in names {
        out.resource(|attrs| {
            if !name.is_empty() {
                attrs.str("service.name", name);
            }
        });
        out.scope("s", "");
        out.log(&write::Log { body: (*name).into(), ..<_>::default() }, |_| {});
    }
    out.finish()
}

#[tokio::test]
async fn groups_go_to_files_of_their_own_and_no_further() {
    let folder = tempfile::tempdir().expect("temp dir");
    let path = folder.path().join("deep/by-*.jsonl");
    let group_by =
        json!({"enabled": true, "resource_attribute": "service.name", "max_open_files": 2});
    let config = config(&path, json!({"group_by": group_by}));
    let context = a_context();
    let exporter = exporter(&config, &context, Signal::Logs);
    exporter.start().await.expect("starts");
    for _ in 0..2 {
        let payload = services(&["a", "b", "", "a", "c", "../../evil", "sub/d"]);
        exporter.export(Batch::new(payload, Arc::default())).await.expect("written");
    }
    exporter.stop().await.expect("stops");
    for (name, records, items) in [
        ("deep/by-a.jsonl", 2, 2),
        ("deep/by-b.jsonl", 2, 1),
        ("deep/by-c.jsonl", 2, 1),
        ("deep/by-evil.jsonl", 2, 1),
        ("deep/by-sub/d.jsonl", 2, 1),
    ] {
        let read = lines(&folder.path().join(name));
        assert_eq!(read.len(), records, "{name}: closed in between, and continued");
        assert!(read.iter().all(|payload| payload.items() == items), "{name}");
    }
    assert_eq!(names(folder.path()), ["deep"], "nothing outside");
    let left_out = context
        .host
        .telemetry()
        .value("foreglow_file_ungrouped_items_total", &[("exporter", "file")]);
    assert_eq!(left_out, Some(2.0));
}

#[tokio::test]
async fn it_does_what_every_exporter_does() {
    let folder = tempfile::tempdir().expect("temp dir");
    let path = folder.path().join("deep/out");
    let config = config(&path, json!({"create_directory": true, "directory_permissions": "0700"}));
    let one = Arc::new(exporter(&config, &a_context(), Signal::Logs));
    contract::exporter_delivers(one.clone(), Signal::Logs).await;
    let late = Batch::new(testkit::otlp::logs(1), Arc::default());
    assert_eq!(one.export(late).await.expect_err("stopped").kind(), Kind::Closed);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(folder.path().join("deep")).expect("made").permissions(),
    );
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_to_is_named() {
    let folder = tempfile::tempdir().expect("temp dir");
    let config = config(&folder.path().join("missing/out"), json!({}));
    let error = exporter(&config, &a_context(), Signal::Logs).start().await.expect_err("no folder");
    assert!(error.to_string().contains("missing/out"), "{error}");
}
