// SPDX-License-Identifier: Apache-2.0

use std::collections::BTreeSet;

use otlp_wire::{StatusCode, Temporality, view};
use testkit::{Backend, Fault, Received};

use super::*;
use crate::tally::Items;

fn content(signal: Signal) -> Content {
    match signal {
        Signal::Traces => Content::Traces(Spans {
            children: 2,
            duration: Duration::from_micros(123),
            status: StatusCode::Unset,
            links: 1,
        }),
        Signal::Metrics => Content::Metrics(Metrics {
            name: "gen".into(),
            kind: Kind::Gauge,
            temporality: Temporality::Cumulative,
            unique: Some(Duration::from_secs(60)),
            exemplar: None,
        }),
        Signal::Logs => Content::Logs(Records {
            body: "the message".into(),
            severity_number: 9,
            severity_text: "Info".into(),
            trace_id: None,
            span_id: None,
        }),
    }
}

fn load(backend: &Backend, signal: Signal, items: u64) -> OtlpLoad {
    let attributes = ["a=\"b\"", "n=1", "l=[\"x\", \"y\"]"].map(|a| a.parse().expect(a));
    let resource = ["service.name=telemetrygen".parse().expect("one")];
    let make = Make::new(content(signal), &resource, attributes.to_vec(), 0, (100, 0.0));
    let mut make = make.expect("encodes");
    make.items = Some(items);
    OtlpLoad {
        target: Target {
            signal,
            endpoint: backend.address().to_string(),
            http_path: None,
            tls: None,
            headers: vec![("x-who".into(), "me".into())],
        },
        source: Source::Made(make),
        rate: 0.0,
        workers: 3,
        duration: None,
        disorder: Disorder::default(),
        timeout: Duration::from_secs(10),
        seed: 7,
    }
}

async fn run_all(load: OtlpLoad) -> Tally {
    let (_go_on, stop) = watch::channel(false);
    run_otlp(load, Progress::default(), stop).await.expect("runs")
}

fn payloads(signal: Signal, received: &[Received]) -> Vec<Payload> {
    received.iter().map(|r| Payload::admit(signal, r.body.clone()).expect("OTLP")).collect()
}

fn each_span<'a>(payloads: &'a [Payload]) -> impl Iterator<Item = view::SpanView<'a>> {
    payloads.iter().flat_map(|p| p.traces()).flat_map(|r| r.scopes()).flat_map(|s| s.spans())
}

