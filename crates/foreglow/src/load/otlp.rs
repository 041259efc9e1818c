// SPDX-License-Identifier: Apache-2.0
//! `foreglow load otlp traces|metrics|logs`: telemetrygen's options with its defaults, and our own.
//!
//! Source of the options: opentelemetry-collector-contrib, cmd/telemetrygen v0.161.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use clap::{ArgAction, Args, Subcommand};
use loadgen::otlp::{
    self, Attribute, Content, Disorder, Kind, Make, Metrics, OtlpLoad, Records, Replay, Source,
    Spans, Target, Value,
};
use loadgen::{Progress, Threshold};
use net::tls::{ClientSettings, Pem, Settings};
use otlp_wire::{Signal, SpanId, StatusCode, Temporality, TraceId};

use super::{Done, Told, say};
use crate::cli::Format;

/// What telemetry is sent.
#[derive(Clone, Debug, Subcommand)]
pub enum Telemetry {
    /// Traces of a root span and its children.
    Traces(TracesLoad),
    /// Metrics of one point each.
    Metrics(MetricsLoad),
    /// Log records.
    Logs(LogsLoad),
}

/// What all signals take. Options without a word about it are telemetrygen's.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Where to: host:port, or a URL whose scheme says whether TLS is spoken.
    /// [default: localhost:4317, with --otlp-http localhost:4318]
    #[arg(long, value_name = "HOST:PORT")]
    otlp_endpoint: Option<String>,
    /// Plain text instead of TLS.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    otlp_insecure: bool,
    /// Takes any certificate of the server.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    otlp_insecure_skip_verify: bool,
    /// Over HTTP instead of gRPC.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    otlp_http: bool,
    /// Path with --otlp-http. [default: /v1/traces, /v1/metrics, /v1/logs]
    #[arg(long, value_name = "PATH")]
    otlp_http_url_path: Option<String>,
    /// Header of each request: key="value". Repeatable.
    #[arg(long = "otlp-header", value_name = "KEY=VALUE")]
    otlp_headers: Vec<Attribute>,
    /// Certificate of who may have signed the server's.
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Says who we are, by --client-cert and --client-key.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    mtls: bool,
    /// Our certificate.
    #[arg(long, value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE")]
    client_key: Option<PathBuf>,
    /// Spans, points or records a second of each worker; 0 = as fast as answers come.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    rate: f64,
    /// Ends after so long: 30s, 5m; inf = when it is stopped. Counts are ignored then.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = lasting)]
    duration: Lasting,
    /// Workers, each with a connection.
    #[arg(long, value_name = "N", default_value_t = 1)]
    workers: usize,
    /// How often the bar moves.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = super::duration)]
    interval: Duration,
    /// Longest time until a request is taken. One that is put off (429, UNAVAILABLE, ...) is sent
    /// again after the time the peer asks for.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = super::duration)]
    timeout: Duration,
    /// Exit status 0 although something was not taken.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    allow_export_failures: bool,
    /// Several items in a request.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = true, action = ArgAction::Set)]
    batch: bool,
    /// Items in a request; fewer if a worker's second brings fewer, and whole traces.
    #[arg(long, value_name = "N", default_value_t = 100)]
    batch_size: u64,
    /// service.name of the resource.
    #[arg(long, value_name = "NAME", default_value = "telemetrygen")]
    service: String,
    /// Attribute of the resource: key="value", key=true, key=1, key=["a","b"]. Repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    otlp_attributes: Vec<Attribute>,
    /// Attribute of each item. Repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    telemetry_attributes: Vec<Attribute>,
    /// Megabytes of text in each item.
    #[arg(long, value_name = "MB", default_value_t = 0)]
    size: u64,

    /// Sends the requests of this file, one a line in OTLP/JSON as the file exporter writes them,
    /// instead of making any; again from the beginning with --duration. Repeatable. Ours.
    #[arg(long, value_name = "FILE", help_heading = "Beyond telemetrygen")]
    replay: Vec<PathBuf>,
    /// Leaves the times of --replay as they are; otherwise the newest one becomes now.
    #[arg(long, help_heading = "Beyond telemetrygen")]
    keep_times: bool,
    /// Each item has an attribute load.key of one of so many values; 0 = none.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Beyond telemetrygen")]
    cardinality: u64,
    /// Share of items (traces; requests of --replay) whose times lie up to 10 s back: 0.1 or 10%.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share, help_heading = "Beyond telemetrygen")]
    out_of_order: f64,
    /// Share of items (traces; requests of --replay) that are late by --late-by.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share, help_heading = "Beyond telemetrygen")]
    late: f64,
    /// How late.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = super::duration, help_heading = "Beyond telemetrygen")]
    late_by: Duration,
    /// Share of requests that are sent twice, as after an answer that got lost.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share, help_heading = "Beyond telemetrygen")]
    duplicates: f64,
    /// What must be kept, else the exit status is 1: p95<500ms, mean<100ms, errors<1%, rate>40
    /// (items a second). Repeatable.
    #[arg(long = "threshold", value_name = "BOUND", value_parser = super::threshold, help_heading = "Beyond telemetrygen")]
    thresholds: Vec<Threshold>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Beyond telemetrygen")]
    output: Format,
    /// Seed of ids and disorder; runs with one are alike. [default: another one each time]
    #[arg(long, value_name = "N", help_heading = "Beyond telemetrygen")]
    seed: Option<u64>,
}

