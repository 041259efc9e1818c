// SPDX-License-Identifier: Apache-2.0
//! The properties of `otlp-wire` over bounded numbers of seeds.

use fuzz::check::{self, Mutant};
use fuzz::chunks;
use fuzz::rounds;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest as Logs,
    metrics::v1::ExportMetricsServiceRequest as Metrics,
    trace::v1::ExportTraceServiceRequest as Traces,
};

fn each_seed(base: u64, checks: [fn(u64); 3]) {
    for seed in 0..rounds(base) {
        checks.iter().for_each(|check| check(seed));
    }
}

#[test]
fn views_read_what_prost_encodes() {
    each_seed(
        900,
        [
            check::views_equal_prost::<Traces>,
            check::views_equal_prost::<Metrics>,
            check::views_equal_prost::<Logs>,
        ],
    );
}

#[test]
fn prost_decodes_what_writers_write() {
    each_seed(
        600,
        [
            check::writers_equal_prost::<Traces>,
            check::writers_equal_prost::<Metrics>,
            check::writers_equal_prost::<Logs>,
        ],
    );
}

#[test]
fn editing_bytes_equals_editing_structs() {
    each_seed(
        1500,
        [
            check::edits_equal_prost::<Traces>,
            check::edits_equal_prost::<Metrics>,
            check::edits_equal_prost::<Logs>,
        ],
    );
}

#[test]
fn json_reads_back_what_it_wrote() {
    each_seed(
        600,
        [
            check::json_round_trips::<Traces>,
            check::json_round_trips::<Metrics>,
            check::json_round_trips::<Logs>,
        ],
    );
}

#[test]
fn parts_hold_every_item_once_and_in_order() {
    each_seed(
        900,
        [
            check::splits_and_joins::<Traces>,
            check::splits_and_joins::<Metrics>,
            check::splits_and_joins::<Logs>,
        ],
    );
}

#[test]
fn broken_requests_are_refused_or_read_as_prost_reads_them() {
    let mut seen = [0; 3];
    for seed in 0..rounds(2000) {
        for check in [
            check::mutants_are_safe::<Traces>,
            check::mutants_are_safe::<Metrics>,
            check::mutants_are_safe::<Logs>,
        ] {
            match check(seed) {
                Mutant::Admitted => seen[0] += 1,
                Mutant::Refused => seen[1] += 1,
                Mutant::Stricter => seen[2] += 1,
            }
        }
    }
    println!("admitted {}, refused {}, stricter than prost {}", seen[0], seen[1], seen[2]);
    assert!(seen.iter().all(|n| *n > 0), "mutants of each kind: {seen:?}");
}

#[test]
fn chunks_come_back_and_broken_ones_are_safe() {
    for seed in 0..rounds(2000) {
        chunks::round_trips(seed);
        chunks::broken_chunks_are_safe(seed);
    }
}
