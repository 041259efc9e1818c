// SPDX-License-Identifier: Apache-2.0
//! Chunks of the 2,020 series workload: bytes a sample by chunk size and kind of series, and
//! nanoseconds a sample, CPU time of the thread.
//!
//! Run: `cargo bench -p chunk-codec`.

use std::collections::BTreeMap;
use std::hint::black_box;

use chunk_codec::{
    HistogramRef, decode_times, decode_values, encode_histograms, encode_times, encode_values,
    stats,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[path = "../../otlp-wire/benches/shared/cpu.rs"]
mod cpu;
#[path = "../../testkit/src/workload.rs"]
#[allow(dead_code, reason = "a module of tests, of which a bench needs a part")]
mod workload;

use cpu::CpuTime;
use workload::{DAY_STEPS, Workload};

const START_MS: i64 = 1_700_000_000_000;

/// All chunks of `samples` values.
fn chunks(columns: &[Vec<f64>], samples: usize) -> Vec<Vec<u8>> {
    let pack = |values: &[f64]| {
        let mut chunk = Vec::new();
        encode_values(values, &mut chunk);
        chunk
    };
    columns.iter().flat_map(|column| column.chunks(samples).map(pack)).collect()
}

/// Bytes of the times of an instance.
fn time_bytes(samples: usize, jitter_ms: u64) -> usize {
    let times: Vec<i64> =
        (0..DAY_STEPS).map(|step| Workload::time_ms(START_MS, 3, step, jitter_ms)).collect();
    let pack = |times: &[i64]| {
        let mut chunk = Vec::new();
        encode_times(times, &mut chunk);
        let mut back = Vec::new();
        decode_times(&chunk, &mut back).expect("what was encoded");
        assert_eq!(back, times);
        chunk.len()
    };
    times.chunks(samples).map(pack).sum()
}

fn print_sizes(workload: &Workload, columns: &[Vec<f64>]) {
    for samples in [120, 480, 1920, DAY_STEPS] {
        let bytes: usize = chunks(columns, samples).iter().map(Vec::len).sum();
        let all = columns.len() * DAY_STEPS;
        let of_times = |jitter_ms| (10 * time_bytes(samples, jitter_ms)) as f64 / all as f64;
        println!(
            "chunks of {samples}: {:.4} B/sample, times {:.4} aligned, {:.4} with jitter of 3 ms",
            bytes as f64 / all as f64,
            of_times(0),
            of_times(3),
        );
    }
    let mut by_kind: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (series, column) in workload.series.iter().zip(columns) {
        let bytes: usize = chunks(std::slice::from_ref(column), 480).iter().map(Vec::len).sum();
        let sum = by_kind.entry(series.kind()).or_default();
        *sum = (sum.0 + bytes, sum.1 + column.len());
    }
    for (kind, (bytes, samples)) in by_kind {
        println!("  {kind}: {:.3} B/sample at 480", bytes as f64 / samples as f64);
    }
}

fn values(c: &mut Criterion<CpuTime>) {
    let mut workload = Workload::new(10, 1);
    let columns = workload.columns(DAY_STEPS);
    print_sizes(&workload, &columns);
    let mut group = c.benchmark_group("values");
    for samples in [120, 480, DAY_STEPS] {
        // Every 7th series: all kinds, and a run that ends soon.
        let some: Vec<Vec<f64>> = columns.iter().step_by(7).cloned().collect();
        let count = (some.len() * DAY_STEPS) as u64;
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("encode, {samples}"), |b| {
            let mut out = Vec::new();
            b.iter(|| {
                for chunk in some.iter().flat_map(|column| column.chunks(samples)) {
                    out.clear();
                    encode_values(black_box(chunk), &mut out);
                }
            });
        });
        let packed = chunks(&some, samples);
        group.bench_function(format!("decode, {samples}"), |b| {
            let mut out = Vec::new();
            b.iter(|| {
                for chunk in &packed {
                    out.clear();
                    decode_values(black_box(chunk), &mut out).expect("what was encoded");
                }
            });
        });
    }
    group.throughput(Throughput::Elements((columns[0].len() * 20) as u64));
    group.bench_function("stats", |b| {
        b.iter(|| {
            columns.iter().step_by(101).for_each(|column| {
                black_box(stats(column));
            })
        });
    });
    group.finish();
}

fn histograms(c: &mut Criterion<CpuTime>) {
    let rows: Vec<Vec<(i32, f64)>> = (0..120i32)
        .map(|at| (0..40).map(|i| (i - 20, f64::from(at * (i % 7) * 3 + i * i + 1))).collect())
        .collect();
    let all: Vec<HistogramRef<'_>> = rows
        .iter()
        .enumerate()
        .map(|(at, positive)| HistogramRef {
            schema: 3,
            count: positive.iter().map(|(_, count)| count).sum(),
            sum: at as f64 * 0.7331,
            positive,
            ..HistogramRef::default()
        })
        .collect();
    let mut group = c.benchmark_group("histograms");
    let mut out = Vec::new();
    encode_histograms(&all, &mut out);
    println!("native histograms of 40 buckets: {:.1} B each", out.len() as f64 / 120.0);
    group.throughput(Throughput::Elements(120));
    group.bench_function("encode, 120 of 40 buckets", |b| {
        b.iter(|| {
            out.clear();
            encode_histograms(black_box(&all), &mut out)
        });
    });
    group.finish();
}

criterion_group!(
    name = benches;
    config = Criterion::default().with_measurement(CpuTime).sample_size(20);
    targets = values, histograms
);
criterion_main!(benches);
