// SPDX-License-Identifier: Apache-2.0

use std::io::Write as _;
use std::time::Instant;

use testkit::kserve::{Dialect, FakeKserve, FakeModel};
use testkit::{Backend, Fault};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::report::Verdict::{self, Fail, Ok as Well, Warn};
use super::*;

fn place(speaks: Speaks, address: &str) -> Place {
    Place { speaks, address: address.to_owned(), is_tls: false, key: "the.key".to_owned() }
}

fn paths() -> [String; 3] {
    ["traces", "metrics", "logs"].map(|signal| format!("/v1/{signal}"))
}

/// Variables; verdict, subject and part of what is seen.
type Case<'a> = (&'a [(&'a str, &'a str)], Verdict, &'a str, &'a str);

#[test]
fn mistakes_in_a_senders_variables_are_told_with_what_is_right() {
    let here = [
        place(Speaks::Grpc, "127.0.0.1:14317"),
        place(Speaks::Http(paths()), "localhost:14318"),
        place(Speaks::Page, "127.0.0.1:7070"),
    ];
    const E: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const P: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    const T: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    const H: &str = "OTEL_EXPORTER_OTLP_HEADERS";
    const NAMED: (&str, &str) = ("OTEL_SERVICE_NAME", "shop");
    let cases: &[Case] = &[
        (&[], Well, "variables", "no OTEL_* variables"),
        (&[(E, "http://localhost:4318"), NAMED], Well, "variables", "nothing wrong"),
        (&[(E, "http://localhost:4317"), (P, "grpc"), NAMED], Well, "variables", "nothing wrong"),
        (
            &[(E, "http://h:4317"), (P, "http/protobuf")],
            Fail,
            E,
            "takes gRPC, and the protocol is HTTP",
        ),
        (&[(E, "http://h:4317")], Warn, E, "takes gRPC, and most SDKs"),
        (&[(E, "http://h:4318"), (P, "grpc")], Fail, E, "takes HTTP, and the protocol is grpc"),
        (&[(E, "http://localhost:14317"), (P, "http/json")], Fail, E, "localhost:14317 takes gRPC"),
        (&[(E, "http://127.0.0.1:14318"), (P, "grpc")], Fail, E, "127.0.0.1:14318 takes HTTP"),
        (&[(E, "http://localhost:7070")], Fail, E, "is where the page is"),
        (&[(E, "https://localhost:14318")], Fail, E, "speaks no TLS"),
        (&[(E, "http://h:4318/v1/traces")], Fail, E, "/v1/traces/v1/traces"),
        (&[(E, "http://h:4318/v1/metrics/")], Fail, E, "/v1/metrics/v1/traces"),
        (&[(E, "localhost:4318")], Fail, E, "not an http:// or https:// URL"),
        (&[(E, "grpc://h:4317")], Fail, E, "not an http:// or https:// URL"),
        (&[(E, "\"http://h:4318\"")], Fail, E, "quotes"),
        (&[(E, "http://h:4318 ")], Fail, E, "spaces"),
        (&[(E, "http://h:4317/v1/traces"), (P, "grpc")], Warn, E, "means nothing to gRPC"),
        (&[(T, "http://h:4318")], Fail, T, "traces are sent to /"),
        (&[(T, "http://h:4318/v1/logs")], Fail, T, "traces are sent to /v1/logs"),
        (&[(T, "http://h:4318/v1/traces"), NAMED], Well, "variables", "nothing wrong"),
        (&[(P, "http")], Fail, P, "http: not one of grpc"),
        (
            &[("OTEL_EXPORTER_OTLP_COMPRESSION", "zip")],
            Fail,
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "zip",
        ),
        (
            &[("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "/no/such")],
            Warn,
            "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
            "no such file",
        ),
        (&[("OTEL_SDK_DISABLED", "TRUE")], Fail, "OTEL_SDK_DISABLED", "nothing at all"),
        (&[("OTEL_SDK_DISABLED", "1")], Warn, "OTEL_SDK_DISABLED", "neither"),
        (&[("OTEL_SDK_DISABLED", "false")], Well, "variables", "nothing wrong"),
        (
            &[("OTEL_METRICS_EXPORTER", "none")],
            Warn,
            "OTEL_METRICS_EXPORTER",
            "no metrics are sent",
        ),
        (&[("OTEL_LOGS_EXPORTER", "otlp,console")], Warn, "OTEL_LOGS_EXPORTER", "console"),
        (&[("OTEL_TRACES_EXPORTER", "otpl")], Fail, "OTEL_TRACES_EXPORTER", "otpl"),
        (&[("OTEL_TRACES_SAMPLER", "always_off")], Fail, "OTEL_TRACES_SAMPLER", "no trace"),
        (&[("OTEL_TRACES_SAMPLER", "always")], Fail, "OTEL_TRACES_SAMPLER", "no sampler"),
        (
            &[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "10")],
            Fail,
            "OTEL_TRACES_SAMPLER_ARG",
            "between 0 and 1",
        ),
        (
            &[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")],
            Fail,
            "OTEL_TRACES_SAMPLER_ARG",
            "no trace",
        ),
        (
            &[
                ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
            ],
            Well,
            "variables",
            "nothing wrong",
        ),
        (&[(H, "authorization: Bearer s3cret")], Fail, H, "part 1 has : where = belongs"),
        (&[(H, "a=1,s3cret")], Fail, H, "part 2 has no ="),
        (&[(H, "=s3cret")], Fail, H, "has no key"),
        (&[(H, "a=s3cret\u{e9}")], Fail, H, "percent-encoded"),
        (
            &[("OTEL_RESOURCE_ATTRIBUTES", "env=prod,")],
            Fail,
            "OTEL_RESOURCE_ATTRIBUTES",
            "part 2 is empty",
        ),
        (&[(E, "http://h:4318")], Warn, "OTEL_SERVICE_NAME", "unknown_service"),
        (
            &[("OTEL_METRIC_EXPORT_INTERVAL", "5")],
            Warn,
            "OTEL_METRIC_EXPORT_INTERVAL",
            "milliseconds",
        ),
        (
            &[("OTEL_METRIC_EXPORT_INTERVAL", "5s")],
            Fail,
            "OTEL_METRIC_EXPORT_INTERVAL",
            "not a whole number",
        ),
        (
            &[("OTEL_METRIC_EXPORT_INTERVAL", "300000")],
            Warn,
            "OTEL_METRIC_EXPORT_INTERVAL",
            "more than a minute",
        ),
        (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "10")], Warn, "OTEL_EXPORTER_OTLP_TIMEOUT", "very small"),
        (
            &[("OTEL_BSP_MAX_QUEUE_SIZE", "100")],
            Warn,
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            "larger than the queue",
        ),
        (&[("OTEL_PROPAGATORS", "tracecontext,w3c")], Warn, "OTEL_PROPAGATORS", "w3c"),
        (
            &[("OTEL_EXPORTER_OTLP_ENDPIONT", "x")],
            Warn,
            "OTEL_EXPORTER_OTLP_ENDPIONT",
            "no variable",
        ),
        (&[("OTEL_PYTHON_LOG_CORRELATION", "true")], Well, "variables", "nothing wrong"),
    ];
    for (variables, verdict, what, seen) in cases {
        let all = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let (found, _) = client::check(&all.collect(), &here);
        let is_it = |f: &Finding| f.verdict == *verdict && f.what == *what && f.seen.contains(seen);
        assert!(found.iter().any(is_it), "{variables:?}: {found:?}");
        assert!(found.iter().all(|f| f.verdict <= *verdict), "{variables:?}: {found:?}");
        let shown = format!("{found:?}");
        assert!(!shown.contains("s3cret"), "a header is shown: {shown}");
    }
    let suggested = client::check(
        &client::Variables::from([("OTEL_EXPORTER_OTLP_ENDPIONT".into(), "x".into())]),
        &here,
    );
    assert!(suggested.0.iter().any(|f| f.advice == "did you mean OTEL_EXPORTER_OTLP_ENDPOINT?"));
}