#[tokio::test]
async fn every_count_arrives_exactly_over_both_protocols() {
    for signal in Signal::ALL {
        for http_path in [None, Some(format!("/v1/{signal}"))] {
            let backend = Backend::start().await;
            let mut load = load(&backend, signal, 1000);
            load.target.http_path = http_path.clone();
            let about = load.about();
            assert_eq!((about.expected, about.rate), (Some(1000), None));
            let tally = run_all(load).await;
            assert_eq!(tally.errors.len(), 0, "{:?}", tally.errors);
            let expected = Items { offered: 1000, accepted: 1000, ..Items::default() };
            assert_eq!(tally.items, expected, "{signal} {http_path:?}");
            let received = backend.accepted();
            assert_eq!(tally.successful, received.len() as u64);
            assert!(received.iter().all(|r| r.headers["x-who"] == "me"));
            let path = http_path.as_deref().unwrap_or("Service/Export");
            assert!(received.iter().all(|r| r.path.ends_with(path)), "{:?}", received[0].path);
            let all = payloads(signal, &received);
            assert_eq!(all.iter().map(|p| u64::from(p.items())).sum::<u64>(), 1000);
            let mut text = Vec::new();
            all[0].to_json(&mut text);
            let text = String::from_utf8(text).expect("text");
            for part in [
                r#"{"key":"service.name","value":{"stringValue":"telemetrygen"}}"#,
                r#"{"key":"a","value":{"stringValue":"b"}}"#,
                r#"{"key":"n","value":{"intValue":"1"}}"#,
                r#"{"key":"l","value":{"arrayValue":{"values":[{"stringValue":"x"},{"stringValue":"y"}]}}}"#,
            ] {
                assert!(text.contains(part), "{part} in {text}");
            }
            if signal == Signal::Metrics {
                let boxes = all.iter().map(|p| {
                    let mut text = Vec::new();
                    p.to_json(&mut text);
                    let text = String::from_utf8(text).expect("text");
                    let of = |part: &str| part.split('"').nth(1).map(str::to_owned);
                    let parts = text.split(r#""timebox","value":{"intValue":"#).skip(1);
                    parts.filter_map(of).collect::<Vec<_>>()
                });
                assert_eq!(boxes.flatten().collect::<BTreeSet<_>>().len(), 1000, "no series twice");
            }
        }
    }
}

#[tokio::test]
async fn traces_are_whole_and_no_id_comes_twice() {
    let backend = Backend::start().await;
    run_all(load(&backend, Signal::Traces, 900)).await;
    let all = payloads(Signal::Traces, &backend.accepted());
    assert!(all.iter().all(|p| p.items() % 3 == 0), "requests hold whole traces");
    let spans: BTreeSet<_> = each_span(&all).map(|span| span.span_id()).collect();
    let traces: BTreeSet<_> = each_span(&all).map(|span| span.trace_id()).collect();
    assert_eq!((spans.len(), traces.len()), (900, 300));
    for span in each_span(&all) {
        let parent = span.parent_span_id();
        assert_eq!(span.name() == "lets-go", parent.is_none());
        assert!(parent.is_none_or(|parent| spans.contains(&Some(parent))));
    }
    let again = Backend::start().await;
    run_all(load(&again, Signal::Traces, 900)).await;
    let other = payloads(Signal::Traces, &again.accepted());
    let other: BTreeSet<_> = each_span(&other).map(|span| span.span_id()).collect();
    assert_eq!(spans, other, "a seed is a run");
}

#[tokio::test]
async fn what_is_put_off_comes_again_and_what_fails_is_told() {
    let backend = Backend::start().await;
    backend.fail([
        Fault::Grpc { code: 14, retry_after: None },
        Fault::Grpc { code: 8, retry_after: Some(1) },
        Fault::Slow(Duration::ZERO),
        Fault::Http { status: 429, retry_after: Some("0") },
        Fault::Grpc { code: 8, retry_after: None },
        Fault::Grpc { code: 3, retry_after: None },
        Fault::Reset,
        Fault::Partial { rejected: 5, message: "too old" },
    ]);
    let tally = run_all(OtlpLoad { workers: 1, ..load(&backend, Signal::Logs, 1000) }).await;
    assert_eq!((tally.put_off, tally.failed, tally.successful), (3, 3, 7), "{:?}", tally.errors);
    let expected = Items { offered: 1000, accepted: 695, rejected: 5, duplicated: 0 };
    assert_eq!(tally.items, expected);
    let told: Vec<_> = tally.errors.keys().cloned().collect();
    for part in ["RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "partial success: too old"] {
        assert!(told.iter().any(|text| text.contains(part)), "{part}: {told:?}");
    }
    assert!(tally.times.max() >= 1_000_000, "the wait that was asked for counts");
    backend.fail((0..20).map(|_| Fault::Grpc { code: 14, retry_after: None }));
    let short = OtlpLoad {
        workers: 1,
        timeout: Duration::from_millis(150),
        ..load(&backend, Signal::Logs, 100)
    };
    let tally = run_all(short).await;
    assert_eq!((tally.failed, tally.put_off), (1, 1), "{:?}", tally.errors);
}

#[tokio::test]
async fn disorder_is_as_much_as_was_asked_for() {
    let backend = Backend::start().await;
    let before = Clock::system().now();
    let mut load = load(&backend, Signal::Logs, 10_000);
    load.disorder = Disorder {
        out_of_order: 0.1,
        late: 0.05,
        late_by: Duration::from_secs(3600),
        duplicates: 1.0,
    };
    let Source::Made(make) = &mut load.source else { panic!("made") };
    make.cardinality = 17;
    let tally = run_all(load).await;
    assert_eq!((tally.items.accepted, tally.items.duplicated), (10_000, 10_000));
    let all = payloads(Signal::Logs, &backend.accepted());
    let records =
        || all.iter().flat_map(|p| p.logs()).flat_map(|r| r.scopes()).flat_map(|s| s.logs());
    assert_eq!(records().count(), 20_000);
    let back = |least: u64, most: u64| {
        let lies = |time: u64| before.saturating_sub(time) > least && before - time <= most;
        records().filter(|record| lies(record.time())).count()
    };
    let (late, early) = (back(3_000_000_000_000, u64::MAX), back(1_000_000_000, 11_000_000_000));
    assert!((800..1200).contains(&late), "{late} of 20,000 are an hour late");
    assert!((1400..2000).contains(&early), "{early} of 20,000 are out of order");
    let keys: BTreeSet<_> = records().filter_map(|r| r.attr("load.key")?.as_int()).collect();
    assert_eq!(keys.len(), 17);
}

#[tokio::test]
async fn a_recording_is_sent_as_if_it_were_now_and_again_with_other_ids() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("recorded.json");
    let mut text = Vec::new();
    for payload in [testkit::otlp::traces(3), testkit::otlp::logs(2), testkit::otlp::traces(5)] {
        payload.to_json(&mut text);
        text.push(b'\n');
    }
    std::fs::write(&file, text).expect("written");
    let read = |signal, keeps| Replay::read(signal, [file.as_path()], keeps);
    let backend = Backend::start().await;
    let of = |replay: Replay, duration: Option<Duration>| OtlpLoad {
        source: Source::Replayed(replay.repeated(duration.is_some())),
        duration,
        rate: if duration.is_some() { 160.0 } else { 0.0 },
        workers: 1,
        ..load(&backend, Signal::Traces, 0)
    };
    let before = Clock::system().now();
    let once = of(read(Signal::Traces, false).expect("read"), None);
    assert_eq!(once.about().expected, Some(8));
    assert_eq!(run_all(once).await.items.accepted, 8);
    let all = payloads(Signal::Traces, &backend.accepted());
    assert!(each_span(&all).all(|span| span.end() >= before), "now, not then");
    // Due after 0, 18.75, 50, 68.75, 100 ms.
    let twice = of(read(Signal::Traces, true).expect("read"), Some(Duration::from_millis(99)));
    let tally = run_all(twice).await;
    assert_eq!((tally.items.accepted, tally.successful), (16, 4));
    let all = payloads(Signal::Traces, &backend.accepted()[2..]);
    assert!(each_span(&all).all(|span| span.start() == testkit::otlp::NOW), "as they were");
    let ids: BTreeSet<_> = each_span(&all).map(|span| span.trace_id()).collect();
    // The three of the first request are among the five of the other one.
    assert_eq!(ids.len(), 10);
    let error = read(Signal::Metrics, false).expect_err("none");
    assert!(error.to_string().contains("nothing of metrics"), "{error}");
    std::fs::write(&file, "{\"resourceSpans\":[]}\nnothing").expect("written");
    let error = format!("{:#}", read(Signal::Traces, false).expect_err("no JSON"));
    assert!(error.contains("recorded.json, line 2") && error.contains("malformed"), "{error}");
}

