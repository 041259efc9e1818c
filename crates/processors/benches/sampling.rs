// SPDX-License-Identifier: Apache-2.0
//! What sampling costs a span. `probabilistic_sampler` runs with admission and beside other passes,
//! as in a pipeline; `tail_sampling` takes 40 requests of 100 spans (200 traces of 20 spans, each
//! in four requests of different services), decides, and sends on what it keeps.
//!
//! Run: `cargo bench -p processors --bench sampling`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use basics::Clock;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use otlp_wire::{Payload, Scratch, Signal, write};
use pipeline::component::ProcessorFactory;
use pipeline::config::{ComponentConfig, from_yaml};
use pipeline::testing::{context, outlet};
use pipeline::{Batch, Meta, Processor, Stage};

#[path = "../../otlp-wire/benches/shared/cpu.rs"]
mod cpu;
#[path = "../../otlp-wire/benches/shared/sample.rs"]
#[allow(dead_code)]
mod sample;

use cpu::CpuTime;

const RESOURCE: &str = "attributes: [{key: environment, value: prod, action: upsert}]";
const ATTRIBUTES: &str = "actions: [{key: data_plane_id, value: dp-prod-01, action: insert}, \
                          {key: http.route, action: delete}, {key: url.path, action: hash}]";
const TAIL: &str = "policies: [\
    {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}, \
    {name: slow, type: latency, latency: {threshold_ms: 5000}}, \
    {name: service, type: string_attribute, string_attribute: {key: service.name, values: [x]}}, \
    {name: share, type: probabilistic, probabilistic: {sampling_percentage: 10}}]";

/// What `factory` makes of `yaml`.
fn processor<C: ComponentConfig>(
    factory: &ProcessorFactory,
    yaml: &str,
    clock: &Clock,
) -> Processor {
    let config = from_yaml::<C>(yaml).expect("a right configuration");
    let made = (factory.build)(Arc::new(config), context("p", Signal::Traces, clock));
    made.unwrap_or_else(|error| panic!("{error}"))
}

fn head(c: &mut Criterion<CpuTime>) {
    let payload = sample::traces(100);
    let clock = Clock::manual(0);
    let sampler = processors::probabilistic_sampler::factory();
    let at = |percent: u32| {
        let yaml = format!("sampling_percentage: {percent}");
        processor::<processors::probabilistic_sampler::Config>(&sampler, &yaml, &clock)
    };
    let resource = processors::resource::factory();
    let resource = || processor::<processors::resource::Config>(&resource, RESOURCE, &clock);
    let attributes = processors::attributes::factory();
    let attributes =
        || processor::<processors::attributes::Config>(&attributes, ATTRIBUTES, &clock);
    let cases = [
        ("admit, sample 50 %", vec![at(50)]),
        ("admit, sample 10 %", vec![at(10)]),
        (
            "admit, sample 10 %, resource, 3 attribute actions (goal 200 ns)",
            vec![at(10), resource(), attributes()],
        ),
    ];
    let mut group = c.benchmark_group("sampling");
    group.throughput(Throughput::Elements(payload.items().into()));
    for (name, processors) in cases {
        let made = processors.iter().map(|processor| match processor {
            Processor::Pass(make) => make(),
            _ => panic!("not a pass"),
        });
        let (mut passes, mut scratch) = (made.collect::<Vec<_>>(), Scratch::new());
        group.bench_function(name, |b| {
            b.iter(|| {
                let admitted = Payload::admit(Signal::Traces, payload.bytes().clone());
                black_box(admitted.expect("valid").edit(&mut passes, &mut scratch))
            });
        });
    }
    group.finish();
}

/// Requests as services send them: spans of twenty traces, five of each.
fn requests() -> Vec<Payload> {
    let request = |number: u64| {
        let mut w = write::Traces::new();
        w.resource(|r| {
            r.int("service", number as i64 % 4);
            (0..10).for_each(|i| r.str(&format!("resource.attribute.{i}"), "of a usual length"));
        });
        w.scope("bench", "1");
        for at in 0..100u64 {
            let mut trace_id = [7; 16];
            trace_id[..8].copy_from_slice(&(number / 4 * 20 + at / 5).to_be_bytes());
            let span = write::Span {
                trace_id,
                span_id: (number * 100 + at + 1).to_be_bytes(),
                parent_span_id: Some([1; 8]),
                name: "GET /cart",
                start: 1_000_000_000,
                end: 1_002_000_000,
                ..<_>::default()
            };
            w.span(&span, |a| {
                (0..15).for_each(|i| a.str(&format!("http.attribute.{i}"), "of a usual length"));
            });
        }
        w.finish()
    };
    (0..40).map(request).collect()
}

fn tail(c: &mut Criterion<CpuTime>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (requests, meta) = (requests(), Arc::new(Meta::default()));
    let factory = processors::tail_sampling::factory();
    let made = || {
        let clock = Clock::manual(0);
        match processor::<processors::tail_sampling::Config>(&factory, TAIL, &clock) {
            Processor::Stage(stage) => (stage, clock),
            _ => panic!("not a stage"),
        }
    };
    let run = |(mut stage, clock): (Box<dyn Stage>, Clock)| {
        let (out, rest) = outlet();
        runtime.block_on(async {
            for request in &requests {
                let batch = Batch::new(request.clone(), meta.clone());
                stage.take(batch, &out).await.expect("taken");
            }
            clock.advance(Duration::from_secs(40));
            stage.tick(&out).await.expect("decides");
        });
        assert!(rest.kept() == 0 && !rest.forwarded().is_empty());
        rest
    };
    let mut group = c.benchmark_group("sampling");
    group.throughput(Throughput::Elements(4000));
    group.bench_function("tail_sampling with 4 policies, 10 % kept", |b| {
        b.iter_batched(made, run, BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = head, tail
}
criterion_main!(benches);