/// How traces are made.
#[derive(Clone, Debug, Args)]
pub struct TracesLoad {
    /// Traces of each worker.
    #[arg(long, value_name = "N", default_value_t = 0)]
    traces: u64,
    /// Children of each root, at least one.
    #[arg(long, value_name = "N", default_value_t = 1)]
    child_spans: u64,
    /// Time that each span takes.
    #[arg(long, value_name = "TIME", default_value = "123\u{b5}s", value_parser = super::duration)]
    span_duration: Duration,
    /// Links of each span, at most 128.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=128))]
    span_links: u64,
    /// Unset, Error or Ok; or 0, 1, 2.
    #[arg(long, value_name = "CODE", default_value = "0", value_parser = status)]
    status_code: StatusCode,
    /// Taken for compatibility: children always have the context of their root.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    marshal: bool,
    #[command(flatten)]
    common: Common,
}

/// How metrics are made.
#[derive(Clone, Debug, Args)]
pub struct MetricsLoad {
    /// Metrics of each worker.
    #[arg(long, value_name = "N", default_value_t = 0)]
    metrics: u64,
    /// Gauge, Sum, Histogram or ExponentialHistogram.
    #[arg(long, value_name = "TYPE", default_value = "Gauge", value_parser = kind)]
    metric_type: Kind,
    /// Their name.
    #[arg(long, value_name = "NAME", default_value = "gen")]
    otlp_metric_name: String,
    /// delta or cumulative.
    #[arg(long, value_name = "WHICH", default_value = "cumulative", value_parser = temporality)]
    aggregation_temporality: Temporality,
    /// No series twice within --unique-timeseries-duration.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set)]
    unique_timeseries: bool,
    /// For how long.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = super::duration)]
    unique_timeseries_duration: Duration,
    /// Trace of an exemplar on each point.
    #[arg(long, value_name = "HEX", value_parser = id::<16>)]
    trace_id: Option<TraceId>,
    /// Span of an exemplar on each point.
    #[arg(long, value_name = "HEX", value_parser = id::<8>)]
    span_id: Option<SpanId>,
    #[command(flatten)]
    common: Common,
}

/// How log records are made.
#[derive(Clone, Debug, Args)]
pub struct LogsLoad {
    /// Records of each worker.
    #[arg(long, value_name = "N", default_value_t = 0)]
    logs: u64,
    /// Their text.
    #[arg(long, value_name = "TEXT", default_value = "the message")]
    body: String,
    /// 1 to 24.
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(i32).range(1..=24))]
    severity_number: i32,
    /// The severity in words.
    #[arg(long, value_name = "TEXT", default_value = "Info")]
    severity_text: String,
    /// Their trace.
    #[arg(long, value_name = "HEX", value_parser = id::<16>)]
    trace_id: Option<TraceId>,
    /// Their span.
    #[arg(long, value_name = "HEX", value_parser = id::<8>)]
    span_id: Option<SpanId>,
    #[command(flatten)]
    common: Common,
}