#[test]
fn a_senders_way_is_that_of_each_signal() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:4317"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
    ];
    let all = variables.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let (_, routes) = client::check(&all.into(), &[]);
    let shown: Vec<_> = routes.iter().map(|r| (r.base.as_str(), r.is_grpc)).collect();
    assert_eq!(shown, [("http://b:4317", true), ("http://a:4318", false)]);
    assert_eq!(client::check(&Default::default(), &[]).1, []);
    // The fourth document's own setting: no protocol, and the port of gRPC.
    let (_, routes) = client::check(
        &client::Variables::from([("OTEL_EXPORTER_OTLP_ENDPOINT".into(), "http://c:4317".into())]),
        &[],
    );
    assert_eq!(routes, [client::Route { base: "http://c:4317".into(), is_grpc: true }]);
}

#[test]
fn pages_are_read_as_far_as_they_can_be_understood() {
    let page = Page::of_text(
        "# HELP a b\na_total{x=\"1\",y=\"q\\\"}\\n\"} 2\na 3 1700000000\n<html>\nb{x=\"\nb{} NaN x\n\u{0}\n",
    );
    assert_eq!(page.sum("a"), Some(5.0));
    assert_eq!(page.all("a").next().map(|sample| sample.label("y")), Some("q\"}\n"));
    assert_eq!(page.sum_where("a", "x", "1"), 2.0);
    assert!(Page::of_text("not a page at all").is_empty());
    let answer = serde_json::json!({"data": {"result": [
        {"metric": {"__name__": "a_total", "x": "1"}, "value": [1, "7"]},
        {"metric": {"x": "1"}, "value": [1, "7"]}, {"odd": 1}, 5,
    ]}});
    assert_eq!(Page::of_answer(&answer).sum("a"), Some(7.0));
    assert!(Page::of_answer(&serde_json::json!("odd")).is_empty());
}

