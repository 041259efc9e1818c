// SPDX-License-Identifier: Apache-2.0
//! Own telemetry by OTLP: metrics on a beat, log lines and sampled spans in batches.
//!
//! Goes out by the exporters of this build, with their queue and retry, under ids that begin with
//! [`ID`]; what these log is not sent. It takes no way through a pipeline, so nothing feeds
//! itself. At the end both are sent once more, within [`LAST_MAX`].

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use otlp_wire::{SpanKind, StatusCode, write};
use pipeline::config::{self, OtlpTarget, Push, Telemetry};
use pipeline::telemetry::OwnSpan;
use pipeline::{Batch, Context, Exporter, Host, Signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::logs::Line;

/// What the ids of these exporters begin with.
pub const ID: &str = "service/telemetry";

/// Lines or spans in one request, and so in one beat: all that may wait.
const REQUEST_MAX: usize = 2048;

/// Of so many requests one is followed by spans.
const SPANS_EVERY: u64 = 100;

/// For what is sent at the end.
const LAST_MAX: Duration = Duration::from_secs(2);

/// The running senders.
#[derive(Default)]
pub struct Own {
    stop: Option<watch::Sender<bool>>,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts sending what `telemetry` wants sent; `lines` are the process's own.
///
/// # Errors
/// When an exporter does not take its settings.
pub async fn start(
    telemetry: &Telemetry,
    host: &Host,
    lines: Option<mpsc::Receiver<Line>>,
) -> Result<Own> {
    let (stop, stopped) = watch::channel(false);
    let mut tasks = Vec::new();
    for push in &telemetry.metrics.pushes {
        let exporter = exporter(&push.to, Signal::Metrics, host).await?;
        let (host, resource) = (host.clone(), telemetry.resource.clone());
        let sender = Sender { exporter, push: push.clone(), stopped: stopped.clone() };
        tasks.push(tokio::spawn(sender.metrics(host, resource)));
    }
    if let (Some(push), Some(lines)) = (telemetry.logs.pushes.first(), lines) {
        let exporter = exporter(&push.to, Signal::Logs, host).await?;
        let sender = Sender { exporter, push: push.clone(), stopped };
        let resource = telemetry.resource.clone();
        tasks.push(tokio::spawn(sender.queued(lines, move |lines| logs(&resource, lines))));
    }
    if let Some(push) = telemetry.traces.first()
        && let Some(spans) = host.spans().subscribe(SPANS_EVERY)
    {
        let exporter = exporter(&push.to, Signal::Traces, host).await?;
        let sender = Sender { exporter, push: push.clone(), stopped: stop.subscribe() };
        let resource = telemetry.resource.clone();
        tasks.push(tokio::spawn(sender.queued(spans, move |spans| traces(&resource, spans))));
    }
    Ok(Own { stop: Some(stop), tasks })
}

impl Own {
    /// Sends what there is and ends.
    pub async fn stop(mut self) {
        // Tells every sender; none is fine.
        drop(self.stop.take());
        let all = futures_of(self.tasks);
        if tokio::time::timeout(LAST_MAX, all).await.is_err() {
            tracing::warn!("own telemetry could not be sent to its end");
        }
    }
}

async fn futures_of(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        // One that panicked has said so.
        let _ = task.await;
    }
}

struct Sender {
    exporter: Arc<dyn Exporter>,
    push: Push,
    stopped: watch::Receiver<bool>,
}

impl Sender {
    async fn metrics(mut self, host: Host, resource: Vec<(String, String)>) {
        let start = host.clock().now();
        let mut beat = tokio::time::interval(self.push.every);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        beat.tick().await;
        loop {
            let is_last = tokio::select! {
                _ = beat.tick() => false,
                _ = self.stopped.changed() => true,
            };
            let payload = host.telemetry().to_otlp(&resource, start, host.clock().now());
            self.send(payload).await;
            if is_last {
                return self.end().await;
            }
        }
    }

    async fn queued<T>(
        mut self,
        mut queue: mpsc::Receiver<T>,
        encode: impl Fn(&[T]) -> otlp_wire::Payload,
    ) {
        let mut held = Vec::new();
        let mut beat = tokio::time::interval(self.push.every);
        loop {
            let is_last = tokio::select! {
                _ = beat.tick() => false,
                _ = self.stopped.changed() => true,
            };
            while held.len() < REQUEST_MAX {
                let Ok(item) = queue.try_recv() else { break };
                held.push(item);
            }
            if !held.is_empty() {
                self.send(encode(&held)).await;
                held.clear();
            }
            if is_last {
                return self.end().await;
            }
        }
    }

    async fn send(&self, payload: otlp_wire::Payload) {
        if payload.items() == 0 {
            return;
        }
        if let Err(error) = self.exporter.export(Batch::new(payload, Arc::default())).await {
            tracing::warn!(exporter = ID, %error, "own telemetry was not sent");
        }
    }

    async fn end(self) {
        if let Err(error) = self.exporter.stop().await {
            tracing::warn!(exporter = ID, %error, "own telemetry was not sent");
        }
    }
}

fn logs(resource: &[(String, String)], lines: &[Line]) -> otlp_wire::Payload {
    let mut out = write::Logs::new();
    out.resource(|attrs| resource.iter().for_each(|(key, value)| attrs.str(key, value)));
    out.scope("foreglow", env!("CARGO_PKG_VERSION"));
    for line in lines {
        let severity_number = match line.level {
            tracing::Level::ERROR => 17,
            tracing::Level::WARN => 13,
            tracing::Level::INFO => 9,
            tracing::Level::DEBUG => 5,
            tracing::Level::TRACE => 1,
        };
        let log = write::Log {
            time: line.time,
            observed_time: line.time,
            severity_number,
            severity_text: line.level.as_str(),
            body: line.message.as_str().into(),
            ..write::Log::default()
        };
        out.log(&log, |attrs| {
            attrs.str("code.namespace", line.target);
            line.fields.iter().for_each(|(key, value)| attrs.str(key, value));
        });
    }
    out.finish()
}

fn traces(resource: &[(String, String)], spans: &[OwnSpan]) -> otlp_wire::Payload {
    let mut out = write::Traces::new();
    out.resource(|attrs| resource.iter().for_each(|(key, value)| attrs.str(key, value)));
    out.scope("foreglow", env!("CARGO_PKG_VERSION"));
    for span in spans {
        let (status, status_message) = match &span.error {
            Some(error) => (StatusCode::Error, error.as_str()),
            None => (StatusCode::Unset, ""),
        };
        let written = write::Span {
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_span_id: (span.parent_id != [0; 8]).then_some(span.parent_id),
            name: &span.name,
            kind: SpanKind::Internal,
            start: span.start,
            end: span.end,
            status,
            status_message,
            ..write::Span::default()
        };
        out.span(&written, |attrs| {
            attrs.int("items", i64::try_from(span.items).unwrap_or(i64::MAX));
        });
    }
    out.finish()
}

/// An exporter of this build to `target`.
async fn exporter(target: &OtlpTarget, signal: Signal, host: &Host) -> Result<Arc<dyn Exporter>> {
    let context = Context {
        id: format!("{ID}/{}", signal.name()).into(),
        signal,
        pipeline: "".into(),
        clock: host.clock().clone(),
        host: host.clone(),
    };
    let yaml = settings(target, signal);
    let wrong = |text: String| anyhow!("error: service::telemetry: {text}");
    let exporter = if target.is_grpc {
        let config = config::from_yaml::<exporters::otlp::Config>(&yaml).map_err(wrong)?;
        (exporters::otlp::factory().build)(Arc::new(config), context)
    } else {
        let config = config::from_yaml::<exporters::otlphttp::Config>(&yaml).map_err(wrong)?;
        (exporters::otlphttp::factory().build)(Arc::new(config), context)
    };
    let exporter = exporter.map_err(|error| wrong(error.to_string()))?;
    exporter.start().await.map_err(|error| wrong(error.to_string()))?;
    Ok(exporter)
}

/// `target` in the keys of our exporters; quoted as JSON, which is YAML.
fn settings(target: &OtlpTarget, signal: Signal) -> String {
    // `${` would be read as a variable, which has been done.
    let quoted = |text: &str| format!("{:?}", text.replace('$', "$$"));
    // A declarative endpoint may name the path of its signal.
    let names_path = !target.is_grpc && target.endpoint.contains("/v1/");
    let key =
        if names_path { format!("{}_endpoint", signal.name()) } else { "endpoint".to_owned() };
    let mut yaml = format!("{key}: {}\n", quoted(&target.endpoint));
    if !target.headers.is_empty() {
        let header = |(k, v): &(String, String)| format!("{}: {}", quoted(k), quoted(v));
        let headers: Vec<String> = target.headers.iter().map(header).collect();
        yaml.push_str(&format!("headers: {{{}}}\n", headers.join(", ")));
    }
    if !target.compression.is_empty() {
        yaml.push_str(&format!("compression: {}\n", quoted(&target.compression)));
    }
    if let Some(timeout) = target.timeout {
        yaml.push_str(&format!("timeout: {}ms\n", timeout.as_millis()));
    }
    let files = [
        ("ca_file", &target.ca_file),
        ("cert_file", &target.cert_file),
        ("key_file", &target.key_file),
    ];
    let mut tls: Vec<String> = files
        .iter()
        .filter(|(_, path)| !path.is_empty())
        .map(|(key, path)| format!("{key}: {}", quoted(path)))
        .collect();
    if target.insecure {
        tls.push("insecure: true".to_owned());
    }
    if !tls.is_empty() {
        yaml.push_str(&format!("tls: {{{}}}\n", tls.join(", ")));
    }
    yaml
}
