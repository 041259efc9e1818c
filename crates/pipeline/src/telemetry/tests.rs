// SPDX-License-Identifier: Apache-2.0

use super::*;

#[test]
fn the_page_is_prometheus_text_with_sorted_names_and_labels() {
    let telemetry = Telemetry::new();
    telemetry.counter("b_count", "Things.", &[("z", "1"), ("a", "q\"\\\n")]).add(3);
    telemetry.gauge("a_level", "Level.", &[]).set(0.25);
    let spread = telemetry.histogram("c_seconds", "Took.", &[("p", "x")], &[0.5, 1.0]);
    for value in [0.5, 0.75, 7.0] {
        spread.observe(value);
    }
    telemetry.gauge_from("d_now", "Now.", &[], || f64::INFINITY);
    let expected = "\
# HELP a_level Level.
# TYPE a_level gauge
a_level 0.25
# HELP b_count Things.
# TYPE b_count counter
b_count{a=\"q\\\"\\\\\\n\",z=\"1\"} 3
# HELP c_seconds Took.
# TYPE c_seconds histogram
c_seconds_bucket{p=\"x\",le=\"0.5\"} 1
c_seconds_bucket{p=\"x\",le=\"1\"} 2
c_seconds_bucket{p=\"x\",le=\"+Inf\"} 3
c_seconds_sum{p=\"x\"} 8.25
c_seconds_count{p=\"x\"} 3
# HELP d_now Now.
# TYPE d_now gauge
d_now +Inf
";
    assert_eq!(telemetry.render(), expected);
}

#[test]
fn the_same_name_and_labels_are_the_same_instrument() {
    let telemetry = Telemetry::new();
    telemetry.counter("n", "", &[("a", "1"), ("b", "2")]).add(1);
    telemetry.counter("n", "", &[("b", "2"), ("a", "1")]).add(2);
    assert_eq!(telemetry.value("n", &[("b", "2"), ("a", "1")]), Some(3.0));
    assert_eq!(telemetry.value("n", &[]), None);
}

#[test]
fn a_name_of_another_type_counts_nowhere_and_breaks_nothing() {
    let telemetry = Telemetry::new();
    telemetry.counter("n", "", &[]).add(1);
    telemetry.gauge("n", "", &[]).set(9.0);
    assert_eq!(telemetry.value("n", &[]), Some(1.0));
}

#[test]
fn label_sets_beyond_the_bound_share_one_series() {
    let telemetry = Telemetry::new();
    for i in 0..SERIES_MAX + 10 {
        telemetry.counter("n", "", &[("id", &i.to_string())]).inc();
    }
    assert_eq!(telemetry.value("n", &[("otel_metric_overflow", "true")]), Some(10.0));
    assert_eq!(telemetry.value("n", &[("id", "0")]), Some(1.0));
}

#[test]
fn counting_from_many_threads_loses_nothing() {
    let counter = Telemetry::new().counter("n", "", &[]);
    let level = Gauge::default();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    counter.inc();
                    level.add(1.0);
                }
            });
        }
    });
    assert_eq!(counter.get(), 80_000);
    assert_eq!(level.get(), 80_000.0);
}

#[test]
fn the_process_knows_its_memory_and_cpu() {
    let telemetry = Telemetry::new();
    register_process(&telemetry, &basics::Clock::system());
    for name in [
        "otelcol_process_memory_rss",
        "otelcol_process_cpu_seconds",
        "otelcol_process_runtime_heap_alloc_bytes",
        "otelcol_process_runtime_total_alloc_bytes",
        "otelcol_process_runtime_total_sys_memory_bytes",
    ] {
        assert!(telemetry.value(name, &[]).is_some_and(|v| v > 0.0), "{name}");
    }
}

