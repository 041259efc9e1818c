// SPDX-License-Identifier: Apache-2.0
//! The official SDK, set up as its environment variables say.
//!
//! In: the standard `OTEL_*` variables, which win over what a service says of itself. Out: a tracer,
//! a meter and a logger whose data leave every second by OTLP. gRPC when the port is 4317 and no
//! protocol is named, as the SDKs of other languages do. A collector that is away costs what the
//! SDK's queues hold: 2,048 spans and log records; the rest is dropped and counted by it.
//!
//! Telemetry gives way to requests: all of it leaves from threads of low priority ([`thread`]), and
//! while more spans wait than leave, new traces are left out whole ([`crate::pressure`]), unless
//! `OTEL_TRACES_SAMPLER` says which traces are wanted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder as LogBatches, BatchLogProcessor, SdkLogger, SdkLoggerProvider,
};
use opentelemetry_sdk::metrics::{Instrument, PeriodicReader, SdkMeterProvider, Stream};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder as SpanBatches, BatchSpanProcessor, SdkTracer, SdkTracerProvider,
};
use tokio::sync::oneshot;

use crate::pressure::{Leaving, Pressure, Waiting, WhileThereIsRoom};

/// So often telemetry leaves unless the environment says otherwise: pages are fresh, and a second
/// of a service is one small request.
const INTERVAL: Duration = Duration::from_secs(1);

/// Series of one instrument at most: the busiest, by route, method and status, has some fifty. The SDK
/// makes room for all of them at once, by default for 2,000.
const SERIES_MAX: usize = 200;

/// Below everybody else when there is too little CPU.
const NICE: i32 = 10;

/// Longest answer of a collector that is read.
const ANSWER_MAX: usize = 64 << 10;

/// How long a stop waits for what is still to be sent.
const FLUSH: Duration = Duration::from_secs(3);

/// How telemetry travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP with protobuf.
    Http,
}

/// Where telemetry goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Base address; none = as the `OTEL_EXPORTER_OTLP_*` variables and defaults of the SDK say.
    pub endpoint: Option<String>,
    /// How it gets there.
    pub protocol: Protocol,
}

impl Target {
    /// As the environment says; `variable` gives the value of one.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Target {
        // The second document's name for it.
        let own = variable("OTEL_ENDPOINT");
        let standard = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
        let endpoint = if standard.is_some() { None } else { own.clone() };
        let named = variable("OTEL_EXPORTER_OTLP_PROTOCOL");
        let port = standard.or(own).and_then(|url| url.parse::<http::Uri>().ok()?.port_u16());
        let protocol = match named.as_deref() {
            Some("grpc") => Protocol::Grpc,
            None if port == Some(4317) => Protocol::Grpc,
            _ => Protocol::Http,
        };
        Target { endpoint, protocol }
    }

    fn shown(&self) -> String {
        let standard = std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok();
        let default = match self.protocol {
            Protocol::Grpc => "http://localhost:4317",
            Protocol::Http => "http://localhost:4318",
        };
        self.endpoint.clone().or(standard).unwrap_or_else(|| default.to_owned())
    }

    fn url(&self, signal: &str) -> Option<String> {
        let endpoint = self.endpoint.as_ref()?;
        Some(match self.protocol {
            Protocol::Grpc => endpoint.clone(),
            Protocol::Http => format!("{}/v1/{signal}", endpoint.trim_end_matches('/')),
        })
    }
}

/// Which signals a service sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signals {
    pub traces: bool,
    pub metrics: bool,
    pub logs: bool,
}

impl Signals {
    /// All but those switched off by `OTEL_SDK_DISABLED` and `OTEL_<SIGNAL>_EXPORTER=none`.
    pub fn given() -> Signals {
        let is = |name: &str, value: &str| {
            std::env::var(name).is_ok_and(|given| given.eq_ignore_ascii_case(value))
        };
        let on = !is("OTEL_SDK_DISABLED", "true");
        let sent = |name: &str| on && !is(name, "none");
        Signals {
            traces: sent("OTEL_TRACES_EXPORTER"),
            metrics: sent("OTEL_METRICS_EXPORTER"),
            logs: sent("OTEL_LOGS_EXPORTER"),
        }
    }
}

