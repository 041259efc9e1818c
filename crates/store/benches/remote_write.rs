// SPDX-License-Identifier: Apache-2.0
//! Remote write 1.0 into a store, durable: CPU seconds of the whole process per million samples.
//!
//! 2,020 series of ten labels, a sample of each in a request, as Prometheus sends what it scrapes;
//! four hours at 15 s. Every request is waited for until the log has it. Floor: 0.6 CPU-s.

use std::sync::Arc;

use basics::Clock;
use basics::files::RealFiles;
use basics::labels::Labels;
use store::remote_write::{Encoder, Version};
use store::{Store, StoreOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SERIES: usize = 2_020;
const REQUESTS: usize = 960;
const START_MS: i64 = 1_790_000_000_000;

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn labels(number: usize) -> Labels {
    let instance = format!("node-{}.example.internal:9100", number % 10);
    let (cpu, mode) = ((number / 10 % 8).to_string(), format!("mode-{}", number / 80));
    Labels::new([
        ("__name__", "node_cpu_seconds_total"),
        ("cluster", "production-eu-west"),
        ("cpu", &cpu),
        ("datacenter", "eu-west-1a"),
        ("environment", "production"),
        ("instance", &instance),
        ("job", "node-exporter"),
        ("mode", &mode),
        ("region", "eu-west-1"),
        ("team", "infrastructure"),
    ])
}

fn main() {
    let folder = tempfile::tempdir().expect("temp dir");
    let all: Vec<Labels> = (0..SERIES).map(labels).collect();
    let bodies: Vec<Vec<u8>> = (0..REQUESTS)
        .map(|request| {
            let mut encoder = Encoder::default();
            let time_ms = START_MS + request as i64 * 15_000;
            for (number, labels) in all.iter().enumerate() {
                encoder.sample(labels, time_ms, (request * (number % 97 + 1)) as f64 / 100.0);
            }
            encoder.finish().expect("small")
        })
        .collect();
    let clock = Clock::manual(START_MS as u64 * 1_000_000);
    let (files, options) = (Arc::new(RealFiles), StoreOptions::default());
    let store = Store::open(folder.path(), options, files, clock).expect("opens");
    let begun = cpu_seconds();
    for (request, body) in bodies.iter().enumerate() {
        let received = (START_MS + request as i64 * 15_000) as u64 * 1_000_000;
        let (written, ticket) = store.write(Version::V1, body, received).expect("taken");
        assert_eq!(written.samples, SERIES as u64);
        ticket.wait().expect("durable");
    }
    let samples = (SERIES * REQUESTS) as f64;
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    println!(
        "remote write: {:.3} CPU-s per million samples, {:.1} bytes a sample in the log",
        (cpu_seconds() - begun) / samples * 1e6,
        bytes as f64 / samples,
    );
}
