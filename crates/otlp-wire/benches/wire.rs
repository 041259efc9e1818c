// SPDX-License-Identifier: Apache-2.0
//! What holding telemetry as bytes costs. Goals (one core, AMD Zen 4) stand in the names, an
//! element being a span, a data point or a log record. Time is CPU time of the thread.
//!
//! Run: `cargo bench -p otlp-wire`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use otlp_wire::{Pass, Payload, PointView, Scratch};

#[path = "shared/cpu.rs"]
mod cpu;
#[path = "shared/passes.rs"]
mod passes;
#[path = "shared/sample.rs"]
mod sample;

use cpu::CpuTime;
use passes::{EditAttributes, Sample, SetResource};

fn bench(c: &mut Criterion<CpuTime>, name: &str, elements: u32, mut f: impl FnMut()) {
    let mut group = c.benchmark_group("wire");
    group.throughput(Throughput::Elements(u64::from(elements)));
    group.bench_function(name, |b| b.iter(&mut f));
    group.finish();
}

fn admit(payload: &Payload) -> Payload {
    Payload::admit(payload.signal(), black_box(payload.bytes().clone())).expect("valid")
}

fn admission(c: &mut Criterion<CpuTime>) {
    let (traces, metrics, logs) = (sample::traces(100), sample::metrics(1000), sample::logs(1000));
    for (name, payload) in [
        ("admit traces (goal 150 ns)", &traces),
        ("admit metrics (goal 45 ns)", &metrics),
        ("admit logs (goal 65 ns)", &logs),
    ] {
        bench(c, name, payload.items(), || drop(black_box(admit(payload))));
    }
}

fn edits(c: &mut Criterion<CpuTime>) {
    let (traces, metrics, logs) = (sample::traces(100), sample::metrics(1000), sample::logs(1000));
    type Passes = Vec<Box<dyn Pass>>;
    let resource = || -> Passes { vec![Box::new(SetResource)] };
    let both = || -> Passes { vec![Box::new(SetResource), Box::new(EditAttributes)] };
    let sample = || -> Passes { vec![Box::new(Sample)] };
    let all =
        || -> Passes { vec![Box::new(Sample), Box::new(SetResource), Box::new(EditAttributes)] };
    let cases: [(&str, &Payload, Passes); 6] = [
        ("edit resource of traces (goal 27 ns)", &traces, resource()),
        (
            "admit and edit resource and 3 attributes, SHA-256, of traces (goal 450 ns)",
            &traces,
            both(),
        ),
        ("admit and edit resource and 2 attributes of metrics", &metrics, both()),
        ("admit and edit resource and 3 attributes, SHA-256, of logs", &logs, both()),
        ("sample 10 % of traces (goal 12 ns)", &traces, sample()),
        ("admit, sample 10 % and edit both of traces (goal 200 ns)", &traces, all()),
    ];
    for (name, payload, mut passes) in cases {
        let mut scratch = Scratch::new();
        let admits = name.starts_with("admit");
        bench(c, name, payload.items(), || {
            let payload = if admits { admit(payload) } else { payload.clone() };
            drop(black_box(payload.edit(&mut passes, &mut scratch)));
        });
    }
}

fn copies(c: &mut Criterion<CpuTime>) {
    for (signal, payload) in [
        ("traces", sample::traces(100)),
        ("metrics", sample::metrics(1000)),
        ("logs", sample::logs(1000)),
    ] {
        let ten = vec![payload.clone(); 10];
        let items = payload.items() * 10;
        bench(c, &format!("concat 10 of {signal} (goal 15 ns)"), items, || {
            drop(black_box(Payload::concat(&ten)));
        });
        let times = (10_000 / payload.items()) as usize;
        let large = Payload::concat(&vec![payload.clone(); times]);
        bench(c, &format!("split 10000 of {signal} at 8192 (goal 45 ns)"), large.items(), || {
            drop(black_box(large.clone().split(8192)));
        });
    }
    let traces = sample::traces(100);
    bench(c, "count traces through views (goal 7 ns)", traces.items(), || {
        let spans = traces.traces().flat_map(|r| r.scopes()).map(|s| s.spans().count());
        black_box(spans.sum::<usize>());
    });
    let metrics = sample::metrics(1000);
    bench(c, "read time, value and raw attributes of number points", metrics.items(), || {
        let metrics = metrics.metrics().flat_map(|r| r.scopes()).flat_map(|s| s.metrics());
        for metric in metrics {
            if let otlp_wire::Data::Gauge { points } | otlp_wire::Data::Sum { points, .. } =
                metric.data()
            {
                for point in points {
                    black_box((point.time(), point.value(), point.attrs().raw()));
                }
            }
        }
    });
    let logs = sample::logs(1000);
    let mut text = Vec::new();
    bench(c, "logs to json", logs.items(), || {
        text.clear();
        logs.to_json(&mut text);
    });
    bench(c, "logs from json", logs.items(), || {
        drop(black_box(Payload::from_json(logs.signal(), &text)));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime);
    targets = admission, edits, copies
}
criterion_main!(benches);