/// A service's tracer, meter and logger.
pub(crate) struct Telemetry {
    pub tracer: SdkTracer,
    pub meter: Meter,
    pub signals: Signals,
    logger: SdkLogger,
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    logs: SdkLoggerProvider,
    /// Its thread ends when this is dropped.
    _thread: oneshot::Sender<()>,
}

impl Telemetry {
    /// Begins to send for the service `name` with `attributes` on its resource.
    ///
    /// # Errors
    /// When the environment names an address that is none.
    pub fn start(
        name: &'static str,
        attributes: Vec<KeyValue>,
        target: &Target,
        signals: Signals,
    ) -> Result<Arc<Telemetry>> {
        let target = target.clone();
        thread(move |ends| Telemetry::make(name, attributes, &target, signals, ends))
    }

    fn make(
        name: &'static str,
        attributes: Vec<KeyValue>,
        target: &Target,
        signals: Signals,
        thread: oneshot::Sender<()>,
    ) -> Result<Arc<Telemetry>> {
        let resource = resource(name, attributes);
        let mut traces = SdkTracerProvider::builder().with_resource(resource.clone());
        if signals.traces {
            let mut batches = SpanBatches::default();
            if !is_given("OTEL_BSP_SCHEDULE_DELAY") {
                batches = batches.with_scheduled_delay(INTERVAL);
            }
            let exporter = spans(target).context("cannot send traces")?;
            let pressure = Arc::new(Pressure::default());
            let exporter = Leaving::new(exporter, pressure.clone());
            let processor =
                BatchSpanProcessor::builder(exporter).with_batch_config(batches.build()).build();
            traces = traces.with_span_processor(Waiting::new(processor, pressure.clone()));
            if !is_given("OTEL_TRACES_SAMPLER") {
                traces = traces.with_sampler(WhileThereIsRoom::new(pressure));
            }
        }
        let mut metrics = SdkMeterProvider::builder().with_resource(resource.clone());
        // A view that is none of a stream keeps what an instrument says of itself.
        metrics = metrics.with_view(|_: &Instrument| {
            Stream::builder().with_cardinality_limit(SERIES_MAX).build().ok()
        });
        if signals.metrics {
            let exporter = points(target).context("cannot send metrics")?;
            metrics = metrics.with_reader(reader(exporter));
        }
        let mut logs = SdkLoggerProvider::builder().with_resource(resource);
        if signals.logs {
            let mut batches = LogBatches::default();
            if !is_given("OTEL_BLRP_SCHEDULE_DELAY") {
                batches = batches.with_scheduled_delay(INTERVAL);
            }
            let exporter = records(target).context("cannot send logs")?;
            let processor =
                BatchLogProcessor::builder(exporter).with_batch_config(batches.build()).build();
            logs = logs.with_log_processor(processor);
        }
        let (traces, metrics, logs) = (traces.build(), metrics.build(), logs.build());
        tracing::info!("OpenTelemetry initialized");
        tracing::info!("Exporting to: {}", target.shown());
        tracing::info!("Tracing enabled: {}", signals.traces);
        Ok(Arc::new(Telemetry {
            tracer: traces.tracer(name),
            meter: metrics.meter(name),
            signals,
            logger: logs.logger(name),
            traces,
            metrics,
            logs,
            _thread: thread,
        }))
    }

