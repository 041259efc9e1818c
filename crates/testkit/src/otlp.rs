// SPDX-License-Identifier: Apache-2.0
//! Small OTLP payloads with known content.

use otlp_wire::{Payload, Signal, Temporality, write};

/// 2026-01-01T00:00:00Z in nanoseconds: when everything made here happened.
pub const NOW: u64 = 1_767_225_600_000_000_000;

/// `count` spans named `span-0`.. of the service `shop`.
pub fn traces(count: usize) -> Payload {
    let mut out = write::Traces::new();
    out.resource(|attrs| attrs.str("service.name", "shop"));
    out.scope("testkit", "1");
    for at in 0..count {
        let id = (at as u64 + 1).to_be_bytes();
        let mut trace_id = [0xab; 16];
        trace_id[..8].copy_from_slice(&id);
        let name = format!("span-{at}");
        let span = write::Span {
            trace_id,
            span_id: id,
            name: &name,
            start: NOW,
            end: NOW + 1_000_000,
            ..write::Span::default()
        };
        out.span(&span, |attrs| attrs.str("http.route", "/cart"));
    }
    out.finish()
}

/// `count` points of the gauge `load`, one series each (`at`), of the service `shop`.
pub fn metrics(count: usize) -> Payload {
    let mut out = write::Metrics::new();
    out.resource(|attrs| {
        attrs.str("service.name", "shop");
        attrs.str("service.instance.id", "i1");
    });
    out.scope("testkit", "1");
    out.gauge("load", "", "how busy", |points| {
        for at in 0..count {
            points.double(NOW, at as f64, |attrs| attrs.int("at", at as i64));
        }
    });
    out.finish()
}

/// One point of the cumulative counter `requests` at `seconds` after [`NOW`].
pub fn counter(seconds: u64, value: f64) -> Payload {
    let mut out = write::Metrics::new();
    out.resource(|attrs| attrs.str("service.name", "shop"));
    out.scope("testkit", "1");
    out.sum("requests", "", "", Temporality::Cumulative, true, |points| {
        points.start(NOW);
        points.double(NOW + seconds * 1_000_000_000, value, |_| {});
    });
    out.finish()
}

/// `count` log records with the bodies `line 0`.. of the service `shop`.
pub fn logs(count: usize) -> Payload {
    let mut out = write::Logs::new();
    out.resource(|attrs| attrs.str("service.name", "shop"));
    out.scope("testkit", "1");
    for at in 0..count {
        let body = format!("line {at}");
        let log = write::Log {
            time: NOW,
            severity_number: 9,
            severity_text: "INFO",
            body: body.as_str().into(),
            ..write::Log::default()
        };
        out.log(&log, |attrs| attrs.int("at", at as i64));
    }
    out.finish()
}

/// `count` items of `signal`.
pub fn payload(signal: Signal, count: usize) -> Payload {
    match signal {
        Signal::Traces => traces(count),
        Signal::Metrics => metrics(count),
        Signal::Logs => logs(count),
    }
}
