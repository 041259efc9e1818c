// SPDX-License-Identifier: Apache-2.0

use std::time::{Duration, Instant};

use testkit::Backend;

use super::*;
use crate::Protocol;
use crate::testing::Collected;

/// As the third document lists them; the prefix and the dots are those of its code.
const NAMES: [&str; 24] = [
    "scotty.log_streams.active",
    "scotty.log_streams.total",
    "scotty.log_stream.duration",
    "scotty.log_lines.received",
    "scotty.log_stream.errors",
    "scotty.log_stream.bytes",
    "scotty.shell_sessions.active",
    "scotty.shell_sessions.total",
    "scotty.shell_session.duration",
    "scotty.shell_session.errors",
    "scotty.shell_session.timeouts",
    "scotty.websocket.connections",
    "scotty.websocket.connections.total",
    "scotty.websocket.messages_sent",
    "scotty.websocket.messages_received",
    "scotty.websocket.auth_failures",
    "scotty.tasks.active",
    "scotty.tasks.total",
    "scotty.task.duration",
    "scotty.task.output_lines",
    "scotty.task.output_buffer_bytes",
    "scotty.memory_usage_bytes",
    "scotty.cpu_usage_percent",
    "scotty.uptime_seconds",
];

async fn lived(metrics: bool, enough: impl Fn(&Collected) -> bool) -> Collected {
    let backend = Backend::start().await;
    let target = Target { endpoint: Some(backend.url()), protocol: Protocol::Http };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let settings = Settings { load: 20.0, metrics, target };
    let task = tokio::spawn(run(settings, async {
        let _ = stopped.await;
    }));
    let deadline = Instant::now() + Duration::from_secs(60);
    while !enough(&Collected::of(&backend)) {
        let got = Collected::of(&backend);
        assert!(Instant::now() < deadline, "{} spans, {:?}", got.spans.len(), got.names());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let _ = stop.send(());
    task.await.expect("no panic").expect("ends well");
    Collected::of(&backend)
}

#[tokio::test]
async fn all_metrics_of_the_document_come_with_traces_and_logs() {
    let rare = ["scotty.shell_session.timeouts", "scotty.shell_session.duration"];
    let common = || NAMES.iter().filter(|name| !rare.contains(*name));
    let all = lived(true, |all| {
        let names = all.names();
        common().all(|name| names.contains(name)) && !all.records.is_empty()
    })
    .await;
    for name in ["scotty.log_streams.active", "scotty.tasks.active", "scotty.websocket.connections"]
    {
        assert_eq!(all.sum(name, &[]), 0.0, "{name} after the end");
    }
    assert!(all.sum("scotty.tasks.total", &[]) > 0.0);
    let tasks = all.spans("task");
    let commands = all.spans("run_command");
    assert!(commands.iter().all(|c| c.end_time_unix_nano > c.start_time_unix_nano));
    let whole = tasks.iter().filter(|t| commands.iter().any(|c| c.parent_span_id == t.span_id));
    assert!(whole.count() > 0);
    let ids: Vec<_> = all.spans.iter().map(|span| &span.span_id).collect();
    assert!(all.records.iter().all(|record| ids.contains(&&record.span_id)));
}

#[tokio::test]
async fn without_metrics_there_are_traces() {
    let all = lived(false, |all| !all.spans("task").is_empty()).await;
    assert!(all.names().is_empty());
}
