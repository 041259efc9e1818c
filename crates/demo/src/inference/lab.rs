// SPDX-License-Identifier: Apache-2.0
//! The metrics by the names the fourth document has for them. Without units: a unit would be put
//! into their Prometheus names.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};

use super::Service;

/// Bounds in milliseconds.
const MILLISECONDS: [f64; 14] =
    [1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1000.0, 2500.0];

/// Its instruments.
pub(super) struct Lab {
    requests: Counter<u64>,
    pub predictions: Counter<u64>,
    /// By `error_type`.
    pub errors: Counter<u64>,
    pub latency: Histogram<f64>,
    duration: Histogram<f64>,
    active: UpDownCounter<i64>,
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
        Lab {
            requests: counter("http_requests_total", "Total HTTP requests."),
            predictions: counter("predictions_total", "Total predictions made."),
            errors: counter("errors_total", "Total errors."),
            latency: histogram("prediction_latency_ms", "Time the model took, in milliseconds."),
            duration: histogram("request_duration_ms", "Time requests took, in milliseconds."),
            active: meter
                .i64_up_down_counter("active_requests")
                .with_description("Requests being processed.")
                .build(),
        }
    }
}

/// Leaves also when the client goes away.
struct Active<'a>(&'a Lab);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.add(-1, &[]);
    }
}

pub(super) async fn watch(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let (lab, begun) = (&service.lab, Instant::now());
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    lab.active.add(1, &[]);
    let active = Active(lab);
    let response = next.run(request).await;
    drop(active);
    let path = KeyValue::new("path", path.unwrap_or_else(|| "_OTHER".to_owned()));
    let status = KeyValue::new("status", i64::from(response.status().as_u16()));
    let taken = begun.elapsed().as_secs_f64() * 1e3;
    lab.duration.record(taken, std::slice::from_ref(&path));
    lab.requests.add(1, &[path, status]);
    response
}
