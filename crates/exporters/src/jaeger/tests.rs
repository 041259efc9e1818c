// SPDX-License-Identifier: Apache-2.0

use otlp_wire::{Payload, SpanKind, StatusCode, write};
use prost::Message;
use testkit::jaeger::{self, Batch, PostSpansRequest, Time, texts};

use super::{proto, thrift};

const NOW: u64 = 1_744_879_244_555_461_596;

/// The batches of `payload` in protobuf and in Thrift, as others decode them.
fn both(payload: &Payload) -> (Vec<Batch>, Vec<Batch>) {
    let (mut by_proto, mut by_thrift) = (Vec::new(), Vec::new());
    for resource in payload.traces() {
        let (mut request, mut batch) = (Vec::new(), Vec::new());
        let has_spans = proto::request(&resource, &mut request);
        assert_eq!(has_spans, thrift::batch(&resource, &mut batch));
        if !has_spans {
            assert!(request.is_empty() && batch.is_empty());
            continue;
        }
        let read = PostSpansRequest::decode(&request[..]).expect("a request");
        assert_eq!(read.encode_to_vec(), request, "canonical");
        by_proto.push(read.batch.expect("a batch"));
        by_thrift.push(jaeger::thrift_batch(&batch));
    }
    (by_proto, by_thrift)
}

/// The one batch of `payload`, the same in both encodings but for digits below a microsecond.
fn translated(payload: &Payload) -> Batch {
    let (by_proto, by_thrift) = both(payload);
    let [mut found] = by_proto.try_into().expect("one batch");
    let exact = found.clone();
    for span in &mut found.spans {
        let cut = |time: &mut Option<Time>| {
            if let Some(time) = time {
                time.nanos = time.nanos / 1000 * 1000;
            }
        };
        cut(&mut span.start_time);
        cut(&mut span.duration);
        span.logs.iter_mut().for_each(|log| cut(&mut log.timestamp));
    }
    assert_eq!(by_thrift, [found]);
    exact
}

fn one(resource: bool, span: &write::Span<'_>, more: impl FnOnce(&mut write::Traces)) -> Batch {
    let mut out = write::Traces::new();
    out.resource(|attrs| {
        if resource {
            attrs.str("service.name", "shop");
            attrs.str("host.name", "h");
            attrs.int("pid", 7);
        }
    });
    out.scope("lib", "1");
    out.span(span, |attrs| {
        attrs.str("s", "x");
        attrs.int("i", -1);
        attrs.int("zero", 0);
        attrs.double("d", 0.5);
        attrs.double("d0", 0.0);
        attrs.bool("t", true);
        attrs.bool("f", false);
        attrs.value("b", otlp_wire::AnyValue::Bytes(&[1, 2]));
        attrs.strs("l", &["a", "b"]);
        attrs.value("e", otlp_wire::AnyValue::Empty);
    });
    more(&mut out);
    translated(&out.finish())
}

fn a_span() -> write::Span<'static> {
    write::Span {
        trace_id: [0xab; 16],
        span_id: [0xff; 8],
        name: "GET /",
        kind: SpanKind::Server,
        start: NOW,
        end: NOW + 1_500_000_001,
        ..<_>::default()
    }
}

#[test]
fn tags_are_in_the_collectors_order_with_their_types() {
    let span = write::Span {
        status: StatusCode::Error,
        status_message: "no",
        trace_state: "a=b",
        flags: 0x101,
        ..a_span()
    };
    let batch = one(true, &span, |_| {});
    let process = batch.process.expect("a process");
    assert_eq!(process.service_name, "shop");
    assert_eq!(texts(&process.tags), ["host.name=\"h\"", "pid=Int(7)"]);
    let span = &batch.spans[0];
    assert_eq!(
        texts(&span.tags),
        [
            "otel.scope.name=\"lib\"",
            "otel.scope.version=\"1\"",
            "s=\"x\"",
            "i=Int(-1)",
            "zero=Int(0)",
            "d=Double(0.5)",
            "d0=Double(0)",
            "t=true",
            "f=false",
            "b=[1, 2]",
            "l=\"[\\\"a\\\",\\\"b\\\"]\"",
            "e=\"\"",
            "span.kind=\"server\"",
            "otel.status_code=\"ERROR\"",
            "error=true",
            "otel.status_description=\"no\"",
            "w3c.tracestate=\"a=b\"",
        ]
    );
    assert_eq!(
        (span.trace_id.as_slice(), span.span_id.as_slice()),
        (&[0xab; 16][..], &[0xff; 8][..])
    );
    assert_eq!(span.operation_name, "GET /");
    assert_eq!(span.flags, 1);
    assert_eq!(span.start_time, Some(Time { seconds: 1_744_879_244, nanos: 555_461_596 }));
    assert_eq!(span.duration, Some(Time { seconds: 1, nanos: 500_000_001 }));
}

