// SPDX-License-Identifier: Apache-2.0
//! The simulated shop: how busy each service is at a moment, how slow, how often it fails.
//!
//! In: a wall-clock time. Out: a [`Load`] per service. The course of a day is a sum of seasons
//! (a day, an hour, five minutes: the last so that a newcomer sees a forecast follow something
//! within minutes), noise, and incidents that come and go. Everything but the noise is a function
//! of the time, so two runs at the same time show the same shape.

use std::f64::consts::TAU;

use basics::{Random, UnixNano};

/// One simulated service.
#[derive(Debug)]
pub struct Service {
    /// `service.name`.
    pub name: &'static str,
    /// `deployment.environment.name`.
    pub environment: &'static str,
    /// `host.name` of its one instance.
    pub host: &'static str,
    /// Requests a second on an average day.
    pub rate: f64,
    /// Typical duration of a request in seconds.
    pub duration: f64,
    /// `http.route` values it serves, the busiest first.
    pub routes: &'static [&'static str],
    /// Hours by which its day is shifted against the others.
    pub shift: f64,
}

/// The services of the demo, callers first.
pub const SERVICES: &[Service] = &[
    Service {
        name: "storefront",
        environment: "prod",
        host: "demo-web-1",
        rate: 42.0,
        duration: 0.085,
        routes: &["/", "/api/products", "/api/search"],
        shift: 0.0,
    },
    Service {
        name: "checkout",
        environment: "prod",
        host: "demo-web-2",
        rate: 14.0,
        duration: 0.140,
        routes: &["/api/orders", "/api/cart"],
        shift: 0.6,
    },
    Service {
        name: "payments",
        environment: "prod",
        host: "demo-pay-1",
        rate: 9.0,
        duration: 0.210,
        routes: &["/api/payments"],
        shift: 1.1,
    },
    Service {
        name: "storefront",
        environment: "qa",
        host: "demo-qa-1",
        rate: 4.0,
        duration: 0.095,
        routes: &["/", "/api/products"],
        shift: 5.0,
    },
];

/// Seconds between the beginnings of two incidents, and how long one lasts.
const INCIDENT_EVERY: f64 = 660.0;
const INCIDENT_LASTS: f64 = 75.0;

/// How a service is doing at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Requests a second.
    pub rate: f64,
    /// Median duration of a request in seconds.
    pub duration: f64,
    /// Share of requests that fail, `0.0..=1.0`.
    pub errors: f64,
    /// CPU in use, `0.0..=1.0`.
    pub cpu: f64,
    /// Memory in use, `0.0..=1.0`.
    pub memory: f64,
}

/// The state of service number `index` at `now`.
pub fn load(index: usize, now: UnixNano, random: &mut Random) -> Load {
    let service = &SERVICES[index];
    let seconds = now as f64 / 1e9 + service.shift * 3600.0;
    let season = 1.0
        + 0.35 * wave(seconds, 86_400.0)
        + 0.15 * wave(seconds, 3_600.0)
        + 0.22 * wave(seconds + 40.0 * service.shift, 300.0);
    let trouble = incident(index, now);
    let busy = (season + 0.03 * gauss(random)).max(0.05);
    let slow = 1.0 + 0.5 * (busy - 1.0).max(0.0) + 3.0 * trouble;
    Load {
        rate: service.rate * busy,
        duration: service.duration * slow * (1.0 + 0.04 * gauss(random)).max(0.2),
        errors: (0.004 + 0.16 * trouble).clamp(0.0, 1.0),
        cpu: (0.06 + 0.34 * busy + 0.30 * trouble + 0.008 * gauss(random)).clamp(0.01, 0.99),
        memory: (0.42 + 0.10 * wave(seconds, 3_600.0) + 0.004 * gauss(random)).clamp(0.05, 0.95),
    }
}

/// How bad the incident of service `index` is at `now`, 0 = none, 1 = at its height.
pub fn incident(index: usize, now: UnixNano) -> f64 {
    let seconds = (now / 1_000_000_000) as f64;
    let turn = (seconds / INCIDENT_EVERY).floor();
    // One service at a time, in turn, so that "which one is it" has an answer.
    if turn as usize % SERVICES.len() != index {
        return 0.0;
    }
    let at = seconds - turn * INCIDENT_EVERY;
    if at > INCIDENT_LASTS { 0.0 } else { (at / INCIDENT_LASTS * std::f64::consts::PI).sin() }
}

fn wave(seconds: f64, period: f64) -> f64 {
    (seconds / period * TAU).sin()
}

/// A normally distributed number (sum of twelve uniforms, Irwin-Hall).
pub fn gauss(random: &mut Random) -> f64 {
    (0..12).map(|_| random.unit()).sum::<f64>() - 6.0
}
