// SPDX-License-Identifier: Apache-2.0
//! How others reach the process: each of its own ports over TLS and behind an authenticator, OTLP over
//! a unix domain socket; and where its log lines go after a reload.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use net::connect::Connector;
use net::tls::{ClientSettings, ClientTls, Pem, Settings};
use testkit::pki::Authority;

use crate::process::{Foreglow, free_ports, post, wait_for};

/// Starts with the file `text` as its configuration; `--listen` is left to the file.
fn start(folder: &Path, text: &str, more: &[&str]) -> Foreglow {
    let path = folder.join("collector.yaml");
    std::fs::write(&path, text).expect("written");
    let config = format!("--config={}", path.display());
    let arguments: Vec<&str> = [config.as_str()].into_iter().chain(more.iter().copied()).collect();
    Foreglow::launch(folder, &arguments)
}

/// The status of `url` for whoever shows `token`; `None` without an answer.
async fn status(tls: &ClientTls, url: &str, token: Option<&str>) -> Option<u16> {
    let connector = Connector::new(Some(tls.clone()));
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build::<_, http_body_util::Empty<bytes::Bytes>>(connector);
    let mut request = http::Request::get(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(http_body_util::Empty::new()).expect("a request");
    Some(client.request(request).await.ok()?.status().as_u16())
}

#[test]
fn every_port_of_its_own_speaks_tls_and_asks_who_comes() {
    let folder = tempfile::tempdir().expect("temp dir");
    let authority = Authority::new();
    let (cert, key) = authority.issue(&["localhost"]).write(folder.path(), "server");
    let [page, health, metrics] = free_ports();
    let keys = format!(
        "tls: {{cert_file: {}, key_file: {}}}, auth: {{authenticator: bearertokenauth}}",
        cert.display(),
        key.display()
    );
    let text = format!(
        "extensions:
  bearertokenauth: {{token: s3cret}}
  health_check: {{endpoint: 'localhost:{health}', {keys}}}
  query_server: {{endpoint: '127.0.0.1:{page}', {keys}}}
receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:0'}}}}}}}}
exporters: {{embedded_store: }}
service:
  extensions: [bearertokenauth, health_check, query_server]
  telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {metrics}, {keys}}}}}}}}}]}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [embedded_store]}}}}
"
    );
    let server = Foreglow::launch_bare(folder.path(), &text);
    let settings =
        Settings { ca: Some(Pem::Text(authority.pem().to_owned())), ..Settings::default() };
    let settings = ClientSettings { shared: settings, ..ClientSettings::default() };
    let tls = ClientTls::new(settings, &["h2", "http/1.1"]).expect("settings");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runs");
    for (port, path) in [(page, "/-/ready"), (metrics, "/metrics"), (health, "/")] {
        let url = format!("https://localhost:{port}{path}");
        let ask = |token| runtime.block_on(status(&tls, &url, token));
        wait_for(&url, || (ask(Some("s3cret")) == Some(200)).then_some(()));
        assert_eq!(ask(Some("wrong")), Some(401), "{url}");
        assert_eq!(ask(None), Some(401), "{url}");
        let plain = url.replace("https", "http");
        let told = runtime.block_on(status(&tls, &plain, Some("s3cret")));
        assert_eq!(told, Some(400), "{plain}");
    }
    assert!(server.terminate());
}

const SPAN: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00000000000000000000000000000001","spanId":"0000000000000001","name":"over a file"}]}]}]}"#;

#[test]
fn spans_go_out_and_come_in_over_a_unix_domain_socket_and_its_file_goes_with_us() {
    let folder = tempfile::tempdir().expect("temp dir");
    let socket = folder.path().join("otlp.sock");
    // As a process leaves it that was killed.
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("binds"));
    assert!(socket.exists());
    let text = format!(
        "receivers:
  otlp: {{protocols: {{grpc: , http: }}}}
  otlp/file: {{protocols: {{grpc: {{transport: unix, endpoint: {socket}}}}}}}
exporters:
  otlp: {{endpoint: 'unix://{socket}', tls: {{insecure: true}}}}
  debug: {{verbosity: detailed}}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp]}}
    traces/back: {{receivers: [otlp/file], exporters: [debug]}}
",
        socket = socket.display()
    );
    let mut server = start(folder.path(), &text, &[]);
    server.wait_until_ready();
    let json = [("Content-Type", "application/json")];
    let sent = post(server.http, "/v1/traces", &json, SPAN.as_bytes());
    assert_eq!(sent.map(|answer| answer.status), Some(200));
    wait_for("the span", || server.output().contains("over a file").then_some(()));
    assert!(server.terminate());
    assert!(!socket.exists(), "the file is gone");
}

#[test]
fn log_lines_go_where_the_new_configuration_says_and_look_as_it_says() {
    let folder = tempfile::tempdir().expect("temp dir");
    let (old, new) = (folder.path().join("old.log"), folder.path().join("new.log"));
    let text = |logs: String| {
        format!(
            "receivers: {{otlp: {{protocols: {{grpc: , http: }}}}}}
exporters: {{debug: }}
service:
  telemetry: {{logs: {logs}}}
  pipelines: {{logs: {{receivers: [otlp], exporters: [debug]}}}}
"
        )
    };
    let first = text(format!("{{output_paths: [{}]}}", old.display()));
    let mut server = start(folder.path(), &first, &[]);
    server.wait_until_ready();
    let read = |path: &Path| Arc::<str>::from(std::fs::read_to_string(path).unwrap_or_default());
    wait_for("lines", || read(&old).contains("Everything is ready").then_some(()));
    let second = text(format!(
        "{{output_paths: [{}], encoding: json, initial_fields: {{site: lab}}}}",
        new.display()
    ));
    std::fs::write(folder.path().join("collector.yaml"), second).expect("written");
    let pid = server.pid().to_string();
    Command::new("kill").args(["-HUP", &pid]).status().expect("kill");
    wait_for("lines", || read(&new).contains("the new configuration runs").then_some(()));
    let lines = read(&new);
    let line = lines.lines().next().expect("a line");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["site"], "lab");
    assert!(!read(&old).contains("the new configuration runs"));
    assert!(server.terminate());
    assert!(read(&new).contains("Shutdown complete"));
}
