// SPDX-License-Identifier: Apache-2.0
//! What the six endpoints do: sleep as long as their class takes, in spans of their own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::rejection::JsonRejection;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::StatusCode;
use opentelemetry::logs::Severity;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shop;
use crate::breaker::State as BreakerState;
use crate::serving::{Call, Refusal};

type Answer = Result<Json<Value>, Refusal>;

/// Name and price in euro of what there is to buy.
const PRODUCTS: [(&str, f64); 6] = [
    ("pen", 2.5),
    ("notebook", 7.9),
    ("lamp", 39.0),
    ("chair", 129.0),
    ("desk", 349.0),
    ("laptop", 999.0),
];

/// Most lines of an order.
const LINES_MAX: usize = 100;

/// Largest payment taken.
const AMOUNT_MAX: f64 = 1e6;

impl Shop {
    fn unit(&self) -> f64 {
        self.random.lock().unit()
    }

    fn between(&self, least_ms: f64, most_ms: f64) -> Duration {
        Duration::from_secs_f64((least_ms + (most_ms - least_ms) * self.unit()) / 1e3)
    }

    /// What every `/api` endpoint suffers: the latency and the errors switched on.
    async fn suffer(&self) -> Result<(), Refusal> {
        let faults = self.faults.lock().clone();
        let delay = faults.delay(self.unit());
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if self.unit() < faults.error_rate {
            let message = "a fault was injected (see /admin/faults)";
            return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "injected_fault", message));
        }
        Ok(())
    }

    /// A step of a request in a span of its own.
    async fn step(&self, parent: &Context, name: &'static str, kind: SpanKind, time: Duration) {
        let context = self.enter(parent, name, kind, Vec::new());
        tokio::time::sleep(time).await;
        context.span().end();
    }

    fn enter(
        &self,
        parent: &Context,
        name: &'static str,
        kind: SpanKind,
        attributes: Vec<KeyValue>,
    ) -> Context {
        let tracer = &self.telemetry.tracer;
        let builder = tracer.span_builder(name).with_kind(kind).with_attributes(attributes);
        parent.with_span(builder.start_with_context(tracer, parent))
    }
}

