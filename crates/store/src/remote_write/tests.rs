// SPDX-License-Identifier: Apache-2.0
//! Requests of both versions into a store, and back out of its log.

use std::sync::Arc;

use basics::Clock;
use basics::files::RealFiles;
use basics::labels::{Labels, MatchOp, Matcher};
use otlp_series::{Refusal, STALE};
use segment_log::Position;

use super::read::put_label;
use super::*;
use crate::{Head, HeadOptions, SeriesColumns, StoreOptions};

const NOW_MS: i64 = 1_790_000_000_000;
const NOW: u64 = NOW_MS as u64 * 1_000_000;

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn uint(out: &mut Vec<u8>, field: u8, value: u64) {
    varint(out, u64::from(field) << 3);
    varint(out, value);
}

fn double(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn sample(time_ms: i64, value: f64) -> Vec<u8> {
    let mut out = Vec::new();
    double(&mut out, 1, value);
    uint(&mut out, 2, time_ms as u64);
    out
}

/// A series of version 1.0.
fn series(labels: &[(&str, &str)], samples: &[(i64, f64)], histograms: &[Vec<u8>]) -> Vec<u8> {
    let mut series = Vec::new();
    for (name, value) in labels {
        put_label(&mut series, name.as_bytes(), value.as_bytes());
    }
    for (time_ms, value) in samples {
        bytes(&mut series, 2, &sample(*time_ms, *value));
    }
    for histogram in histograms {
        bytes(&mut series, 4, histogram);
    }
    let mut out = Vec::new();
    bytes(&mut out, 1, &series);
    out
}

/// Spans (offset, length) and deltas of the positive side.
fn histogram(time_ms: i64, schema: i64, spans: &[(i64, u64)], deltas: &[i64]) -> Vec<u8> {
    let zigzag = |value: i64| ((value << 1) ^ (value >> 63)) as u64;
    let mut out = Vec::new();
    uint(&mut out, 1, 6);
    double(&mut out, 3, 12.5);
    uint(&mut out, 4, zigzag(schema));
    double(&mut out, 5, 0.001);
    uint(&mut out, 6, 1);
    for (offset, length) in spans {
        let mut span = Vec::new();
        uint(&mut span, 1, zigzag(*offset));
        uint(&mut span, 2, *length);
        bytes(&mut out, 11, &span);
    }
    let mut packed = Vec::new();
    deltas.iter().for_each(|delta| varint(&mut packed, zigzag(*delta)));
    bytes(&mut out, 12, &packed);
    uint(&mut out, 15, time_ms as u64);
    out
}

fn compressed(body: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(body).expect("a small body")
}

fn store(folder: &tempfile::TempDir) -> Store {
    let (files, clock) = (Arc::new(RealFiles), Clock::manual(NOW));
    Store::open(folder.path(), StoreOptions::default(), files, clock).expect("opens")
}

fn write(store: &Store, version: Version, body: &[u8]) -> Written {
    let (written, ticket) = store.write(version, &compressed(body), NOW).expect("taken");
    ticket.wait().expect("durable");
    written
}

fn all(store: &Store, name: &str) -> Vec<SeriesColumns> {
    let matcher = Matcher::new(MatchOp::Equal, "__name__", name).expect("plain");
    let mut found = store.head().select(&[matcher], 0, i64::MAX, 0).expect("selects");
    found.sort_by(|a, b| a.labels.cmp(&b.labels));
    found
}

#[test]
fn a_series_is_exactly_the_labels_that_were_written() {
    let folder = tempfile::tempdir().expect("temp dir");
    let store = store(&folder);
    let labels = [
        ("__name__", "http.requests"),
        ("instance", "a:1"),
        ("le", "+Inf"),
        ("none", ""),
        ("un-like", "w rt"),
    ];
    let body = series(&labels, &[(NOW_MS - 1, 1.0), (NOW_MS, STALE)], &[]);
    let written = write(&store, Version::V1, &body);
    assert_eq!((written.samples, written.report.cache_misses), (2, 1));
    let found = all(&store, "http.requests");
    let expected = "{__name__=\"http.requests\", instance=\"a:1\", le=\"+Inf\", un-like=\"w rt\"}";
    assert_eq!(found[0].labels.to_string(), expected);
    assert_eq!(*found[0].times, [NOW_MS - 1, NOW_MS]);
    assert_eq!(found[0].values[1].to_bits(), STALE.to_bits());
    // The same again: known, and there already.
    let again = write(&store, Version::V1, &body);
    assert_eq!((again.samples, again.report.duplicates, again.report.cache_misses), (2, 2, 0));
}

#[test]
fn a_selection_has_what_blocks_and_memory_have() {
    let folder = tempfile::tempdir().expect("temp dir");
    let store = store(&folder);
    let labels = [("__name__", "up"), ("instance", "a:1")];
    write(&store, Version::V1, &series(&labels, &[(NOW_MS, 3.0)], &[]));
    let flushed = crate::SeriesColumns {
        labels: Labels::new(labels),
        times: [NOW_MS - 2, NOW_MS - 1].into(),
        values: [1.0, 2.0].into(),
        ..Default::default()
    };
    let catalog = store.storage().catalog(otlp_wire::Signal::Metrics);
    let block = crate::metrics::write_block(catalog, vec![flushed]).expect("writes").expect("some");
    catalog.commit(vec![block], &[], None).expect("commits");
    let found = store.select(&[], NOW_MS - 1, NOW_MS, 0, None).expect("selects");
    let (mut values, mut starts) = (vec![], vec![]);
    let read = found.read(0, &mut values, &mut starts).expect("reads");
    assert_eq!((&read.times[..], read.values), (&[NOW_MS - 1, NOW_MS][..], &[2.0, 3.0][..]));
    assert_eq!((found.len(), found.labels(0)), (1, &Labels::new(labels)));
}

#[test]
fn the_second_version_spells_its_labels_by_symbols() {
    let folder = tempfile::tempdir().expect("temp dir");
    let store = store(&folder);
    let mut body = Vec::new();
    let symbols = ["", "__name__", "latency_bucket", "le", "0.5", "How long.", "seconds"];
    symbols.iter().for_each(|symbol| bytes(&mut body, 4, symbol.as_bytes()));
    let mut series = Vec::new();
    bytes(&mut series, 1, &[1, 2, 3, 4]);
    bytes(&mut series, 2, &sample(NOW_MS, 7.0));
    let mut metadata = Vec::new();
    uint(&mut metadata, 1, 3);
    uint(&mut metadata, 3, 5);
    uint(&mut metadata, 4, 6);
    bytes(&mut series, 5, &metadata);
    bytes(&mut body, 5, &series);
    let written = write(&store, Version::V2, &body);
    assert_eq!(written.samples, 1);
    let found = all(&store, "latency_bucket");
    assert_eq!(found[0].labels.to_string(), "{__name__=\"latency_bucket\", le=\"0.5\"}");
    let family = &store.head().metadata(Some("latency"))[0].1;
    assert_eq!(
        (family.kind.name(), &*family.help, &*family.unit),
        ("histogram", "How long.", "seconds")
    );
}

#[test]
fn the_second_version_tells_when_counting_started() {
    let start = NOW_MS as u64 - 30_000;
    let started = |time_ms: i64, start: u64| {
        let mut out = sample(time_ms, 7.0);
        uint(&mut out, 3, start);
        out
    };
    let native = |start: Option<u64>| {
        let mut out = histogram(NOW_MS, 3, &[(0, 1)], &[5]);
        if let Some(start) = start {
            // Field 17 has a tag of two bytes.
            varint(&mut out, 17 << 3);
            varint(&mut out, start);
        }
        out
    };
    // As 2.0 has it, and as its candidates had it: once a series, of the first sample.
    let (of_samples, of_series) = (
        [started(NOW_MS - 1, start), started(NOW_MS, start)],
        [sample(NOW_MS - 1, 7.0), sample(NOW_MS, 7.0)],
    );
    for (samples, histogram, created) in
        [(of_samples, native(Some(start)), None), (of_series, native(None), Some(start))]
    {
        let folder = tempfile::tempdir().expect("temp dir");
        let (files, clock) = (Arc::new(RealFiles), Clock::manual(NOW));
        let head = HeadOptions { zero_at_start: true, ..<_>::default() };
        let options = StoreOptions { head, ..StoreOptions::default() };
        let store = Store::open(folder.path(), options, files, clock).expect("opens");
        let mut body = Vec::new();
        let symbols = ["", "__name__", "hits_total", "sizes"];
        symbols.iter().for_each(|symbol| bytes(&mut body, 4, symbol.as_bytes()));
        let mut series = Vec::new();
        bytes(&mut series, 1, &[1, 2]);
        samples.iter().for_each(|sample| bytes(&mut series, 2, sample));
        let mut sizes = Vec::new();
        bytes(&mut sizes, 1, &[1, 3]);
        bytes(&mut sizes, 3, &histogram);
        for series in [&mut series, &mut sizes] {
            created.iter().for_each(|created| uint(series, 6, *created));
            bytes(&mut body, 5, series);
        }
        let written = write(&store, Version::V2, &body);
        assert_eq!((written.samples, written.histograms), (2, 1), "what was sent");
        let found = all(&store, "hits_total");
        assert_eq!(*found[0].times, [start as i64, NOW_MS - 1, NOW_MS]);
        assert_eq!(*found[0].values, [0.0, 7.0, 7.0]);
        let found = all(&store, "sizes").remove(0).histograms;
        let counts: Vec<_> = found.iter().map(|(t, h)| (*t, h.schema, h.count)).collect();
        assert_eq!(counts, [(start as i64, 3, 0.0), (NOW_MS, 3, 6.0)]);
    }
}

#[test]
fn native_histograms_are_kept() {
    let folder = tempfile::tempdir().expect("temp dir");
    let store = store(&folder);
    let body =
        series(&[("__name__", "h")], &[], &[histogram(NOW_MS, 3, &[(-2, 2), (3, 1)], &[1, 2, -2])]);
    assert_eq!(write(&store, Version::V1, &body).histograms, 1);
    let found = all(&store, "h");
    let kept = &found[0].histograms[0].1;
    assert_eq!((kept.schema, kept.count, kept.sum), (3, 6.0, 12.5));
    assert_eq!(kept.positive, [(-2, 1.0), (-1, 3.0), (3, 1.0)]);
    let stale = {
        let mut stale = Vec::new();
        double(&mut stale, 3, STALE);
        uint(&mut stale, 15, NOW_MS as u64 + 1);
        stale
    };
    write(&store, Version::V1, &series(&[("__name__", "h")], &[], &[stale]));
    assert!(all(&store, "h")[0].histograms[1].1.is_stale());
}

#[test]
fn custom_buckets_are_kept_in_memory_and_in_blocks() {
    let folder = tempfile::tempdir().expect("temp dir");
    let store = store(&folder);
    let mut message = Vec::new();
    uint(&mut message, 1, 6);
    double(&mut message, 3, 12.5);
    uint(&mut message, 4, 105);
    for (offset, length) in [(0, 2), (2, 1)] {
        let mut span = Vec::new();
        uint(&mut span, 1, offset);
        uint(&mut span, 2, length);
        bytes(&mut message, 11, &span);
    }
    bytes(&mut message, 12, &[2, 4, 1]);
    uint(&mut message, 15, NOW_MS as u64);
    let bounds: Vec<u8> = [0.5f64, 1.0, 2.5].iter().flat_map(|b| b.to_le_bytes()).collect();
    // Field 16 has a tag of two bytes.
    varint(&mut message, 16 << 3 | 2);
    varint(&mut message, bounds.len() as u64);
    message.extend(bounds);
    let body = series(&[("__name__", "h")], &[], &[message]);
    let told = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let heard = told.clone();
    store.on_written(move |payload| {
        heard.lock().push(payload.clone());
        false
    });
    assert_eq!(write(&store, Version::V1, &body).histograms, 1);
    // What is told of it becomes the same again.
    let again = Head::new(HeadOptions::default());
    assert_eq!(again.ingest(&told.lock()[0], NOW).accepted, 1);
    let matcher = Matcher::new(MatchOp::Equal, "__name__", "h").expect("a matcher");
    let found = again.select(std::slice::from_ref(&matcher), 0, i64::MAX, 0).expect("selects");
    assert_eq!(found[0].histograms, all(&store, "h")[0].histograms);
    let check = |found: Vec<SeriesColumns>| {
        let kept = &found[0].histograms[0].1;
        assert_eq!((kept.schema, &*kept.bounds), (-53, &[0.5, 1.0, 2.5][..]));
        assert_eq!(kept.positive, [(0, 1.0), (1, 3.0), (3, 2.0)]);
    };
    check(all(&store, "h"));
    store.flush().expect("flushes");
    check(store.storage().metrics().select(&[matcher], 0, i64::MAX, 0, Vec::new()).expect("reads"));
}

#[test]
fn what_cannot_be_read_is_refused_whole_and_not_logged() {
    let folder = tempfile::tempdir().expect("temp dir");
    let store = store(&folder);
    let good = series(&[("__name__", "a")], &[(NOW_MS, 1.0)], &[]);
    let cut = [&good[..], &good[..good.len() - 1]].concat();
    let custom = series(&[("__name__", "h")], &[], &[histogram(NOW_MS, -53, &[], &[])]);
    let odd = series(&[("__name__", "h")], &[], &[histogram(NOW_MS, -9, &[], &[])]);
    let short = series(&[("__name__", "h")], &[], &[histogram(NOW_MS, 0, &[(0, 3)], &[1])]);
    for (body, told) in [
        (cut, "malformed or cut short"),
        (custom, "custom buckets"),
        (odd, "schema -9"),
        (short, "spans need 3 buckets, have 1 buckets"),
    ] {
        let error = store.write(Version::V1, &compressed(&body), NOW).map(drop).expect_err(told);
        assert!(error.to_string().contains(told), "{error}");
    }
    store.write(Version::V1, b"no snappy at all", NOW).map(drop).expect_err("no snappy");
    let mut body = Vec::new();
    bytes(&mut body, 4, b"not empty");
    store.write(Version::V2, &compressed(&body), NOW).map(drop).expect_err("first symbol");
    assert_eq!(store.log().stats().records_appended, 0);
    assert_eq!(store.head().series_count(), 0);
}

#[test]
fn single_samples_are_refused_by_reason_and_the_others_kept() {
    let folder = tempfile::tempdir().expect("temp dir");
    let store = store(&folder);
    let one = [("__name__", "a")];
    let body = [
        series(&one, &[(NOW_MS, 1.0), (NOW_MS, 2.0), (NOW_MS + 3_600_000, 3.0)], &[]),
        series(&[("job", "nameless")], &[(NOW_MS, 1.0)], &[]),
        series(&[("__name__", "b"), ("x", "1"), ("x", "2")], &[(NOW_MS, 1.0)], &[]),
        series(&[("__name__", "c")], &[(NOW_MS, 1.0)], &[]),
    ];
    let written = write(&store, Version::V1, &body.concat());
    assert_eq!(written.samples, 2);
    let refused: Vec<(Refusal, u64)> = written.report.rejected.iter().collect();
    let expected = [Refusal::MetricName, Refusal::LabelName, Refusal::TooNew, Refusal::Conflict];
    assert_eq!(refused, expected.map(|reason| (reason, 1)));
}

#[test]
fn the_log_gives_back_what_was_acknowledged() {
    let folder = tempfile::tempdir().expect("temp dir");
    let body = series(&[("__name__", "a"), ("b", "c")], &[(NOW_MS - 5, 1.5), (NOW_MS, 2.5)], &[]);
    {
        let store = store(&folder);
        write(&store, Version::V1, &body);
        store.close().expect("closes");
    }
    let store = store(&folder);
    let mut reader = store.log().reader(Position::default());
    let record = reader.next().expect("a record");
    assert_eq!(store.write_again(&record), Some(2));
    assert_eq!(all(&store, "a")[0].values[..], [1.5, 2.5]);
    // OTLP records are the pipelines' to replay.
    let otlp = segment_log::Stored { encoding: 0, ..record };
    assert_eq!(store.write_again(&otlp), None);
}

#[test]
fn arbitrary_bytes_never_panic() {
    let good = [
        series(
            &[("__name__", "a"), ("b", "c")],
            &[(NOW_MS, 1.0)],
            &[histogram(NOW_MS, 0, &[(0, 2)], &[1, 1])],
        ),
        series(&[("__name__", "d")], &[(NOW_MS, 1.0)], &[]),
    ]
    .concat();
    proptest::proptest!(|(at in 0..good.len(), byte: u8, noise: Vec<u8>)| {
        let mut flipped = good.clone();
        flipped[at] = byte;
        for body in [&flipped[..], &flipped[..at], &noise] {
            for version in [Version::V1, Version::V2] {
                if let Ok(request) = version.read(body) {
                    request.series.iter().for_each(|part| drop(labels_of(&request.keys[part.key.clone()])));
                }
            }
        }
    });
}

#[test]
fn what_is_written_is_told_as_it_was_written() {
    let folder = tempfile::tempdir().expect("temp dir");
    let store = store(&folder);
    let told = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let heard = told.clone();
    store.on_written(move |payload| {
        heard.lock().push(payload.clone());
        false
    });
    let labels = [("__name__", "up:sum"), ("instance", "i"), ("job", "a/b"), ("le", "0.5")];
    let body = series(&labels, &[(NOW_MS, 2.5), (NOW_MS + 1, STALE)], &[]);
    write(&store, Version::V1, &body);
    write(&store, Version::V1, &body);
    let told = told.lock();
    assert_eq!(told.len(), 1, "it said that it wants no more");
    let resource = told[0].metrics().next().expect("a resource");
    let text = |key: &str| resource.attr(key).map(|value| value.text().into_owned());
    assert_eq!(text("service.name").as_deref(), Some("a/b"));
    assert_eq!(text("service.instance.id").as_deref(), Some("i"));
    assert_eq!(told[0].items(), 2);
}
