// SPDX-License-Identifier: Apache-2.0
//! For the services' tests: a client, and what arrived at the far end by name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use testkit::Backend;
use tokio::sync::oneshot;

use crate::{Protocol, Target};

/// A service under test; ended by [`Running::stop`].
pub(crate) struct Running {
    pub address: SocketAddr,
    pub backend: Backend,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

/// An answer.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).expect("JSON")
    }
}

impl Running {
    /// Starts what `run` makes of a target, a callback that takes the address, and a stop.
    pub async fn start<F>(
        protocol: Protocol,
        run: impl FnOnce(Target, oneshot::Sender<SocketAddr>, oneshot::Receiver<()>) -> F,
    ) -> Running
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let backend = Backend::start().await;
        let target = Target { endpoint: Some(backend.url()), protocol };
        let (ready, address) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(target, ready, stopped));
        let address = address.await.expect("it starts");
        Running { address, backend, stop, task }
    }

    pub async fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = Full::new(Bytes::copy_from_slice(body.unwrap_or("").as_bytes()));
        let answer =
            client.request(request.body(body).expect("a request")).await.expect("an answer");
        let (head, body) = answer.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Answer { status: head.status, headers: head.headers, text }
    }

    /// Ends it; what arrived until then.
    pub async fn stop(self) -> Collected {
        let _ = self.stop.send(());
        self.task.await.expect("no panic").expect("ends well");
        Collected::of(&self.backend)
    }
}

/// All telemetry that arrived.
#[derive(Default)]
pub(crate) struct Collected {
    /// The last value of each series: counters, gauges and counts of histograms.
    pub series: BTreeMap<(String, BTreeSet<String>), f64>,
    pub spans: Vec<Span>,
    pub records: Vec<LogRecord>,
    pub resource: BTreeSet<String>,
}

impl Collected {
    pub fn of(backend: &Backend) -> Collected {
        let mut all = Collected::default();
        for received in backend.accepted() {
            let body = received.body.as_ref();
            if received.path.contains("trace") {
                let request = ExportTraceServiceRequest::decode(body).expect("traces");
                for resource in request.resource_spans {
                    all.resource = pairs(&resource.resource.expect("told").attributes);
                    all.spans.extend(resource.scope_spans.into_iter().flat_map(|s| s.spans));
                }
            } else if received.path.contains("metrics") {
                let request = ExportMetricsServiceRequest::decode(body).expect("metrics");
                let scopes = request.resource_metrics.into_iter().flat_map(|r| r.scope_metrics);
                for metric in scopes.flat_map(|s| s.metrics) {
                    all.add(metric.name, metric.data.expect("data"));
                }
            } else {
                let request = ExportLogsServiceRequest::decode(body).expect("logs");
                let scopes = request.resource_logs.into_iter().flat_map(|r| r.scope_logs);
                all.records.extend(scopes.flat_map(|s| s.log_records));
            }
        }
        all
    }

    fn add(&mut self, name: String, data: Data) {
        let points = match data {
            Data::Gauge(gauge) => gauge.data_points,
            Data::Sum(sum) => sum.data_points,
            Data::Histogram(histogram) => {
                for point in histogram.data_points {
                    let key = (name.clone(), pairs(&point.attributes));
                    self.series.insert(key, point.count as f64);
                }
                return;
            }
            _ => return,
        };
        for point in points {
            let value = match point.value.expect("a value") {
                Number::AsDouble(value) => value,
                Number::AsInt(value) => value as f64,
            };
            self.series.insert((name.clone(), pairs(&point.attributes)), value);
        }
    }

    pub fn names(&self) -> BTreeSet<&str> {
        self.series.keys().map(|(name, _)| name.as_str()).collect()
    }

    /// The sum of a metric's series that have all these attributes (`key=value`).
    pub fn sum(&self, name: &str, attributes: &[&str]) -> f64 {
        let wanted = |has: &BTreeSet<String>| attributes.iter().all(|a| has.contains(*a));
        let of = |((n, has), value): (&(String, BTreeSet<String>), &f64)| {
            (n == name && wanted(has)).then_some(*value)
        };
        self.series.iter().filter_map(of).sum()
    }

    pub fn spans(&self, name: &str) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.name == name).collect()
    }
}

/// Attributes as `key=value`.
pub(crate) fn pairs(attributes: &[KeyValue]) -> BTreeSet<String> {
    let text = |pair: &KeyValue| {
        let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
        let value = match value {
            Some(Value::StringValue(text)) => text.clone(),
            Some(Value::IntValue(number)) => number.to_string(),
            Some(Value::DoubleValue(number)) => number.to_string(),
            Some(Value::BoolValue(is)) => is.to_string(),
            _ => String::new(),
        };
        format!("{}={value}", pair.key)
    };
    attributes.iter().map(text).collect()
}
