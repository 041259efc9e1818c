// SPDX-License-Identifier: Apache-2.0
//! What a request costs between the door of a pipeline and its exporter: `resource` and three
//! `attributes` actions fused into one scan, and the runtime around an untouched request. Time is
//! CPU time of the thread, which does all the work: nothing here leaves the sender's task.
//!
//! Run: `cargo bench -p processors --bench pipeline`.

use std::hint::black_box;
use std::sync::Arc;

use async_trait::async_trait;
use basics::{Clock, Result};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use otlp_wire::{Payload, Signal, write};
use pipeline::component::ProcessorFactory;
use pipeline::config::{ComponentConfig, from_yaml};
use pipeline::testing::{Blueprint, TestReceiver};
use pipeline::{Batch, Budget, Exporter, Graph, Host, Meta};
use tokio::runtime::Runtime;

#[path = "../../otlp-wire/benches/shared/cpu.rs"]
mod cpu;

use cpu::CpuTime;

/// Spans of one request, as an SDK's batch of usual size.
const SPANS: u32 = 100;

/// Takes everything at once.
struct Sink;

#[async_trait]
impl Exporter for Sink {
    async fn export(&self, batch: Batch) -> Result<()> {
        black_box(&batch.payload);
        batch.settle(Ok(()));
        Ok(())
    }
}

fn spans() -> Payload {
    let mut w = write::Traces::new();
    w.resource(|r| {
        for i in 0..10 {
            r.str(&format!("resource.attribute.{i}"), "a value of a usual length");
        }
    });
    w.scope("bench", "1");
    for i in 0..SPANS {
        let span = write::Span {
            trace_id: [7; 16],
            span_id: [1; 8],
            name: "GET /cart",
            start: u64::from(i),
            ..<_>::default()
        };
        w.span(&span, |a| {
            for i in 0..15 {
                a.str(&format!("http.attribute.{i}"), "a value of a usual length");
            }
        });
    }
    w.finish()
}

const RESOURCE: &str = "attributes: [{key: environment, value: prod, action: upsert}]";
const ATTRIBUTES: &str = "actions: [{key: data_plane_id, value: dp-prod-01, action: insert}, \
                          {key: http.attribute.3, action: delete}, \
                          {key: http.attribute.7, action: hash}]";

fn with<C: ComponentConfig>(
    plan: Blueprint,
    id: &str,
    factory: ProcessorFactory,
    yaml: &str,
) -> Blueprint {
    let config = Arc::new(from_yaml::<C>(yaml).expect("a right configuration"));
    plan.processor(id, move |context| (factory.build)(config.clone(), context))
}

fn bench(c: &mut Criterion<CpuTime>, name: &str, processors: &[&str]) {
    let (input, payload) = (TestReceiver::new(), spans());
    let plan = Blueprint::new().receiver("in", &input).exporter("out", Arc::new(Sink));
    let plan =
        with::<processors::resource::Config>(plan, "r", processors::resource::factory(), RESOURCE);
    let attributes = processors::attributes::factory();
    let plan = with::<processors::attributes::Config>(plan, "a", attributes, ATTRIBUTES);
    let plan = plan.pipeline("traces", &["in"], processors, &["out"]).plan();
    let host = Host::with("unused".into(), Clock::system(), Budget::new(1 << 30));
    let runtime = Runtime::new().expect("a runtime");
    let graph = Graph::build(&plan, &host).unwrap_or_else(|errors| panic!("{errors:?}"));
    let running = runtime.block_on(graph.start()).expect("starts");
    let meta = Arc::new(Meta::default());
    let mut group = c.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(u64::from(payload.items())));
    group.bench_function(name, |b| {
        b.iter(|| {
            let admitted = Payload::admit(Signal::Traces, payload.bytes().clone()).expect("valid");
            runtime.block_on(input.send(Batch::new(admitted, meta.clone()))).expect("taken");
        });
    });
    group.finish();
    drop(running);
}

fn all(c: &mut Criterion<CpuTime>) {
    bench(c, "admit and pass on 100 spans", &[]);
    bench(c, "admit, resource, 3 attribute actions with SHA-256 on 100 spans", &["r", "a"]);
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = all
}
criterion_main!(benches);