pub(super) async fn health(State(shop): State<Arc<Shop>>) -> Json<Value> {
    Json(json!({
        "status": "ok",
        "environment": shop.settings.environment,
        "data_plane_id": shop.settings.data_plane_id,
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

pub(super) async fn products(
    State(shop): State<Arc<Shop>>,
    Extension(Call(context)): Extension<Call>,
) -> Answer {
    shop.suffer().await?;
    let is_hit = shop.unit() < 0.8;
    let result = if is_hit { "hit" } else { "miss" };
    shop.instruments.cache.add(1, &[KeyValue::new("result", result)]);
    context.span().set_attribute(KeyValue::new("cache.hit", is_hit));
    if is_hit {
        tokio::time::sleep(shop.between(1.0, 4.0)).await;
    } else {
        let time = shop.between(6.0, 14.0);
        shop.step(&context, "SELECT products", SpanKind::Client, time).await;
    }
    let products = (1..).zip(PRODUCTS);
    let products: Vec<_> = products
        .map(|(id, (name, price))| json!({"id": id, "name": name, "price": price}))
        .collect();
    Ok(Json(json!({ "products": products, "count": PRODUCTS.len() })))
}

/// A line of an order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    product_id: usize,
    #[serde(default = "one")]
    quantity: u32,
}

/// An order; without lines somebody orders a pen.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Order {
    #[serde(default)]
    items: Vec<Line>,
}

fn one() -> u32 {
    1
}

/// Worth and number of items of an order.
fn cart(order: &Order) -> Result<(f64, u64), String> {
    if order.items.is_empty() {
        return Ok((PRODUCTS[0].1, 1));
    }
    if order.items.len() > LINES_MAX {
        return Err(format!("items: {} lines, at most {LINES_MAX}", order.items.len()));
    }
    let mut total = (0.0, 0);
    for (at, line) in order.items.iter().enumerate() {
        let product = line.product_id.checked_sub(1).and_then(|index| PRODUCTS.get(index));
        let Some((_, price)) = product else {
            return Err(format!("items[{at}].product_id: no product {}", line.product_id));
        };
        if !(1..=1000).contains(&line.quantity) {
            return Err(format!("items[{at}].quantity: {} is not 1 to 1000", line.quantity));
        }
        total.0 += price * f64::from(line.quantity);
        total.1 += u64::from(line.quantity);
    }
    Ok(total)
}

/// The JSON of a body; an empty one is the default.
fn body<T: Default>(given: Result<Json<T>, JsonRejection>) -> Result<T, Refusal> {
    match given {
        Ok(Json(value)) => Ok(value),
        // Load generators post without a body.
        Err(JsonRejection::MissingJsonContentType(_)) => Ok(T::default()),
        Err(error) => Err(Refusal::new(error.status(), "invalid_body", error.body_text())),
    }
}

pub(super) async fn orders(
    State(shop): State<Arc<Shop>>,
    Extension(Call(context)): Extension<Call>,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<impl IntoResponse, Refusal> {
    let begun = Instant::now();
    let invalid = |message| Refusal::new(StatusCode::BAD_REQUEST, "invalid_order", message);
    let (worth, items) = cart(&body(order)?).map_err(invalid)?;
    shop.suffer().await?;
    shop.step(&context, "reserve_stock", SpanKind::Internal, shop.between(10.0, 25.0)).await;
    shop.step(&context, "INSERT orders", SpanKind::Client, shop.between(15.0, 45.0)).await;
    let order = 100_000 + shop.random.lock().below(900_000);
    let instruments = &shop.instruments;
    instruments.orders.add(1, &[]);
    instruments.cart_value.record(worth, &[]);
    instruments.cart_items.add(items, &[]);
    instruments.checkout.record(begun.elapsed().as_secs_f64(), &[]);
    context.span().set_attribute(KeyValue::new("order.id", order as i64));
    let attributes = [("order.id", (order as i64).into()), ("order.total", worth.into())];
    shop.telemetry.log(&context, Severity::Info, "order created", attributes);
    let created = json!({ "order_id": order, "total": worth, "items": items, "status": "created" });
    Ok((StatusCode::CREATED, Json(created)))
}

pub(super) async fn reports(
    State(shop): State<Arc<Shop>>,
    Extension(Call(context)): Extension<Call>,
) -> Answer {
    shop.suffer().await?;
    shop.step(&context, "SELECT sales", SpanKind::Client, shop.between(200.0, 600.0)).await;
    shop.step(&context, "render_report", SpanKind::Internal, shop.between(50.0, 200.0)).await;
    let rows = 20 + shop.random.lock().below(200);
    Ok(Json(json!({ "report": "sales", "rows": rows })))
}

/// What is looked for.
#[derive(Debug, Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    q: String,
}

pub(super) async fn search(
    State(shop): State<Arc<Shop>>,
    Extension(Call(context)): Extension<Call>,
    Query(search): Query<Search>,
) -> Answer {
    if search.q.len() > 256 {
        let message = format!("q: {} bytes, at most 256", search.q.len());
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid_query", message));
    }
    shop.suffer().await?;
    // Most are quick, a few take a hundred times as long.
    let time = Duration::from_secs_f64(0.005 * 80f64.powf(shop.unit().powi(2)));
    shop.step(&context, "query_index", SpanKind::Client, time).await;
    let wanted = search.q.to_lowercase();
    let found: Vec<_> =
        PRODUCTS.iter().filter(|(name, _)| name.contains(&wanted)).map(|(name, _)| name).collect();
    Ok(Json(json!({ "query": search.q, "results": found })))
}

/// A payment; without an amount somebody pays for a pen.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Payment {
    amount: Option<f64>,
    order_id: Option<u64>,
}

pub(super) async fn payments(
    State(shop): State<Arc<Shop>>,
    Extension(Call(context)): Extension<Call>,
    payment: Result<Json<Payment>, JsonRejection>,
) -> Answer {
    let payment = body(payment)?;
    let amount = payment.amount.unwrap_or(PRODUCTS[0].1);
    if !(amount > 0.0 && amount <= AMOUNT_MAX) {
        let message = format!("amount: {amount} is not above 0 and at most {AMOUNT_MAX}");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid_payment", message));
    }
    shop.suffer().await?;
    let outcome = shop.ask_gateway(&context).await;
    let told = if outcome.is_ok() { "ok" } else { "failed" };
    shop.instruments.payments.add(1, &[KeyValue::new("outcome", told)]);
    outcome?;
    shop.instruments.payment_amount.add(amount, &[]);
    let id = shop.random.lock().next_u64();
    shop.telemetry.log(&context, Severity::Info, "payment accepted", [("amount", amount.into())]);
    Ok(Json(json!({
        "payment_id": format!("{id:016x}"),
        "order_id": payment.order_id,
        "amount": amount,
        "status": "accepted",
    })))
}

impl Shop {
    /// The call of the payment gateway, behind its breaker.
    async fn ask_gateway(&self, parent: &Context) -> Result<(), Refusal> {
        if let Err(wait) = self.gateway.admit(Instant::now()) {
            let message = "the payment gateway rests: its circuit breaker is open";
            let kind = "circuit_breaker_open";
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, kind, message);
            return Err(refusal.retry_after(wait));
        }
        let peer = vec![KeyValue::new("peer.service", "payment-gateway")];
        let context = self.enter(parent, "authorize_payment", SpanKind::Client, peer);
        tokio::time::sleep(self.between(20.0, 80.0)).await;
        let has_failed = self.unit() < self.faults.lock().dependency_error_rate;
        if has_failed {
            context.span().set_status(Status::error("the gateway refused"));
            context.span().set_attribute(KeyValue::new("error.type", "gateway_error"));
        }
        context.span().end();
        if let Some(state) = self.gateway.report(!has_failed, Instant::now()) {
            self.breaker_changed(parent, state);
        }
        if has_failed {
            let message = "the payment gateway failed";
            return Err(Refusal::new(StatusCode::BAD_GATEWAY, "gateway_error", message));
        }
        Ok(())
    }

    fn breaker_changed(&self, context: &Context, state: BreakerState) {
        let attributes =
            [KeyValue::new("dependency", "payment-gateway"), KeyValue::new("state", state.name())];
        self.instruments.breaker_changes.add(1, &attributes);
        let severity = match state {
            BreakerState::Open => Severity::Error,
            _ => Severity::Info,
        };
        let attributes = [("dependency", "payment-gateway".into()), ("state", state.name().into())];
        self.telemetry.log(context, severity, "circuit breaker changed", attributes);
    }
}
