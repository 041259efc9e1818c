// SPDX-License-Identifier: Apache-2.0
//! Allocations a batch on the OTLP path, counted: its own binary, as the counting allocator is
//! global, and one test, as other threads would be counted too.

use std::alloc::System;

use otlp_wire::{Pass, Payload, PointView, Scratch};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[path = "../benches/shared/passes.rs"]
mod passes;
#[path = "../benches/shared/sample.rs"]
mod sample;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations and reallocations of `f`.
fn count<T>(f: impl FnOnce() -> T) -> (usize, T) {
    let region = Region::new(ALLOCATOR);
    let value = f();
    let stats = region.change();
    (stats.allocations + stats.reallocations, value)
}

#[test]
fn admitting_and_editing_a_batch_takes_at_most_three_allocations() {
    let passes = || -> Vec<Box<dyn Pass>> {
        vec![Box::new(passes::SetResource), Box::new(passes::EditAttributes)]
    };
    let sample = || -> Vec<Box<dyn Pass>> {
        vec![Box::new(passes::Sample), Box::new(passes::EditAttributes)]
    };
    let (traces, metrics, logs) = (sample::traces(100), sample::metrics(1000), sample::logs(1000));
    for (what, payload, mut passes) in [
        ("edit traces", &traces, passes()),
        ("edit metrics", &metrics, passes()),
        ("edit logs", &logs, passes()),
        ("sample traces", &traces, sample()),
    ] {
        let mut scratch = Scratch::new();
        let mut run = || {
            let payload = Payload::admit(payload.signal(), payload.bytes().clone()).expect("valid");
            payload.edit(&mut passes, &mut scratch)
        };
        // The first batch grows the scratch buffers of the worker.
        run();
        let (allocations, edited) = count(run);
        assert!(matches!(edited, otlp_wire::Edited::Changed(_)), "{what}");
        assert!(allocations <= 3, "{what}: {allocations} allocations");
        println!("{what}: {allocations} allocations");
    }
    let (allocations, _) = count(|| read(&traces) + read(&metrics) + read(&logs));
    assert_eq!(allocations, 0, "views do not allocate");
    let (allocations, _) = count(|| Payload::concat(&[traces.clone(), traces.clone()]));
    assert!(allocations <= 2, "concat: {allocations} allocations");
}

/// Touches every view of a payload.
fn read(payload: &Payload) -> usize {
    let mut bytes = 0;
    for resource in payload.resources() {
        bytes += resource.attrs().iter().map(|(k, _)| k.len()).sum::<usize>();
        for scope in resource.scopes() {
            bytes += scope.name().len();
            bytes += scope.spans().map(|s| s.name().len() + s.attrs().count()).sum::<usize>();
            bytes += scope.logs().map(|l| l.attrs().count()).sum::<usize>();
            for metric in scope.metrics() {
                if let otlp_wire::Data::Gauge { points } = metric.data() {
                    bytes += points.map(|p| p.attrs().raw().len()).sum::<usize>();
                }
            }
        }
    }
    bytes
}
