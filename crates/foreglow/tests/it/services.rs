// SPDX-License-Identifier: Apache-2.0
//! The services of the demo under load, and what of it is found in the store.

use std::io::Read;
use std::process::{Command, Stdio};

use crate::process::{Foreglow, get, run, wait_for};

#[test]
fn what_the_load_generator_sent_is_what_promql_counts_and_its_slowest_trace_is_found() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let stack = Foreglow::start(folder.path());
    for (service, count, requests) in [
        (&["shop", "--environment=test"][..], "http_server_request_duration_seconds_count", 60),
        (&["inference"], "predictions_total", 40),
    ] {
        let server = Foreglow::launch_service(folder.path(), service, stack.http);
        let path = if service[0] == "shop" { "" } else { "/predict" };
        let (code, told, wrong) = run(&[
            "load",
            "http",
            &format!("--target=http://127.0.0.1:{}{path}", server.page),
            &format!("--requests={requests}"),
            "--concurrency=8",
            "--threshold=p50<10s",
            "--output=json",
        ]);
        assert_eq!(code, Some(0), "{wrong}");
        let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        assert_eq!(told[0]["total"], requests);
        let expression = format!("sum({count})");
        // The load, and the one look at /health that told that the shop is there.
        let expected = if service[0] == "shop" { requests + 1 } else { requests };
        let expected = expected.to_string();
        wait_for("all requests to be counted", || {
            (stack.query(&expression)[0]["value"][1] == *expected).then_some(())
        });
        let trace = told[0]["slowest"][0]["trace_id"].as_str().expect("an id").to_owned();
        wait_for("the slowest trace", || {
            get(stack.page, &format!("/api/traces/{trace}")).filter(|answer| answer.status == 200)
        });
        assert!(server.terminate(), "ends well");
    }
}

#[test]
fn a_second_signal_ends_a_load_whose_target_hangs() {
    // Connections are taken by the kernel, and nobody ever answers.
    let hangs = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("--target=http://{}/x", hangs.local_addr().expect("bound"));
    let mut load = Command::new(env!("CARGO_BIN_EXE_foreglow"))
        .args(["load", "http", &url, "--requests=1", "--concurrency=1"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let (_held, _) = hangs.accept().expect("it connects");
    let pid = load.id().to_string();
    let interrupt = || Command::new("kill").args(["-INT", &pid]).status().expect("kill");
    interrupt();
    let mut told = [0; 64];
    let length = load.stderr.as_mut().expect("piped").read(&mut told).expect("told");
    assert!(String::from_utf8_lossy(&told[..length]).contains("once more to stop at once"));
    assert!(load.try_wait().expect("state").is_none(), "it waits for the answer");
    interrupt();
    let status = wait_for("its end", || load.try_wait().expect("state"));
    assert_eq!(status.code(), Some(1));
}

#[test]
fn wrong_settings_of_services_and_load_are_told() {
    for (arguments, told) in [
        (&["load", "http", "--threshold=p95"][..], "expected e.g. p95<500ms"),
        (&["load", "http", "--target=https://h", "--requests=1"], "only http://"),
        (&["load", "http", "--concurrency=0", "--requests=1"], "0 connections"),
        (&["load", "http", "--rate=0", "--requests=1"], "above 0"),
        (&["demo", "shop", "--listen=nowhere"], "cannot listen on nowhere"),
        (&["demo", "worker", "--backfill=1"], "backfill"),
    ] {
        let (code, _, wrong) = run(arguments);
        assert!(code != Some(0) && wrong.contains(told), "{arguments:?}: {code:?} {wrong}");
    }
}

#[test]
fn telemetry_arrives_in_the_count_that_was_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let stack = Foreglow::start(folder.path());
    let to = format!("--otlp-endpoint=127.0.0.1:{}", stack.http);
    let send = |what: &[&str]| {
        let common = [&to, "--otlp-insecure", "--otlp-http=true", "--rate=0", "--output=json"];
        let (code, told, wrong) = run(&[&["load", "otlp"], what, &common].concat());
        assert_eq!(code, Some(0), "{what:?}: {wrong}");
        let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        told[0]["items"].clone()
    };
    let traces = ["traces", "--traces=150", "--workers=2", "--child-spans=2", "--service=sent"];
    assert_eq!(send(&traces)["accepted"], 900);
    let metrics = ["metrics", "--metrics=500", "--unique-timeseries", "--otlp-metric-name=sent"];
    assert_eq!(send(&metrics)["accepted"], 500);
    assert_eq!(send(&["logs", "--logs=70", "--batch-size=9"])["accepted"], 70);
    wait_for("every series", || (stack.query("count(sent)")[0]["value"][1] == "500").then_some(()));
    let own = get(stack.metrics, "/metrics").expect("own metrics").body;
    for (name, value) in [("spans", " 900"), ("metric_points", " 500"), ("log_records", " 70")] {
        let name = format!("otelcol_receiver_accepted_{name}");
        let counted = own.lines().find(|line| line.starts_with(&name));
        assert!(counted.is_some_and(|line| line.ends_with(value)), "{counted:?}");
    }
    assert!(stack.terminate(), "ends well");
}

#[test]
fn a_load_that_is_not_taken_is_told_and_fails() {
    let [away] = crate::process::free_ports();
    let to = format!("--otlp-endpoint=127.0.0.1:{away}");
    for (arguments, told) in [
        (&["traces"][..], "either --traces or --duration"),
        (&["logs", "--logs=1", &to, "--otlp-insecure"], "Connection refused"),
        (&["logs", "--logs=1", "--otlp-endpoint=h/x", "--otlp-insecure"], "expected host:port"),
        (&["logs", "--logs=1", "--replay=/none.json"], "/none.json"),
        (&["logs", "--logs=1", "--mtls"], "--client-cert"),
        (&["logs", "--logs=1", "--trace-id=12"], "expected 32 hexadecimal digits"),
        (&["metrics", "--metrics=1", "--metric-type=gauge"], "ExponentialHistogram"),
        (&["metrics", "--metrics=1", "--late=2"], "expected a share"),
        (&["traces", "--duration=forever"], "duration"),
    ] {
        let (code, _, wrong) = run(&[&["load", "otlp"], arguments].concat());
        assert!(code == Some(1) && wrong.contains(told), "{arguments:?}: {code:?} {wrong}");
    }
}