/// When a load ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasting {
    /// By its count.
    Counted,
    /// After so long.
    For(Duration),
    /// Never by itself.
    Endless,
}

/// Runs it; the exit status is a failure when something was not taken or a threshold is not kept.
pub fn run(what: &Telemetry) -> Result<()> {
    let (signal, count, each, content, common) = match what {
        Telemetry::Traces(how) => {
            let spans = how.child_spans.max(1) + 1;
            (Signal::Traces, how.traces, spans, how.content(), &how.common)
        }
        Telemetry::Metrics(how) => (Signal::Metrics, how.metrics, 1, how.content(), &how.common),
        Telemetry::Logs(how) => (Signal::Logs, how.logs, 1, how.content(), &how.common),
    };
    if count == 0 && common.duration == Lasting::Counted && common.replay.is_empty() {
        bail!("error: either --{signal} or --duration must be greater than 0");
    }
    let items = count.saturating_mul(each).saturating_mul(common.workers as u64);
    let load = common.load(signal, content, items).map_err(|error| anyhow!("error: {error:#}"))?;
    let told = Told { output: common.output, thresholds: common.thresholds.clone() };
    let every = common.interval.max(super::REFRESH);
    let forgiving = common.allow_export_failures;
    super::block_on(async |stop| {
        let about = load.about();
        if told.output == Format::Text {
            say(&format!("{}\n", loadgen::opening(&about)));
        }
        let progress = Progress::default();
        let bar = told.bar(&progress, about.expected, every);
        let tally = otlp::run_otlp(load, progress.clone(), stop).await;
        bar.abort();
        let tally = tally.map_err(|error| anyhow!("error: {error:#}"))?;
        let lost = tally.items.offered - tally.items.accepted;
        let (unit, url, expected) = (about.unit, about.url.clone(), about.expected);
        let why = tally.errors.keys().next().cloned().unwrap_or_default();
        told.end(&progress, expected, &[Done { name: String::new(), about, tally }])?;
        match lost {
            0 => Ok(()),
            _ if forgiving => Ok(()),
            lost => Err(anyhow!("error: {lost} {unit} were not taken by {url} ({why})")),
        }
    })
}

impl Common {
    fn load(&self, signal: Signal, content: Content, items: u64) -> Result<OtlpLoad> {
        let duration = match self.duration {
            Lasting::For(time) => Some(time),
            Lasting::Counted | Lasting::Endless => None,
        };
        let is_counted = self.duration == Lasting::Counted;
        let source = if self.replay.is_empty() {
            let mut resource = self.otlp_attributes.clone();
            if !resource.iter().any(|attribute| attribute.key == "service.name") {
                let value = Value::Text(self.service.clone());
                resource.insert(0, Attribute { key: "service.name".to_owned(), value });
            }
            let batch = if self.batch { self.batch_size } else { 1 };
            let attributes = self.telemetry_attributes.clone();
            let mut make =
                Make::new(content, &resource, attributes, self.size, (batch, self.rate))?;
            let items = is_counted.then_some(items);
            (make.items, make.cardinality) = (items, self.cardinality);
            Source::Made(make)
        } else {
            let files = self.replay.iter().map(PathBuf::as_path);
            let replay = Replay::read(signal, files, self.keep_times)?;
            Source::Replayed(replay.repeated(!is_counted))
        };
        Ok(OtlpLoad {
            target: self.target(signal)?,
            source,
            rate: self.rate,
            workers: self.workers,
            duration,
            disorder: Disorder {
                out_of_order: self.out_of_order,
                late: self.late,
                late_by: self.late_by,
                duplicates: self.duplicates,
            },
            timeout: self.timeout,
            seed: self.seed.unwrap_or_else(|| basics::Random::from_os().next_u64()),
        })
    }