#[test]
fn a_service_without_a_name_is_told_as_the_collector_does() {
    let name = |payload: &Payload| translated(payload).process.expect("a process").service_name;
    assert_eq!(
        one(false, &a_span(), |_| {}).process.expect("one").service_name,
        "OTLPResourceNoServiceName"
    );
    let mut out = write::Traces::new();
    out.resource(|attrs| attrs.str("host.name", "h"));
    out.span(&a_span(), |_| {});
    assert_eq!(name(&out.finish()), "");
}

#[test]
fn only_what_was_said_becomes_a_tag() {
    for (kind, status, expected) in [
        (SpanKind::Unspecified, StatusCode::Unset, &[][..]),
        (SpanKind::Internal, StatusCode::Unset, &["span.kind=\"internal\""]),
        (SpanKind::Client, StatusCode::Ok, &["span.kind=\"client\"", "otel.status_code=\"OK\""]),
        (SpanKind::Producer, StatusCode::Unset, &["span.kind=\"producer\""]),
        (SpanKind::Consumer, StatusCode::Unset, &["span.kind=\"consumer\""]),
    ] {
        let mut out = write::Traces::new();
        out.span(&write::Span { kind, status, ..a_span() }, |_| {});
        assert_eq!(texts(&translated(&out.finish()).spans[0].tags), expected);
    }
}

#[test]
fn events_become_logs_and_links_references() {
    let span = write::Span { parent_span_id: Some([3; 8]), ..a_span() };
    let batch = one(true, &span, |out| {
        out.event(NOW + 5, "oops", |attrs| attrs.str("why", "full"));
        out.event(NOW + 6, "named", |attrs| attrs.str("event", "own"));
        out.event(NOW + 7, "", |_| {});
        out.link([9; 16], [8; 8], |_| {});
        out.link([9; 16], [7; 8], |attrs| attrs.str("opentracing.ref_type", "child_of"));
    });
    let span = &batch.spans[0];
    let logs: Vec<_> = span.logs.iter().map(|log| texts(&log.fields)).collect();
    assert_eq!(logs, [vec!["event=\"oops\"", "why=\"full\""], vec!["event=\"own\""], vec![]]);
    assert_eq!(span.logs[0].timestamp.map(|time| time.nanos), Some(555_461_601));
    let references: Vec<_> =
        span.references.iter().map(|r| (r.trace_id[0], r.span_id[0], r.ref_type)).collect();
    assert_eq!(references, [(0xab, 3, 0), (9, 8, 1), (9, 7, 0)]);
}

#[test]
fn a_link_to_the_parent_gives_it_its_type() {
    let span = write::Span { parent_span_id: Some([3; 8]), ..a_span() };
    let batch = one(true, &span, |out| out.link([0xab; 16], [3; 8], |_| {}));
    let references = &batch.spans[0].references;
    assert_eq!((references.len(), references[0].ref_type), (1, 1));
    let root = one(true, &write::Span { parent_span_id: Some([0; 8]), ..a_span() }, |_| {});
    assert!(root.spans[0].references.is_empty(), "an id of zeros is none");
}

#[test]
fn odd_times_are_carried_over() {
    for (start, end, duration) in [
        (10, 5, Time { seconds: 0, nanos: -5 }),
        (0, 0, Time::default()),
        (2_500_000_000, 0, Time { seconds: -2, nanos: -500_000_000 }),
    ] {
        let mut out = write::Traces::new();
        out.span(&write::Span { start, end, ..a_span() }, |_| {});
        assert_eq!(translated(&out.finish()).spans[0].duration, Some(duration));
    }
}

#[test]
fn lengths_of_every_width_are_right() {
    for size in [0, 1, 100, 127, 128, 16_000, 16_383, 16_384, 40_000, 3_000_000] {
        let name = "n".repeat(size);
        let mut out = write::Traces::new();
        out.resource(|attrs| attrs.str("k", &name));
        out.span(&write::Span { name: &name, ..a_span() }, |attrs| attrs.str("v", &name));
        out.event(NOW, &name, |_| {});
        let batch = translated(&out.finish());
        assert_eq!(batch.spans[0].operation_name.len(), size);
        assert_eq!(batch.spans[0].tags[0].v_str.len(), size);
    }
}

#[test]
fn each_resource_with_spans_is_a_batch() {
    let mut out = write::Traces::new();
    for service in ["a", "b"] {
        out.resource(|attrs| attrs.str("service.name", service));
        out.scope("one", "");
        out.span(&a_span(), |_| {});
        out.scope("two", "");
        out.span(&a_span(), |_| {});
    }
    let (by_proto, by_thrift) = both(&out.finish());
    assert_eq!((by_proto.len(), by_thrift.len()), (2, 2));
    assert!(by_proto.iter().all(|batch| batch.spans.len() == 2));
    // A resource without spans, which our writers leave out.
    let empty = Payload::admit(otlp_wire::Signal::Traces, bytes::Bytes::from_static(b"\x0a\x00"));
    assert!(both(&empty.expect("valid")).0.is_empty());
}