    /// A log record that belongs to the span of `context`.
    pub fn log(
        &self,
        context: &Context,
        severity: Severity,
        body: &'static str,
        attributes: impl IntoIterator<Item = (&'static str, AnyValue)>,
    ) {
        if !self.signals.logs {
            return;
        }
        let mut record = self.logger.create_log_record();
        record.set_observed_timestamp(std::time::SystemTime::now());
        record.set_timestamp(std::time::SystemTime::now());
        record.set_severity_number(severity);
        record.set_severity_text(severity.name());
        record.set_body(body.into());
        record.add_attributes(attributes);
        let span = context.span();
        let span = span.span_context();
        if span.is_valid() {
            record.set_trace_context(span.trace_id(), span.span_id(), Some(span.trace_flags()));
        }
        self.logger.emit(record);
    }

    /// Sends what is left and ends, within [`FLUSH`] a signal. Not for those who hold it still:
    /// handlers that outlived the drain are not waited for.
    pub async fn end(self: Arc<Self>) {
        if let Some(last) = Arc::into_inner(self) {
            // The SDK blocks meanwhile; it does not panic.
            let _ = tokio::task::spawn_blocking(move || last.stop()).await;
        }
    }

    fn stop(self) {
        let ended = [
            self.traces.shutdown_with_timeout(FLUSH),
            self.metrics.shutdown_with_timeout(FLUSH),
            self.logs.shutdown_with_timeout(FLUSH),
        ];
        for error in ended.into_iter().filter_map(Result::err) {
            tracing::warn!("the last telemetry may not have arrived: {error}");
        }
    }
}

/// Makes telemetry in a thread of its own, which then serves its connections until told to end. Threads
/// that the SDK starts meanwhile inherit its low priority.
fn thread(
    make: impl FnOnce(oneshot::Sender<()>) -> Result<Arc<Telemetry>> + Send + 'static,
) -> Result<Arc<Telemetry>> {
    let (made, making) = std::sync::mpsc::sync_channel(1);
    let work = move || {
        // Of this thread alone, on Linux. Without it telemetry takes as much as others.
        let _ = rustix::process::nice(NICE);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime.context("no runtime for telemetry") {
            Ok(runtime) => runtime,
            Err(error) => return drop(made.send(Err(error))),
        };
        let (sender, ends) = oneshot::channel();
        let telemetry = {
            let _entered = runtime.enter();
            make(sender)
        };
        let is_made = telemetry.is_ok();
        if made.send(telemetry).is_ok() && is_made {
            // An error is the end, too.
            let _ = runtime.block_on(ends);
        }
    };
    std::thread::Builder::new().name("telemetry".to_owned()).spawn(work)?;
    making.recv().context("the thread of telemetry ended")?
}

/// What the service says of itself, where the environment does not say otherwise.
fn resource(name: &'static str, attributes: Vec<KeyValue>) -> Resource {
    let given = Resource::builder().build();
    let is_given = |key: &opentelemetry::Key| {
        given.get(key).is_some_and(|value| !value.as_str().starts_with("unknown_service"))
    };
    let own = [
        KeyValue::new("service.name", name),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance()),
    ];
    let missing = own.into_iter().chain(attributes).filter(|pair| !is_given(&pair.key));
    Resource::builder().with_attributes(missing.collect::<Vec<_>>()).build()
}

/// Tells processes of one service apart.
fn instance() -> String {
    format!("{}-{}", std::process::id(), basics::Random::from_os().next_u64() % 10_000)
}

/// True if the environment has the variable: then what it says holds, not what we would have.
fn is_given(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn reader(exporter: MetricExporter) -> PeriodicReader<MetricExporter> {
    let builder = PeriodicReader::builder(exporter);
    match is_given("OTEL_METRIC_EXPORT_INTERVAL") {
        // Read by the builder itself.
        true => builder.build(),
        false => builder.with_interval(INTERVAL).build(),
    }
}

macro_rules! exporter {
    ($name:ident, $exporter:ident, $signal:literal) => {
        fn $name(target: &Target) -> Result<$exporter, opentelemetry_otlp::ExporterBuildError> {
            let builder = $exporter::builder();
            match (target.protocol, target.url($signal)) {
                (Protocol::Grpc, None) => builder.with_tonic().build(),
                (Protocol::Grpc, Some(url)) => builder.with_tonic().with_endpoint(url).build(),
                (Protocol::Http, None) => builder.with_http().with_http_client(Http::new()).build(),
                (Protocol::Http, Some(url)) => {
                    let builder = builder.with_http().with_http_client(Http::new());
                    builder.with_endpoint(url).build()
                }
            }
        }
    };
}

exporter!(spans, SpanExporter, "traces");
exporter!(points, MetricExporter, "metrics");
exporter!(records, LogExporter, "logs");

/// HTTP on telemetry's runtime for the SDK's own threads, which have none.
struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: tokio::runtime::Handle,
}

impl Http {
    fn new() -> Http {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Http { client, runtime: tokio::runtime::Handle::current() }
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

#[async_trait]
impl HttpClient for Http {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let answer = client.request(request.map(Full::new)).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_MAX).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        });
        sent.await?
    }
}