#[test]
fn it_is_told_where_data_stops() {
    let a = "otelcol_receiver_accepted_spans{receiver=\"otlp\"}";
    let refused = "otelcol_receiver_refused_spans{receiver=\"otlp\"}";
    let sent = "otelcol_exporter_sent_spans{exporter=\"store\"}";
    let unsent = "otelcol_exporter_send_failed_spans{exporter=\"store\"}";
    let sampled = "foreglow_ledger_items_total{pipeline=\"traces\",fate=\"sampled_out\"}";
    for (now, then, verdict, seen, advice) in [
        (
            format!("{a} 9\n{sent} 9"),
            format!("{a} 4\n{sent} 4"),
            Well,
            "5 accepted (otlp 5), sent by store 5",
            "",
        ),
        (format!("{a} 2\n{sent} 2"), format!("{a} 9\n{sent} 9"), Well, "2 accepted", ""),
        (String::new(), String::new(), Warn, "no spans", "ENDPOINT=http://here:1 "),
        (format!("{a} 9"), format!("{a} 9"), Warn, "no spans", "9 came earlier"),
        (format!("{refused} 3"), String::new(), Fail, "refused by otlp 3", "memory_limiter"),
        (format!("{a} 3"), String::new(), Fail, "nothing sent on", "behind the receivers"),
        (format!("{a} 3\n{unsent} 3"), String::new(), Fail, "failed to be sent by store 3", ""),
        (format!("{a} 3\n{sent} 2\n{unsent} 1"), String::new(), Warn, "sent by store 2", ""),
        (format!("{a} 3\n{sampled} 3"), String::new(), Warn, "sampled_out 3", "configuration"),
    ] {
        let window = Window {
            now: Page::of_text(&now),
            then: Page::of_text(&then),
            length: "lately".to_owned(),
        };
        let found = flow::signals(&window, |signal| signal == "traces", "http://here:1");
        let [one] = &found[..] else { panic!("{found:?}") };
        assert_eq!(one.verdict, verdict, "{now}: {one:?}");
        assert!(one.seen.contains(seen) && one.advice.contains(advice), "{now}: {one:?}");
    }
}

