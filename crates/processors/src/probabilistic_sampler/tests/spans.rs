// SPDX-License-Identifier: Apache-2.0
//! What spans say about their own sampling.

use otlp_wire::write;

use super::*;
use crate::probabilistic_sampler::tracestate::Malformed;

const ID: &str = "00000000000000000080000000000000";

/// One span of the trace [`ID`].
fn span(trace_state: &str, attrs: impl FnOnce(&mut write::AttrWriter<'_>)) -> Payload {
    let mut w = write::Traces::new();
    w.span(&write::Span { trace_id: id_of(ID), trace_state, ..<_>::default() }, attrs);
    w.finish()
}

/// The trace state with which `payload` is kept.
fn kept(yaml: &str, payload: &Payload) -> Option<String> {
    let left = sampled(yaml, payload).or(payload)?;
    let resource = left.traces().next()?;
    Some(resource.scopes().next()?.spans().next()?.trace_state().to_owned())
}

#[test]
fn a_priority_goes_before_everything_else() {
    type Put = fn(&mut write::AttrWriter<'_>);
    let none = "{sampling_percentage: 0}";
    let all = "{mode: equalizing, sampling_percentage: 100}";
    let cases: [(&str, Put, Option<&str>); 10] = [
        (none, |a| a.int(PRIORITY, 1), Some("ot=th:0")),
        (none, |a| a.double(PRIORITY, 0.5), Some("ot=th:0")),
        (none, |a| a.str(PRIORITY, "2.5"), Some("ot=th:0")),
        (none, |a| a.int(PRIORITY, -1), None),
        (none, |a| a.str(PRIORITY, "high"), None),
        (none, |a| a.bool(PRIORITY, true), None),
        (all, |a| a.int(PRIORITY, 0), None),
        (all, |a| a.double(PRIORITY, 0.0), None),
        (all, |a| a.str(PRIORITY, "0"), None),
        (all, |a| a.int(PRIORITY, -1), Some("ot=th:0")),
    ];
    for (at, (yaml, put, expected)) in cases.into_iter().enumerate() {
        assert_eq!(kept(yaml, &span("", put)).as_deref(), expected, "case {at}");
    }
    // Kept by priority, but nobody can raise a probability that was already lowered.
    let payload = span("ot=th:8", |a| a.int(PRIORITY, 1));
    assert_eq!(kept(none, &payload).as_deref(), Some("ot=th:8"));
}

#[test]
fn what_makes_no_sense_is_dropped_or_kept_as_fail_closed_says() {
    let cases = [
        ("equalizing", "ot=th:8", "00000000000000000000000000000001", "ot=th:0"),
        ("equalizing", "ot=th:x", ID, "ot=th:x"),
        ("equalizing", "no trace state", ID, "no trace state"),
        ("equalizing", "a=b", "00000000000000000000000000000000", "ot=th:0,a=b"),
        ("proportional", "ot=rv:12", ID, "ot=rv:12"),
        ("hash_seed", "ot=th:8", ID, "ot=th:8"),
        ("hash_seed", "ot=rv:00000000000000", ID, "ot=rv:00000000000000"),
        ("hash_seed", "", "00000000000000000000000000000000", "ot=rv:ffffffffffffff;th:0"),
    ];
    for (mode, trace_state, id, open) in cases {
        let mut w = write::Traces::new();
        w.span(&write::Span { trace_id: id_of(id), trace_state, ..<_>::default() }, |_| ());
        let payload = w.finish();
        let yaml =
            |closed| format!("{{mode: {mode}, sampling_percentage: 60, fail_closed: {closed}}}");
        assert_eq!(kept(&yaml(true), &payload), None, "{mode} {trace_state}");
        assert_eq!(kept(&yaml(false), &payload).as_deref(), Some(open), "{mode} {trace_state}");
    }
}

#[test]
fn what_is_kept_as_it_was_keeps_its_bytes() {
    let yaml = "{mode: equalizing, sampling_percentage: 50}";
    assert_eq!(sampled(yaml, &span("ot=th:8,a=b", |_| ())), Edited::Unchanged);
    assert_eq!(kept(yaml, &span("a=b , ot=th:80", |_| ())).as_deref(), Some("ot=th:8,a=b"));
}

#[test]
fn each_decision_is_counted_by_what_decided() {
    let mut w = write::Traces::new();
    let ids = ["00000000000000000000000000000001", ID, ID];
    for (at, id) in ids.into_iter().enumerate() {
        w.span(&write::Span { trace_id: id_of(id), ..<_>::default() }, |a| {
            if at == 2 {
                a.int(PRIORITY, 0);
            }
        });
    }
    w.span(&write::Span { trace_state: "ot=rv:ffffffffffffff", ..<_>::default() }, |_| ());
    w.span(&write::Span::default(), |_| ());
    let (pass, context) = pass("{mode: equalizing, sampling_percentage: 50}", Signal::Traces);
    let mut scratch = Scratch::new();
    w.finish().edit(&mut [pass], &mut scratch);
    assert_eq!(scratch.dropped(), [3]);
    let name = "otelcol_processor_probabilistic_sampler_count_traces_sampled";
    let count = |policy, sampled| {
        context.host.telemetry().value(name, &[("policy", policy), ("sampled", sampled)])
    };
    assert_eq!(count("trace_id_w3c", "true"), Some(1.0));
    assert_eq!(count("trace_id_w3c", "false"), Some(1.0));
    assert_eq!(count("sampling_priority", "false"), Some(1.0));
    assert_eq!(count("sampling_randomness", "true"), Some(1.0));
    assert_eq!(count("missing_randomness", "false"), Some(1.0));
    assert_eq!(count("missing_randomness", "true"), None);
}

#[test]
fn trace_states_are_read_as_the_collector_reads_them() {
    let long_ot = format!("ot=a:{}", "x".repeat(255));
    let members = |n: usize| vec!["a=b"; n].join(",");
    let broken = [
        "a",
        "=b",
        "a=",
        "A=b",
        "a=b=c",
        "a=b\u{7f}",
        "1=b",
        "a@=b",
        "@a=b",
        "a@1=b",
        "ot=",
        "ot=th",
        "ot=th:8;",
        "ot=;th:8",
        "ot=:8",
        "ot=th:",
        "ot=th:123456789012345",
        "ot=rv:1234567890123",
        "ot=rv:+1234567890123",
        "ot=1a:b",
        "ot=a:b!",
        "ot=a:b;;c:d",
        long_ot.as_str(),
    ];
    for text in broken {
        assert_eq!(TraceState::parse(text), Err(Malformed), "{text}");
    }
    for text in [members(32), "a=b,".repeat(32), "a=".to_owned() + &"b".repeat(1023)] {
        assert_eq!(TraceState::parse(&text), Err(Malformed), "{text}");
    }
    for text in [",,a=b", "a=b ,\tc=d", "1t@sys=x", "ot=a:;b:c", &members(31), &"a=b,".repeat(31)] {
        assert!(TraceState::parse(text).is_ok(), "{text}");
    }
    let state = TraceState::parse("x=y,ot=p:1;th:C;rv:ABCDEFabcdef01;q:2, z=w").unwrap();
    assert_eq!(state.threshold, Some(("C", 0xc << 52)));
    let mut out = String::new();
    state.write(Some(7), None, &mut out);
    assert_eq!(out, "ot=rv:ABCDEFabcdef01;th:C;p:1;q:2,x=y,z=w");
    state.write(None, Some(0xd << 52), &mut out);
    assert_eq!(out, "ot=rv:ABCDEFabcdef01;th:d;p:1;q:2,x=y,z=w");
}
