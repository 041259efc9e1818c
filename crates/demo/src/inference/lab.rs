// SPDX-License-Identifier: Apache-2.0
//! The metrics by the names the fourth document has for them. Without units: a unit would be put
//! into their Prometheus names.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{
    BoundCounter, BoundHistogram, BoundUpDownCounter, Counter, Histogram, Meter,
};

use super::{MODEL, Service};
use crate::few::Few;

/// Bounds in milliseconds.
const MILLISECONDS: [f64; 14] =
    [1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1000.0, 2500.0];

/// Its instruments.
pub(super) struct Lab {
    requests: Counter<u64>,
    pub predictions: BoundCounter<u64>,
    /// By `error_type`.
    pub errors: Counter<u64>,
    pub latency: BoundHistogram<f64>,
    duration: Histogram<f64>,
    active: BoundUpDownCounter<i64>,
    /// By path and status.
    outcomes: Few<(Box<str>, u16), Outcome>,
}

/// Instruments of a path and a status.
struct Outcome {
    requests: BoundCounter<u64>,
    duration: BoundHistogram<f64>,
}

impl Lab {
    pub fn new(meter: &Meter) -> Lab {
        let counter = |name: &'static str, about: &'static str| {
            meter.u64_counter(name).with_description(about).build()
        };
        let histogram = |name: &'static str, about: &'static str| {
            let builder = meter.f64_histogram(name).with_description(about);
            builder.with_boundaries(MILLISECONDS.to_vec()).build()
        };
        let model = [KeyValue::new("model_name", MODEL.0)];
        Lab {
            requests: counter("http_requests_total", "Total HTTP requests."),
            predictions: counter("predictions_total", "Total predictions made.").bind(&model),
            errors: counter("errors_total", "Total errors."),
            latency: histogram("prediction_latency_ms", "Time the model took, in milliseconds.")
                .bind(&model),
            duration: histogram("request_duration_ms", "Time requests took, in milliseconds."),
            active: meter
                .i64_up_down_counter("active_requests")
                .with_description("Requests being processed.")
                .build()
                .bind(&[]),
            outcomes: Few::default(),
        }
    }

    fn outcome(&self, path: &str, status: u16) -> Arc<Outcome> {
        let make = || {
            let path = KeyValue::new("path", path.to_owned());
            let duration = self.duration.bind(std::slice::from_ref(&path));
            let status = KeyValue::new("status", i64::from(status));
            Outcome { requests: self.requests.bind(&[path, status]), duration }
        };
        let is_it = |key: &(Box<str>, u16)| key.1 == status && *key.0 == *path;
        self.outcomes.find(is_it, || ((path.into(), status), make()))
    }
}

/// Leaves also when the client goes away.
struct Active<'a>(&'a Lab);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.add(-1);
    }
}

pub(super) async fn watch(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let (lab, begun) = (&service.lab, Instant::now());
    let path = request.extensions().get::<MatchedPath>().cloned();
    lab.active.add(1);
    let active = Active(lab);
    let response = next.run(request).await;
    drop(active);
    let path = path.as_ref().map_or("_OTHER", MatchedPath::as_str);
    let outcome = lab.outcome(path, response.status().as_u16());
    outcome.duration.record(begun.elapsed().as_secs_f64() * 1e3);
    outcome.requests.add(1);
    response
}
