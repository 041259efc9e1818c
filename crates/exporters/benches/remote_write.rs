// SPDX-License-Identifier: Apache-2.0
//! Metrics to remote write requests, one core: series known (warm), 1.0 and 2.0, admitting the
//! payload and packing with snappy included.
//!
//! 20 services, 5 attributes a point; 40 % gauges, 40 % sums, 20 % histograms of 12 buckets, so
//! 1,000 points are 3,600 series. Throughput is in series; time is CPU time of the thread.
//!
//! Run: `cargo bench -p exporters`.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use exporters::prometheusremotewrite::{Config, Encoder};
use otlp_wire::write::{AttrWriter, Histogram, Metrics};
use otlp_wire::{Payload, Signal, Temporality};

#[path = "../../otlp-wire/benches/shared/cpu.rs"]
mod cpu;

use cpu::CpuTime;

const NOW: u64 = 1_700_000_000_000_000_000;
const SERVICES: u64 = 20;
const BOUNDS: [f64; 11] = [5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0];

/// The points of all services at step `step`; `points` of each.
fn payload(step: u64, points: u64) -> Bytes {
    let time = NOW + step * 15_000_000_000;
    let mut w = Metrics::new();
    for service in 0..SERVICES {
        w.resource(|r| {
            r.str("service.name", &format!("service-{service}"));
            r.str("host.name", &format!("host-{}", service % 4));
            r.str("deployment.environment.name", "production");
        });
        w.scope("instrumentation", "1.2.3");
        let attrs = |i: u64| {
            move |a: &mut AttrWriter<'_>| {
                a.str("http.request.method", "GET");
                a.str("http.route", &format!("/api/v1/items/{i}"));
                a.int("http.response.status_code", 200);
                a.str("network.protocol.version", "1.1");
                a.str("server.address", "example.com");
            }
        };
        for i in 0..points {
            let value = (step * 7 + i) as f64;
            let cumulative = Temporality::Cumulative;
            match i % 5 {
                0 | 1 => w.gauge(&format!("gauge.{}", i % 8), "By", "", |p| {
                    p.double(time, value, attrs(i));
                }),
                2 | 3 => w.sum(&format!("sum.{}", i % 8), "1", "", cumulative, true, |p| {
                    p.int(time, (step * 3) as i64, attrs(i));
                }),
                _ => w.histogram("http.server.request.duration", "ms", "", cumulative, |p| {
                    let counts = [step; BOUNDS.len() + 1];
                    let value = Histogram {
                        count: step * counts.len() as u64,
                        sum: Some(value),
                        bucket_counts: &counts,
                        explicit_bounds: &BOUNDS,
                        ..Histogram::default()
                    };
                    p.histogram(time, &value, attrs(i));
                }),
            }
        }
    }
    w.finish().bytes().clone()
}

fn remote_write(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("remote write");
    for (name, message) in
        [("1.0", "prometheus.WriteRequest"), ("2.0", "io.prometheus.write.v2.Request")]
    {
        let json = format!("{{\"protobuf_message\":\"{message}\"}}");
        let config: Config = serde_json::from_str(&json).expect("valid");
        let mut encoder = Encoder::of(&config);
        let mut encode = |bytes: Bytes| {
            let payload = Payload::admit(Signal::Metrics, bytes).expect("valid");
            let (lanes, _) = encoder.encode(&payload);
            lanes.iter().flatten().map(|request| request.holds.series).sum::<u64>()
        };
        group.throughput(Throughput::Elements(encode(payload(0, 50))));
        let mut step = 0;
        group.bench_function(format!("warm, {name}"), |b| {
            b.iter_batched(
                || {
                    step += 1;
                    payload(step, 50)
                },
                |bytes| black_box(encode(bytes)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = remote_write
);
criterion_main!(benches);
