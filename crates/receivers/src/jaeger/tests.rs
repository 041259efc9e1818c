// SPDX-License-Identifier: Apache-2.0

use otlp_wire::{SpanKind, SpanView, StatusCode};
use prost::Message;
use testkit::jaeger::{Batch, KeyValue, Log, PostSpansRequest, Process, Span, SpanRef, Time};

use super::model::payload;

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), v_str: value.to_owned(), ..KeyValue::default() }
}

fn a_span(tags: Vec<KeyValue>) -> Span {
    Span {
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        operation_name: "GET /".to_owned(),
        start_time: Some(Time { seconds: 1_744_879_244, nanos: 5 }),
        duration: Some(Time { seconds: 1, nanos: 7 }),
        tags,
        ..Span::default()
    }
}

fn request(spans: Vec<Span>) -> Vec<u8> {
    let process = Some(Process {
        service_name: "shop".to_owned(),
        tags: vec![KeyValue { key: "pid".to_owned(), v_type: 2, v_int64: 7, ..<_>::default() }],
    });
    PostSpansRequest { batch: Some(Batch { spans, process }) }.encode_to_vec()
}

/// Looks at the one span of what was made of `span`.
fn translated(span: Span, look: impl FnOnce(&str, &SpanView<'_>)) {
    let made = payload(request(vec![span]).into()).expect("fine");
    let resource = made.traces().next().expect("a resource");
    let name = resource.attr("service.name").and_then(|name| name.as_str());
    assert_eq!(name, Some("shop"));
    assert_eq!(resource.attrs().each().count(), 2);
    let scope = resource.scopes().next().expect("a scope");
    let span = scope.spans().next().expect("a span");
    look(scope.scope().name(), &span);
}

#[test]
fn tags_that_stand_for_fields_become_those_fields() {
    let error = KeyValue { key: "error".to_owned(), v_type: 1, v_bool: true, ..<_>::default() };
    let tags = vec![
        text("otel.scope.name", "lib"),
        text("http.route", "/"),
        text("span.kind", "server"),
        text("otel.status_code", "ERROR"),
        error,
        text("otel.status_description", "no"),
        text("w3c.tracestate", "a=b"),
    ];
    translated(a_span(tags), |scope, span| {
        assert_eq!((scope, span.name(), span.kind()), ("lib", "GET /", SpanKind::Server));
        assert_eq!((span.status(), span.status_message()), (StatusCode::Error, "no"));
        assert_eq!(span.trace_state(), "a=b");
        let left: Vec<_> = span.attrs().each().map(|attr| attr.key().to_owned()).collect();
        assert_eq!(left, ["http.route"]);
        assert_eq!(span.start(), 1_744_879_244_000_000_005);
        assert_eq!(span.end() - span.start(), 1_000_000_007);
    });
    for (tag, status) in [("OK", StatusCode::Ok), ("", StatusCode::Unset)] {
        let tags = vec![text("otel.status_code", tag), text("span.kind", "odd")];
        translated(a_span(tags), |_, span| {
            assert_eq!((span.status(), span.kind()), (status, SpanKind::Unspecified));
            assert!(span.attrs().get("span.kind").is_some(), "an odd kind is kept as it came");
        });
    }
}

#[test]
fn the_parent_is_the_first_child_of_in_the_trace_and_other_references_are_links() {
    let to = |trace: u8, span: u8, ref_type| SpanRef {
        trace_id: vec![trace; 16],
        span_id: vec![span; 8],
        ref_type,
    };
    for (references, parent, links) in [
        (vec![], None, vec![]),
        (vec![to(0xab, 1, 0)], Some([1; 8]), vec![]),
        (vec![to(0xab, 2, 1), to(0xab, 1, 0)], Some([1; 8]), vec![(2, "follows_from")]),
        (vec![to(0xab, 2, 1)], Some([2; 8]), vec![]),
        (vec![to(9, 3, 0)], None, vec![(3, "child_of")]),
    ] {
        translated(Span { references, ..a_span(vec![]) }, |_, span| {
            assert_eq!(span.parent_span_id(), parent);
            let found: Vec<_> = span
                .links()
                .map(|link| {
                    let kind = link.attrs().get("opentracing.ref_type").and_then(|k| k.as_str());
                    (link.span_id().unwrap_or_default()[0], kind.unwrap_or_default())
                })
                .collect();
            assert_eq!(found, links);
        });
    }
}

#[test]
fn logs_become_events() {
    let log = |fields| Log { timestamp: Some(Time { seconds: 2, nanos: 1 }), fields };
    let logs = vec![log(vec![text("why", "full"), text("event", "oops")]), log(vec![])];
    translated(Span { logs, ..a_span(vec![]) }, |_, span| {
        let found: Vec<_> = span
            .events()
            .map(|event| (event.time(), event.name().to_owned(), event.attrs().each().count()))
            .collect();
        assert_eq!(
            found,
            [(2_000_000_001, "oops".to_owned(), 1), (2_000_000_001, String::new(), 0)]
        );
    });
}

#[test]
fn what_is_no_request_is_refused_and_nothing_is_nothing() {
    let short = Span { trace_id: vec![1; 3], ..a_span(vec![]) };
    for (bytes, told) in [
        (b"\xff\xff".to_vec(), "not a PostSpansRequest"),
        // Many empty spans, and one whose tag is none.
        (vec![0x0a, 4, 0x0a, 0, 0x0a, 0], "a trace id of 0 bytes"),
        (vec![0x0a, 5, 0x0a, 3, 0x42, 1, 0xff], "not a PostSpansRequest"),
        (request(vec![short]), "a trace id of 3 bytes"),
        (request(vec![Span { span_id: vec![], ..a_span(vec![]) }]), "a span id of 0 bytes"),
    ] {
        let error = payload(bytes.into()).expect_err(told);
        assert!(error.to_string().contains(told), "{error}");
    }
    for empty in [Vec::new(), request(vec![])] {
        assert_eq!(payload(empty.into()).expect("fine").items(), 0);
    }
}
