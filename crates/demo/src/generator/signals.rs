// SPDX-License-Identifier: Apache-2.0
//! The shop's telemetry: from the simulated load to OTLP metrics, traces and logs.
//!
//! `advance(now)` lives through the time since the last call; `metrics`, `traces` and `logs` then
//! tell about it. Counters and histograms are cumulative since the start of the process. Names,
//! units and attributes follow the semantic conventions; `http_request_duration_ms` and
//! `grpc_request_duration_ms` are the gauges that the sum model of the default stack adds up.

use basics::{Random, UnixNano};
use otlp_wire::{Payload, SpanKind, StatusCode, Temporality, write};

use super::world::{Load, SERVICES, gauss, incident, load};

/// Upper bounds of `http.server.request.duration` in seconds, as the semantic conventions advise.
const BOUNDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Requests of one tick that are simulated one by one, per service; the rest is scaled up. Keeps
/// a long tick (backfill, a suspended laptop) from costing more than a short one.
const SAMPLED_MAX: usize = 64;

/// Traces sent per tick: enough for a lively list, few enough for a laptop.
const TRACES_PER_TICK: usize = 3;

/// The running totals of one route of one service.
#[derive(Clone, Debug, Default)]
struct Route {
    /// Requests by outcome: 200, 500.
    outcomes: [Distribution; 2],
}

#[derive(Clone, Debug, Default)]
struct Distribution {
    count: u64,
    sum: f64,
    buckets: [u64; BOUNDS.len() + 1],
}

impl Distribution {
    fn add(&mut self, seconds: f64, times: u64) {
        self.count += times;
        self.sum += seconds * times as f64;
        self.buckets[BOUNDS.partition_point(|bound| *bound < seconds)] += times;
    }
}

/// The simulated shop and what it has counted so far.
#[derive(Debug)]
pub struct Shop {
    namespace: Option<String>,
    start: UnixNano,
    now: UnixNano,
    loads: Vec<Load>,
    routes: Vec<Vec<Route>>,
    cpu_seconds: Vec<f64>,
    orders: u64,
    items: u64,
    payments: [u64; 2],
    journeys: Vec<Journey>,
    random: Random,
}

/// One request through the shop, told by a trace and its logs.
#[derive(Clone, Debug)]
struct Journey {
    trace_id: [u8; 16],
    spans: [[u8; 8]; 5],
    start: UnixNano,
    /// Durations in nanoseconds of storefront, checkout and payments.
    durations: [u64; 3],
    order: u64,
    failed: bool,
}

impl Shop {
    /// A shop that opens at `start`.
    pub fn new(start: UnixNano, namespace: Option<String>, mut random: Random) -> Self {
        let loads = (0..SERVICES.len()).map(|i| load(i, start, &mut random)).collect();
        let routes = SERVICES.iter().map(|s| vec![Route::default(); s.routes.len()]).collect();
        Shop {
            namespace,
            start,
            now: start,
            loads,
            routes,
            cpu_seconds: vec![0.0; SERVICES.len()],
            orders: 0,
            items: 0,
            payments: [0; 2],
            journeys: Vec::new(),
            random,
        }
    }

    /// Lives through the time until `now`.
    pub fn advance(&mut self, now: UnixNano) {
        let seconds = now.saturating_sub(self.now) as f64 / 1e9;
        self.now = now.max(self.now);
        for index in 0..SERVICES.len() {
            self.loads[index] = load(index, self.now, &mut self.random);
            self.cpu_seconds[index] += self.loads[index].cpu * seconds;
            self.serve(index, seconds);
        }
        self.journeys.clear();
        for _ in 0..TRACES_PER_TICK {
            let journey = self.journey();
            self.journeys.push(journey);
        }
    }

    fn serve(&mut self, index: usize, seconds: f64) {
        let state = self.loads[index];
        let requests = (state.rate * seconds + self.random.unit()) as u64;
        let simulated = (requests as usize).min(SAMPLED_MAX);
        for n in 0..simulated {
            // Every simulated request stands for its share of the real ones.
            let times =
                requests / simulated as u64 + u64::from((n as u64) < requests % simulated as u64);
            let routes = SERVICES[index].routes.len();
            // The first route gets half of the traffic, the next a quarter, and so on.
            let route = (self.random.next_u64().trailing_zeros() as usize).min(routes - 1);
            let duration = state.duration
                * (0.45 * gauss(&mut self.random)).exp()
                * (1.0 + route as f64 * 0.4);
            let failed = self.random.unit() < state.errors;
            self.routes[index][route].outcomes[usize::from(failed)].add(duration, times);
            match SERVICES[index].name {
                "checkout" if route == 0 && !failed => {
                    self.orders += times;
                    self.items += times * (1 + self.random.below(4));
                }
                "payments" => self.payments[usize::from(failed)] += times,
                _ => {}
            }
        }
    }