#[tokio::test]
async fn wrong_targets_are_told_in_words_that_help() {
    let backend = Backend::start().await;
    let plain = load(&backend, Signal::Logs, 10);
    let one = |endpoint: &str, tls: bool| {
        let mut load = plain.clone();
        load.target.endpoint = endpoint.to_owned();
        load.target.tls = tls.then(net::tls::ClientSettings::default);
        OtlpLoad { workers: 1, ..load }
    };
    let address = backend.address().to_string();
    let told = async |load: OtlpLoad| run_all(load).await.errors.into_keys().collect::<String>();
    let wrong = told(one(&address, true)).await;
    assert!(wrong.contains("--otlp-insecure sends plain text"), "{wrong}");
    assert_eq!(told(one(&format!("http://{address}"), true)).await, "", "the URL decides");
    backend.stop().await;
    let away = told(one(&address, false)).await;
    assert!(away.starts_with("cannot send: Connection refused"), "{away}");
    let refused = |load: OtlpLoad, part: &'static str| async move {
        let (_go_on, stop) = watch::channel(false);
        let error = run_otlp(load, Progress::default(), stop).await.expect_err(part);
        assert!(format!("{error:#}").contains(part), "{error:#}");
    };
    refused(one("http://h/v1/logs", false), "--otlp-http-url-path").await;
    refused(one("no host", false), "expected host:port").await;
    refused(OtlpLoad { workers: 0, ..one("h:1", false) }, "0 workers").await;
    refused(OtlpLoad { rate: -1.0, ..one("h:1", false) }, "a rate of -1").await;
    for (megabytes, batch, part) in [
        (1, 100, "smaller --batch-size"),
        (u64::MAX, 2, "smaller --batch-size"),
        (0, 0, "not between"),
        (0, u64::MAX, "not between"),
    ] {
        let make = Make::new(content(Signal::Logs), &[], Vec::new(), megabytes, (batch, 0.0));
        let error = make.expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn attributes_are_read_as_telemetrygen_reads_them() {
    let read = |text: &str| text.parse::<Attribute>().map(|attribute| attribute.value);
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(read("k=\"v=1\""), Ok(text("v=1")));
    assert_eq!(read("k=bare"), Ok(text("bare")));
    assert_eq!(read("k=true"), Ok(Value::Bool(true)));
    assert_eq!(read("k=-3"), Ok(Value::Int(-3)));
    assert_eq!(read("k=[\"a,b\", \"c\"]"), Ok(Value::List(vec![text("a,b"), text("c")])));
    for (wrong, told) in
        [("k", "expected"), ("=1", "expected"), ("k=[]", "empty"), ("k=[1,true]", "one type")]
    {
        assert!(read(wrong).expect_err(wrong).contains(told), "{wrong}");
    }
}

#[test]
fn a_slow_load_does_not_wait_for_full_requests() {
    for (batch, rate, signal, expected) in [
        (100, 0.0, Signal::Logs, 100),
        (100, 1.0, Signal::Logs, 1),
        (100, 2.5, Signal::Logs, 3),
        (100, 1.0, Signal::Traces, 3),
        (100, 0.0, Signal::Traces, 99),
        (2, 0.0, Signal::Traces, 2),
    ] {
        let make = Make::new(content(signal), &[], Vec::new(), 0, (batch, rate)).expect("encodes");
        assert_eq!(make.batch, expected, "{signal} {batch} {rate}");
    }
}
