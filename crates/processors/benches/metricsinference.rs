// SPDX-License-Identifier: Apache-2.0
//! Embedded inference of 10,000 series a batch, everything included: finding the series, the
//! model, writing the results. Floor: 20 ms.
#![allow(missing_docs)]

use basics::Clock;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use otlp_wire::Signal;
use otlp_wire::write::Metrics;
use pipeline::component::{Context, Processor, Stage};
use pipeline::testing::outlet;
use pipeline::{Batch, Meta};
use processors::metricsinference::{Config, factory};
use std::hint::black_box;
use std::sync::Arc;

const SERIES: i64 = 10_000;

fn stage(rule: &str) -> Box<dyn Stage> {
    let config: Config = pipeline::config::from_yaml(&format!("rules: [{rule}]")).expect("valid");
    let context = Context {
        id: "metricsinference".into(),
        signal: Signal::Metrics,
        pipeline: "metrics".into(),
        clock: Clock::system(),
        host: pipeline::host::Host::new(std::path::PathBuf::new()),
    };
    match (factory().build)(Arc::new(config), context).expect("builds") {
        Processor::Stage(stage) => stage,
        _ => unreachable!("metricsinference is a stage"),
    }
}

/// Batches of 100 hosts with 100 series of five attributes each, five seconds apart.
fn batches(metrics: &'static [&'static str]) -> impl FnMut() -> Batch {
    let mut time = 1_790_000_000_000_000_000u64;
    move || {
        time += 5_000_000_000;
        let mut writer = Metrics::new();
        for host in 0..100 {
            writer.resource(|r| {
                r.int("host.id", host);
                r.str("service.name", "checkout");
                r.str("deployment.environment", "production");
            });
            writer.scope("bench", "1");
            for metric in metrics {
                writer.gauge(metric, "1", "", |points| {
                    for series in 0..SERIES / 100 {
                        let value = (time as f64 / 1e12).sin() + series as f64;
                        points.double(time, value, |to| {
                            to.int("cpu", series);
                            to.str("state", "user");
                            to.str("method", "GET");
                            to.str("route", "/api/v1/products/{id}");
                            to.str("region", "eu-central-1");
                        });
                    }
                });
            }
        }
        Batch::new(writer.finish(), Arc::new(Meta::default()))
    }
}

fn bench(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut group = c.benchmark_group("metricsinference");
    group.throughput(Throughput::Elements(SERIES as u64)).sample_size(20);
    let cases: [(&str, &str, &'static [&'static str]); 3] = [
        ("scale", "{model_name: scale, inputs: [a]}", &["a"]),
        ("holt_winters", "{model_name: holt_winters, inputs: [a]}", &["a"]),
        ("sum_of_two", "{model_name: sum, inputs: [a, b]}", &["a", "b"]),
    ];
    for (name, rule, metrics) in cases {
        let mut stage = stage(rule);
        let mut next = batches(metrics);
        let (out, _rest) = outlet();
        for _ in 0..20 {
            runtime.block_on(stage.take(next(), &out)).expect("taken");
        }
        group.bench_function(name, |b| {
            // A new outlet each time: it keeps everything it is given.
            let input = || (next(), outlet());
            b.iter_batched(
                input,
                |(batch, (out, rest))| {
                    runtime.block_on(stage.take(batch, &out)).expect("taken");
                    black_box(rest)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