    fn journey(&mut self) -> Journey {
        let mut id = || self.random.next_u64().to_be_bytes();
        let mut trace_id = [0; 16];
        trace_id[..8].copy_from_slice(&id());
        trace_id[8..].copy_from_slice(&id());
        let spans = [id(), id(), id(), id(), id()];
        let mut nano = |index: usize| {
            let jitter = (0.3 * gauss(&mut self.random)).exp();
            (self.loads[index].duration * jitter * 1e9) as u64
        };
        let payments = nano(2);
        let checkout = nano(1) + payments;
        let storefront = nano(0) + checkout;
        let failed = self.random.unit() < self.loads[2].errors.max(self.loads[1].errors);
        Journey {
            trace_id,
            spans,
            start: self.now.saturating_sub(storefront),
            durations: [storefront, checkout, payments],
            order: 100_000 + self.random.below(900_000),
            failed,
        }
    }

    /// All metrics as of the last [`Shop::advance`].
    pub fn metrics(&self) -> Payload {
        let mut w = write::Metrics::new();
        for (index, service) in SERVICES.iter().enumerate() {
            w.resource(|r| self.resource(r, index));
            w.scope("foreglow.demo", env!("CARGO_PKG_VERSION"));
            let state = self.loads[index];
            let (start, now) = (self.start, self.now);
            w.gauge("system.cpu.utilization", "1", "share of CPU time in use", |p| {
                p.double(now, state.cpu, |_| ());
            });
            w.gauge("system.memory.utilization", "1", "share of memory in use", |p| {
                p.double(now, state.memory, |_| ());
            });
            w.sum("process.cpu.time", "s", "CPU time used", Temporality::Cumulative, true, |p| {
                p.start(start);
                p.double(now, self.cpu_seconds[index], |a| a.str("cpu.mode", "user"));
            });
            w.gauge("http_request_duration_ms", "", "mean duration of HTTP requests", |p| {
                p.double(now, state.duration * 1e3, |_| ());
            });
            w.gauge("grpc_request_duration_ms", "", "mean duration of gRPC requests", |p| {
                p.double(now, state.duration * 400.0, |_| ());
            });
            self.requests(&mut w, index);
            self.business(&mut w, service.name);
        }
        w.finish()
    }

    fn requests(&self, w: &mut write::Metrics, index: usize) {
        let name = "http.server.request.duration";
        w.histogram(name, "s", "duration of HTTP server requests", Temporality::Cumulative, |p| {
            for (route, totals) in SERVICES[index].routes.iter().zip(&self.routes[index]) {
                for (status, outcome) in [200, 500].into_iter().zip(&totals.outcomes) {
                    if outcome.count == 0 {
                        continue;
                    }
                    p.start(self.start);
                    let histogram = write::Histogram {
                        count: outcome.count,
                        sum: Some(outcome.sum),
                        explicit_bounds: BOUNDS,
                        bucket_counts: &outcome.buckets,
                        ..Default::default()
                    };
                    p.histogram(self.now, &histogram, |a| {
                        a.str("http.request.method", method(route));
                        a.str("http.route", route);
                        a.int("http.response.status_code", status);
                    });
                }
            }
        });
        let active = self.loads[index].rate * self.loads[index].duration;
        w.sum(
            "http.server.active_requests",
            "{request}",
            "requests being served",
            Temporality::Cumulative,
            false,
            |p| {
                p.start(self.start);
                p.int(self.now, active.round() as i64, |a| a.str("http.request.method", "GET"));
            },
        );
    }

    fn resource(&self, r: &mut write::AttrWriter<'_>, index: usize) {
        let service = &SERVICES[index];
        if let Some(namespace) = &self.namespace {
            r.str("service.namespace", namespace);
        }
        r.str("service.name", service.name);
        r.str("service.version", "1.4.2");
        r.str("service.instance.id", service.host);
        r.str("deployment.environment.name", service.environment);
        r.str(
            "data_plane_id",
            match service.environment {
                "prod" => "dp-prod-01",
                _ => "dp-qa-01",
            },
        );
        r.str("host.name", service.host);
        r.str("telemetry.sdk.language", "rust");
    }

