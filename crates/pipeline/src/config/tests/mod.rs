// SPDX-License-Identifier: Apache-2.0
//! Loading as a whole, with a table of small components that build nothing.

mod decoding;
mod documents;
mod expansion;
mod loading;
mod prometheus;
mod rendering;
mod reporting;

use std::sync::Arc;

use basics::{Error, Result};
use otlp_wire::Signal;
use serde::Deserialize;

use super::shared::{
    GrpcClient, GrpcServer, HttpClient, HttpServer, Retry, SendingQueue, TlsClient,
};
use super::*;
use crate::component::{Alias, Context, Factory};

const ALL: &[Signal] = &[Signal::Traces, Signal::Metrics, Signal::Logs];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Otlp {
    protocols: Protocols,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Protocols {
    grpc: Option<GrpcServer>,
    http: Option<HttpServer>,
}

impl ComponentConfig for Otlp {
    fn validate(&self, at: &mut Checker<'_>) {
        let mut at = at.key("protocols");
        if self.protocols.grpc.is_none() && self.protocols.http.is_none() {
            at.error("", "must specify at least one protocol when using the OTLP receiver");
        }
        if let Some(grpc) = &self.protocols.grpc {
            grpc.validate(&mut at.key("grpc"));
        }
        if let Some(http) = &self.protocols.http {
            http.validate(&mut at.key("http"));
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Batching {
    timeout: Duration,
    send_batch_size: u32,
    send_batch_max_size: u32,
    metadata_keys: Vec<String>,
}

impl Default for Batching {
    fn default() -> Self {
        Batching {
            timeout: Duration::from_millis(200),
            send_batch_size: 8192,
            send_batch_max_size: 0,
            metadata_keys: Vec::new(),
        }
    }
}

impl ComponentConfig for Batching {
    fn validate(&self, at: &mut Checker<'_>) {
        if self.send_batch_max_size > 0 && self.send_batch_max_size < self.send_batch_size {
            at.error(
                "send_batch_max_size",
                "send_batch_max_size must be greater or equal to send_batch_size",
            );
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verbosity {
    #[default]
    Basic,
    Normal,
    Detailed,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Debugging {
    verbosity: Verbosity,
    sampling_initial: u32,
}

impl ComponentConfig for Debugging {}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RemoteWrite {
    #[serde(rename = "..client")]
    client: HttpClient,
    retry_on_failure: Retry,
    namespace: String,
}

impl ComponentConfig for RemoteWrite {
    fn validate(&self, at: &mut Checker<'_>) {
        self.client.validate(at);
        self.retry_on_failure.validate(&mut at.key("retry_on_failure"));
        if self.client.endpoint.is_empty() {
            at.error("endpoint", "requires a non-empty \"endpoint\"");
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OtlpOut {
    #[serde(rename = "..client")]
    client: GrpcClient,
    sending_queue: SendingQueue,
    tls: TlsClient,
}

impl ComponentConfig for OtlpOut {
    fn validate(&self, at: &mut Checker<'_>) {
        self.client.validate(at);
        self.sending_queue.validate(&mut at.key("sending_queue"));
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Health {
    #[serde(rename = "..server")]
    server: HttpServer,
    path: String,
}

impl ComponentConfig for Health {}

fn unbuilt<B>(_: Arc<dyn Any + Send + Sync>, _: Context) -> Result<B> {
    Err(Error::invalid("components of these tests are not built"))
}

fn factory<B, C: ComponentConfig>(
    kind: &'static str,
    aliases: &'static [Alias],
    signals: &'static [Signal],
) -> Factory<B> {
    Factory { kind, aliases, signals, summary: "", decode: decode::<C>, build: unbuilt }
}

fn components() -> Components {
    const LOGGING: &[Alias] =
        &[Alias { kind: "logging", warning: Some("\"logging\" is the old name of \"debug\"") }];
    const REMOTE_WRITE: &[Alias] = &[Alias { kind: "prometheus_remote_write", warning: None }];
    Components {
        receivers: vec![factory::<_, Otlp>("otlp", &[], ALL)],
        processors: vec![factory::<_, Batching>("batch", &[], ALL)],
        exporters: vec![
            factory::<_, Debugging>("debug", LOGGING, ALL),
            factory::<_, OtlpOut>("otlp", &[], ALL),
            factory::<_, RemoteWrite>("prometheusremotewrite", REMOTE_WRITE, &[Signal::Metrics]),
        ],
        extensions: vec![factory::<_, Health>("health_check", &[], &[])],
    }
}

fn load_text(yaml: &str) -> Result<Loaded, Diagnostics> {
    let text: &'static str = Box::leak(yaml.to_owned().into_boxed_str());
    let input = Input { default: Some(("collector.yaml", text)), ..Input::default() };
    load(&input, &components(), Environment { variables: &|_| None })
}

/// As [`load_text`], as a configuration that someone gave.
fn load_given(yaml: &str) -> Result<Loaded, Diagnostics> {
    let (input, text) = given(yaml);
    load(&input, &components(), Environment { variables: &|_| Some(text.clone()) })
}

/// The input, and the text of its one variable.
fn given(yaml: &str) -> (Input, String) {
    let configs = vec!["env:CONFIG".to_owned()];
    (Input { configs, ..Input::default() }, yaml.to_owned())
}

/// What a user sees.
fn rendered(yaml: &str) -> String {
    match load_text(yaml) {
        Ok(loaded) => loaded.diagnostics.render(false),
        Err(diagnostics) => diagnostics.render(false),
    }
}

/// The same, one line per mistake.
fn errors(yaml: &str) -> Vec<String> {
    load_text(yaml).err().map(|diagnostics| diagnostics.error_lines()).unwrap_or_default()
}

/// Reads `yaml` as a node; panics on mistakes.
fn node(yaml: &str) -> Node {
    let mut diagnostics = Diagnostics::default();
    let source = diagnostics.add_source("test.yaml", yaml);
    let node = read::read(yaml, source, 0, &mut diagnostics);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    node.expect("read without errors")
}

/// A whole configuration around one pipeline, with `more` in front.
fn with_pipeline(more: &str, pipeline: &str) -> String {
    format!("{more}\nservice:\n  pipelines:\n    {pipeline}\n")
}

const SMALL: &str = "\
receivers:
  otlp:
    protocols: {grpc: }
processors:
  batch:
exporters:
  debug:
service:
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [debug]}
";