#[tokio::test]
async fn the_page_is_served_on_metrics_only_and_a_taken_port_is_an_error() {
    let telemetry = Telemetry::new();
    telemetry.counter("n", "Things.", &[]).add(7);
    let (authenticators, listeners) = (crate::auth::Authenticators::default(), Default::default());
    let page = "127.0.0.1:0".to_owned().into();
    let server =
        serve_metrics(telemetry.clone(), &page, &authenticators, &listeners).await.unwrap();
    let address = server.address();
    let page = get(address, "/metrics").await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{page}");
    assert!(page.ends_with("\nn 7\n"), "{page}");
    assert!(get(address, "/").await.starts_with("HTTP/1.1 404"));
    let taken = address.to_string().into();
    let error = serve_metrics(telemetry, &taken, &authenticators, &listeners).await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[test]
fn what_a_component_never_did_is_not_shown() {
    let telemetry = Telemetry::new();
    let meter = ReceiverMeter::new(&telemetry, "otlp", "grpc");
    meter.accepted(otlp_wire::Signal::Logs, 0);
    assert_eq!(telemetry.render(), "");
    meter.accepted(otlp_wire::Signal::Logs, 3);
    meter.clone().accepted(otlp_wire::Signal::Logs, 4);
    let labels = [("receiver", "otlp"), ("transport", "grpc")];
    let value = |name| telemetry.value(name, &labels);
    assert_eq!(value("otelcol_receiver_accepted_log_records"), Some(7.0));
    assert_eq!(value("otelcol_receiver_refused_log_records"), Some(0.0), "a rate finds a zero");
    assert_eq!(value("otelcol_receiver_accepted_spans"), None);
}

#[test]
fn what_costs_time_is_counted_where_all_details_are_asked_for() {
    use basics::Error;
    let count = |detailed: bool| {
        let telemetry = Telemetry::new();
        telemetry.set_detailed(detailed);
        let signal = otlp_wire::Signal::Traces;
        ProcessorMeter::new(&telemetry, "batch", signal).timed(|| ());
        let peer = vec![("server_address", "there".to_owned()), ("server_port", "1".to_owned())];
        QueueMeter::new(&telemetry, "otlp", signal, 10, &peer).put_in(3, 100);
        let exporter = ExporterMeter::to(&telemetry, "otlp", &peer);
        exporter.failed(signal, 3, &Error::rejected("no"));
        if let Some(calls) = CallMeter::server(&telemetry) {
            calls.grpc("/a.B/Export", 14, 0.1);
            calls.http(&Ended {
                server: "[::1]:4318",
                scheme: "http",
                method: &"BREW".parse().unwrap(),
                route: Some("/v1/traces"),
                version: http::Version::HTTP_2,
                status: Some(http::StatusCode::OK),
                seconds: 0.1,
                request_bytes: 7,
                answer_bytes: 2,
            });
        }
        telemetry.render()
    };
    let shown = |page: &str, line: &str| assert!(page.contains(line), "{line} in {page}");
    let normal = count(false);
    shown(
        &normal,
        "otelcol_exporter_send_failed_spans{exporter=\"otlp\",server_address=\"there\",server_port=\"1\"} 3\n",
    );
    shown(
        &normal,
        "otelcol_exporter_sent_spans{exporter=\"otlp\",server_address=\"there\",server_port=\"1\"} 0\n",
    );
    for name in ["internal_duration", "enqueue_size", "rpc_", "http_"] {
        assert!(!normal.contains(name), "{name} in {normal}");
    }
    let all = count(true);
    shown(
        &all,
        "otelcol_processor_internal_duration_count{otel_signal=\"traces\",processor=\"batch\"} 1\n",
    );
    shown(&all, "otelcol_exporter_enqueue_size_sum{exporter=\"otlp\"} 3\n");
    shown(&all, "otelcol_exporter_enqueue_size_bytes_sum{exporter=\"otlp\"} 100\n");
    shown(
        &all,
        "send_failed_spans{error_permanent=\"true\",error_type=\"_OTHER\",exporter=\"otlp\"",
    );
    shown(
        &all,
        "rpc_server_call_duration_count{rpc_method=\"a.B/Export\",rpc_response_status_code=\"UNAVAILABLE\",rpc_system_name=\"grpc\"} 1\n",
    );
    shown(
        &all,
        "http_server_request_body_size_sum{http_request_method=\"_OTHER\",http_response_status_code=\"200\",http_route=\"/v1/traces\",network_protocol_name=\"http\",network_protocol_version=\"2\",server_address=\"::1\",server_port=\"4318\",url_scheme=\"http\"} 7\n",
    );
}

#[test]
fn a_page_has_the_endings_labels_and_level_it_is_asked_for() {
    use crate::config::{Level, PageStyle};
    let telemetry = Telemetry::new();
    telemetry.counter("otelcol_process_uptime", "", &[]).add(2);
    telemetry.counter("otelcol_process_cpu_seconds", "", &[("a", "b")]).add(3);
    telemetry.gauge("otelcol_processor_batch_batch_send_size_bytes", "", &[]).set(1.0);
    let page = |style: PageStyle| telemetry.render_as(&style);
    let normal = page(PageStyle { level: Level::Normal, ..PageStyle::default() });
    assert!(normal.contains("\notelcol_process_uptime 2\n"), "{normal}");
    assert!(!normal.contains("send_size_bytes"), "{normal}");
    let whole = page(PageStyle {
        level: Level::Detailed,
        type_suffix: true,
        units: true,
        scope_info: true,
        labels: vec![("env".to_owned(), "a\"b".to_owned())],
    });
    assert!(
        whole.contains(
            "\notelcol_process_uptime_seconds_total{env=\"a\\\"b\",otel_scope_name=\"foreglow\""
        ),
        "{whole}"
    );
    assert!(whole.contains("\notelcol_process_cpu_seconds_total{"), "{whole}");
    assert!(whole.contains(",a=\"b\"} 3\n"), "{whole}");
    assert!(whole.contains("send_size_bytes{"), "{whole}");
}

#[test]
fn own_metrics_are_a_valid_otlp_request() {
    let telemetry = Telemetry::new();
    telemetry.counter("n", "Things.", &[("id", "1")]).add(7);
    telemetry.gauge("g", "", &[]).set(0.5);
    telemetry.histogram("h", "", &[], &[1.0, 2.0]).observe(1.5);
    telemetry.counter_if("absent", "", &[], || None);
    let resource = [("service.name".to_owned(), "foreglow".to_owned())];
    let payload = telemetry.to_otlp(&resource, 1, 2);
    assert_eq!(payload.items(), 3);
    let bytes = payload.bytes().clone();
    let again = otlp_wire::Payload::admit(otlp_wire::Signal::Metrics, bytes).expect("valid");
    assert_eq!(again.items(), 3);
}
