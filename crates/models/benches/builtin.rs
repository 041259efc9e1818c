// SPDX-License-Identifier: Apache-2.0
//! State math of the embedded models: 10,000 series a request, one new point each.
#![allow(missing_docs)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use models::{Model, Outputs, Params, Rows, builtin};

const SERIES: u32 = 10_000;

/// Requests five seconds apart, each with one point of every series.
fn requests(inputs: usize) -> impl FnMut() -> Rows {
    let mut tick = 0u64;
    move || {
        tick += 1;
        let mut rows = Rows::new(inputs);
        for slot in 0..SERIES {
            let value = (tick as f64 / 10.0).sin() + f64::from(slot);
            rows.push(&vec![value; inputs], tick * 5_000_000_000, slot);
        }
        rows
    }
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("infer");
    group.throughput(Throughput::Elements(SERIES.into()));
    for (name, inputs) in [("scale", 1), ("sum", 2), ("holt_winters", 1)] {
        let mut model: Box<dyn Model> =
            builtin::create(name, inputs, &Params::default()).expect("the model exists");
        let mut next = requests(inputs);
        let mut out = Outputs::default();
        (0..1000).for_each(|_| model.infer(&next(), &mut out));
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                &mut next,
                |rows| model.infer(rows, &mut out),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
