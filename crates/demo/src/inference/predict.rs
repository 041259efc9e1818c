// SPDX-License-Identifier: Apache-2.0
//! `POST /predict` and `GET /health`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::{Extension, Json};
use http::StatusCode;
use opentelemetry::logs::Severity;
use opentelemetry::trace::{Span as _, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use serde::Serialize;
use serde_json::{Value, json};

use super::{MODEL, Service};
use crate::serving::{BODY_MAX, Call, Refusal};

/// Most features of one request.
const FEATURES_MAX: usize = 4096;

/// Answer of `/health`, in the document's order.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    status: &'static str,
    env: String,
    tracing_enabled: bool,
}

/// Answer of `/predict`, in the document's order.
#[derive(Debug, Serialize)]
pub(super) struct Predicted {
    prediction: f64,
    model_name: &'static str,
    /// Whole milliseconds the model took.
    latency_ms: u64,
    /// Finds the trace; none when tracing is off.
    trace_id: Option<String>,
}

/// `GET /health`
pub(super) async fn health(State(service): State<Arc<Service>>) -> Json<Health> {
    Json(Health {
        status: "ok",
        env: service.settings.environment.clone(),
        tracing_enabled: service.telemetry.signals.traces,
    })
}

/// A mistake in a request: where it is and what is wrong.
#[derive(Debug, PartialEq)]
pub(super) struct Mistake {
    pub place: Vec<Value>,
    pub message: String,
    pub kind: &'static str,
    pub status: StatusCode,
}

impl Mistake {
    /// A body that is too large, or broke off.
    fn unread(error: &BytesRejection) -> Mistake {
        let (message, status) = match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                (format!("more than {BODY_MAX} bytes"), error.status())
            }
            status => (error.body_text(), status),
        };
        Mistake { status, ..Mistake::new(&[json!("body")], "body_unread", message) }
    }

    fn new(place: &[Value], kind: &'static str, message: impl Into<String>) -> Mistake {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Mistake { place: place.to_vec(), message: message.into(), kind, status }
    }
}

/// The features in a body.
pub(super) fn features(body: &[u8]) -> Result<Vec<f64>, Mistake> {
    let place = |rest: &[Value]| [&[json!("body")], rest].concat();
    let request: Value = serde_json::from_slice(body)
        .map_err(|error| Mistake::new(&place(&[]), "json_invalid", error.to_string()))?;
    let Value::Object(request) = request else {
        return Err(Mistake::new(&place(&[]), "object_expected", "an object is expected"));
    };
    let at = place(&[json!("features")]);
    let Some(given) = request.get("features") else {
        return Err(Mistake::new(&at, "missing", "field required"));
    };
    let Value::Array(given) = given else {
        return Err(Mistake::new(&at, "list_expected", "a list of numbers is expected"));
    };
    if given.is_empty() {
        return Err(Mistake::new(&at, "too_short", "at least one feature is needed"));
    }
    if given.len() > FEATURES_MAX {
        let message = format!("{} features, at most {FEATURES_MAX}", given.len());
        return Err(Mistake::new(&at, "too_long", message));
    }
    let number = |(index, value): (usize, &Value)| {
        let number = value.as_f64().filter(|number| number.is_finite());
        let at = place(&[json!("features"), json!(index)]);
        number.ok_or_else(|| Mistake::new(&at, "number_expected", "a number is expected"))
    };
    given.iter().enumerate().map(number).collect()
}

/// `POST /predict`
pub(super) async fn predict(
    State(service): State<Arc<Service>>,
    Extension(Call(context)): Extension<Call>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Predicted>, Refusal> {
    let body = body.map_err(|error| service.refuse(&context, Mistake::unread(&error)))?;
    let span = context.span();
    span.set_attributes([
        KeyValue::new("model.name", MODEL.0),
        KeyValue::new("model.version", MODEL.1),
    ]);
    let features = service.within(&context, "validate_input", |step| {
        let features = features(&body);
        match &features {
            Ok(features) => {
                step.set_attribute(KeyValue::new("feature.count", features.len() as i64));
            }
            Err(mistake) => {
                step.set_attribute(KeyValue::new("error.type", mistake.kind));
                step.set_status(Status::error(mistake.message.clone()));
            }
        }
        features
    });
    let features = features.map_err(|mistake| service.refuse(&context, mistake))?;
    let tracer = &service.telemetry.tracer;
    let mut step = tracer.span_builder("model_inference").start_with_context(tracer, &context);
    let Some(computed) = service.batcher.ask(features).await else {
        step.set_status(Status::error("the queue is full"));
        step.end();
        service.lab.errors.add(1, &[KeyValue::new("error_type", "overloaded")]);
        let message = "too many requests wait for the model";
        let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", message);
        return Err(refusal.retry_after(Duration::from_secs(1)));
    };
    step.set_attribute(KeyValue::new("model.name", MODEL.0));
    step.set_attribute(KeyValue::new("batch.size", computed.batch as i64));
    step.end();
    service.lab.latency.record(computed.time.as_secs_f64() * 1e3);
    service.lab.predictions.add(1);
    let answer = service.within(&context, "format_response", |_| {
        let id = span.span_context();
        let trace_id = id.is_valid().then(|| id.trace_id().to_string());
        Predicted {
            prediction: computed.prediction,
            model_name: MODEL.0,
            latency_ms: computed.time.as_millis() as u64,
            trace_id,
        }
    });
    Ok(Json(answer))
}

impl Service {
    /// A step in a span of its own.
    fn within<T>(
        &self,
        parent: &Context,
        name: &'static str,
        work: impl FnOnce(&mut opentelemetry_sdk::trace::Span) -> T,
    ) -> T {
        let tracer = &self.telemetry.tracer;
        let mut span = tracer.span_builder(name).start_with_context(tracer, parent);
        let done = work(&mut span);
        span.end();
        done
    }

    /// The answer to a mistake, counted and logged.
    fn refuse(&self, context: &Context, mistake: Mistake) -> Refusal {
        self.lab.errors.add(1, &[KeyValue::new("error_type", "validation")]);
        let attributes =
            [("error.type", mistake.kind.into()), ("reason", mistake.message.clone().into())];
        self.telemetry.log(context, Severity::Warn, "input refused", attributes);
        let detail = json!([{
            "loc": mistake.place,
            "msg": mistake.message,
            "type": mistake.kind,
        }]);
        Refusal::with_body(mistake.status, mistake.kind, json!({ "detail": detail }))
    }
}
