// SPDX-License-Identifier: Apache-2.0
//! The shop's business figures.

use std::sync::Arc;
use std::time::Instant;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use crate::breaker::Breaker;

/// Money in the cart, in euro: from a pen to a laptop.
const EUROS: [f64; 8] = [5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

/// Time of a checkout step in seconds.
const SECONDS: [f64; 8] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// What the shop counts beside its requests.
pub(super) struct Instruments {
    /// By `outcome` ok, failed.
    pub payments: Counter<u64>,
    pub payment_amount: Counter<f64>,
    pub orders: Counter<u64>,
    /// By `result` hit, miss.
    pub cache: Counter<u64>,
    pub cart_value: Histogram<f64>,
    pub cart_items: Counter<u64>,
    pub checkout: Histogram<f64>,
    /// By `state`.
    pub breaker_changes: Counter<u64>,
}

impl Instruments {
    pub fn new(meter: &Meter) -> Instruments {
        let counter = |name: &'static str, unit: &'static str, about: &'static str| {
            meter.u64_counter(name).with_unit(unit).with_description(about).build()
        };
        Instruments {
            payments: counter("shop.payments", "{payment}", "Payments by outcome."),
            payment_amount: meter
                .f64_counter("shop.payment.amount")
                .with_unit("EUR")
                .with_description("Money paid.")
                .build(),
            orders: counter("shop.orders.created", "{order}", "Orders created."),
            cache: counter("shop.cache.requests", "{request}", "Cache look-ups by result."),
            cart_value: meter
                .f64_histogram("shop.cart.value")
                .with_unit("EUR")
                .with_description("Worth of the carts that became orders.")
                .with_boundaries(EUROS.to_vec())
                .build(),
            cart_items: counter("shop.cart.items", "{item}", "Items in carts that became orders."),
            checkout: meter
                .f64_histogram("shop.checkout.duration")
                .with_unit("s")
                .with_description("Time from the order's arrival to its being written.")
                .with_boundaries(SECONDS.to_vec())
                .build(),
            breaker_changes: counter(
                "shop.dependency.circuit_breaker.transitions",
                "{transition}",
                "Changes of the breaker's state.",
            ),
        }
    }
}

/// Tells the breaker's state whenever metrics are collected.
pub(super) fn watch_breaker(meter: &Meter, breaker: Arc<Breaker>) {
    let _gauge = meter
        .u64_observable_gauge("shop.dependency.circuit_breaker.state")
        .with_description("0 closed, 1 half open, 2 open.")
        .with_callback(move |observer| {
            let state = breaker.state(Instant::now()).number();
            observer.observe(state, &[KeyValue::new("dependency", "payment-gateway")]);
        })
        .build();
}
