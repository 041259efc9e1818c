// SPDX-License-Identifier: Apache-2.0
//! Metrics into the head, one core: series known (warm), series new (cold), and a selection.
//!
//! 20 services, 5 attributes a point; 40 % gauges, 40 % sums, 20 % histograms of 12 buckets, so
//! 1,000 points are 3,600 series. Throughput is in samples; time is CPU time of the thread.
//!
//! Run: `cargo bench -p store`.

use std::hint::black_box;

use basics::labels::{MatchOp, Matcher};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use otlp_wire::write::{AttrWriter, Histogram, Metrics};
use otlp_wire::{Payload, Temporality};
use store::{Head, HeadOptions};

#[path = "../../otlp-wire/benches/shared/cpu.rs"]
mod cpu;

use cpu::CpuTime;

const NOW: u64 = 1_700_000_000_000_000_000;
const SERVICES: u64 = 20;
const BOUNDS: [f64; 11] = [5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0];

/// The points of all services at step `step`; `points` gauges or sums or histograms each.
fn payload(step: u64, points: u64) -> Payload {
    let time = NOW + step * 15_000_000_000;
    let mut w = Metrics::new();
    for service in 0..SERVICES {
        w.resource(|r| {
            r.str("service.name", &format!("service-{service}"));
            r.str("host.name", &format!("host-{}", service % 4));
            r.str("deployment.environment.name", "production");
            r.str("telemetry.sdk.language", "rust");
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
            match i % 5 {
                0 | 1 => w.gauge(&format!("gauge.{}", i % 8), "By", "", |p| {
                    p.double(time, value, attrs(i))
                }),
                2 | 3 => {
                    w.sum(&format!("sum.{}", i % 8), "1", "", Temporality::Cumulative, true, |p| {
                        p.int(time, (step * 3) as i64, attrs(i));
                    })
                }
                _ => w.histogram(
                    "http.server.request.duration",
                    "ms",
                    "",
                    Temporality::Cumulative,
                    |p| {
                        let counts = [step; BOUNDS.len() + 1];
                        let value = Histogram {
                            count: step * counts.len() as u64,
                            sum: Some(value),
                            bucket_counts: &counts,
                            explicit_bounds: &BOUNDS,
                            ..Histogram::default()
                        };
                        p.histogram(time, &value, attrs(i));
                    },
                ),
            }
        }
    }
    w.finish()
}

fn ingest(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("ingest");
    for (name, points) in [("3.6k series", 50), ("72k series", 1000)] {
        let first = payload(0, points);
        let samples = Head::new(HeadOptions::default()).ingest(&first, NOW).accepted;
        group.throughput(Throughput::Elements(samples));
        let head = Head::new(HeadOptions::default());
        head.ingest(&first, NOW);
        let mut step = 0;
        group.bench_function(format!("warm, {name}"), |b| {
            b.iter_batched(
                || {
                    step += 1;
                    (step, payload(step, points))
                },
                |(step, payload)| black_box(head.ingest(&payload, NOW + step * 15_000_000_000)),
                BatchSize::PerIteration,
            );
        });
    }
    let first = payload(0, 50);
    let samples = Head::new(HeadOptions::default()).ingest(&first, NOW).accepted;
    group.throughput(Throughput::Elements(samples));
    group.bench_function("cold, 3.6k series", |b| {
        b.iter_batched(
            || Head::new(HeadOptions::default()),
            |head| {
                black_box(head.ingest(&first, NOW));
                head
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn select(c: &mut Criterion<CpuTime>) {
    let head = Head::new(HeadOptions::default());
    for step in 0..240 {
        head.ingest(&payload(step, 50), NOW + step * 15_000_000_000);
    }
    let name = Matcher::new(MatchOp::Regex, "__name__", "http_server_request_duration.*_bucket");
    let matchers = [name.expect("a valid pattern")];
    let samples: usize = head
        .select(&matchers, 0, i64::MAX, 0)
        .expect("no bound")
        .iter()
        .map(|series| series.values.len())
        .sum();
    let mut group = c.benchmark_group("select");
    group.throughput(Throughput::Elements(samples as u64));
    group.bench_function("one hour of a histogram", |b| {
        b.iter(|| black_box(head.select(&matchers, 0, i64::MAX, 0)));
    });
    group.finish();
}

criterion_group!(
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = ingest, select
);
criterion_main!(benches);
