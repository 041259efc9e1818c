// SPDX-License-Identifier: Apache-2.0
//! The tables of the reference, section 5.6: computed from the formulas and measured with the Go
//! collector.

use otlp_wire::write;

use super::*;
use crate::probabilistic_sampler::chance::{
    bucket_threshold, hashed, randomness_of, threshold_of, write_randomness, write_threshold,
};

const A: &str = "00000000000000000000000000000001";
const B: &str = "5b8aa5a2d2c872e8321cf37308d69df2";
const C: &str = "0af7651916cd43dd8448eb211c80319c";
const D: &str = "ffffffffffffffffffffffffffffffff";

#[test]
fn hashes_are_those_of_the_collector() {
    let cases = [
        (A, 8898, 11568, "74f42e348fe2c2"),
        (B, 7746, 6248, "86f43384e21e42"),
        (C, 7652, 414, "886c204b10dde4"),
        (D, 5445, 9651, "aae80a44919545"),
    ];
    for (id, bucket, bucket_22, randomness) in cases {
        let id = id_of(id);
        assert_eq!(hashed(&id, 0) & 0x3fff, bucket);
        assert_eq!(hashed(&id, 22) & 0x3fff, bucket_22);
        let mut text = String::new();
        write_randomness(&mut text, hashed(&id, 0));
        assert_eq!(text, randomness);
    }
}

#[test]
fn percentages_are_the_buckets_and_thresholds_of_the_collector() {
    let cases = [
        (0.01, 1, "fff9724"),
        (0.1, 16, "ffbe77"),
        (1.0, 163, "fd70a"),
        (5.0, 819, "f3333"),
        (10.0, 1638, "e666"),
        (15.0, 2457, "d99a"),
        (25.0, 4096, "c"),
        (33.3, 5455, "aac1"),
        (50.0, 8192, "8"),
        (75.0, 12288, "4"),
        (99.9, 16367, "004189"),
        (100.0, 16384, "0"),
    ];
    for (percent, buckets, th) in cases {
        let threshold = bucket_threshold(percent).expect("not none");
        assert_eq!(0x4000 - (threshold >> 42), buckets, "{percent}");
        let mut text = String::new();
        write_threshold(&mut text, threshold_of(f64::from(percent) / 100.0, 4).unwrap());
        assert_eq!(text, th, "{percent}");
    }
    assert_eq!(bucket_threshold(0.001), None);
    assert_eq!(threshold_of(1e-18, 4), None);
    assert_eq!(threshold_of(1.01, 4), None);
}

#[test]
fn randomness_is_the_end_of_the_trace_id() {
    assert_eq!(randomness_of(&id_of(C)), 0x48_eb21_1c80_319c);
    assert_eq!(randomness_of(&id_of(D)), (1 << 56) - 1);
}

/// What becomes of the traces A to D: the trace state they are kept with.
fn decisions(yaml: &str, trace_state: &str) -> [Option<String>; 4] {
    [A, B, C, D].map(|id| {
        let mut w = write::Traces::new();
        w.span(&write::Span { trace_id: id_of(id), trace_state, ..<_>::default() }, |_| ());
        let payload = w.finish();
        let left = sampled(yaml, &payload).or(&payload)?;
        let resource = left.traces().next()?;
        let span = resource.scopes().next()?.spans().next()?;
        Some(span.trace_state().to_owned())
    })
}

#[test]
fn decisions_are_those_of_the_collector() {
    let hash = "hash_seed: 22, sampling_percentage: 50";
    let rv_and_th = "vendor=x,ot=rv:fedcba98765432;th:c";
    let equal = |percent| format!("mode: equalizing, sampling_percentage: {percent}");
    let thin = |percent| format!("mode: proportional, sampling_percentage: {percent}");
    let all = |state: &'static str| [Some(state); 4];
    let none = [None; 4];
    let cases = [
        ("sampling_percentage: 10".to_owned(), "", none),
        (
            hash.to_owned(),
            "",
            [None, Some("ot=rv:9e5c15334d9868;th:8"), Some("ot=rv:f984040d03019e;th:8"), None],
        ),
        (hash.to_owned(), "ot=th:8", none),
        (hash.to_owned(), "ot=rv:fedcba98765432", none),
        ("sampling_percentage: 100".to_owned(), "ot=th:8", none),
        (equal(10), "", [None, None, None, Some("ot=th:e666")]),
        (equal(10), "ot=th:8", [None, None, None, Some("ot=th:e666")]),
        (equal(10), rv_and_th, all("ot=rv:fedcba98765432;th:e666,vendor=x")),
        (equal(50), rv_and_th, all("ot=rv:fedcba98765432;th:c,vendor=x")),
        (thin(10), "", [None, None, None, Some("ot=th:e666")]),
        (thin(10), "ot=th:8", [None, None, None, Some("ot=th:f3333")]),
        (thin(10), rv_and_th, all("ot=rv:fedcba98765432;th:f999a,vendor=x")),
        (thin(50), rv_and_th, all("ot=rv:fedcba98765432;th:e,vendor=x")),
    ];
    for (yaml, trace_state, expected) in cases {
        let found = decisions(&format!("{{{yaml}}}"), trace_state);
        assert_eq!(found.each_ref().map(|it| it.as_deref()), expected, "{yaml}, {trace_state:?}");
    }
}