    fn business(&self, w: &mut write::Metrics, service: &str) {
        let cumulative = Temporality::Cumulative;
        if service == "checkout" {
            w.sum("shop.orders.created", "{order}", "orders created", cumulative, true, |p| {
                p.start(self.start);
                p.int(self.now, self.orders as i64, |_| ());
            });
            let about = "items in carts that became orders";
            w.sum("shop.cart.items", "{item}", about, cumulative, true, |p| {
                p.start(self.start);
                p.int(self.now, self.items as i64, |_| ());
            });
        }
        if service == "payments" {
            w.sum("shop.payments", "{payment}", "payments by outcome", cumulative, true, |p| {
                for (outcome, count) in ["ok", "failed"].into_iter().zip(self.payments) {
                    p.start(self.start);
                    p.int(self.now, count as i64, |a| a.str("outcome", outcome));
                }
            });
        }
    }

    /// A few of the requests of the last tick, from the storefront to the payment.
    pub fn traces(&self) -> Payload {
        let mut w = write::Traces::new();
        for service in 0..3 {
            w.resource(|r| self.resource(r, service));
            w.scope("foreglow.demo", env!("CARGO_PKG_VERSION"));
            for journey in &self.journeys {
                journey.spans_of(service, &mut w);
            }
        }
        w.finish()
    }

    /// What the services logged about the requests in [`Shop::traces`], with their trace ids.
    pub fn logs(&self) -> Payload {
        let mut w = write::Logs::new();
        w.resource(|r| self.resource(r, 1));
        w.scope("shop.checkout", env!("CARGO_PKG_VERSION"));
        for journey in &self.journeys {
            let (number, severity, what) = if journey.failed {
                (17, "ERROR", "payment declined for order")
            } else {
                (9, "INFO", "order created")
            };
            let body = format!("{what} {}", journey.order);
            let log = write::Log {
                time: journey.start + journey.durations[1],
                observed_time: self.now,
                severity_number: number,
                severity_text: severity,
                body: body.as_str().into(),
                trace_id: Some(journey.trace_id),
                span_id: Some(journey.spans[2]),
                flags: 1,
                ..Default::default()
            };
            w.log(&log, |a| {
                a.int("order.id", journey.order as i64);
                a.double("duration_ms", journey.durations[1] as f64 / 1e6);
            });
        }
        let trouble = (0..3).map(|i| incident(i, self.now)).fold(0.0, f64::max);
        if trouble > 0.3 {
            let log = write::Log {
                time: self.now,
                observed_time: self.now,
                severity_number: 13,
                severity_text: "WARN",
                body: "connection pool to the database is exhausted, requests are waiting".into(),
                ..Default::default()
            };
            w.log(&log, |a| a.int("pool.waiting", (trouble * 40.0) as i64));
        }
        w.finish()
    }
}

impl Journey {
    /// Spans: storefront (server, client) -> checkout (server, client) -> payments (server).
    fn spans_of(&self, service: usize, w: &mut write::Traces) {
        let names = [
            ("GET /checkout", "POST /api/orders"),
            ("POST /api/orders", "POST /api/payments"),
            ("POST /api/payments", ""),
        ];
        let (serves, calls) = names[service];
        // Half of what a service does comes before its call, half after.
        let before =
            |i: usize| if i < 2 { (self.durations[i] - self.durations[i + 1]) / 2 } else { 0 };
        let start = self.start + (0..service).map(before).sum::<u64>();
        let parent = (service > 0).then(|| self.spans[service * 2 - 1]);
        let status = if self.failed { StatusCode::Error } else { StatusCode::Unset };
        let span = write::Span {
            trace_id: self.trace_id,
            span_id: self.spans[service * 2],
            parent_span_id: parent,
            name: serves,
            kind: SpanKind::Server,
            start,
            end: start + self.durations[service],
            status,
            flags: 1,
            ..Default::default()
        };
        let code = if self.failed { 500 } else { 200 };
        w.span(&span, |a| {
            let (method, route) = serves.split_once(' ').unwrap_or(("GET", serves));
            a.str("http.request.method", method);
            a.str("http.route", route);
            a.int("http.response.status_code", code);
            a.int("order.id", self.order as i64);
        });
        if service == 2 {
            if self.failed {
                w.event(start + self.durations[2] / 2, "exception", |a| {
                    a.str("exception.type", "PaymentDeclined");
                    a.str("exception.message", "the card issuer declined the payment");
                });
            }
            return;
        }
        let start = start + before(service);
        let client = write::Span {
            span_id: self.spans[service * 2 + 1],
            parent_span_id: Some(self.spans[service * 2]),
            name: calls,
            kind: SpanKind::Client,
            start,
            end: start + self.durations[service + 1],
            ..span
        };
        w.span(&client, |a| {
            a.str("server.address", SERVICES[service + 1].name);
            a.int("http.response.status_code", code);
        });
    }
}

fn method(route: &str) -> &'static str {
    match route {
        "/api/orders" | "/api/payments" => "POST",
        _ => "GET",
    }
}