#[test]
fn exporters_that_fail_and_queues_that_fill_are_told() {
    let sent = "otelcol_exporter_sent_spans{exporter=\"otlp\"}";
    let failed = "otelcol_exporter_send_failed_spans{exporter=\"otlp\"}";
    let size = "otelcol_exporter_queue_size{exporter=\"otlp\",data_type=\"traces\"}";
    let capacity = "otelcol_exporter_queue_capacity{exporter=\"otlp\",data_type=\"traces\"}";
    for (now, verdict, seen) in [
        (format!("{sent} 5\n{size} 1\n{capacity} 10"), Well, "5 items sent lately, queue 1 of 10"),
        (format!("{sent} 5\n{size} 9\n{capacity} 10"), Warn, "queue 9 of 10"),
        (format!("{sent} 5\n{failed} 2"), Warn, "2 failed (2 since the start)"),
        (format!("{sent} 0\n{failed} 2"), Fail, "2 failed"),
    ] {
        let window =
            Window { now: Page::of_text(&now), then: Page::default(), length: "lately".to_owned() };
        let found = flow::exporters(&window);
        assert_eq!(found.iter().map(|f| f.verdict).collect::<Vec<_>>(), [verdict], "{now}");
        assert!(found[0].seen.contains(seen), "{found:?}");
    }
    let page = Page::of_text(
        "foreglow_ledger_items_total{pipeline=\"traces\",exporter=\"otlp\",fate=\"dropped\",reason=\"full\"} 4
foreglow_ledger_items_total{pipeline=\"traces\",exporter=\"otlp\",fate=\"dead_lettered\"} 2
foreglow_store_refused_samples_total{reason=\"too_old\"} 3
foreglow_component_panics{id=\"x\"} 1
foreglow_inference_requests_total{model=\"m\",outcome=\"timeout\"} 1
foreglow_inference_requests_total{model=\"m\",outcome=\"ok\"} 1",
    );
    let shown = format!("{:?}", flow::damages(&page));
    for told in [
        "4 items on their way to otlp dropped",
        "full",
        "dead letters",
        "3 samples not taken: too_old",
        "1 panics",
        "timeout",
    ] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    assert!(!shown.contains("with ok"));
}

/// A server that answers whatever is said to it with these bytes; none = it never answers.
async fn rude(answer: Option<&'static [u8]>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Some(answer) = answer {
                // An HTTP client takes an answer before its question for a broken connection.
                if answer.starts_with(b"HTTP") {
                    let _ = stream.read_u8().await;
                }
                // The client may have gone.
                let _ = stream.write_all(answer).await;
            }
            held.push(stream);
        }
    });
    address
}

#[tokio::test]
async fn whoever_answers_strangely_is_told_so_within_seconds() {
    let begun = Instant::now();
    let good = Backend::start().await;
    let failing = Backend::start().await;
    failing.fail((0..9).map(|_| Fault::Http { status: 500, retry_after: None }));
    let good_address = good.address().to_string();
    let failing_address = failing.address().to_string();
    let garbage = rude(Some(b"220 smtp.example ESMTP\r\n\xff\xfe\x00")).await;
    let endless = rude(Some(b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n{")).await;
    let hanging = rude(None).await;
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("bound").to_string()
    };
    let http = || Speaks::Http(paths());
    let health = || Speaks::Health("/".to_owned());
    let cases = [
        (Speaks::Grpc, &good_address, Warn, "takes traces, metrics, logs"),
        (http(), &good_address, Warn, "takes traces, metrics, logs"),
        (health(), &good_address, Fail, "not as foreglow does"),
        (http(), &failing_address, Fail, "refuses traces: 500"),
        (Speaks::Grpc, &garbage, Fail, "does not speak gRPC"),
        (http(), &garbage, Fail, "does not speak HTTP"),
        (Speaks::Metrics, &garbage, Fail, "does not speak HTTP"),
        (Speaks::Page, &endless, Fail, "within 3s"),
        (Speaks::Grpc, &hanging, Fail, "within 3s"),
        (http(), &hanging, Fail, "within 3s"),
        (Speaks::Jaeger, &hanging, Fail, "within 3s"),
        (Speaks::Grpc, &closed, Fail, "nobody listens"),
    ];
    let asker = Asker::new(None);
    let looks = cases.iter().map(|(speaks, address, ..)| {
        reach::look(asker.clone(), place(speaks.clone(), address), None)
    });
    let seen = join_all(looks).await;
    for ((speaks, address, verdict, told), seen) in cases.iter().zip(seen) {
        let finding = seen.finding;
        let context = format!("{} {address}: {finding:?}", speaks.name());
        // This test is not called foreglow, but is the same program: what answers well is well.
        let expected = if *verdict == Warn { Well } else { *verdict };
        assert_eq!(finding.verdict, expected, "{context}");
        assert!(finding.seen.contains(told), "{context}");
    }
    let empty = good.received().iter().all(|received| received.body.is_empty());
    assert!(empty, "nothing but empty requests was sent");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn model_servers_and_peers_are_asked_whether_they_are_ready() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("bound").to_string()
    };
    let open = rude(None).await;
    let asker = Asker::new(None);
    for (address, verdict) in [(&open, Well), (&closed, Fail)] {
        let peer = places::Peer { id: "otlp".into(), address: address.clone() };
        assert_eq!(reach::peer(peer).await.verdict, verdict);
    }
    let kserve = FakeKserve::start(Dialect::MlServer, &[("sum", FakeModel::sum())]).await;
    let base = format!("http://{}", kserve.endpoint());
    let server = places::ModelServer {
        id: "metricsinference".into(),
        base,
        models: vec!["none".into(), "sum".into()],
    };
    let verdicts = |found: Vec<Finding>| found.iter().map(|f| f.verdict).collect::<Vec<_>>();
    assert_eq!(verdicts(reach::models(&asker, &server).await), [Well, Fail, Well]);
    kserve.fail(testkit::kserve::Fault::NotReady);
    assert!(verdicts(reach::models(&asker, &server).await).ends_with(&[Fail]));
}

#[test]
fn clocks_that_differ_are_told() {
    for (ahead, verdict, told) in [
        (&[0.4, -0.6][..], Well, "agree"),
        (&[0.1, 5.0], Warn, "5 s ahead"),
        (&[-600.0], Fail, "600 s behind"),
    ] {
        let finding = reach::clock(ahead).expect("a finding");
        assert_eq!(finding.verdict, verdict, "{ahead:?}");
        assert!(finding.seen.contains(told), "{finding:?}");
    }
    assert_eq!(reach::clock(&[]), None);
}

#[test]
fn limits_of_process_and_container_are_read_from_the_system() {
    let root = tempfile::tempdir().expect("a directory");
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        let mut file = std::fs::File::create(path).expect("made");
        file.write_all(text.as_bytes()).expect("written");
    };
    assert_eq!(host::limits(root.path(), 7), [Finding::ok("CPU", "no quota")]);
    write(
        "proc/7/limits",
        "Max open files            1024                 4096                 files\n",
    );
    write("proc/7/fd/0", "");
    write("proc/7/status", "Name:\tforeglow\nVmRSS:\t    900 kB\n");
    write("proc/7/cgroup", "0::/pod/main\n");
    write("sys/fs/cgroup/pod/main/memory.max", "max\n");
    write("sys/fs/cgroup/pod/memory.max", "1048576\n");
    write("sys/fs/cgroup/pod/main/cpu.max", "50000 100000\n");
    write("sys/fs/cgroup/pod/main/cpu.stat", "usage_usec 5\nnr_periods 100\nnr_throttled 40\n");
    write("sys/fs/cgroup/pod/main/memory.events", "low 0\noom_kill 2\n");
    let found = host::limits(root.path(), 7);
    let seen: Vec<_> = found.iter().map(|f| (f.verdict, f.seen.as_str())).collect();
    assert_eq!(
        seen,
        [
            (Warn, "1 open of 1024"),
            (Warn, "900.0 KiB resident of 1.0 MiB"),
            (Warn, "0.50 CPUs, held back in 40.0 % of periods"),
            (Warn, "2 processes of this container were killed for memory"),
        ]
    );
    assert_eq!(host::clock_is_kept(root.path()), None);
    write("run/systemd/timesync/x", "");
    assert_eq!(host::clock_is_kept(root.path()).map(|f| f.verdict), Some(Warn));
    write("run/systemd/timesync/synchronized", "");
    assert_eq!(host::clock_is_kept(root.path()).map(|f| f.verdict), Some(Well));
    assert_eq!(host::disk(&root.path().join("none"), "7d").verdict, Warn);
    let disk = host::disk(root.path(), "7d");
    assert!(disk.seen.contains("kept 7d") && disk.seen.contains(" free"), "{disk:?}");
}

#[test]
fn the_report_is_laid_out_for_people_and_for_programs() {
    let mut report = Report::default();
    report.add("One", vec![Finding::ok("a", "well"), Finding::warn("longer", "x\ny", "do this")]);
    report.add("None", Vec::new());
    assert!(report.is_well());
    report.add("Two", vec![Finding::fail("b", "bad \x1b[2J", "do\nthat")]);
    assert!(!report.is_well());
    assert_eq!(
        report.text(false),
        "One
  ok    a       well
  warn  longer  x
                y
        -> do this

Two
  fail  b       bad .[2J
        -> do
        -> that

1 ok, 1 to look at, 1 failed"
    );
    assert!(report.text(true).contains("\x1b[31mfail\x1b[0m"));
    let json: serde_json::Value = serde_json::from_str(&report.json()).expect("JSON");
    assert_eq!(json["verdict"], "fail");
    assert_eq!(json["findings"][2]["area"], "Two");
}

#[test]
fn addresses_are_taken_from_urls_and_the_pages_own_from_the_command_line() {
    for (text, expected) in [
        ("http://h:1/x?y", Some("h:1")),
        ("https://u:p@h/x", Some("h:443")),
        ("h:1", Some("h:1")),
        ("http://h", Some("h:80")),
        ("h", None),
        ("", None),
        ("unix:///tmp/x", None),
    ] {
        assert_eq!(places::authority(text).as_deref(), expected, "{text}");
    }
    let all = at(vec![place(Speaks::Page, "127.0.0.1:7070")], Some("http://10.0.0.1:9090"));
    assert_eq!(all[0].address, "10.0.0.1:9090");
    assert!(!all[0].is_local());
}