    fn target(&self, signal: Signal) -> Result<Target> {
        let usual = if self.otlp_http { "localhost:4318" } else { "localhost:4317" };
        let path = self.otlp_http_url_path.clone().unwrap_or_else(|| format!("/v1/{signal}"));
        if self.mtls && (self.client_cert.is_none() || self.client_key.is_none()) {
            bail!("--mtls needs --client-cert and --client-key");
        }
        let pem = |file: &Option<PathBuf>| file.clone().map(Pem::File);
        let own = |file| if self.mtls { pem(file) } else { None };
        let tls = ClientSettings {
            shared: Settings {
                ca: pem(&self.ca_cert),
                cert: own(&self.client_cert),
                key: own(&self.client_key),
                ..Settings::default()
            },
            insecure_skip_verify: self.otlp_insecure_skip_verify,
            server_name: None,
        };
        let header = |header: &Attribute| {
            let value = match &header.value {
                Value::Text(text) => text.clone(),
                Value::Bool(value) => value.to_string(),
                Value::Int(number) => number.to_string(),
                Value::List(_) => bail!("header {:?}: a list is no header", header.key),
            };
            Ok((header.key.clone(), value))
        };
        Ok(Target {
            signal,
            endpoint: self.otlp_endpoint.clone().unwrap_or_else(|| usual.to_owned()),
            http_path: self.otlp_http.then_some(path),
            tls: (!self.otlp_insecure).then_some(tls),
            headers: self.otlp_headers.iter().map(header).collect::<Result<_>>()?,
        })
    }
}

impl TracesLoad {
    fn content(&self) -> Content {
        Content::Traces(Spans {
            children: self.child_spans,
            duration: self.span_duration,
            status: self.status_code,
            links: self.span_links,
        })
    }
}

impl MetricsLoad {
    fn content(&self) -> Content {
        let exemplar = self.trace_id.is_some() || self.span_id.is_some();
        let ids = (self.trace_id.unwrap_or_default(), self.span_id.unwrap_or_default());
        Content::Metrics(Metrics {
            name: self.otlp_metric_name.clone(),
            kind: self.metric_type,
            temporality: self.aggregation_temporality,
            unique: self.unique_timeseries.then_some(self.unique_timeseries_duration),
            exemplar: exemplar.then_some(ids),
        })
    }
}

impl LogsLoad {
    fn content(&self) -> Content {
        Content::Logs(Records {
            body: self.body.clone(),
            severity_number: self.severity_number,
            severity_text: self.severity_text.clone(),
            trace_id: self.trace_id,
            span_id: self.span_id,
        })
    }
}

fn lasting(text: &str) -> Result<Lasting, String> {
    if text.eq_ignore_ascii_case("inf") {
        return Ok(Lasting::Endless);
    }
    let time = super::duration(text)?;
    Ok(if time.is_zero() { Lasting::Counted } else { Lasting::For(time) })
}

/// A share as `0.1` or `10%`.
fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (text, 1.0),
    };
    let share = number.trim().parse::<f64>().ok().map(|number| number / whole);
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{text:?}: expected a share from 0 to 1, or 0% to 100%"))
}

fn status(text: &str) -> Result<StatusCode, String> {
    match text.to_ascii_lowercase().as_str() {
        "0" | "unset" | "" => Ok(StatusCode::Unset),
        "1" | "error" => Ok(StatusCode::Error),
        "2" | "ok" => Ok(StatusCode::Ok),
        _ => Err(format!("{text:?}: expected Unset, Error or Ok, or 0, 1 or 2")),
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "Gauge" => Ok(Kind::Gauge),
        "Sum" => Ok(Kind::Sum),
        "Histogram" => Ok(Kind::Histogram),
        "ExponentialHistogram" => Ok(Kind::ExponentialHistogram),
        _ => Err(format!("{text:?}: expected Gauge, Sum, Histogram or ExponentialHistogram")),
    }
}

fn temporality(text: &str) -> Result<Temporality, String> {
    match text {
        "delta" => Ok(Temporality::Delta),
        "cumulative" => Ok(Temporality::Cumulative),
        _ => Err(format!("{text:?}: expected delta or cumulative")),
    }
}

fn id<const BYTES: usize>(text: &str) -> Result<[u8; BYTES], String> {
    let wrong = || format!("{text:?}: expected {} hexadecimal digits", 2 * BYTES);
    if text.len() != 2 * BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut id = [0; BYTES];
    for (at, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(id)
}
